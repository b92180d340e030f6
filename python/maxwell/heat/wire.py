"""Packets before sealing: a header of 24 bytes and a payload by kind; nothing exceeds 1,124 bytes.

Header (little-endian): `version u8 · kind u8 · count u8 · flags u8 · sender u64 · boot u32 ·
seq u32 · nodes u32`. A packet that does not parse is counted and dropped by whoever receives it;
no function here raises on foreign bytes.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

VERSION: Final = 1
HEADER: Final = Struct("<BBBBQIII")
HEADER_BYTES: Final = 24
PACKET_BYTES_MAX: Final = 1_124
"""With 40 bytes of sealing and 28 of UDP over IPv4 this stays below 1,200."""
SIGNATURE_BYTES: Final = 64

assert HEADER.size == HEADER_BYTES, "the header is part of the wire contract"


class Kind(IntEnum):
    """What a packet is."""

    HEAT = 1
    DISTRESS = 2
    OFFER = 3
    RESERVE = 4
    GRANT = 5
    REFUSE = 6
    PING = 7
    PING_REQUEST = 8
    ACK = 9
    WHO = 10
    KEY = 11
    SHARE = 12
    """A half of the push-sum pair; only under the policy that is compared with ours."""
    PROOF = 13
    """Two entries of one number with different bodies."""
    WITNESS = 14
    HANDOVER = 15
    """A process comes under a promise; only between nodes whose workload is simulated."""
    TAKEN = 16


SIGNED_KINDS: Final = frozenset(
    {
        Kind.OFFER,
        Kind.RESERVE,
        Kind.GRANT,
        Kind.REFUSE,
        Kind.WITNESS,
        Kind.HANDOVER,
        Kind.TAKEN,
    }
)
"""Kinds whose packet ends in the sender's signature over everything before it."""


class Header(NamedTuple):
    """The first 24 bytes."""

    version: int
    kind: int
    entries: int
    flags: int
    sender: int
    boot: int
    seq: int
    nodes: int


DEAL: Final = Struct("<QQHhI")
"""OFFER, RESERVE, GRANT, REFUSE: other party u64, process u64, watts u16, ln p i16, deal u32."""
PROBE: Final = Struct("<QI")
"""PING, PING_REQUEST, ACK: node u64, incarnation u32."""
SHARE: Final = Struct("<dd")
WITNESS: Final = Struct("<QH")
"""WITNESS: accused u64, excess in centi-kelvin u16."""


_KIND_MIN: Final = int(Kind.HEAT)
_KIND_MAX: Final = int(Kind.TAKEN)


class Deal(NamedTuple):
    """What OFFER, RESERVE, GRANT and REFUSE carry."""

    other: int
    process: int
    watts: int
    ln_price_milli: int
    deal: int


def header_of(data: bytes) -> Header | None:
    """Returns the header, or None for what is no packet of this version."""
    if not HEADER_BYTES <= len(data) <= PACKET_BYTES_MAX:
        return None
    if data[0] != VERSION or not _KIND_MIN <= data[1] <= _KIND_MAX:
        return None
    return Header._make(HEADER.unpack_from(data))
