"""The wire contract of entries: sizes, layout, rounding, refusal of nonsense."""

from __future__ import annotations

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from heat.helpers import entry_body
from maxwell.heat.entry import BODY, BODY_BYTES, ENTRY_BYTES, IDENTITY, Entry, State, plausible


def test_sizes_are_those_of_the_contract() -> None:
    assert BODY_BYTES == len(entry_body()) == 54
    assert ENTRY_BYTES == 120


def test_layout_is_little_endian_in_the_order_of_the_contract() -> None:
    # Method: an independent reading of the documented layout, field by field.
    body = entry_body(0x0102030405060708, 9, t_ms=0x0A0B0C0D0E0F, ln_price=-0.25, t_c=-1.5)
    assert body[0] == 1
    assert body[1] == State.OK
    assert struct.unpack_from("<H", body, 2) == (1,)
    assert body[4:12] == bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert struct.unpack_from("<II", body, 12) == (1, 9)
    assert body[20:26] == bytes([0x0F, 0x0E, 0x0D, 0x0C, 0x0B, 0x0A])
    assert struct.unpack_from("<hhh", body, 26) == (-150, 6_100, 2_400)
    assert struct.unpack_from("<HHHhHHH", body, 32) == (250, 250, 80, -250, 1_600, 0, 0)
    assert struct.unpack_from("<Q", body, 46) == (7,)
    assert IDENTITY.unpack_from(body)[3:] == (0x0102030405060708, 1, 9)


def test_a_closed_node_has_the_price_of_the_contract() -> None:
    entry = Entry._make(BODY.unpack(entry_body(ln_price=math.inf)))
    assert entry.ln_price_milli == 32_767
    assert entry.ln_price == math.inf


@given(st.binary(min_size=54, max_size=54))
def test_any_bytes_unpack_and_pack_to_the_same(data: bytes) -> None:
    entry = Entry._make(BODY.unpack(data))
    assert entry.pack() == data
    assert plausible(entry) in (True, False)


@given(
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_figures_that_do_not_fit_are_clamped(t_c: float, power_w: float, ln_price: float) -> None:
    entry = Entry._make(BODY.unpack(entry_body(t_c=t_c, power_w=power_w, ln_price=ln_price)))
    assert plausible(entry)
    assert 0 <= entry.power_w <= 65_535


def test_implausible_fields_are_refused() -> None:
    good = Entry._make(BODY.unpack(entry_body()))
    assert plausible(good)
    for bad in ({"version": 2}, {"state": 6}, {"t_cc": 30_000}, {"t_in_cc": -9_000}):
        assert not plausible(good._replace(**bad))
