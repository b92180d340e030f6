"""The node's own heat: its sensor's price as the auctions' reserve, its guard as the mint's cap.

Once an epoch of 100 ms the guard looks three seconds ahead and cuts the share of the power cap that
is minted; twice a second the price law turns the predicted temperature into a reserve. A single
node has nobody to compare itself with, so that only the absolute term of the price is left.

A sensor that says nothing usable for two seconds, or the same for a minute while the power changed
by half, is *blind*: the cap falls to 30 %, the price is at least that of h = 0.8, and the run says
so in an event. The node is not trusted again before five good seconds.

With `sensor = "simulated"` there is no sensor: a two-node RC model is heated by the metered power
of each epoch. Everything else is the same, and says that it is simulated.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from maxwell.errors import EnergyError
from maxwell.heat.calibrate import host_temperatures
from maxwell.heat.counters import HeatCounters
from maxwell.heat.guard import Guard
from maxwell.heat.price import PriceLaw, target_ln_price
from maxwell.heat.sensor import READING_C_MAX, READING_C_MIN, ThermalEstimate, read_sensor
from maxwell.heat.settings import HeatSettings
from maxwell.heat.simulated import SimulatedPart
from maxwell.market.thermal import ThermalReserve
from maxwell.node.view import HeatView

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.config import HeatConfig

PPM: Final = 1_000_000
EPOCHS_PER_READING: Final = 5
BLIND_MS: Final = 2_000
STUCK_MS: Final = 60_000
STUCK_POWER_RATIO: Final = 1.5
"""A part whose power changed by half within a minute does not stay at one temperature."""
SIGHT_MS: Final = 5_000
BLIND_CAP_PPM: Final = 300_000
BLIND_FALL_PPM: Final = 20_000
"""A fifth of the cap each second."""
BLIND_H: Final = 0.8
CAP_STEP_PPM: Final = 50_000
"""Smaller changes of the cap are not worth an event."""
RESISTANCE_K_PER_W: Final = 0.02
"""First guess: small, so that the model never claims more heat than the sensor of a small part."""


class HeatChange(NamedTuple):
    """What an epoch changed."""

    reserve_ppm: int | None
    """New reserve, or None when it stays."""
    cap_ppm: int
    """Share of the power cap that is minted."""
    temperature_mc: int | None
    """Predicted temperature in thousandths of a degree; None without a sensor."""
    warning: str | None
    notable: bool
    """Whether reserve, cap or sight changed enough for an event."""


class NodeHeat:
    """Follows one sensor.

    Args:
        config: which sensor, and its limits.
        base_ppm: the configured reserve.
        cap_mw: the power cap above idle; None under a budget, which no cap can shrink.
        full_mw: what the node draws at most, for a simulated part.
        idle_mw: what it draws at rest, for a simulated part.
        read: returns the temperature in °C; the configured sensor when None.

    Raises:
        EnergyError: MX1402 when the configured sensor shows nothing.
    """

    def __init__(
        self,
        config: HeatConfig,
        *,
        base_ppm: int,
        cap_mw: int | None,
        full_mw: int = PPM,
        idle_mw: int = 0,
        read: Callable[[], float] | None = None,
    ) -> None:
        self.simulated = config.simulated
        """Whether the temperature is a model's."""
        self._part: SimulatedPart | None = None
        if config.simulated:
            self._part = SimulatedPart(
                inlet_c=float(config.inlet_c),
                peak_c=float(config.peak_c),
                full_w=max(full_mw, 1) / 1_000,
                start_w=idle_mw / 1_000,
            )
            self._read = self._part_c
        else:
            self._read = read or sensor_reader(config.sensor)
        self._inlet_c = float(config.inlet_c)
        self._settings = msgspec.structs.replace(
            HeatSettings(),
            trip_c=float(config.trip_c),
            reference_c=float(config.reference_c),
            resistance_k_per_w=RESISTANCE_K_PER_W,
        )
        self._max_w = max(1.0, (cap_mw or PPM) / 1_000)
        self._estimate = ThermalEstimate(self._settings, HeatCounters())
        self._law = PriceLaw(self._settings)
        self._guard = Guard(self._settings.trip_c, self._max_w)
        self._reserve = ThermalReserve(base_ppm)
        self._epoch = 0
        self._good_ms: int | None = None
        self._bad_ms = 0
        self._raw = math.nan
        self._raw_ms = 0
        self._power_range_w = (math.inf, 0.0)
        self.blind = False
        self.cap_ppm = PPM
        self._told_cap_ppm = PPM

    def _part_c(self) -> float:
        assert self._part is not None, "only a simulated node reads its part"
        return self._part.t_c

    def view(self) -> HeatView:
        """Returns what the live table and Prometheus show."""
        return HeatView(
            temperature_mc=None if self.blind else round(self._estimate.t_c * 1_000),
            predicted_mc=None if self.blind else round(self._estimate.t_hat_c * 1_000),
            reserve_ppm=self.reserve_ppm,
            cap_ppm=self.cap_ppm,
            simulated=self.simulated,
        )

    @property
    def reserve_ppm(self) -> int:
        """The reserve that holds now."""
        return self._reserve.ppm

    def epoch(self, now_ms: int, power_mw: int) -> HeatChange:
        """Reads the sensor and returns what follows.

        Args:
            now_ms: time of the run.
            power_mw: what the node draws now.
        """
        power_w = max(0, power_mw) / 1_000
        if self._part is not None:
            self._part.follow(now_ms, power_w)
        t_c = self._read()
        warning = self._sight(now_ms, t_c, power_w)
        if self.blind:
            self.cap_ppm = max(min(self.cap_ppm, BLIND_CAP_PPM), self.cap_ppm - BLIND_FALL_PPM)
        elif _usable(t_c):
            # The guard starts from what is drawn, which a small part's cap may far exceed.
            cap_w = self._guard.step(now_ms, t_c, min(power_w, self._max_w))
            self.cap_ppm = min(PPM, int(cap_w / self._max_w * PPM))
        reserve = None
        if self._epoch % EPOCHS_PER_READING == 0:
            reserve = self._reserve.update(self._price(now_ms, t_c, power_w))
        self._epoch += 1
        moved = abs(self.cap_ppm - self._told_cap_ppm) >= CAP_STEP_PPM or (
            self.cap_ppm == PPM and self._told_cap_ppm != PPM
        )
        notable = moved or reserve is not None or warning is not None
        if notable:
            self._told_cap_ppm = self.cap_ppm
        shown = None if self.blind else round(self._estimate.t_hat_c * 1_000)
        return HeatChange(reserve, self.cap_ppm, shown, warning, notable)

    def _price(self, now_ms: int, t_c: float, power_w: float) -> float:
        """Moves the price on and returns its logarithm."""
        settings = self._settings
        dt_s = EPOCHS_PER_READING / 10
        if self.blind:
            # The last slope says nothing any more.
            h = max(BLIND_H, min(self._heat(self._estimate.t_c), 1.0))
        elif _usable(t_c):
            self._estimate.update(now_ms, t_c, power_w, self._inlet_c)
            h = self._heat(self._estimate.t_hat_c)
        else:
            return self._law.ln_price
        assert target_ln_price(settings, h, h) >= 0, "a single node has no relative term"
        return self._law.step(dt_s, h, h)

    def _heat(self, t_c: float) -> float:
        settings = self._settings
        h = (t_c - settings.reference_c) / (settings.trip_c - settings.reference_c)
        return min(max(h, 0.0), 2.0)

    def _sight(self, now_ms: int, t_c: float, power_w: float) -> str | None:
        """Judges the sensor; returns a warning when the judgement changes."""
        if not _usable(t_c):
            self._good_ms = None
            if not self.blind and now_ms - self._bad_ms >= BLIND_MS:
                return self._blinded("says nothing usable")
            return None
        self._bad_ms = now_ms
        low, high = self._power_range_w
        self._power_range_w = (min(low, power_w), max(high, power_w))
        if t_c != self._raw:
            self._raw, self._raw_ms = t_c, now_ms
            self._power_range_w = (power_w, power_w)
        elif now_ms - self._raw_ms >= STUCK_MS:
            low, high = self._power_range_w
            if high > STUCK_POWER_RATIO * max(low, 0.5):
                self._good_ms = None
                return None if self.blind else self._blinded("is stuck while the power changes")
        if self._good_ms is None:
            self._good_ms = now_ms
        if self.blind and now_ms - self._good_ms >= SIGHT_MS:
            self.blind = False
            # The cap comes back at the guard's pace, not at once.
            self._guard.cap_w = self.cap_ppm * self._max_w / PPM
            return "the temperature sensor is usable again"
        return None

    def _blinded(self, why: str) -> str:
        self.blind = True
        return f"the temperature sensor {why}: power cap and prices go to the safe side"


def _usable(t_c: float) -> bool:
    return math.isfinite(t_c) and READING_C_MIN <= t_c <= READING_C_MAX


def sensor_reader(sensor: str) -> Callable[[], float]:
    """Returns what reads a sensor in °C; NaN when it cannot be read now.

    Args:
        sensor: `auto` for the hottest of this host, a file with thousandths of a degree (as in
            hwmon), or a folder in which such files lie as under `/sys/class`.

    Raises:
        EnergyError: MX1402 when there is nothing to read.
    """
    path = Path(sensor)
    if sensor == "auto" or path.is_dir():
        roots = () if sensor == "auto" else (path / "hwmon", path / "thermal")

        def hottest() -> float:
            return max(host_temperatures(*roots).values(), default=math.nan)

        read = hottest
    else:

        def one() -> float:
            return read_sensor(path)

        read = one
    if not _usable(read()):
        raise EnergyError(
            f"no temperature to read: {sensor}",
            code="MX1402",
            hint="`maxwell calibrate --thermal` shows what this host has; virtual machines often "
            "have none",
        )
    return read
