"""The fastest integer run of a proof model that we know of: what takes the place of verifying.

Products in single precision through BLAS, wherever the static bound keeps every sum below 2^24 so
that they are exact, else in double precision; requantisation in double precision, exact below 2^52.
The outputs are those of the reference, bit for bit, which `FastRun` asserts when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maxwell.proofs import semantics
from maxwell.proofs.bounds import accumulator_bounds
from maxwell.proofs.model import Conv2d, Dense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maxwell.proofs.model import Op, ProofModel

SINGLE_EXACT = 1 << 24
DOUBLE_EXACT = 1 << 52


@dataclass(frozen=True)
class _Step:
    """One product, ready to run."""

    op: Dense | Conv2d
    matrix: NDArray[Any]
    bias: NDArray[np.float64]
    scale: NDArray[np.float64]
    """m / 2^s, one or one per channel: exact in double precision."""
    q_lo: int
    table: NDArray[np.int16]


class FastRun:
    """A model of products alone, with its weights laid out."""

    def __init__(self, model: ProofModel, x: NDArray[np.int16]) -> None:
        self._shape = model.output_shape
        ranges = model.ranges()
        self._steps = [
            _step(model, op, weights, max(accumulator_bounds(op, ranges, weights)))
            for op, weights in zip(model.ops, model.weights, strict=True)
        ]
        assert np.array_equal(self.run(x), semantics.run(model, x))

    def run(self, x: NDArray[np.int16]) -> NDArray[np.int16]:
        """Runs a batch."""
        for step in self._steps:
            x = _run(step, x)
        return x.reshape(len(x), *self._shape)


def _step(model: ProofModel, op: Op, weights: NDArray[np.int16] | None, bound: int) -> _Step:
    assert isinstance(op, Dense | Conv2d)
    assert weights is not None
    matrix = weights if isinstance(op, Dense) else weights.reshape(op.o, -1).T
    m = np.asarray(op.requant.multipliers, np.float64)
    assert bound * float(m.max()) < DOUBLE_EXACT
    table = model.tables[op.requant.table]
    return _Step(
        op,
        np.ascontiguousarray(matrix, np.float32 if bound < SINGLE_EXACT else np.float64),
        np.asarray(op.bias, np.float64),
        m * 2.0**-op.requant.shift,
        table.q_lo,
        np.asarray(table.values, np.int16),
    )


def _run(step: _Step, x: NDArray[np.int16]) -> NDArray[np.int16]:
    op = step.op
    if isinstance(op, Dense):
        rows = x.reshape(*x.shape[: 1 + op.row_axes], -1)
    else:
        rows = semantics.patches(x, op)
    flat = rows.reshape(-1, rows.shape[-1]).astype(step.matrix.dtype)
    scaled = np.asarray(flat @ step.matrix, np.float64)
    if step.bias.any():
        scaled += step.bias
    scaled *= step.scale
    scaled += 0.5
    np.floor(scaled, out=scaled)
    y = step.table.take(scaled.astype(np.int32) - step.q_lo)
    y = y.reshape(*rows.shape[:-1], -1)
    return y if isinstance(op, Dense) else np.moveaxis(y, -1, 1)
