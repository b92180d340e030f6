"""Deterministic CBOR (RFC 8949, section 4.2.1), of the few kinds that receipts are made of.

Encoding is `cbor2`'s. Decoding is strict and bounded, and is done here, since what is read may be
anybody's: unsigned and negative integers of 64 bits, byte and text strings, arrays, maps with
ascending unsigned keys, false, true and null, and tag 18 (COSE_Sign1). Every other byte string is
refused: indefinite lengths, longer forms than needed, floats, other tags, deep nesting, lengths
beyond the end. No length is believed before its bytes are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import cbor2

from maxwell.errors import BadReceipt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIGN1_TAG: Final = 18
DEPTH_MAX: Final = 6
"""A summary is a tagged array of a string; a receipt a map of maps. Nothing is deeper than 4."""

Value: TypeAlias = "int | bytes | str | bool | list[Value] | dict[int, Value] | Tagged | None"
Encodable: TypeAlias = (
    "int | bytes | str | bool | Sequence[Encodable] | Mapping[int, Encodable] | None"
)

_ONE_BYTE: Final = 24
_SIMPLE: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}


class Tagged(list["Value"]):
    """An array under tag 18."""


class TornError(Exception):
    """The bytes end before the item does."""


def encode(value: Encodable) -> bytes:
    """Returns the deterministic encoding; maps must have their unsigned keys in ascending order."""
    return cbor2.dumps(value)


def encode_sign1(parts: Sequence[Encodable]) -> bytes:
    """Returns an array under tag 18."""
    return bytes([0xC0 | SIGN1_TAG]) + cbor2.dumps(list(parts))


def decode(data: bytes, *, what: str) -> Value:
    """Returns the one item that `data` is.

    Raises:
        BadReceipt: MX1602 when it is not exactly one item in deterministic encoding.
    """
    try:
        value, end = decode_first(data, 0, what=what)
    except TornError as error:
        raise BadReceipt(f"{what}: it ends too early: {error}", code="MX1602") from error
    if end != len(data):
        raise BadReceipt(f"{what}: {len(data) - end} bytes follow its end", code="MX1602")
    return value


def decode_first(data: bytes | memoryview, start: int, *, what: str) -> tuple[Value, int]:
    """Returns the item at an offset, and the offset of what follows it.

    Raises:
        TornError: `data` ends within the item.
        BadReceipt: MX1602 when the bytes are no item in deterministic encoding.
    """
    reader = _Reader(data, start, what)
    return reader.item(0), reader.at


class _Reader:
    """A cursor over the bytes."""

    def __init__(self, data: bytes | memoryview, start: int, what: str) -> None:
        self._data = data
        self._end = len(data)
        self._what = what
        self.at = start

    def item(self, depth: int) -> Value:
        if depth > DEPTH_MAX:
            self._fail(f"nested deeper than {DEPTH_MAX}")
        at = self.at
        major, argument = self._head()
        match major:
            case 0:
                return argument
            case 1:
                return -1 - argument
            case 2:
                return self._take(argument)
            case 3:
                return self._text(self._take(argument), at)
            case 4:
                return self._array(argument, depth)
            case 5:
                return self._map(argument, depth)
            case 6:
                return self._tagged(argument, depth, at)
            case _:
                if argument not in _SIMPLE or self.at != at + 1:
                    self._fail("neither false, true nor null", at)
                return _SIMPLE[argument]

    def _head(self) -> tuple[int, int]:
        at = self.at
        first = self._take(1)[0]
        major, small = first >> 5, first & 31
        if small < _ONE_BYTE:
            return major, small
        if small > _ONE_BYTE + 3:
            self._fail("an indefinite length or a reserved form", at)
        width = 1 << (small - _ONE_BYTE)
        argument = int.from_bytes(self._take(width), "big")
        least = _ONE_BYTE if width == 1 else 1 << (4 * width)
        if argument < least:
            self._fail("a number in a longer form than it needs", at)
        return major, argument

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > self._end:
            raise TornError(f"{count} bytes are announced at {self.at}, {self._end - self.at} left")
        taken = bytes(self._data[self.at : end])
        self.at = end
        return taken

    def _text(self, data: bytes, at: int) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self._fail("a text that is not UTF-8", at)

    def _room(self, count: int) -> None:
        # Each element takes a byte at least, so that a huge count is found out before it is tried.
        if count > self._end - self.at:
            raise TornError(f"{count} elements are announced at {self.at}")

    def _array(self, count: int, depth: int) -> list[Value]:
        self._room(count)
        return [self.item(depth + 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[int, Value]:
        self._room(count)
        found: dict[int, Value] = {}
        last = -1
        for _ in range(count):
            at = self.at
            major, key = self._head()
            if major != 0 or key <= last:
                self._fail("keys of a map that are not ascending unsigned integers", at)
            last = key
            found[key] = self.item(depth + 1)
        return found

    def _tagged(self, tag: int, depth: int, at: int) -> Tagged:
        value = self.item(depth + 1) if tag == SIGN1_TAG else None
        if not isinstance(value, list) or isinstance(value, Tagged):
            self._fail(f"tag {tag} where only a signed statement may be", at)
        return Tagged(value)

    def _fail(self, why: str, at: int | None = None) -> NoReturn:
        where = self.at if at is None else at
        raise BadReceipt(f"{self._what}: {why}, at byte {where}", code="MX1602")
