"""The node's thermal price as the auction's reserve: what a hot node's joules cost at least.

`maxwell.heat` computes ln p of the node once in 500 ms; the cells' auctions take it as their
reserve (a `reserve` message). Changes below one per cent are not worth a reconsideration of all
bids and are kept back.
"""

from __future__ import annotations

from typing import Final

from maxwell.heat.price import reserve_ppm

STEP_PPM: Final = 10_000
"""One per cent: about one step of the auction's grid of bids."""


class ThermalReserve:
    """Turns thermal prices into reserves.

    Args:
        base_ppm: the configured reserve, at least 1,000,000.

    Example:
        >>> reserve = ThermalReserve(1_000_000)
        >>> reserve.update(0.0), reserve.update(0.2), reserve.update(0.201)
        (None, 1221402, None)
    """

    def __init__(self, base_ppm: int) -> None:
        self._base_ppm = base_ppm
        self.ppm = base_ppm

    def update(self, ln_price: float) -> int | None:
        """Takes the price and returns the new reserve, or None when it stays."""
        wanted = reserve_ppm(self._base_ppm, ln_price)
        back = wanted == self._base_ppm != self.ppm
        if not back and abs(wanted - self.ppm) * 1_000_000 < STEP_PPM * self.ppm:
            return None
        self.ppm = wanted
        return wanted
