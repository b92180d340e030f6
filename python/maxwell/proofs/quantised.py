"""ONNX's quantised operators: QuantizeLinear, DequantizeLinear, QLinearMatMul, QLinearConv.

Zero points disappear here: a tensor of the flow holds stored values less their zero point, so that
padding with zeroes is ONNX's padding with the zero point, and no bias needs a correction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maxwell.proofs.attributes import int_of
from maxwell.proofs.builder import channel_bias
from maxwell.proofs.flow import Weights, refuse
from maxwell.proofs.quantise import Grid, Snap, grid_of

if TYPE_CHECKING:
    from maxwell.proofs.builder import Builder
    from maxwell.proofs.flow import Ref
    from maxwell.proofs.onnx_file import Node


def _grid(b: Builder, node: Node, scale_index: int) -> Grid:
    """Returns the grid that two inputs, scale and zero point, describe."""
    scale, zero = b.raw(node, scale_index), b.raw(node, scale_index + 1)
    if scale is None or scale.dtype.kind != "f":
        raise refuse(node.where, "has no scale", code="MX1703")
    if zero is None:
        if int_of(node, "output_dtype", 2) != 2:
            raise refuse(node.where, "output_dtype without a zero point", code="MX1702")
        zero = np.zeros(1, np.uint8)
    if zero.size != 1:
        raise refuse(node.where, f"{zero.size} zero points for an activation")
    return grid_of(zero.dtype, scale, int(zero.reshape(-1)[0]), node.where)


def quantize(b: Builder, node: Node) -> None:
    """Rounds an activation to a grid."""
    if node.inputs and node.inputs[0] in b.constants:
        raise refuse(node.where, "quantises a constant", "store the quantised constant")
    if int_of(node, "block_size", 0):
        raise refuse(node.where, "block quantisation", "per tensor, or per channel of weights")
    b.then(node, b.ref(node, 0), Snap(_grid(b, node, 1)))


def dequantize(b: Builder, node: Node) -> None:
    """Names a constant, or a rounded activation, as the real tensor it stands for."""
    if int_of(node, "block_size", 0):
        raise refuse(node.where, "block quantisation", "per tensor, or per channel of weights")
    if node.inputs and node.inputs[0] in b.constants:
        b.constants[node.outputs[0]] = _stored(b, node, 0, int_of(node, "axis", 1))
        return
    ref, grid = b.ref(node, 0), _grid_of_input(b, node, 0)
    if ref.tensor == 0 and b.flow.input_grid is None:
        b.flow.input_grid = grid
    _same_grid(b, node, ref, grid)
    b.bind(node, ref)


def _grid_of_input(b: Builder, node: Node, index: int) -> Grid:
    """Returns the grid of a quantised input; its type is the zero point's, or the input's."""
    if index + 2 >= len(node.inputs) or not node.inputs[index + 2]:
        scale = b.raw(node, index + 1)
        dtype = b.graph.input.dtype if node.inputs[index] == b.graph.input.name else np.dtype("u1")
        if scale is None:
            raise refuse(node.where, "has no scale", code="MX1703")
        return grid_of(dtype, scale, 0, node.where)
    return _grid(b, node, index + 1)


def _same_grid(b: Builder, node: Node, ref: Ref, grid: Grid) -> None:
    """Refuses an input that was rounded to another grid than the one it is read with."""
    have = b.flow.input_grid if ref.tensor == 0 else b.flow.steps[ref.tensor - 1].grid
    if have != grid:
        raise refuse(
            node.where,
            f"reads with scale {grid.scale:.6g} and zero point {grid.zero} what was not rounded so",
            code="MX1703",
        )


def _stored(b: Builder, node: Node, index: int, axis: int) -> Weights:
    """Returns a quantised constant, with its zero point taken off and its scales kept."""
    values, scale, zero = b.raw(node, index), b.raw(node, index + 1), b.raw(node, index + 2)
    if values is None or scale is None or values.dtype.kind not in "iu":
        raise refuse(node.where, f"its input {index} must be quantised", code="MX1703")
    scales = scale.astype(np.float64).reshape(-1)
    if not bool((scales > 0).all()):
        raise refuse(node.where, "a scale is not positive", code="MX1703")
    ints = values.astype(np.int64)
    axis += values.ndim if axis < 0 else 0
    zeros = np.zeros(1, np.int64) if zero is None else zero.astype(np.int64).reshape(-1)
    for what in (scales, zeros):
        if what.size != 1 and (not 0 <= axis < values.ndim or what.size != values.shape[axis]):
            raise refuse(node.where, f"{what.size} scales for {values.shape}", code="MX1703")
    if zeros.size == 1:
        ints = ints - int(zeros[0])
    else:
        shape = [1] * values.ndim
        shape[axis] = zeros.size
        ints = ints - zeros.reshape(shape)
    return Weights(ints, scales, axis)


def _quantised_input(b: Builder, node: Node) -> Ref:
    ref, grid = b.ref(node, 0), _grid_of_input(b, node, 0)
    if ref.tensor == 0 and b.flow.input_grid is None:
        b.flow.input_grid = grid
    _same_grid(b, node, ref, grid)
    return ref


def qlinear_matmul(b: Builder, node: Node) -> None:
    """Multiplies and rounds to the grid of the output."""
    if len(node.inputs) != 8:
        raise refuse(node.where, f"{len(node.inputs)} inputs, expected 8", code="MX1703")
    if node.inputs[3] in b.refs:
        raise refuse(node.where, "a product of two activations", "one factor must be a constant")
    ref = _quantised_input(b, node)
    made = b.dense(node, ref, _stored(b, node, 3, 1), None)
    b.flow.steps[-1].fns.append(Snap(_grid(b, node, 6)))
    b.bind(node, made)


def qlinear_conv(b: Builder, node: Node) -> None:
    """Convolves and rounds to the grid of the output."""
    if len(node.inputs) not in (8, 9):
        raise refuse(node.where, f"{len(node.inputs)} inputs, expected 8 or 9", code="MX1703")
    ref = _quantised_input(b, node)
    weights, bias = _stored(b, node, 3, 0), b.constant(node, 8)
    if bias is not None:
        grid = b.flow.input_grid if ref.tensor == 0 else b.flow.steps[ref.tensor - 1].grid
        assert grid is not None
        assert weights.scale is not None
        bias = channel_bias(node, bias, weights.values.shape[0])
        bias = Weights(bias.values, weights.scale * grid.scale, 0)
    made = b.conv(node, ref, weights, bias)
    b.flow.steps[-1].fns.append(Snap(_grid(b, node, 6)))
    b.bind(node, made)
