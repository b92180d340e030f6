"""The receipt file: a CBOR sequence (RFC 8742), appended to while a run goes on.

Each item is `[statement, receipts]`: first the opening with no receipts, then one batch each. An
item is written at once, so that a killed run leaves whole items and at most one torn one at the
end. Like the event log it is an observer: a full or failing disk ends the file, never the run, and
the summary says how many batches are missing.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from maxwell.errors import BadReceipt, ConfigError
from maxwell.token.cbor import TornError, decode_first, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE_BYTES_MAX: Final = 1 << 30
"""1 GiB: 8 processes write 3 KB/s, which fills it in four days."""
BATCH_RECEIPTS_MAX: Final = 65_536
"""Twice what 5,000 guests on 6 cells need."""
SUMMARY_BYTES_MAX: Final = 16 << 20
"""40 bytes a process."""


class Sink(Protocol):
    """An unbuffered binary file."""

    def write(self, data: bytes, /) -> int | None:
        """Writes a prefix of `data`; returns its length, None for nothing."""
        ...

    def truncate(self, size: int, /) -> int:
        """Cuts the file to `size` bytes."""
        ...

    def close(self) -> None:
        """Closes the file."""
        ...


class ReceiptFile:
    """Appends items and survives the failure of its file.

    Args:
        path: replaced when it exists.
        bytes_max: where the file stops.
        sink: written to instead of `path`, for tests.

    Raises:
        ConfigError: MX1000 when the file cannot be created. Nothing later raises because of it.
    """

    def __init__(
        self, path: Path, *, bytes_max: int = FILE_BYTES_MAX, sink: Sink | None = None
    ) -> None:
        try:
            self._sink: Sink | None = path.open("wb", buffering=0) if sink is None else sink
        except OSError as error:
            raise ConfigError(
                f"cannot write receipts: {path}: {error.strerror}",
                hint="choose a folder that you can write to with `--out`",
            ) from error
        self._name = path.name
        self._bytes = 0
        self._bytes_max = bytes_max
        self.lost = 0
        """Items that did not reach the file."""
        self._failure: str | None = None

    def append(self, statement: bytes, receipts: Sequence[bytes]) -> None:
        """Writes one item, or counts it as lost."""
        sink = self._sink
        if sink is None:
            self.lost += 1
            return
        item = encode([statement, list(receipts)])
        if self._bytes + len(item) > self._bytes_max:
            self._fail(sink, f"the file reached {self._bytes_max:,} bytes")
            return
        done = 0
        try:
            while done < len(item):
                written = sink.write(item[done:] if done else item)
                if not written:
                    raise OSError(errno.EIO, "nothing was written")
                done += written
        except OSError as error:
            self._fail(sink, os.strerror(error.errno) if error.errno else str(error))
            return
        self._bytes += len(item)

    def _fail(self, sink: Sink, why: str) -> None:
        self._failure = why
        self.lost += 1
        self._sink = None
        # What cannot be cut is found as a torn end by the reader.
        with suppress(OSError):
            sink.truncate(self._bytes)
        with suppress(OSError):
            sink.close()

    def close(self) -> None:
        """Closes the file; closing again does nothing."""
        sink, self._sink = self._sink, None
        if sink is not None:
            with suppress(OSError):
                sink.close()

    def warning(self) -> str | None:
        """Returns the warning that belongs into the report; None when nothing was lost."""
        if not self.lost:
            return None
        return f"{self._name} is incomplete: {self.lost:,} batches lost: {self._failure}"


class Item(msgspec.Struct, frozen=True):
    """One item of the file."""

    statement: bytes
    receipts: list[bytes]
    offset: int


def read_items(data: bytes | memoryview, *, what: str) -> Iterator[Item]:
    """Yields the items of a receipt file.

    Raises:
        BadReceipt: MX1602 when an item is no item; MX1610 when the last one is torn.
    """
    at = 0
    while at < len(data):
        try:
            value, end = decode_first(data, at, what=what)
        except TornError as error:
            raise BadReceipt(
                f"{what}: torn after {at:,} whole bytes of {len(data):,}: {error}", code="MX1610"
            ) from error
        statement, receipts = value if isinstance(value, list) and len(value) == 2 else (None, None)
        if not isinstance(statement, bytes) or not isinstance(receipts, list):
            raise BadReceipt(f"{what}: no batch of receipts at byte {at}", code="MX1602")
        found = [entry for entry in receipts if isinstance(entry, bytes)]
        if len(found) != len(receipts) or len(found) > BATCH_RECEIPTS_MAX:
            raise BadReceipt(f"{what}: no list of receipts at byte {at}", code="MX1602")
        yield Item(statement, found, at)
        at = end


def read_file(path: Path) -> bytes:
    """Returns the bytes of a receipt file.

    Read, not mapped: a mapped file that somebody cuts meanwhile would end the program.

    Raises:
        ConfigError: MX1002 when it cannot be read, or is larger than any that a run writes.
    """
    try:
        # Opening a pipe would wait for its writer.
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise OSError(errno.EFBIG, f"larger than {FILE_BYTES_MAX:,} bytes")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}",
            code="MX1002",
            hint="name the folder of a run that kept its files",
        ) from error
    return data
