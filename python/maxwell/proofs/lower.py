"""From a calibrated flow to a proof model: integers for weights, multipliers and tables.

Every real ratio becomes a multiplier and a shift, every chain of functions a table over all q that
the static bound allows. Tables that only clamp to one range are shared by all operations.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.bounds import accumulator_bounds, requant_bound
from maxwell.proofs.flow import (
    AddPart,
    ConvPart,
    DensePart,
    Flow,
    PoolPart,
    SamePart,
    Step,
    Weights,
    refuse,
)
from maxwell.proofs.model import (
    BIAS_MAX,
    SCALE_MAX,
    SHIFTS,
    TABLE_LEN_MAX,
    VALUE_MAX,
    VALUE_MIN,
    Add,
    AvgPool,
    Conv2d,
    Dense,
    Lookup,
    Op,
    ProofModel,
    Requant,
    Table,
)
from maxwell.proofs.quantise import (
    GRID_MAX,
    GRID_MIN,
    MULTIPLIER_BITS,
    Snap,
    multipliers,
    own_step,
    table_values,
)
from maxwell.proofs.rounding import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maxwell.proofs.calibrate import Options
    from maxwell.proofs.model import Pair
    from maxwell.proofs.quantise import Fn

UNSET: Final = Requant((1,), 8, 0)

FINE_BITS: Final = 24
"""Precision of single precision, for what has no steps to match."""

POOL_TABLE_MAX: Final = 8_192
"""A table of this length costs a few ms to prove, once a model."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """A proof model, and what is known of each operation."""

    model: ProofModel
    operations: tuple[str, ...]
    """The ONNX node that each came from."""
    inexact_steps: tuple[int | None, ...]
    """How many steps of its output are not at the sum where ONNX's integer operator has them: 0 is
    bit-exact, None was not compared (scales of our own, or a sum of two unrelated scales)."""


@dataclass(slots=True)
class _Tables:
    """The tables so far; clamps to one range share one that grows."""

    q: list[Pair] = field(default_factory=list["Pair"])
    values: list[NDArray[np.int16] | None] = field(default_factory=list["NDArray[np.int16] | None"])
    clamps: dict[Pair, int] = field(default_factory=dict["Pair", int])
    spans: list[Pair] = field(default_factory=list["Pair"])

    def take(self, fns: Sequence[Fn], step: float, reach: Pair, where: str) -> int:
        """Returns the number of a table for a chain of functions over all q in `reach`."""
        last = fns[-1]
        assert isinstance(last, Snap)
        lo, hi = last.grid.range
        reach = min(reach[0], 0), max(reach[1], 0)
        if reach[1] - reach[0] >= TABLE_LEN_MAX:
            raise refuse(
                where,
                f"q can reach {reach[0]:,} to {reach[1]:,}, more than {TABLE_LEN_MAX:,} values",
                "use int8 activations, or a larger output scale",
                code="MX1704",
            )
        q = np.arange(reach[0], reach[1] + 1, dtype=np.int64)
        values = table_values(fns, step, q)
        # Where the chain flattens: far outside, every clamp and every curve has its limit.
        ends = table_values(fns, step, np.asarray([-(1 << 20), 1 << 20], np.int64))
        low, high = max(lo, int(ends[0])), min(hi, int(ends[1]))
        if low <= high and np.array_equal(values, np.clip(q, low, high)):
            return self._clamp((low, high), reach, where)
        for index, (have, known) in enumerate(zip(self.q, self.values, strict=True)):
            if have == reach and known is not None and np.array_equal(known, values):
                return index
        self.q.append(reach)
        self.values.append(values)
        self.spans.append((int(values.min()), int(values.max())))
        return len(self.q) - 1

    def _clamp(self, span: Pair, reach: Pair, where: str) -> int:
        """Returns the shared table that clamps to `span`, made to cover `reach`."""
        number = self.clamps.setdefault(span, len(self.q))
        if number == len(self.q):
            self.q.append(span)
            self.values.append(None)
            self.spans.append(span)
        # Covering the whole span keeps the range of its values the same as the table grows.
        have = self.q[number]
        self.q[number] = min(have[0], reach[0]), max(have[1], reach[1])
        if self.q[number][1] - self.q[number][0] >= TABLE_LEN_MAX:
            raise refuse(where, f"q can reach {reach[0]:,} to {reach[1]:,}", code="MX1704")
        return number

    def finished(self) -> tuple[Table, ...]:
        """Returns the tables as the model holds them."""
        tables: list[Table] = []
        for index, (lo, hi) in enumerate(self.q):
            values = self.values[index]
            if values is None:
                values = np.clip(np.arange(lo, hi + 1), *self.spans[index]).astype(np.int16)
            tables.append(Table(lo, tuple(values.tolist())))
        return tuple(tables)


def lower(
    flow: Flow, options: Options, *, multiplier_bits: int | None = MULTIPLIER_BITS
) -> Lowered:
    """Returns the proof model of a flow.

    Without `multiplier_bits` products round as ONNX's quantised operators do, wherever a multiplier
    exists that does (`rounding.fit`).

    Raises:
        ProofError: MX1702 for weights whose scales run along another axis than their outputs,
            MX1704 when no multiplier fits or a table would be too long; with the node's name.
    """
    assert flow.input_grid is not None
    tables = _Tables()
    ranges = [flow.input_grid.range]
    ops: list[Op] = []
    weights: list[NDArray[np.int16] | None] = []
    inexact: list[int | None] = []
    for step in flow.steps:
        try:
            op, block, broken = _lower_step(flow, step, ranges, tables, options, multiplier_bits)
        except ProofError as error:
            if step.where in error.message:
                raise
            raise ProofError(
                f"{step.where}: {error.message}", code=error.code, hint=error.hint
            ) from error
        ops.append(op)
        weights.append(block)
        inexact.append(broken)
        ranges.append(tables.spans[op.requant.table])
    model = ProofModel(
        flow.input_shape, flow.input_grid.range, tables.finished(), tuple(ops), tuple(weights)
    )
    return Lowered(model, tuple(step.where for step in flow.steps), tuple(inexact))


def _lower_step(
    flow: Flow,
    step: Step,
    ranges: Sequence[Pair],
    tables: _Tables,
    options: Options,
    bits: int | None,
) -> tuple[Op, NDArray[np.int16] | None, int | None]:
    """Returns an operation, its weights, and what `Lowered.inexact_steps` says of it."""
    grid = flow.grid_of(step.reads[0])
    if isinstance(step.part, SamePart):
        op: Op = Lookup(step.reads[0], Requant((256,), 8, 0))
        reach = _reach(op, ranges, None)
        return _with_table(op, tables.take(step.fns, grid.scale, reach, step.where)), None, 0
    exact = _exact_pool(step, grid.scale, ranges) or _exact_sum(flow, step, ranges)
    if exact is not None:
        op, unit = exact
        reach = _reach(op, ranges, None)
        return _with_table(op, tables.take(step.fns, unit, reach, step.where)), None, 0
    unit = own_step(step.fns) or step.fine_step
    assert unit is not None, "BUG: a step without a unit after calibration"
    free = own_step(step.fns) is None
    if isinstance(step.part, AddPart):
        return (
            _lower_add(flow, step, ranges, tables, unit, bits or FINE_BITS, free=free),
            None,
            None,
        )
    op, block, ratios = _linear_op(step, grid.scale, options)
    bounds = accumulator_bounds(op, ranges, block)
    unit = _widened(unit, [r * b for r, b in zip(ratios, bounds, strict=True)], free=free)
    with np.errstate(all="ignore"):  # `multipliers` refuses what is not a number
        scaled = [float(np.float32(ratio) / np.float32(unit)) for ratio in ratios]
    chosen, shift, broken = _requantisation(step.fns, scaled, bounds, bits)
    if len(set(chosen)) == 1:
        chosen = chosen[:1]
    op = replace(op, requant=Requant(chosen, shift, 0))
    table = tables.take(step.fns, unit, _reach(op, ranges, block), step.where)
    return _with_table(op, table), block, broken


def _requantisation(
    fns: Sequence[Fn], ratios: Sequence[float], bounds: Sequence[int], bits: int | None
) -> tuple[tuple[int, ...], int, int | None]:
    """Returns multipliers and shift: as ONNX rounds to the first grid, or with so many bits."""
    first = next((fn.grid for fn in fns if isinstance(fn, Snap)), None)
    if bits is not None or first is None or own_step(fns) is None:
        return *multipliers(ratios, bounds, bits=bits or FINE_BITS), None
    found = fit(ratios, bounds, first.range)
    return found.multipliers, found.shift, found.broken


def _exact_pool(step: Step, scale: float, ranges: Sequence[Pair]) -> tuple[AvgPool, float] | None:
    """Returns a pool whose table does the division, where its domain is small, and the unit of q.

    q is then the sum itself. Means of a few integers are often halfway between two, so that the
    direction in which ties are rounded shows. The table divides in single precision and rounds half
    to even: what onnxruntime does, but for the rounding of each summand, which no function of the
    sum can follow.
    """
    part = step.part
    if not isinstance(part, PoolPart):
        return None
    op = AvgPool(step.reads[0], part.kernel, part.strides, part.pads, Requant((256,), 8, 0))
    low, high = _reach(op, ranges, None)
    if high - low >= POOL_TABLE_MAX:
        return None
    return op, scale / prod(part.kernel)


def _exact_sum(flow: Flow, step: Step, ranges: Sequence[Pair]) -> tuple[Add, float] | None:
    """Returns a sum whose table does all rounding, where its domain is small, and the unit of q.

    That is where one scale is a small multiple of the other, and sums often are ties.
    """
    if not isinstance(step.part, AddPart) or own_step(step.fns) is None:
        return None
    a, b = (Fraction(flow.grid_of(tensor).scale) for tensor in step.reads)
    ratio = a / b
    if max(ratio.numerator, ratio.denominator) > POOL_TABLE_MAX:
        return None
    parts = ratio.numerator, ratio.denominator
    op = Add(step.reads[0], step.reads[1], parts, Requant((256,), 8, 0))
    low, high = _reach(op, ranges, None)
    return None if high - low >= POOL_TABLE_MAX else (op, float(b) / ratio.denominator)


def _widened(unit: float, reach_real: Sequence[float], *, free: bool) -> float:
    """Returns the step before a curve, widened where a table could not cover all it can reach."""
    least = max(reach_real) / (VALUE_MAX - 1)
    return max(unit, least) if free else unit


def _linear_op(
    step: Step, scale: float, options: Options
) -> tuple[Dense | Conv2d | AvgPool, NDArray[np.int16] | None, list[float]]:
    """Returns the operation without requantisation, its weights, and the scales of its sums."""
    part, source = step.part, step.reads[0]
    if isinstance(part, PoolPart):
        ratio = float(np.float32(scale)) / prod(part.kernel)
        return AvgPool(source, part.kernel, part.strides, part.pads, UNSET), None, [ratio]
    assert isinstance(part, DensePart | ConvPart)
    assert step.weights is not None
    axis = 1 if isinstance(part, DensePart) else 0
    ints, scales = _weights(step.weights, axis, options, step.where)
    channels = ints.shape[axis]
    # Single precision, factor by factor: the ratio that onnxruntime computes.
    with np.errstate(all="ignore"):
        sums = [float(np.float32(scale) * np.float32(s)) for s in scales]
    ratios = sums * channels if len(sums) == 1 else sums
    bias = _bias(step, ratios, scale, scales)
    if isinstance(part, DensePart):
        return Dense(source, part.row_axes, channels, bias, UNSET), ints, ratios
    kernel = int(ints.shape[2]), int(ints.shape[3])
    return Conv2d(source, channels, kernel, part.strides, part.pads, bias, UNSET), ints, ratios


def _weights(
    weights: Weights, axis: int, options: Options, where: str
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Returns weights as integers with their scales, rounded here where they have none."""
    if weights.scale is not None:
        if weights.scale.size > 1 and weights.axis != axis:
            raise refuse(where, "scales of weights along an axis that is summed over")
        values = weights.values.astype(np.int64)
        if values.size and (int(values.min()) < VALUE_MIN or int(values.max()) > VALUE_MAX):
            raise refuse(where, "a weight without its zero point is beyond int16", code="MX1704")
        return values.astype(np.int16), weights.scale
    top = 2 ** (options.weight_bits - 1) - 1
    others = tuple(index for index in range(weights.values.ndim) if index != axis)
    real = weights.values.astype(np.float64)
    peaks: NDArray[np.float64] = np.abs(real).max(axis=others if options.per_channel else None)
    peaks = np.where(peaks > 0, peaks, np.float64(top)).reshape(-1)
    if float(peaks.max()) / top > GRID_MAX:
        raise refuse(where, f"weights reach ±{float(peaks.max()):.3g}", code="MX1704")
    scales = np.maximum(peaks / top, GRID_MIN).astype(np.float32).astype(np.float64)
    shape = [1] * real.ndim
    shape[axis] = scales.size
    ints = np.clip(np.rint(real / scales.reshape(shape)), -top, top)
    return ints.astype(np.int16), scales


def _bias(
    step: Step, sums: Sequence[float], scale: float, scales: NDArray[np.float64]
) -> tuple[int, ...]:
    """Returns the bias in units of the sums; exact when the file quantised it so already."""
    bias = step.bias
    if bias is None:
        return (0,) * len(sums)
    if bias.scale is not None and np.allclose(bias.scale, scale * scales, rtol=1e-5, atol=0):
        ints = bias.values.astype(np.int64)
    else:
        real = bias.real()
        with np.errstate(all="ignore"):
            ints = np.where(real == 0, 0.0, np.rint(real / np.asarray(sums)))
    if not float(np.abs(ints).max()) <= BIAS_MAX:
        raise refuse(step.where, "a bias is beyond 2^53 units of its sum", code="MX1704")
    return tuple(int(value) for value in ints)


def _lower_add(
    flow: Flow,
    step: Step,
    ranges: Sequence[Pair],
    tables: _Tables,
    unit: float,
    bits: int,
    *,
    free: bool,
) -> Add:
    """Returns a sum of two tensors, each with its own multiplier."""
    a, b = step.reads
    scales = flow.grid_of(a).scale, flow.grid_of(b).scale
    reach = [s * max(map(abs, ranges[t])) for s, t in zip(scales, step.reads, strict=True)]
    unit = _widened(unit, [sum(reach)], free=free)
    best: Add | None = None
    for shift in SHIFTS:
        m_a, m_b = (round(s / unit * 2.0**shift) for s in scales)
        if max(m_a, m_b) > SCALE_MAX:
            break
        if min(m_a, m_b) >= 1:
            best = Add(a, b, (m_a, m_b), Requant((1,), shift, 0))
        if min(m_a, m_b) >= 1 << bits:
            break
    if best is None:
        raise refuse(
            step.where, f"adds tensors of scales {scales[0]:.3g} and {scales[1]:.3g}",
            "scales that far apart have no common multiplier", code="MX1704",
        )  # fmt: skip
    table = tables.take(step.fns, unit, _reach(best, ranges, None), step.where)
    return replace(best, requant=replace(best.requant, table=table))


def _reach(op: Op, ranges: Sequence[Pair], weights: NDArray[np.int16] | None) -> Pair:
    bound = requant_bound(accumulator_bounds(op, ranges, weights), op.requant)
    return bound.q_lo, bound.q_hi


def _with_table(op: Op, table: int) -> Op:
    return replace(op, requant=replace(op.requant, table=table))
