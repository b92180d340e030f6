"""The node's meter: all joules of the node, by a path of its own beside the sum of the slices.

With readable RAPL counters the node's energy is what they counted. Otherwise it is modelled: CPU
time of all cells, the parent and its helpers times core power, plus idle power times wall time.
A gap in the counters (see `maxwell.energy.sources.delta`) is filled by the model, counted, and
turns the provenance of the whole figure into `modelled`: the weaker word wins.

In deterministic mode no sensor and no real clock is read: `clock_ns` is virtual time and
`cpu_ns` the virtual busy time, so that the same run gives the same joules on any machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.energy.host import HostPaths
from maxwell.energy.model import Provenance
from maxwell.energy.sources.rapl import RAPL_INTERVAL_PPM, RaplSource
from maxwell.errors import EnergyError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.energy.cpu_time import CpuTimes
    from maxwell.energy.model import EnergyModel

_PJ_PER_UJ: Final = 1_000_000


class NodeReading(msgspec.Struct, frozen=True, kw_only=True):
    """Energy of the node since the meter was made; every figure is cumulative."""

    metered_uj: int
    idle_uj: int
    """Idle power times time; not more than `metered_uj`."""
    system_cpu_ns: int
    """CPU time of the parent and its helpers."""
    interval_uj: int
    """Half-width of the interval around `metered_uj`."""
    provenance: Provenance
    elapsed_ns: int = 0
    system_uj: int = 0
    """`system_cpu_ns` times core power."""
    gaps: int = 0
    """Epochs whose counters could not be used and were filled by the model."""
    filled_uj: int = 0
    """Energy that the model filled in."""


class NodeMeter:
    """Reads the node's energy, cumulatively.

    Args:
        model: the node's energy model; `simulated` ones read no sensor.
        clock_ns: monotonic time, or virtual time in deterministic mode.
        cpu_ns: CPU time since the start; in deterministic mode the virtual busy time of the cells,
            and zero for parent and helpers.
        host: where the sensors are.
    """

    def __init__(
        self,
        model: EnergyModel,
        clock_ns: Callable[[], int],
        cpu_ns: Callable[[], CpuTimes],
        host: HostPaths | None = None,
    ) -> None:
        self._model = model
        self._clock_ns = clock_ns
        self._cpu_ns = cpu_ns
        self._rapl = _rapl(HostPaths() if host is None else host, model, clock_ns)
        self._start_ns = clock_ns()
        self._model_pj = 0
        self._counted_uj = 0
        self._filled_pj = 0
        self._gaps = 0
        self._gap_reasons: dict[str, int] = {}
        self._cpu_start = cpu_ns()

    @property
    def source(self) -> str:
        """Where the joules come from, in words."""
        if self._rapl is None:
            return self._model.source
        return "RAPL: " + ", ".join(zone.domain for zone in self._rapl.zones)

    @property
    def gap_reasons(self) -> dict[str, int]:
        """How often each counter was unusable, by domain and reason."""
        return dict(self._gap_reasons)

    def read(self) -> NodeReading:
        """Returns the energy since construction.

        Raises:
            InternalError: MX1900 when a clock or CPU time ran backwards.
        """
        elapsed_ns = self._clock_ns() - self._start_ns
        cpu = self._cpu_ns()
        system_cpu_ns = (
            cpu.parent_ns + cpu.helpers_ns - self._cpu_start.parent_ns - self._cpu_start.helpers_ns
        )
        busy_ns = cpu.cells_ns - self._cpu_start.cells_ns + system_cpu_ns
        # One milliwatt for one nanosecond is one picojoule.
        idle_pj = self._model.idle_power_mw * elapsed_ns
        model_pj = self._model.core_power_mw * busy_ns + idle_pj
        if elapsed_ns < 0 or system_cpu_ns < 0 or model_pj < self._model_pj:
            raise InternalError(
                f"node meter: time ran backwards: {elapsed_ns} ns, busy {busy_ns} ns"
            )
        step_pj = model_pj - self._model_pj
        self._model_pj = model_pj
        metered_uj = self._count(step_pj)
        idle_uj = min(metered_uj, idle_pj // _PJ_PER_UJ)
        return NodeReading(
            metered_uj=metered_uj,
            idle_uj=idle_uj,
            system_cpu_ns=system_cpu_ns,
            interval_uj=self._interval_uj(metered_uj),
            provenance=self._provenance(),
            elapsed_ns=elapsed_ns,
            system_uj=self._model.cpu_energy_uj(system_cpu_ns),
            gaps=self._gaps,
            filled_uj=self._filled_pj // _PJ_PER_UJ,
        )

    def _count(self, step_pj: int) -> int:
        """Adds one epoch; returns the node's energy in µJ."""
        if self._rapl is None:
            return self._model_pj // _PJ_PER_UJ
        reading = self._rapl.read()
        if reading.energy_uj is None:
            self._gaps += 1
            self._filled_pj += step_pj
            for reason in reading.gaps:
                self._gap_reasons[reason] = self._gap_reasons.get(reason, 0) + 1
        else:
            self._counted_uj += reading.energy_uj
        return self._counted_uj + self._filled_pj // _PJ_PER_UJ

    def _interval_uj(self, metered_uj: int) -> int:
        if self._rapl is None:
            return self._model.interval_uj(metered_uj)
        counted = -(-self._counted_uj * RAPL_INTERVAL_PPM // 1_000_000)
        return counted + self._model.interval_uj(metered_uj - self._counted_uj)

    def _provenance(self) -> Provenance:
        if self._model.provenance == "simulated":
            return "simulated"
        return "silicon" if self._rapl is not None and self._gaps == 0 else "modelled"


def _rapl(host: HostPaths, model: EnergyModel, clock_ns: Callable[[], int]) -> RaplSource | None:
    if model.provenance == "simulated":
        return None
    try:
        return RaplSource(host, clock_ns)
    except EnergyError:
        # No counter is the common case, and every figure says `modelled` then.
        return None
