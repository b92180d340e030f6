"""Static bounds: a model that could wrap, or miss a look-up, is refused before it runs.

The rules are those of docs/reference/proof-model.md, section "static bound". They hold for
every input within its range, not only for those that were seen: nothing here looks at data.
All sums are Python's integers, which do not wrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.model import (
    BIAS_MAX,
    CELLS_MAX,
    MULTIPLIER_MAX,
    NAMES,
    OPS_MAX,
    SCALE_MAX,
    SHIFTS,
    TABLE_LEN_MAX,
    TABLE_VALUES_MAX,
    TABLES_MAX,
    VALUE_MAX,
    VALUE_MIN,
    WEIGHTS_MAX,
    Add,
    AvgPool,
    Conv2d,
    Dense,
    Lookup,
    Op,
    ProofModel,
    Table,
    reads,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maxwell.proofs.model import Pair, Requant

FIELD_BOUND: Final = 1 << 62
"""Below a quarter of the field's order, so that a signed value has one representative."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What an operation can reach at most, over all inputs within range."""

    accumulator_max: int
    """Largest |acc| of any channel."""
    product_max: int
    """Largest |acc| · m + 2^(s-1) of any channel; below 2^62."""
    q_lo: int
    q_hi: int


def padded(cells: int) -> int:
    """Returns the power of two that is not below `cells`."""
    return 1 << max(0, (cells - 1).bit_length())


def accumulator_bounds(
    op: Op, ranges: Sequence[Pair], weights: NDArray[np.int16] | None
) -> tuple[int, ...]:
    """Returns `B_c`, the largest |acc| of each output channel; one entry without channels."""
    x_max = max(map(abs, ranges[op.input]))
    if isinstance(op, Dense | Conv2d):
        assert weights is not None
        axes = 0 if isinstance(op, Dense) else (1, 2, 3)
        sums = np.abs(weights.astype(np.int64)).sum(axis=axes, dtype=np.int64)
        return tuple(x_max * int(w) + abs(b) for w, b in zip(sums, op.bias, strict=True))
    if isinstance(op, Add):
        return (abs(op.scales[0]) * x_max + abs(op.scales[1]) * max(map(abs, ranges[op.other])),)
    if isinstance(op, AvgPool):
        return (x_max * prod(op.kernel),)
    return (x_max,)


def requant_bound(bounds: Sequence[int], requant: Requant) -> Bound:
    """Returns what requantisation makes of accumulators within `bounds`."""
    half = 1 << (requant.shift - 1)
    count = max(len(bounds), len(requant.multipliers))
    channels = _spread(bounds, count)
    multipliers = _spread(requant.multipliers, count)
    reach = [b * m for b, m in zip(channels, multipliers, strict=True)]
    return Bound(
        max(channels),
        max(reach) + half,
        min((half - r) >> requant.shift for r in reach),
        max((half + r) >> requant.shift for r in reach),
    )


def _spread(values: Sequence[int], count: int) -> Sequence[int]:
    return list(values) * count if len(values) == 1 else values


def check(model: ProofModel, names: Sequence[str] | None = None, batch: int = 1) -> list[Bound]:
    """Checks a model against every rule of the page; returns the bound of each operation.

    Args:
        model: what to check.
        names: what to call each operation in an error, such as the ONNX node it came from.
        batch: inferences at once, for the limit on cells.

    Raises:
        ProofError: MX1703 for a malformed model or one beyond a limit, MX1704 for one that could
            wrap or miss a look-up; with the operation's name and the figure.
    """
    _check_size(model)
    shapes = model.shapes()
    for index, op in enumerate(model.ops):
        _check_op(op, names[index] if names else f"operation {index} ({NAMES[type(op)]})", model)
    ranges = model.ranges()
    _check_tensor("the input", model.input_range)
    bounds: list[Bound] = []
    for index, (op, weights) in enumerate(zip(model.ops, model.weights, strict=True)):
        where = names[index] if names else f"operation {index} ({NAMES[type(op)]})"
        channels = accumulator_bounds(op, ranges, weights)
        bound = requant_bound(channels, op.requant)
        _check_bound(bound, model.tables[op.requant.table], where)
        bounds.append(bound)
    for index, shape in enumerate(shapes):
        if batch * prod(padded(size) for size in shape) > CELLS_MAX:
            raise ProofError(
                f"tensor {index}: {batch} × {shape} cells, more than {CELLS_MAX:,} with padding",
                code="MX1703",
            )
    read = {tensor for op in model.ops for tensor in reads(op)}
    unread = sorted(set(range(len(model.ops))) - read)
    if unread:
        raise ProofError(f"tensor {unread[0]} is read by no operation", code="MX1703")
    return bounds


def _check_size(model: ProofModel) -> None:
    weights = sum(0 if w is None else w.size for w in model.weights)
    values = sum(len(table.values) for table in model.tables)
    for have, most, what in (
        (len(model.ops), OPS_MAX, "operations"),
        (len(model.tables), TABLES_MAX, "tables"),
        (values, TABLE_VALUES_MAX, "table values"),
        (weights, WEIGHTS_MAX, "weights"),
    ):
        if have > most:
            raise ProofError(f"the model has {have:,} {what}, at most {most:,}", code="MX1703")
    if not model.ops:
        raise ProofError("the model has no operation", code="MX1703")
    rank = len(model.input_shape)
    if not 1 <= rank <= 4 or any(size < 1 for size in model.input_shape):
        raise ProofError(f"input shape {model.input_shape}: 1 to 4 positive sizes", code="MX1703")
    for index, table in enumerate(model.tables):
        if not 1 <= len(table.values) <= TABLE_LEN_MAX:
            raise ProofError(
                f"table {index}: {len(table.values):,} values, 1 to {TABLE_LEN_MAX:,} are allowed",
                code="MX1704",
            )
        _check_tensor(f"table {index}", table.span)


def _check_tensor(what: str, span: Pair) -> None:
    if not VALUE_MIN <= span[0] <= span[1] <= VALUE_MAX:
        raise ProofError(f"{what}: range {span} is not within int16", code="MX1703")


def _check_op(op: Op, where: str, model: ProofModel) -> None:
    requant = op.requant
    channels = 1
    if isinstance(op, Dense | Conv2d):
        channels = op.n if isinstance(op, Dense) else op.o
        if len(op.bias) != channels or any(abs(b) > BIAS_MAX for b in op.bias):
            raise ProofError(f"{where}: bias is not {channels} values in ±2^53", code="MX1703")
    if len(requant.multipliers) not in {1, channels} or not all(
        1 <= m <= MULTIPLIER_MAX for m in requant.multipliers
    ):
        raise ProofError(f"{where}: multipliers must be 1 or {channels} u32 ≥ 1", code="MX1703")
    if requant.shift not in SHIFTS:
        raise ProofError(f"{where}: shift {requant.shift} is none of {SHIFTS}", code="MX1703")
    if not 0 <= requant.table < len(model.tables):
        raise ProofError(f"{where}: no table {requant.table}", code="MX1703")
    if isinstance(op, Add) and not all(0 < abs(m) <= SCALE_MAX for m in op.scales):
        raise ProofError(f"{where}: scales {op.scales} must be non-zero i32", code="MX1703")
    assert isinstance(op, Dense | Conv2d | Add | AvgPool | Lookup)


def _check_bound(bound: Bound, table: Table, where: str) -> None:
    if bound.product_max >= FIELD_BOUND:
        raise ProofError(
            f"{where}: the accumulator can reach {bound.accumulator_max:,}, and times its "
            f"multiplier {bound.product_max:,}: not below 2^62",
            code="MX1704",
            hint="use smaller weights, shorter sums, or int8 instead of int16",
        )
    if bound.q_lo < table.q_lo or bound.q_hi > table.q_hi:
        raise ProofError(
            f"{where}: q can reach {bound.q_lo:,} to {bound.q_hi:,}, and its table covers "
            f"{table.q_lo:,} to {table.q_hi:,}",
            code="MX1704",
        )
