"""Goal: a file from anyone ends in a model or in a ProofError, whatever its bytes. Method: cuts,
flips and lies about sizes, paths and order; memory and time stay those of a small file."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from maxwell.errors import ProofError
from maxwell.proofs.importer import from_graph, load_onnx
from maxwell.proofs.onnx_file import parse_onnx
from proofs.onnx_models import Recipe

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/models"
MEMORY_BYTES_MAX = 64 * 1024 * 1024


def plain() -> Recipe:
    recipe = Recipe(["N", 4]).constant("w", np.ones((4, 3), np.float32))
    return recipe.node("Gemm", "x", "w", to="m").node("Relu", "m")


def refused(data: bytes) -> ProofError:
    tracemalloc.start()
    try:
        with pytest.raises(ProofError) as caught:
            from_graph(parse_onnx(data, name="g"))
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()
    return caught.value


def weight(model: Any) -> Any:
    return model.graph.initializer[0]


def test_a_cut_file_is_refused_at_every_length() -> None:
    data = plain().bytes()
    for length in range(len(data)):
        with pytest.raises(ProofError) as caught:
            from_graph(parse_onnx(data[:length], name="g"))
        assert caught.value.code in {"MX1701", "MX1702", "MX1703"}


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_never_escape(seed: int) -> None:
    """Either the damage is noticed, or what remains is a model within all bounds."""
    rng = np.random.default_rng(seed)
    outcomes: set[str] = set()
    for name in ("digits_cnn.onnx", "digits_mlp_int8.onnx"):
        data = bytearray((EXAMPLES / name).read_bytes())
        for _ in range(25):
            damaged = bytearray(data)
            # The structure is at the ends; the middle is weights, which are free.
            ends = np.concatenate([np.arange(200), np.arange(len(data) - 600, len(data))])
            for position in rng.choice(ends, 3):
                damaged[position] ^= 1 << int(rng.integers(8))
            try:
                from_graph(parse_onnx(bytes(damaged), name="g"))
                outcomes.add("taken")
            except ProofError as error:
                outcomes.add(error.code)
    assert len(outcomes) > 1


def test_external_data_is_refused_without_touching_the_path(tmp_path: Path) -> None:
    for location in ("../../etc/passwd", "/etc/passwd", "weights.bin"):
        model = plain().model()
        tensor = weight(model)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ProofError) as caught:
            load_onnx(path)
        assert caught.value.code == "MX1709"
        assert location in caught.value.message


@pytest.mark.parametrize(
    ("dims", "what"),
    [
        ([2**31, 2**31], "beyond 8 axes"),
        ([-1, 3], "beyond 8 axes"),
        ([1] * 9, "beyond 8 axes"),
        ([4, 4], "the file holds 48 bytes"),
        ([4_000, 4_000], "the file holds 48 bytes"),
        ([0], "the file holds 48 bytes"),
        ([], "the file holds 48 bytes"),
    ],
    ids=str,
)
def test_shapes_that_lie_are_refused_before_allocation(dims: list[int], what: str) -> None:
    model = plain().model()
    tensor = weight(model)
    del tensor.dims[:]
    tensor.dims.extend(dims)
    error = refused(model.SerializeToString())
    assert what in error.message
    assert error.code == "MX1703"


def test_a_tensor_without_bytes_is_refused() -> None:
    """A claim of 2 GiB with nothing behind it."""
    model = plain().model()
    weight(model).ClearField("raw_data")
    weight(model).dims[0] = 2**20
    assert "the file holds 0 cells" in refused(model.SerializeToString()).message


def test_an_input_of_absurd_shape_is_refused() -> None:
    assert "beyond" in refused(Recipe(["N", 2**40]).node("Relu", "x").bytes()).message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    recipe = plain().constant("w", np.full((4, 3), value, np.float32))
    assert "NaN or an infinity" in refused(recipe.bytes()).message


def test_a_cell_beyond_its_type_is_refused() -> None:
    model = Recipe(["N", 4]).constant("q", np.zeros((2, 2), np.int8)).node("Relu", "x").model()
    tensor = weight(model)
    tensor.ClearField("raw_data")
    tensor.int32_data.extend([1, 2, 3, 300])
    assert "beyond its type int8" in refused(model.SerializeToString()).message


def test_cycles_and_wrong_order_are_refused() -> None:
    cycle = Recipe(["N", 4]).node("Add", "x", "b", to="a").node("Relu", "a", to="b")
    order = Recipe(["N", 4]).node("Relu", "a", to="y").node("Relu", "x", to="a")
    itself = Recipe(["N", 4]).node("Relu", "y", to="y")
    for recipe in (cycle, order, itself):
        error = refused(recipe.bytes())
        assert "is not made by any earlier node" in error.message
        assert error.hint
        assert "cycle" in error.hint


def test_names_that_are_made_twice_are_refused() -> None:
    twice = Recipe(["N", 4]).node("Relu", "x").node("Tanh", "x")
    over = plain().node("Relu", "x", to="w")
    source = Recipe(["N", 4]).node("Relu", "y", to="x")
    assert "made twice" in refused(twice.bytes()).message
    assert "made twice" in refused(over.bytes()).message
    assert refused(source.bytes()).code == "MX1703"


def test_too_many_nodes_are_refused() -> None:
    recipe = Recipe(["N", 4])
    name = "x"
    for index in range(5_000):
        recipe.nodes.append(helper.make_node("Relu", [name], [f"t{index}"]))
        name = f"t{index}"
    assert "5000 nodes" in refused(recipe.bytes(name)).message


def test_many_operations_are_refused() -> None:
    recipe = Recipe(["N", 4]).constant("w", np.eye(4, dtype=np.float32))
    name = "x"
    for index in range(70):
        recipe.node("MatMul", name, "w", to=f"t{index}")
        name = f"t{index}"
    assert "70 operations" in refused(recipe.bytes(name)).message


@pytest.mark.parametrize("weight_of", [3e38, 1e30, 1e-30, 1e-44, 0.0])
@pytest.mark.parametrize("bias_of", [0.0, 3e38, 1e-40])
@pytest.mark.parametrize("op", ["Relu", "Sigmoid", "Gelu"])
def test_absurd_magnitudes_are_a_model_or_an_error(
    weight_of: float, bias_of: float, op: str
) -> None:
    """Warnings are errors here: nothing overflows on the way."""
    recipe = Recipe(["N", 40]).constant("w", np.full((40, 3), weight_of, np.float32))
    recipe.constant("b", np.full(3, bias_of, np.float32))
    recipe.node("Gemm", "x", "w", "b", to="g").node(op, "g")
    try:
        network = recipe.network()
    except ProofError as error:
        outcome = error.code, "n_g" in error.message
    else:
        outcome = "MX1704", True
        assert np.isfinite(network.run(np.ones((1, 40), np.float32))).all()
    assert outcome == ("MX1704", True)


@pytest.mark.parametrize(
    "dtype", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.INT64]
)
def test_cells_in_typed_fields_are_read(dtype: int) -> None:
    model = Recipe(["N", 4]).node("Relu", "x").model()
    model.graph.initializer.append(helper.make_tensor("c", dtype, [2, 2], [1, 2, 3, -4]))
    graph = parse_onnx(model.SerializeToString())
    assert graph.constants["c"].tolist() == [[1, 2], [3, -4]]


def test_files_that_are_none(tmp_path: Path) -> None:
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(300 * 1024 * 1024)  # sparse: takes no disk
    for path in (tmp_path, tmp_path / "none.onnx", empty, huge):
        with pytest.raises(ProofError) as caught:
            load_onnx(path)
        assert caught.value.code == "MX1701"
