"""`[heat]`: which sensor the node's thermal price and power cap follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from maxwell.config.records import HeatConfig

if TYPE_CHECKING:
    from maxwell.config.table import Table

AUTO: Final = "auto"
HEAT_KEYS: Final = ("sensor", "trip", "reference", "inlet")
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
    return HeatConfig(
        sensor=sensor_path(table.text("sensor", default=AUTO), base_dir),
        trip_c=trip,
        reference_c=reference,
        inlet_c=inlet,
    )


def sensor_path(text: str, base_dir: Path) -> str:
    """Returns `auto`, or an absolute path."""
    return text if text == AUTO else str(base_dir / Path(text))
