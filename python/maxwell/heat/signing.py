"""Who signs: Ed25519 on sockets, a cheap keyed stand-in for bulk simulation.

A node's number is the first 64 bits of the BLAKE2b hash of its public key, so that nobody can
sign for another. The stand-in signs with a key that is derived from the node's number: it costs
a microsecond, finds corruption and mix-ups, and is no signature against a forger who knows the
simulator's key. `benches/heat_cost.py` measures the real one apart.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from enum import IntEnum
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

KEYS_MAX: Final = 4_096
"""Public keys that a node remembers: 32 bytes each, whatever the size of the cluster."""


class Verdict(IntEnum):
    """What a verifier says of a signature."""

    BAD = 0
    GOOD = 1
    UNKNOWN = 2
    """The public key is not known yet; ask whoever sent the entry."""


class Signer(Protocol):
    """Signs as one node."""

    @property
    def node(self) -> int:
        """The node's number, 64 bits."""
        ...

    def sign(self, body: bytes) -> bytes:
        """Returns 64 bytes."""
        ...


class Verifier(Protocol):
    """Checks the signatures of all nodes."""

    def verify(self, node: int, body: bytes, signature: bytes) -> Verdict:
        """Says whether `node` signed `body`."""
        ...


def node_number(public_key: bytes) -> int:
    """Returns the number of the node that owns a public key of 32 bytes."""
    return int.from_bytes(hashlib.blake2b(public_key, digest_size=8).digest(), "little")


class Ed25519Signer:
    """Signs with an Ed25519 key (RFC 8032)."""

    __slots__ = ("_key", "_node", "public_key")

    def __init__(self, seed: bytes) -> None:
        """Takes the 32 secret bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key: bytes = self._key.public_key().public_bytes_raw()
        self._node = node_number(self.public_key)

    @property
    def node(self) -> int:
        """The node's number."""
        return self._node

    def sign(self, body: bytes) -> bytes:
        """Returns the signature, 64 bytes; deterministic."""
        return self._key.sign(body)


class KeyRing:
    """The public keys that a node knows, at most `KEYS_MAX`, the least recently used forgotten."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: OrderedDict[int, Ed25519PublicKey] = OrderedDict()

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, node: int) -> bool:
        return node in self._keys

    def add(self, public_key: bytes) -> int:
        """Remembers a key and returns its node's number."""
        key = Ed25519PublicKey.from_public_bytes(public_key)
        node = node_number(public_key)
        self._keys[node] = key
        self._keys.move_to_end(node)
        if len(self._keys) > KEYS_MAX:
            self._keys.popitem(last=False)
        return node

    def public_key(self, node: int) -> bytes | None:
        """Returns a node's key, if it is known."""
        key = self._keys.get(node)
        return None if key is None else key.public_bytes_raw()

    def verify(self, node: int, body: bytes, signature: bytes) -> Verdict:
        """Checks an Ed25519 signature."""
        key = self._keys.get(node)
        if key is None:
            return Verdict.UNKNOWN
        self._keys.move_to_end(node)
        try:
            key.verify(signature, body)
        except InvalidSignature:
            return Verdict.BAD
        return Verdict.GOOD


class StandInKeys:
    """Signs and verifies for all nodes of a simulation, about 1 µs a signature.

    Args:
        secret: the simulation's key; whoever holds it can forge.
    """

    __slots__ = ("_checked", "_secret")

    CHECKED_MAX: Final = 65_536

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:64]
        # One entry reaches many nodes of one simulation: what was found good stays good.
        self._checked: dict[bytes, bytes] = {}

    def sign_as(self, node: int, body: bytes) -> bytes:
        """Signs as any node."""
        del node  # the body names its subject
        return hashlib.blake2b(body, key=self._secret, digest_size=64).digest()

    def verify(self, node: int, body: bytes, signature: bytes) -> Verdict:
        """Recomputes the keyed hash."""
        if self._checked.get(signature) == body:
            return Verdict.GOOD
        if self.sign_as(node, body) != signature:
            return Verdict.BAD
        if len(self._checked) >= self.CHECKED_MAX:
            self._checked.clear()
        self._checked[signature] = body
        return Verdict.GOOD


class StandInSigner:
    """One node's signer on `StandInKeys`."""

    __slots__ = ("_keys", "_node")

    def __init__(self, keys: StandInKeys, node: int) -> None:
        self._keys = keys
        self._node = node

    @property
    def node(self) -> int:
        """The node's number."""
        return self._node

    def sign(self, body: bytes) -> bytes:
        """Returns 64 bytes."""
        return self._keys.sign_as(self._node, body)
