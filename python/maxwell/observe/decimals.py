"""Integers in JSON: one with a unit is a decimal string, a count is a number.

JSON readers may hold numbers as doubles, which round integers above 2**53: 9 GJ in microjoules, or
104 days in nanoseconds, is beyond that. The rule goes by the key, so that a key has one type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

UNIT_WORDS: Final = frozenset(
    {
        "bits",
        "byte",
        "bytes",
        "credits",
        "fuel",
        "mw",
        "ns",
        "picoseconds",
        "pj",
        "ppm",
        "seed",
        "uj",
        "unpaid",
    }
)
"""A key with one of these among its words holds decimal strings."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What `json` reads and writes."""


def is_decimal_key(key: str) -> bool:
    """Tells whether integers under `key` are written as decimal strings.

    >>> is_decimal_key("energy_uj"), is_decimal_key("memory_bytes_max"), is_decimal_key("slices")
    (True, True, False)
    """
    return not UNIT_WORDS.isdisjoint(key.split("_"))


def to_json(value: object, *, decimal: bool = False) -> JsonValue:
    """Converts plain Python data into JSON data.

    Args:
        value: None, bool, int, float, str, or lists, tuples and mappings of these.
        decimal: Whether integers in `value` become decimal strings. A mapping decides anew for
            each of its keys, unless the key that holds it has decided already.

    Raises:
        TypeError: `value` holds something else; a programmer's error.
    """
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        return str(value) if decimal else value
    if isinstance(value, Mapping):
        items = cast(Mapping[object, object], value)
        return {
            str(key): to_json(item, decimal=decimal or is_decimal_key(str(key)))
            for key, item in items.items()
        }
    if isinstance(value, list | tuple):
        sequence = cast(Sequence[object], value)
        return [to_json(item, decimal=decimal) for item in sequence]
    raise TypeError(f"BUG: no JSON for {type(value).__name__}; please report")
