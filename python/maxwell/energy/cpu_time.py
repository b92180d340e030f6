"""CPU time of the processes of a node: the parent, its cells and its finished helpers.

A cell's CPU time is read from its process CPU clock, which the kernel keeps to the nanosecond and
which needs no permission. Its clock id is made from the pid as in the kernel's
`include/linux/posix-timers.h`: ``(~pid << 3) | CPUCLOCK_SCHED`` with ``CPUCLOCK_SCHED = 2``.
`/proc/PID/stat` (a tick of 10 ms) stands in where that fails.
"""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.energy.host import HostPaths
from maxwell.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

_CPUCLOCK_SCHED: Final = 2
_NS: Final = 1_000_000_000


class CpuTimes(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time since the start of the run, in nanoseconds."""

    cells_ns: int
    """All cells, dead ones included."""
    parent_ns: int = 0
    helpers_ns: int = 0
    """Helper processes: finished ones such as admission, and the prover."""


class ProcessCpuClock:
    """The CPU time of another process, which survives its death.

    The value never decreases. Once the process cannot be read any more, its last value stands, so
    that at most what it used since the last `read` is lost: read a dying process before it is
    waited for, while it is a zombie. After the first failure the clock never looks again, since
    the pid may belong to someone else by then.

    Args:
        pid: of a process that lives.
        host: where procfs is.
        clock_gettime_ns: for tests.
    """

    def __init__(
        self,
        pid: int,
        *,
        host: HostPaths | None = None,
        clock_gettime_ns: Callable[[int], int] = time.clock_gettime_ns,
    ) -> None:
        assert pid > 0
        self.pid = pid
        self._host = HostPaths() if host is None else host
        self._clock_gettime_ns = clock_gettime_ns
        self._last_ns = 0
        self._is_dead = False

    @property
    def is_dead(self) -> bool:
        """Whether the process could not be read any more."""
        return self._is_dead

    def read(self) -> int:
        """Returns CPU time in nanoseconds since the process began."""
        if self._is_dead:
            return self._last_ns
        now = self._read()
        if now is None:
            self._is_dead = True
        else:
            self._last_ns = max(self._last_ns, now)
        return self._last_ns

    def close(self) -> int:
        """Reads a last time and freezes the value; call before the process is waited for."""
        last = self.read()
        self._is_dead = True
        return last

    def _read(self) -> int | None:
        try:
            return self._clock_gettime_ns((~self.pid << 3) | _CPUCLOCK_SCHED)
        except OSError:
            return _stat_ns(self._host, self.pid)


class CpuMeter:
    """The CPU time of a whole node, for `NodeMeter`; zero at construction.

    Helpers are counted when they have been waited for, through `RUSAGE_CHILDREN`. That counts
    waited-for cells as well: `add_cell` and `remove_cell` let the meter subtract them.
    """

    def __init__(
        self,
        *,
        host: HostPaths | None = None,
        parent_ns: Callable[[], int] = time.process_time_ns,
        children_ns: Callable[[], int] | None = None,
    ) -> None:
        self._host = HostPaths() if host is None else host
        self._parent_ns = parent_ns
        self._children_ns = _children_ns if children_ns is None else children_ns
        self._parent_start_ns = parent_ns()
        self._children_start_ns = self._children_ns()
        self._cells: dict[int, ProcessCpuClock] = {}
        self._removed_ns = 0
        self._helpers_ns = 0
        self._living_ns: Callable[[], int] | None = None

    def watch_helper(self, living_ns: Callable[[], int]) -> None:
        """Counts a helper that lives as long as the run.

        Args:
            living_ns: its CPU time; 0 once it has been waited for, which counts it as a child.
        """
        self._living_ns = living_ns

    def add_cell(self, pid: int, clock: ProcessCpuClock | None = None) -> None:
        """Counts a process as a cell from its beginning."""
        if pid in self._cells:
            raise InternalError(f"cell {pid} is counted already")
        self._cells[pid] = ProcessCpuClock(pid, host=self._host) if clock is None else clock

    def remove_cell(self, pid: int) -> int:
        """Freezes a cell's CPU time; call when it has ended and before it is waited for.

        Returns:
            Its CPU time in nanoseconds, which stays in `cells_ns`.
        """
        clock = self._cells.pop(pid, None)
        if clock is None:
            raise InternalError(f"no cell {pid}")
        last = clock.close()
        self._removed_ns += last
        return last

    def __call__(self) -> CpuTimes:
        """Returns CPU time since construction."""
        living_ns = 0 if self._living_ns is None else self._living_ns()
        children = self._children_ns() - self._children_start_ns - self._removed_ns + living_ns
        # Clocks of dead cells may be ahead of or behind rusage by a tick: never run backwards.
        self._helpers_ns = max(self._helpers_ns, children)
        return CpuTimes(
            cells_ns=self._removed_ns + sum(clock.read() for clock in self._cells.values()),
            parent_ns=self._parent_ns() - self._parent_start_ns,
            helpers_ns=self._helpers_ns,
        )


def _children_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int(usage.ru_utime * _NS) + int(usage.ru_stime * _NS)


def _stat_ns(host: HostPaths, pid: int) -> int | None:
    """Returns user and system time from `/proc/PID/stat`, or None."""
    try:
        text = (host.procfs / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in parentheses and may itself hold parentheses and spaces.
    fields = text[text.rfind(")") + 1 :].split()
    if len(fields) < 13 or not (fields[11].isdigit() and fields[12].isdigit()):
        return None
    ticks = int(fields[11]) + int(fields[12])
    return ticks * _NS // os.sysconf("SC_CLK_TCK")
