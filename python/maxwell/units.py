"""Quantities with units: text in, integers out, and back again for people.

Maxwell counts energy in microjoules, power in milliwatts, time in nanoseconds and memory in
bytes. A bare number is refused everywhere, since 5 could be joules or watt-hours. Parsing is
exact (decimal arithmetic); a text finer than the unit counted in is refused, never rounded.

Formatting for people keeps three significant digits, rounded half up; `exact=True` keeps all.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from maxwell.errors import ConfigError, near_miss

# Largest values accepted: far above any machine, far below u64 so that sums and products with
# ppm stay in the kernel's types. 10^12 J would run a kilowatt server for 30 years.
ENERGY_UJ_MAX: Final = 10**18
POWER_MW_MAX: Final = 10**12
DURATION_NS_MAX: Final = 10**18
BYTES_MAX: Final = 2**60

_TEXT_LENGTH_MAX: Final = 64
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:_\d+)*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)\s*(?P<unit>[^\W\d_]*)",
    re.ASCII,
)

_ENERGY: Final[dict[str, int]] = {
    "uJ": 1,
    "mJ": 10**3,
    "J": 10**6,
    "kJ": 10**9,
    "MJ": 10**12,
    "GJ": 10**15,
    "mWh": 3_600_000,
    "Wh": 3_600_000_000,
    "kWh": 3_600_000_000_000,
}
_POWER: Final[dict[str, int]] = {"mW": 1, "W": 10**3, "kW": 10**6, "MW": 10**9}
_DURATION: Final[dict[str, int]] = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
}
_BYTES: Final[dict[str, int]] = {
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_KINDS: Final = {
    "energy": (_ENERGY, "J", "5 J"),
    "power": (_POWER, "W", "10 W"),
    "duration": (_DURATION, "s", "75 s"),
    "memory size": (_BYTES, "MiB", "64 MiB"),
}


def parse_energy_uj(text: str | float, *, what: str) -> int:
    """Returns an energy in microjoules.

    Args:
        text: such as `"5 J"`, `"20 mJ"`, `"3 Wh"` or `"1.5 kJ"`; units uJ, mJ, J, kJ, MJ, GJ,
            mWh, Wh, kWh (also with µ). A bare number is refused.
        what: the name of the value for the error, such as `process "leech": funds`.

    Raises:
        ConfigError: MX1005 without a unit or with a wrong one, MX1006 when out of range.

    >>> parse_energy_uj("1.5 kJ", what="funds")
    1500000000
    """
    return _parse(text, kind="energy", what=what, value_max=ENERGY_UJ_MAX)


def parse_power_mw(text: str | float, *, what: str) -> int:
    """Returns a power in milliwatts; units mW, W, kW, MW.

    Raises:
        ConfigError: MX1005 without a unit or with a wrong one, MX1006 when out of range.

    >>> parse_power_mw("12 W", what="power")
    12000
    """
    return _parse(text, kind="power", what=what, value_max=POWER_MW_MAX)


def parse_duration_ns(text: str | float, *, what: str) -> int:
    """Returns a duration in nanoseconds; units ns, us (µs), ms, s, min, h.

    Raises:
        ConfigError: MX1005 without a unit or with a wrong one, MX1006 when out of range.

    >>> parse_duration_ns("2 min", what="duration")
    120000000000
    """
    return _parse(text, kind="duration", what=what, value_max=DURATION_NS_MAX)


def parse_bytes(text: str | float, *, what: str) -> int:
    """Returns a memory size in bytes; units B, KiB, MiB, GiB, TiB (powers of 1024).

    `MB` and its like are refused: half of the world means 10^6 by it and the other half 2^20.

    Raises:
        ConfigError: MX1005 without a unit or with a wrong one, MX1006 when out of range.

    >>> parse_bytes("64 MiB", what="memory_max")
    67108864
    """
    return _parse(text, kind="memory size", what=what, value_max=BYTES_MAX)


def format_energy(uj: int, *, exact: bool = False) -> str:
    """Returns an energy for people, such as `12.3 J`; signed.

    >>> format_energy(12_345_678), format_energy(-1500), format_energy(20_000_000)
    ('12.3 J', '-1.5 mJ', '20 J')
    """
    return _format(
        uj,
        (("µJ", 1), ("mJ", 10**3), ("J", 10**6), ("kJ", 10**9), ("MJ", 10**12), ("GJ", 10**15)),
        exact=exact,
    )


def format_power(mw: int, *, exact: bool = False) -> str:
    """Returns a power for people, such as `3.2 W`; signed.

    >>> format_power(3200)
    '3.2 W'
    """
    return _format(mw, (("mW", 1), ("W", 10**3), ("kW", 10**6), ("MW", 10**9)), exact=exact)


def format_bytes(n: int, *, exact: bool = False) -> str:
    """Returns a memory size for people, such as `64 MiB`.

    >>> format_bytes(64 << 20), format_bytes(1536)
    ('64 MiB', '1.5 KiB')
    """
    return _format(n, tuple(_BYTES.items()), exact=exact)


def format_duration(ns: int, *, exact: bool = False) -> str:
    """Returns a duration for people, such as `1.5 s` or `75 s`; minutes from 600 s on.

    >>> format_duration(75 * 10**9), format_duration(250_000)
    ('75 s', '250 µs')
    """
    steps = [("ns", 1), ("µs", 10**3), ("ms", 10**6), ("s", 10**9)]
    if not exact and abs(ns) >= 600 * 10**9:
        steps.append(("min", 60 * 10**9))
    if not exact and abs(ns) >= 36_000 * 10**9:
        steps.append(("h", 3600 * 10**9))
    return _format(ns, tuple(steps), exact=exact)


def _parse(text: object, *, kind: str, what: str, value_max: int) -> int:
    units, base, example = _KINDS[kind]
    if isinstance(text, (int, float, Decimal)) and not isinstance(text, bool):
        raise ConfigError(
            f"{what}: {text} has no unit", code="MX1005", hint=f'write "{text} {base}"'
        )
    if not isinstance(text, str):
        raise ConfigError(
            f"{what}: expected a text with a unit, got {type(text).__name__}",
            code="MX1004",
            hint=f'write it as "{example}"',
        )
    match = _QUANTITY.fullmatch(_plain(text)) if len(text) <= _TEXT_LENGTH_MAX else None
    if match is None:
        raise ConfigError(
            f"{what}: not {_article(kind)}: {_quote(text)}",
            code="MX1005",
            hint=f'write a number and a unit, such as "{example}"',
        )
    number, unit = match["number"], match["unit"]
    if not unit:
        raise ConfigError(
            f"{what}: {_quote(text)} has no unit", code="MX1005", hint=f'write "{number} {base}"'
        )
    if unit not in units:
        raise ConfigError(
            f"{what}: {unit!r} is not a unit of {kind}: {_quote(text)}",
            code="MX1005",
            hint=_unit_hint(unit, kind=kind, number=number),
        )
    # Exact: at most 64 digits times at most 15, and the default context would round at 28.
    value = Decimal(number)
    if value < 0:
        raise ConfigError(
            f"{what}: must not be negative: {_quote(text)}",
            code="MX1006",
            hint=f'such as "{example}"',
        )
    numerator, denominator = value.as_integer_ratio()
    scaled, rest = divmod(numerator * units[unit], denominator)
    smallest = next(iter(units))
    if scaled > value_max:
        raise ConfigError(
            f"{what}: {_quote(text)} is beyond the largest {kind}, "
            f"{_format_by_kind(value_max, kind)}",
            code="MX1006",
            hint="check the unit",
        )
    if rest:
        raise ConfigError(
            f"{what}: {_quote(text)} is finer than 1 {smallest}",
            code="MX1006",
            hint=f"Maxwell counts {kind} in whole {smallest}",
        )
    assert 0 <= scaled <= value_max
    return scaled


def _plain(text: str) -> str:
    """Strips the text and writes both micro signs as `u`."""
    return text.strip().replace("\u00b5", "u").replace("\u03bc", "u")


def _unit_hint(unit: str, *, kind: str, number: str) -> str:
    units, base, example = _KINDS[kind]
    for other, (other_units, _, _) in _KINDS.items():
        if unit in other_units:
            return f'{unit} measures {other}; write {kind} as "{example}"'
    if kind == "memory size" and unit.upper() in {"K", "KB", "M", "MB", "G", "GB", "T", "TB"}:
        return f'write "{number} {unit[0].upper()}iB" (powers of 1024)'
    close = near_miss(unit, units)
    if close is not None:
        return f'did you mean "{number} {close}"? Units are case-sensitive'
    return f"units: {', '.join(units)}; for example {number} {base}"


def _quote(text: str) -> str:
    return repr(text if len(text) <= _TEXT_LENGTH_MAX else text[:_TEXT_LENGTH_MAX] + "…")


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _format_by_kind(value: int, kind: str) -> str:
    if kind == "energy":
        return format_energy(value)
    if kind == "power":
        return format_power(value)
    return format_duration(value) if kind == "duration" else format_bytes(value)


def _format(value: int, steps: tuple[tuple[str, int], ...], *, exact: bool) -> str:
    """Writes `value` in the largest unit that leaves at least one before the point."""
    size = abs(value)
    index = max((i for i, (_, step) in enumerate(steps) if size >= step), default=0)
    unit, step = steps[index]
    if exact:
        return f"{_decimal(value, step)} {unit}"
    digits = 3
    whole_digits = len(str(size // step))
    places = max(0, digits - whole_digits)
    scaled = (size * 10**places * 2 + step) // (2 * step)  # rounded half up
    # Rounding up may reach the next unit: 999.9 mJ is 1 J, not 1000 mJ.
    if index + 1 < len(steps) and scaled * step >= steps[index + 1][1] * 10**places:
        unit, step = steps[index + 1]
        places = 2
        scaled = (size * 10**places * 2 + step) // (2 * step)
    sign = "-" if value < 0 and scaled else ""
    return f"{sign}{_decimal(scaled, 10**places)} {unit}"


def _decimal(value: int, step: int) -> str:
    """Writes value / step exactly, without trailing zeros; steps that are not of 2 or 5 round."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), step)
    if rest == 0:
        return f"{sign}{whole}"
    places = 0
    scale = 1
    while rest * scale % step and places < 40:
        places += 1
        scale *= 10
    fraction = f"{rest * scale // step:0{places}d}".rstrip("0")
    return f"{sign}{whole}.{fraction}"
