"""Margins of the price loop: an integrator with delay, K·e^(−sD)/s.

With the lead on predicted temperature the heat sink's lag cancels and the loop is an integrator;
on current temperature it is K·e^(−sD)/(s(1+sτ)), whose margins are a few degrees. Both are solved
numerically here; `maxwell lab heat --gain` sweeps the gain to confirm them.
"""

from __future__ import annotations

from math import atan, degrees, pi, sqrt
from typing import NamedTuple


class Margins(NamedTuple):
    """What separates the loop from oscillation."""

    gain_per_s: float
    phase_margin_deg: float
    gain_margin: float


def margins(gain_per_s: float, delay_s: float, lag_s: float = 0.0) -> Margins:
    """Returns the margins of K·e^(−sD)/(s(1+s·lag)).

    Args:
        gain_per_s: K.
        delay_s: D, all delays of the loop together.
        lag_s: 0 with the lead that cancels it.
    """
    if lag_s == 0:
        crossover = gain_per_s
    else:
        # |K/(jω(1+jωτ))| = 1: a quadratic in ω².
        a = lag_s * lag_s
        crossover = sqrt((sqrt(1 + 4 * a * gain_per_s * gain_per_s) - 1) / (2 * a))
    phase = 90 - degrees(crossover * delay_s) - degrees(atan(crossover * lag_s))
    low, high = 1e-9, pi / (2 * delay_s)
    for _ in range(100):
        middle = (low + high) / 2
        if middle * delay_s + atan(middle * lag_s) < pi / 2:
            low = middle
        else:
            high = middle
    at_180 = high
    gain_there = gain_per_s / (at_180 * sqrt(1 + (at_180 * lag_s) ** 2))
    return Margins(gain_per_s, phase, 1 / gain_there)


def loop_gain_per_s(
    *, movable_w: float, kappa: float, resistance_k_per_w: float, span_k: float, redecide_s: float,
    softness_ln: float,
) -> float:  # fmt: skip
    """Returns K = 2·L·κ·(R/ΔT)/(T_re·s), 1/s."""
    return 2 * movable_w * kappa * resistance_k_per_w / span_k / (redecide_s * softness_ln)
