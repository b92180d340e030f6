"""ONNX operators, one function each: what a node means as a step of a flow.

A node that is not here, or uses an option that the proof model does not have, is refused by name.
Attributes that ONNX makes optional get the defaults of its operator documentation.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf, prod
from typing import TYPE_CHECKING, Final, cast

from maxwell.proofs import quantised
from maxwell.proofs.attributes import float_of, int_of, ints_of, text_of, window_count, window_of
from maxwell.proofs.builder import Builder, channel_bias
from maxwell.proofs.flow import (
    AddPart,
    ConvPart,
    DensePart,
    Flow,
    PoolPart,
    Ref,
    Step,
    Weights,
    refuse,
)
from maxwell.proofs.quantise import Clamp, Curve

if TYPE_CHECKING:
    from maxwell.proofs.builder import Handler
    from maxwell.proofs.model import Pair, Shape
    from maxwell.proofs.onnx_file import Node, OnnxGraph


def build(graph: OnnxGraph) -> Flow:
    """Returns the flow of a graph.

    Raises:
        ProofError: MX1702 for an operator or an option that cannot be proved, MX1703 for shapes
            that do not fit, each with the node's name.
    """
    return Builder(graph, HANDLERS).build()


def _gemm(b: Builder, node: Node) -> None:
    if int_of(node, "transA", 0):
        raise refuse(node.where, "transA = 1", "only the second factor may be transposed")
    ref, weights = b.ref(node, 0), b.constant(node, 1)
    if weights is None or len(ref.shape) != 1:
        raise refuse(node.where, f"input of shape {ref.shape}, expected [N, K]", code="MX1703")
    if int_of(node, "transB", 0) and weights.values.ndim == 2:
        weights = weights.transposed()
    bias = b.constant(node, 2)
    made = b.dense(
        node,
        ref,
        weights.times(float_of(node, "alpha", 1.0)),
        None if bias is None else channel_bias(node, bias, weights.values.shape[-1]),
    )
    step = b.flow.steps[-1]
    if step.bias is not None:
        step.bias = step.bias.times(float_of(node, "beta", 1.0))
    b.bind(node, made)


def _matmul(b: Builder, node: Node) -> None:
    if len(node.inputs) == 2 and node.inputs[0] in b.refs and node.inputs[1] in b.refs:
        raise refuse(node.where, "a product of two activations", "one factor must be a constant")
    weights = b.constant(node, 1)
    assert weights is not None or len(node.inputs) < 2
    if weights is None:
        raise refuse(node.where, "has no second factor", code="MX1703")
    b.bind(node, b.dense(node, b.ref(node, 0), weights, None))


def _conv(b: Builder, node: Node) -> None:
    weights, bias = b.constant(node, 1), b.constant(node, 2)
    if weights is None:
        raise refuse(node.where, "has no weights", code="MX1703")
    if bias is not None:
        bias = channel_bias(node, bias, weights.values.shape[0])
    b.bind(node, b.conv(node, b.ref(node, 0), weights, bias))


def _add(b: Builder, node: Node) -> None:
    if len(node.inputs) != 2:
        raise refuse(node.where, f"{len(node.inputs)} inputs", code="MX1703")
    constant = [name for name in node.inputs if name in b.constants]
    if constant:
        index = 1 - node.inputs.index(constant[0])
        _add_constant(b, node, b.ref(node, index), b.constants[constant[0]])
        return
    refs = b.ref(node, 0), b.ref(node, 1)
    shapes = [b.flow.shape_of(ref.tensor) for ref in refs]
    if refs[0].shape != refs[1].shape or shapes[0] != shapes[1]:
        raise refuse(
            node.where, f"adds {refs[1].shape} to {refs[0].shape}",
            "tensors of one shape are added; broadcasting is not proved",
        )  # fmt: skip
    reads = refs[0].tensor, refs[1].tensor
    made = b.flow.add(Step(AddPart(), node.where, reads, shapes[0]))
    b.bind(node, Ref(made.tensor, refs[0].shape))


def _add_constant(b: Builder, node: Node, ref: Ref, constant: Weights) -> None:
    """Adds a constant to a product that has no bias yet: `MatMul`, then `Add`."""
    step = b.flow.steps[ref.tensor - 1] if ref.tensor else None
    if step is None or not ref.sole or step.fns or not isinstance(step.part, DensePart | ConvPart):
        raise refuse(
            node.where, "adds a constant to something else than a fresh product",
            "make it the bias of the Gemm or Conv before it",
        )  # fmt: skip
    shape = constant.values.shape
    if isinstance(step.part, ConvPart):
        if constant.values.size != 1 and shape[-2:] != (1, 1):
            raise refuse(
                node.where, f"constant of shape {shape}", "one value per channel is proved"
            )
        channels = step.shape[0]
    else:
        channels = step.shape[-1]
        if constant.values.size != 1 and shape[-1] != channels:
            raise refuse(node.where, f"constant of shape {shape}", "one value per column is proved")
    bias = channel_bias(node, constant, channels)
    if step.bias is None:
        step.bias = bias
    else:
        step.bias = Weights(step.bias.real() + bias.real())
    b.bind(node, ref)


def _relu(b: Builder, node: Node) -> None:
    b.then(node, b.ref(node, 0), Clamp(0.0, inf))


def _clip(b: Builder, node: Node) -> None:
    if b.graph.opset >= 11:
        lo, hi = b.number(node, 1), b.number(node, 2)
    else:
        lo, hi = float_of(node, "min", -inf), float_of(node, "max", inf)
    lo, hi = -inf if lo is None else lo, inf if hi is None else hi
    if lo > hi:
        raise refuse(node.where, f"clips to {lo} … {hi}", code="MX1703")
    b.then(node, b.ref(node, 0), Clamp(lo, hi))


def _curve(b: Builder, node: Node) -> None:
    name = node.op
    if name == "Gelu":
        mode = text_of(node, "approximate", "none")
        if mode not in ("none", "tanh"):
            raise refuse(node.where, f"approximate = {mode!r}", code="MX1703")
        name = "Gelu" if mode == "none" else "Gelu(tanh)"
    b.then(node, b.ref(node, 0), Curve(name))


def _flatten(b: Builder, node: Node) -> None:
    ref = b.ref(node, 0)
    axis = int_of(node, "axis", 1)
    axis += len(ref.shape) + 1 if axis < 0 else 0
    if not 1 <= axis <= len(ref.shape) + 1 or prod(ref.shape[: axis - 1]) != 1:
        raise refuse(node.where, f"axis = {axis} mixes the batch with other axes", "use axis = 1")
    b.bind(node, replace(ref, shape=(prod(ref.shape),)))


def _reshape(b: Builder, node: Node) -> None:
    ref, target = b.ref(node, 0), b.raw(node, 1)
    if target is None or target.ndim != 1 or target.dtype.kind != "i" or not target.size:
        raise refuse(node.where, "its shape must be a constant list", code="MX1703")
    copy_zero = not int_of(node, "allowzero", 0)
    sizes = [int(size) for size in target.tolist()]
    for index, size in enumerate(sizes):
        if size == 0 and copy_zero and 0 < index <= len(ref.shape):
            sizes[index] = ref.shape[index - 1]
    first, rest = sizes[0], sizes[1:]
    batch = b.flow.file_batch
    cells = prod(ref.shape)
    if -1 in rest and rest.count(-1) == 1 and first != -1:
        known = prod(size for size in rest if size != -1)
        rest = [cells // max(1, known) if size == -1 else size for size in rest]
    keeps_batch = first in (0, -1) or first == batch
    if not keeps_batch or any(size < 1 for size in rest) or prod(rest) != cells or not rest:
        raise refuse(
            node.where, f"reshapes [N, {_shown(ref.shape)}] to {[int(s) for s in target]}",
            "the first axis, the batch, must stay as it is",
        )  # fmt: skip
    b.bind(node, replace(ref, shape=tuple(rest)))


def _shown(shape: Shape) -> str:
    return ", ".join(map(str, shape))


def _pool(b: Builder, node: Node) -> None:
    ref = b.ref(node, 0)
    image = b.image(node, ref)
    if node.op == "GlobalAveragePool":
        kernel, strides, pads = (image[1], image[2]), (1, 1), (0, 0, 0, 0)
    else:
        kernel = cast("Pair", ints_of(node, "kernel_shape", (0, 0)))
        if int_of(node, "ceil_mode", 0):
            raise refuse(node.where, "ceil_mode = 1", "windows that reach outside are not proved")
        strides, pads = window_of(node, image, kernel)
        if any(pads) and not int_of(node, "count_include_pad", 0):
            raise refuse(
                node.where, f"pads {pads} with count_include_pad = 0",
                "set count_include_pad = 1: every window then has one divisor",
            )  # fmt: skip
    shape = (image[0], *window_count(node, image, kernel, strides, pads))
    part = PoolPart(kernel, strides, pads)
    b.bind(node, b.flow.add(Step(part, node.where, (ref.tensor,), shape)))


HANDLERS: Final[dict[str, Handler]] = {
    "Add": _add,
    "AveragePool": _pool,
    "Clip": _clip,
    "Conv": _conv,
    "DequantizeLinear": quantised.dequantize,
    "Flatten": _flatten,
    "Gelu": _curve,
    "Gemm": _gemm,
    "GlobalAveragePool": _pool,
    "MatMul": _matmul,
    "QLinearConv": quantised.qlinear_conv,
    "QLinearMatMul": quantised.qlinear_matmul,
    "QuantizeLinear": quantised.quantize,
    "Relu": _relu,
    "Reshape": _reshape,
    "Sigmoid": _curve,
    "Tanh": _curve,
}
"""Every operator that can be proved, besides Constant, which `onnx_file` reads."""
