"""Numbers for tables: always three significant digits, so that columns line up, and small plots.

Prose uses `maxwell.units.format_*`, which drop zeros at the end.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS: Final = "▁▂▃▄▅▆▇█"

SI_STEPS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))


def significant(value: float, digits: int = 3) -> str:
    """Formats a number with `digits` significant digits and no exponent.

    >>> [significant(x) for x in (0, 0.0123, 1.0, 9.999, 123.4, 4567.0)]
    ['0', '0.0123', '1.00', '10.0', '123', '4,567']
    """
    if value == 0:
        return "0"
    magnitude = abs(value)
    decimals = 0
    while magnitude < 10 ** (digits - 1) and decimals < 9:
        magnitude *= 10
        decimals += 1
    text = f"{value:,.{decimals}f}"
    # 9.999 rounds to 10.00: one digit too many.
    if decimals and len(text.replace("-", "").replace(".", "").lstrip("0")) > digits:
        text = f"{value:,.{decimals - 1}f}"
    return text


def quantity(value: float, unit: str) -> str:
    """Formats a value of a base unit with an SI prefix.

    >>> quantity(0.0123, "J"), quantity(12_345, "W"), quantity(0, "J"), quantity(-2.5, "J")
    ('12.3 mJ', '12.3 kW', '0 J', '-2.50 J')
    """
    if value == 0:
        return f"0 {unit}"
    magnitude = abs(value)
    for step, prefix in SI_STEPS:
        # Rounded to three digits, 999.7 mJ is 1.00 J.
        if magnitude >= step * 0.9995:
            return f"{significant(value / step)} {prefix}{unit}"
    step, prefix = SI_STEPS[-1]
    return f"{significant(value / step)} {prefix}{unit}"


def joules(uj: int) -> str:
    """Formats an energy, or credits by what they can draw.

    >>> joules(20_000_000), joules(1_250), joules(7)
    ('20.0 J', '1.25 mJ', '7.00 µJ')
    """
    return quantity(uj / 1e6, "J")


def watts(mw: int) -> str:
    """Formats a power.

    >>> watts(12_340), watts(0)
    ('12.3 W', '0 W')
    """
    return quantity(mw / 1e3, "W")


def price(ppm: int) -> str:
    """Formats a price or a bid in credits per microjoule.

    >>> price(1_000_000), price(1_234_567), price(256_000_000)
    ('1.000', '1.235', '256.0')
    """
    value = ppm / 1e6
    return f"{value:.3f}" if value < 99.9995 else f"{value:,.1f}"


def seconds(value: float) -> str:
    """Formats a duration for a table.

    >>> [seconds(x) for x in (0.0, 0.0421, 3.21, 75.0, 1_015.0, 8_280.0, 400_000.0)]
    ['0 s', '42 ms', '3.2 s', '75 s', '17 min', '2.3 h', '4.6 d']
    """
    if value == 0:
        return "0 s"
    if value < 0.9995:
        return f"{value * 1e3:.0f} ms"
    if value < 9.95:
        return f"{value:.1f} s"
    if value < 599.5:
        return f"{value:.0f} s"
    if value < 3_570:
        return f"{value / 60:.0f} min"
    if value < 172_800:
        return f"{value / 3_600:.1f} h"
    return f"{value / 86_400:.1f} d"


def bits(q32: int) -> str:
    """Formats information given in units of 2^-32 bit.

    >>> bits(3 << 31), bits(-(52_364 << 32)), bits(0)
    ('1.50', '-52,364', '0')
    """
    value = q32 / (1 << 32)
    return f"{value:,.0f}" if q32 == 0 or abs(value) >= 1000 else significant(value)


def moment(ns: int) -> str:
    """Formats a time of a run, or a length of time, for prose and tables that show both.

    >>> [moment(x) for x in (0, 42_100_000, 12_240_000_000, 75 * 10**9, 4_000 * 10**9)]
    ['0.0 s', '42.1 ms', '12.2 s', '75.0 s', '66.7 min']
    """
    value = ns / 1e9
    if 0 < value < 0.9995:
        return quantity(value, "s")
    if value < 599.95:
        return f"{value:.1f} s"
    if value < 35_997:
        return f"{value / 60:.1f} min"
    return f"{value / 3_600:.1f} h"


def share(ratio: float) -> str:
    """Formats a ratio as per cent.

    >>> share(0.0123), share(0.5), share(1), share(0), share(0.00001)
    ('1.2 %', '50 %', '100 %', '0 %', '<0.1 %')
    """
    percent = ratio * 100
    if percent == 0:
        return "0 %"
    if abs(percent) < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %" if abs(percent) < 9.95 else f"{percent:.0f} %"


def sparkline(values: Sequence[float], *, width: int, floor: float | None = None) -> str:
    """Draws a series as a line of blocks, the mean of a bin each.

    Args:
        values: The series, oldest first.
        width: Characters at most.
        floor: What the lowest block stands for; the least value when None.

    >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7], width=8)
    '▁▂▃▄▅▆▇█'
    >>> sparkline([5, 5, 5], width=8)
    '▁▁▁'
    """
    assert width > 0
    bins = resample(values, width)
    if not bins:
        return ""
    low = min(bins) if floor is None else floor
    span = max(bins) - low
    if span <= 0:
        return BLOCKS[0] * len(bins)
    return "".join(BLOCKS[round((value - low) / span * 7) if value > low else 0] for value in bins)


def resample(values: Sequence[float], width: int) -> list[float]:
    """Averages a series into at most `width` bins of equal length.

    >>> resample([1, 3, 5, 7], 2)
    [2.0, 6.0]
    """
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count + 1)] if count else []
    return [sum(values[start:stop]) / (stop - start) for start, stop in pairwise(edges)]


def curve(values: Sequence[float], *, width: int, height: int) -> list[str]:
    """Draws a series from zero as a filled curve of `height` lines, the top line first.

    >>> curve([8, 4, 0], width=3, height=2)
    ['█  ', '██ ']
    """
    assert width > 0
    assert height > 0
    bins = resample(values, width)
    top = max(bins, default=0.0)
    if top <= 0:
        return [" " * len(bins)] * height
    eighths = [round(max(value, 0.0) / top * height * 8) for value in bins]
    # A value above zero always shows.
    eighths = [
        max(level, 1) if value > 0 else 0 for level, value in zip(eighths, bins, strict=True)
    ]
    lines: list[str] = []
    for row in range(height - 1, -1, -1):
        levels = [min(max(level - row * 8, 0), 8) for level in eighths]
        lines.append("".join(" " if level == 0 else BLOCKS[level - 1] for level in levels))
    return lines
