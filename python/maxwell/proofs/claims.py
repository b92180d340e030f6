"""Claims: "this model on this input gave this output, for this process and this nonce", signed.

A claim is a record in canonical CBOR (RFC 8949, section 4.2.1) that the process signs with its
Ed25519 key. Inside it is a statement that the *node* signed: the nonce that it issued before the
run and what its meter counted, since neither may be the process's own word. The claim's digest goes
into the proof as its context, so that a proof is good for one claim only.

What is paid is decided by whoever placed the order, from what they hold themselves (`Order`), and
once: the nullifier H(model ‖ input ‖ buyer's nonce) of what was paid is kept. The record follows
docs/how-to/prove-an-inference.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, TypeVar, cast

from maxwell.errors import ProofError
from maxwell.proofs.extras import optional
from maxwell.proofs.model import BATCH_MAX
from maxwell.proofs.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from numpy.typing import NDArray

VERSION: Final = 1
SEMANTICS: Final = "maxwell-model/1"
CLAIM_BYTES_MAX: Final = 2_048
"""A claim is about 800 bytes; nothing longer is parsed."""

NULLIFIERS_MAX: Final = 1_048_576
"""Kept by one `Payments`: 32 MiB of hashes and as much again of Python."""

U64_MAX: Final = 2**64 - 1
_CLAIM_DOMAIN: Final = b"maxwell claim v1\0"
_METER_DOMAIN: Final = b"maxwell meter statement v1\0"
_PROCESS_DOMAIN: Final = b"maxwell process id v1\0"
_TENSOR_DOMAIN: Final = b"maxwell claim tensor v1\0"
_NULLIFIER_DOMAIN: Final = b"maxwell nullifier v1\0"

Record = TypeVar("Record")


def _hash(domain: bytes, *parts: bytes) -> bytes:
    """SHA-256 with a domain; parts of fixed length need no lengths between them."""
    return hashlib.sha256(domain + b"".join(parts)).digest()


def process_id(process_key: bytes) -> bytes:
    """Returns the id of a process, the hash of its public key of 32 bytes."""
    assert len(process_key) == 32
    return _hash(_PROCESS_DOMAIN, process_key)


def commit_tensor(name: bytes, ints: NDArray[np.int16], buyer_nonce: bytes) -> bytes:
    """Returns the commitment to an input or an output that the buyer can compute too.

    The buyer's nonce is the salt: who does not know it cannot test guesses of a small input, and
    who makes a claim cannot choose another salt to make one input look like two.

    Args:
        name: `b"in"` or `b"out"`.
        ints: the integers that are proved, batch first; the other axes are flattened.
        buyer_nonce: 32 bytes.
    """
    assert name in (b"in", b"out")
    assert len(buyer_nonce) == 32
    shape = f"{len(ints)},{ints.size // max(1, len(ints))}".encode()
    head = _hash(_TENSOR_DOMAIN, name, b"\0", shape, b"\0")
    return _hash(_TENSOR_DOMAIN, head, buyer_nonce, ints.astype("<i2").tobytes())


def nullifier(model_digest: bytes, input_commitment: bytes, buyer_nonce: bytes) -> bytes:
    """Returns what is remembered of an inference that was paid."""
    assert len(model_digest) == len(input_commitment) == len(buyer_nonce) == 32
    return _hash(_NULLIFIER_DOMAIN, model_digest, input_commitment, buyer_nonce)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterStatement:
    """What a node says of a slice: whose it was, with which nonce, and what the meter counted."""

    process_id: bytes
    slice_id: int
    """Of the auction's win that paid for the run."""
    epoch: int
    """The ledger's, a checkpoint number; never wall-clock time."""
    nonce: bytes
    """32 random bytes that the node issued before the run."""
    fuel: int
    energy_lo_uj: int
    energy_hi_uj: int
    """The metered energy is between the two: the model's interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement of an inference; every field is signed."""

    version: int
    cluster_id: bytes
    node_key: bytes
    process_key: bytes
    meter: bytes
    """A `MeterStatement` in canonical CBOR."""
    meter_signature: bytes
    """The node's, over `meter`."""
    buyer_nonce: bytes
    model_digest: bytes
    semantics: str
    batch: int
    input_commitment: bytes
    output_commitment: bytes
    price_ppm: int
    payee: bytes
    """Id of the account to be paid."""
    tier: str
    expires_epoch: int
    """Last ledger epoch in which the claim may be paid."""

    @property
    def process_id(self) -> bytes:
        """Id of the process that makes the claim."""
        return process_id(self.process_key)

    @property
    def nullifier(self) -> bytes:
        """What is remembered when it is paid."""
        return nullifier(self.model_digest, self.input_commitment, self.buyer_nonce)

    def statement(self) -> MeterStatement:
        """Returns the node's statement, parsed; `SignedClaim.check` has checked who signed it."""
        return _decode(MeterStatement, self.meter)

    def encode(self) -> bytes:
        """Returns the canonical bytes."""
        return encode(self)

    def digest(self) -> bytes:
        """Returns the hash that a proof takes as its context."""
        return _hash(_CLAIM_DOMAIN, self.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedClaim:
    """A claim with the signature of its process."""

    claim: bytes
    signature: bytes

    @classmethod
    def sign(cls, claim: Claim, key: Ed25519PrivateKey) -> SignedClaim:
        """Signs a claim with the process's key.

        Raises:
            ProofError: MX1711 when the claim names another key.
        """
        if key.public_key().public_bytes_raw() != claim.process_key:
            raise ProofError("the claim names another process's key", code="MX1711")
        data = claim.encode()
        return cls(claim=data, signature=key.sign(_CLAIM_DOMAIN + data))

    def encode(self) -> bytes:
        """Returns the canonical bytes, for the wire."""
        return encode(self)

    @classmethod
    def decode(cls, data: bytes) -> SignedClaim:
        """Parses bytes from anyone.

        Raises:
            ProofError: MX1711 when they are malformed or not canonical.
        """
        return _decode(SignedClaim, data)

    def check(self) -> Claim:
        """Checks form and both signatures; says nothing about what the claim is about.

        Raises:
            ProofError: MX1711.
        """
        claim = _decode(Claim, self.claim)
        if claim.version != VERSION or claim.semantics != SEMANTICS:
            raise ProofError(
                f"claim of version {claim.version} on {claim.semantics!r}", code="MX1711"
            )
        if claim.tier not in {tier.value for tier in Tier} or not 1 <= claim.batch <= BATCH_MAX:
            raise ProofError(
                f"claim of tier {claim.tier!r} for {claim.batch} inferences", code="MX1711"
            )
        _check_signature(claim.process_key, self.signature, _CLAIM_DOMAIN + self.claim, "process")
        _check_signature(claim.node_key, claim.meter_signature, _METER_DOMAIN + claim.meter, "node")
        statement = claim.statement()
        if statement.process_id != claim.process_id:
            raise ProofError("the meter's statement is about another process", code="MX1712")
        if statement.energy_lo_uj > statement.energy_hi_uj:
            raise ProofError("the meter's interval is empty", code="MX1711")
        return claim


def sign_meter(statement: MeterStatement, node_key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    """Returns a statement's bytes and the node's signature over them."""
    data = encode(statement)
    return data, node_key.sign(_METER_DOMAIN + data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a buyer, or the ledger on its behalf, holds before a claim arrives."""

    cluster_id: bytes
    node_key: bytes
    process_id: bytes
    nonce: bytes
    """The one that the node issued for this order."""
    buyer_nonce: bytes
    model_digest: bytes
    input_commitment: bytes
    batch: int
    tier: Tier
    price_ppm: int
    """The most that is paid."""
    payee: bytes
    expires_epoch: int
    """The escrow returns to the buyer after it."""


class Payments:
    """Decides which claims are paid: those that fit an order, in time, once.

    Args:
        count_max: nullifiers that are kept.
    """

    def __init__(self, *, count_max: int = NULLIFIERS_MAX) -> None:
        assert count_max > 0
        self._paid: set[bytes] = set()
        self._count_max = count_max

    def __len__(self) -> int:
        """Inferences that were paid."""
        return len(self._paid)

    def accept(
        self,
        signed: SignedClaim,
        order: Order,
        *,
        epoch: int,
        verify: Callable[[Claim], None] | None = None,
    ) -> Claim:
        """Accepts a claim for payment and remembers it, or refuses it and remembers nothing.

        Args:
            signed: from anyone.
            order: what the payer itself holds.
            epoch: the ledger's, now.
            verify: checks the proof against the claim and raises when it does not hold; must be
                given for a tier with a proof.

        Raises:
            ProofError: MX1711 malformed or badly signed, MX1712 about something else than the
                order, MX1713 expired, MX1714 paid already, MX1706 when its proof does not hold.
        """
        claim = signed.check()
        check_order(claim, order)
        last = min(claim.expires_epoch, order.expires_epoch)
        if epoch > last:
            raise ProofError(f"expired: epoch {epoch}, last was {last}", code="MX1713")
        if claim.nullifier in self._paid:
            raise ProofError(
                f"paid already: model {claim.model_digest.hex()[:16]}…, same input and buyer's "
                "nonce",
                code="MX1714",
            )
        if len(self._paid) >= self._count_max:
            raise ProofError(
                f"{len(self._paid):,} inferences are paid: no room for more nullifiers",
                code="MX1714",
                hint="start a new epoch's record",
            )
        if Tier(claim.tier).has_proof:
            if verify is None:
                raise ProofError("a claim of this tier needs its proof", code="MX1706")
            verify(claim)
        self._paid.add(claim.nullifier)
        return claim


def check_order(claim: Claim, order: Order) -> None:
    """Checks that a claim is about what was ordered, and asks for no more.

    Raises:
        ProofError: MX1712.
    """
    statement = claim.statement()
    wanted: Mapping[str, tuple[object, object]] = {
        "cluster": (claim.cluster_id, order.cluster_id),
        "node": (claim.node_key, order.node_key),
        "process": (claim.process_id, order.process_id),
        "nonce": (statement.nonce, order.nonce),
        "buyer's nonce": (claim.buyer_nonce, order.buyer_nonce),
        "model": (claim.model_digest, order.model_digest),
        "input": (claim.input_commitment, order.input_commitment),
        "batch": (claim.batch, order.batch),
        "tier": (claim.tier, order.tier.value),
        "payee": (claim.payee, order.payee),
    }
    for what, (have, want) in wanted.items():
        if have != want:
            raise ProofError(f"claim for another {what} than ordered", code="MX1712")
    if claim.price_ppm > order.price_ppm:
        raise ProofError(
            f"claim asks {claim.price_ppm:,} ppm, the order pays {order.price_ppm:,}",
            code="MX1712",
        )


# --- bytes -----------------------------------------------------------------------------------

_SIZES: Final[Mapping[str, int]] = {
    "cluster_id": 32,
    "node_key": 32,
    "process_key": 32,
    "process_id": 32,
    "meter_signature": 64,
    "signature": 64,
    "nonce": 32,
    "buyer_nonce": 32,
    "model_digest": 32,
    "input_commitment": 32,
    "output_commitment": 32,
    "payee": 32,
}
"""Every byte string whose length is fixed."""

_TYPES: Final[Mapping[str, type]] = {"int": int, "bytes": bytes, "str": str}


def encode(record: MeterStatement | Claim | SignedClaim) -> bytes:
    """Returns a record in canonical CBOR: a map of its field names."""
    values = {item.name: getattr(record, item.name) for item in fields(record)}
    _check_fields(type(record), values)
    data = optional("cbor2").dumps(values, canonical=True)
    assert isinstance(data, bytes)
    return data


def _decode(kind: type[Record], data: bytes) -> Record:
    """Parses canonical CBOR into a record; every other encoding of it is refused."""
    cbor2 = optional("cbor2")
    if len(data) > CLAIM_BYTES_MAX:
        raise ProofError(
            f"{len(data):,} bytes: a claim has {CLAIM_BYTES_MAX:,} at most", code="MX1711"
        )
    try:
        values: object = cbor2.loads(data)
    # The decoder's exceptions vary with what is wrong; none may pass as a bug of ours.
    except Exception as error:
        raise ProofError(f"claim is not CBOR: {error}", code="MX1711") from error
    if not isinstance(values, dict):
        raise ProofError("claim is not a CBOR map", code="MX1711")
    named = cast("dict[str, object]", values)
    _check_fields(kind, named)
    record = kind(**named)
    if encode(cast("Claim", record)) != data:
        raise ProofError("claim is not in canonical form", code="MX1711")
    return record


def _check_fields(kind: type[object], values: Mapping[str, object]) -> None:
    declared = {item.name: str(item.type) for item in fields(cast("type[Claim]", kind))}
    if values.keys() != declared.keys():
        # Keys may be anything that CBOR has, so none is put into words.
        missing = sorted(declared.keys() - values.keys())
        what = f"misses {', '.join(missing)}" if missing else "has unknown fields"
        raise ProofError(f"claim {what}", code="MX1711")
    for name, value in values.items():
        if type(value) is not _TYPES[declared[name]]:
            raise ProofError(f"claim's {name} is not of type {declared[name]}", code="MX1711")
        if isinstance(value, int) and not 0 <= value <= U64_MAX:
            raise ProofError(f"claim's {name} is not 0 to 2^64 − 1", code="MX1711")
        if isinstance(value, bytes) and len(value) != _SIZES.get(name, len(value)):
            raise ProofError(
                f"claim's {name} has {len(value)} bytes, not {_SIZES[name]}", code="MX1711"
            )


def _check_signature(key: bytes, signature: bytes, message: bytes, whose: str) -> None:
    exceptions = optional("cryptography.exceptions")
    ed25519 = optional("cryptography.hazmat.primitives.asymmetric.ed25519")
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (exceptions.InvalidSignature, ValueError) as error:
        raise ProofError(f"the {whose}'s signature does not hold", code="MX1711") from error
