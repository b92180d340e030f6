"""Goal: an imported operator means what ONNX says. Method: small models against onnxruntime, which
computes in floating point; tables must agree in every cell, sums that are requantised within one
unit everywhere and exactly in nearly every cell (ties and a 13-bit multiplier are the rest)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from maxwell.proofs import semantics
from maxwell.proofs.importer import FROM_FILE
from maxwell.proofs.model import Conv2d, Dense
from proofs.onnx_models import Recipe, random_ints

EQUAL_MIN = 0.985
"""Least share of cells that are equal; the benchmark publishes the share."""


def agree(have: Any, want: Any) -> float:
    """Checks that no cell is off by more than one; returns the share of equal ones."""
    difference = np.abs(have.astype(np.int64) - want.astype(np.int64))
    assert difference.max() <= 1
    return float((difference == 0).mean())


def stored(recipe: Recipe, x: Any, bits: int | None = None) -> Any:
    """Runs a quantised model by the reference; returns ONNX's stored values."""
    network = recipe.network(bits=bits)
    assert network.calibration == FROM_FILE
    y = semantics.run(network.proof_model, network.to_ints(x))
    return y.reshape(len(y), *network.output_shape) + network.output_grid.zero


@pytest.mark.parametrize(("x_type", "x_zero"), [("int8", 0), ("int8", -7), ("uint8", 128)])
@pytest.mark.parametrize("y_zero", [0, 5])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_matmul(x_type: str, x_zero: int, y_zero: int, per_channel: bool) -> None:
    rng = np.random.default_rng(1)
    k, n = 40, 12
    scales = rng.uniform(0.001, 0.01, n) if per_channel else 0.004
    recipe = Recipe(
        ["N", k],
        dtype=TensorProto.INT8 if x_type == "int8" else TensorProto.UINT8,
        output_dtype=TensorProto.INT8 if x_type == "int8" else TensorProto.UINT8,
    )
    recipe.grid("x", 0.03, x_zero, x_type).grid("y", 0.09, y_zero, x_type)
    recipe.constant("w", random_ints(rng, (k, n)))
    recipe.constant("w_s", np.asarray(scales, np.float32))
    recipe.constant("w_z", np.zeros(n if per_channel else (), np.int8))
    recipe.node("QLinearMatMul", "x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z")
    x = random_ints(rng, (300, k), x_type)
    assert agree(stored(recipe, x), recipe.oracle(x)) >= EQUAL_MIN


@pytest.mark.parametrize("zero", [0, -30])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 1]},
        {"pads": [1, 1, 1, 1]},
        {"pads": [0, 1, 2, 0], "strides": [1, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
    ],
    ids=str,
)
def test_qlinear_conv(zero: int, attributes: dict[str, Any]) -> None:
    """Padding with a zero point that is not zero is where folding it into a bias would fail."""
    rng = np.random.default_rng(2)
    recipe = Recipe(["N", 3, 8, 7], dtype=TensorProto.INT8, output_dtype=TensorProto.INT8)
    recipe.grid("x", 0.05, zero).grid("y", 0.11, 3)
    recipe.constant("w", random_ints(rng, (4, 3, 3, 3)))
    recipe.constant("w_s", rng.uniform(0.002, 0.008, 4).astype(np.float32))
    recipe.constant("w_z", np.zeros(4, np.int8))
    recipe.constant("b", rng.integers(-5_000, 5_000, 4).astype(np.int32))
    inputs = ["x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z", "b"]
    recipe.node("QLinearConv", *inputs, **attributes)
    x = random_ints(rng, (20, 3, 8, 7))
    assert agree(stored(recipe, x), recipe.oracle(x)) >= EQUAL_MIN


def qdq(op: str, *, output: tuple[float, int, str], **attributes: Any) -> Recipe:
    """Input, a function, and the output's grid, each with QuantizeLinear and DequantizeLinear."""
    recipe = Recipe(["N", 64]).grid("x", 0.06, 4).grid("y", *output)
    recipe.rounded("x", "x", "xr")
    extra: list[str] = []
    if op == "Clip":
        recipe.constant("lo", np.float32(-1.03)).constant("hi", np.float32(2.01))
        extra = ["lo", "hi"]
    recipe.node(op, "xr", *extra, to="f", **attributes)
    return recipe.rounded("f", "y", "y")


@pytest.mark.parametrize(
    ("op", "output", "attributes"),
    [
        ("Relu", (0.05, -128, "int8"), {}),
        ("Clip", (0.025, 0, "int8"), {}),
        ("Sigmoid", (1 / 256, -128, "int8"), {}),
        ("Sigmoid", (1 / 255, 0, "uint8"), {}),
        ("Tanh", (1 / 127, 0, "int8"), {}),
        ("Gelu", (0.06, -100, "int8"), {}),
        ("Gelu", (0.06, -100, "int8"), {"approximate": "tanh"}),
        ("Tanh", (1 / 32_767, 0, "int16"), {}),
    ],
)
def test_tables_agree_in_every_cell(
    op: str, output: tuple[float, int, str], attributes: dict[str, Any]
) -> None:
    """All 256 inputs. The oracle computes in single precision: a tie may fall either way."""
    recipe = qdq(op, output=output, **attributes)
    recipe.opset = 21
    x = ((np.arange(256).reshape(4, 64) - 132) * np.float32(0.06)).astype(np.float32)
    network = recipe.network()
    have = network.run(x) / np.float32(output[0])
    want = recipe.oracle(x) / np.float32(output[0])
    off = np.abs(np.rint(have) - np.rint(want))
    if output[2] == "int16":  # 2^-16 of the range is near the oracle's own error
        assert off.max() <= 1
        assert (off == 0).mean() > 0.97
    else:
        assert off.max() == 0


def test_requantisation_alone_is_exact() -> None:
    """DequantizeLinear followed by QuantizeLinear to another grid is a table of 256 values."""
    recipe = Recipe(["N", 256]).grid("a", 0.031, -9).grid("b", 0.047, 6)
    recipe.rounded("x", "a", "r").rounded("r", "b", "y")
    x = ((np.arange(256)[None] - 119) * np.float32(0.031)).astype(np.float32)
    # Its optimiser drops the first rounding of two, which the ONNX file asks for.
    assert np.array_equal(recipe.network().run(x), recipe.oracle(x, optimised=False))


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("AveragePool", {"kernel_shape": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 2]}),
        (
            "AveragePool",
            {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        ),
        ("GlobalAveragePool", {}),
    ],
)
def test_average_pools(op: str, attributes: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    recipe = Recipe(["N", 2, 6, 5]).grid("x", 0.05, 11).grid("y", 0.0307, -4)
    recipe.rounded("x", "x", "xr").node(op, "xr", to="p", **attributes).rounded("p", "y", "y")
    x = rng.uniform(-7, 7, (50, 2, 6, 5)).astype(np.float32)
    have, want = recipe.network().run(x), recipe.oracle(x)
    assert have.shape == want.shape
    units = np.abs(np.rint((have - want) / 0.0307))
    assert units.max() <= 1
    assert (units == 0).mean() >= EQUAL_MIN


def test_a_residual_block_in_qdq_form() -> None:
    """Fan-out, Add of two scales, Relu, Flatten, Gemm with transB: as a quantiser writes them."""
    rng = np.random.default_rng(4)
    recipe = Recipe(["N", 2, 4, 4]).grid("x", 0.04, 0).grid("c", 0.05, 0).grid("a", 0.07, -128)
    recipe.grid("y", 0.1, 0)
    recipe.constant("k", random_ints(rng, (2, 2, 3, 3))).grid("k", 0.004, 0)
    recipe.constant("w", random_ints(rng, (5, 32))).grid("w", 0.004, 0)
    recipe.rounded("x", "x", "xr")
    recipe.node("DequantizeLinear", "k", "k_s", "k_z", to="kr")
    recipe.node("DequantizeLinear", "w", "w_s", "w_z", to="wr")
    recipe.node("Conv", "xr", "kr", to="c", pads=[1, 1, 1, 1]).rounded("c", "c", "cr")
    recipe.node("Add", "cr", "xr", to="s").node("Relu", "s", to="r").rounded("r", "a", "ar")
    recipe.node("Flatten", "ar", to="f").node("Gemm", "f", "wr", to="g", transB=1)
    recipe.rounded("g", "y", "y")
    x = rng.uniform(-5, 5, (200, 2, 4, 4)).astype(np.float32)
    have, want = recipe.network().run(x), recipe.oracle(x)
    units = np.abs(np.rint((have - want) / 0.1))
    assert units.max() <= 1
    assert (units == 0).mean() >= 0.97


@pytest.mark.parametrize("activation", ["", "Relu", "Sigmoid", "Tanh", "Gelu"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_float_models_are_near_their_floats(activation: str, per_channel: bool) -> None:
    """Goal: our own calibrator. Method: the error over the output's largest magnitude."""
    rng = np.random.default_rng(5)
    w, b = rng.standard_normal((30, 8)) / 5, rng.standard_normal(8)
    recipe = Recipe(["N", 30]).constant("w", w.astype(np.float32))
    recipe.constant("b", b.astype(np.float32))
    recipe.node("Gemm", "x", "w", "b", to="g" if activation else "y")
    if activation:
        recipe.node(activation, "g")
    samples = rng.standard_normal((500, 30)).astype(np.float32)
    network = recipe.network(samples=samples, per_channel=per_channel)
    want = recipe.oracle(samples)
    error = np.abs(network.run(samples) - want).max() / np.abs(want).max()
    assert error < 0.05
    assert network.calibration == "500 given inputs"


@pytest.mark.parametrize("alpha", [1.0, 0.5])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_matmul_add_and_gemm_are_one_operation(alpha: float, beta: float) -> None:
    rng = np.random.default_rng(6)
    w = rng.standard_normal((9, 4)).astype(np.float32)
    b = rng.standard_normal(4).astype(np.float32)
    x = rng.standard_normal((60, 9)).astype(np.float32)
    gemm = Recipe(["N", 9]).constant("w", w).constant("b", b)
    gemm.node("Gemm", "x", "w", "b", alpha=alpha, beta=beta)
    pair = Recipe(["N", 9]).constant("w", w * np.float32(alpha)).constant("b", b * np.float32(beta))
    pair.node("MatMul", "x", "w", to="m").node("Add", "b", "m")
    one, other = gemm.network(samples=x), pair.network(samples=x)
    assert len(one.proof_model.ops) == len(other.proof_model.ops) == 1
    assert np.array_equal(one.run(x), other.run(x))
    want = gemm.oracle(x)
    assert np.abs(one.run(x) - want).max() / np.abs(want).max() < 0.03


def test_reshape_and_flatten_cost_nothing() -> None:
    """A flat input seen as an image, and an image flattened: no operation of their own."""
    rng = np.random.default_rng(7)
    recipe = Recipe(["N", 36]).constant("to", np.asarray([-1, 1, 6, 6], np.int64))
    recipe.constant("k", rng.standard_normal((2, 1, 3, 3)).astype(np.float32))
    recipe.constant("w", rng.standard_normal((32, 3)).astype(np.float32))
    recipe.constant("flat", np.asarray([0, -1], np.int64))
    recipe.node("Reshape", "x", "to", to="image").node("Conv", "image", "k", to="c")
    recipe.node("Reshape", "c", "flat", to="f").node("Gemm", "f", "w")
    x = rng.standard_normal((80, 36)).astype(np.float32)
    network = recipe.network(samples=x)
    assert network.proof_model.input_shape == (1, 6, 6)
    assert [type(op) for op in network.proof_model.ops] == [Conv2d, Dense]
    want = recipe.oracle(x)
    assert np.abs(network.run(x) - want).max() / np.abs(want).max() < 0.03


def test_a_matmul_over_rows_keeps_its_axes() -> None:
    rng = np.random.default_rng(8)
    recipe = Recipe(["N", 5, 6]).constant("w", rng.standard_normal((6, 4)).astype(np.float32))
    recipe.node("MatMul", "x", "w")
    x = rng.standard_normal((30, 5, 6)).astype(np.float32)
    network = recipe.network(samples=x)
    (op,) = network.proof_model.ops
    assert isinstance(op, Dense)
    assert (op.row_axes, network.output_shape) == (1, (5, 4))
    want = recipe.oracle(x)
    assert np.abs(network.run(x) - want).max() / np.abs(want).max() < 0.03


def test_more_multiplier_bits_agree_more() -> None:
    """The share of equal cells grows with precision up to the oracle's own 24 bits."""
    rng = np.random.default_rng(9)
    recipe = Recipe(["N", 64], dtype=TensorProto.INT8, output_dtype=TensorProto.INT8)
    recipe.grid("x", 0.03, 0).grid("w", 0.0041, 0).grid("y", 0.09, 0)
    recipe.constant("w", random_ints(rng, (64, 16)))
    recipe.node("QLinearMatMul", "x", "x_s", "x_z", "w", "w_s", "w_z", "y_s", "y_z")
    x = random_ints(rng, (2_000, 64))
    want = recipe.oracle(x)
    shares = [agree(stored(recipe, x, bits), want) for bits in (6, 13, 20)]
    assert shares[0] <= shares[1] <= shares[2]
    assert shares[2] > 0.9995


def test_percentiles_clip_outliers() -> None:
    rng = np.random.default_rng(10)
    recipe = Recipe(["N", 20]).constant("w", np.eye(20, dtype=np.float32)).node("MatMul", "x", "w")
    samples = rng.standard_normal((400, 20))
    samples[0, 0] = 1_000.0
    loose = recipe.network(samples=samples)
    tight = recipe.network(samples=samples, method="percentile", percentile=99.9)
    assert tight.input_grid.scale < loose.input_grid.scale / 100
    usual = samples[1:]
    errors = [np.abs(n.run(usual) - usual).mean() for n in (loose, tight)]
    assert errors[1] < errors[0] / 20
