"""The auction of slices, explained in plain Python.

This module is the explanation of the mechanism that ``crates/market`` runs, and the place to try
a rule of your own: everything is an ordinary float, every rule is one short method, and nothing
depends on anything but the standard library. It is slow on purpose.

The mechanism, in the order of the code:

1. **The race.** Each racing account has an *exponential clock*. Its residual ``e`` is a draw from
   the unit exponential distribution; at rate ``lambda`` it rings after ``e / lambda`` of virtual
   time. The first clock to ring wins the slice. The chance to win is ``lambda`` over the sum of
   all rates: a lottery in which tickets are rates.
2. **Rates.** ``lambda = (bid * quality) ** (1 / T)``. At temperature ``T = 1`` this is exactly
   lottery scheduling; as ``T`` falls the highest score wins ever more surely, and at ``T -> 0`` it
   is a Vickrey auction. Bids are rounded down to a grid of 64 levels an octave.
3. **Kept clocks.** A decision moves virtual time to the moment at which the winner's clock rang.
   Only the winner draws a new clock; losers keep what is left of theirs. Since the exponential
   distribution has no memory, that is again a unit exponential, so each decision is a fresh
   lottery, and no one starves. (Keeping *scores* instead of clocks, as a naive Gumbel-max race
   would, lets one winner win for ever.)
4. **Rescaling.** A change of bid changes the rate and nothing else: what is left of the clock
   stays, and now runs faster or slower. Otherwise a bidder could draw its clock at a high bid and
   then lower the bid.
5. **The critical price.** The winner pays the least bid with which it would still have rung first:
   ``bid * (its wait / the runner-up's wait) ** T``. Its own bid cancels, so that no bid is better
   than the true value (dominant-strategy truthful for every realisation of the clocks), and the
   price is never above the bid (individually rational).
6. **The reserve** is a hard test: a bid below the floor ``max(reserve, rho / quality)`` does not
   race, and a price is never below the floor. When no one races, the core sleeps.
7. **Quality** multiplies the bid in the score, and divides the price again.
8. **Sleep and leave.** Whoever stops racing keeps its residual, and goes on with it on return.
9. **One clock per account**, whatever the number of its processes: ``e`` is a pseudo-random
   function of seed, account, cell and number of wins, so that neither clones nor re-entry nor
   waiting gives a second draw. Only winning consumes a clock.

The Rust auction does the same without touching losers: it keeps each bidder's *key*, the absolute
virtual time ``now + e / lambda`` at which its clock will ring, in a heap, so that a decision costs
O(log n). Its other deviations change a decision by no more than rounding: keys are integers that
wrap around; waits are rounded up to 2**-52 of the top rate's mean; prices are whole parts per
million; rates far below the top racing rate (2**28 or more) may race a little faster.

Source: Gibson and Bruck's next-reaction method (the kept and rescaled clocks), Vickrey's
second price (the critical bid), Waldspurger and Weihl's lottery scheduling (the shares).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

PPM = 1_000_000
LEVELS_PER_OCTAVE = 64
BID_IN_RESERVES_MAX = 256

Draw = Callable[[int, int], float]
"""``draw(account, wins)`` is the unit exponential clock of an account after so many wins."""


def grid_level(ppm: int) -> int:
    """The largest ``j`` with ``2 ** (j / 64) <= ppm``, exactly; ``ppm`` is at least 1."""
    return (ppm**LEVELS_PER_OCTAVE).bit_length() - 1


def grid_ppm(level: int) -> int:
    """The least whole bid of a level: ``ceil(2 ** (level / 64))``, exactly."""
    ppm = int(2.0 ** (level / LEVELS_PER_OCTAVE))
    while ppm**LEVELS_PER_OCTAVE < 1 << level:
        ppm += 1
    while (ppm - 1) ** LEVELS_PER_OCTAVE >= 1 << level:
        ppm -= 1
    return ppm


def seeded_draw(seed: int) -> Draw:
    """Makes a draw that depends on seed, account and wins only; the kernel's is a keyed PRF."""

    def draw(account: int, wins: int) -> float:
        return random.Random(f"{seed}/{account}/{wins}").expovariate(1.0)  # noqa: S311

    return draw


@dataclass(frozen=True, slots=True)
class Decision:
    """Who won a slice, and for what: ``floor_ppm <= price_ppm <= bid_ppm``.

    Attributes:
        winner: The account that won.
        price_ppm: The critical price, in parts per million of the cost price.
        bid_ppm: The winner's bid as entered: clamped, and rounded down to the grid.
        floor_ppm: The winner's floor.
        runner_up: The first account that lost, if any.
    """

    winner: int
    price_ppm: float
    bid_ppm: int
    floor_ppm: int
    runner_up: int | None


@dataclass(slots=True)
class Bidder:
    """An account in the auction; ``e`` is what is left of its clock."""

    account: int
    e: float
    wins: int = 0
    submitted_ppm: int = 0
    quality_ppm: int = PPM
    awake: bool = False
    racing: bool = False
    rate: float = 0.0
    floor_ppm: int = 0
    bid_ppm: int = 0

    @property
    def wait(self) -> float:
        """Virtual time until the clock rings."""
        return self.e / self.rate


@dataclass(slots=True)
class Auction:
    """The exponential-race Vickrey auction of one cell.

    Example:
        >>> auction = Auction(temperature=0.25, draw=seeded_draw(7))
        >>> for account, bid in [(1, 3_000_000), (2, 2_000_000)]:
        ...     auction.enter(account)
        ...     _ = auction.bid(account, bid)
        ...     auction.wake(account)
        >>> [decision] = auction.decide()
        >>> decision.floor_ppm <= decision.price_ppm <= decision.bid_ppm
        True

    To try a rule, subclass and replace one of the methods that are rules: :meth:`rate`,
    :meth:`floor`, :meth:`redraw`, :meth:`price`.
    """

    temperature: float = 0.25
    reserve_ppm: int = PPM
    rho_ppm: int = 0
    draw: Draw = field(default_factory=lambda: seeded_draw(0))
    bidders: dict[int, Bidder] = field(default_factory=dict[int, Bidder])

    # The rules.

    def rate(self, bidder: Bidder) -> float:
        """Rule 2: ``(bid * quality) ** (1 / T)``, both on the grid of 64 levels an octave."""
        quality = grid_level(bidder.quality_ppm) - grid_level(PPM)
        score = grid_level(bidder.bid_ppm) + quality - grid_level(self.reserve_ppm)
        # Any common unit will do; the reserve's keeps the numbers small.
        return 2.0 ** (score / LEVELS_PER_OCTAVE / self.temperature)

    def floor(self, bidder: Bidder) -> int:
        """Rule 6: ``max(reserve, rho / quality)``, rounded up to whole ppm."""
        return max(self.reserve_ppm, -(-self.rho_ppm * PPM // bidder.quality_ppm))

    def redraw(self, bidder: Bidder) -> None:
        """Rules 3 and 9: only a winner draws again, and its number of wins picks the draw."""
        bidder.wins += 1
        bidder.e = self.draw(bidder.account, bidder.wins)

    def price(self, winner: Bidder, losing_wait: float) -> float:
        """Rule 5: the least bid with which ``winner`` would still have rung first.

        Args:
            winner: The winner, with the clock that rings.
            losing_wait: The first wait that the winner had to beat; infinite when there is none.
        """
        if winner.wait <= 0.0:
            return winner.floor_ppm
        grid_bid = 2.0 ** (grid_level(winner.bid_ppm) / LEVELS_PER_OCTAVE)
        critical = grid_bid * (winner.wait / losing_wait) ** self.temperature
        return max(winner.floor_ppm, min(critical, winner.bid_ppm))

    # What happens to bidders.

    def enter(self, account: int, residual: tuple[float, int] | None = None) -> None:
        """Adds an account: asleep, without a bid. ``residual`` is what :meth:`leave` returned."""
        if account in self.bidders:
            raise ValueError(f"account already has a clock on this cell: {account}")
        e, wins = (self.draw(account, 0), 0) if residual is None else residual
        self.bidders[account] = Bidder(account, e, wins)

    def leave(self, account: int) -> tuple[float, int]:
        """Rule 8: removes an account; returns its residual and wins, to come back with."""
        bidder = self.bidders[account]
        self.sleep(account)
        del self.bidders[account]
        return bidder.e, bidder.wins

    def bid(self, account: int, bid_ppm: int) -> int:
        """Bids from now on; returns the bid as entered, 0 when it is below the floor."""
        self.bidders[account].submitted_ppm = bid_ppm
        self.settle(account)
        return self.bidders[account].bid_ppm

    def sleep(self, account: int) -> None:
        """Rule 8: stops racing, with bid and residual kept."""
        self.bidders[account].awake = False
        self.settle(account)

    def wake(self, account: int) -> None:
        """Races again, if the bid reaches the floor."""
        self.bidders[account].awake = True
        self.settle(account)

    def set_quality(self, account: int, quality_ppm: int) -> None:
        """Sets a quality, 125,000 to 8,000,000 ppm."""
        self.bidders[account].quality_ppm = quality_ppm
        self.settle(account)

    def set_prices(self, *, reserve_ppm: int | None = None, rho_ppm: int | None = None) -> None:
        """Sets the reserve and the clearing price rho; floors and clamps follow."""
        self.reserve_ppm = self.reserve_ppm if reserve_ppm is None else reserve_ppm
        self.rho_ppm = self.rho_ppm if rho_ppm is None else rho_ppm
        for account in self.bidders:
            self.settle(account)

    def settle(self, account: int) -> None:
        """Rule 4: applies whatever has changed to the rate, and leaves the clock alone.

        The bid is clamped to 256 reserves (or to the floor, if that is higher), rounded down to
        the grid, but not below the floor: so the price, at most the grid's bid, is at most the bid.
        """
        bidder = self.bidders[account]
        bidder.floor_ppm = self.floor(bidder)
        if bidder.submitted_ppm < bidder.floor_ppm:
            bidder.bid_ppm, bidder.racing = 0, False
            return
        clamp = max(BID_IN_RESERVES_MAX * self.reserve_ppm, bidder.floor_ppm)
        grid_bid = grid_ppm(grid_level(min(bidder.submitted_ppm, clamp)))
        bidder.bid_ppm = max(grid_bid, bidder.floor_ppm)
        bidder.rate = self.rate(bidder)
        bidder.racing = bidder.awake

    # The decision.

    def decide(self, slots: int = 1) -> list[Decision]:
        """Sells ``slots`` slices at once: the first keys win, against the first key that does not.

        Returns:
            The decisions, best first; empty when nobody races (the core sleeps).
        """
        race = sorted((b for b in self.bidders.values() if b.racing), key=lambda b: b.wait)
        winners, losers = race[:slots], race[slots:]
        losing_wait = losers[0].wait if losers else math.inf
        decisions = [
            Decision(
                winner=winner.account,
                price_ppm=self.price(winner, losing_wait),
                bid_ppm=winner.bid_ppm,
                floor_ppm=winner.floor_ppm,
                runner_up=losers[0].account if losers else None,
            )
            for winner in winners
        ]
        # Rule 3: virtual time passes until the last winner's clock rings.
        elapsed = winners[-1].wait if winners else 0.0
        for loser in losers:
            loser.e = max(0.0, loser.e - elapsed * loser.rate)
        for winner in winners:
            self.redraw(winner)
        return decisions
