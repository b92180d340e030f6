"""How fast a zone alarm spreads: the distress planes of n nodes and nothing else.

Rounds of 200 ms: in each, every node that has a rumour sends it to three nodes of its view. Runs
the shipped plane up to some 10,000 nodes; no plant, no prices.
"""

from __future__ import annotations

from random import Random
from struct import Struct
from typing import Final, NamedTuple

from maxwell.heat.counters import HeatCounters
from maxwell.heat.distress import DistressPlane
from maxwell.heat.entry import State, make_entry
from maxwell.heat.settings import DISTRESS_TICK_MS, VIEW_RANDOM_MAX
from maxwell.heat.signing import StandInKeys
from maxwell.heat.wire import HEADER_BYTES

ROUNDS_MAX: Final = 60
_HEADER: Final = Struct(f"{HEADER_BYTES}x").pack()


class Spread(NamedTuple):
    """One alarm."""

    rounds99: int | None
    rounds_all: int | None
    copies_per_node: float
    informed_ratio: float


def spread_alarm(nodes: int, seed: int, *, loss: float = 0.0, dead: float = 0.0) -> Spread:
    """Raises one alarm and counts the rounds until 99 % of the living know of it.

    Args:
        nodes: how many.
        seed: of views, losses and deaths.
        loss: share of packets lost.
        dead: share of nodes that are dead, while views still hold them.
    """
    rng = Random(f"spread/{nodes}/{seed}")  # noqa: S311
    keys = StandInKeys(b"spread")
    planes: list[DistressPlane] = []
    views: list[list[int]] = []
    for i in range(nodes):
        plane = DistressPlane(i, keys, Random(rng.random()), HeatCounters())  # noqa: S311
        plane.nodes = nodes
        planes.append(plane)
        size = min(VIEW_RANDOM_MAX, nodes - 1)
        views.append([j if j < i else j + 1 for j in rng.sample(range(nodes - 1), size)])
    gone = set(rng.sample(range(1, nodes), round(dead * nodes))) if dead else set[int]()
    body = make_entry(
        state=State.ALARM, zone=1, node=0, boot=1, seq=1, t_ms=0, t_c=80, t_hat_c=80, t_in_c=22,
        power_w=200, meter_w=200, headroom_w=0, ln_price=0, resistance_k_per_w=0.2, wanted_w=0,
        offer_w=0, prev=0,
    ).pack()  # fmt: skip
    planes[0].start(0, body + keys.sign_as(0, body), 0.0)
    informed = {0}
    living = nodes - len(gone)
    rounds99 = rounds_all = None
    copies = 0
    for done in range(1, ROUNDS_MAX + 1):
        now = done * DISTRESS_TICK_MS
        busy = [i for i in informed if planes[i].busy]
        if not busy:
            break
        for i in sorted(busy):
            for to, payload, count in planes[i].tick(now, views[i]):
                copies += 1
                if to in gone or rng.random() < loss:
                    continue
                if planes[to].receive(now, _HEADER + payload, count):
                    informed.add(to)
        if rounds99 is None and len(informed) >= 0.99 * living:
            rounds99 = done
        if len(informed) == living:
            rounds_all = done
            break
    return Spread(rounds99, rounds_all, copies / nodes, len(informed) / living)
