"""Goal: the two trained models keep their accuracy as integers. Method: the 360 images that no
training saw; onnxruntime runs the float model. The figures are in SPECIFICATION.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest

from maxwell.proofs.calibrate import run_real
from maxwell.proofs.importer import FROM_FILE, load_onnx
from maxwell.proofs.onnx_file import read_onnx
from maxwell.proofs.operators import build

MODELS = Path(__file__).resolve().parents[2] / "examples/models"
FLOAT = ("digits_mlp", "digits_cnn")


def images() -> tuple[Any, Any]:
    """Returns the test images in 0 … 1, and their labels."""
    data = np.load(MODELS / "digits_test.npz")
    return data["images"] / np.float32(16), data["labels"]


def calibration() -> Any:
    return np.load(MODELS / "digits_calibration.npy").astype(np.float64)


def with_onnxruntime(name: str, x: Any) -> Any:
    session = cast(Any, onnxruntime).InferenceSession(str(MODELS / f"{name}.onnx"))
    shape = [-1, *session.get_inputs()[0].shape[1:]]
    return session.run(None, {"image": x.reshape(shape).astype(np.float32)})[0]


@pytest.mark.parametrize("name", FLOAT)
def test_quantised_accuracy_is_within_one_point_of_the_float_model(name: str) -> None:
    x, labels = images()
    network = load_onnx(MODELS / f"{name}.onnx", calibration=calibration())
    ours = float((network.run(x).argmax(1) == labels).mean())
    theirs = float((with_onnxruntime(name, x).argmax(1) == labels).mean())
    assert theirs >= 0.97
    assert ours >= theirs - 0.01


@pytest.mark.parametrize("name", FLOAT)
def test_the_flow_before_rounding_is_the_onnx_model(name: str) -> None:
    """Goal: what calibration runs is the model. Method: real arithmetic against onnxruntime."""
    x, _ = images()
    flow = build(read_onnx(MODELS / f"{name}.onnx"))
    np.testing.assert_allclose(run_real(flow, x), with_onnxruntime(name, x), atol=1e-4)


def test_a_model_that_another_quantiser_wrote_gives_its_outputs() -> None:
    """onnxruntime's own static quantiser: nearly all cells equal, none off by more than one."""
    x, _ = images()
    network = load_onnx(MODELS / "digits_mlp_int8.onnx")
    assert network.calibration == FROM_FILE
    units = (network.run(x) - with_onnxruntime("digits_mlp_int8", x)) / network.output_grid.scale
    off = np.abs(np.rint(units))
    assert off.max() <= 1
    assert (off == 0).mean() >= 0.99


def test_the_models_have_a_fixed_meaning() -> None:
    """Goal: equal files give equal integers on every machine, since a digest stands for them."""
    one, other = (
        load_onnx(MODELS / "digits_cnn.onnx", calibration=calibration()) for _ in range(2)
    )
    assert one.proof_model.architecture() == other.proof_model.architecture()
    assert one.proof_model.weight_bytes() == other.proof_model.weight_bytes()
    assert one.source_sha256 == other.source_sha256
