"""The heat entry: what a node says about itself, 54 bytes, signed by its subject.

Layout (little-endian), constant for ever under version 1::

    version u8 · state u8 · zone u16 · node u64 · boot u32 · seq u32 · t_ms u48 · T i16 · T̂ i16
    T_in i16 · P u16 · P_meter u16 · headroom u16 · ln p i16 · R̂ u16 · wanted u16 · offer u16
    prev u64

On the wire an entry is body (54) + signature (64) + age (2) = 120 bytes. Temperatures are
centi-°C, powers watts, `ln p` thousandths, R̂ 0.1 mK/W, the age hundredths of a second. The age
is not signed: every relay adds the time that it held the entry, so that no clock is trusted.
Entries of one node are ordered by (boot, seq) only.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

VERSION: Final = 1
BODY: Final = Struct("<BBHQIIIHhhhHHHhHHHQ")
IDENTITY: Final = Struct("<BBHQII")
"""The first 20 bytes: enough to know whether an entry is news."""
AGE: Final = Struct("<H")
BODY_BYTES: Final = 54
SIGNATURE_BYTES: Final = 64
SIGNED_BYTES: Final = BODY_BYTES + SIGNATURE_BYTES
ENTRY_BYTES: Final = SIGNED_BYTES + 2
LN_PRICE_CLOSED: Final = 32_767
"""`ln p` of a node that takes nothing: the price is infinite."""
CENTI_C_MIN: Final = -5_000
CENTI_C_MAX: Final = 20_000
AGE_UNIT_MS: Final = 10
AGE_MAX: Final = 65_535

assert BODY.size == BODY_BYTES, "the body is part of the wire contract"


class State(IntEnum):
    """What a node is doing; the number is the wire's."""

    OK = 0
    WARM = 1
    DISTRESS = 2
    DRAINING = 3
    ASLEEP = 4
    ALARM = 5
    """Not a state of a node: the entry is a zone alarm that its subject raises."""


class Entry(NamedTuple):
    """One node's word about itself, as the wire's integers."""

    version: int
    state: int
    zone: int
    node: int
    boot: int
    seq: int
    t_ms_low: int
    t_ms_high: int
    t_cc: int
    t_hat_cc: int
    t_in_cc: int
    power_w: int
    meter_w: int
    headroom_w: int
    ln_price_milli: int
    resistance: int
    wanted_w: int
    offer_w: int
    prev: int

    @property
    def ln_price(self) -> float:
        """Natural logarithm of the price over cost; infinite when the node is closed."""
        raw = self.ln_price_milli
        return float("inf") if raw == LN_PRICE_CLOSED else raw / 1_000

    def pack(self) -> bytes:
        """Returns the 54 bytes that are signed."""
        return BODY.pack(*self)


def make_entry(
    *,
    state: int,
    zone: int,
    node: int,
    boot: int,
    seq: int,
    t_ms: int,
    t_c: float,
    t_hat_c: float,
    t_in_c: float,
    power_w: float,
    meter_w: float,
    headroom_w: float,
    ln_price: float,
    resistance_k_per_w: float,
    wanted_w: float,
    offer_w: float,
    prev: int,
) -> Entry:
    """Rounds a node's figures to the wire's integers; what does not fit is clamped."""
    closed = ln_price >= LN_PRICE_CLOSED / 1_000
    return Entry(
        VERSION,
        state,
        zone,
        node,
        boot,
        seq,
        t_ms & 0xFFFFFFFF,
        (t_ms >> 32) & 0xFFFF,
        _clamp(t_c * 100, CENTI_C_MIN, CENTI_C_MAX),
        _clamp(t_hat_c * 100, CENTI_C_MIN, CENTI_C_MAX),
        _clamp(t_in_c * 100, CENTI_C_MIN, CENTI_C_MAX),
        _clamp(power_w, 0, 65_535),
        _clamp(meter_w, 0, 65_535),
        _clamp(headroom_w, 0, 65_535),
        LN_PRICE_CLOSED if closed else _clamp(ln_price * 1_000, -32_768, 32_766),
        _clamp(resistance_k_per_w * 10_000, 0, 65_535),
        _clamp(wanted_w, 0, 65_535),
        _clamp(offer_w, 0, 65_535),
        prev,
    )


def _clamp(value: float, low: int, high: int) -> int:
    return low if value <= low else high if value >= high else round(value)


def plausible(entry: Entry) -> bool:
    """Whether the fields are ones that a node of this version can have sent."""
    return (
        entry.version == VERSION
        and entry.state <= State.ALARM
        and CENTI_C_MIN <= entry.t_cc <= CENTI_C_MAX
        and CENTI_C_MIN <= entry.t_hat_cc <= CENTI_C_MAX
        and CENTI_C_MIN <= entry.t_in_cc <= CENTI_C_MAX
    )


def entry_hash(body: bytes) -> int:
    """Returns the 64-bit link to a previous entry (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "little")


def relative_heat(centi_c: int, reference_c: float, trip_c: float) -> float:
    """Returns h = (T − T_ref) / (T_trip − T_ref), clipped to [0, 2]."""
    h = (centi_c / 100 - reference_c) / (trip_c - reference_c)
    return 0.0 if h <= 0 else min(h, 2.0)
