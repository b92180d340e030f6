"""Fits the thermal constants of this host from its own readings: `maxwell calibrate --thermal`.

Least squares of C dT/dt = P − (T − T_in)/R in the form (T' − T)/Δt = a P + b (T − T_in), with
C = 1/a and R = −a/b. It needs a temperature that moves; a flat record is refused.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from maxwell.errors import EnergyError
from maxwell.heat.sensor import read_sensor

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES_MIN: Final = 20
SPREAD_K_MIN: Final = 1.0
HWMON: Final = Path("/sys/class/hwmon")
THERMAL: Final = Path("/sys/class/thermal")


class ThermalFit(msgspec.Struct, frozen=True, kw_only=True):
    """Fitted constants of a one-node RC model."""

    resistance_k_per_w: float
    capacity_j_per_k: float
    tau_s: float
    residual_k_per_s: float
    samples: int


def fit_rc(
    t_s: Sequence[float], t_c: Sequence[float], power_w: Sequence[float], inlet_c: Sequence[float]
) -> ThermalFit:
    """Fits resistance and capacity.

    Args:
        t_s: times of the readings, s, rising.
        t_c: temperatures, °C.
        power_w: powers, W.
        inlet_c: inlet temperatures, °C.

    Raises:
        EnergyError: MX1401 when the readings do not determine the constants.
    """
    if not len(t_s) == len(t_c) == len(power_w) == len(inlet_c):
        raise EnergyError("readings of different lengths", code="MX1401")
    t, temperature = np.asarray(t_s, dtype=float), np.asarray(t_c, dtype=float)
    if len(t) < SAMPLES_MIN or float(np.ptp(temperature)) < SPREAD_K_MIN:
        raise EnergyError(
            f"the temperature hardly moved in {len(t)} readings",
            code="MX1401",
            hint="let the load change for some minutes while readings are taken",
        )
    steps = np.diff(t)
    if float(steps.min()) <= 0:
        raise EnergyError("times of readings do not rise", code="MX1401")
    slope = np.diff(temperature) / steps
    rise = (temperature - np.asarray(inlet_c, dtype=float))[:-1]
    columns = np.stack([np.asarray(power_w, dtype=float)[:-1], rise], axis=1)
    solution = np.linalg.lstsq(columns, slope, rcond=None)[0]
    a, b = float(solution[0]), float(solution[1])
    if a <= 0 or b >= 0:
        raise EnergyError(
            "the readings contradict a thermal resistance",
            code="MX1401",
            hint="power and temperature must be of the same part",
        )
    residual = float(np.sqrt(np.mean((columns @ solution - slope) ** 2)))
    return ThermalFit(
        resistance_k_per_w=-a / b,
        capacity_j_per_k=1 / a,
        tau_s=-1 / b,
        residual_k_per_s=residual,
        samples=len(t),
    )


def host_temperatures(hwmon: Path = HWMON, thermal: Path = THERMAL) -> dict[str, float]:
    """Returns what temperatures this host shows, °C by name; empty in most virtual machines."""
    found: dict[str, float] = {}
    paths = [*sorted(hwmon.glob("*/temp*_input")), *sorted(thermal.glob("thermal_zone*/temp"))]
    for path in paths:
        t_c = read_sensor(path)
        if math.isfinite(t_c):
            found[f"{path.parent.name}/{path.name}"] = t_c
    return found
