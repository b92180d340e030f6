"""Goal: proofs that hide their input, from Python and the command line: they convince, they do not
have the input, and who holds the opening can show whose input it was. Method: a small network and
the digits; files and secrets that are wrong, changed or missing."""

from __future__ import annotations

import json
import pickle
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from cli.conftest import Maxwell, here, maxwell
from maxwell.errors import ConfigError, ProofError
from maxwell.market.proof_options import parse_proof
from maxwell.proofs import (
    InputOpening,
    Model,
    ModelStore,
    Network,
    Payments,
    Proof,
    SignedClaim,
    Tier,
    backend,
    prove,
)
from maxwell.proofs.claims import commit_tensor
from maxwell.proofs.quantise import Grid
from proofs.random_models import random_input, random_model
from proofs.test_claims import BUYER_NONCE, ORDER, PROCESS, claim

__all__ = ["here", "maxwell"]

pytestmark = pytest.mark.skipif(not backend.available(), reason="no prover in this module")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/models"
MLP = str(EXAMPLES / "digits_mlp.onnx")
INT8 = str(EXAMPLES / "digits_mlp_int8.onnx")
SAMPLES = EXAMPLES / "digits_calibration.npy"


def with_weights(number: int) -> bool:
    model = random_model(number)
    lo, hi = model.input_range
    return any(w is not None for w in model.weights) and lo <= 0 <= hi


@pytest.fixture(scope="module")
def network() -> Network:
    model = random_model(next(filter(with_weights, range(40))))
    grid = Grid(1.0, 0, *model.input_range)
    return Network("m", model, ("a",) * 9, grid, grid, model.output_shape, "", "")


@pytest.fixture(scope="module")
def x(network: Network) -> Any:
    return random_input(network.proof_model, np.random.default_rng(1), 2)


@pytest.fixture(scope="module")
def model(network: Network) -> Model:
    return Model(network, hiding=True, openings=64)


@pytest.fixture(scope="module")
def proof(model: Model, x: Any) -> Proof:
    return model.prove(x, context=b"c", hide_input=True)


def opening_of(proof: Proof) -> InputOpening:
    assert proof.opening is not None
    return proof.opening


def refused(code: str, attempt: Any, *arguments: Any, **named: Any) -> ProofError:
    with pytest.raises(ProofError) as caught:
        attempt(*arguments, **named)
    assert caught.value.code == code
    return caught.value


def test_it_convinces_and_goes_through_a_file(
    model: Model, network: Network, x: Any, proof: Proof, tmp_path: Path
) -> None:
    proof.verify(model, context=b"c")
    assert proof.hides_input
    assert np.array_equal(proof.output_ints, Model(network).prove(x).output_ints)
    path = tmp_path / "p.bin"
    proof.save(path)
    loaded = Proof.load(path, ModelStore(tmp_path / "none"))
    loaded.verify(model.digest, context=b"c")
    assert (loaded.input, loaded.opening) == (b"", None)
    assert (loaded.input_commitment, loaded.batch) == (proof.input_commitment, 2)
    refused("MX1717", lambda: loaded.input_ints)
    assert "hidden: " + proof.input_commitment.hex() in proof._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_what_is_bound_is_bound(model: Model, x: Any, proof: Proof) -> None:
    """Another commitment, output, batch, context or model is refused, and so is an input shown."""
    other = model.prove(x, context=b"c", hide_input=True)
    for changed in (
        replace(proof, input_commitment=other.input_commitment),
        replace(proof, input_commitment=bytes(32)),
        replace(proof, input_commitment=proof.input_commitment[:-1]),
        replace(proof, output=other.output[:-2] + b"\x7f\x00"),
        replace(proof, batch=1, output=proof.output[: len(proof.output) // 2]),
        replace(proof, input=backend.to_bytes(x), input_commitment=b""),
    ):
        refused("MX1706", changed.verify, model, context=b"c")
    refused("MX1706", proof.verify, model, context=b"d")
    shown = model.prove(x, context=b"c")
    refused("MX1706", replace(shown, input_commitment=bytes(32)).verify, model, context=b"c")


def test_the_file_does_not_have_the_input(model: Model, network: Network, tmp_path: Path) -> None:
    """An input of recognisable values: no four of its integers are anywhere in the bytes."""
    shape = network.proof_model.input_shape
    x = random_input(network.proof_model, np.random.default_rng(7), 16)
    proof = model.prove(x, hide_input=True)
    proof.save(tmp_path / "hidden.bin")
    model.prove(x).save(tmp_path / "shown.bin")
    hidden = (tmp_path / "hidden.bin").read_bytes()
    shown = (tmp_path / "shown.bin").read_bytes()
    flat = x.reshape(-1)
    found = {True: 0, False: 0}
    for begin in range(0, flat.size - 3, 4):
        part = flat[begin : begin + 4]
        for width in ("<i2", "<i4", "<i8"):
            window = part.astype(width).tobytes()
            if len(set(window)) > 4:  # zeros and small numbers are anywhere
                found[True] += window in hidden
                found[False] += window in shown
    assert found[True] == 0
    assert found[False] > 0, f"a control that sees an input of shape {shape}"
    assert opening_of(proof).seed not in hidden


def test_two_proofs_of_one_input_have_nothing_in_common(model: Model, x: Any) -> None:
    one, two = (model.prove(x, hide_input=True) for _ in range(2))
    assert opening_of(one).seed != opening_of(two).seed
    assert one.output == two.output
    shares = sum(a == b for a, b in zip(one.input_commitment, two.input_commitment, strict=True))
    assert shares <= 4, "32 bytes agree in five places with probability 2^-22"
    windows = {one.proof[i : i + 16] for i in range(len(one.proof) - 16)}
    again = {two.proof[i : i + 16] for i in range(len(two.proof) - 16)}
    # Weights of one commitment may be opened at one place twice: 8 bytes a row, never zero rows.
    common = windows & again
    assert len(common) < len(windows) // 20


def test_every_part_of_a_file_is_needed_as_it_is(
    model: Model, proof: Proof, tmp_path: Path
) -> None:
    """Single bits all over the file, and every other shape of the map."""
    path = tmp_path / "p.bin"
    proof.save(path)
    data = path.read_bytes()
    rng = np.random.default_rng(3)
    head = range(200)
    tail = rng.integers(200, len(data), 200)
    for place in [*head, *map(int, tail)]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        refused("MX1706", lambda: Proof.load(path).verify(model, context=b"c"))
    values: Any = cbor2.loads(data)
    assert values["format"] == "maxwell-proof/2"
    for changed in (
        values | {"input": b"\0\0"},
        values | {"format": "maxwell-proof/1"},
        values | {"format": "maxwell-proof/3"},
        values | {"format": ["maxwell-proof/2"]},
        values | {"lineage": b""},
        values | {"input_commitment": b""},
        values | {"input_commitment": bytes(31)},
        values | {"input_commitment": "0" * 32},
        values | {"opening": opening_of(proof).seed},
        values | {"batch": 0},
        values | {"header": values["header"][:4] + b"\x01" + values["header"][9:]},
        {key: values[key] for key in values if key != "input_commitment"},
    ):
        path.write_bytes(cbor2.dumps(changed, canonical=True))
        refused("MX1706", lambda: Proof.load(path).verify(model, context=b"c"))
    path.write_bytes(cbor2.dumps(dict(reversed(values.items()))))
    assert "canonical" in refused("MX1706", Proof.load, path).message
    path.write_bytes(data[:-1])
    refused("MX1706", Proof.load, path)


def test_whoever_has_the_opening_shows_the_input(
    model: Model, network: Network, x: Any, proof: Proof, tmp_path: Path
) -> None:
    secret = tmp_path / "p.opening"
    opening_of(proof).save(secret)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    opening = InputOpening.load(secret)
    assert opening == opening_of(proof)
    assert opening.seed.hex() not in repr(opening)
    proof.check_input(x, opening)
    # Without the model's scales, the integers themselves.
    path = tmp_path / "p.bin"
    proof.save(path)
    stranger = Proof.load(path, ModelStore(tmp_path / "none"))
    stranger.check_input(x, opening)
    refused("MX1705", stranger.check_input, x.astype(np.float32) + 0.25, opening)
    refused("MX1705", stranger.check_input, x.astype(np.int64) + 70_000, opening)
    wrong = x.copy()
    lo, _ = network.proof_model.input_range
    wrong.reshape(-1)[0] = lo if wrong.reshape(-1)[0] != lo else 0
    refused("MX1706", proof.check_input, wrong, opening)
    refused("MX1717", proof.check_input, x)
    other = model.prove(x, context=b"c", hide_input=True)
    refused("MX1706", proof.check_input, x, opening_of(other))
    # A seed that was made up, under the proof's own commitment.
    refused("MX1706", proof.check_input, x, replace(opening, seed=bytes(32)))
    refused("MX1706", proof.check_input, x, replace(opening, seed=b"short"))
    # A proof that shows its input needs no secret.
    shown = model.prove(x)
    shown.check_input(x)
    refused("MX1706", shown.check_input, wrong)


def test_an_opening_is_read_without_trust(proof: Proof, tmp_path: Path) -> None:
    path = tmp_path / "o"
    data = opening_of(proof).encode()
    values: Any = cbor2.loads(data)
    for junk in (
        b"", b"\xff", data[:-1], data + b"\0", bytes(5_000), cbor2.dumps([1]),
        *(cbor2.dumps(values | change, canonical=True) for change in (
            {"seed": bytes(31)}, {"commitment": b""}, {"batch": 0}, {"batch": True},
            {"format": "maxwell-input-opening/2"}, {"more": 1},
        )),
    ):  # fmt: skip
        path.write_bytes(junk)
        refused("MX1706", InputOpening.load, path)
    refused("MX1706", InputOpening.load, tmp_path / "none")
    refused("MX1700", opening_of(proof).save, tmp_path / "none" / "o")
    assert sorted(tmp_path.iterdir()) == [path]


def test_the_secret_stays_where_it_was_made(proof: Proof) -> None:
    opening = opening_of(proof)
    assert opening.seed not in pickle.dumps(proof)
    assert pickle.loads(pickle.dumps(proof)).opening is None
    assert repr(opening.seed) not in repr(proof)


def test_a_plain_model_hides_no_input(network: Network, x: Any) -> None:
    error = refused("MX1717", prove, network, x, hide_input=True)
    assert "zk=True" in str(error.hint)
    made = prove(network, x, zk=True, hide_input=True)
    made.verify(made.digest)
    # A header that hides nothing, with a commitment: the verifier says no, and does not crash.
    plain = Model(network)
    forged = replace(plain.prove(x), input=b"", input_commitment=bytes(32))
    refused("MX1706", forged.verify, plain)


def test_an_input_range_without_zero_cannot_be_hidden(network: Network) -> None:
    tensor = replace(network.proof_model, input_range=(1, 5))
    model = Model(replace(network, proof_model=tensor), hiding=True)
    left = model.proofs_left
    ones = np.ones((1, *tensor.input_shape), np.int16)
    assert "zero" in refused("MX1717", model.prove_ints, ones, hide_input=True).message
    assert model.proofs_left == left, "a refusal costs nothing"
    model.prove_ints(ones).verify(model)


def test_openings_are_counted_and_survive_a_refresh(network: Network, x: Any) -> None:
    model = Model(network, hiding=True, openings=4)
    model.prove(x, hide_input=True)
    model.prove(x)
    assert model.proofs_left == 0
    refused("MX1716", model.prove, x, hide_input=True)
    model.refresh()
    proof = model.prove(x, hide_input=True)
    proof.verify(model.digest)
    proof.check_input(x, opening_of(proof))


def test_a_count_of_the_store_reaches_the_native_prover(
    network: Network, x: Any, tmp_path: Path
) -> None:
    """Who loads a commitment and proves past `Model` still finds its budget spent."""
    store = ModelStore(tmp_path)
    saved = Model(network, hiding=True, openings=4)
    saved.save(store)
    shape = network.proof_model.output_shape
    saved.prove(x)
    saved.prove(x)
    registered = Model.stored(saved.digest, store)._registered  # pyright: ignore[reportPrivateUsage]
    for _ in range(2):
        backend.prove(registered, x, shape, b"")
    refused("MX1716", backend.prove, registered, x, shape, b"")
    refused("MX1716", backend.prove_hidden_input, registered, x, b"")
    # A count that is lost is a count that is reached.
    (tmp_path / saved.digest / "hiding/0/openings").unlink()
    registered = Model.stored(saved.digest, store)._registered  # pyright: ignore[reportPrivateUsage]
    refused("MX1716", backend.prove, registered, x, shape, b"")


def test_a_claim_on_a_hidden_input_needs_its_opening(model: Model, x: Any) -> None:
    y = Model(model.network).prove(x).output_ints
    made = claim(
        model_digest=bytes.fromhex(model.digest),
        input_commitment=commit_tensor(b"in", x, BUYER_NONCE),
        output_commitment=commit_tensor(b"out", y, BUYER_NONCE),
        tier=Tier.ZERO_KNOWLEDGE.value,
    )
    order = replace(
        ORDER,
        model_digest=made.model_digest,
        input_commitment=made.input_commitment,
        tier=Tier.ZERO_KNOWLEDGE,
    )
    proof = model.prove(x, context=made.digest(), hide_input=True)
    opening = opening_of(proof)
    refused("MX1717", proof.verify_claim, made)
    refused("MX1717", proof.verify_claim, made, x=x)
    payments, signed = Payments(), SignedClaim.sign(made, PROCESS)
    refused("MX1717", payments.accept, signed, order, epoch=5, verify=proof.verify_claim)
    assert len(payments) == 0

    def verify(paid: Any) -> None:
        proof.verify_claim(paid, x=x, opening=opening)

    payments.accept(signed, order, epoch=5, verify=verify)
    wrong = x.copy()
    wrong.reshape(-1)[0] ^= 1
    refused("MX1706", proof.verify_claim, made, x=wrong, opening=opening)
    # The proof is of x, the claim commits to another input.
    other = replace(made, input_commitment=commit_tensor(b"in", wrong, BUYER_NONCE))
    bound = model.prove(x, context=other.digest(), hide_input=True)
    error = refused("MX1712", bound.verify_claim, other, x=x, opening=opening_of(bound))
    assert "input" in error.message


def test_an_order_hides_nothing_from_who_gives_its_input() -> None:
    options = {"model": "m", "inputs": "x.npy", "tier": "T4", "hide_input": True}
    with pytest.raises(ConfigError) as caught:
        parse_proof(options, what="reward 'r'")
    assert caught.value.code == "MX1012"
    assert "sponsor" in str(caught.value.hint)


@pytest.fixture
def own_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAXWELL_DATA_DIR", str(here / "data"))
    return here


def test_the_command_line_hides_an_input(maxwell: Maxwell, own_store: Path) -> None:
    samples = np.load(SAMPLES)[:2]
    np.save(own_store / "x.npy", samples)
    np.save(own_store / "y.npy", samples[::-1])
    made: Any = json.loads(
        maxwell("prove", INT8, "x.npy", "-o", "p.bin", "--zk", "--hide-input", "--json").out
    )
    assert (len(made["input_commitment"]), made["hiding"]) == (64, True)
    assert stat.S_IMODE((own_store / "p.bin.opening").stat().st_mode) == 0o600
    digest = made["model"]
    done = maxwell("verify", "p.bin", "--model", digest)
    assert done.code == 0
    assert f"input hidden behind {made['input_commitment']}" in done.err
    opened = ("--input", "x.npy", "--opening", "p.bin.opening")
    shown: Any = json.loads(maxwell("verify", "p.bin", "--model", digest, "--json", *opened).out)
    assert (shown["output"], shown["input_commitment"], shown["input_checked"]) == (
        made["output"], made["input_commitment"], True,
    )  # fmt: skip
    assert (
        "the input is that of x.npy" in maxwell("verify", "p.bin", "--model", digest, *opened).err
    )
    for wrong in (("y.npy", "p.bin.opening"), ("x.npy", "p.bin")):
        options = ("--input", wrong[0], "--opening", wrong[1])
        done = maxwell("verify", "p.bin", "--model", digest, *options)
        assert (done.code, done.out, "[MX1706]" in done.err) == (1, "", True)
    done = maxwell("verify", "p.bin", "--model", digest, "--input", "x.npy")
    assert (done.code, "[MX1717]" in done.err) == (125, True)
    # The flag alone serves a model that hides already.
    done = maxwell("prove", digest, "x.npy", "-o", "q.bin", "--hide-input", "--opening", "secret")
    assert (done.code, (own_store / "secret").exists()) == (0, True)
    assert "keep secret:" in done.err
    assert maxwell("verify", "q.bin", "--model", digest).code == 0
    # A shown input is compared without a secret.
    maxwell("prove", digest, "x.npy", "-o", "r.bin")
    assert maxwell("verify", "r.bin", "--model", digest, "--input", "x.npy").code == 0
    assert maxwell("verify", "r.bin", "--model", digest, "--input", "y.npy").code == 1


def test_misuse_of_the_command_line_is_told(maxwell: Maxwell, own_store: Path) -> None:
    np.save(own_store / "x.npy", np.load(SAMPLES)[:1])
    done = maxwell("prove", INT8, "x.npy", "-o", "p", "--hide-input")
    assert (done.code, "[MX1717]" in done.err, "--zk" in done.err) == (125, True, True)
    assert not (own_store / "p").exists()
    plain = maxwell("model", "register", INT8).out.strip()
    done = maxwell("prove", plain, "x.npy", "-o", "p", "--hide-input")
    assert (done.code, "[MX1717]" in done.err) == (125, True)
    for arguments in (
        ("prove", INT8, "x.npy", "-o", "p", "--opening", "o"),
        ("prove", INT8, "x.npy", "-o", "p", "--zk", "--hide-input", "--opening", "p"),
        ("verify", "p", "--model", plain, "--opening", "o"),
    ):
        done = maxwell(*arguments)
        assert (done.code, "--opening" in done.err) == (2, True)
