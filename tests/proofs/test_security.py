"""Goal: the bits of a proof are the registration's: part of its digest, kept by the store and by a
refresh, told by whoever shows a proof, and never those of another. Method: a small network, the
digits, and the command line in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.conftest import Maxwell, here, maxwell
from config.test_parse import base, parse
from maxwell.errors import ConfigError, ProofError
from maxwell.inference.models import load_models
from maxwell.proofs import Model, ModelStore, Proof, backend, prove
from maxwell.proofs.profiles import Profile, hides, profile_of
from proofs.test_hiding import INT8, SAMPLES, inputs, network, refused

__all__ = ["base", "here", "maxwell", "network"]

pytestmark = pytest.mark.skipif(not backend.available(), reason="no prover in this module")


@pytest.mark.parametrize("hiding", [False, True])
def test_proofs_are_of_one_security(network: Any, hiding: bool, tmp_path: Path) -> None:
    x = inputs(network)
    models = [Model(network, hiding=hiding, security=bits) for bits in (100, 128)]
    assert len({model.digest for model in models}) == 2
    proofs = [model.prove(x, context=b"c") for model in models]
    for bits, model, proof in zip((100, 128), models, proofs, strict=True):
        assert (model.security, proof.security, proof.hiding) == (bits, bits, hiding)
        assert str(profile_of(model.header)) == f"{'hiding' if hiding else 'plain'}, {bits} bits"
        proof.save(tmp_path / "p.bin")
        loaded = Proof.load(tmp_path / "p.bin", ModelStore(tmp_path))
        loaded.verify(model, context=b"c")
        assert loaded.security == bits
    assert np.array_equal(proofs[0].output_ints, proofs[1].output_ints)
    assert len(proofs[0].proof) < len(proofs[1].proof)
    # A header of the other security, or of the other's root, takes no proof of this one.
    for own, other in (proofs, proofs[::-1]):
        refused("MX1706", own.verify, other.digest)
        moved = replace(own, header=other.header)
        assert refused("MX1706", lambda p=moved: p.verify(p.digest, context=b"c"))
        root = slice(5 + 4 * hiding, 37 + 4 * hiding)
        header = bytearray(other.header)
        header[root] = own.header[root]
        moved = replace(own, header=bytes(header))
        refused("MX1706", lambda p=moved: p.verify(p.digest, context=b"c"))


def test_the_store_and_a_refresh_keep_it(network: Any, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for bits in (100, 128):
        made = Model(network, hiding=True, openings=4, security=bits)
        made.save(store)
        assert store.security(made.digest) == bits
        model = Model.stored(made.digest, store)
        assert (model.security, model.digest) == (bits, made.digest)
        model.refresh()
        assert profile_of(model.header) == Profile(hiding=True, security=bits)
        again = Model.stored(made.digest, store)
        proof = again.prove(inputs(network))
        proof.verify(made.digest)
        assert (proof.security, bool(proof.lineage)) == (bits, True)
        plain = Model(network, security=bits)
        plain.save(store)
        assert Model.stored(plain.digest, store).security == bits


def test_a_lineage_is_of_one_security(network: Any) -> None:
    """What is linked is registered for the same: no proof of fewer bits under a digest of more."""
    old = backend.register(network.proof_model, seed=bytes(32), openings=3, security=128)
    for seed in (bytes(32), bytes([1] * 32)):
        new = backend.register(network.proof_model, seed=seed, openings=3, security=100)
        refused("MX1703", backend.link, old, new)
        refused("MX1706", backend.verify_link, old.header, new.header, b"")


@pytest.mark.parametrize("bits", [0, 99, 127, 256, -128, 128.5, "128"])
def test_other_bits_are_refused(network: Any, bits: Any) -> None:
    error = refused("MX1703", lambda: Model(network, security=bits))
    assert "100 or 128" in str(error.hint)
    refused("MX1703", lambda: prove(network, inputs(network), security=bits))
    if isinstance(bits, int) and bits > 0:
        refused("MX1703", lambda: backend.register(network.proof_model, security=bits))


def test_unknown_profiles() -> None:
    for header in (b"", b"MQH1", b"MQH1\x00", b"MQH1\x05" + bytes(40)):
        refused("MX1706", profile_of, header)
        assert hides(header)
        proof = Proof(header=header, input=b"", output=b"", batch=1, context=b"", proof=b"")
        assert proof.hiding
        with pytest.raises(ProofError):
            _ = proof.security


def test_from_the_command_line(maxwell: Maxwell, here: Path) -> None:
    """The whole way, on real images, each command saying which security it was."""
    digests: dict[str, str] = {}
    for bits in ("100", "128"):
        done = maxwell("model", "register", INT8, "--security", bits, "--json", "--quiet")
        about: Any = json.loads(done.out)
        assert about["security"] == int(bits)
        digests[bits] = about["digest"]
    assert digests["100"] == maxwell("model", "register", INT8).out.strip() != digests["128"]
    assert "plain, 128 bits" in maxwell("model", "inspect", digests["128"]).out
    shown: Any = json.loads(maxwell("model", "inspect", digests["128"], "--json").out)
    assert shown["security"] == 128
    listed = maxwell("model", "list").out.splitlines()
    assert sorted(line.split()[-2:] for line in listed) == [["100", "bits"], ["128", "bits"]]
    done = maxwell("prove", digests["128"], str(SAMPLES), "-o", "p.bin")
    assert ", 128 bits, " in done.err
    done = maxwell("verify", "p.bin", "--model", digests["128"])
    assert done.code == 0
    assert "verified to 128 bits: " in done.err
    verified: Any = json.loads(maxwell("verify", "p.bin", "--model", digests["128"], "--json").out)
    assert (verified["security"], verified["hiding"]) == (128, False)
    assert maxwell("verify", "p.bin", "--model", digests["100"]).code == 1
    # A file is proved as it was registered, but never with fewer bits than asked for.
    done = maxwell("prove", INT8, str(SAMPLES), "-o", "q.bin", "--security", "128", "--json")
    made: Any = json.loads(done.out)
    assert (made["model"], made["security"]) == (digests["128"], 128)
    done = maxwell("prove", digests["100"], str(SAMPLES), "-o", "q.bin", "--security", "128")
    assert done.code == 125
    assert "was registered for 100 bits [MX1700]" in done.err
    assert "register --security 128" in done.err
    assert here.is_dir()


def test_hidden_from_the_command_line(maxwell: Maxwell, here: Path) -> None:
    done = maxwell(
        "prove", INT8, str(SAMPLES), "-o", "p.bin", "--zk", "--security", "128", "--json"
    )
    made: Any = json.loads(done.out)
    assert (made["hiding"], made["security"], made["proofs_left"]) == (True, 128, 13)
    assert "hiding, 128 bits" in maxwell("model", "inspect", made["model"]).out
    done = maxwell("model", "refresh", made["model"], "--json", "--quiet")
    assert json.loads(done.out)["security"] == 128
    assert maxwell("prove", made["model"], str(SAMPLES), "-o", "q.bin").code == 0
    assert "to 128 bits" in maxwell("verify", "q.bin", "--model", made["model"]).err
    assert here.is_dir()


@pytest.mark.parametrize("bits", ["127", "0", "many", "-128"])
def test_a_wrong_value_is_a_usage_error(maxwell: Maxwell, bits: str) -> None:
    for arguments in (("model", "register", INT8), ("prove", INT8, str(SAMPLES), "-o", "p")):
        done = maxwell(*arguments, "--security", bits)
        assert done.code == 2
        assert f"'{bits}' is not one of '100', '128'" in done.err


def test_a_fleet_names_it(base: Path, tmp_path: Path) -> None:
    """As for the command line; without a word it is 100 bits."""
    for more, bits in (({}, 100), ({"security": 100}, 100), ({"security": 128}, 128)):
        fleet = parse(base, model=[{"name": "m", "onnx": INT8, **more}])
        assert fleet.models[0].security == bits
        loaded = load_models(fleet.models, base, tmp_path / "run")
        assert ModelStore(tmp_path / "run").security(loaded["m"].digest) == bits
    for wrong, code in ((127, "MX1006"), (99, "MX1006"), (256, "MX1006"), ("128", "MX1004")):
        with pytest.raises(ConfigError) as caught:
            parse(base, model=[{"name": "m", "onnx": INT8, "security": wrong}])
        assert caught.value.code == code
