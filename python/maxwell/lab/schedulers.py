"""The baselines' schedulers. None of them knows what a guest's work is worth.

- `FairShare`: Linux alone, its fair class (EEVDF), equal weights.
- `Quota`: an equal rate for each process, enforced by the kernel's CPU bandwidth control where a
  control group can be made, else by stopping a process for the rest of the period.
- `Stride`: stride scheduling with equal tickets (C. Waldspurger and W. Weihl, "Stride Scheduling:
  Deterministic Proportional-Share Resource Management", MIT/LCS/TM-528, 1995, section 2): the
  process with the least pass runs next, and its pass grows by stride times what it used. Our own
  user-space version: one queue a core, time used read from the process's clock, a quantum of
  `TICK_NS`, and SIGSTOP and SIGCONT in place of a context switch.
- `Allowance`: an equal total for each process, the purse without the market: who has used it up is
  stopped for good.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from maxwell.lab.cgroup import CpuGroups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maxwell.lab.worker import Worker

TICK_NS: Final = 10_000_000
"""How often a scheduler looks: the quantum of the stride scheduler."""
PERIOD_NS: Final = 100_000_000
"""Of quotas: the default of the kernel's bandwidth control."""


class Scheduler(Protocol):
    """Gives out the cores of one baseline."""

    def start(self, lanes: Sequence[Sequence[Worker]]) -> None:
        """Lets the processes go; one list a core, all stopped."""
        ...

    def tick(self, now_ns: int) -> bool:
        """Called every `TICK_NS`; returns False when nobody will ever run again."""
        ...

    def close(self) -> None:
        """Takes back what it set up in the system."""
        ...

    @property
    def words(self) -> str:
        """What it is, for people."""
        ...


class FairShare:
    """Leaves everything to Linux."""

    words = "Linux's fair scheduler, equal weights"

    def start(self, lanes: Sequence[Sequence[Worker]]) -> None:
        """Lets all go."""
        for lane in lanes:
            for worker in lane:
                worker.go()

    def tick(self, now_ns: int) -> bool:
        """Does nothing."""
        del now_ns
        return True

    def close(self) -> None:
        """Has nothing to take back."""


class Quota:
    """An equal rate for each process: its core divided by the processes there.

    Args:
        groups: control groups that can be made here; None enforces by signals.
    """

    def __init__(self, groups: CpuGroups | None) -> None:
        self._groups = groups
        self._lanes: list[list[Worker]] = []
        self._used_ns: dict[int, int] = {}
        self._halted: set[int] = set()
        self._period_end_ns = 0

    @property
    def words(self) -> str:
        """Names what enforces it."""
        means = self._groups.words if self._groups is not None else "SIGSTOP and SIGCONT"
        return f"an equal CPU quota per process of each {PERIOD_NS // 1_000_000} ms, by {means}"

    def start(self, lanes: Sequence[Sequence[Worker]]) -> None:
        """Sets the quotas and lets all go."""
        self._lanes = [list(lane) for lane in lanes]
        for lane in self._lanes:
            for worker in lane:
                if self._groups is not None:
                    quota_us = PERIOD_NS // len(lane) // 1_000
                    self._groups.confine(worker.pid, quota_us, PERIOD_NS // 1_000)
                worker.go()

    def tick(self, now_ns: int) -> bool:
        """Without control groups: stops who has used its part of the period."""
        if self._groups is None:
            if now_ns >= self._period_end_ns:
                self._begin_period(now_ns)
            for lane in self._lanes:
                for worker in lane:
                    used = worker.cpu_ns() - self._used_ns[worker.pid]
                    if worker.pid not in self._halted and used >= PERIOD_NS // len(lane):
                        worker.halt()
                        self._halted.add(worker.pid)
        return True

    def _begin_period(self, now_ns: int) -> None:
        self._period_end_ns = now_ns + PERIOD_NS
        self._halted.clear()
        for lane in self._lanes:
            for worker in lane:
                self._used_ns[worker.pid] = worker.cpu_ns()
                worker.go()

    def close(self) -> None:
        """Removes the control groups; their processes have ended."""
        if self._groups is not None:
            self._groups.close()


class Stride:
    """Stride scheduling with equal tickets, one queue a core."""

    words = f"stride scheduling, equal tickets, quantum {TICK_NS // 1_000_000} ms, by signals"

    def __init__(self) -> None:
        self._queues: list[StrideQueue] = []

    def start(self, lanes: Sequence[Sequence[Worker]]) -> None:
        """Lets the first of each core go."""
        self._queues = [StrideQueue(lane) for lane in lanes if lane]

    def tick(self, now_ns: int) -> bool:
        """Charges who ran and lets the least pass run."""
        del now_ns
        for queue in self._queues:
            queue.turn()
        return True

    def close(self) -> None:
        """Has nothing to take back."""


class StrideQueue:
    """The processes of one core; a pass is own CPU time in ns, since tickets are equal."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        assert workers
        self._workers = list(workers)
        self._running = self._least()
        self._running.go()

    def _least(self) -> Worker:
        """The process with the least pass; the first of them when several have it."""
        return min(self._workers, key=lambda worker: worker.cpu_ns())

    def turn(self) -> None:
        """Ends a quantum: whoever has used least so far runs next."""
        following = self._least()
        if following is self._running:
            return
        self._running.halt()
        following.go()
        self._running = following


class Allowance:
    """An equal total for each process; who has used it up is stopped for good.

    Args:
        total_ns: CPU time of each.
    """

    def __init__(self, total_ns: int) -> None:
        self._total_ns = total_ns
        self._running: list[Worker] = []

    @property
    def words(self) -> str:
        """Names the total."""
        return f"an equal CPU budget of {self._total_ns / 1e9:.3g} s per process, then stopped"

    def start(self, lanes: Sequence[Sequence[Worker]]) -> None:
        """Lets all go."""
        self._running = [worker for lane in lanes for worker in lane]
        for worker in self._running:
            worker.go()

    def tick(self, now_ns: int) -> bool:
        """Stops who has used up its total; False when all have."""
        del now_ns
        for worker in list(self._running):
            if worker.cpu_ns() >= self._total_ns:
                worker.flush()
                worker.outcome = "stopped"
                self._running.remove(worker)
        return bool(self._running)

    def close(self) -> None:
        """Has nothing to take back."""


def quota() -> Quota:
    """Returns the quota scheduler, with control groups where this process may make them."""
    return Quota(CpuGroups.probe(f"maxwell-lab-{os.getpid()}"))
