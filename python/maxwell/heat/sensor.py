"""From raw readings to what the control uses: filtered, predicted, and checked for nonsense.

T_f is an exponential mean over 2 s; the slope is that of the heat sink's temperature, T − R_die·P,
over 3 s, since the die follows its power within seconds and a step of load is no failing fan.
T̂ = T_f + lead · slope. R is learnt as (T − T_in)/P while the slope is small; the momentary
resistance (T − T_in)/(P − C·slope) tells a dead fan from more load within seconds.

A reading that is no number, out of range or stuck while the power says otherwise is not used;
the model T_in + R·P stands in, and `trusted` is False meanwhile.
"""

from __future__ import annotations

import os
import stat
from math import exp, inf, isfinite, log, nan
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.heat.counters import HeatCounters
    from maxwell.heat.settings import HeatSettings

READING_C_MIN: Final = -40.0
READING_C_MAX: Final = 150.0
POWER_W_MAX: Final = 65_535.0
READING_BYTES_MAX: Final = 64
"""Far more than a temperature has digits."""
GAP_S_MAX: Final = 5.0
"""A gap longer than this, or time going backwards, is a clock jump: filters start anew."""
STUCK_K: Final = 6.0
STUCK_S: Final = 10.0
RESISTANCE_FILTER_S: Final = 30.0
RESISTANCE_MIN: Final = 0.02
RESISTANCE_MAX: Final = 4.0


def read_sensor(path: Path) -> float:
    """Returns the °C that a file has in thousandths; NaN for whatever is no such file.

    Never waits and never reads on without end, even if somebody has put a pipe or a device there.
    Numbers out of range are returned as they are.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return nan
            data = os.read(descriptor, READING_BYTES_MAX + 1)
        finally:
            os.close(descriptor)
        return int(data) / 1_000 if len(data) <= READING_BYTES_MAX else nan
    except (OSError, ValueError):
        return nan


class ThermalEstimate:
    """One node's estimate of its own heat.

    Attributes:
        t_c: filtered temperature.
        slope_k_per_s: filtered slope of the heat sink.
        t_hat_c: predicted temperature.
        inlet_c, power_w: filtered inlet temperature and power.
        resistance_k_per_w: learnt thermal resistance to the inlet.
        trusted: whether the last readings were usable.
    """

    __slots__ = (
        "_at_ms",
        "_counters",
        "_fault_s",
        "_last_raw",
        "_power_then_w",
        "_settings",
        "_sink_c",
        "_stuck_s",
        "inlet_c",
        "power_w",
        "ready",
        "resistance_k_per_w",
        "slope_k_per_s",
        "t_c",
        "t_hat_c",
        "trusted",
    )

    def __init__(self, settings: HeatSettings, counters: HeatCounters) -> None:
        self._settings = settings
        self._counters = counters
        self._at_ms = 0
        self._sink_c = 0.0
        self._fault_s = 0.0
        self._stuck_s = 0.0
        self._last_raw = inf
        self._power_then_w = 0.0
        self.ready = False
        self.trusted = False
        self.t_c = settings.reference_c
        self.t_hat_c = settings.reference_c
        self.slope_k_per_s = 0.0
        self.inlet_c = 22.0
        self.power_w = settings.idle_w
        self.resistance_k_per_w = settings.resistance_k_per_w

    def update(self, now_ms: int, t_c: float, power_w: float, inlet_c: float) -> float:
        """Takes a reading and returns the seconds since the last one, 0 at the first."""
        settings = self._settings
        dt = (now_ms - self._at_ms) / 1_000
        if self.ready and not 0 < dt <= GAP_S_MAX:
            self._counters.clock_jumps += 1
            self.ready = False
        if isfinite(power_w) and 0 <= power_w <= POWER_W_MAX:
            share = 1.0 if not self.ready else dt / (2.4 + dt)
            self.power_w += (power_w - self.power_w) * share
        else:
            self._counters.readings_bad += 1
        if isfinite(inlet_c) and READING_C_MIN <= inlet_c <= READING_C_MAX:
            share = 1.0 if not self.ready else dt / (5.0 + dt)
            self.inlet_c += (inlet_c - self.inlet_c) * share
        else:
            self._counters.readings_bad += 1
        t_c = self._checked(dt, t_c)
        sink = t_c - settings.die_resistance_k_per_w * self.power_w
        if not self.ready:
            self._restart(now_ms, t_c, sink)
            return 0.0
        self._at_ms = now_ms
        self.t_c += (t_c - self.t_c) * dt / (settings.filter_s + dt)
        before = self._sink_c
        self._sink_c += (sink - before) * dt / (settings.filter_s + dt)
        slope = (self._sink_c - before) / dt
        self.slope_k_per_s += (slope - self.slope_k_per_s) * dt / (settings.slope_filter_s + dt)
        self.t_hat_c = self.t_c + settings.lead_s * self.slope_k_per_s
        self._learn(dt)
        return dt

    def _restart(self, now_ms: int, t_c: float, sink_c: float) -> None:
        self._at_ms = now_ms
        self.t_c = t_c
        self.t_hat_c = t_c
        self._sink_c = sink_c
        self.slope_k_per_s = 0.0
        self._fault_s = 0.0
        self.ready = True

    def _checked(self, dt_s: float, t_c: float) -> float:
        """Returns the reading, or what the model says in its place."""
        model = self.inlet_c + self.resistance_k_per_w * self.power_w
        if not (isfinite(t_c) and READING_C_MIN <= t_c <= READING_C_MAX):
            self._counters.readings_bad += 1
            self.trusted = False
            # Ignorance is no reason to cool down: the higher of model and last estimate.
            return max(model, self.t_c) if self.ready else model
        if t_c != self._last_raw:
            self._last_raw = t_c
            self._power_then_w = self.power_w
            self._stuck_s = 0.0
        elif abs(model - t_c) > STUCK_K and self._moved_k() > STUCK_K:
            self._stuck_s += dt_s if self.ready else 0.0
        else:
            self._stuck_s = 0.0
        if self._stuck_s > STUCK_S:
            self._counters.readings_bad += 1
            self.trusted = False
            return max(model, t_c)
        self.trusted = True
        return t_c

    def _moved_k(self) -> float:
        """By how much the power since the last new reading should have moved the temperature.

        An even load holds a reading that has steps of 1 K for minutes, and R may be learnt anew.
        """
        return self.resistance_k_per_w * abs(self.power_w - self._power_then_w)

    def _learn(self, dt_s: float) -> None:
        """Follows the resistance in the steady state, and watches for a failed fan otherwise."""
        settings = self._settings
        rise = self.t_c - self.inlet_c
        if not self.trusted or rise <= 0 or self.power_w <= settings.suspend_w * 2:
            self._fault_s = 0.0
            return
        if abs(self.slope_k_per_s) < 0.05:
            measured = min(max(rise / self.power_w, RESISTANCE_MIN), RESISTANCE_MAX)
            share = dt_s / (RESISTANCE_FILTER_S + dt_s)
            self.resistance_k_per_w += (measured - self.resistance_k_per_w) * share
        momentary = self.momentary_resistance()
        failing = (
            momentary > settings.fault_resistance_ratio * self.resistance_k_per_w
            and self.inlet_c + momentary * self.power_w > settings.trip_c
        )
        self._fault_s = self._fault_s + dt_s if failing else 0.0

    def momentary_resistance(self) -> float:
        """Returns (T − T_in) / (P − C·slope), in K/W, at most `RESISTANCE_MAX`."""
        net = self.power_w - self._settings.capacity_j_per_k * self.slope_k_per_s
        rise = max(self.t_c - self.inlet_c, 0.0)
        if net <= rise / RESISTANCE_MAX:
            return RESISTANCE_MAX
        return rise / net

    @property
    def fan_failed(self) -> bool:
        """Whether the cooling has been far worse than learnt for some seconds."""
        return self._fault_s >= self._settings.fault_confirm_s

    def learn_fault(self) -> None:
        """Takes the momentary resistance as the new one: the fan will not come back by itself."""
        self.resistance_k_per_w = max(self.resistance_k_per_w, self.momentary_resistance())

    def time_to_trip_s(self) -> float:
        """Returns the predicted seconds to trip; infinite while the temperature does not rise.

        The smaller of the straight line and, with a failed fan, the exponential towards the
        equilibrium of the momentary resistance.
        """
        settings = self._settings
        left = settings.trip_c - self.t_c
        if left <= 0:
            return 0.0
        if self.slope_k_per_s <= 1e-3:
            return inf
        line = left / self.slope_k_per_s
        resistance = self.momentary_resistance()
        equilibrium = self.inlet_c + resistance * self.power_w
        if equilibrium <= settings.trip_c:
            return line
        tau = resistance * settings.capacity_j_per_k
        curve = tau * log((equilibrium - self.t_c) / (equilibrium - settings.trip_c))
        return max(line, curve) if curve > 0 else line


def first_order(value: float, target: float, dt_s: float, tau_s: float) -> float:
    """Returns a first-order lag's value after `dt_s`."""
    return target + (value - target) * exp(-dt_s / tau_s)
