"""Random proof models with corner values, each within the static bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from maxwell.proofs.bounds import accumulator_bounds, requant_bound
from maxwell.proofs.model import (
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


def random_model(seed: int, *, wide: bool = False, operations: int = 0) -> ProofModel:
    """Returns a model of so many operations, 0 for one to four; `wide` uses the whole of int16."""
    rng = np.random.default_rng(seed)
    top = 32_767 if wide else 127
    image = bool(rng.integers(2))
    shape = tuple(int(n) for n in (rng.integers(1, 7, 3) if image else rng.integers(1, 9, 1)))
    model = ProofModel(shape, (-top - 1, top), (), (), ())
    count = int(rng.integers(1, 5))
    for _ in range(operations or count):
        model = _extended(model, rng, top)
    return model


def _extended(model: ProofModel, rng: np.random.Generator, top: int) -> ProofModel:
    shapes, ranges = model.shapes(), model.ranges()
    source = len(model.ops)
    shape = shapes[source]
    kinds = ["dense", "table", "add"] + (["conv", "pool"] * 2 if len(shape) == 3 else [])
    kind = str(rng.choice(kinds))
    unset = Requant((1,), 8, len(model.tables))
    weights = None
    channels = 1
    if kind == "dense":
        rows = int(rng.integers(0, len(shape)))
        channels = int(rng.integers(1, 6))
        weights = _weights(rng, (int(np.prod(shape[rows:])), channels), top)
        op: Op = Dense(source, rows, channels, _bias(rng, channels, top), unset)
    elif kind in ("conv", "pool"):
        kernel = tuple(int(rng.integers(1, min(3, s) + 1)) for s in shape[1:])
        strides = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        pads: Any = tuple(int(rng.integers(0, kernel[i % 2])) for i in range(4))
        assert len(kernel) == 2
        if kind == "pool":
            op = AvgPool(source, kernel, strides, pads, unset)
        else:
            channels = int(rng.integers(1, 5))
            weights = _weights(rng, (channels, shape[0], *kernel), top)
            op = Conv2d(source, channels, kernel, strides, pads, _bias(rng, channels, top), unset)
    elif kind == "add":
        other = int(rng.choice([i for i, s in enumerate(shapes) if s == shape]))
        scales = int(rng.integers(1, 300)), -int(rng.integers(1, 300))
        op = Add(source, other, scales, unset)
    else:
        op = Lookup(source, unset)
    bounds = accumulator_bounds(op, ranges, weights)
    # A ratio with which q covers a few thousand values, clamped or not.
    target = float(rng.uniform(100, 5_000))
    fits = [s for s in (8, 16, 24, 32, 40) if target / max(*bounds, 1) * 2**s >= 1]
    shift = int(rng.choice(fits))
    m = [max(1, min(2**32 - 1, int(target / max(b, 1) * 2**shift))) for b in bounds]
    m = [min(v, (2**61) // max(b, 1)) for v, b in zip(m, bounds, strict=True)]
    if not (isinstance(op, Dense | Conv2d) and rng.integers(2)):
        m = [min(m)]
    requant = replace(op.requant, multipliers=tuple(m), shift=shift)
    reach = requant_bound(bounds, requant)
    q = np.arange(min(reach.q_lo, 0), max(reach.q_hi, 0) + 1)
    values = np.clip(q, -top - 1, top) if rng.integers(2) else rng.integers(-top, top, q.size)
    table = Table(int(q[0]), tuple(int(v) for v in values))
    op = replace(op, requant=requant)
    return replace(
        model,
        tables=(*model.tables, table),
        ops=(*model.ops, op),
        weights=(*model.weights, weights),
    )


def _weights(rng: np.random.Generator, shape: tuple[int, ...], top: int) -> Any:
    values = rng.integers(-top - 1, top + 1, shape)
    corners = rng.choice([-top - 1, top, 0], shape)
    mixed: Any = np.where(rng.random(shape) < 0.2, corners, values)
    return mixed.astype(np.int16)


def _bias(rng: np.random.Generator, channels: int, top: int) -> tuple[int, ...]:
    if rng.integers(3) == 0:
        return (0,) * channels
    return tuple(int(v) for v in rng.integers(-(top**2), top**2, channels))


def random_input(model: ProofModel, rng: np.random.Generator, batch: int) -> Any:
    lo, hi = model.input_range
    values = rng.integers(lo, hi + 1, (batch, *model.input_shape))
    corners = rng.choice([lo, hi, 0], values.shape)
    mixed: Any = np.where(rng.random(values.shape) < 0.2, corners, values)
    return mixed.astype(np.int16)
