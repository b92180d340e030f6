"""Units: exact in, three digits out; every refusal is a ConfigError that quotes the input."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell import units
from maxwell.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

PARSERS = {
    "energy": (units.parse_energy_uj, units.format_energy, units.ENERGY_UJ_MAX),
    "power": (units.parse_power_mw, units.format_power, units.POWER_MW_MAX),
    "duration": (units.parse_duration_ns, units.format_duration, units.DURATION_NS_MAX),
    "bytes": (units.parse_bytes, units.format_bytes, units.BYTES_MAX),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 J", 5_000_000),
        ("5J", 5_000_000),
        (" 20 mJ ", 20_000),
        ("3 Wh", 10_800_000_000),
        ("1.5 kJ", 1_500_000_000),
        ("7 µJ", 7),
        ("7 \u03bcJ", 7),
        ("7 uJ", 7),
        ("0 J", 0),
        ("1e3 J", 1_000_000_000),
        ("20_000 J", 20_000_000_000),
        ("0.000001 J", 1),
        ("1 kWh", 3_600_000_000_000),
        ("+2 J", 2_000_000),
        ("0.123456789012345678901234567890 MJ", None),
    ],
)
def test_energy(text: str, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(ConfigError, match="finer than"):
            units.parse_energy_uj(text, what="x")
    else:
        assert units.parse_energy_uj(text, what="x") == expected


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (units.parse_power_mw, "12 W", 12_000),
        (units.parse_power_mw, "500 mW", 500),
        (units.parse_duration_ns, "75 s", 75 * 10**9),
        (units.parse_duration_ns, "100 ms", 10**8),
        (units.parse_duration_ns, "2 min", 120 * 10**9),
        (units.parse_duration_ns, "1 h", 3600 * 10**9),
        (units.parse_bytes, "64 MiB", 64 << 20),
        (units.parse_bytes, "1 GiB", 1 << 30),
        (units.parse_bytes, "0.5 KiB", 512),
    ],
)
def test_other_kinds(parse: Callable[..., int], text: str, expected: int) -> None:
    assert parse(text, what="x") == expected


@pytest.mark.parametrize(
    ("parse", "value", "code", "says", "hint"),
    [
        (units.parse_energy_uj, 5, "MX1005", "5 has no unit", '"5 J"'),
        (units.parse_energy_uj, 2.5, "MX1005", "2.5 has no unit", '"2.5 J"'),
        (units.parse_energy_uj, Decimal("2.5"), "MX1005", "2.5 has no unit", '"2.5 J"'),
        (units.parse_energy_uj, "5", "MX1005", "'5' has no unit", '"5 J"'),
        (units.parse_energy_uj, "10 W", "MX1005", "'W' is not a unit", "measures power"),
        (units.parse_energy_uj, "5 j", "MX1005", "'j' is not a unit", '"5 J"'),
        (units.parse_energy_uj, "1,5 J", "MX1005", "'1,5 J'", "number and a unit"),
        (units.parse_energy_uj, "", "MX1005", "''", "number and a unit"),
        (units.parse_energy_uj, "J", "MX1005", "'J'", "number and a unit"),
        (units.parse_energy_uj, "nan J", "MX1005", "'nan J'", "number and a unit"),
        (units.parse_energy_uj, "inf J", "MX1005", "'inf J'", "number and a unit"),
        (units.parse_energy_uj, "٣ J", "MX1005", "'٣ J'", "number and a unit"),
        (units.parse_energy_uj, "-1 J", "MX1006", "must not be negative: '-1 J'", "5 J"),
        (units.parse_energy_uj, "1e30 J", "MX1006", "'1e30 J' is beyond", "unit"),
        (units.parse_energy_uj, "1e999 J", "MX1006", "'1e999 J' is beyond", "unit"),
        (units.parse_energy_uj, "1e-999 J", "MX1006", "finer than 1 uJ", "whole uJ"),
        (units.parse_energy_uj, "0.1 uJ", "MX1006", "finer than 1 uJ", "whole uJ"),
        (units.parse_energy_uj, "1" * 200 + " J", "MX1005", "1111", "number and a unit"),
        (units.parse_energy_uj, None, "MX1004", "NoneType", "5 J"),
        (units.parse_energy_uj, True, "MX1004", "bool", "5 J"),
        (units.parse_energy_uj, ["5 J"], "MX1004", "list", "5 J"),
        (units.parse_bytes, "64 MB", "MX1005", "'MB'", '"64 MiB"'),
        (units.parse_bytes, "64 mib", "MX1005", "'mib'", '"64 MiB"'),
        (units.parse_duration_ns, "5 sec", "MX1005", "'sec'", "units: ns"),
        (units.parse_power_mw, "5 J", "MX1005", "'J'", "measures energy"),
    ],
)
def test_refusals(
    parse: Callable[..., int], value: object, code: str, says: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(value, what="process 'leech': funds")
    assert caught.value.code == code
    assert says in caught.value.message
    assert caught.value.message.startswith("process 'leech': funds: ")
    assert caught.value.hint is not None
    assert hint in caught.value.hint


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.data())
def test_exact_format_round_trips(kind: str, data: st.DataObject) -> None:
    """Goal: nothing is lost between the exact text of a quantity and its integer."""
    parse, write, most = PARSERS[kind]
    value = data.draw(st.integers(0, most))
    text = write(value, exact=True)
    if len(text) <= 64:
        assert parse(text, what="x") == value


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.data())
def test_short_format_is_within_half_a_percent(kind: str, data: st.DataObject) -> None:
    parse, write, most = PARSERS[kind]
    value = data.draw(st.integers(0, most // 2))
    text = write(value)
    if "min" in text or text.endswith(" h"):
        number, unit = text.split()
        back = Decimal(number) * {"min": 60 * 10**9, "h": 3600 * 10**9}[unit]
    elif kind == "bytes":
        number, unit = text.split()
        back = Decimal(number) * parse(f"1 {unit}", what="x")
    else:
        back = Decimal(parse(text, what="x"))
    assert abs(back - value) * 200 <= value
    assert "." not in text or len(text.split()[0]) <= 4


@given(st.text(max_size=80))
def test_any_text_parses_or_is_a_config_error(text: str) -> None:
    """Goal: no text whatever raises anything but ConfigError."""
    for parse, _, most in PARSERS.values():
        code = "MX1005"
        try:
            assert 0 <= parse(text, what="x") <= most
        except ConfigError as error:
            code = error.code
        assert code in {"MX1005", "MX1006"}


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (units.format_energy, 0, "0 µJ"),
        (units.format_energy, 20_000_000, "20 J"),
        (units.format_energy, 12_345_678, "12.3 J"),
        (units.format_energy, 999_999, "1 J"),
        (units.format_energy, -1_500, "-1.5 mJ"),
        (units.format_energy, 340 * 10**6, "340 J"),
        (units.format_energy, 2 * 10**18, "2000 GJ"),
        (units.format_power, 12_000, "12 W"),
        (units.format_bytes, 1 << 30, "1 GiB"),
        (units.format_bytes, (1 << 30) - 1, "1 GiB"),
        (units.format_bytes, 999, "999 B"),
        (units.format_bytes, 1023, "1023 B"),
        (units.format_duration, 75 * 10**9, "75 s"),
        (units.format_duration, 599 * 10**9, "599 s"),
        (units.format_duration, 600 * 10**9, "10 min"),
        (units.format_duration, 3600 * 10**10, "10 h"),
    ],
)
def test_format(write: Callable[[int], str], value: int, text: str) -> None:
    assert write(value) == text
