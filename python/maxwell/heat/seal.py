"""Sealing of packets: a cluster key keeps strangers out, a window refuses replays.

Each sender encrypts under a key of its own, HKDF-SHA256 of the cluster key with its number and
boot, with a counter as nonce: no two packets share key and nonce, and nobody needs random nonces.
Sealed: `key id u32 · sender u64 · boot u32 · counter u64 · ciphertext · tag 16` = 40 bytes more.
Whoever holds the cluster key can speak on the network; who said an entry is settled by the
signatures inside, not here.
"""

from __future__ import annotations

from collections import OrderedDict
from struct import Struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX: Final = Struct("<IQIQ")
SEAL_BYTES: Final = PREFIX.size + 16
SENDERS_MAX: Final = 1_024
"""Senders whose replay window is remembered, 64 bits and a key each."""
WINDOW_BITS: Final = 64

assert SEAL_BYTES == 40, "the sealing is part of the wire contract"


class Opened(NamedTuple):
    """A packet that passed."""

    sender: int
    data: bytes


class _Sender:
    __slots__ = ("boot", "cipher", "highest", "seen")

    def __init__(self, boot: int, cipher: ChaCha20Poly1305) -> None:
        self.boot = boot
        self.cipher = cipher
        self.highest = -1
        self.seen = 0

    def fresh(self, counter: int) -> bool:
        """Whether a counter is new and not older than the window."""
        if counter > self.highest:
            return True
        behind = self.highest - counter
        return behind < WINDOW_BITS and not self.seen >> behind & 1

    def mark(self, counter: int) -> None:
        """Remembers a counter."""
        if counter > self.highest:
            shift = counter - self.highest
            self.seen = (self.seen << shift | 1) & (1 << WINDOW_BITS) - 1 if shift < 64 else 1
            self.highest = counter
        else:
            self.seen |= 1 << (self.highest - counter)


class Seal:
    """Seals for one node and opens what others sealed.

    Args:
        cluster_key: 32 bytes that all nodes share.
        node: this node's number.
        boot: this start of it; counts up, so that old packets stay old.
        key_id: names the cluster key, so that it can be changed.
    """

    def __init__(self, cluster_key: bytes, node: int, boot: int, *, key_id: int = 1) -> None:
        assert len(cluster_key) == 32, "a cluster key has 32 bytes"
        self._cluster_key = cluster_key
        self._node = node
        self._boot = boot
        self._key_id = key_id
        self._counter = 0
        self._own = self._cipher(node, boot)
        self._senders: OrderedDict[int, _Sender] = OrderedDict()
        self.refused_replay = 0
        self.refused_forged = 0
        self.refused_key = 0

    def _cipher(self, node: int, boot: int) -> ChaCha20Poly1305:
        info = b"maxwell-heat-1" + node.to_bytes(8, "little") + boot.to_bytes(4, "little")
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._cluster_key)
        return ChaCha20Poly1305(key)

    def seal(self, data: bytes) -> bytes:
        """Encrypts and authenticates a packet."""
        prefix = PREFIX.pack(self._key_id, self._node, self._boot, self._counter)
        nonce = self._counter.to_bytes(12, "little")
        self._counter += 1
        return prefix + self._own.encrypt(nonce, data, prefix)

    def open(self, sealed: bytes) -> Opened | None:
        """Returns the packet, or None (and counts why) for what is forged, replayed or foreign."""
        if len(sealed) < SEAL_BYTES:
            self.refused_forged += 1
            return None
        key_id, node, boot, counter = PREFIX.unpack_from(sealed)
        if key_id != self._key_id:
            self.refused_key += 1
            return None
        sender = self._senders.get(node)
        if sender is not None and boot < sender.boot:
            self.refused_replay += 1
            return None
        if sender is None or boot > sender.boot:
            sender = _Sender(boot, self._cipher(node, boot))
        elif not sender.fresh(counter):
            self.refused_replay += 1
            return None
        try:
            data = sender.cipher.decrypt(
                counter.to_bytes(12, "little"), sealed[PREFIX.size :], sealed[: PREFIX.size]
            )
        except InvalidTag:
            self.refused_forged += 1
            return None
        sender.mark(counter)
        self._senders[node] = sender
        self._senders.move_to_end(node)
        if len(self._senders) > SENDERS_MAX:
            self._senders.popitem(last=False)
        return Opened(node, data)
