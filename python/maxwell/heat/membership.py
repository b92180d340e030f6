"""Who is alive: SWIM with Lifeguard's suspicion, over the nodes in view only, sans I/O.

SWIM: Das, Gupta, Motivala, DSN 2002. Lifeguard: Dadgar, Phillips, Currey, 2018 (local health
multiplier, suspicion shortened by independent confirmations). Our deviation: a node probes the
nodes of its view, at most 64, instead of all, so that its memory does not grow with the cluster;
a period is 2.5 seconds, so that all planes together stay below 3.4 kB/s.

Nothing of this is signed: whoever holds the cluster key can call a node dead, which costs that
node a refutation. Prices and distress do not look here; entries simply age out.
"""

from __future__ import annotations

from math import log10
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from maxwell.heat.wire import HEADER_BYTES, PROBE, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

PERIOD_MS: Final = 2_500
PROBE_TIMEOUT_MS: Final = 500
INDIRECT: Final = 2
SUSPICION_MULTIPLIER: Final = 4
HEALTH_MAX: Final = 8
MEMBERS_MAX: Final = 64
UPDATES_MAX: Final = 4
UPDATE: Final = Struct("<QIB")
ALIVE, SUSPECT, DEAD = 0, 1, 2

Message = tuple[int, int, bytes]
"""To whom, of which kind, the payload."""


class Membership(Protocol):
    """What the heat node needs of a failure detector; a library can stand behind it."""

    def watch(self, nodes: Iterable[int]) -> None:
        """Sets whom to probe."""
        ...

    def tick(self, now_ms: int) -> list[Message]:
        """Probes the next node and ends what has timed out."""
        ...

    def receive(self, now_ms: int, kind: int, sender: int, data: bytes) -> list[Message] | None:
        """Answers a packet; None when it does not parse."""
        ...

    def next_ms(self, now_ms: int) -> int:
        """Returns when `tick` wants to be called next."""
        ...

    def dead(self, node: int) -> bool:
        """Whether a node is considered dead."""
        ...


class _Member:
    __slots__ = ("confirmations", "deadline_ms", "incarnation", "since_ms", "status")

    def __init__(self) -> None:
        self.status = ALIVE
        self.incarnation = 0
        self.since_ms = 0
        self.deadline_ms = 0
        self.confirmations: set[int] = set()


class Swim:
    """The failure detector of one node.

    Args:
        node: this node's number.
        rng: injected randomness.
    """

    __slots__ = (
        "_acked",
        "_ill",
        "_indirect_sent",
        "_members",
        "_node",
        "_order",
        "_period_end_ms",
        "_probe_ms",
        "_relays",
        "_rng",
        "_target",
        "_updates",
        "health",
        "incarnation",
    )

    def __init__(self, node: int, rng: Random) -> None:
        self._node = node
        self._rng = rng
        self._members: dict[int, _Member] = {}
        self._order: list[int] = []
        self._ill: dict[int, None] = {}
        self._target: int | None = None
        self._acked = True
        self._indirect_sent = False
        self._probe_ms = 0
        self._period_end_ms = 0
        self._relays: dict[int, int] = {}
        self._updates: dict[int, int] = {}
        self.health = 0
        """Lifeguard's local health: 0 is well; each step lengthens this node's time-outs."""
        self.incarnation = 0

    def watch(self, nodes: Iterable[int]) -> None:
        """Sets whom to probe; those who left the view are forgotten unless they are suspected."""
        wanted = list(nodes)[:MEMBERS_MAX]
        here = set(wanted)
        for node in [n for n, m in self._members.items() if n not in here and m.status == ALIVE]:
            del self._members[node]
        for node in wanted:
            if node not in self._members and len(self._members) < MEMBERS_MAX:
                self._members[node] = _Member()

    def dead(self, node: int) -> bool:
        """Whether a node is considered dead."""
        member = self._members.get(node)
        return member is not None and member.status == DEAD

    def suspected(self) -> list[int]:
        """Returns the nodes under suspicion."""
        return [node for node, member in self._members.items() if member.status == SUSPECT]

    def next_ms(self, now_ms: int) -> int:
        """Returns when `tick` wants to be called next."""
        if self._target is not None and not self._acked and not self._indirect_sent:
            return self._probe_ms + PROBE_TIMEOUT_MS * (1 + self.health)
        return max(self._period_end_ms, now_ms + 1)

    def tick(self, now_ms: int) -> list[Message]:
        """Probes the next node and ends what has timed out."""
        self._expire(now_ms)
        if self._target is not None and not self._acked:
            if now_ms < self._period_end_ms:
                if self._indirect_sent:
                    return []
                self._indirect_sent = True
                return self._ask_others(self._target)
            self._fail(now_ms, self._target)
        if now_ms < self._period_end_ms:
            return []
        return self._probe(now_ms)

    def _probe(self, now_ms: int) -> list[Message]:
        self._period_end_ms = now_ms + PERIOD_MS * (1 + self.health)
        self._relays.clear()
        while self._order and self._order[-1] not in self._members:
            self._order.pop()
        if not self._order:
            self._order = [n for n, m in self._members.items() if m.status != DEAD]
            self._rng.shuffle(self._order)
        if not self._order:
            self._target = None
            return []
        self._target = self._order.pop()
        self._acked = False
        self._indirect_sent = False
        self._probe_ms = now_ms
        return [self._message(self._target, Kind.PING, self._target)]

    def _message(self, to: int, kind: Kind, subject: int) -> Message:
        """Builds a packet; the last two fields of PROBE say whom it is about."""
        return to, kind, PROBE.pack(subject, self.incarnation) + self._gossip()

    def _ask_others(self, target: int) -> list[Message]:
        others = [n for n, m in self._members.items() if n != target and m.status == ALIVE]
        chosen = self._rng.sample(others, min(INDIRECT, len(others)))
        return [self._message(other, Kind.PING_REQUEST, target) for other in chosen]

    def _fail(self, now_ms: int, target: int) -> None:
        """A probe without answer: this node may be ill itself, and the target is suspected."""
        self.health = min(self.health + 1, HEALTH_MAX)
        self._target = None
        member = self._members.get(target)
        if member is not None and member.status == ALIVE:
            self._suspect(now_ms, target, member, self._node)

    def _suspect(self, now_ms: int, node: int, member: _Member, by: int) -> None:
        if member.status == ALIVE:
            member.status = SUSPECT
            self._ill[node] = None
            member.since_ms = now_ms
            member.confirmations = set()
        if len(member.confirmations) < INDIRECT:
            member.confirmations.add(by)
        # Lifeguard: from the longest to the shortest time-out as confirmations come in.
        shortest = SUSPICION_MULTIPLIER * max(1.0, log10(max(2, len(self._members)))) * PERIOD_MS
        share = log10(len(member.confirmations) + 1) / log10(INDIRECT + 1)
        member.deadline_ms = member.since_ms + int(shortest * (1 + self.health) * (2 - share))
        self._tell(node)

    def _expire(self, now_ms: int) -> None:
        for node in list(self._ill):
            member = self._members.get(node)
            if member is None or member.status == ALIVE:
                del self._ill[node]
            elif member.status == SUSPECT and now_ms >= member.deadline_ms:
                member.status = DEAD
                member.since_ms = now_ms
                self._tell(node)
            elif member.status == DEAD and now_ms - member.since_ms > 60_000:
                del self._members[node]
                del self._ill[node]

    def _tell(self, node: int) -> None:
        """Puts a change into the next few packets."""
        self._updates[node] = 4
        while len(self._updates) > MEMBERS_MAX:
            del self._updates[next(iter(self._updates))]

    def _gossip(self) -> bytes:
        if not self._updates:
            return b""
        parts: list[bytes] = []
        for node in list(self._updates)[:UPDATES_MAX]:
            if node == self._node:
                parts.append(UPDATE.pack(node, self.incarnation, ALIVE))
            elif (member := self._members.get(node)) is not None:
                parts.append(UPDATE.pack(node, member.incarnation, member.status))
            self._updates[node] -= 1
            if self._updates[node] <= 0:
                del self._updates[node]
        return b"".join(parts)

    def receive(self, now_ms: int, kind: int, sender: int, data: bytes) -> list[Message] | None:
        """Answers a packet; None when it does not parse."""
        body = data[HEADER_BYTES:]
        rest = len(body) - PROBE.size
        if rest < 0 or rest % UPDATE.size or rest > UPDATES_MAX * UPDATE.size:
            return None
        subject, incarnation = PROBE.unpack_from(body)
        for at in range(PROBE.size, len(body), UPDATE.size):
            self._update(now_ms, sender, *UPDATE.unpack_from(body, at))
        self._alive(sender, incarnation)
        if kind == Kind.PING:
            return [self._message(sender, Kind.ACK, self._node)]
        if kind == Kind.PING_REQUEST:
            if len(self._relays) < MEMBERS_MAX:
                self._relays[subject] = sender
            return [self._message(subject, Kind.PING, subject)]
        if subject == self._target and not self._acked:
            self._acked = True
            self.health = max(0, self.health - 1)
        asker = self._relays.pop(subject, None)
        if asker is not None and asker != self._node:
            return [self._message(asker, Kind.ACK, subject)]
        return []

    def _alive(self, node: int, incarnation: int) -> None:
        """A packet from a node: it lives, unless it is suspected under this incarnation."""
        member = self._members.get(node)
        if member is None:
            return
        if incarnation > member.incarnation or member.status == ALIVE:
            member.incarnation = max(member.incarnation, incarnation)
            member.status = ALIVE
        elif member.status == SUSPECT:
            # It must hear of the suspicion to refute it.
            self._tell(node)

    def _update(self, now_ms: int, by: int, node: int, incarnation: int, status: int) -> None:
        if node == self._node:
            if status != ALIVE and incarnation >= self.incarnation:
                # Refute; and Lifeguard: being suspected is a sign of being slow oneself.
                self.incarnation = min(incarnation + 1, 0xFFFFFFFF)
                self.health = min(self.health + 1, HEALTH_MAX)
                self._tell(node)
            return
        member = self._members.get(node)
        if member is None or incarnation < member.incarnation:
            return
        if status == ALIVE and incarnation > member.incarnation:
            member.status = ALIVE
            member.incarnation = incarnation
        elif status == SUSPECT and member.status != DEAD:
            member.incarnation = incarnation
            self._suspect(now_ms, node, member, by)
        elif status == DEAD and member.status != DEAD:
            # Hearsay of a death is a suspicion; only the own deadline kills.
            self._suspect(now_ms, node, member, by)
