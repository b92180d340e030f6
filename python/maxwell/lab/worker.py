"""A guest's operating-system process as the experiment sees it: to stop, let go and time."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from maxwell.energy import ProcessCpuClock
from maxwell.lab.report_ring import FLUSH

if TYPE_CHECKING:
    from maxwell.lab.plan import GuestSpec


class Worker:
    """One process of a baseline; stopped when it is made.

    Args:
        spec: the guest.
        pid: its process, a child of a child of ours that nobody reaps while the experiment lasts.
        read_fd: the reading end of its reports, non-blocking.
    """

    def __init__(self, spec: GuestSpec, pid: int, read_fd: int) -> None:
        self.spec = spec
        self.pid = pid
        self.read_fd = read_fd
        self.partial = b""
        """The beginning of a line whose end has not been read yet."""
        self.outcome = "survived"
        self._clock = ProcessCpuClock(pid)
        self._start_ns = 0

    def fileno(self) -> int:
        """Descriptor of its reports."""
        return self.read_fd

    def zero(self) -> None:
        """Counts CPU time from now on."""
        self._start_ns = self._clock.read()

    @property
    def startup_ns(self) -> int:
        """CPU time before `zero`."""
        return self._start_ns

    def cpu_ns(self) -> int:
        """Returns its CPU time since `zero`, its own by the operating system."""
        return self._clock.read() - self._start_ns

    def halt(self) -> None:
        """Stops it; it keeps its memory and gets no time."""
        self._signal(signal.SIGSTOP)

    def go(self) -> None:
        """Lets it run as the system's scheduler decides."""
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        """Lets it hand on its last results and stop itself; `state` says when it has."""
        self._signal(FLUSH)
        self.go()

    def state(self) -> str:
        """Returns the letter of procfs: `T` stopped, `Z` ended, `X` gone."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "X"
        return text[text.rfind(")") + 2 : text.rfind(")") + 3]

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
