"""A node that lies: it says that it is cold, takes everything, and ignores its own heat.

All liars of a run conspire: they accuse the same honest node of lying.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maxwell.heat.node import HeatNode
from maxwell.heat.wire import WITNESS

if TYPE_CHECKING:
    from maxwell.heat.records import Reading

LIE_H: Final = 0.1
LIE_W: Final = 120.0
HEADROOM_W: Final = 250.0
ACCUSE_TURNS: Final = 10


class LyingNode(HeatNode):
    """Signs figures of a cool, idle node, whatever is true."""

    victim: int | None = None
    """The honest node that all liars accuse."""
    _turn = 0

    def _spread_accusation(self) -> None:
        """Slanders the victim now and then."""
        self._turn += 1
        if self.victim is not None and self._turn % ACCUSE_TURNS == 1:
            self._tell_accusation(WITNESS.pack(self.victim, 200))
        super()._spread_accusation()

    def figures(self, now_ms: int) -> dict[str, float]:
        """Claims h = 0.1, little power, all room, the price that belongs to it."""
        settings = self.settings
        t_c = settings.reference_c + LIE_H * (settings.trip_c - settings.reference_c)
        claims = super().figures(now_ms)
        claims.update(
            t_c=t_c,
            t_hat_c=t_c,
            power_w=LIE_W,
            meter_w=LIE_W,
            headroom_w=HEADROOM_W,
            ln_price=settings.kappa * (LIE_H - self.reference_heat(LIE_H)),
            wanted_w=0.0,
        )
        return claims

    def on_reading(self, now_ms: int, reading: Reading) -> None:
        """Keeps the honest estimate of its sensors, and never goes into distress."""
        self.estimate.update(now_ms, reading.t_c, reading.power_w, reading.inlet_c)
        self.meter_w = LIE_W

    def cap_w(self) -> float:
        """Never brakes."""
        return self.settings.dynamic_w_max

    def arrive(self, source: int, deal: int, watts: float) -> bool:
        """Takes everything."""
        del source, deal, watts
        return True

    def _grant(self, now_ms: int, sender: int, watts: float, free_w: float) -> int | None:
        """Promises everything."""
        del free_w
        return self.admission.promise(sender, watts, now_ms + 10_000) or 1

    def _offerable_w(self) -> float:
        return LIE_W
