"""ONNX operators, one function each: what a node means as a step of a flow.

A node that is not here, or uses an option that the proof model does not have, is refused by name.
Attributes that ONNX makes optional get the defaults of its operator documentation.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import inf, prod
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from maxwell.errors import choices_hint
from maxwell.proofs.flow import (
    AddPart,
    ConvPart,
    DensePart,
    Flow,
    PoolPart,
    Ref,
    SamePart,
    Step,
    Weights,
    refuse,
)
from maxwell.proofs.model import windows
from maxwell.proofs.quantise import Clamp, Curve, Fn, Grid, Snap, grid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from maxwell.proofs.model import Pair, Quad, Shape
    from maxwell.proofs.onnx_file import Node, OnnxGraph


def build(graph: OnnxGraph) -> Flow:
    """Returns the flow of a graph.

    Raises:
        ProofError: MX1602 for an operator or an option that cannot be proved, MX1603 for shapes
            that do not fit, each with the node's name.
    """
    return _Builder(graph).build()


class _Builder:
    """Walks the nodes in order; knows what each name stands for."""

    def __init__(self, graph: OnnxGraph) -> None:
        shape = graph.input.shape
        label = f"input {graph.input.name!r}"
        if len(shape) < 2:
            raise refuse(label, f"shape {shape} has no batch axis", "give it shape [N, …]")
        if any(size is None or size < 1 for size in shape[1:]):
            raise refuse(
                label, f"only the first axis may be open, got {shape}", "export with fixed sizes"
            )
        self.graph = graph
        own = cast("tuple[int, ...]", shape[1:])
        self.flow = Flow(graph.name, own, shape[0])
        self.refs: dict[str, Ref] = {graph.input.name: Ref(0, own)}
        self.constants = {name: Weights(_plain(v)) for name, v in graph.constants.items()}
        self.uses = Counter(name for node in graph.nodes for name in node.inputs)
        self.uses[graph.output.name] += 1

    def build(self) -> Flow:
        """Builds all steps; steps that nothing reads are left out by refusing them."""
        for node in self.graph.nodes:
            handler = HANDLERS.get(node.op)
            if handler is None:
                raise refuse(
                    node.where, "this operator cannot be proved", choices_hint(node.op, HANDLERS)
                )
            handler(self, node)
        flow = self.flow
        ref = self.refs.get(self.graph.output.name)
        if ref is None:
            raise refuse(self.graph.output.name, "the output is a constant", code="MX1603")
        if ref.tensor == 0:
            ref = flow.add(Step(SamePart(), "output", (0,), flow.input_shape))
        if ref.tensor != len(flow.steps):
            raise refuse(
                flow.steps[-1].where, "its result is not used by the output", code="MX1603",
                hint="remove nodes that nothing needs",
            )  # fmt: skip
        if not flow.steps[-1].shape == ref.shape:
            assert prod(flow.steps[-1].shape) == prod(ref.shape)
        flow.output_shape = ref.shape
        return flow

    # --- names -------------------------------------------------------------------------------

    def ref(self, node: Node, index: int) -> Ref:
        """Returns an input that must be an activation."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        ref = self.refs.get(name)
        if ref is None:
            raise refuse(node.where, f"its input {index} ({name!r}) must not be a constant")
        return replace(ref, sole=ref.sole and self.uses[name] == 1)

    def constant(self, node: Node, index: int) -> Weights | None:
        """Returns an input that must be a constant; None where it is left out."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if not name:
            return None
        found = self.constants.get(name)
        if found is None:
            raise refuse(
                node.where,
                f"its input {index} ({name!r}) must be a constant",
                "products of two activations, and computed shapes, cannot be proved",
            )
        return found

    def number(self, node: Node, index: int) -> float | None:
        """Returns a constant input of one cell."""
        found = self.constant(node, index)
        if found is None:
            return None
        if found.values.size != 1:
            raise refuse(node.where, f"its input {index} must be one number", code="MX1603")
        return float(found.real().reshape(-1)[0])

    def raw(self, node: Node, index: int) -> NDArray[np.generic] | None:
        """Returns a constant input as the file holds it, with its element type."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if not name:
            return None
        found = self.graph.constants.get(name)
        if found is None:
            raise refuse(node.where, f"its input {index} ({name!r}) must be a constant")
        return found

    def bind(self, node: Node, ref: Ref) -> None:
        """Names the node's output."""
        extra = [name for name in node.outputs[1:] if name]
        if extra:
            raise refuse(node.where, f"a second output ({extra[0]!r})")
        self.refs[node.outputs[0]] = ref

    # --- steps -------------------------------------------------------------------------------

    def then(self, node: Node, ref: Ref, fn: Fn) -> None:
        """Appends a function to the step that makes `ref`, or makes a step of its own."""
        if isinstance(fn, Snap) and ref.tensor == 0 and ref.sole and self.flow.input_grid is None:
            self.flow.input_grid = fn.grid
            self.bind(node, ref)
        elif ref.tensor > 0 and ref.sole:
            self.flow.steps[ref.tensor - 1].fns.append(fn)
            self.bind(node, ref)
        else:
            shape = self.flow.shape_of(ref.tensor)
            made = self.flow.add(Step(SamePart(), node.where, (ref.tensor,), shape, fns=[fn]))
            self.bind(node, Ref(made.tensor, ref.shape))

    def dense(self, node: Node, ref: Ref, weights: Weights, bias: Weights | None) -> Ref:
        """Adds a product with a matrix `[K, N]` over the last axis."""
        if weights.values.ndim != 2:
            raise refuse(node.where, f"weights of shape {weights.values.shape}, expected [K, N]")
        k, n = weights.values.shape
        if not ref.shape or ref.shape[-1] != k:
            raise refuse(
                node.where, f"weights {k}×{n} do not fit an input of {ref.shape}", code="MX1603"
            )
        own, rows = self.flow.shape_of(ref.tensor), len(ref.shape) - 1
        if own[:rows] != ref.shape[:-1] or rows >= len(own):
            raise refuse(node.where, f"reads {own} reshaped to {ref.shape}", _RESHAPE_HINT)
        shape = (*own[:rows], n)
        return self.flow.add(
            Step(DensePart(rows), node.where, (ref.tensor,), shape, weights, bias)
        )

    def conv(self, node: Node, ref: Ref, weights: Weights, bias: Weights | None) -> Ref:
        """Adds a convolution."""
        if weights.values.ndim != 4:
            raise refuse(
                node.where, f"weights of {weights.values.ndim} axes", "2-D convolutions are proved"
            )
        if _int(node, "group", 1) != 1:
            raise refuse(node.where, f"group = {_int(node, 'group', 1)}", "group = 1 is proved")
        out, channels, kh, kw = weights.values.shape
        if _ints(node, "kernel_shape", (kh, kw)) != (kh, kw):
            raise refuse(node.where, "kernel_shape is not that of the weights", code="MX1603")
        image = self.image(node, ref)
        if image[0] != channels:
            raise refuse(
                node.where, f"{channels} channels in the weights, {image[0]} in the input",
                code="MX1603",
            )  # fmt: skip
        strides, pads = _window(node, image, (kh, kw))
        shape = (out, *_windows(node, image, (kh, kw), strides, pads))
        part = ConvPart(strides, pads)
        return self.flow.add(Step(part, node.where, (ref.tensor,), shape, weights, bias))

    def image(self, node: Node, ref: Ref) -> Shape:
        """Returns the shape of an input that must be `[C, H, W]`."""
        if len(ref.shape) != 3:
            raise refuse(node.where, f"input of shape {ref.shape}", "2-D images [N, C, H, W] only")
        self.same_view(node, ref)
        return ref.shape

    def same_view(self, node: Node, ref: Ref) -> None:
        """Refuses a tensor that is seen in another shape than its own; the input may change."""
        if self.flow.shape_of(ref.tensor) == ref.shape:
            return
        if ref.tensor == 0 and ref.sole:
            self.flow.input_shape = ref.shape
            return
        raise refuse(
            node.where,
            f"reads {self.flow.shape_of(ref.tensor)} reshaped to {ref.shape}",
            _RESHAPE_HINT,
        )


_RESHAPE_HINT: Final = "a Reshape is proved before a Gemm, or on the model's input"


def _plain(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


# --- attributes ------------------------------------------------------------------------------


def _int(node: Node, key: str, default: int) -> int:
    value = node.attributes.get(key, default)
    if not isinstance(value, int):
        raise refuse(node.where, f"the attribute {key!r} must be an integer", code="MX1603")
    return value


def _float(node: Node, key: str, default: float) -> float:
    value = node.attributes.get(key, default)
    if not isinstance(value, int | float):
        raise refuse(node.where, f"the attribute {key!r} must be a number", code="MX1603")
    return float(value)


def _text(node: Node, key: str, default: str) -> str:
    value = node.attributes.get(key, default)
    if not isinstance(value, str):
        raise refuse(node.where, f"the attribute {key!r} must be a text", code="MX1603")
    return value


def _ints(node: Node, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value = node.attributes.get(key, default)
    if not isinstance(value, tuple) or len(cast("tuple[object, ...]", value)) != len(default):
        raise refuse(node.where, f"{key} must be {len(default)} integers", code="MX1603")
    return cast("tuple[int, ...]", value)


def _window(node: Node, image: Shape, kernel: Pair) -> tuple[Pair, Quad]:
    """Returns strides and pads; defaults are ones and zeroes, `auto_pad` is worked out."""
    if _ints(node, "dilations", (1, 1)) != (1, 1):
        raise refuse(node.where, f"dilations = {node.attributes['dilations']}", "only 1 is proved")
    strides = cast("Pair", _ints(node, "strides", (1, 1)))
    if min(strides) < 1:
        raise refuse(node.where, f"strides = {strides}", code="MX1603")
    mode = _text(node, "auto_pad", "NOTSET")
    if mode == "NOTSET":
        return strides, cast("Quad", _ints(node, "pads", (0, 0, 0, 0)))
    if mode == "VALID":
        return strides, (0, 0, 0, 0)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise refuse(node.where, f"auto_pad = {mode!r}", code="MX1603")
    before: list[int] = []
    after: list[int] = []
    for size, k, stride in zip(image[1:], kernel, strides, strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + k - size)
        low = missing // 2 if mode == "SAME_UPPER" else -(-missing // 2)
        before.append(low)
        after.append(missing - low)
    return strides, (before[0], before[1], after[0], after[1])


def _windows(node: Node, image: Shape, kernel: Pair, strides: Pair, pads: Quad) -> Pair:
    try:
        return windows(image, kernel, strides, pads)
    except ValueError as error:
        raise refuse(node.where, str(error), code="MX1603") from error


# --- operators -------------------------------------------------------------------------------


def _gemm(b: _Builder, node: Node) -> None:
    if _int(node, "transA", 0):
        raise refuse(node.where, "transA = 1", "only the second factor may be transposed")
    ref, weights = b.ref(node, 0), b.constant(node, 1)
    if weights is None or len(ref.shape) != 1:
        raise refuse(node.where, f"input of shape {ref.shape}, expected [N, K]", code="MX1603")
    if _int(node, "transB", 0) and weights.values.ndim == 2:
        weights = weights.transposed()
    bias = b.constant(node, 2)
    made = b.dense(
        node,
        ref,
        weights.times(_float(node, "alpha", 1.0)),
        None if bias is None else _channel_bias(node, bias, weights.values.shape[-1]),
    )
    step = b.flow.steps[-1]
    if step.bias is not None:
        step.bias = step.bias.times(_float(node, "beta", 1.0))
    b.bind(node, made)


def _channel_bias(node: Node, bias: Weights, channels: int) -> Weights:
    """Returns a bias as one value a channel."""
    if bias.values.size not in (1, channels) or max(bias.values.shape, default=1) not in (
        1,
        channels,
    ):
        raise refuse(
            node.where, f"bias of shape {bias.values.shape}, expected {channels} values"
        )
    values = np.broadcast_to(bias.values.reshape(-1), (channels,))
    return Weights(values, bias.scale, 0)


def _matmul(b: _Builder, node: Node) -> None:
    if len(node.inputs) == 2 and node.inputs[0] in b.refs and node.inputs[1] in b.refs:
        raise refuse(node.where, "a product of two activations", "one factor must be a constant")
    weights = b.constant(node, 1)
    assert weights is not None or len(node.inputs) < 2
    if weights is None:
        raise refuse(node.where, "has no second factor", code="MX1603")
    b.bind(node, b.dense(node, b.ref(node, 0), weights, None))


def _conv(b: _Builder, node: Node) -> None:
    weights, bias = b.constant(node, 1), b.constant(node, 2)
    if weights is None:
        raise refuse(node.where, "has no weights", code="MX1603")
    if bias is not None:
        bias = _channel_bias(node, bias, weights.values.shape[0])
    b.bind(node, b.conv(node, b.ref(node, 0), weights, bias))


def _add(b: _Builder, node: Node) -> None:
    if len(node.inputs) != 2:
        raise refuse(node.where, f"{len(node.inputs)} inputs", code="MX1603")
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


def _add_constant(b: _Builder, node: Node, ref: Ref, constant: Weights) -> None:
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
            raise refuse(node.where, f"constant of shape {shape}", "one value per channel is proved")
        channels = step.shape[0]
    else:
        channels = step.shape[-1]
        if constant.values.size != 1 and shape[-1] != channels:
            raise refuse(node.where, f"constant of shape {shape}", "one value per column is proved")
    bias = _channel_bias(node, constant, channels)
    if step.bias is None:
        step.bias = bias
    else:
        step.bias = Weights(step.bias.real() + bias.real())
    b.bind(node, ref)


def _relu(b: _Builder, node: Node) -> None:
    b.then(node, b.ref(node, 0), Clamp(0.0, inf))


def _clip(b: _Builder, node: Node) -> None:
    if b.graph.opset >= 11:
        lo, hi = b.number(node, 1), b.number(node, 2)
    else:
        lo, hi = _float(node, "min", -inf), _float(node, "max", inf)
    lo, hi = -inf if lo is None else lo, inf if hi is None else hi
    if lo > hi:
        raise refuse(node.where, f"clips to {lo} … {hi}", code="MX1603")
    b.then(node, b.ref(node, 0), Clamp(lo, hi))


def _curve(b: _Builder, node: Node) -> None:
    name = node.op
    if name == "Gelu":
        mode = _text(node, "approximate", "none")
        if mode not in ("none", "tanh"):
            raise refuse(node.where, f"approximate = {mode!r}", code="MX1603")
        name = "Gelu" if mode == "none" else "Gelu(tanh)"
    b.then(node, b.ref(node, 0), Curve(name))


def _flatten(b: _Builder, node: Node) -> None:
    ref = b.ref(node, 0)
    axis = _int(node, "axis", 1)
    axis += len(ref.shape) + 1 if axis < 0 else 0
    if not 1 <= axis <= len(ref.shape) + 1 or prod(ref.shape[: axis - 1]) != 1:
        raise refuse(node.where, f"axis = {axis} mixes the batch with other axes", "use axis = 1")
    _reshaped(b, node, ref, (prod(ref.shape),))


def _reshape(b: _Builder, node: Node) -> None:
    ref, target = b.ref(node, 0), b.raw(node, 1)
    if target is None or target.ndim != 1 or target.dtype.kind != "i" or not target.size:
        raise refuse(node.where, "its shape must be a constant list", code="MX1603")
    copy_zero = not _int(node, "allowzero", 0)
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
    _reshaped(b, node, ref, tuple(rest))


def _reshaped(b: _Builder, node: Node, ref: Ref, shape: Shape) -> None:
    b.bind(node, replace(ref, shape=shape))


def _shown(shape: Shape) -> str:
    return ", ".join(map(str, shape))


def _pool(b: _Builder, node: Node) -> None:
    ref = b.ref(node, 0)
    image = b.image(node, ref)
    if node.op == "GlobalAveragePool":
        kernel, strides, pads = (image[1], image[2]), (1, 1), (0, 0, 0, 0)
    else:
        kernel = cast("Pair", _ints(node, "kernel_shape", (0, 0)))
        if _int(node, "ceil_mode", 0):
            raise refuse(node.where, "ceil_mode = 1", "windows that reach outside are not proved")
        strides, pads = _window(node, image, kernel)
        if any(pads) and not _int(node, "count_include_pad", 0):
            raise refuse(
                node.where, f"pads {pads} with count_include_pad = 0",
                "set count_include_pad = 1: every window then has one divisor",
            )  # fmt: skip
    shape = (image[0], *_windows(node, image, kernel, strides, pads))
    part = PoolPart(kernel, strides, pads)
    b.bind(node, b.flow.add(Step(part, node.where, (ref.tensor,), shape)))


def _grid(b: _Builder, node: Node, scale_index: int) -> Grid:
    """Returns the grid that two inputs, scale and zero point, describe."""
    scale, zero = b.raw(node, scale_index), b.raw(node, scale_index + 1)
    if scale is None or scale.dtype.kind != "f":
        raise refuse(node.where, "has no scale", code="MX1603")
    if zero is None:
        if _int(node, "output_dtype", 2) != 2:
            raise refuse(node.where, "output_dtype without a zero point", code="MX1602")
        zero = np.zeros(1, np.uint8)
    if zero.size != 1:
        raise refuse(node.where, f"{zero.size} zero points for an activation")
    return grid_of(zero.dtype, scale, int(zero.reshape(-1)[0]), node.where)


def _quantize(b: _Builder, node: Node) -> None:
    if node.inputs and node.inputs[0] in b.constants:
        raise refuse(node.where, "quantises a constant", "store the quantised constant")
    if _int(node, "block_size", 0):
        raise refuse(node.where, "block quantisation", "per tensor, or per channel of weights")
    b.then(node, b.ref(node, 0), Snap(_grid(b, node, 1)))


def _dequantize(b: _Builder, node: Node) -> None:
    if _int(node, "block_size", 0):
        raise refuse(node.where, "block quantisation", "per tensor, or per channel of weights")
    if node.inputs and node.inputs[0] in b.constants:
        b.constants[node.outputs[0]] = _stored(b, node, 0, _int(node, "axis", 1))
        return
    ref, grid = b.ref(node, 0), _grid_of_input(b, node, 0)
    if ref.tensor == 0 and b.flow.input_grid is None:
        b.flow.input_grid = grid
    _same_grid(b, node, ref, grid)
    b.bind(node, ref)


def _grid_of_input(b: _Builder, node: Node, index: int) -> Grid:
    """Returns the grid of a quantised input; its type is the zero point's, or the input's."""
    if index + 2 >= len(node.inputs) or not node.inputs[index + 2]:
        scale = b.raw(node, index + 1)
        dtype = b.graph.input.dtype if node.inputs[index] == b.graph.input.name else np.dtype("u1")
        if scale is None:
            raise refuse(node.where, "has no scale", code="MX1603")
        return grid_of(dtype, scale, 0, node.where)
    return _grid(b, node, index + 1)


def _same_grid(b: _Builder, node: Node, ref: Ref, grid: Grid) -> None:
    """Refuses an input that was rounded to another grid than the one it is read with."""
    have = b.flow.input_grid if ref.tensor == 0 else b.flow.steps[ref.tensor - 1].grid
    if have != grid:
        raise refuse(
            node.where,
            f"reads with scale {grid.scale:.6g} and zero point {grid.zero} what was not rounded so",
            code="MX1603",
        )


def _stored(b: _Builder, node: Node, index: int, axis: int) -> Weights:
    """Returns a quantised constant, with its zero point taken off and its scales kept."""
    values, scale, zero = b.raw(node, index), b.raw(node, index + 1), b.raw(node, index + 2)
    if values is None or scale is None or values.dtype.kind not in "iu":
        raise refuse(node.where, f"its input {index} must be quantised", code="MX1603")
    scales = scale.astype(np.float64).reshape(-1)
    if not bool((scales > 0).all()):
        raise refuse(node.where, "a scale is not positive", code="MX1603")
    ints = values.astype(np.int64)
    axis += values.ndim if axis < 0 else 0
    zeros = np.zeros(1, np.int64) if zero is None else zero.astype(np.int64).reshape(-1)
    for what in (scales, zeros):
        if what.size != 1 and (not 0 <= axis < values.ndim or what.size != values.shape[axis]):
            raise refuse(node.where, f"{what.size} scales for {values.shape}", code="MX1603")
    if zeros.size == 1:
        ints = ints - int(zeros[0])
    else:
        shape = [1] * values.ndim
        shape[axis] = zeros.size
        ints = ints - zeros.reshape(shape)
    return Weights(ints, scales, axis)


def _quantised_input(b: _Builder, node: Node) -> Ref:
    ref, grid = b.ref(node, 0), _grid_of_input(b, node, 0)
    if ref.tensor == 0 and b.flow.input_grid is None:
        b.flow.input_grid = grid
    _same_grid(b, node, ref, grid)
    return ref


def _qlinear_matmul(b: _Builder, node: Node) -> None:
    if len(node.inputs) != 8:
        raise refuse(node.where, f"{len(node.inputs)} inputs, expected 8", code="MX1603")
    if node.inputs[3] in b.refs:
        raise refuse(node.where, "a product of two activations", "one factor must be a constant")
    ref = _quantised_input(b, node)
    made = b.dense(node, ref, _stored(b, node, 3, 1), None)
    b.flow.steps[-1].fns.append(Snap(_grid(b, node, 6)))
    b.bind(node, made)


def _qlinear_conv(b: _Builder, node: Node) -> None:
    if len(node.inputs) not in (8, 9):
        raise refuse(node.where, f"{len(node.inputs)} inputs, expected 8 or 9", code="MX1603")
    ref = _quantised_input(b, node)
    weights, bias = _stored(b, node, 3, 0), b.constant(node, 8)
    if bias is not None:
        grid = b.flow.input_grid if ref.tensor == 0 else b.flow.steps[ref.tensor - 1].grid
        assert grid is not None and weights.scale is not None
        bias = _channel_bias(node, bias, weights.values.shape[0])
        bias = Weights(bias.values, weights.scale * grid.scale, 0)
    made = b.conv(node, ref, weights, bias)
    b.flow.steps[-1].fns.append(Snap(_grid(b, node, 6)))
    b.bind(node, made)


HANDLERS: Final[dict[str, Callable[[_Builder, Node], None]]] = {
    "Add": _add,
    "AveragePool": _pool,
    "Clip": _clip,
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Flatten": _flatten,
    "Gelu": _curve,
    "Gemm": _gemm,
    "GlobalAveragePool": _pool,
    "MatMul": _matmul,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
    "Relu": _relu,
    "Reshape": _reshape,
    "Sigmoid": _curve,
    "Tanh": _curve,
}
"""Every operator that can be proved, besides Constant, which `onnx_file` reads."""
