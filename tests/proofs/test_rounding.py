"""Goal: a file with scales of its own is imported bit for bit wherever ONNX's operators are exact.

Method: the fitted multiplier against ONNX's formula at every step and at random sums, also that
what it calls broken is what differs; whole operators against onnxruntime, cell by cell; pools and
sums with scales that single precision holds exactly, where a tie is a tie for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from maxwell.errors import ProofError
from maxwell.proofs import semantics
from maxwell.proofs.model import Conv2d, Dense
from maxwell.proofs.quantise import Clamp, Grid, Snap, table_values
from maxwell.proofs.rounding import fit, onnx_rounds, steps
from proofs.onnx_models import Recipe, random_ints


@settings(max_examples=150, deadline=None)
@given(
    log_ratio=st.floats(-5, -0.5),
    log_bound=st.floats(1.5, 7.4),
    lo=st.integers(-300, 0),
    hi=st.integers(1, 300),
    power=st.booleans(),
)
def test_broken_steps_are_the_only_difference(
    log_ratio: float, log_bound: float, lo: int, hi: int, power: bool
) -> None:
    ratio = np.float32(2.0 ** round(3 * log_ratio) if power else 10.0**log_ratio)
    bound = int(10**log_bound)
    found = fit([float(ratio)], [bound], (lo, hi))
    at = steps(ratio, (lo, hi), bound)
    rng = np.random.default_rng(bound)
    acc = np.concatenate([at - 1, at, at + 1, rng.integers(-bound, bound + 1, 2_000)])
    acc = np.unique(np.clip(acc, -bound, bound))
    half = 1 << (found.shift - 1)
    have = np.clip((acc * found.multipliers[0] + half) >> found.shift, lo, hi)
    want = np.clip(onnx_rounds(acc, ratio), lo, hi).astype(np.int64)
    different = int((have != want).sum())
    assert np.abs(have - want).max() <= 1
    assert (different == 0) == (found.broken == 0)
    assert different <= found.broken * (1 + (bound >> 22))


def test_a_power_of_two_has_ties_that_no_multiplier_rounds_to_even() -> None:
    """Sums of 4 and 12 eighths lie halfway: one goes down, one up. Half of the steps stay wrong."""
    found = fit([0.125], [1_000], (-4, 4))
    assert found.broken == 4
    with pytest.raises(ProofError, match="scales"):
        fit([1e-30], [1_000], (-4, 4))


@pytest.mark.parametrize("seed", range(6))
def test_quantised_products_are_bit_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, n = int(rng.integers(3, 200)), int(rng.integers(1, 20))
    kind = ("int8", "uint8")[seed % 2]
    onnx_type = TensorProto.INT8 if kind == "int8" else TensorProto.UINT8
    recipe = Recipe(["N", k], dtype=onnx_type, output_dtype=onnx_type)
    zero = int(rng.integers(-20, 20)) + (128 if kind == "uint8" else 0)
    recipe.grid("x", float(rng.uniform(0.01, 0.05)), zero, kind)
    recipe.grid("y", float(rng.uniform(0.05, 0.5)), zero + 3, kind)
    recipe.constant("w", random_ints(rng, (k, n)))
    recipe.constant("w_s", rng.uniform(0.001, 0.01, n).astype(np.float32))
    recipe.constant("w_z", np.zeros(n, np.int8))
    recipe.node("QLinearMatMul", "x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z")
    _same(recipe, random_ints(rng, (1_500, k), kind))


@pytest.mark.parametrize("seed", range(6))
def test_quantised_convolutions_are_bit_exact(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    c, o = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    recipe = Recipe(["N", c, 7, 6], dtype=TensorProto.INT8, output_dtype=TensorProto.INT8)
    recipe.grid("x", float(rng.uniform(0.01, 0.05)), int(rng.integers(-128, 128)))
    recipe.grid("y", float(rng.uniform(0.05, 0.5)), int(rng.integers(-128, 128)))
    recipe.constant("w", random_ints(rng, (o, c, 3, 2)))
    recipe.constant("w_s", rng.uniform(0.001, 0.01, o).astype(np.float32))
    recipe.constant("w_z", np.zeros(o, np.int8))
    recipe.constant("b", rng.integers(-9_000, 9_000, o).astype(np.int32))
    inputs = ["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z", "b"]
    recipe.node("QLinearConv", *inputs, pads=[1, 0, 1, 1], strides=[1 + seed % 2, 1])
    _same(recipe, random_ints(rng, (200, c, 7, 6)))


def _same(recipe: Recipe, x: Any) -> None:
    """All cells equal, except where a step is broken; those are within one and counted."""
    network = recipe.network()
    y = semantics.run(network.proof_model, network.to_ints(x))
    have = y.reshape(len(y), *network.output_shape).astype(np.int64) + network.output_grid.zero
    off = np.abs(have - recipe.oracle(x))
    assert off.max() <= 1
    broken = network.inexact_steps[0]
    assert broken is not None
    assert broken or off.max() == 0
    op = network.proof_model.ops[0]
    assert isinstance(op, Dense | Conv2d)
    assert broken <= 0.02 * 255 * len(op.bias)
    assert (off > 0).mean() <= 1e-4


@pytest.mark.parametrize("op", ["AveragePool", "GlobalAveragePool", "Add"])
def test_ties_go_to_the_even_neighbour(op: str) -> None:
    """With scales that are powers of two single precision is exact, and so must we be."""
    rng = np.random.default_rng(3)
    recipe = Recipe(["N", 2, 4, 4]).grid("x", 2.0**-5, 9).grid("y", 2.0**-4, -128)
    recipe.grid("h", 2.0**-4, 5)
    recipe.rounded("x", "x", "xr")
    if op == "Add":
        recipe.node("Clip", "xr", to="c").rounded("c", "h", "hr").node("Add", "xr", "hr", to="p")
    else:
        recipe.node(op, "xr", to="p", **({"kernel_shape": [2, 2]} if op == "AveragePool" else {}))
    recipe.node("Relu", "p", to="r").rounded("r", "y", "y")
    x = (rng.integers(-137, 119, (400, 2, 4, 4)) * np.float32(2.0**-5)).astype(np.float32)
    assert np.array_equal(recipe.network().run(x), recipe.oracle(x, optimised=False))


@pytest.mark.parametrize("divisor", [2, 4, 6, 9, 49])
def test_tables_divide_exactly_but_for_ties(divisor: int) -> None:
    """A mean in exact arithmetic, for every sum; a tie goes to one of its neighbours."""
    grid = Grid(float(np.float32(0.0381402)), 0, -128, 127)
    q = np.arange(-128 * divisor, 128 * divisor)
    have = table_values((Clamp(0.0, np.inf), Snap(grid)), grid.scale / divisor, q)
    for value, found in zip(q.tolist(), have.tolist(), strict=True):
        low, rest = divmod(2 * value + divisor, 2 * divisor)
        ties = {low, low - 1} if rest == 0 else {low}
        assert found in {max(0, min(127, each)) for each in ties}
