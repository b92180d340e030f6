"""The price law: what a joule costs on this node, from its predicted temperature.

h = (T̂ − 45)/(T_trip − 45); ln p* = 4 (max(0, h − 0.6)/0.4)² + 1.5 (h − r); p follows p* by at
most +0.9 and −0.3 a second. The reference r is half h̄, the mean of the view, and half a constant.
The barrier is absolute: when every node is hot every price rises and demand dies. The relative
term only moves work. `docs/concepts/heat.md` derives the gains.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from maxwell.heat.settings import HeatSettings

LN_PRICE_MAX: Final = 5.5
"""ln 256, rounded down: the auction clamps bids to 256 reserves."""
PPM: Final = 1_000_000
SMALL_NODES, LARGE_NODES = 10, 40
SMALL_PART: Final = 0.6


def target_ln_price(settings: HeatSettings, h: float, h_reference: float) -> float:
    """Returns ln p* over cost; `h` and `h_reference` are relative heats."""
    return _barrier(settings, h) + settings.kappa * (h - h_reference)


def own_effect_ln(settings: HeatSettings, h: float, rise: float) -> float:
    """Returns by how much a process that heats a node from `h` by `rise` makes it dearer."""
    after = _barrier(settings, h + rise)
    return after - _barrier(settings, h) + settings.believed_kappa * rise


def _barrier(settings: HeatSettings, h: float) -> float:
    over = max(0.0, h - settings.barrier_start) / (1 - settings.barrier_start)
    return settings.barrier_gain * over * over


def mean_share(settings: HeatSettings, nodes: int) -> float:
    """Returns the weight of h̄ in the reference: less below forty nodes, 0.6 of it in ten.

    Among few nodes a tenth of liars is one of the nine that a node hears, and no average helps.
    """
    part = SMALL_PART + (1 - SMALL_PART) * (nodes - SMALL_NODES) / (LARGE_NODES - SMALL_NODES)
    return settings.mean_share * min(max(part, SMALL_PART), 1.0)


class PriceLaw:
    """The slew-limited price of one node."""

    __slots__ = ("_settings", "ln_price")

    def __init__(self, settings: HeatSettings) -> None:
        self._settings = settings
        self.ln_price = 0.0

    def step(self, dt_s: float, h: float, h_reference: float) -> float:
        """Moves the price towards its target and returns ln p."""
        settings = self._settings
        target = min(target_ln_price(settings, h, h_reference), LN_PRICE_MAX)
        change = target - self.ln_price
        change = min(change, settings.slew_up_per_s * dt_s)
        change = max(change, -settings.slew_down_per_s * dt_s)
        self.ln_price += change
        return self.ln_price


def reserve_ppm(base_ppm: int, ln_price: float) -> int:
    """Returns the auction's reserve of a node: its base times its thermal price, never below it.

    Contract 1: a reserve is at least the cost price; a cool node is no reason to sell below cost.

    >>> reserve_ppm(1_000_000, 0.0), reserve_ppm(1_000_000, 0.5), reserve_ppm(1_000_000, -1.0)
    (1000000, 1648721, 1000000)
    """
    assert base_ppm >= PPM, "a reserve is at least the cost price"
    bounded = min(max(ln_price, 0.0), LN_PRICE_MAX)
    return max(base_ppm, int(base_ppm * exp(bounded)))


def redecide_s(settings: HeatSettings, movable_w: float, delay_s: float) -> float:
    """Returns T_re, the mean time between a process's decisions, from measured load and delay.

    The loop's gain is K = 2·L·κ·(R/ΔT)/(T_re·s); T_re keeps K·D at `loop_gain` (0.5 leaves a
    phase margin of 61° and a gain margin of 3.1).
    """
    span = settings.trip_c - settings.reference_c
    gain = 2 * movable_w * settings.kappa * settings.resistance_k_per_w / span
    wanted = gain * delay_s / (settings.loop_gain * settings.softness_ln)
    return min(max(wanted, settings.redecide_s_min), settings.redecide_s_max)
