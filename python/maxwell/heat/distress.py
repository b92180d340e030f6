"""The distress plane: "I am dying", pushed every 200 ms to three nodes, sans I/O.

An ordinary distress stops after four hops, about 120 nodes, and is handed on once by each of
them: a thousand nodes that fail together must not flood the others. A zone alarm has no hop
limit and is sent at least eighteen times by everyone it reaches; of a distress each copy that
comes back saves one. Queue: sixteen rumours, the
shortest time to trip first; one distress per node and minute; a packet holds eight.
"""

from __future__ import annotations

from collections import OrderedDict
from math import ceil, log10
from struct import Struct
from typing import TYPE_CHECKING, Final

from maxwell.heat.entry import (
    AGE,
    AGE_MAX,
    AGE_UNIT_MS,
    BODY,
    BODY_BYTES,
    IDENTITY,
    SIGNED_BYTES,
    Entry,
    State,
    plausible,
)
from maxwell.heat.settings import ENTRY_TTL_MS, FAN_OUT, HOP_LIMIT
from maxwell.heat.signing import Verdict
from maxwell.heat.wire import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from maxwell.heat.counters import HeatCounters
    from maxwell.heat.signing import Verifier

TAIL: Final = Struct("<HHBB")
"""age u16 · time to trip u16 (tenths of a second) · hops u8 · flags u8 (reserved)."""
RUMOUR_BYTES: Final = SIGNED_BYTES + TAIL.size
QUEUE_MAX: Final = 16
PER_PACKET_MAX: Final = 8
SEEN_MAX: Final = 1_024
OWN_FAN_OUT: Final = 3 * FAN_OUT
SMALL_CLUSTER: Final = 30
ALARM_COPIES_MIN: Final = 6 * FAN_OUT
HOPS_MAX: Final = 64
"""A zone alarm in more hops than this is a loop, not news."""


class Rumour:
    """A distress or an alarm, and how often it is still to be sent."""

    __slots__ = ("birth_ms", "copies", "entry", "hops", "time_to_trip_ds", "wire")

    def __init__(
        self, wire: bytes, entry: Entry, *, birth_ms: int, hops: int, ttt_ds: int, copies: int
    ) -> None:
        self.wire = wire
        self.entry = entry
        self.birth_ms = birth_ms
        self.hops = hops
        self.time_to_trip_ds = ttt_ds
        self.copies = copies

    @property
    def alarm(self) -> bool:
        """Whether the whole cluster is to hear of it."""
        return self.entry.state == State.ALARM


def alarm_copies(nodes: int) -> int:
    """Returns how often each node sends a zone alarm: 4·log10(n + 1), and never less than eighteen.

    memberlist's rule alone leaves a node of ten uninformed in one of five runs at 30 % loss;
    twelve copies still miss one node of a hundred now and then. Eighteen are six rounds.
    """
    return max(ALARM_COPIES_MIN, ceil(4 * log10(nodes + 1)))


class DistressPlane:
    """One node's rumours.

    Args:
        node: this node's number.
        verifier: checks signatures.
        rng: injected randomness.
        counters: where events are counted.
        interval_ms: at most one distress of a node is spread in this time.
    """

    __slots__ = (
        "_counters",
        "_deck",
        "_interval_ms",
        "_last",
        "_node",
        "_queue",
        "_rng",
        "_seen",
        "_verifier",
        "_zones",
        "nodes",
    )

    def __init__(
        self,
        node: int,
        verifier: Verifier,
        rng: Random,
        counters: HeatCounters,
        *,
        interval_ms: int = 60_000,
    ) -> None:
        self._node = node
        self._verifier = verifier
        self._rng = rng
        self._counters = counters
        self._interval_ms = interval_ms
        self._queue: list[Rumour] = []
        self._seen: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._last: OrderedDict[tuple[int, bool], int] = OrderedDict()
        self._deck: list[int] = []
        self._zones: dict[int, int] = {}
        self.nodes = 1
        """How many nodes there are, for the number of copies."""

    @property
    def busy(self) -> bool:
        """Whether something is to be sent at the next tick."""
        return bool(self._queue)

    def knows(self, node: int, boot: int, seq: int) -> bool:
        """Whether a rumour has come by."""
        return (node, boot, seq) in self._seen

    def start(self, now_ms: int, wire: bytes, time_to_trip_s: float) -> bool:
        """Spreads this node's own distress or alarm; False within a minute of the last one."""
        entry = Entry._make(BODY.unpack_from(wire))
        if not self._admit(now_ms, entry):
            return False
        alarm = entry.state == State.ALARM
        copies = alarm_copies(self.nodes) if alarm else OWN_FAN_OUT
        ttt = int(min(max(time_to_trip_s, 0.0), 6_553.0) * 10)
        self._push(Rumour(wire, entry, birth_ms=now_ms, hops=0, ttt_ds=ttt, copies=copies))
        return True

    def _admit(self, now_ms: int, entry: Entry) -> bool:
        """Remembers a rumour; False when its node had one within the interval."""
        key = (entry.node, entry.state == State.ALARM)
        last = self._last.get(key)
        if last is not None and now_ms - last < self._interval_ms:
            self._counters.rumours_dropped += 1
            return False
        self._last[key] = now_ms
        self._last.move_to_end(key)
        if len(self._last) > SEEN_MAX:
            self._last.popitem(last=False)
        return True

    def _push(self, rumour: Rumour) -> None:
        self._queue.append(rumour)
        self._queue.sort(key=_urgency)
        if len(self._queue) > QUEUE_MAX:
            self._queue.pop()
            self._counters.rumours_dropped += 1

    def receive(self, now_ms: int, data: bytes, count: int) -> list[Rumour]:
        """Takes rumours in and returns those that are news to this node."""
        counters = self._counters
        if not 0 < count <= PER_PACKET_MAX or len(data) != HEADER_BYTES + count * RUMOUR_BYTES:
            counters.malformed += 1
            return []
        news: list[Rumour] = []
        for at in range(HEADER_BYTES, len(data), RUMOUR_BYTES):
            key = IDENTITY.unpack_from(data, at)[3:]
            if key in self._seen or key[0] == self._node:
                counters.stale += 1
                self._heard_again(key)
                continue
            rumour = self._read(now_ms, data, at)
            if rumour is None:
                continue
            self._seen[key] = None
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
            if not self._admit(now_ms, rumour.entry):
                continue
            counters.rumours += 1
            news.append(rumour)
            if rumour.copies > 0:
                self._push(rumour)
        return news

    def _heard_again(self, key: tuple[int, int, int]) -> None:
        """Others spread it as well, so that this node sends a copy less; alarms are spared."""
        for rumour in self._queue:
            entry = rumour.entry
            if (entry.node, entry.boot, entry.seq) == key and not rumour.alarm:
                rumour.copies -= 1

    def _read(self, now_ms: int, data: bytes, at: int) -> Rumour | None:
        """Parses and verifies one rumour."""
        counters = self._counters
        wire = data[at : at + SIGNED_BYTES]
        entry = Entry._make(BODY.unpack_from(wire))
        age, ttt, hops, _ = TAIL.unpack_from(data, at + SIGNED_BYTES)
        age_ms = (age + 1) * AGE_UNIT_MS
        alarm = entry.state == State.ALARM
        if (
            not plausible(entry)
            or entry.state not in (State.DISTRESS, State.DRAINING, State.ALARM)
            or hops >= (HOPS_MAX if alarm else HOP_LIMIT)
        ):
            counters.malformed += 1
            return None
        if age_ms > ENTRY_TTL_MS:
            counters.expired += 1
            return None
        verdict = self._verifier.verify(entry.node, wire[:BODY_BYTES], wire[BODY_BYTES:])
        if verdict != Verdict.GOOD:
            if verdict == Verdict.UNKNOWN:
                counters.unknown_key += 1
            else:
                counters.forged += 1
            return None
        if alarm:
            # A second alarm of the same zone tells little: it is handed on once.
            known = now_ms - self._zones.get(entry.zone, -self._interval_ms) < self._interval_ms
            copies = FAN_OUT if known else alarm_copies(self.nodes)
            self._zones[entry.zone] = now_ms
            if len(self._zones) > SEEN_MAX:
                del self._zones[next(iter(self._zones))]
        else:
            copies = self._relay_copies() if hops + 1 < HOP_LIMIT else 0
        return Rumour(
            wire, entry, birth_ms=now_ms - age_ms, hops=hops + 1, ttt_ds=ttt, copies=copies
        )

    def _relay_copies(self) -> int:
        """Three; in a small cluster, which four hops cover anyway, nine."""
        return OWN_FAN_OUT if self.nodes <= SMALL_CLUSTER else FAN_OUT

    def tick(self, now_ms: int, peers: Sequence[int]) -> list[tuple[int, bytes, int]]:
        """Returns what to send now: to whom, the payload, the number of rumours."""
        if not self._queue or not peers:
            return []
        chosen = self._queue[:PER_PACKET_MAX]
        # Whoever raises a rumour speaks to nine at once: sixteen must hear within three rounds.
        own = any(rumour.hops == 0 for rumour in chosen)
        targets = self._deal(peers, OWN_FAN_OUT if own else FAN_OUT)
        messages: list[tuple[int, bytes, int]] = []
        for target in targets:
            parts: list[bytes] = []
            for rumour in chosen:
                if rumour.copies <= 0 or rumour.entry.node == target:
                    continue
                rumour.copies -= 1
                age = min(max((now_ms - rumour.birth_ms) // AGE_UNIT_MS, 0), AGE_MAX)
                parts.append(rumour.wire)
                parts.append(TAIL.pack(age, rumour.time_to_trip_ds, rumour.hops, 0))
            if parts:
                messages.append((target, b"".join(parts), len(parts) // 2))
        self._queue = [rumour for rumour in self._queue if rumour.copies > 0]
        return messages

    def _deal(self, peers: Sequence[int], wanted: int) -> list[int]:
        """Returns peers from a shuffled deck, so that nobody is told twice while others wait.

        The deck is made anew when it runs out; peers that left meanwhile are skipped.
        """
        here = set(peers)
        targets: list[int] = []
        for _ in range(2):
            while self._deck and len(targets) < wanted:
                peer = self._deck.pop()
                if peer in here and peer not in targets:
                    targets.append(peer)
            if len(targets) == min(wanted, len(here)):
                break
            self._deck = list(peers)
            self._rng.shuffle(self._deck)
        return targets


def _urgency(rumour: Rumour) -> tuple[bool, int, int]:
    """Alarms first, then the shortest time to trip; equal ones by node, for determinism."""
    return (not rumour.alarm, rumour.time_to_trip_ds, rumour.entry.node)


assert AGE.size == 2, "the tail repeats the age field"
