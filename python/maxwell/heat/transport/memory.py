"""The in-memory transport: nodes in one process, exact time, no loss; for tests and examples."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from maxwell.heat.node import HeatNode
    from maxwell.heat.records import Decision, Timer


class MemoryNetwork:
    """Delivers packets after one millisecond and fires timers when they are due.

    Args:
        nodes: the nodes; started at time 0.
        on_decision: called with a node and each of its decisions.
    """

    def __init__(
        self,
        nodes: Iterable[HeatNode],
        on_decision: Callable[[HeatNode, Decision], None] | None = None,
    ) -> None:
        self.nodes = {node.node: node for node in nodes}
        self.now_ms = 0
        self.delivered = 0
        self._on_decision = on_decision
        self._order = 0
        self._events: list[tuple[int, int, int, Timer | bytes]] = []
        for node in self.nodes.values():
            node.start(0)
            self.drain(node)

    def drain(self, node: HeatNode) -> None:
        """Takes over what a node said."""
        out = node.out
        for to, data in out.packets:
            if to in self.nodes:
                self._push(self.now_ms + 1, to, data)
        for timer in out.timers:
            self._push(timer.due_ms, node.node, timer)
        decisions = list(out.decisions)
        out.clear()
        for decision in decisions:
            if self._on_decision is not None:
                self._on_decision(node, decision)

    def _push(self, at_ms: int, node: int, what: Timer | bytes) -> None:
        self._order += 1
        heappush(self._events, (at_ms, self._order, node, what))

    def run_until(self, limit_ms: int) -> None:
        """Processes everything that is due before a time."""
        while self._events and self._events[0][0] < limit_ms:
            self.now_ms, _, number, what = heappop(self._events)
            node = self.nodes[number]
            if isinstance(what, bytes):
                self.delivered += 1
                node.on_packet(self.now_ms, what)
            else:
                node.on_timer(self.now_ms, what.kind, what.argument)
            self.drain(node)
        self.now_ms = limit_ms
