"""What a node lets in: thermal headroom, a deficit bucket, reservations, a ramp after distress.

A node admits what keeps its steady state below trip − 8 K by its learnt resistance. Ordinary
moves also need tokens: 5 % of the headroom a second, at most 60 W, spent into debt, so that stale
cheapness cannot draw a herd. Offers to evacuees are reservations and need no tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from maxwell.heat.settings import HeatSettings

MODEL_MARGIN_K: Final = 3.0
"""For what neighbours add to the inlet after the move, and for errors of R."""
DEALS_MAX: Final = 64
RESERVE_TTL_MS: Final = 10_000


class Deal:
    """Watts that are promised to somebody until a time."""

    __slots__ = ("expires_ms", "left_w", "other")

    def __init__(self, other: int, left_w: float, expires_ms: int) -> None:
        self.other = other
        self.left_w = left_w
        self.expires_ms = expires_ms


class Admission:
    """The gate of one node."""

    __slots__ = ("_at_ms", "_next_deal", "_settings", "_tokens_w", "closed", "deals", "ramp")

    def __init__(self, settings: HeatSettings) -> None:
        self._settings = settings
        self._at_ms = 0
        self._tokens_w = settings.token_w_max
        self._next_deal = 1
        self.deals: dict[int, Deal] = {}
        self.closed = False
        self.ramp = 1.0
        """Share of the headroom open after a distress, 0 to 1."""

    def reserved_w(self) -> float:
        """Watts promised and not yet arrived."""
        return sum(deal.left_w for deal in self.deals.values())

    def step(self, now_ms: int, headroom_w: float) -> None:
        """Refills tokens and forgets expired promises; `headroom_w` before reservations."""
        dt = max(0.0, (now_ms - self._at_ms) / 1_000)
        self._at_ms = now_ms
        settings = self._settings
        refill = settings.token_refill_per_s * headroom_w * dt
        self._tokens_w = min(settings.token_w_max, self._tokens_w + refill)
        if self.deals:
            for number in [n for n, d in self.deals.items() if d.expires_ms <= now_ms]:
                del self.deals[number]

    def headroom_w(
        self, *, inlet_c: float, resistance_k_per_w: float, power_w: float, load_w: float
    ) -> float:
        """Returns the watts that may still come, before reservations."""
        settings = self._settings
        target_c = settings.trip_c - settings.absorber_margin_k - MODEL_MARGIN_K
        thermal = (target_c - inlet_c) / resistance_k_per_w - max(power_w, settings.idle_w + load_w)
        return max(0.0, min(thermal, settings.dynamic_w_max - load_w) * self.ramp)

    def promise(self, other: int, watts: float, expires_ms: int) -> int | None:
        """Books a promise and returns its number; None when there are too many."""
        if len(self.deals) >= DEALS_MAX:
            return None
        number = self._next_deal
        self._next_deal = self._next_deal % 0xFFFFFFFF + 1
        self.deals[number] = Deal(other, watts, expires_ms)
        return number

    def request(self, now_ms: int, other: int, watts: float, free_w: float) -> int | None:
        """Answers an ordinary request: a promise of ten seconds, or None.

        Args:
            now_ms: monotonic time.
            other: who asks.
            watts: how much.
            free_w: headroom less reservations.
        """
        if self.closed or self._tokens_w <= 0 or watts > free_w:
            return None
        number = self.promise(other, watts, now_ms + RESERVE_TTL_MS)
        if number is not None:
            self._tokens_w -= watts
        return number

    def arrive(self, other: int, number: int, watts: float) -> bool:
        """Redeems a promise for one process; False when there is none for it."""
        deal = self.deals.get(number)
        if deal is None or deal.other != other or deal.left_w + 1.0 < watts:
            return False
        deal.left_w -= watts
        if deal.left_w < 1.0:
            del self.deals[number]
        return True

    def release(self, other: int, number: int, watts: float) -> None:
        """Frees what its holder does not need of a promise; moves under way keep the rest."""
        deal = self.deals.get(number)
        if deal is not None and deal.other == other:
            deal.left_w -= watts
            if deal.left_w < 1.0:
                del self.deals[number]
