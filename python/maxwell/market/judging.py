"""Whose lines are judged when: a bound on the time that one process's results take.

Lines are judged in the parent, between the messages of all cells. A process whose lines are dear
to judge (a pattern that backtracks, numbers of 25 digits, a flood of them) waits for its own lines,
not the others: each process has a budget of time an epoch, and the node has one for all together.
What does not fit waits in order, and is judged in the epochs to come; what does not fit there is
dropped and refused. An overrun, which is at most one line, is paid back in the epochs that follow.

At worst 50 ms of CPU time in each 100 ms go to judging, and 512 KiB a process wait.

In deterministic mode there is no budget: lines are judged at once, at the barrier, since what is
paid may not depend on how fast this machine is.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maxwell.market.ledger import ProcessId
    from maxwell.market.resolvers import Stream

PROCESS_NS: Final = 20_000_000
"""Of each epoch, for the lines of one process: about 1,000 primes of 18 digits."""
NODE_NS: Final = 50_000_000
"""Of each epoch, for all lines: half an epoch, so that epochs do not fall behind."""
LAST_NS: Final = 50_000_000
"""For the lines that wait when a process ends."""
BACKLOG_BYTES_MAX: Final = 512 << 10
"""Bytes of a process that wait: the output of one epoch, both streams at their bound."""
LINE_COST_BYTES: Final = 64
"""A waiting chunk counts as so much more, so that empty lines cannot fill the memory."""


class _Queue:
    """What waits of one process: its stream, its cost in bytes, and its lines, not cut yet."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Stream, int, Iterator[str]]] = deque()
        self.bytes = 0
        self.debt_ns = 0
        """Time used and not yet given by an epoch."""
        self.served = 0
        """When it had its last turn."""


class JudgingQueue:
    """Waiting lines by process, and the time that each has used.

    Args:
        judge: judges one line; called with the process, the stream and the line.
        bounded: False in deterministic mode.
        clock_ns: CPU time of this thread, so that other work on the machine counts against nobody.
            A sponsor's function that waits is not counted: it is trusted not to.
    """

    def __init__(
        self,
        judge: Callable[[ProcessId, Stream, str], None],
        *,
        bounded: bool = True,
        clock_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._judge = judge
        self._bounded = bounded
        self._clock_ns = clock_ns
        self._queues: dict[ProcessId, _Queue] = {}
        self._node_debt_ns = 0
        self._turns = 0

    def add(self, process: ProcessId, stream: Stream, size: int, lines: Iterator[str]) -> bool:
        """Takes lines; judges what there is time for, in the order of arrival.

        Args:
            process: whose they are.
            stream: where they came from.
            size: their bytes.
            lines: cut when they are judged.

        Returns:
            Whether there was room. When there was none, nothing was taken.
        """
        queue = self._queues.get(process)
        if queue is None:
            queue = self._queues[process] = _Queue()
        cost = size + LINE_COST_BYTES
        if queue.bytes + cost > BACKLOG_BYTES_MAX and queue.waiting:
            return False
        queue.waiting.append((stream, cost, lines))
        queue.bytes += cost
        self._serve(process, queue, PROCESS_NS)
        return True

    def epoch(self) -> None:
        """Gives every process its time and judges what waits, in turn."""
        self._node_debt_ns = max(0, self._node_debt_ns - NODE_NS)
        for queue in self._queues.values():
            queue.debt_ns = max(0, queue.debt_ns - PROCESS_NS)
        waiting = [item for item in self._queues.items() if item[1].waiting]
        for process, queue in sorted(waiting, key=lambda item: item[1].served):
            self._serve(process, queue, PROCESS_NS)

    def finish(self, process: ProcessId) -> int:
        """Judges what a process leaves behind, for at most `LAST_NS`; returns chunks left over."""
        queue = self._queues.pop(process, None)
        if queue is None:
            return 0
        queue.debt_ns = 0
        self._serve(process, queue, LAST_NS, whole_node=False)
        return sum(next(lines, None) is not None for _, _, lines in queue.waiting)

    def _serve(
        self, process: ProcessId, queue: _Queue, budget_ns: int, *, whole_node: bool = True
    ) -> None:
        start_ns = self._clock_ns()
        while queue.waiting:
            if self._bounded and (
                queue.debt_ns >= budget_ns or (whole_node and self._node_debt_ns >= NODE_NS)
            ):
                return
            stream, cost, lines = queue.waiting[0]
            line = next(lines, None)
            if line is None:
                queue.waiting.popleft()
                queue.bytes -= cost
                continue
            self._turns += 1
            queue.served = self._turns
            self._judge(process, stream, line)
            now_ns = self._clock_ns()
            used_ns, start_ns = now_ns - start_ns, now_ns
            queue.debt_ns += used_ns
            self._node_debt_ns += used_ns
