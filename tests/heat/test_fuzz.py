"""Bad input: any bytes, mutated packets, wrong kinds. Ignored, counted, never a crash."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heat.helpers import KEYS, reading, signed, stand_in_node
from maxwell.heat import HeatNode, Hosted, State
from maxwell.heat.wire import DEAL, HEADER, HEADER_BYTES, PROBE, SHARE, WITNESS, Kind

NOW = 10_000


def node() -> HeatNode:
    n = stand_in_node(1, seeds=(2,))
    n.add(0, Hosted(5, 30.0, 1.0, -60_000))
    n.on_reading(0, reading(60.0))
    n.on_reading(500, reading(60.0))
    return n


def packet(kind: int, payload: bytes, count: int = 1, sender: int = 2) -> bytes:
    return HEADER.pack(1, kind, count, 0, sender, 1, 1, 10) + payload


def sign(data: bytes) -> bytes:
    return data + KEYS.sign_as(2, data)


def corpus() -> list[bytes]:
    """One good packet of each kind."""
    distress = signed(2, state=State.DISTRESS, wanted_w=200) + bytes(6)
    deals = [
        sign(packet(kind, DEAL.pack(1, 5, 30, 100, 7)))
        for kind in (Kind.OFFER, Kind.RESERVE, Kind.GRANT, Kind.REFUSE)
    ]
    probes = [packet(k, PROBE.pack(1, 0)) for k in (Kind.PING, Kind.PING_REQUEST, Kind.ACK)]
    return [
        packet(Kind.HEAT, b"".join(signed(n) + b"\0\0" for n in range(2, 10)), 8),
        packet(Kind.DISTRESS, distress),
        packet(Kind.SHARE, SHARE.pack(0.5, 0.5)),
        packet(Kind.PROOF, signed(3) + signed(3, t_c=20.0)),
        sign(packet(Kind.WITNESS, WITNESS.pack(9, 50))),
        *deals,
        *probes,
    ]


def test_the_good_packets_are_good() -> None:
    n = node()
    for data in corpus():
        n.on_packet(NOW, data)
    assert n.counters.malformed == n.counters.forged == 0
    assert n.counters.equivocations == 1


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=1_400))
def test_any_bytes(data: bytes) -> None:
    n = node()
    n.on_packet(NOW, data)
    assert n.counters.packets_in == 1


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 20), st.integers(0, 255), st.binary(max_size=1_000))
def test_any_payload_under_a_good_header(kind: int, count: int, payload: bytes) -> None:
    n = node()
    n.on_packet(NOW, packet(kind, payload, count))
    n.on_packet(NOW, sign(packet(kind, payload, count)))
    n.on_reading(NOW + 500, reading(60.0))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_packets_change_no_foreign_entry(data: st.DataObject) -> None:
    n = node()
    good = data.draw(st.sampled_from(corpus()))
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    n.on_packet(NOW, bytes(mutated))
    n.on_packet(NOW, bytes(mutated[:cut]))
    n.on_packet(NOW, bytes(mutated) + b"\0")
    for known in n.plane.values():
        body, signature = known.wire[:54], known.wire[54:]
        assert KEYS.sign_as(known.node, body) == signature, "only signed entries enter the view"
    for now in range(NOW + 500, NOW + 5_000, 500):
        n.on_reading(now, reading(61.0))


def test_a_long_storm_of_mutations_leaves_bounded_state() -> None:
    # Goal: no growth, no crash over many packets; a seeded storm of 20,000.
    rng = Random(5)
    n = node()
    good = corpus()
    for i in range(20_000):
        mutated = bytearray(rng.choice(good))
        for _ in range(rng.randrange(3)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        n.on_packet(NOW + i, bytes(mutated[: rng.randrange(len(mutated) + 1)]))
        n.out.clear()
    assert n.counters.packets_in == 20_000
    assert len(n.plane.table) <= 56
    assert len(n.admission.deals) <= 64
    assert n.counters.malformed > 1_000
    assert HEADER_BYTES == 24
