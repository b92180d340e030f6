"""Who is believed: witnesses of power that was not claimed, quarantine, and what was delivered.

A node's claim of its own power can be checked by its neighbours in two ways: a metered outlet
(PDU) that they can read, and their own inlet, which the neighbour's heat raises by D·P.

What a node has measured itself puts a neighbour into *quarantine* for ten minutes: no work is sent
there and its offers are not taken. What others say never does, however many they are, since a
receiver cannot check it: three accusers within three minutes make a node *doubted* for ten, and a
doubted node's word is not believed below the average, so that it looks no cheaper than the mean
of the view. That is all that liars can do to an honest node, whatever their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WITNESSES: Final = 3
WINDOW_MS: Final = 180_000
QUARANTINE_MS: Final = 600_000
ACCUSED_MAX: Final = 256
OUTLET_W: Final = 30.0
OUTLET_RATIO: Final = 0.2
OUTLET_CONFIRM: Final = 6
"""Entries in a row that disagree with the outlet before a node accuses."""
OUTLET_RECENT: Final = 8
"""Readings of an outlet, one a second, that a claim may agree with."""
OUTLET_PAUSE: Final = 120
"""Entries until the same node is accused again."""
INLET_K: Final = 0.6
INLET_FAST_S: Final = 20.0
INLET_SLOW_S: Final = 600.0


class Quarantine:
    """Whom a node avoids by its own evidence, and whom it doubts by others'."""

    __slots__ = ("_accusations", "_doubted_ms", "_until_ms")

    def __init__(self) -> None:
        self._accusations: dict[int, dict[int, int]] = {}
        self._until_ms: dict[int, int] = {}
        self._doubted_ms: dict[int, int] = {}

    def convict(self, now_ms: int, node: int) -> bool:
        """Quarantines a node by this node's own measurement; False when it is already."""
        if self.holds(now_ms, node):
            return False
        _bounded(self._until_ms, node, now_ms + QUARANTINE_MS)
        return True

    def accuse(self, now_ms: int, accuser: int, accused: int) -> bool:
        """Books what another says; True when it makes the accused doubted."""
        if accuser == accused or self.doubts(now_ms, accused):
            return False
        if accused not in self._accusations and len(self._accusations) >= ACCUSED_MAX:
            del self._accusations[next(iter(self._accusations))]
        heard = self._accusations.setdefault(accused, {})
        heard[accuser] = now_ms
        for node in [n for n, at in heard.items() if now_ms - at > WINDOW_MS]:
            del heard[node]
        while len(heard) > 2 * WITNESSES:
            del heard[next(iter(heard))]
        if len(heard) < WITNESSES:
            return False
        del self._accusations[accused]
        _bounded(self._doubted_ms, accused, now_ms + QUARANTINE_MS)
        return True

    def news(self, now_ms: int, accuser: int, accused: int) -> bool:
        """Whether an accusation is new, and still counts for something."""
        if self.doubts(now_ms, accused):
            return False
        at = self._accusations.get(accused, {}).get(accuser)
        return at is None or now_ms - at > WINDOW_MS

    def holds(self, now_ms: int, node: int) -> bool:
        """Whether a node is in quarantine."""
        return bool(self._until_ms) and self._until_ms.get(node, 0) > now_ms

    def doubts(self, now_ms: int, node: int) -> bool:
        """Whether a node is doubted."""
        return bool(self._doubted_ms) and self._doubted_ms.get(node, 0) > now_ms


def _bounded(table: dict[int, int], node: int, until_ms: int) -> None:
    if node not in table and len(table) >= ACCUSED_MAX:
        del table[next(iter(table))]
    table[node] = until_ms


class OutletWitness:
    """Compares neighbours' claimed power with their metered outlets.

    An entry is up to 2.5 s old and its figure is filtered, so that while a load changes an honest
    claim lags: it must lie between the outlet's least and most of the last readings.
    """

    __slots__ = ("_recent", "_strikes")

    def __init__(self) -> None:
        self._strikes: dict[int, tuple[int, int]] = {}
        self._recent: dict[int, list[float]] = {}

    def check(self, node: int, seq: int, claimed_w: float, outlet_w: float) -> bool:
        """Takes one comparison; True when the node is to be accused.

        Args:
            node: the neighbour.
            seq: of its entry; one entry counts once.
            claimed_w: what it says.
            outlet_w: what its outlet says.
        """
        recent = self._recent.setdefault(node, [])
        recent.append(outlet_w)
        del recent[:-OUTLET_RECENT]
        low, high = min(recent), max(recent)
        limit = max(OUTLET_W, OUTLET_RATIO * outlet_w)
        if low - limit <= claimed_w <= high + limit:
            self._strikes.pop(node, None)
            return False
        strikes, last = self._strikes.get(node, (0, 0))
        if seq == last:
            return False
        strikes += 1
        self._strikes[node] = (-OUTLET_PAUSE if strikes >= OUTLET_CONFIRM else strikes, seq)
        return strikes >= OUTLET_CONFIRM


class InletWitness:
    """Compares the own inlet with what the neighbours' claimed power predicts.

    The part that all neighbours' inlets share (a warmer aisle) is nobody's lie: whoever calls
    passes it as `common_c`.
    """

    __slots__ = ("_fast", "_slow")

    def __init__(self) -> None:
        self._fast: float | None = None
        self._slow = 0.0

    def check(
        self, dt_s: float, inlet_c: float, common_c: float,
        claims_w: Mapping[int, float], rows: Mapping[int, float], power_max_w: float,
    ) -> int | None:  # fmt: skip
        """Returns whom to accuse, or None.

        Args:
            dt_s: since the last call.
            inlet_c: the own inlet.
            common_c: mean inlet of the neighbours.
            claims_w: their claimed power.
            rows: D of each, K/W.
            power_max_w: what a node draws at most.
        """
        predicted = sum(rows[node] * watts for node, watts in claims_w.items() if node in rows)
        residual = inlet_c - common_c - predicted
        if self._fast is None:
            self._fast = self._slow = residual
            return None
        self._fast += (residual - self._fast) * dt_s / (INLET_FAST_S + dt_s)
        if self._fast - self._slow <= INLET_K:
            self._slow += (residual - self._slow) * dt_s / (INLET_SLOW_S + dt_s)
            return None
        hidden = {
            node: rows[node] * (power_max_w - watts)
            for node, watts in claims_w.items()
            if node in rows
        }
        return max(hidden, key=lambda node: (hidden[node], node)) if hidden else None


class PushSum:
    """The mean by push-sum (Kempe, Dobra, Gehrke 2003): for comparison only.

    One liar moves it as far as it likes, which is why prices use a trimmed mean of signed values.
    """

    __slots__ = ("_last", "sum", "weight")

    def __init__(self) -> None:
        self.sum = 0.0
        self.weight = 1.0
        self._last = 0.0

    def contribute(self, value: float) -> None:
        """Replaces the own value in the running sum."""
        self.sum += value - self._last
        self._last = value

    def halve(self) -> tuple[float, float]:
        """Keeps a half and returns the other."""
        self.sum /= 2
        self.weight /= 2
        return self.sum, self.weight

    def receive(self, total: float, weight: float) -> None:
        """Adds another's half."""
        self.sum += total
        self.weight += weight

    def mean(self) -> float:
        """The estimate of the mean."""
        return self.sum / self.weight if self.weight > 1e-12 else self._last
