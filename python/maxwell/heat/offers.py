"""The evacuation of a node: which process goes to which offer, and which is frozen.

Highest value first, to the cheapest offer that has room and that the process can pay. What is
accepted under an offer never exceeds what was offered.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maxwell.heat.records import Hosted
    from maxwell.heat.settings import HeatSettings

OFFERS_MAX: Final = 64
FREEZE_REST_S: Final = 10.5
"""What has found no place by then is frozen, so that the host can sleep within twelve seconds."""


class Offer:
    """Room that another node reserved for this one's evacuees."""

    __slots__ = ("deal", "expires_ms", "left_w", "ln_price", "node", "offered_w")

    def __init__(
        self, node: int, deal: int, watts: float, ln_price: float, expires_ms: int
    ) -> None:
        self.node = node
        self.deal = deal
        self.left_w = watts
        self.offered_w = watts
        self.ln_price = ln_price
        self.expires_ms = expires_ms


class OfferBook:
    """The offers that a node in distress has received."""

    __slots__ = ("discount_w", "offers")

    def __init__(self) -> None:
        self.offers: list[Offer] = []
        self.discount_w = 0.0
        """Watts accepted under offers: what the bond pays the discount for."""

    def add(self, offer: Offer) -> bool:
        """Keeps an offer; False when there are too many or it is known."""
        if len(self.offers) >= OFFERS_MAX:
            return False
        if any(o.node == offer.node and o.deal == offer.deal for o in self.offers):
            return False
        self.offers.append(offer)
        self.offers.sort(key=_cheapness)  # stable: equal prices stay in order of arrival
        return True

    def expire(self, now_ms: int) -> None:
        """Forgets offers whose time is over."""
        if self.offers:
            self.offers = [offer for offer in self.offers if offer.expires_ms > now_ms]

    def take(self, process: Hosted, *, priced: bool, now_ms: int) -> Offer | None:
        """Uses the first offer that fits and can be paid; None when there is none."""
        for offer in self.offers:
            if offer.left_w < process.watts:
                continue
            if priced and process.ln_value < offer.ln_price:
                return None  # the next ones are dearer
            if process.avoid.get(offer.node, 0) > now_ms:
                continue
            offer.left_w -= process.watts
            self.discount_w += process.watts
            assert offer.left_w >= 0, "accepted more than was offered"
            return offer
        return None

    def release(self) -> list[Offer]:
        """Empties the book and returns the offers, so that their givers can be told."""
        released, self.offers = self.offers, []
        return released


def _cheapness(offer: Offer) -> float:
    return offer.ln_price


def leaving_now(budget: float, processes: int, dt_s: float, settings: HeatSettings) -> float:
    """Adds to the number of processes that may leave: 25 % of those there were, each second."""
    return budget + settings.leave_per_s * dt_s * processes


def freeze_count(
    settings: HeatSettings, *, in_distress_s: float, time_to_trip_s: float, t_c: float,
    usable_offers: bool, processes: int, dt_s: float,
) -> int:  # fmt: skip
    """Returns how many processes to freeze now, lowest value first.

    Without a usable offer after four seconds, or when trip is six seconds away whatever the
    offers: at 30 % a second, faster the closer the trip. After ten and a half: all that are left.
    """
    if processes == 0:
        return 0
    if in_distress_s >= FREEZE_REST_S:
        return processes
    near = (
        time_to_trip_s < settings.freeze_time_to_trip_s
        or t_c > settings.trip_c - settings.freeze_below_trip_k
    )
    if not near or (usable_offers and t_c < settings.trip_c - 1.5):
        return 0
    if in_distress_s < settings.freeze_after_s and t_c < settings.trip_c - 1.5:
        return 0
    rate = max(settings.freeze_per_s, 1.5 / max(time_to_trip_s, 1.0))
    return ceil(rate * dt_s * processes)


def by_value(processes: Iterable[Hosted]) -> list[Hosted]:
    """Returns processes by falling value; equal ones by number."""
    return sorted(processes, key=lambda p: (-p.ln_value, p.process))
