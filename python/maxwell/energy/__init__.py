"""Energy: a calibrated model for slices, a meter for the node, and the split between them.

Every figure carries its provenance (`wall`, `silicon`, `host`, `modelled` or `simulated`) and an
interval. Nothing here needs root or a sensor; with readable RAPL counters the node's energy is
measured, without them it is modelled and says so.
"""

from maxwell.energy.attribution import (
    NO_ENERGY,
    EnergySplit,
    apportion,
    attribute,
    unattributed_warning,
)
from maxwell.energy.calibrate import Measure, Measurement, calibrate
from maxwell.energy.cpu_time import CpuMeter, CpuTimes, ProcessCpuClock
from maxwell.energy.host import HostPaths
from maxwell.energy.meter import NodeMeter, NodeReading
from maxwell.energy.model import EnergyModel, Provenance

__all__ = [
    "NO_ENERGY",
    "CpuMeter",
    "CpuTimes",
    "EnergyModel",
    "EnergySplit",
    "HostPaths",
    "Measure",
    "Measurement",
    "NodeMeter",
    "NodeReading",
    "ProcessCpuClock",
    "Provenance",
    "apportion",
    "attribute",
    "calibrate",
    "unattributed_warning",
]
