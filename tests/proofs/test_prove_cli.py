"""Goal: the verbs of proofs, for people and for programs. Method: the command line in this process;
what needs the prover says so by its code when there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.conftest import Maxwell, here, maxwell
from maxwell.proofs import backend

__all__ = ["here", "maxwell"]

MODELS = Path(__file__).resolve().parents[2] / "examples/models"
INT8 = str(MODELS / "digits_mlp_int8.onnx")
CNN = str(MODELS / "digits_cnn.onnx")
SAMPLES = str(MODELS / "digits_calibration.npy")

needs_prover = pytest.mark.skipif(not backend.available(), reason="no prover in this module")


@pytest.fixture(autouse=True)
def own_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAXWELL_DATA_DIR", str(here / "data"))
    return here


def test_inspect_shows_operations_and_bounds(maxwell: Maxwell) -> None:
    done = maxwell("model", "inspect", CNN, "--calibration", SAMPLES)
    assert done.code == 0
    for word in ("digits_cnn", "node 'conv1' (Conv)", "avg_pool", "18,432", "23,680", "1×8×8"):
        assert word in done.out
    assert "warning" not in done.err


def test_inspect_as_json(maxwell: Maxwell) -> None:
    done = maxwell("model", "inspect", INT8, "--json", "--no-progress")
    data: Any = json.loads(done.out)
    assert data["schema"] == "maxwell.model-inspection/1"
    assert (data["macs"], data["weights"], data["output_shape"]) == (4_928, 4_928, [10])
    assert (data["digest"] is not None) == backend.available()
    assert [op["op"] for op in data["operations"]] == ["dense"] * 3
    assert int(data["operations"][0]["accumulator_max"]) > 0
    assert done.err == ""


def test_scales_from_nowhere_are_a_warning(maxwell: Maxwell) -> None:
    done = maxwell("model", "inspect", CNN, "--quiet")
    assert "warning: " in done.err
    assert "standard-normal" in done.err
    assert "--calibration" in done.err


def test_an_empty_store_is_listed(maxwell: Maxwell) -> None:
    done = maxwell("model", "list")
    assert (done.code, done.out) == (0, "")
    assert "model register" in done.err
    assert json.loads(maxwell("model", "list", "--json").out)["models"] == {}


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("model", "inspect", "none.onnx"), "MX1701", "cannot read none.onnx"),
        (("model", "inspect", "nobody"), "MX1707", "no model 'nobody'"),
        (("prove", INT8, "none.npy", "-o", "p"), "MX1705", "cannot read none.npy"),
        (("prove", "nobody", SAMPLES, "-o", "p"), "MX1707", "no model 'nobody'"),
        (("prove", INT8, "wrong.npy", "-o", "p"), "MX1705", "input of shape (2, 3)"),
        (("prove", INT8, "pickle.npy", "-o", "p"), "MX1705", "cannot read pickle.npy"),
        (("prove", INT8, "short.npy", "-o", "p"), "MX1705", "cannot read short.npy"),
        (("verify", "none.bin", "--model", "ab" * 32), "MX1706", "cannot read none.bin"),
        (("verify", INT8, "--model", "ab" * 32), "MX1706", "is no proof"),
    ],
)
def test_errors_have_codes(
    maxwell: Maxwell, own_store: Path, arguments: tuple[str, ...], code: str, what: str
) -> None:
    np.save(own_store / "wrong.npy", np.zeros((2, 3)))
    np.save(own_store / "pickle.npy", np.asarray([{}], object), allow_pickle=True)
    np.save(own_store / "whole.npy", np.zeros(1_000))
    (own_store / "short.npy").write_bytes((own_store / "whole.npy").read_bytes()[:500])
    done = maxwell(*arguments)
    assert done.code == (1 if code == "MX1706" else 125)
    assert done.out == ""
    error = next(line for line in done.err.splitlines() if line.startswith("error: "))
    assert what in error
    assert error.endswith(f"[{code}]")
    assert "\nhint: " in done.err


def test_a_context_must_be_hexadecimal(maxwell: Maxwell) -> None:
    done = maxwell("prove", INT8, SAMPLES, "-o", "p", "--context", "xyz")
    assert done.code == 2
    assert "'xyz' is not hex" in done.err


@pytest.mark.skipif(backend.available(), reason="this module has a prover")
def test_without_a_prover_proving_is_an_error_that_says_so(maxwell: Maxwell) -> None:
    for arguments in (("model", "register", INT8), ("prove", INT8, SAMPLES, "-o", "p")):
        done = maxwell(*arguments)
        assert done.code == 125
        assert "no prover [MX1708]" in done.err


@needs_prover
def test_register_prove_verify(maxwell: Maxwell, own_store: Path) -> None:
    """The whole way, on real images: the proved output is the reference's."""
    digest = maxwell("model", "register", INT8).out.strip()
    assert len(digest) == 64
    done = maxwell("prove", INT8, SAMPLES, "-o", "p.bin", "--json", "--context", "00ff")
    assert done.code == 0
    made: Any = json.loads(done.out)
    assert (made["model"], made["batch"]) == (digest, 128)
    done = maxwell("verify", "p.bin", "--model", digest, "--context", "00ff", "--json")
    assert done.code == 0
    assert json.loads(done.out)["output"] == made["output"]
    for wrong in (
        ("--model", digest), ("--model", "ab" * 32, "--context", "00ff"),
    ):  # fmt: skip
        refused = maxwell("verify", "p.bin", *wrong)
        assert refused.code == 1
        assert "[MX1706]" in refused.err
    assert digest[:16] in maxwell("model", "list").out


@needs_prover
def test_other_weights_than_the_digest_says_are_found(maxwell: Maxwell, own_store: Path) -> None:
    digest = maxwell("model", "register", INT8).out.strip()
    path = own_store / "data/models" / digest / "weights.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    done = maxwell("prove", digest, SAMPLES, "-o", "p.bin")
    assert done.code == 125
    assert "[MX1715]" in done.err
    assert not (own_store / "p.bin").exists()
