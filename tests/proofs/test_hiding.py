"""Goal: models whose weights are hidden, from Python and the command line: proofs convince, the
digest survives a refresh, secrets stay with their owner. Method: a small network, the digits."""

from __future__ import annotations

import errno
import json
import os
import pickle
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.conftest import Maxwell, here, maxwell
from maxwell.errors import ProofError
from maxwell.proofs import Model, ModelStore, Network, Payments, Proof, SignedClaim, Tier, backend
from maxwell.proofs.claims import commit_tensor
from maxwell.proofs.hidden import LINEAGE_BYTES_MAX, decode_lineage, encode_lineage, has_room
from maxwell.proofs.model import CELLS_MAX
from maxwell.proofs.proof_file import FILE_BYTES_MAX
from maxwell.proofs.quantise import Grid
from proofs.random_models import random_input, random_model
from proofs.test_claims import BUYER_NONCE, ORDER, PROCESS, claim

__all__ = ["here", "maxwell"]

pytestmark = pytest.mark.skipif(not backend.available(), reason="no prover in this module")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/models"
INT8 = str(EXAMPLES / "digits_mlp_int8.onnx")
SAMPLES = EXAMPLES / "digits_calibration.npy"


@pytest.fixture(scope="module")
def network() -> Network:
    model = next(m for m in map(random_model, range(40)) if any(w is not None for w in m.weights))
    lo, hi = model.input_range
    grid = Grid(1.0, 0, lo, hi)
    return Network("m", model, ("a",) * 9, grid, grid, model.output_shape, "", "")


def inputs(network: Network, seed: int = 1) -> Any:
    return random_input(network.proof_model, np.random.default_rng(seed), 2)


def refused(code: str, attempt: Any, *arguments: Any) -> ProofError:
    with pytest.raises(ProofError) as caught:
        attempt(*arguments)
    assert caught.value.code == code
    return caught.value


def test_proofs_convince_and_are_counted(network: Network) -> None:
    model = Model(network, hiding=True, openings=5)
    plain = Model(network)
    assert model.digest != plain.digest != Model(network, hiding=True).digest
    for left in (3, 2, 1):
        assert model.proofs_left == left
        proof = model.prove(inputs(network), context=b"c")
        proof.verify(model.digest, context=b"c")
        assert proof.hiding
        assert np.array_equal(proof.output_ints, plain.prove(inputs(network)).output_ints)
    refused("MX1706", proof.verify, plain.digest)
    refused("MX1716", model.prove, inputs(network))
    assert model.proofs_left == 0
    for openings in (2, 257):
        refused("MX1700", lambda n=openings: Model(network, hiding=True, openings=n))


@pytest.mark.parametrize("name", ["digits_mlp", "digits_mlp_int8", "digits_cnn"])
def test_the_digits_are_proved_hidden(name: str) -> None:
    """Honest control on trained networks and real images."""
    samples = np.load(SAMPLES)
    model = Model.from_onnx(EXAMPLES / f"{name}.onnx", calibration=samples, hiding=True)
    proof = model.prove(samples[:3])
    proof.verify(model)
    assert np.array_equal(proof.result, model.network.run(samples[:3]))


def test_a_misfit_costs_no_opening_and_a_failure_does(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(network, hiding=True)
    before = model.proofs_left
    assert before is not None
    refused("MX1705", model.prove, np.zeros((2, 9999)))
    assert model.proofs_left == before

    def fails(*_: object) -> None:
        raise ProofError("interrupted")

    # Counted before anything could be shown.
    monkeypatch.setattr(backend, "prove", fails)
    refused("MX1700", model.prove, inputs(network))
    assert model.proofs_left == before - 1


def test_the_digest_survives_refreshes(network: Network, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    made = Model(network, hiding=True, openings=5)
    made.prove(inputs(network))
    made.save(store)
    assert made.proofs_left == 2
    digest = made.digest
    proofs: list[Proof] = []
    for refresh in range(3):
        model = Model.stored(digest, store)
        assert model.digest == digest
        proofs.append(model.prove(inputs(network)))
        assert len(decode_lineage(proofs[-1].lineage)) == refresh
        model.refresh()
        assert model.proofs_left == 2
    assert len({proof.header for proof in proofs}) == 3
    for number, proof in enumerate(proofs):
        path = tmp_path / f"{number}.bin"
        proof.save(path)
        loaded = Proof.load(path, ModelStore(tmp_path / "elsewhere"))
        assert loaded.digest == digest
        loaded.verify(digest)
    # No link may be left out, exchanged, damaged or put in front of another model.
    links = decode_lineage(proofs[2].lineage)
    (first, link), (second, _) = links
    damaged = bytes([link[0] ^ 1]) + link[1:]
    other = Model(network, hiding=True)
    for lineage in (
        ((first, link),), ((first, damaged), links[1]), (links[1], links[0]),
        ((second, link), links[1]), ((other.header, link), links[1]),
    ):  # fmt: skip
        forged = replace(proofs[2], lineage=encode_lineage(lineage))
        refused("MX1706", forged.verify, forged.digest)
    stranger = replace(other.prove(inputs(network)), lineage=proofs[1].lineage)
    assert stranger.digest == digest
    refused("MX1706", stranger.verify, digest)
    for junk in (b"\x80", b"\x81\x80", b"\xff", encode_lineage(links)[:-1]):
        forged = replace(proofs[0], lineage=junk)
        refused("MX1706", forged.verify, digest)


def test_a_spent_commitment_can_still_be_refreshed_once(network: Network) -> None:
    model = Model(network, hiding=True, openings=3)
    model.prove(inputs(network))
    model.prove(inputs(network))
    refused("MX1716", model.prove, inputs(network))
    old = Model.__new__(Model)
    old.__dict__.update(model.__dict__)
    model.refresh()
    refused("MX1716", old.refresh)
    model.prove(inputs(network)).verify(model.digest)
    refused("MX1700", Model(network).refresh)


def test_a_refresh_that_fails_can_be_tried_again(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the new commitment is saved, after the old one was opened."""
    model = Model(network, hiding=True, openings=4)
    model.save(ModelStore(tmp_path))
    model.prove(inputs(network))
    model.prove(inputs(network))
    refused("MX1716", model.prove, inputs(network))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("maxwell.proofs.hidden._write_private", full)
        refused("MX1715", model.refresh)
        # Whoever refreshes unasked leaves the last opening alone, however often.
        for _ in range(2):
            refused("MX1716", lambda: model.refresh(keep_last=True))
    again = Model.stored(model.digest, ModelStore(tmp_path))
    again.refresh()
    again.prove(inputs(network)).verify(model.digest)
    assert "register the model again" in str(refused("MX1716", model.refresh).hint)


def test_no_refresh_leads_beyond_what_verifiers_follow(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maxwell.proofs.hidden.LINEAGE_MAX", 3)
    model = Model(network, hiding=True)
    model.refresh()
    model.refresh()
    left = model.proofs_left
    assert "register the model again" in str(refused("MX1716", model.refresh).hint)
    assert model.proofs_left == left, "a refusal costs nothing"
    proof = model.prove(inputs(network))
    assert len(decode_lineage(proof.lineage)) == 2
    proof.verify(model.digest)


def test_no_refresh_makes_proofs_too_long_to_be_read(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Links of a large model reach the limit of a file long before their number does."""
    model = Model(network, hiding=True)
    model.refresh()
    one = len(model.prove(inputs(network)).lineage)
    monkeypatch.setattr("maxwell.proofs.hidden.LINEAGE_BYTES_MAX", 4 * one)
    refreshes = 1
    while has_room(decode_lineage(model.prove(inputs(network)).lineage), model.header):
        model.refresh()
        refreshes += 1
    left = model.proofs_left
    assert "register the model again" in str(refused("MX1716", model.refresh).hint)
    assert 2 <= refreshes <= 4
    assert model.proofs_left == left, "a refusal costs nothing"
    # What was made is read, and what is longer is not.
    proof = model.prove(inputs(network))
    proof.save(tmp_path / "p.bin")
    Proof.load(tmp_path / "p.bin", ModelStore(tmp_path)).verify(model.digest)
    monkeypatch.setattr("maxwell.proofs.hidden.LINEAGE_BYTES_MAX", len(proof.lineage) - 1)
    refused("MX1706", proof.verify, model.digest)


def test_a_file_holds_the_longest_lineage_beside_all_else() -> None:
    tensors = 2 * 2 * CELLS_MAX
    assert LINEAGE_BYTES_MAX + tensors + (32 << 20) <= FILE_BYTES_MAX


def test_secrets_are_for_their_owner(network: Network, tmp_path: Path) -> None:
    model = Model(network, hiding=True)
    whole = model.save(ModelStore(tmp_path))
    assert stat.S_IMODE(whole.stat().st_mode) == 0o700, "its weights are no secret otherwise"
    folder = whole / "hiding"
    files = sorted(folder.rglob("*"))
    assert [path.name for path in files] == ["0", "header.bin", "openings", "seed", "total"]
    for path in [folder, *files]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    seed = (folder / "0/seed").read_bytes()
    proof = model.prove(inputs(network))
    proof.save(tmp_path / "p.bin")
    assert seed not in (tmp_path / "p.bin").read_bytes()
    (folder / "0/seed").write_bytes(bytes(32))
    refused("MX1715", Model.stored, model.digest, ModelStore(tmp_path))
    (folder / "0/seed").unlink()
    refused("MX1715", Model.stored, model.digest, ModelStore(tmp_path))


def test_a_hidden_inference_is_paid_once_under_its_first_digest(network: Network) -> None:
    model = Model(network, hiding=True)
    payments = Payments()
    for refreshed in (False, True):
        if refreshed:
            model.refresh()
        y = model.network.proof_model and Model(network).prove(inputs(network)).output_ints
        made = claim(
            model_digest=bytes.fromhex(model.digest),
            input_commitment=commit_tensor(b"in", inputs(network), BUYER_NONCE),
            output_commitment=commit_tensor(b"out", y, BUYER_NONCE),
            tier=Tier.ZERO_KNOWLEDGE.value,
        )
        order = replace(
            ORDER,
            model_digest=made.model_digest,
            input_commitment=made.input_commitment,
            tier=Tier.ZERO_KNOWLEDGE,
        )
        proof = model.prove(inputs(network), context=made.digest())
        signed = SignedClaim.sign(made, PROCESS)
        proof.verify_claim(made)
        if refreshed:
            refused("MX1714", lambda s=signed, o=order: payments.accept(s, o, epoch=5))
        else:
            payments.accept(signed, order, epoch=5, verify=proof.verify_claim)
        wrong = replace(made, tier="T3")
        refused("MX1712", proof.verify_claim, wrong)


@pytest.fixture
def own_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAXWELL_DATA_DIR", str(here / "data"))
    return here


def test_the_command_line_hides(maxwell: Maxwell, own_store: Path) -> None:
    x = np.load(SAMPLES)[:4]
    np.save(own_store / "x.npy", x)
    digest = maxwell("model", "register", INT8, "--zk", "--openings", "5").out.strip()
    done = maxwell("prove", INT8, "x.npy", "-o", "p.bin", "--zk", "--json")
    assert done.code == 0, done.err
    made: Any = json.loads(done.out)
    assert (made["model"], made["hiding"], made["proofs_left"]) == (digest, True, 2)
    # Without the flag as well: what is registered as hidden is never shown.
    assert json.loads(maxwell("prove", digest, "x.npy", "-o", "q.bin", "--json").out)["hiding"]
    done = maxwell("verify", "p.bin", "--model", digest, "--json")
    assert json.loads(done.out)["output"] == made["output"]
    shown = json.loads(maxwell("model", "inspect", digest, "--json").out)
    assert (shown["profile"], shown["openings"], shown["proofs_left"]) == ("hiding, 100 bits", 5, 1)
    assert "1 proofs left" in maxwell("model", "inspect", digest).out
    assert "weights hidden, 1 proofs left" in maxwell("model", "list").out
    maxwell("prove", digest, "x.npy", "-o", "r.bin")
    done = maxwell("prove", digest, "x.npy", "-o", "s.bin")
    assert done.code == 125
    assert "[MX1716]" in done.err
    assert "model refresh" in done.err
    assert maxwell("model", "refresh", digest).out.strip() == digest
    done = maxwell("prove", digest, "x.npy", "-o", "s.bin")
    assert "1 proofs left before a refresh" in done.err
    assert maxwell("verify", "s.bin", "--model", digest).code == 0


def test_hiding_what_was_registered_openly_needs_a_registration(
    maxwell: Maxwell, own_store: Path
) -> None:
    np.save(own_store / "x.npy", np.load(SAMPLES)[:1])
    digest = maxwell("model", "register", INT8).out.strip()
    done = maxwell("prove", digest, "x.npy", "-o", "p.bin", "--zk")
    assert (done.code, "registered without hiding" in done.err) == (125, True)
    # By its file it is registered again, hidden.
    done = maxwell("prove", INT8, "x.npy", "-o", "p.bin", "--zk", "--json")
    assert json.loads(done.out)["model"] != digest
    done = maxwell("model", "refresh", digest)
    assert (done.code, "needs no refresh" in done.err) == (125, True)


def test_openings_are_counted_in_one_store(network: Network, tmp_path: Path) -> None:
    """Two folders with one seed would be two budgets for the same commitment."""
    model = Model(network, hiding=True, openings=4)
    first = model.save(ModelStore(tmp_path / "a"))
    assert model.save(ModelStore(tmp_path / "a")) == first
    refused("MX1715", model.save, ModelStore(tmp_path / "b"))
    assert not (tmp_path / "b").exists()
    unsaved = Model(network, hiding=True, openings=4)
    unsaved.refresh()
    refused("MX1715", unsaved.save, ModelStore(tmp_path / "a"))


def test_proofs_and_refreshes_in_threads_open_no_more_than_is_counted(network: Network) -> None:
    """What is opened is what was counted, whoever comes in between."""
    model = Model(network, hiding=True, openings=16)
    proofs: list[Proof] = []

    def prove() -> None:
        proofs.extend(model.prove(inputs(network)) for _ in range(4))

    threads = [threading.Thread(target=prove) for _ in range(3)]
    for thread in threads:
        thread.start()
    model.refresh()
    for thread in threads:
        thread.join()
    under_new = sum(proof.header == model.header for proof in proofs)
    assert len(proofs) == 12
    assert model.proofs_left == 16 - 1 - under_new - 2
    for proof in proofs:
        proof.verify(model.digest)


def test_a_hiding_proof_carries_no_weights(network: Network) -> None:
    proof = Model(network, hiding=True).prove(inputs(network))
    assert "weights" not in repr(proof)
    again = pickle.loads(pickle.dumps(proof))
    assert (again.network, again.proof, again.digest) == (None, proof.proof, proof.digest)
    plain = Model(network).prove(inputs(network))
    assert pickle.loads(pickle.dumps(plain)).network is not None


def test_a_value_out_of_range_costs_no_opening(network: Network) -> None:
    model = Model(network, hiding=True, openings=5)
    lo, _ = network.proof_model.input_range
    ints = np.full((1, *network.proof_model.input_shape), lo - 1, np.int16)
    left = model.proofs_left
    refused("MX1705", model.prove_ints, ints)
    refused("MX1705", model.prove_ints, ints[:0])
    assert model.proofs_left == left


def test_a_lineage_has_one_encoding(network: Network) -> None:
    model = Model(network, hiding=True)
    model.refresh()
    lineage = model.prove(inputs(network)).lineage
    assert len(decode_lineage(lineage)) == 1
    refused("MX1706", decode_lineage, lineage + b"\0")


def test_a_model_without_weights_survives_a_refresh() -> None:
    model = next(m for m in map(random_model, range(400)) if all(w is None for w in m.weights))
    grid = Grid(1.0, 0, *model.input_range)
    bare = Network("m", model, ("a",) * 9, grid, grid, model.output_shape, "", "")
    hiding = Model(bare, hiding=True)
    digest = hiding.digest
    hiding.refresh()
    hiding.prove(inputs(bare)).verify(digest)
