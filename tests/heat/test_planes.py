"""Views, rumours, membership: what spreads, how far, at what cost."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heat.helpers import KEYS, real_nodes, signed, stand_in_node
from maxwell.heat import HeatCounters, State, Swim
from maxwell.heat.distress import QUEUE_MAX, RUMOUR_BYTES, DistressPlane
from maxwell.heat.gossip import trimmed_mean
from maxwell.heat.membership import PERIOD_MS
from maxwell.heat.settings import CALLS, ENTRIES_PER_MESSAGE, FAN_OUT, HOP_LIMIT, VIEW_MAX
from maxwell.heat.sim.spread import spread_alarm
from maxwell.heat.sim.targets import rounds_limit
from maxwell.heat.transport.memory import MemoryNetwork
from maxwell.heat.wire import HEADER_BYTES, PACKET_BYTES_MAX, Kind


def test_nodes_with_real_signatures_see_each_other() -> None:
    nodes = real_nodes(12)
    network = MemoryNetwork(nodes)
    network.run_until(8_000)
    for node in nodes:
        assert len(node.plane.table) == 11
        assert node.counters.forged == node.counters.malformed == 0
    sizes = [n.counters.bytes_out / n.counters.packets_out for n in nodes]
    assert max(sizes) <= PACKET_BYTES_MAX


def test_views_are_bounded_and_messages_are_of_constant_size() -> None:
    node = stand_in_node(1, near=tuple(range(2, 8)))
    for start in range(10, 4_000, 8):
        data = bytes(HEADER_BYTES) + b"".join(signed(n) + b"\0\0" for n in range(start, start + 8))
        node.plane.receive(1, data, 8)
    assert len(node.plane.table) <= VIEW_MAX
    messages = node.plane.messages(10, signed(1))
    assert [m[2] for m in messages] == [ENTRIES_PER_MESSAGE] * FAN_OUT + [1] * CALLS
    assert [HEADER_BYTES + len(m[1]) for m in messages] == [744] * 3 + [144] * 3
    assert len({m[0] for m in messages}) == FAN_OUT + CALLS, "nobody is told twice"


def test_a_dead_thermal_neighbour_is_hardly_spoken_to() -> None:
    # Goal: copies are not wasted on neighbours that are not in view. Method: of six neighbours
    # three say nothing; count who is spoken to in four hundred seconds.
    node = stand_in_node(1, near=tuple(range(2, 8)))
    to_the_dead = to_the_living = 0
    for second in range(1, 401):
        heard = [2, 3, 4, *range(20, 60)]
        for start in range(0, len(heard), 8):
            part = heard[start : start + 8]
            data = bytes(HEADER_BYTES) + b"".join(signed(n, second) + b"\0\0" for n in part)
            node.plane.receive(1_000 * second, data, len(part))
        targets = {m[0] for m in node.plane.messages(1_000 * second, signed(1, second))}
        to_the_dead += len(targets & {5, 6, 7})
        to_the_living += len(targets & {2, 3, 4})
    assert 5 < to_the_dead < 60 < 200 < to_the_living


def test_a_distress_that_everybody_spreads_is_spread_less_by_each() -> None:
    wire = signed(1, state=State.DISTRESS, wanted_w=200)
    data = bytes(HEADER_BYTES) + wire + bytes(RUMOUR_BYTES - len(wire))
    alarm = signed(2, state=State.ALARM)
    loud = bytes(HEADER_BYTES) + alarm + bytes(RUMOUR_BYTES - len(alarm))
    p = plane(7)
    p.receive(0, data, 1)
    p.receive(0, loud, 1)
    before = {r.entry.node: r.copies for r in p._queue}  # pyright: ignore[reportPrivateUsage]
    for _ in range(2):
        p.receive(10, data, 1)
        p.receive(10, loud, 1)
    after = {r.entry.node: r.copies for r in p._queue}  # pyright: ignore[reportPrivateUsage]
    assert after[1] == before[1] - 2
    assert after[2] == before[2]


@given(st.lists(st.floats(0, 2), min_size=8, max_size=48), st.floats(-1e9, 1e9))
def test_one_liar_cannot_move_the_trimmed_mean_beyond_the_honest(
    values: list[float], lie: float
) -> None:
    honest = trimmed_mean(values, 0.25)
    lied = trimmed_mean([*values, lie], 0.25)
    assert honest is not None
    assert lied is not None
    assert min(values) - 1e-12 <= lied <= max(values) + 1e-12


@pytest.mark.parametrize(("nodes", "seeds"), [(10, 20), (100, 4)])
@pytest.mark.parametrize("lossy", [False, True])
def test_an_alarm_reaches_99_per_cent_in_the_promised_rounds(
    nodes: int, seeds: int, lossy: bool
) -> None:
    limit = rounds_limit(nodes, lossy=lossy)
    for seed in range(seeds):
        spread = spread_alarm(nodes, seed, loss=0.3 * lossy, dead=0.1 * lossy)
        assert spread.rounds99 is not None
        assert spread.rounds99 <= limit, (seed, spread)


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "seeds"), [(1_000, 20), (10_000, 2)])
@pytest.mark.parametrize("lossy", [False, True])
def test_an_alarm_spreads_in_large_clusters(nodes: int, seeds: int, lossy: bool) -> None:
    limit = rounds_limit(nodes, lossy=lossy)
    for seed in range(seeds):
        spread = spread_alarm(nodes, seed, loss=0.3 * lossy, dead=0.1 * lossy)
        assert spread.rounds99 is not None
        assert spread.rounds99 <= limit, (seed, spread)


def test_the_limits_of_rounds_are_those_of_the_issue() -> None:
    assert [rounds_limit(n, lossy=False) for n in (10, 1_000, 10_000)] == [4, 8, 10]
    assert [rounds_limit(n, lossy=True) for n in (10, 1_000, 10_000)] == [6, 11, 13]


def plane(node: int, nodes: int = 1_000) -> DistressPlane:
    p = DistressPlane(node, KEYS, Random(node), HeatCounters())
    p.nodes = nodes
    return p


def test_a_distress_stops_after_four_hops() -> None:
    wire = signed(1, state=State.DISTRESS, wanted_w=200)
    source = plane(1)
    assert source.start(0, wire, 20.0)
    hops = 0
    current = source
    for hop in range(1, 10):
        sent = current.tick(hop * 200, list(range(100 * hop, 100 * hop + 40)))
        if not sent:
            break
        current = plane(sent[0][0])
        news = current.receive(hop * 200, bytes(HEADER_BYTES) + sent[0][1], sent[0][2])
        assert len(news) == 1
        hops = hop
    assert hops == HOP_LIMIT


def test_one_distress_per_node_and_minute() -> None:
    p = plane(7)
    for seq, at, heard in ((1, 0, 1), (2, 30_000, 0), (3, 61_000, 1)):
        wire = signed(1, seq, state=State.DISTRESS)
        data = bytes(HEADER_BYTES) + wire + bytes(RUMOUR_BYTES - len(wire))
        assert len(p.receive(at, data, 1)) == heard, seq


def test_the_queue_keeps_the_sixteen_most_urgent() -> None:
    p = plane(7)
    for node in range(1, 40):
        wire = signed(node, state=State.DISTRESS)
        tail = b"\0\0" + (1_000 - node).to_bytes(2, "little") + b"\0\0"
        p.receive(0, bytes(HEADER_BYTES) + wire + tail, 1)
    queue = p._queue  # pyright: ignore[reportPrivateUsage]
    assert len(queue) == QUEUE_MAX
    assert {r.entry.node for r in queue} == set(range(24, 40))


def test_swim_finds_the_dead_and_spares_the_living() -> None:
    # Ten detectors; packets of 1 ms; one of them stops answering.
    numbers = list(range(1, 11))
    swims = {n: Swim(n, Random(n)) for n in numbers}
    for n, swim in swims.items():
        swim.watch([m for m in numbers if m != n])
    dead = 10
    for now in range(0, 75_000, 250):
        for n, swim in swims.items():
            if n == dead or swim.next_ms(now - 250) > now:
                continue
            deliver(swims, now, n, swim.tick(now), dead)
    for n, swim in swims.items():
        if n != dead:
            assert swim.dead(dead), n
            assert not any(swim.dead(m) for m in numbers if m != dead)
            assert swim.health <= 2


def deliver(
    swims: dict[int, Swim], now: int, sender: int, messages: list[tuple[int, int, bytes]], dead: int
) -> None:
    waiting = [(sender, *m) for m in messages]
    for _ in range(200):
        if not waiting:
            return
        source, to, kind, payload = waiting.pop(0)
        if to != dead:
            answers = swims[to].receive(now, kind, source, bytes(HEADER_BYTES) + payload)
            assert answers is not None
            waiting += [(to, *a) for a in answers]


def test_a_suspected_node_refutes() -> None:
    a, b = Swim(1, Random(1)), Swim(2, Random(2))
    a.watch([2])
    b.watch([1])
    a.tick(0)
    a.tick(PERIOD_MS * 2)  # no answer came
    assert a.suspected() == [2]
    ping = a.tick(PERIOD_MS * 6)
    assert ping
    for to, kind, payload in ping:
        assert to == 2
        for _, answer, back in b.receive(0, kind, 1, bytes(HEADER_BYTES) + payload) or []:
            a.receive(PERIOD_MS * 6, answer, 2, bytes(HEADER_BYTES) + back)
    assert b.incarnation == 1
    assert a.suspected() == []


@settings(max_examples=200)
@given(st.binary(max_size=120), st.integers(7, 9))
def test_swim_takes_any_bytes(data: bytes, kind: int) -> None:
    swim = Swim(1, Random(1))
    swim.watch([2, 3])
    swim.receive(0, kind, 2, bytes(HEADER_BYTES) + data)
    swim.tick(0)
    assert Kind.PING <= kind <= Kind.ACK
