"""The reference: what a proof model computes, in numpy, to the last bit.

It follows docs/reference/proof-model.md line by line and shares no code with the native
prover, which is tested against it. Sums are exact: where an accumulator stays below 2^53 the
products run in double precision, which is then exact and fast, and in int64 otherwise;
`bounds.check` has shown that neither wraps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.bounds import accumulator_bounds, check
from maxwell.proofs.model import BATCH_MAX, Add, AvgPool, Conv2d, Dense

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maxwell.proofs.model import Op, ProofModel, Requant, Table

EXACT_DOUBLE: Final = 1 << 53

Cell = TypeVar("Cell", bound=np.integer)


def run(model: ProofModel, x: NDArray[np.integer]) -> NDArray[np.int16]:
    """Runs a model.

    Args:
        model: a model; it is checked.
        x: `(batch, *input_shape)`, integers within the input's range.

    Returns:
        `(batch, *output_shape)`.

    Raises:
        ProofError: MX1704 for a model that could wrap, MX1705 for an input that does not fit.
    """
    return trace(model, x)[-1]


def trace(model: ProofModel, x: NDArray[np.integer]) -> list[NDArray[np.int16]]:
    """Returns every tensor, the input first; the rest as `run`."""
    check(model, batch=len(x) if x.ndim else 1)
    tensors = [check_input(model, x)]
    ranges = model.ranges()
    for op, weights in zip(model.ops, model.weights, strict=True):
        bounds = accumulator_bounds(op, ranges, weights)
        exact_in_double = max(bounds) < EXACT_DOUBLE
        acc = accumulate(op, tensors, weights, double=exact_in_double)
        table = model.tables[op.requant.table]
        tensors.append(requantise(acc, op.requant, table, channel_axis(op)))
    return tensors


def check_input(model: ProofModel, x: NDArray[np.integer]) -> NDArray[np.int16]:
    """Returns an input as int16.

    Raises:
        ProofError: MX1705 for another shape, a batch beyond the limit or a value out of range.
    """
    if x.dtype.kind not in "iu":
        raise ProofError(f"input of {x.dtype}: integers are proved", code="MX1705")
    if x.ndim != 1 + len(model.input_shape) or x.shape[1:] != model.input_shape:
        raise ProofError(
            f"input of shape {x.shape}: the model takes (batch, {_shown(model.input_shape)})",
            code="MX1705",
        )
    if not 1 <= len(x) <= BATCH_MAX:
        raise ProofError(f"batch of {len(x)}: 1 to {BATCH_MAX:,} at once", code="MX1705")
    lo, hi = model.input_range
    if int(x.min()) < lo or int(x.max()) > hi:
        raise ProofError(
            f"input reaches from {int(x.min())} to {int(x.max())}: the model takes {lo} to {hi}",
            code="MX1705",
        )
    return x.astype(np.int16)


def _shown(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def channel_axis(op: Op) -> int:
    """Returns the axis of the output channels, with the batch first."""
    return 1 if isinstance(op, Conv2d) else -1


def requantise(
    acc: NDArray[np.int64], requant: Requant, table: Table, axis: int = -1
) -> NDArray[np.int16]:
    """Returns `table[(acc · m + 2^(s-1)) >> s]`; rounds half up, also below zero.

    Args:
        acc: exact accumulators with the batch first.
        requant: multipliers, one or one per channel, and shift.
        table: what q becomes.
        axis: where the channels are, when there are several multipliers.
    """
    multipliers = np.asarray(requant.multipliers, np.int64)
    if multipliers.size > 1:
        shape = [1] * acc.ndim
        shape[axis] = multipliers.size
        multipliers = multipliers.reshape(shape)
    q = (acc * multipliers + (1 << (requant.shift - 1))) >> requant.shift
    index = q - table.q_lo
    assert int(index.min()) >= 0, "BUG: the static bound does not hold"
    assert int(index.max()) < len(table.values), "BUG: the static bound does not hold"
    return np.asarray(table.values, np.int16)[index]


def accumulate(
    op: Op,
    tensors: Sequence[NDArray[np.int16]],
    weights: NDArray[np.int16] | None,
    *,
    double: bool,
) -> NDArray[np.int64]:
    """Returns the exact accumulators of an operation, bias included."""
    x = tensors[op.input]
    if isinstance(op, Dense):
        assert weights is not None
        rows = x.reshape(*x.shape[: 1 + op.row_axes], -1)
        return _product(rows, weights, double=double) + _bias(op.bias, ())
    if isinstance(op, Conv2d):
        assert weights is not None
        columns = patches(x, op)
        matrix = weights.reshape(op.o, -1).T
        acc = _product(columns, matrix, double=double)
        return np.moveaxis(acc, -1, 1) + _bias(op.bias, (1, 1))
    wide = x.astype(np.int64)
    if isinstance(op, Add):
        return op.scales[0] * wide + op.scales[1] * tensors[op.other].astype(np.int64)
    if isinstance(op, AvgPool):
        return _strided(wide, op).sum(axis=(-2, -1), dtype=np.int64)
    return wide


def _product(
    x: NDArray[np.int16], weights: NDArray[np.int16], *, double: bool
) -> NDArray[np.int64]:
    """Multiplies matrices exactly; `double` says that every sum stays below 2^53."""
    if double:
        return (x.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)
    return x.astype(np.int64) @ weights.astype(np.int64)


def _bias(bias: tuple[int, ...], after: tuple[int, ...]) -> NDArray[np.int64]:
    return np.asarray(bias, np.int64).reshape(-1, *after)


def _strided(x: NDArray[Cell], op: Conv2d | AvgPool) -> NDArray[Cell]:
    """Returns every window: `(batch, C, OH, OW, KH, KW)`."""
    top, left, bottom, right = op.pads
    wide = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    views = np.lib.stride_tricks.sliding_window_view(wide, op.kernel, axis=(2, 3))
    return views[:, :, :: op.strides[0], :: op.strides[1]]


def patches(x: NDArray[np.int16], op: Conv2d) -> NDArray[np.int16]:
    """Returns the windows as rows: `(batch, OH, OW, C · KH · KW)`."""
    views = np.moveaxis(_strided(x, op), 1, 3)
    return views.reshape(*views.shape[:3], -1)
