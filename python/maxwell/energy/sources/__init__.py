"""Sources of measured energy: counters of the machine, and the rules for reading them."""

from maxwell.energy.sources.delta import Delta, GapReason, Sample, delta
from maxwell.energy.sources.rapl import RaplReading, RaplSource, Zone, covering_zones

__all__ = [
    "Delta",
    "GapReason",
    "RaplReading",
    "RaplSource",
    "Sample",
    "Zone",
    "covering_zones",
    "delta",
]
