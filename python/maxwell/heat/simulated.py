"""A simulated part for hosts that show no temperature: two-node RC, driven by metered power.

C_die dT/dt = P − (T_die − T_sink)/R_die; C_sink dT/dt = (T_die − T_sink)/R_die −
(T_sink − T_in)/R_sink: term 1 of `maxwell.heat.thermal`, with its time constants (2.4 and 38 s) and
its ratio of resistances. The resistances are scaled so that a node at full power would settle at a
given temperature: a laptop's five watts then heat as a server's three hundred do. A fan of constant
speed, no leakage, no neighbours, no noise. Only sums, products and quotients of floats: equal
inputs give equal temperatures on every machine.
"""

from __future__ import annotations

from typing import Final

STEP_S_MAX: Final = 0.1
"""Euler steps at most this long; the faster time constant is 2.4 s."""
GAP_S_MAX: Final = 600.0
"""A longer pause than this changes nothing more: everything has settled."""
DIE_SHARE: Final = 0.25
"""Of the whole resistance, between die and sink; 0.04 of 0.16 K/W in `PlantModel`."""
DIE_TAU_S: Final = 2.4
SINK_TAU_S: Final = 37.8


class SimulatedPart:
    """One die and its sink.

    Args:
        inlet_c: temperature of the air.
        peak_c: where the die would settle at full power.
        full_w: the power that this is at, W.
        start_w: power at which it has settled when the run starts.
    """

    __slots__ = ("_at_ms", "_c_die", "_c_sink", "_inlet_c", "_r_die", "_r_sink", "_sink_c", "t_c")

    def __init__(self, *, inlet_c: float, peak_c: float, full_w: float, start_w: float) -> None:
        assert peak_c > inlet_c, "power heats"
        assert full_w > 0, "a node draws power"
        resistance = (peak_c - inlet_c) / full_w
        self._r_die = DIE_SHARE * resistance
        self._r_sink = resistance - self._r_die
        self._c_die = DIE_TAU_S / self._r_die
        self._c_sink = SINK_TAU_S / self._r_sink
        self._inlet_c = inlet_c
        self._sink_c = inlet_c + self._r_sink * start_w
        self.t_c = self._sink_c + self._r_die * start_w
        """Temperature of the die."""
        self._at_ms: int | None = None

    def follow(self, now_ms: int, power_w: float) -> float:
        """Takes the mean power since the last call and returns the die's temperature.

        A clock that goes backwards passes no time.
        """
        passed_s = 0.0 if self._at_ms is None else (now_ms - self._at_ms) / 1_000
        self._at_ms = now_ms
        left_s = min(max(passed_s, 0.0), GAP_S_MAX)
        while left_s > 0:
            dt_s = min(left_s, STEP_S_MAX)
            flow_w = (self.t_c - self._sink_c) / self._r_die
            out_w = (self._sink_c - self._inlet_c) / self._r_sink
            self.t_c += dt_s * (power_w - flow_w) / self._c_die
            self._sink_c += dt_s * (flow_w - out_w) / self._c_sink
            left_s -= dt_s
        return self.t_c
