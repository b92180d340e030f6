"""The simulated network: loss, delay, duplication, reordering, partition; counts bytes."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

    from maxwell.heat.sim.scenarios import Scenario

OVERHEAD_BYTES: Final = 40 + 28
"""Sealing (`maxwell.heat.seal`) and UDP over IPv4."""


class Network:
    """Decides when a packet arrives, if it does.

    Args:
        scenario: rates and times.
        nodes: how many; a partition separates the lower half from the upper.
        rng: injected randomness.
    """

    __slots__ = (
        "_clean",
        "_half",
        "_rng",
        "_scenario",
        "bytes_sent",
        "dead",
        "off",
        "packets",
        "packets_lost",
    )

    def __init__(self, scenario: Scenario, nodes: int, rng: Random) -> None:
        self._scenario = scenario
        self._rng = rng
        self._half = nodes // 2
        self.bytes_sent = 0
        self.packets = 0
        self.packets_lost = 0
        self.off = scenario.gossip_off
        self.dead: frozenset[int] = frozenset()
        """Nodes whose network is dead: they neither send nor receive."""
        self._clean = not (scenario.duplicate or scenario.reorder or scenario.partition_s)

    def arrivals(self, now_ms: int, source: int, target: int, size: int) -> tuple[int, ...]:
        """Returns the times at which a packet arrives: none, one, or two when it is duplicated."""
        if source in self.dead:
            return ()
        self.packets += 1
        self.bytes_sent += size + OVERHEAD_BYTES
        random = self._rng.random
        if self.off or target in self.dead or random() < self._scenario.loss:
            self.packets_lost += 1
            return ()
        # A millisecond and an exponential tail of half a millisecond, at most 10 ms.
        at = now_ms + 1 + min(10, int(-0.5 * log(1.0 - random())))
        if self._clean:
            return (at,)
        scenario = self._scenario
        if scenario.partition_s is not None:
            start, end = scenario.partition_s
            apart = (source < self._half) != (target < self._half)
            if apart and start * 1_000 <= now_ms < end * 1_000:
                self.packets_lost += 1
                return ()
        if scenario.reorder and random() < scenario.reorder:
            at += int(200 * random())
        if scenario.duplicate and random() < scenario.duplicate:
            return at, at + int(20 * random())
        return (at,)
