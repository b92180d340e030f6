"""`[heat]`: which sensor the node's thermal price and power cap follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from maxwell.config.records import SIMULATED, HeatConfig

if TYPE_CHECKING:
    from maxwell.config.table import Table

AUTO: Final = "auto"
HEAT_KEYS: Final = ("sensor", "trip", "reference", "inlet", "peak")
PEAK_ABOVE_TRIP_C: Final = 10
PEAK_C_MOST: Final = 150
TRIP_C_LEAST, TRIP_C_MOST = 40, 120


def read_heat(table: Table, base_dir: Path) -> HeatConfig:
    """Reads the table.

    Raises:
        ConfigError: MX1003 to MX1006.
    """
    table.required("sensor", example='"auto"')
    trip = table.integer("trip", default=90, least=TRIP_C_LEAST, most=TRIP_C_MOST)
    reference = table.integer("reference", default=trip // 2, least=0, most=trip - 10)
    inlet = table.integer("inlet", default=min(25, reference), least=0, most=reference)
    sensor = sensor_path(table.text("sensor", default=AUTO), base_dir)
    if table.has("peak") and sensor != SIMULATED:
        table.fail(
            "peak",
            "only a simulated part has a peak",
            code="MX1009",
            hint=f'set sensor = "{SIMULATED}", or drop peak: a real part shows its own',
        )
    peak = table.integer("peak", default=peak_default(trip), least=inlet + 10, most=PEAK_C_MOST)
    return HeatConfig(
        sensor=sensor,
        trip_c=trip,
        reference_c=reference,
        inlet_c=inlet,
        peak_c=peak,
    )


def sensor_path(text: str, base_dir: Path) -> str:
    """Returns `auto` or `simulated`, or an absolute path."""
    return text if text in {AUTO, SIMULATED} else str(base_dir / Path(text))


def peak_default(trip_c: int) -> int:
    """Returns where a simulated part settles at full power: above trip, so that control acts."""
    return min(trip_c + PEAK_ABOVE_TRIP_C, PEAK_C_MOST)
