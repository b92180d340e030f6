"""Signatures, sealing, replays, equivocation."""

from __future__ import annotations

from random import Random

import pytest

from heat.helpers import KEYS, entry_body, real_nodes, signed
from maxwell.heat import Ed25519Signer, HeatCounters, KeyRing, Verdict
from maxwell.heat.directory import Directory, pack_address, unpack_address
from maxwell.heat.entry import AGE, ENTRY_BYTES
from maxwell.heat.gossip import HeatPlane
from maxwell.heat.seal import SEAL_BYTES, Seal
from maxwell.heat.signing import KEYS_MAX, node_number
from maxwell.heat.transport.memory import MemoryNetwork
from maxwell.heat.wire import HEADER_BYTES

KEY = bytes(range(32))


def plane(node: int = 99) -> HeatPlane:
    return HeatPlane(node, 0, (), KEYS, Random(1), HeatCounters())


def counters(p: HeatPlane) -> HeatCounters:
    return p._counters  # pyright: ignore[reportPrivateUsage]


def message(*entries: bytes, age: int = 0) -> bytes:
    return bytes(HEADER_BYTES) + b"".join(e + AGE.pack(age) for e in entries)


def test_ed25519_accepts_its_own_and_nothing_else() -> None:
    signer, other = Ed25519Signer(KEY), Ed25519Signer(bytes(32))
    keys = KeyRing()
    assert keys.verify(signer.node, b"x", signer.sign(b"x")) == Verdict.UNKNOWN
    assert keys.add(signer.public_key) == signer.node == node_number(signer.public_key)
    assert keys.verify(signer.node, b"x", signer.sign(b"x")) == Verdict.GOOD
    assert keys.verify(signer.node, b"y", signer.sign(b"x")) == Verdict.BAD
    assert keys.verify(signer.node, b"x", other.sign(b"x")) == Verdict.BAD
    assert KEYS_MAX * 40 < 200_000


def test_a_sealed_packet_opens_once() -> None:
    a, b = Seal(KEY, 1, 1), Seal(KEY, 2, 1)
    sealed = a.seal(b"hello")
    assert len(sealed) == 5 + SEAL_BYTES
    opened = b.open(sealed)
    assert opened is not None
    assert (opened.sender, opened.data) == (1, b"hello")
    assert b.open(sealed) is None
    assert b.refused_replay == 1


def test_the_window_takes_reordered_packets_and_refuses_old_ones() -> None:
    a, b = Seal(KEY, 1, 1), Seal(KEY, 2, 1)
    sealed = [a.seal(bytes([i])) for i in range(100)]
    assert b.open(sealed[70]) is not None
    assert b.open(sealed[69]) is not None
    assert b.open(sealed[7]) is not None
    assert b.open(sealed[6]) is None  # 64 behind
    assert b.open(sealed[99]) is not None
    assert b.open(sealed[30]) is None


def test_an_old_boot_stays_old() -> None:
    old, new, b = Seal(KEY, 1, 1), Seal(KEY, 1, 2), Seal(KEY, 2, 1)
    before = old.seal(b"before")
    assert b.open(new.seal(b"now")) is not None
    assert b.open(before) is None


def test_forged_truncated_and_foreign_packets_do_not_open() -> None:
    a, b, stranger = Seal(KEY, 1, 1), Seal(KEY, 2, 1), Seal(bytes(32), 1, 1)
    sealed = bytearray(a.seal(b"hello"))
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        assert b.open(bytes(changed)) is None, at
    for size in range(len(sealed)):
        assert b.open(bytes(sealed[:size])) is None
    assert b.open(stranger.seal(b"hello")) is None
    assert b.open(bytes(sealed)) is not None, "refusals change nothing"


def test_a_forged_entry_is_counted_and_ignored() -> None:
    p = plane()
    wire = bytearray(signed(5))
    wire[30] ^= 1
    assert p.receive(0, message(bytes(wire)), 1) == 0
    assert counters(p).forged == 1
    assert p.receive(0, message(signed(5)), 1) == 1


def test_replays_are_refused_also_after_an_entry_left_the_view() -> None:
    p = plane()
    p.receive(0, message(signed(5, 10)), 1)
    assert p.receive(1, message(signed(5, 9)), 1) == 0
    p.expire(60_000)
    assert 5 not in p.table
    assert p.receive(60_000, message(signed(5, 9)), 1) == 0
    assert p.receive(60_000, message(signed(5, 11)), 1) == 1


def test_entries_age_by_the_receivers_clock() -> None:
    p = plane()
    now = 100_000
    assert p.receive(now, message(signed(5), age=1_200), 1) == 0
    assert counters(p).expired == 1
    assert p.receive(now, message(signed(6), age=300), 1) == 1
    assert p.receive(now, message(signed(7), age=10), 1) == 1
    ages: set[int] = set()
    for _, payload, _ in p.messages(now + 2_000, signed(99)):
        ages |= {
            AGE.unpack_from(payload, at + 118)[0] for at in range(0, len(payload), ENTRY_BYTES)
        }
    # The own entry, then three seconds and two, and a tenth and two; each hop adds a unit.
    assert ages == {0, 501, 211}


def test_equivocation_is_proven_banned_and_told() -> None:
    p = plane()
    p.receive(0, message(signed(5, 3)), 1)
    p.receive(1, message(signed(5, 3, t_c=20.0)), 1)
    assert counters(p).equivocations == 1
    assert p.banned(5)
    assert p.receive(2, message(signed(5, 4)), 1) == 0
    other = plane(98)
    other.receive_proof(p.proofs[0])
    assert other.banned(5)


def test_a_false_proof_bans_nobody() -> None:
    p = plane()
    first, second = signed(5, 3), bytearray(signed(5, 3, t_c=20.0))
    second[-1] ^= 1
    p.receive_proof(first + bytes(second))
    p.receive_proof(first + first)
    p.receive_proof(first + signed(6, 3))
    p.receive_proof(b"x")
    assert not p.banned(5)
    assert not p.banned(6)


def test_nobody_can_speak_of_a_node_in_its_stead() -> None:
    # Two nodes with real keys; the relay changes the temperature in a third's entry.
    nodes = real_nodes(3)
    network = MemoryNetwork(nodes)
    network.run_until(5_000)
    victim, relay, receiver = nodes
    known = relay.plane.table[victim.node]
    body = bytearray(known.wire)
    body[26] ^= 0x40
    body[16] += 1  # a newer number
    before = receiver.counters.forged
    receiver.plane.receive(5_001, message(bytes(body)), 1)
    assert receiver.counters.forged == before + 1


@pytest.mark.parametrize("address", [("127.0.0.1", 7_411), ("::1", 1), ("10.1.2.3", 65_535)])
def test_addresses_survive_packing(address: tuple[str, int]) -> None:
    assert unpack_address(*pack_address(address)) == address


def test_a_record_gives_nobody_anothers_key() -> None:
    keys = KeyRing()
    directory = Directory(keys)
    signer = Ed25519Signer(KEY)
    keys.add(signer.public_key)
    directory.seen_at(signer.node, ("127.0.0.1", 5))
    record = directory.record(signer.node)
    assert record is not None
    other = Directory(KeyRing())
    assert other.learn(record) == [signer.node]
    assert other.address(signer.node) == ("127.0.0.1", 5)
    assert other.learn(record[:-1]) is None
    assert other.learn(b"") is None


def test_entry_bodies_differ_by_what_they_say() -> None:
    assert entry_body() != entry_body(seq=2)
