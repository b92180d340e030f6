"""What guests of a fleet wrote: one bounded file a process and stream, in the run folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from maxwell.units import format_bytes

if TYPE_CHECKING:
    from maxwell.observe.folder import RunFolder

STREAM_BYTES_MAX: Final = 16 * 1024 * 1024
"""Kept of each stream: 100 processes then fill at most 3.2 GiB."""

OPEN_FILES_MAX: Final = 64
"""Files kept open at once; well below the usual limit of 1,024 descriptors."""


class OutputFiles:
    """Appends guests' output to `output/NAME.stdout` and `output/NAME.stderr`.

    What does not fit, or cannot be written because the disk is full, is counted, never raised.
    `close` ends each shortened file with one line that says how many bytes are missing.

    Args:
        folder: The run's folder; its `output` must exist.
        stream_bytes_max: Kept of each stream.
    """

    def __init__(self, folder: RunFolder, *, stream_bytes_max: int = STREAM_BYTES_MAX) -> None:
        assert stream_bytes_max > 0
        self._folder = folder
        self._bytes_max = stream_bytes_max
        self._kept: dict[tuple[str, str], int] = {}
        self._lost: dict[tuple[str, str], int] = {}
        self._open: dict[tuple[str, str], int] = {}

    def write(self, process: str, stream: str, data: bytes, lost_bytes: int = 0) -> None:
        """Takes what a process wrote, and how many bytes the cell had to drop before it."""
        assert stream in {"stdout", "stderr"}, f"BUG: no stream {stream!r}; please report"
        assert lost_bytes >= 0
        key = (process, stream)
        kept = self._kept.setdefault(key, 0)
        part = data[: self._bytes_max - kept]
        written = self._append(key, part) if part else 0
        self._kept[key] = kept + written
        missing = lost_bytes + len(data) - written
        if missing:
            self._lost[key] = self._lost.get(key, 0) + missing

    def lost(self) -> dict[tuple[str, str], int]:
        """Returns the bytes missing by process and stream; only those that miss some."""
        return dict(self._lost)

    def warnings(self) -> tuple[str, ...]:
        """Returns the warnings that belong into the report."""
        if not self._lost:
            return ()
        total = sum(self._lost.values())
        names = sorted({process for process, _ in self._lost})
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        return (f"{format_bytes(total)} of guests' output were dropped: {listed}",)

    def close(self) -> None:
        """Marks shortened files and closes all."""
        for key, missing in self._lost.items():
            self._append(key, f"\n[maxwell: {missing:,} bytes lost]\n".encode())
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _append(self, key: tuple[str, str], data: bytes) -> int:
        """Writes a prefix of `data`; returns its length."""
        done = 0
        try:
            descriptor = self._descriptor(key)
            while done < len(data):
                done += os.write(descriptor, data[done:])
        except OSError:
            # Counted by the caller as lost, and shown in the file and the report.
            pass
        return done

    def _descriptor(self, key: tuple[str, str]) -> int:
        """Opens the file of a stream, closing the one that was opened first when there are many."""
        if key not in self._open:
            if len(self._open) >= OPEN_FILES_MAX:
                os.close(self._open.pop(next(iter(self._open))))
            path = self._folder.output_file(*key)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._open[key] = os.open(path, flags, 0o644)
        return self._open[key]
