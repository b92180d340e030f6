"""The distress machine: when a node says that it is dying, sleeps, and comes back.

OK/WARM → DISTRESS (everything leaves) → ASLEEP (suspended, 10 W) → OK with a ramp. A feed that
lost capacity makes a node DRAINING instead: only what exceeds its new share leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maxwell.heat.entry import State

if TYPE_CHECKING:
    from maxwell.heat.sensor import ThermalEstimate
    from maxwell.heat.settings import HeatSettings

WAKE_BACKOFF_MAX: Final = 16


class DistressMachine:
    """The state of one node."""

    __slots__ = (
        "_cool_since_ms",
        "_ramp_from_ms",
        "_settings",
        "backoff",
        "entered_ms",
        "reason",
        "state",
    )

    def __init__(self, settings: HeatSettings) -> None:
        self._settings = settings
        self.state = State.OK
        self.entered_ms = 0
        self.reason = ""
        self.backoff = 1
        self._cool_since_ms: int | None = None
        self._ramp_from_ms: int | None = None

    def why_distress(self, estimate: ThermalEstimate) -> str:
        """Returns why the node must go into distress now, or an empty text."""
        settings = self._settings
        if not estimate.ready:
            return ""
        if estimate.t_c > settings.trip_c - settings.distress_below_trip_k:
            return "hot"
        if estimate.fan_failed:
            return "fan"
        if (
            estimate.t_c > settings.distress_floor_c
            and estimate.slope_k_per_s > settings.distress_slope_k_per_s
            and estimate.time_to_trip_s() < settings.distress_horizon_s
        ):
            return "rising"
        return ""

    def enter(self, now_ms: int, state: State, reason: str) -> None:
        """Changes the state."""
        self.state = state
        self.entered_ms = now_ms
        self.reason = reason
        self._cool_since_ms = None

    def cooled(self, now_ms: int, estimate: ThermalEstimate) -> bool:
        """Whether it has been cool for long enough to come back.

        A failed fan is remembered in the learnt resistance: while idling alone would be too hot,
        the node stays asleep. Each relapse doubles the waiting time, up to sixteen-fold.
        """
        settings = self._settings
        idle_c = estimate.inlet_c + estimate.resistance_k_per_w * settings.idle_w
        limit = settings.trip_c - settings.exit_below_trip_k
        if estimate.t_c >= limit or idle_c >= limit:
            self._cool_since_ms = None
            return False
        if self._cool_since_ms is None:
            self._cool_since_ms = now_ms
        held_s = (now_ms - self._cool_since_ms) / 1_000
        return held_s >= settings.exit_hold_s * self.backoff

    def come_back(self, now_ms: int) -> None:
        """Returns to OK and starts the ramp."""
        self.enter(now_ms, State.OK, "cooled")
        self.backoff = min(self.backoff * 2, WAKE_BACKOFF_MAX)
        self._ramp_from_ms = now_ms

    def ramp(self, now_ms: int) -> float:
        """Returns the share of the headroom that is open: 10 % more each ten seconds."""
        if self._ramp_from_ms is None:
            return 1.0
        share = self._settings.ramp_per_10s * (1 + (now_ms - self._ramp_from_ms) // 10_000)
        if share >= 1.0:
            self._ramp_from_ms = None
            return 1.0
        return share
