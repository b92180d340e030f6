"""Cells as the parent sees them: one operating-system process each, and its end of a pipe."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.node.wire import (
    MESSAGES_PER_FRAME_MAX,
    EpochReport,
    FrameReader,
    Message,
    encode_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_READ_BYTES: Final = 1 << 20
RECEIVE_BYTES_MAX: Final = 8 << 20
"""Read from one cell in one turn: four reports at the size where cells split them."""
SEND_BACKLOG_BYTES_MAX: Final = 256 << 20
"""A cell that does not read for so long is taken for dead."""
_FRAME_DATA_BYTES: Final = 8 << 20
"""Bytes of answers after which a frame is full; one answer more still fits."""
STOP_S: Final = 10.0
"""How long a cell may take to end after its last report."""


class CellTotals(msgspec.Struct):
    """Figures of one cell, over all its incarnations."""

    cpu_ns: int = 0
    startup_cpu_ns: int = 0
    slice_ns: int = 0
    overhead_ns: int = 0
    idle_ns: int = 0
    stolen_ns: int = 0
    slices: int = 0


class Cell:
    """One cell: starts it, speaks with it, notices its death.

    Args:
        number: the cell's number.
        config: its first frame.
        environ: its environment.
    """

    def __init__(self, number: int, config: Message, environ: Mapping[str, str]) -> None:
        self.number = number
        self.restarts = 0
        self.reports: list[EpochReport] = []
        self.last: EpochReport | None = None
        self._config = config
        self._environ = dict(environ)
        self._past = CellTotals()
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "maxwell.node.cell", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self._environ,
                start_new_session=True,
            )
        self._connect(ours)
        self._send(encode_frame(self._config))

    def _connect(self, ours: socket.socket) -> None:
        ours.setblocking(False)
        self._socket = ours
        self._reader = FrameReader()
        self._outgoing = bytearray()
        self._queued: list[Message] = []
        self.is_open = True
        self.given_up = False
        """Whether it died too often to be started again."""
        self.failure: str | None = None

    @property
    def core(self) -> object:
        """Number of the core that it is pinned to; None when it is not."""
        return self._config.get("core")

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._outgoing)

    def queue(self, message: Message) -> None:
        """Takes a message for the next `flush`."""
        self._queued.append(message)

    def flush(self) -> None:
        """Sends the queued messages as one frame."""
        queued, self._queued = self._queued, []
        for batch in batches_of(queued):
            self._outgoing += encode_frame(batch)
        if self._outgoing:
            self._send(b"")

    def _send(self, frame: bytes) -> None:
        self._outgoing += frame
        while self._outgoing and self.is_open:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EINTR:
                    # It is gone. What it said before stays to be read, up to the pipe's end.
                    self._outgoing.clear()
            else:
                del self._outgoing[:sent]
        if len(self._outgoing) > SEND_BACKLOG_BYTES_MAX:
            self.failure = "it does not read its messages"
            self.is_open = False

    def receive(self) -> None:
        """Reads what there is into `reports`; sets `is_open` to False at the end of the pipe.

        At most `RECEIVE_BYTES_MAX` at once: the other cells have their turn before the rest.
        """
        left = RECEIVE_BYTES_MAX
        while self.is_open and left > 0:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EINTR:
                    self.is_open = False
                continue
            if not data:
                self.is_open = False
                return
            left -= len(data)
            try:
                reports = self._reader.feed(data)
            except ValueError as error:
                self.failure = f"it sent {error}"
                self.is_open = False
                return
            if reports:
                self.last = reports[-1]
                self.reports += reports

    def take_reports(self) -> list[EpochReport]:
        """Returns the reports since the last call."""
        taken, self.reports = self.reports, []
        return taken

    def totals(self) -> CellTotals:
        """Returns the figures of this cell so far, earlier incarnations included."""
        now = self.last
        past = self._past
        if now is None:
            return msgspec.structs.replace(past)
        return CellTotals(
            cpu_ns=past.cpu_ns + now.cpu_ns,
            startup_cpu_ns=past.startup_cpu_ns + now.startup_cpu_ns,
            slice_ns=past.slice_ns + now.slice_ns,
            overhead_ns=past.overhead_ns + now.overhead_ns,
            idle_ns=past.idle_ns + now.idle_ns,
            stolen_ns=past.stolen_ns + now.stolen_ns,
            slices=past.slices + now.slices,
        )

    def await_end(self) -> str:
        """Waits for the process to end, killing it after `STOP_S`; returns how it ended."""
        self._socket.close()
        self.is_open = False
        try:
            _, stderr = self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, stderr = self._process.communicate()
        status = self._process.returncode
        said = stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        how = f"killed by {_signal_name(-status)}" if status < 0 else f"exited with {status}"
        parts = [how, self.failure, said or None]
        return "; ".join(part for part in parts if part)

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()

    def is_zombie_waited(self, *, timeout_s: float) -> bool:
        """Waits until the process has ended, without reaping it; returns whether it has."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
            if os.waitid(os.P_PID, self.pid, flags) is not None:
                return True
            time.sleep(0.001)
        return False

    def restart(self, *, start_ns: int, start_monotonic_ns: int | None) -> None:
        """Starts a new process for the same cell; its figures and its clock go on.

        Args:
            start_ns: what the run's clock shows now.
            start_monotonic_ns: the machine's clock at that moment; None for virtual time.
        """
        clock: Message = {"start_ns": start_ns, "start_monotonic_ns": start_monotonic_ns}
        self._config = {**self._config, **clock}
        self._past = self.totals()
        self.last = None
        self.reports = []
        self.restarts += 1
        self._start()


def batches_of(messages: list[Message]) -> Iterator[list[Message]]:
    """Cuts messages into frames, by their number and by the bytes of answers that they carry."""
    batch: list[Message] = []
    carried = 0
    for message in messages:
        data = message.get("data")
        size = len(data) if isinstance(data, bytes) else 0
        if batch and (len(batch) == MESSAGES_PER_FRAME_MAX or carried + size > _FRAME_DATA_BYTES):
            yield batch
            batch, carried = [], 0
        carried += size
        batch.append(message)
    if batch:
        yield batch


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
