"""Reading one TOML table: typed keys, each read at most once, and unknown ones refused.

Every error names the file, the line where it can be found, the table and the key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn, cast

from maxwell.errors import ConfigError, choices_hint
from maxwell.units import (
    format_bytes,
    format_duration,
    format_energy,
    format_power,
    parse_bytes,
    parse_duration_ns,
    parse_energy_uj,
    parse_power_mw,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TEXT_LENGTH_MAX = 65_536
LIST_LENGTH_MAX = 4_096


class Source:
    """Where a fleet's text came from, to name lines in errors.

    Args:
        name: the file's name, or a word for data that came from a program.
        text: the file's text, or None.
    """

    def __init__(self, name: str, text: str | None = None) -> None:
        self.name = name
        self._lines = [] if text is None else text.splitlines()

    def locate(self, table: str, index: int | None, key: str | None) -> str:
        """Returns `file:line`, or the file when the line is not found.

        Finds `[table]`, the index-th `[[table]]`, and `key =` in it; a best effort that does not
        parse (inline tables and multi-line texts may hide a key), used for messages only.
        """
        header = re.compile(
            rf"\s*\[\[\s*{re.escape(table)}\s*\]\]"
            if index is not None
            else rf"\s*\[\s*{re.escape(table)}\s*\]"
        )
        wanted = -1 if index is None else index
        found: int | None = None
        count = -1
        for number, line in enumerate(self._lines, start=1):
            if header.match(line):
                count += 1
                if index is None or count == wanted:
                    found = number
                    if key is None:
                        break
            elif re.match(r"\s*\[", line) and found is not None:
                break
            elif (
                found is not None
                and key is not None
                and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[.=]""", line)
            ):
                return f"{self.name}:{number}"
        return f"{self.name}:{found}" if found is not None else self.name


class Table:
    """One TOML table being read.

    Args:
        data: the table.
        source: for messages.
        path: the table's name, such as `process`.
        index: position among tables of this name, for `[[process]]`.
        known: every key that the table may have.
        open_keys: whether unknown keys are left for `rest`.
        overridden: keys whose values came from the command line, for messages.
    """

    def __init__(
        self,
        data: Mapping[str, object],
        *,
        source: Source,
        path: str,
        index: int | None = None,
        known: Sequence[str],
        open_keys: bool = False,
        overridden: Collection[str] = (),
    ) -> None:
        self._data = data
        self._source = source
        self._path = path
        self._index = index
        self._known = known
        self._overridden = overridden
        self.label = f"[{path}]" if index is None else f"[[{path}]] {index + 1}"
        name = data.get("name")
        if isinstance(name, str) and index is not None:
            self.label = f"{path} {name[:64]!r}"
        if not open_keys:
            for key in data:
                if key not in known:
                    self.fail(
                        key, f"unknown key {key!r}", code="MX1001", hint=choices_hint(key, known)
                    )

    def fail(self, key: str | None, text: str, *, code: str, hint: str | None = None) -> NoReturn:
        """Raises a ConfigError that says where."""
        raise ConfigError(f"{self._where(key)}: {text}", code=code, hint=hint)

    def what(self, key: str) -> str:
        """Returns the name of a value for messages: file, line, table and key."""
        return f"{self._where(key)}: {key}"

    def has(self, key: str) -> bool:
        """Returns whether the key is given."""
        return key in self._data

    def raw(self, key: str) -> object:
        """Returns a value as it is."""
        return self._data[key]

    def rest(self) -> dict[str, object]:
        """Returns the values of the keys that are not known."""
        return {key: value for key, value in self._data.items() if key not in self._known}

    def required(self, key: str, *, example: str) -> None:
        """Refuses a table without the key."""
        if key not in self._data:
            self.fail(None, f"{key!r} is missing", code="MX1003", hint=f"add {key} = {example}")

    def exclusive(self, key: str, other: str, *, hint: str) -> None:
        """Refuses a table with both keys."""
        if key in self._data and other in self._data:
            self.fail(key, f"{key!r} and {other!r} exclude each other", code="MX1009", hint=hint)

    def name(self, key: str = "name") -> str:
        """Returns a required name: letters, digits, `.`, `_` and `-`, up to 64."""
        self.required(key, example=f'"my-{self._path}"')
        text = self.text(key, default="")
        if NAME_PATTERN.fullmatch(text) is None:
            self.fail(
                key,
                f"{key}: not a name: {text[:80]!r}",
                code="MX1006",
                hint="1 to 64 letters, digits, '.', '_' or '-', first a letter or digit",
            )
        return text

    def text(self, key: str, *, default: str) -> str:
        """Returns a text without NUL characters."""
        value = self._data.get(key, default)
        if not isinstance(value, str):
            self._wrong_type(key, value, expected="a text")
        return self._plain(key, value)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Returns a truth value."""
        value = self._data.get(key, default)
        if not isinstance(value, bool):
            self._wrong_type(key, value, expected="true or false")
        return value

    def integer(self, key: str, *, default: int, least: int, most: int) -> int:
        """Returns an integer within inclusive bounds."""
        value = self._data.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong_type(key, value, expected="an integer")
        if not least <= value <= most:
            self.fail(
                key,
                f"{key}: out of range: {_short(value)}",
                code="MX1006",
                hint=f"from {least} to {most}",
            )
        return value

    def ratio(self, key: str, *, default: int, scale: int) -> int:
        """Returns a number from 0 to 1, times `scale`, refused when finer than 1 / scale."""
        if key not in self._data:
            return default
        value = self._data[key]
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            self._wrong_type(key, value, expected="a number from 0 to 1")
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not exact.is_finite() or not 0 <= exact <= 1:
            self.fail(
                key, f"{key}: out of range: {_short(value)}", code="MX1006", hint="from 0 to 1"
            )
        scaled = exact * scale
        if scaled != int(scaled):
            self.fail(
                key,
                f"{key}: finer than 1/{scale}: {_short(value)}",
                code="MX1006",
                hint=f"Maxwell counts it in units of 1/{scale}",
            )
        return int(scaled)

    def energy_uj(self, key: str, *, default: int | None, least: int = 0) -> int | None:
        """Returns an energy in microjoules, or the default."""
        return self._quantity(key, parse_energy_uj, _energy, default=default, least=least)

    def power_mw(self, key: str, *, default: int | None, least: int = 0) -> int | None:
        """Returns a power in milliwatts, or the default."""
        return self._quantity(key, parse_power_mw, format_power, default=default, least=least)

    def duration_ns(self, key: str, *, default: int | None, least: int = 0) -> int | None:
        """Returns a duration in nanoseconds, or the default."""
        return self._quantity(key, parse_duration_ns, format_duration, default=default, least=least)

    def memory_bytes(self, key: str, *, default: int, least: int, most: int) -> int:
        """Returns a memory size within inclusive bounds."""
        value = self._quantity(key, parse_bytes, format_bytes, default=default, least=least)
        assert value is not None
        if value > most:
            self.fail(
                key,
                f"{key}: out of range: {self._data.get(key)!r}",
                code="MX1006",
                hint=f"at most {most >> 30} GiB, what a 32-bit guest can address",
            )
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns a list of texts, empty when the key is not given."""
        if key not in self._data:
            return ()
        value = self._data[key]
        if not isinstance(value, (list, tuple)):
            self._wrong_type(key, value, expected="a list of texts")
        items = cast(Sequence[object], value)
        if len(items) > LIST_LENGTH_MAX:
            self.fail(key, f"{key}: {len(items)} items, too many", code="MX1006")
        texts: list[str] = []
        for item in items:
            if not isinstance(item, str):
                self._wrong_type(key, item, expected="a list of texts, and this one is not a text")
            texts.append(self._plain(key, item))
        return tuple(texts)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Returns a table of texts as pairs sorted by key, empty when not given."""
        if key not in self._data:
            return ()
        value = self._data[key]
        if not isinstance(value, Mapping):
            self._wrong_type(key, value, expected='a table such as { NAME = "value" }')
        pairs: list[tuple[str, str]] = []
        for name, text in cast(Mapping[str, object], value).items():
            if not name or "=" in name or "\0" in name:
                self.fail(key, f"{key}: not the name of a variable: {name!r}", code="MX1006")
            if not isinstance(text, str):
                self._wrong_type(key, text, expected=f"a text for {name}")
            pairs.append((name, self._plain(key, text)))
        return tuple(sorted(pairs))

    def _where(self, key: str | None) -> str:
        if key in self._overridden:
            return "command line"
        return f"{self._source.locate(self._path, self._index, key)}: {self.label}"

    def _quantity(
        self,
        key: str,
        parse: Callable[..., int],
        smallest: Callable[[int], str],
        *,
        default: int | None,
        least: int,
    ) -> int | None:
        if key not in self._data:
            return default
        value = parse(self._data[key], what=self.what(key))
        if value < least:
            self.fail(
                key,
                f"{key}: must be above zero: {self._data[key]!r}"
                if least == 1
                else f"{key}: too small: {self._data[key]!r}",
                code="MX1006",
                hint=f'at least "{smallest(least)}"',
            )
        return value

    def _plain(self, key: str, text: str) -> str:
        if "\0" in text:
            self.fail(key, f"{key}: contains a NUL character", code="MX1006")
        if len(text) > TEXT_LENGTH_MAX:
            self.fail(key, f"{key}: longer than {TEXT_LENGTH_MAX} characters", code="MX1006")
        return text

    def _wrong_type(self, key: str, value: object, *, expected: str) -> NoReturn:
        self.fail(
            key,
            f"{key}: expected {expected}, got {type(value).__name__}: {_short(value)}",
            code="MX1004",
            hint="docs/reference/fleet-file.md lists each key with its form",
        )


def _energy(uj: int) -> str:
    """Formats an energy as a fleet file writes it."""
    return format_energy(uj).replace("µ", "u")


def _short(value: object) -> str:
    try:
        text = repr(value) if not isinstance(value, Decimal) else str(value)
    except ValueError:  # an integer beyond Python's limit for decimal texts
        return "a number of thousands of digits"
    return text if len(text) <= 64 else text[:64] + "…"
