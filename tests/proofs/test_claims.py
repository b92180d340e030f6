"""Goal: a claim is paid once, to whom it was ordered from, for what was ordered, in time, and every
other one is refused with nothing remembered. Method: each field changed in turn, by a process that
holds its own key and signs whatever it likes; bytes changed one at a time; replays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import cbor2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maxwell.errors import ProofError
from maxwell.proofs.claims import (
    CLAIM_BYTES_MAX,
    Claim,
    MeterStatement,
    Order,
    Payments,
    SignedClaim,
    commit_tensor,
    nullifier,
    process_id,
    sign_meter,
)
from maxwell.proofs.tiers import Tier

PROCESS = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
NODE = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
BUYER_NONCE, NONCE, MODEL = b"b" * 32, b"s" * 32, b"m" * 32
X = np.arange(12, dtype=np.int16).reshape(2, 6)
Y = np.arange(4, dtype=np.int16).reshape(2, 2)


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def statement(**changes: Any) -> MeterStatement:
    usual = MeterStatement(
        process_id=process_id(public(PROCESS)),
        slice_id=17,
        epoch=4,
        nonce=NONCE,
        fuel=1_000_000,
        energy_lo_uj=900,
        energy_hi_uj=1_100,
    )
    return replace(usual, **changes)


def claim(meter: MeterStatement | None = None, **changes: Any) -> Claim:
    data, signature = sign_meter(statement() if meter is None else meter, NODE)
    usual = Claim(
        version=1,
        cluster_id=b"c" * 32,
        node_key=public(NODE),
        process_key=public(PROCESS),
        meter=data,
        meter_signature=signature,
        buyer_nonce=BUYER_NONCE,
        model_digest=MODEL,
        semantics="maxwell-model/1",
        batch=2,
        input_commitment=commit_tensor(b"in", X, BUYER_NONCE),
        output_commitment=commit_tensor(b"out", Y, BUYER_NONCE),
        price_ppm=1_200_000,
        payee=b"a" * 32,
        tier="T0",
        expires_epoch=9,
    )
    return replace(usual, **changes)


ORDER = Order(
    cluster_id=b"c" * 32,
    node_key=public(NODE),
    process_id=process_id(public(PROCESS)),
    nonce=NONCE,
    buyer_nonce=BUYER_NONCE,
    model_digest=MODEL,
    input_commitment=commit_tensor(b"in", X, BUYER_NONCE),
    batch=2,
    tier=Tier.HOST,
    price_ppm=1_200_000,
    payee=b"a" * 32,
    expires_epoch=8,
)


def refused(signed: SignedClaim, code: str, *, order: Order = ORDER, epoch: int = 5) -> ProofError:
    payments = Payments()
    with pytest.raises(ProofError) as caught:
        payments.accept(signed, order, epoch=epoch)
    assert caught.value.code == code
    assert len(payments) == 0
    return caught.value


def test_a_good_claim_is_paid_once() -> None:
    payments = Payments()
    signed = SignedClaim.sign(claim(), PROCESS)
    again = SignedClaim.decode(signed.encode())
    assert payments.accept(again, ORDER, epoch=5) == claim()
    with pytest.raises(ProofError, match="paid already") as caught:
        payments.accept(signed, ORDER, epoch=5)
    assert caught.value.code == "MX1714"
    assert len(payments) == 1


def test_another_run_of_the_same_input_is_not_paid_again() -> None:
    """A new slice, new joules, a new price: the nullifier is the same."""
    payments = Payments()
    payments.accept(SignedClaim.sign(claim(), PROCESS), ORDER, epoch=5)
    rerun = claim(statement(slice_id=18, fuel=5), price_ppm=1, output_commitment=b"z" * 32)
    with pytest.raises(ProofError) as caught:
        payments.accept(SignedClaim.sign(rerun, PROCESS), ORDER, epoch=5)
    assert caught.value.code == "MX1714"


def test_a_claim_expires_with_the_earlier_of_claim_and_order() -> None:
    signed = SignedClaim.sign(claim(), PROCESS)
    assert Payments().accept(signed, ORDER, epoch=8)
    refused(signed, "MX1713", epoch=9)
    soon = SignedClaim.sign(claim(expires_epoch=5), PROCESS)
    assert Payments().accept(soon, ORDER, epoch=5)
    refused(soon, "MX1713", epoch=6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cluster_id", b"x" * 32),
        ("buyer_nonce", b"x" * 32),
        ("model_digest", b"x" * 32),
        ("input_commitment", b"x" * 32),
        ("batch", 1),
        ("payee", b"x" * 32),
        ("tier", "T1"),
        ("price_ppm", 1_200_001),
    ],
)
def test_a_claim_about_something_else_is_refused(field: str, value: Any) -> None:
    """The process signs it properly: what it is about decides."""
    refused(SignedClaim.sign(claim(**{field: value}), PROCESS), "MX1712")


def test_another_process_cannot_claim() -> None:
    """It may own a statement about itself, or copy that of the process that ran."""
    mine = statement(process_id=process_id(public(OTHER)))
    own = claim(mine, process_key=public(OTHER))
    assert "process" in refused(SignedClaim.sign(own, OTHER), "MX1712").message
    stolen = claim(process_key=public(OTHER))
    assert "another process" in refused(SignedClaim.sign(stolen, OTHER), "MX1712").message


def test_the_nonce_is_the_node_s_word() -> None:
    other_nonce = claim(statement(nonce=b"x" * 32))
    assert "nonce" in refused(SignedClaim.sign(other_nonce, PROCESS), "MX1712").message


def test_joules_are_the_node_s_word() -> None:
    """A process cannot raise its energy, nor bring a node of its own."""
    data, _ = sign_meter(statement(energy_hi_uj=10**9), NODE)
    forged = claim(meter=None)
    forged = replace(forged, meter=data)
    assert "node's signature" in refused(SignedClaim.sign(forged, PROCESS), "MX1711").message
    data, signature = sign_meter(statement(), OTHER)
    hired = replace(claim(), node_key=public(OTHER), meter=data, meter_signature=signature)
    assert "node" in refused(SignedClaim.sign(hired, PROCESS), "MX1712").message


def test_a_statement_cannot_be_used_as_a_claim() -> None:
    """Signatures have domains: the node's over a statement is none over a claim."""
    data, signature = sign_meter(statement(), NODE)
    refused(SignedClaim(claim=data, signature=signature), "MX1711")


def test_a_claim_signed_by_another_key_is_refused() -> None:
    signed = SignedClaim.sign(claim(), PROCESS)
    forged = OTHER.sign(b"maxwell claim v1\0" + signed.claim)
    refused(replace(signed, signature=forged), "MX1711")
    with pytest.raises(ProofError, match="another process's key"):
        SignedClaim.sign(claim(), OTHER)


@pytest.mark.parametrize("tier", [Tier.SUCCINCT, Tier.ZERO_KNOWLEDGE])
def test_tiers_with_a_proof_need_one_that_holds(tier: Tier) -> None:
    order = replace(ORDER, tier=tier)
    signed = SignedClaim.sign(claim(tier=tier.value), PROCESS)
    refused(signed, "MX1706", order=order)
    seen: list[Claim] = []
    payments = Payments()

    def false(made: Claim) -> None:
        seen.append(made)
        raise ProofError("false", code="MX1706")

    with pytest.raises(ProofError, match="false"):
        payments.accept(signed, order, epoch=5, verify=false)
    assert len(payments) == 0
    payments.accept(signed, order, epoch=5, verify=seen.append)
    assert [made.digest() for made in seen] == [claim(tier=tier.value).digest()] * 2


def test_every_changed_byte_of_a_signed_claim_is_refused() -> None:
    data = SignedClaim.sign(claim(), PROCESS).encode()
    assert len(data) < CLAIM_BYTES_MAX
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(ProofError) as caught:
            Payments().accept(SignedClaim.decode(bytes(damaged)), ORDER, epoch=5)
        assert caught.value.code in {"MX1711", "MX1712"}


def test_every_field_is_in_the_digest() -> None:
    usual = claim()
    digests = {usual.digest()}
    for item in fields(Claim):
        value = getattr(usual, item.name)
        changed = value + 1 if isinstance(value, int) else value[:-1] + (
            b"\xff" if isinstance(value, bytes) else "2"
        )  # fmt: skip
        digests.add(replace(usual, **{item.name: changed}).digest())
    assert len(digests) == len(fields(Claim)) + 1


def other_order(data: bytes) -> bytes:
    return cbor2.dumps(dict(reversed(list(cbor2.loads(data).items()))))


MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "keys in another order": other_order,
    "trailing bytes": lambda data: data + b"\0",
    "an unknown field": lambda data: cbor2.dumps(cbor2.loads(data) | {"x": 1}, canonical=True),
    "a missing field": lambda data: cbor2.dumps(
        {k: v for k, v in cbor2.loads(data).items() if k != "batch"}, canonical=True
    ),
    "a float": lambda data: cbor2.dumps(cbor2.loads(data) | {"batch": 2.0}, canonical=True),
    "a truth": lambda data: cbor2.dumps(cbor2.loads(data) | {"version": True}, canonical=True),
    "a negative number": lambda data: cbor2.dumps(
        cbor2.loads(data) | {"price_ppm": -1}, canonical=True
    ),
    "a huge number": lambda data: cbor2.dumps(
        cbor2.loads(data) | {"price_ppm": 2**64}, canonical=True
    ),
    "a short key": lambda data: cbor2.dumps(
        cbor2.loads(data) | {"node_key": b"n" * 31}, canonical=True
    ),
    "another version": lambda data: cbor2.dumps(cbor2.loads(data) | {"version": 2}, canonical=True),
    "an unknown tier": lambda data: cbor2.dumps(cbor2.loads(data) | {"tier": "T9"}, canonical=True),
    "no batch": lambda data: cbor2.dumps(cbor2.loads(data) | {"batch": 0}, canonical=True),
    "not a map": lambda data: cbor2.dumps([1, 2]),
    "nothing": lambda data: b"",
    "too long": lambda data: data + bytes(CLAIM_BYTES_MAX),
    "an indefinite map": lambda data: b"\xbf" + data[1:] + b"\xff",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_claims_are_refused_even_when_signed(case: str) -> None:
    data = MALFORMED[case](claim().encode())
    assert data != claim().encode()
    signature = PROCESS.sign(b"maxwell claim v1\0" + data)
    refused(SignedClaim(claim=data, signature=signature), "MX1711")


@settings(
    deadline=None,
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_claim_or_an_error(data: bytes) -> None:
    with pytest.raises(ProofError):
        SignedClaim.decode(data)


def test_commitments_hide_and_bind() -> None:
    """Name, shape, nonce and every cell change it; equal ones give it again."""
    seen = {commit_tensor(b"in", X, BUYER_NONCE)}
    assert commit_tensor(b"in", X.copy(), BUYER_NONCE) in seen
    seen.add(commit_tensor(b"out", X, BUYER_NONCE))
    seen.add(commit_tensor(b"in", X.reshape(6, 2), BUYER_NONCE))
    seen.add(commit_tensor(b"in", X, b"x" * 32))
    for cell in range(X.size):
        changed = X.copy()
        changed.flat[cell] += 1
        seen.add(commit_tensor(b"in", changed, BUYER_NONCE))
    assert len(seen) == 4 + X.size


def test_nullifiers_are_apart() -> None:
    parts = [MODEL, ORDER.input_commitment, BUYER_NONCE]
    seen = {nullifier(*parts)}
    for index in range(3):
        changed = [*parts]
        changed[index] = b"y" * 32
        seen.add(nullifier(*changed))
    assert len(seen) == 4


def test_payments_are_bounded() -> None:
    payments = Payments(count_max=1)
    payments.accept(SignedClaim.sign(claim(), PROCESS), ORDER, epoch=5)
    nonce = b"q" * 32
    commitment = commit_tensor(b"in", X, nonce)
    second = claim(buyer_nonce=nonce, input_commitment=commitment)
    order = replace(ORDER, buyer_nonce=nonce, input_commitment=commitment)
    with pytest.raises(ProofError, match="no room"):
        payments.accept(SignedClaim.sign(second, PROCESS), order, epoch=5)
