"""Walks an ONNX graph and builds its flow; knows what each name stands for.

The meaning of each operator is in `operators` and `quantised`; here are the parts that they share:
finding inputs, adding linear steps, merging functions into the step before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import numpy as np

from maxwell.errors import choices_hint
from maxwell.proofs.attributes import int_of, ints_of, window_count, window_of
from maxwell.proofs.flow import ConvPart, DensePart, Flow, Ref, SamePart, Step, Weights, refuse
from maxwell.proofs.quantise import Fn, Snap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from maxwell.proofs.model import Shape
    from maxwell.proofs.onnx_file import Node, OnnxGraph

RESHAPE_HINT: Final = "a Reshape is proved before a Gemm, or on the model's input"


class Builder:
    """Walks the nodes in order; knows what each name stands for."""

    def __init__(self, graph: OnnxGraph, handlers: Mapping[str, Handler]) -> None:
        shape = graph.input.shape
        label = f"input {graph.input.name!r}"
        if len(shape) < 2:
            raise refuse(label, f"shape {shape} has no batch axis", "give it shape [N, …]")
        if any(size is None or size < 1 for size in shape[1:]):
            raise refuse(
                label, f"only the first axis may be open, got {shape}", "export with fixed sizes"
            )
        self.graph = graph
        self._handlers = handlers
        own = cast("tuple[int, ...]", shape[1:])
        self.flow = Flow(graph.name, own, shape[0])
        self.refs: dict[str, Ref] = {graph.input.name: Ref(0, own)}
        self.constants = {name: Weights(plain(v)) for name, v in graph.constants.items()}
        self.uses = Counter(name for node in graph.nodes for name in node.inputs)
        self.uses[graph.output.name] += 1

    def build(self) -> Flow:
        """Builds all steps; steps that nothing reads are left out by refusing them."""
        for node in self.graph.nodes:
            handler = self._handlers.get(node.op)
            if handler is None:
                raise refuse(
                    node.where,
                    "this operator cannot be proved",
                    choices_hint(node.op, self._handlers),
                )
            handler(self, node)
        flow = self.flow
        ref = self.refs.get(self.graph.output.name)
        if ref is None:
            raise refuse(self.graph.output.name, "the output is a constant", code="MX1703")
        if ref.tensor == 0:
            ref = flow.add(Step(SamePart(), "output", (0,), flow.input_shape))
        if ref.tensor != len(flow.steps):
            raise refuse(
                flow.steps[-1].where, "its result is not used by the output", code="MX1703",
                hint="remove nodes that nothing needs",
            )  # fmt: skip
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
            raise refuse(node.where, f"its input {index} must be one number", code="MX1703")
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
                node.where, f"weights {k}×{n} do not fit an input of {ref.shape}", code="MX1703"
            )
        own, rows = self.flow.shape_of(ref.tensor), len(ref.shape) - 1
        if own[:rows] != ref.shape[:-1] or rows >= len(own):
            raise refuse(node.where, f"reads {own} reshaped to {ref.shape}", RESHAPE_HINT)
        shape = (*own[:rows], n)
        return self.flow.add(Step(DensePart(rows), node.where, (ref.tensor,), shape, weights, bias))

    def conv(self, node: Node, ref: Ref, weights: Weights, bias: Weights | None) -> Ref:
        """Adds a convolution."""
        if weights.values.ndim != 4:
            raise refuse(
                node.where, f"weights of {weights.values.ndim} axes", "2-D convolutions are proved"
            )
        if int_of(node, "group", 1) != 1:
            raise refuse(node.where, f"group = {int_of(node, 'group', 1)}", "group = 1 is proved")
        out, channels, kh, kw = weights.values.shape
        if ints_of(node, "kernel_shape", (kh, kw)) != (kh, kw):
            raise refuse(node.where, "kernel_shape is not that of the weights", code="MX1703")
        image = self.image(node, ref)
        if image[0] != channels:
            raise refuse(
                node.where, f"{channels} channels in the weights, {image[0]} in the input",
                code="MX1703",
            )  # fmt: skip
        strides, pads = window_of(node, image, (kh, kw))
        shape = (out, *window_count(node, image, (kh, kw), strides, pads))
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
            RESHAPE_HINT,
        )


Handler: TypeAlias = Callable[[Builder, "Node"], None]
"""What a node of one operator type does to a flow."""


def plain(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns a constant in the widest type of its kind."""
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def channel_bias(node: Node, bias: Weights, channels: int) -> Weights:
    """Returns a bias as one value a channel."""
    if bias.values.size not in (1, channels) or max(bias.values.shape, default=1) not in (
        1,
        channels,
    ):
        raise refuse(node.where, f"bias of shape {bias.values.shape}, expected {channels} values")
    values = np.broadcast_to(bias.values.reshape(-1), (channels,))
    return Weights(values, bias.scale, 0)
