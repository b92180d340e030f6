"""An oracle for the reference: the normative page in plain Python, one cell at a time.

Nothing here is shared with `maxwell.proofs.semantics`: loops instead of arrays, Python's integers
instead of int64, floor division instead of shifts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, TypeAlias

from maxwell.proofs.model import Add, AvgPool, Conv2d, Dense, ProofModel, Requant, Table

Cells: TypeAlias = dict[tuple[int, ...], int]


def requantise(acc: int, requant: Requant, table: Table, channel: int) -> int:
    many = requant.multipliers
    m = many[channel % len(many)]
    unit: int = 2**requant.shift
    q = (acc * m + unit // 2) // unit
    assert q - table.q_lo >= 0
    return table.values[q - table.q_lo]


def run_one(model: ProofModel, x: Any) -> list[Cells]:
    """Runs one inference; returns every tensor."""
    shapes = model.shapes()
    acc: int
    tensors: list[Cells] = [{key: int(x[key]) for key in _keys(shapes[0])}]
    for index, op in enumerate(model.ops):
        made: Cells = {}
        source, shape = tensors[op.input], shapes[op.input]
        w: Any = model.weights[index]
        for key in _keys(shapes[index + 1]):
            channel = acc = 0
            if isinstance(op, Dense):
                channel = key[-1]
                row = key[:-1]
                inner = list(_keys(shape[op.row_axes :]))
                acc = sum(
                    source[(*row, *rest)] * int(w[k, channel]) for k, rest in enumerate(inner)
                )
                acc += op.bias[channel]
            elif isinstance(op, Conv2d):
                channel = key[0]
                acc = op.bias[channel]
                for c, i, j in product(range(shape[0]), range(op.kernel[0]), range(op.kernel[1])):
                    at = (c, *_at(key[1:], (i, j), op))
                    acc += source.get(at, 0) * int(w[channel, c, i, j])
            elif isinstance(op, AvgPool):
                acc = sum(
                    source.get((key[0], *_at(key[1:], (i, j), op)), 0)
                    for i, j in product(range(op.kernel[0]), range(op.kernel[1]))
                )
            elif isinstance(op, Add):
                acc = op.scales[0] * source[key] + op.scales[1] * tensors[op.other][key]
            else:
                acc = source[key]
            made[key] = requantise(acc, op.requant, model.tables[op.requant.table], channel)
        tensors.append(made)
    return tensors


def _keys(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(range(size) for size in shape))


def _at(where: tuple[int, ...], step: tuple[int, int], op: Conv2d | AvgPool) -> tuple[int, int]:
    top, left = op.pads[:2]
    return (
        where[0] * op.strides[0] + step[0] - top,
        where[1] * op.strides[1] + step[1] - left,
    )
