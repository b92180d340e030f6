"""COSE_Sign1 (RFC 9052, section 4.2) with Ed25519: a statement and its signature.

The protected header is {1: -8, 4: kid}: EdDSA (RFC 9053, section 2.2), and the first 8 bytes of
the SHA-256 of the public key. The unprotected header is empty, the payload is attached, and there
is no external data. Nothing here is a format or a primitive of our own.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from maxwell.errors import BadReceipt
from maxwell.token.cbor import Tagged, Value, decode, encode, encode_sign1

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

EDDSA: Final = -8
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_ALGORITHM: Final = 1
_KID: Final = 4


class Sign1(msgspec.Struct, frozen=True):
    """A signed statement, taken apart; its signature is not checked yet."""

    protected: bytes
    payload: bytes
    signature: bytes
    kid: bytes


def kid_of(public_key: bytes) -> bytes:
    """Returns the name of a key: the first 8 bytes of its SHA-256."""
    return sha256(public_key).digest()[:8]


class Signer:
    """Signs payloads with one key. A signature takes about 30 µs.

    Args:
        key: Ed25519.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key: Final = key.public_key().public_bytes_raw()
        # RFC 8949 orders keys by their bytes: 1 before 4.
        self._protected = encode({_ALGORITHM: EDDSA, _KID: kid_of(self.public_key)})

    def sign(self, payload: bytes) -> bytes:
        """Returns a COSE_Sign1 over a payload, tagged."""
        signature = self._key.sign(_to_be_signed(self._protected, payload))
        return encode_sign1([self._protected, {}, payload, signature])


def read_sign1(data: bytes, *, what: str) -> Sign1:
    """Takes a COSE_Sign1 apart.

    Raises:
        BadReceipt: MX1602 when it is none, or has other headers than ours.
    """
    value = decode(data, what=what)
    if not isinstance(value, Tagged) or len(value) != 4:
        raise BadReceipt(f"{what}: not a COSE_Sign1", code="MX1602")
    protected, unprotected, payload, signature = value
    if (
        not isinstance(protected, bytes)
        or unprotected != {}
        or not isinstance(payload, bytes)
        or not isinstance(signature, bytes)
        or len(signature) != SIGNATURE_BYTES
    ):
        raise BadReceipt(f"{what}: not a COSE_Sign1 with an attached payload", code="MX1602")
    header: Value = decode(protected, what=f"{what}: its header")
    kid = header.get(_KID) if isinstance(header, dict) else None
    if not isinstance(header, dict) or header.get(_ALGORITHM) != EDDSA or len(header) != 2:
        raise BadReceipt(f"{what}: not signed with Ed25519", code="MX1602")
    if not isinstance(kid, bytes):
        raise BadReceipt(f"{what}: it names no key", code="MX1602")
    return Sign1(protected, payload, signature, kid)


def check_sign1(statement: Sign1, public_key: bytes, *, what: str) -> None:
    """Checks a signature.

    Raises:
        BadReceipt: MX1604 when it is not this key's over this payload.
    """
    own = kid_of(public_key)
    if statement.kid != own:
        raise BadReceipt(
            f"{what} is signed by key {statement.kid.hex()}, the run by {own.hex()}",
            code="MX1604",
        )
    signed = _to_be_signed(statement.protected, statement.payload)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(statement.signature, signed)
    except (InvalidSignature, ValueError) as error:
        raise BadReceipt(
            f"{what}: its signature is not of key {own.hex()} over this content", code="MX1604"
        ) from error


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Returns the Sig_structure of RFC 9052, section 4.4, without external data."""
    return encode(["Signature1", protected, b"", payload])
