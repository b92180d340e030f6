"""`events.jsonl`: what happened in a run, one JSON object a line.

A log is an observer: a full or failing disk never stops the run. The log then stops by itself,
counts what it could not keep, leaves a file whose every line is whole, and says so in one warning.

Integers that may exceed 2**53 are decimal strings by their key (see `is_decimal_key`), so that no
reader rounds them; docs/reference/events.md lists every event.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, Self

import msgspec

from maxwell.errors import ConfigError
from maxwell.observe.decimals import is_decimal_key, to_json

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

EVENTS: Final = frozenset(
    {
        "run_started",
        "admitted",
        "spawned",
        "started",
        "sample",
        "output",
        "result",
        "refused_result",
        "request",
        "model",
        "order",
        "inference",
        "inference_paid",
        "refused_claim",
        "question",
        "belief",
        "claim",
        "refused_belief",
        "quality",
        "income",
        "heat",
        "died",
        "cell_lost",
        "cell_restarted",
        "warning",
        "settled",
        "run_finished",
    }
)
"""Every event a run writes."""

BULKY_EVENTS: Final = frozenset(
    {
        "sample",
        "output",
        "request",
        "order",
        "inference",
        "refused_claim",
        "refused_result",
        "refused_belief",
        "quality",
    }
)
"""Events whose number grows with the run; the last eighth of the file is kept for the others."""

BUFFER_BYTES: Final = 64 * 1024
"""Written at once: about 100 epochs of 8 processes, or one of 1,000."""

FILE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""1 GiB: 8 processes write about 7 KB/s, which fills it in 40 hours."""

LINE_BYTES_MAX: Final = 16 * 1024 * 1024
"""A longer line is no event of ours: 100,000 processes in one sample stay below it."""

DECIMAL: Final = re.compile(r"-?[0-9]{1,40}")
"""A decimal string of a u128 has 39 digits."""

FLUSH_NS: Final = 1_000_000_000
"""Lines reach the file at least once a second of the run's own clock, for `tail -f`."""


class Sink(Protocol):
    """An unbuffered binary file, as `open(path, "wb", buffering=0)` gives it."""

    def write(self, data: bytes, /) -> int | None:
        """Writes a prefix of `data`; returns its length, None for nothing."""
        ...

    def truncate(self, size: int, /) -> int:
        """Cuts the file to `size` bytes."""
        ...

    def close(self) -> None:
        """Closes the file."""
        ...


class LogStatistics(msgspec.Struct, frozen=True):
    """What an `EventLog` has kept and lost."""

    written_events: int
    written_bytes: int
    lost_events: int
    failure: str | None
    """Why events were lost; None while none were."""


class EventLog:
    r"""Appends events to a file and survives the failure of that file.

    Args:
        path: The file; an existing one is replaced.
        file_bytes_max: Where the log stops; its last eighth takes none of `BULKY_EVENTS`.
        sink: Written to instead of `path`, for tests.

    Raises:
        ConfigError: The file cannot be created. Nothing later raises because of the file.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "events.jsonl"
    >>> with EventLog(path) as log:
    ...     log.write("started", 1_500, process="hello")
    >>> path.read_text()
    '{"event":"started","t_ns":"1500","process":"hello"}\n'
    """

    def __init__(
        self, path: Path, *, file_bytes_max: int = FILE_BYTES_MAX, sink: Sink | None = None
    ) -> None:
        assert file_bytes_max > 0
        self._path = path
        self._sink: Sink | None = sink if sink is not None else _create(path)
        self._bytes_max = file_bytes_max
        self._bulky_bytes_max = file_bytes_max - file_bytes_max // 8
        self._buffer = bytearray()
        self._buffered_events = 0
        self._flushed_ns = 0
        self._file_bytes = 0
        self._written_events = 0
        self._lost_events = 0
        self._failure: str | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def write(self, event: str, t_ns: int, **fields: object) -> None:
        """Takes one event; it reaches the file within `FLUSH_NS`, or at `close`.

        Args:
            event: One of `EVENTS`.
            t_ns: The run's clock.
            fields: Plain data; integers become numbers or decimal strings by their key.
        """
        assert event in EVENTS, f"BUG: unknown event {event!r}; please report"
        assert t_ns >= 0
        if self._sink is None:
            self._lost_events += 1
            return
        line = _line(event, t_ns, fields)
        limit = self._bulky_bytes_max if event in BULKY_EVENTS else self._bytes_max
        if self._file_bytes + len(self._buffer) + len(line) > limit:
            self._lost_events += 1
            self._failure = self._failure or f"the file reached {self._bytes_max:,} bytes"
            return
        self._buffer += line
        self._buffered_events += 1
        if len(self._buffer) >= BUFFER_BYTES or t_ns - self._flushed_ns >= FLUSH_NS:
            self._flushed_ns = t_ns
            self.flush()

    def flush(self) -> None:
        """Writes what is buffered; after a failure the file ends with its last whole line."""
        if self._sink is None or not self._buffer:
            return
        done = 0
        try:
            while done < len(self._buffer):
                written = self._sink.write(bytes(self._buffer[done:]))
                if not written:
                    raise OSError(errno.EIO, "nothing was written")
                done += written
        except OSError as error:
            self._fail(error, done)
            return
        self._file_bytes += done
        self._written_events += self._buffered_events
        self._buffer.clear()
        self._buffered_events = 0

    def close(self) -> None:
        """Writes what is buffered and closes the file; closing again does nothing."""
        self.flush()
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close()
        except OSError as error:
            self._failure = self._failure or _why(error)

    def statistics(self) -> LogStatistics:
        """Returns what was kept and lost so far."""
        return LogStatistics(
            written_events=self._written_events,
            written_bytes=self._file_bytes,
            lost_events=self._lost_events,
            failure=self._failure,
        )

    def warning(self) -> str | None:
        """Returns the warning that belongs into the report; None when nothing was lost."""
        if self._failure is None:
            return None
        return f"events.jsonl is incomplete: {self._lost_events:,} events lost: {self._failure}"

    def _fail(self, error: OSError, done: int) -> None:
        """Keeps the whole lines among the first `done` buffered bytes and stops the log."""
        sink, self._sink = self._sink, None
        assert sink is not None
        whole = self._buffer.rfind(b"\n", 0, done) + 1
        kept = self._buffer.count(b"\n", 0, whole)
        self._file_bytes += whole
        self._written_events += kept
        self._lost_events += self._buffered_events - kept
        self._failure = _why(error)
        self._buffer.clear()
        self._buffered_events = 0
        # A device cannot be cut; `read_events` then finds one torn line at the end.
        with suppress(OSError):
            sink.truncate(self._file_bytes)
        # The first failure is the one worth reporting.
        with suppress(OSError):
            sink.close()

    def __enter__(self) -> Self:
        """Returns the log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the log."""
        self.close()


class Event(msgspec.Struct, frozen=True):
    """One line of `events.jsonl`."""

    name: str
    t_ns: int
    fields: Mapping[str, object]

    def integer(self, key: str) -> int:
        """Returns a figure, whether it was written as a number or as a decimal string.

        Raises:
            ConfigError: MX1401: there is no such integer in the event.
        """
        return as_integer(self.fields.get(key), what=f"{self.name}.{key}")

    def text(self, key: str) -> str:
        """Returns a text; empty when the event has none."""
        value = self.fields.get(key)
        return value if isinstance(value, str) else ""


def as_integer(value: object, *, what: str) -> int:
    """Reads an integer out of JSON data.

    Raises:
        ConfigError: `value` is neither an integer nor a decimal string.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        return int(value)
    raise ConfigError(f"not an integer in events.jsonl: {what} = {value!r}")


def read_events(path: Path) -> Iterator[Event]:
    """Yields the events of a file in order; a torn last line ends it silently.

    A run that was killed may leave half a line at the end, and only there.

    Raises:
        ConfigError: The file cannot be read, or a line before the last is no event; the message
            names the line's number.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES_MAX):
                number += 1
                whole = line.endswith(b"\n")
                event = _parse(line)
                if event is not None:
                    yield event
                elif whole or len(line) == LINE_BYTES_MAX:
                    raise ConfigError(
                        f"not an event: {path}, line {number}",
                        hint="the file was changed after the run; delete the line or run again",
                    )
    except OSError as error:
        raise ConfigError(f"cannot read events: {path}: {error.strerror}") from error


def _parse(line: bytes) -> Event | None:
    """Returns the event in a line; None when it holds none."""
    try:
        data = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return None
    name, t_ns = data.pop("event", None), data.pop("t_ns", None)
    if not isinstance(name, str) or not isinstance(t_ns, str) or not DECIMAL.fullmatch(t_ns):
        return None
    return Event(name=name, t_ns=int(t_ns), fields=data)


def _line(event: str, t_ns: int, fields: Mapping[str, object]) -> bytes:
    """Encodes one event; figures in rows of a sample are decimal strings."""
    data: dict[str, object] = {"event": event, "t_ns": str(t_ns)}
    for key, value in fields.items():
        rows = event == "sample" and key == "processes"
        data[key] = to_json(value, decimal=rows or is_decimal_key(key))
    line = msgspec.json.encode(data) + b"\n"
    assert len(line) <= LINE_BYTES_MAX, f"BUG: an event of {len(line)} bytes; please report"
    return line


def _create(path: Path) -> Sink:
    """Opens the file for writing.

    Raises:
        ConfigError: The folder does not exist, is read-only, or is full.
    """
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise ConfigError(
            f"cannot write events: {path}: {error.strerror}",
            hint="choose a folder that you can write to with `--out`",
        ) from error


def _why(error: OSError) -> str:
    """Names the failure as the operating system does."""
    return os.strerror(error.errno) if error.errno is not None else str(error)
