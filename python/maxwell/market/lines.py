"""Joining chunks of a stream into lines, with a bound on memory.

A line that is longer than 4 KiB is dropped as a whole, whatever follows on it, and counted: it
cannot pay. Invalid UTF-8 becomes U+FFFD, one for each bad sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maxwell.market.resolvers import LINE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator


class LineJoiner:
    """The lines of one stream of one process. At most 4 KiB is kept between calls."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._overflowed = False
        self.too_long = 0
        """Lines that were dropped for their length."""

    def feed(self, data: bytes) -> list[str]:
        """Returns the lines that `data` completes, without line ends. O(len(data))."""
        return list(self.cut(data))

    def cut(self, data: bytes, *, after_gap: bool = False) -> Iterator[str]:
        """Yields the same lines one by one, so that whoever judges them can stop in between.

        A chunk must be cut to its end before the next one is.

        Args:
            data: a chunk of the stream.
            after_gap: a part of the stream before it was dropped; the line across is no line.
        """
        if after_gap:
            self._overflowed = True
            self._partial.clear()
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._append(data[start:end])
            yield from self._take()
            start = end + 1
        self._append(data[start:])

    def finish(self) -> list[str]:
        """Returns the last line when it had no line end; the stream is over."""
        return self._take() if self._partial or self._overflowed else []

    def _append(self, piece: bytes) -> None:
        if self._overflowed:
            return
        # One byte more than the limit, for the carriage return before a line feed.
        if len(self._partial) + len(piece) > LINE_BYTES_MAX + 1:
            self._overflowed = True
            self._partial.clear()
            return
        self._partial += piece

    def _take(self) -> list[str]:
        line = bytes(self._partial).removesuffix(b"\r")
        self._partial.clear()
        if self._overflowed or len(line) > LINE_BYTES_MAX:
            self._overflowed = False
            self.too_long += 1
            return []
        return [decode_line(line)]


def decode_line(line: bytes) -> str:
    """Returns a line as text; invalid UTF-8 becomes U+FFFD."""
    return line.decode(errors="replace")
