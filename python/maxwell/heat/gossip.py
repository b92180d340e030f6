"""The heat plane: signed entries of constant size, spread through partial views, sans I/O.

Each second a node sends three messages of six entries (its own, in one of them the two hottest of
its zone, and for the rest those that are youngest and that it has sent least often) and three
*calls*, which carry its own entry alone. A view holds 48 nodes, up to 16 of them thermal
neighbours, the freshest that came by.

How many views hold a node is a branching process: copies from its own hand are the immigrants,
relays the births. Its spread over nodes and time comes from the births, so that many own copies
and few relays even it out (docs/concepts/heat.md has the measurement): without calls, and eight
entries in a message, one node of a thousand falls to six views now and then at 30 % loss; with
them the least was in eighteen.

A message is 24 + 6 · 120 = 744 bytes and a call 144; three of each a second are 3.1 kB/s with
sealing and UDP, at any number of nodes. Memory is 48 entries, 1,024 remembered numbers, 256 bans.
"""

from __future__ import annotations

from collections import OrderedDict
from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Final

from maxwell.heat.entry import (
    AGE,
    AGE_MAX,
    AGE_UNIT_MS,
    BODY,
    BODY_BYTES,
    ENTRY_BYTES,
    IDENTITY,
    SIGNED_BYTES,
    Entry,
    State,
    plausible,
)
from maxwell.heat.settings import (
    CALLS,
    ENTRIES_MAX,
    ENTRIES_PER_MESSAGE,
    ENTRY_TTL_MS,
    FAN_OUT,
    FRESH_MIN,
    FRESH_MS,
    VIEW_MAX,
    VIEW_SLACK,
)
from maxwell.heat.signing import Verdict
from maxwell.heat.wire import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from maxwell.heat.counters import HeatCounters
    from maxwell.heat.signing import Verifier

SEEN_MAX: Final = 1_024
BANS_MAX: Final = 256
GOOD_MAX: Final = 65_536
HOTTEST: Final = 2
NEAR_RETRY: Final = 1 / 8
"""Chance that a thermal neighbour who is not in view is spoken to when it is its turn."""
SENT_PER_MS: Final = 1 / 1_000
"""A second of age weighs as much as having been sent once."""


class Known:
    """An entry in a view: its bytes, its fields, when it was made by this node's clock."""

    __slots__ = ("birth_ms", "boot", "entry", "node", "sent", "seq", "wire")

    def __init__(self, wire: bytes, entry: Entry, birth_ms: int) -> None:
        self.wire = wire
        self.entry = entry
        self.node = entry.node
        self.boot = entry.boot
        self.seq = entry.seq
        self.birth_ms = birth_ms
        self.sent = 0


SUBJECT: Final = Struct("<4xQII")
"""Node, boot and number of an entry: what tells whether it is news."""
_subject = SUBJECT.unpack_from
_age = AGE.unpack_from
_birth = attrgetter("birth_ms")


class HeatPlane:
    """One node's view and what it says of it.

    Args:
        node: this node's number.
        zone: its zone.
        near: its thermal neighbours, at most 16, who have slots of their own.
        verifier: checks signatures.
        rng: injected randomness.
        counters: where events are counted.
    """

    __slots__ = (
        "_bans",
        "_counters",
        "_deck",
        "_floor_ms",
        "_near_set",
        "_near_turn",
        "_node",
        "_oldest_ms",
        "_rng",
        "_seen",
        "_verifier",
        "_zone",
        "good",
        "near",
        "proofs",
        "table",
        "unknown",
    )

    def __init__(
        self,
        node: int,
        zone: int,
        near: tuple[int, ...],
        verifier: Verifier,
        rng: Random,
        counters: HeatCounters,
    ) -> None:
        self._node = node
        self._zone = zone
        self.near = near
        self._near_set = frozenset(near)
        self.table: dict[int, Known] = {}
        self._verifier = verifier
        self._rng = rng
        self._counters = counters
        self._seen: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._bans: OrderedDict[int, None] = OrderedDict()
        self._near_turn = 0
        self._deck: list[int] = []
        self._floor_ms = -ENTRY_TTL_MS
        self._oldest_ms = 0
        """No entry in view is older; it may be that none is as old."""
        self.good: dict[bytes, tuple[bytes, Entry]] | None = None
        """Entries found good before, where many nodes of one process share them."""
        self.proofs: list[bytes] = []
        """Proofs of equivocation found and not yet told, 236 bytes each."""
        self.unknown: list[int] = []
        """Nodes whose key is to be asked for."""

    def ban(self, node: int) -> None:
        """Drops a node and refuses what it says from now on."""
        self._bans[node] = None
        self.table.pop(node, None)
        if len(self._bans) > BANS_MAX:
            self._bans.popitem(last=False)

    def banned(self, node: int) -> bool:
        """Whether a node is banned."""
        return node in self._bans

    def receive(self, now_ms: int, data: bytes, count: int, offset: int = HEADER_BYTES) -> int:
        """Takes the entries of a message in; returns how many were news."""
        counters = self._counters
        if len(data) != offset + count * ENTRY_BYTES or not 0 < count <= ENTRIES_MAX:
            counters.malformed += 1
            return 0
        # Names of this function are found faster than attributes: it runs six times a second and
        # node, its loop 21 times.
        table, seen, good, myself = self.table, self._seen, self.good, self._node
        news = stale = 0
        for at in range(offset, len(data), ENTRY_BYTES):
            node, boot, seq = _subject(data, at)
            if node == myself:
                continue
            known = table.get(node)
            if known is not None:
                # A tuple comparison would allocate.
                if seq <= known.seq and boot == known.boot:
                    stale += 1
                    if seq == known.seq and not data.startswith(known.wire, at):
                        self._differs(known.wire, data[at : at + SIGNED_BYTES])
                    continue
                if boot < known.boot:
                    stale += 1
                    continue
                (age,) = _age(data, at + SIGNED_BYTES)
            else:
                last = seen.get(node)
                if last is not None and (boot, seq) < last:
                    stale += 1
                    continue
                if node in self._bans:
                    counters.banned += 1
                    continue
                # What is older than all that a full view holds would be forgotten at once.
                (age,) = _age(data, at + SIGNED_BYTES)
                if now_ms - age * AGE_UNIT_MS <= self._floor_ms and node not in self._near_set:
                    stale += 1
                    continue
            age_ms = (age + 1) * AGE_UNIT_MS
            if age_ms > ENTRY_TTL_MS:
                counters.expired += 1
                continue
            wire = data[at : at + SIGNED_BYTES]
            found = good.get(wire) if good is not None else None
            if found is None:
                entry = self._verified(node, wire)
                if entry is None:
                    continue
                found = wire, entry
                if good is not None:
                    if len(good) >= GOOD_MAX:
                        good.clear()
                    good[wire] = found
            news += 1
            self.keep(now_ms - age_ms, found[0], found[1], known)
        counters.stale += stale
        counters.accepted += news
        if len(table) > VIEW_MAX:
            self._shrink()
        return news

    def _verified(self, node: int, wire: bytes) -> Entry | None:
        """Returns an entry whose fields and signature are good; counts what is wrong otherwise."""
        counters = self._counters
        entry = Entry._make(BODY.unpack_from(wire))
        if not plausible(entry) or entry.state == State.ALARM:
            counters.malformed += 1
            return None
        verdict = self._verifier.verify(node, wire[:BODY_BYTES], wire[BODY_BYTES:])
        if verdict == Verdict.GOOD:
            return entry
        if verdict == Verdict.UNKNOWN:
            counters.unknown_key += 1
            if len(self.unknown) < ENTRIES_MAX and node not in self.unknown:
                self.unknown.append(node)
        else:
            counters.forged += 1
        return None

    def keep(self, birth_ms: int, wire: bytes, entry: Entry, known: Known | None) -> None:
        """Puts news into the view."""
        if birth_ms < self._oldest_ms:
            self._oldest_ms = birth_ms
        if known is None:
            self.table[entry.node] = Known(wire, entry, birth_ms)
            return
        known.wire = wire
        known.entry = entry
        known.boot = entry.boot
        known.seq = entry.seq
        known.birth_ms = birth_ms
        known.sent = 0

    def _shrink(self) -> None:
        """Forgets the oldest entries beyond the view's size; neighbours stay."""
        table = self.table
        near = self._near_set
        others = sorted([k for k in table.values() if k.node not in near], key=_birth)
        excess = len(table) - (VIEW_MAX - VIEW_SLACK)
        for known in others[:excess]:
            self._forget(known)
        if excess < len(others):
            self._floor_ms = others[excess].birth_ms

    def _forget(self, known: Known) -> None:
        node, seen = known.node, self._seen
        del self.table[node]
        seen[node] = (known.boot, known.seq)
        seen.move_to_end(node)
        if len(seen) > SEEN_MAX:
            seen.popitem(last=False)

    def _differs(self, first: bytes, second: bytes) -> None:
        """Two signed entries of one number differ: in their bodies, or in a signature alone."""
        if first[:BODY_BYTES] != second[:BODY_BYTES]:
            self._equivocation(first, second)

    def _equivocation(self, first: bytes, second: bytes) -> None:
        """Bans a node that signed two bodies under one number, if both signatures are its own."""
        node = IDENTITY.unpack_from(first)[3]
        for signed in (first, second):
            verdict = self._verifier.verify(node, signed[:BODY_BYTES], signed[BODY_BYTES:])
            if verdict != Verdict.GOOD:
                self._counters.forged += 1
                return
        self._counters.equivocations += 1
        self.ban(node)
        if len(self.proofs) < ENTRIES_MAX:
            self.proofs.append(first + second)

    def receive_proof(self, data: bytes) -> None:
        """Checks a proof of equivocation and bans its subject; a false proof changes nothing."""
        if len(data) != 2 * SIGNED_BYTES:
            self._counters.malformed += 1
            return
        first, second = data[:SIGNED_BYTES], data[SIGNED_BYTES:]
        same = IDENTITY.unpack_from(first)[3:] == IDENTITY.unpack_from(second)[3:]
        node = IDENTITY.unpack_from(first)[3]
        if not same or first[:BODY_BYTES] == second[:BODY_BYTES]:
            self._counters.malformed += 1
        elif node not in self._bans and node != self._node:
            self._equivocation(first, second)

    def expire(self, now_ms: int) -> None:
        """Forgets entries older than their time to live."""
        limit = now_ms - FRESH_MS
        if self._oldest_ms >= limit:
            return
        old = [k for k in self.table.values() if k.birth_ms < limit]
        if not old:
            self._oldest_ms = min([k.birth_ms for k in self.table.values()], default=now_ms)
            return
        if len(self.table) - len(old) < FRESH_MIN:
            limit = now_ms - ENTRY_TTL_MS
        for known in old:
            if known.birth_ms < limit:
                self._forget(known)
        self._floor_ms = limit

    def messages(self, now_ms: int, own: bytes) -> list[tuple[int, bytes, int]]:
        """Returns this second's messages: to whom, the payload, the number of entries."""
        self.expire(now_ms)
        table = self.table
        if not table:
            return []
        random = self._rng.random
        zone = self._zone
        ranked = sorted(
            [(k.sent + random() - k.birth_ms * SENT_PER_MS, k.node, k) for k in table.values()]
        )
        hot = [k for k in table.values() if k.entry.zone == zone]
        if len(hot) > HOTTEST:
            hot.sort(key=_hottest, reverse=True)
            del hot[HOTTEST:]
        targets = self._targets(FAN_OUT + CALLS)
        own_part = own + AGE.pack(0)
        messages: list[tuple[int, bytes, int]] = []
        turn = 0
        total = len(ranked)
        for target in targets[:FAN_OUT]:
            chosen = [k for k in hot if k.node != target]
            hot.clear()
            looked = 0
            while len(chosen) < ENTRIES_PER_MESSAGE - 1 and looked < total:
                known = ranked[turn % total][2]
                turn += 1
                looked += 1
                if known.node != target and known not in chosen:
                    chosen.append(known)
                    known.sent += 1
            parts = [own_part]
            for known in chosen:
                age = (now_ms - known.birth_ms) // AGE_UNIT_MS
                parts += (known.wire, AGE.pack(min(max(age, 0), AGE_MAX)))
            messages.append((target, b"".join(parts), len(chosen) + 1))
        messages += [(target, own_part, 1) for target in targets[FAN_OUT:]]
        return messages

    def _targets(self, wanted: int) -> list[int]:
        """One thermal neighbour in turn, the others at random; all different."""
        table = self.table
        targets: list[int] = []
        if self.near:
            self._near_turn = (self._near_turn + 1) % len(self.near)
            near = self.near[self._near_turn]
            # One that says nothing may be dead: most of its turns are worth more elsewhere.
            if near in table or self._rng.random() < NEAR_RETRY:
                targets.append(near)
        # From a shuffled deck: over the seconds that an entry lives it goes to different nodes.
        for _ in range(2):
            while self._deck and len(targets) < wanted:
                node = self._deck.pop()
                if node in table and node not in targets:
                    targets.append(node)
            if len(targets) == wanted:
                break
            self._deck = list(table)
            self._rng.shuffle(self._deck)
        return targets

    def values(self) -> Iterable[Known]:
        """The entries in view, in no particular order."""
        return self.table.values()


def _hottest(known: Known) -> tuple[int, int]:
    return known.entry.t_hat_cc, known.birth_ms


def trimmed_mean(values: Sequence[float], trim: float) -> float | None:
    """Returns the mean without the lowest and highest `trim` share; None of nothing.

    One liar among many moves it by at most the spread of the honest over their number.

    >>> trimmed_mean([1.0, 2.0, 3.0, 1000.0], 0.25)
    2.5
    """
    if not values:
        return None
    ordered = sorted(values)
    cut = int(len(ordered) * trim)
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)
