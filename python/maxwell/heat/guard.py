"""The fast inner loop: the node shrinks its own power cap, within one epoch of 100 ms.

Silicon can be faster than any gossip. The guard looks three seconds ahead on a temperature of its
own filter; when that exceeds the brake point below trip, the cap falls by up to 30 % an epoch; it
comes back slowly. It needs no network, and what it takes away is work, not safety. The cap is
the mint's: fewer credits are minted, and where the host allows it the quota is cut too.
"""

from __future__ import annotations

from math import isfinite
from typing import Final

LOOK_AHEAD_S: Final = 3.0
BRAKE_K: Final = 2.5
"""The cap falls when the prediction is closer to trip than this; half is sensor error."""
RELEASE_K: Final = 6.0
FILTER_S: Final = 0.4
FALL_MAX: Final = 0.30
RISE_PER_S: Final = 0.05
NEVER_MS: Final = -1_000_000
"""Before the first reading, from which no slope follows."""


class Guard:
    """One node's power cap.

    Args:
        trip_c: where the silicon trips.
        dynamic_w_max: the cap when nothing is wrong; also the lowest power of full speed.
    """

    __slots__ = ("_at_ms", "_dynamic_w_max", "_slope", "_t_c", "_trip_c", "cap_w")

    def __init__(self, trip_c: float, dynamic_w_max: float) -> None:
        self._trip_c = trip_c
        self._dynamic_w_max = dynamic_w_max
        self._at_ms = NEVER_MS
        self._t_c = 0.0
        self._slope = 0.0
        self.cap_w = dynamic_w_max

    @property
    def braking(self) -> bool:
        """Whether the cap is below the maximum."""
        return self.cap_w < self._dynamic_w_max

    def step(self, now_ms: int, t_c: float, load_w: float) -> float:
        """Takes a raw reading and returns the cap of dynamic power, W.

        Args:
            now_ms: monotonic time.
            t_c: raw temperature; what is no number brakes.
            load_w: what the processes would draw without a cap.
        """
        dt = (now_ms - self._at_ms) / 1_000
        self._at_ms = now_ms
        if not isfinite(t_c):
            self.cap_w = min(self.cap_w, load_w) * 0.9
            return self.cap_w
        if not 0 < dt <= 2.0:
            self._t_c, self._slope = t_c, 0.0
            return self.cap_w
        before = self._t_c
        self._t_c += (t_c - before) * dt / (FILTER_S + dt)
        slope = (self._t_c - before) / dt
        self._slope += (slope - self._slope) * dt / (1.0 + dt)
        over = self._t_c + LOOK_AHEAD_S * max(self._slope, 0.0) - (self._trip_c - BRAKE_K)
        if over > 0:
            fall = min(FALL_MAX, 0.06 * over) * dt / 0.1
            self.cap_w = max(0.0, min(self.cap_w, load_w) * (1 - min(fall, 1.0)))
        elif self.braking and self._t_c < self._trip_c - RELEASE_K:
            self.cap_w = min(
                self._dynamic_w_max, self.cap_w + RISE_PER_S * dt * self._dynamic_w_max
            )
        return self.cap_w
