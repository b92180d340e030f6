"""Quality: what an account's verified bits per joule make of its bids.

A score in the auction is bid times quality. Quality is a squashed ratio of information per joule
over an account's last joules to a reference; it depends on settled figures only, never on a bid:

    q = clip(sqrt((I + I0) / (J + J0) / reference), 1/8, 8)

with the bits I (negative ones count as none) of the last J joules, at most `WINDOW_UJ`. The prior
of J0 joules at a quarter of the reference makes a newcomer's quality 1/2, so that a new name is
worth less than an average one. Bounds and squashing (the exponent 1/2) are those of the design;
docs/decisions/0012-information.md says when to use it.
"""

from __future__ import annotations

from collections import deque
from math import isqrt
from typing import Final

from maxwell.market.information import ONE

QUALITY_ONE_PPM: Final = 1_000_000
QUALITY_PPM_MIN: Final = QUALITY_ONE_PPM // 8
QUALITY_PPM_MAX: Final = QUALITY_ONE_PPM * 8
QUALITY_NEW_PPM: Final = QUALITY_ONE_PPM // 2
WINDOW_UJ: Final = 2_000_000
"""Bits are remembered for two joules of own consumption, whatever time they took."""
PRIOR_UJ: Final = 200_000
_STEP_UJ: Final = WINDOW_UJ // 64
"""Figures are kept this far apart: at most 66 of an account."""
_UJ_PER_J: Final = 1_000_000
_NEW_DIVISOR: Final = 4
"""The square of a newcomer's quality, inverted."""


class Quality:
    """The quality of one account.

    Args:
        reference: bits per joule of quality one, at least 1.
    """

    def __init__(self, reference: int) -> None:
        assert reference >= 1
        self._reference = reference
        self._past: deque[tuple[int, int]] = deque([(0, 0)])
        self.ppm = QUALITY_NEW_PPM

    def settle(self, *, bits_q32: int, energy_uj: int) -> bool:
        """Takes an account's figures as of a settlement; returns whether its quality changed.

        Args:
            bits_q32: all bits of the account so far, in units of 2^-32.
            energy_uj: all energy of its processes so far.
        """
        past = self._past
        assert energy_uj >= past[-1][0]
        while len(past) > 1 and past[1][0] <= energy_uj - WINDOW_UJ:
            past.popleft()
        window_uj = energy_uj - past[0][0]
        gained = max(0, bits_q32 - past[0][1])
        if energy_uj - past[-1][0] >= _STEP_UJ:
            past.append((energy_uj, bits_q32))
        prior = self._reference * ONE * PRIOR_UJ // (_NEW_DIVISOR * _UJ_PER_J)
        numerator = (gained + prior) * _UJ_PER_J
        denominator = (window_uj + PRIOR_UJ) * self._reference * ONE
        root = isqrt(numerator * QUALITY_ONE_PPM**2 // denominator)
        before, self.ppm = self.ppm, max(QUALITY_PPM_MIN, min(QUALITY_PPM_MAX, root))
        return self.ppm != before
