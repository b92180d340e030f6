"""Goal: models and proofs on disk are what was written, or an error. Method: round trips; every
file of a stored model damaged; proof files cut, changed and lengthened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from maxwell.errors import ProofError
from maxwell.proofs import backend
from maxwell.proofs.importer import Network, load_onnx
from maxwell.proofs.proof import Proof
from maxwell.proofs.store import ModelStore

MODELS = Path(__file__).resolve().parents[2] / "examples/models"
DIGEST, OTHER = "ab" * 32, "abcd" + "01" * 30


@pytest.fixture(scope="module")
def network() -> Network:
    return load_onnx(MODELS / "digits_mlp_int8.onnx")


def header(network: Network) -> bytes:
    return b"MQH1\0" + bytes(32) + network.proof_model.architecture()


@pytest.fixture
def store(tmp_path: Path, network: Network) -> ModelStore:
    made = ModelStore(tmp_path / "models")
    made.add(network, header(network), DIGEST, hiding=False)
    return made


def test_a_stored_model_comes_back(store: ModelStore, network: Network) -> None:
    again = store.load(DIGEST)
    x = np.zeros((1, 64), np.float32)
    assert np.array_equal(again.run(x), network.run(x))
    assert again.proof_model.weight_bytes() == network.proof_model.weight_bytes()
    assert (again.name, again.operations) == (network.name, network.operations)
    assert (again.input_grid, again.output_grid) == (network.input_grid, network.output_grid)
    assert store.header(DIGEST) == header(network)
    assert store.about(DIGEST).macs == 64 * 48 + 48 * 32 + 320


def test_words_that_mean_a_model(store: ModelStore, network: Network) -> None:
    for word in (DIGEST, DIGEST.upper(), DIGEST[:8], "digits_mlp_int8"):
        assert store.find(word) == DIGEST
    assert store.find_source(network.source_sha256) == DIGEST
    assert store.find_source("00" * 32) is None
    for word in ("digits_mlp", DIGEST[:7], "", "../" + DIGEST):
        with pytest.raises(ProofError) as caught:
            store.find(word)
        assert caught.value.code == "MX1707"
    store.add(network, header(network), OTHER, hiding=True)
    with pytest.raises(ProofError, match="2 models fit") as caught:
        store.find("digits_mlp_int8")
    assert caught.value.hint is not None
    assert OTHER[:16] in caught.value.hint


def test_a_name_is_no_digest(tmp_path: Path, network: Network) -> None:
    """A model may be called by 64 hexadecimal digits; whoever pins a digest must not get it."""
    store = ModelStore(tmp_path)
    store.add(replace(network, name="a" * 64), header(network), DIGEST, hiding=False)
    store.add(replace(network, name="a" * 63), header(network), OTHER, hiding=False)
    assert store.find("a" * 63) == OTHER
    for word in ("a" * 64, "A" * 64):
        with pytest.raises(ProofError) as caught:
            store.find(word)
        assert caught.value.code == "MX1707"


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ProofError) as caught:
        ModelStore(tmp_path / "none").find("x")
    assert caught.value.hint == "`maxwell model register m.onnx` adds one"


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (name, how)
        for name in ("model.json", "weights.bin", "header.bin", "about.json")
        for how in ("cut", "flipped", "gone")
        # Other weights are found when the model is registered again: `test_prove_cli`.
        if (name, how) != ("weights.bin", "flipped")
    ],
)
def test_a_damaged_model_is_an_error(store: ModelStore, name: str, how: str) -> None:
    path = store.folder / DIGEST / name
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2 * 2 - 3])
    else:
        path.write_bytes(data[:-20] + bytes(b ^ 4 for b in data[-20:]))
    with pytest.raises(ProofError) as caught:
        store.load(DIGEST)
    assert caught.value.code in {"MX1707", "MX1715"}


def test_a_folder_that_cannot_be_written(tmp_path: Path, network: Network) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProofError, match="cannot write") as caught:
        ModelStore(tmp_path / "file").add(network, header(network), DIGEST, hiding=False)
    assert caught.value.code == "MX1715"


def test_the_variable_names_the_folder(tmp_path: Path) -> None:
    store = ModelStore(environ={"MAXWELL_DATA_DIR": str(tmp_path)})
    assert store.folder == tmp_path / "models"


def proof() -> Proof:
    return Proof(
        header=b"h" * 40,
        input=bytes(2 * 2 * 3),
        output=bytes(2 * 2),
        batch=2,
        context=b"",
        proof=b"p" * 100,
    )


def test_a_proof_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "p.bin"
    proof().save(path)
    if not backend.available():  # reading alone needs no prover
        again = Proof.load(path, ModelStore(tmp_path))
        assert (again.input_ints.shape, again.output_ints.shape) == ((2, 3), (2, 1))
        assert again.proof == proof().proof
    for length in (0, 1, 50, len(path.read_bytes()) - 1):
        cut = tmp_path / "cut.bin"
        cut.write_bytes(path.read_bytes()[:length])
        with pytest.raises(ProofError) as caught:
            Proof.load(cut, ModelStore(tmp_path))
        assert caught.value.code == "MX1706"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch", 0),
        ("batch", 3),
        ("batch", True),
        ("input", b""),
        ("input", b"123"),
        ("output", [1]),
        ("proof", "text"),
        ("context", 1),
        ("format", "maxwell-proof/2"),
        ("more", 1),
    ],
)
def test_a_malformed_proof_file_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "p.bin"
    proof().save(path)
    fields = cbor2.loads(path.read_bytes()) | {field: value}
    path.write_bytes(cbor2.dumps(fields, canonical=True))
    with pytest.raises(ProofError, match="is no proof") as caught:
        Proof.load(path, ModelStore(tmp_path))
    assert caught.value.code == "MX1706"


def test_other_encodings_of_a_proof_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.bin"
    proof().save(path)
    fields = cbor2.loads(path.read_bytes())
    path.write_bytes(cbor2.dumps(dict(reversed(fields.items()))))
    with pytest.raises(ProofError, match="canonical"):
        Proof.load(path, ModelStore(tmp_path))
