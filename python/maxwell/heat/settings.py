"""The constants of the heat planes, the price law and the distress machine, with their units.

They are those of the simulated design (docs/concepts/heat.md says which of them matter). All
times are milliseconds or seconds as their names say, temperatures degrees Celsius.
"""

from __future__ import annotations

from typing import Final

import msgspec

VIEW_RANDOM_MAX: Final = 32
VIEW_NEIGHBOURS_MAX: Final = 16
FAN_OUT: Final = 3
ENTRIES_PER_MESSAGE: Final = 6
ENTRIES_MAX: Final = 8
"""More in a message are malformed."""
CALLS: Final = 3
"""Messages of the own entry alone, each second beside the three full ones."""
HEAT_PERIOD_MS: Final = 1_000
HEAT_JITTER: Final = 0.2
DISTRESS_TICK_MS: Final = 200
HOP_LIMIT: Final = 4
ENTRY_TTL_MS: Final = 10_000
FRESH_MS: Final = 5_750
"""Older entries are forgotten while a dozen fresher ones are in view."""
FRESH_MIN: Final = 12
VIEW_MAX: Final = VIEW_RANDOM_MAX + VIEW_NEIGHBOURS_MAX
VIEW_SLACK: Final = 4
"""A view that is over its size loses this many of its oldest at once."""
READING_PERIOD_MS: Final = 500
GUARD_PERIOD_MS: Final = 100
"""One epoch of the architecture."""


class HeatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one node's thermal control is configured with.

    Attributes carry their unit in their name: `_c` degrees Celsius, `_w` watts, `_s` seconds,
    `_k_per_w` kelvin per watt. `ln` values are natural logarithms of price ratios.
    """

    trip_c: float = 90.0
    """Where the silicon trips; the control keeps below it."""
    reference_c: float = 45.0
    """Where the relative heat h is zero."""
    absorber_margin_k: float = 8.0
    """An absorber admits only what keeps it this far below trip."""
    filter_s: float = 2.0
    slope_filter_s: float = 3.0
    lead_s: float = 20.0
    """The price looks this far ahead, about a third of the heat sink's time constant."""
    kappa: float = 1.5
    """Gain of the relative term."""
    believed_kappa: float = 1.5
    """The same, as a process believes it that asks what it would change where it goes."""
    mean_share: float = 0.5
    """Weight of h̄, the mean heat of the view, in the reference of the relative term, from forty
    nodes on; see `maxwell.heat.price.mean_share`."""
    nominal_h: float = 0.5
    """The rest of the reference: nobody can lie about a constant."""
    barrier_start: float = 0.6
    barrier_gain: float = 4.0
    trim: float = 0.25
    """Share of the view's values dropped on each side before the mean."""
    slew_up_per_s: float = 0.9
    slew_down_per_s: float = 0.3
    hysteresis_ln: float = 0.0
    softness_ln: float = 0.5
    residence_s: float = 10.0
    redecide_s_min: float = 10.0
    redecide_s_max: float = 120.0
    loop_gain: float = 0.7
    """Target of K·D of the price loop; π/2 oscillates, see `maxwell.heat.stability`."""
    distress_below_trip_k: float = 3.0
    distress_horizon_s: float = 30.0
    distress_floor_c: float = 70.0
    distress_slope_k_per_s: float = 0.15
    fault_resistance_ratio: float = 2.0
    """A thermal resistance this many times the learnt one is a failed fan."""
    fault_confirm_s: float = 4.0
    distress_interval_s: float = 60.0
    """At most one distress per node in this time."""
    offers_wanted: float = 16.0
    informed_max: float = 120.0
    """Nodes that a hop-limited distress reaches: 3 + 9 + 27 + 81."""
    offer_discount_ln: float = 0.5
    offer_ttl_s: float = 30.0
    offer_headroom_ratio: float = 0.8
    offer_w_max: float = 120.0
    leave_per_s: float = 0.25
    freeze_after_s: float = 4.0
    freeze_per_s: float = 0.30
    freeze_time_to_trip_s: float = 6.0
    freeze_below_trip_k: float = 2.5
    rebid_s: float = 5.0
    suspend_load_w: float = 5.0
    exit_below_trip_k: float = 15.0
    exit_hold_s: float = 60.0
    ramp_per_10s: float = 0.10
    token_refill_per_s: float = 0.05
    token_w_max: float = 60.0
    penalty_ln: float = 2.0
    penalty_s: float = 60.0
    resistance_k_per_w: float = 0.16
    """First guess of R; learnt afterwards."""
    die_resistance_k_per_w: float = 0.04
    capacity_j_per_k: float = 375.0
    idle_w: float = 100.0
    dynamic_w_max: float = 250.0
    suspend_w: float = 10.0
    alarm_members: int = 3
    """Distressed nodes of one zone that make a zone alarm."""
