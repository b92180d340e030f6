"""Quick calibration: what fuel, time, bytes and calls cost on this machine, in half a second.

`measure` runs a small kernel (`spin`: arithmetic, `sieve`: memory, `leech`: SHA-256, `hostcalls`:
calls across the boundary, `switch`: entering and leaving a guest) and returns its meters.

- Each kernel is run twice briefly, to learn its speed (the slope between two runs, since starting
  a guest takes longer than a brief run), and then long enough to be measured: 15 and 30 ms with
  RAPL, 5 ms without.
- With RAPL each run is bracketed by readings of the counters; what is above idle is fitted by
  non-negative least squares over all kernels: E = α·fuel + β·ns + γ·bytes + δ·calls.
- Without RAPL there is nothing to fit: energy is then *defined* as core power times CPU time, and
  least squares would return β = core power, α = γ = δ = 0 (a test shows it). Only speeds are
  measured: picoseconds per fuel and the time of a switch.

Honesty: 30 ms per kernel against counters that tick every millisecond on a machine that does other
work gives coefficients worth some ten to forty per cent. The interval is the worst error of
predicting one kernel from a fit to the others (leave-one-kernel-out), and never below ±20 %.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from maxwell.energy.host import HostPaths
from maxwell.energy.model import (
    INTERVAL_PPM_MIN,
    PICOSECONDS_PER_FUEL_DETERMINISTIC,
    SWITCH_NS_DEFAULT,
    EnergyModel,
    fold_alpha_pj_per_fuel,
)
from maxwell.energy.nnls import nnls
from maxwell.energy.sources.rapl import RaplSource
from maxwell.errors import EnergyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KERNELS: Final = ("spin", "sieve", "leech", "hostcalls")
"""Kernels of the fit; `switch` is measured apart."""
SPEED_KERNELS: Final = ("spin", "sieve", "leech")
"""Kernels whose median speed is that of fuel; a host call's time is not its guest's."""
PROBE_FUEL: Final = 4_000_000
"""About 0.1 ms at 50 fuel a nanosecond, and as much again for starting a guest."""
ROUGH_FACTOR: Final = 8
"""The second, rough run is this much longer than the probe."""
TARGET_NS: Final = 30_000_000
"""30 ms: thirty ticks of a RAPL counter. Two loads of four kernels make about 200 ms."""
FUEL_MAX: Final = 8_000_000_000
IDLE_NS: Final = 50_000_000
"""Length of the idle measurement with RAPL."""
_INTERVAL_PPM_MAX: Final = 1_000_000
_LOADS: Final = (Fraction(1, 2), Fraction(1))
_LOADS_SPEED: Final = (Fraction(1, 6),)
"""Without a counter only speeds are wanted: 5 ms a kernel."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of a kernel did."""

    fuel: int
    wall_ns: int
    cpu_ns: int
    bytes: int = 0
    """Bytes across host calls."""
    calls: int = 0
    """Host calls; for `switch`, the number of switches."""


class Measure(Protocol):
    """Runs a kernel for at most `fuel_limit` fuel."""

    def __call__(self, kernel_name: str, fuel_limit: int, /) -> Measurement:
        """Returns what it did."""
        ...


class _Row(msgspec.Struct, frozen=True):
    kernel: str
    measurement: Measurement
    energy_uj: int | None


def calibrate(
    measure: Measure,
    *,
    core_power_mw: int | None = None,
    idle_power_mw: int | None = None,
    host: HostPaths | None = None,
    cells: int = 1,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    pause_ns: Callable[[int], None] | None = None,
) -> EnergyModel:
    """Returns the energy model of this machine; 0.03 s of kernels, with RAPL 0.3 s.

    Args:
        measure: runs a kernel.
        core_power_mw: power of a busy core above idle; what is given is not fitted.
        idle_power_mw: idle power of the node.
        host: where the sensors are.
        cells: number of cells, for the default of `idle_power_mw`.
        clock_ns: monotonic time.
        pause_ns: waits, for the idle measurement; `time.sleep` by default.

    Raises:
        EnergyError: MX1401 when a kernel reports no fuel or no time.
    """
    rapl = None
    if core_power_mw is None:
        try:
            rapl = RaplSource(HostPaths() if host is None else host, clock_ns)
        except EnergyError:
            rapl = None
    idle_pj_per_ns = Fraction(0)
    if rapl is not None:
        idle_pj_per_ns = _idle_power(rapl, clock_ns, pause_ns or _sleep)
    rows, speeds = _run_kernels(measure, rapl)
    switch_ns = _switch_ns(measure)
    picoseconds = max(1, round(sorted(speeds)[len(speeds) // 2]))
    measured = [row for row in rows if row.energy_uj is not None]
    # A fit needs every kernel at least once; with gaps in the counters there is the model.
    if rapl is not None and {row.kernel for row in measured} == set(KERNELS):
        fitted = _fitted(measured, idle_pj_per_ns, switch_ns, picoseconds, idle_power_mw, rapl)
        if fitted is not None:
            return fitted
    return EnergyModel.modelled(
        core_power_mw,
        idle_power_mw,
        cells=cells,
        switch_ns=switch_ns,
        picoseconds_per_fuel=picoseconds,
    )


def _run_kernels(measure: Measure, rapl: RaplSource | None) -> tuple[list[_Row], list[Fraction]]:
    """Runs all kernels; returns the runs, and picoseconds per fuel of the speed kernels."""
    rows: list[_Row] = []
    speeds: list[Fraction] = []
    for kernel in KERNELS:
        probe = _checked(kernel, measure(kernel, PROBE_FUEL))
        rough = _checked(kernel, measure(kernel, ROUGH_FACTOR * PROBE_FUEL))
        speed = _speed(probe, rough)
        for load in _LOADS if rapl is not None else _LOADS_SPEED:
            fuel = min(FUEL_MAX, max(PROBE_FUEL, int(TARGET_NS * load * 1_000 / speed)))
            if rapl is not None:
                rapl.read()
            measurement = _checked(kernel, measure(kernel, fuel))
            energy_uj = rapl.read().energy_uj if rapl is not None else None
            rows.append(_Row(kernel, measurement, energy_uj))
        if kernel in SPEED_KERNELS:
            speeds.append(_speed(probe, rows[-1].measurement))
    return rows, speeds


def _speed(short: Measurement, long: Measurement) -> Fraction:
    """Returns picoseconds per fuel, without what starting a guest takes.

    The slope between two runs; where they are too alike for one (a kernel that ended by itself, a
    disturbed run), the mean of the longer.
    """
    fuel, ns = long.fuel - short.fuel, long.cpu_ns - short.cpu_ns
    if fuel * 4 >= short.fuel and ns > 0:
        return Fraction(ns * 1_000, fuel)
    return Fraction(long.cpu_ns * 1_000, long.fuel)


def _checked(kernel: str, measurement: Measurement) -> Measurement:
    values = (measurement.fuel, measurement.cpu_ns, measurement.wall_ns)
    if min(values) <= 0 or min(measurement.bytes, measurement.calls) < 0:
        raise EnergyError(
            f"calibration kernel {kernel!r} reported {measurement}",
            code="MX1401",
            hint="set core_power and idle_power under [node] to run without calibration",
        )
    return measurement


def _switch_ns(measure: Measure) -> int:
    """Returns the time of one switch, or the default where the kernel counts none."""
    measurement = _checked("switch", measure("switch", PROBE_FUEL))
    if measurement.calls == 0:
        return SWITCH_NS_DEFAULT
    return max(1, measurement.cpu_ns // measurement.calls)


def _idle_power(
    rapl: RaplSource, clock_ns: Callable[[], int], pause_ns: Callable[[int], None]
) -> Fraction:
    """Returns the machine's power without our work, in pJ/ns (milliwatts); 0 when unknown."""
    rapl.read()
    start = clock_ns()
    pause_ns(IDLE_NS)
    energy = rapl.read().energy_uj
    elapsed = clock_ns() - start
    if energy is None or elapsed <= 0:
        return Fraction(0)
    return Fraction(energy * 1_000_000, elapsed)


def _fitted(
    rows: Sequence[_Row],
    idle_pj_per_ns: Fraction,
    switch_ns: int,
    picoseconds: int,
    idle_power_mw: int | None,
    rapl: RaplSource,
) -> EnergyModel | None:
    """Returns the model fitted to counters, or None when they showed nothing above idle."""
    active = [_active_pj(row, idle_pj_per_ns) for row in rows]
    inputs = [_inputs(row) for row in rows]
    busy_ns = sum(row.measurement.cpu_ns for row in rows)
    core_power = round(Fraction(sum(active), busy_ns))
    alpha, beta, gamma, delta = (round(x) for x in nnls(inputs, active))
    if core_power <= 0 or (alpha == 0 and beta == 0):
        return None
    error_ppm = _leave_one_out_ppm(rows, inputs, active)
    return EnergyModel(
        alpha_pj_per_fuel=alpha,
        beta_pj_per_ns=beta,
        gamma_pj_per_byte=gamma,
        delta_pj_per_call=delta,
        switch_pj=core_power * switch_ns,
        alpha_deterministic_pj_per_fuel=fold_alpha_pj_per_fuel(
            alpha_pj_per_fuel=0,
            beta_pj_per_ns=core_power,
            picoseconds_per_fuel=PICOSECONDS_PER_FUEL_DETERMINISTIC,
        ),
        picoseconds_per_fuel=picoseconds,
        core_power_mw=core_power,
        idle_power_mw=round(idle_pj_per_ns) if idle_power_mw is None else idle_power_mw,
        relative_interval_ppm=min(_INTERVAL_PPM_MAX, max(INTERVAL_PPM_MIN, error_ppm)),
        provenance="silicon",
        source=(
            f"fitted to RAPL ({', '.join(zone.domain for zone in rapl.zones)}) over "
            f"{len(rows)} runs of {len(KERNELS)} kernels"
        ),
    )


def _active_pj(row: _Row, idle_pj_per_ns: Fraction) -> int:
    assert row.energy_uj is not None
    return max(0, round(row.energy_uj * 1_000_000 - idle_pj_per_ns * row.measurement.wall_ns))


def _inputs(row: _Row) -> tuple[int, int, int, int]:
    m = row.measurement
    return (m.fuel, m.cpu_ns, m.bytes, m.calls)


def _leave_one_out_ppm(
    rows: Sequence[_Row], inputs: Sequence[Sequence[int]], active: Sequence[int]
) -> int:
    """Returns the worst relative error of predicting a kernel from a fit to the others, in ppm."""
    worst = 0
    for kernel in KERNELS:
        kept = [i for i, row in enumerate(rows) if row.kernel != kernel]
        held_out = [i for i, row in enumerate(rows) if row.kernel == kernel]
        fit = nnls([inputs[i] for i in kept], [active[i] for i in kept])
        predicted = sum(sum(c * x for c, x in zip(fit, inputs[i], strict=True)) for i in held_out)
        truth = sum(active[i] for i in held_out)
        if truth == 0:
            return _INTERVAL_PPM_MAX
        worst = max(worst, int(abs(predicted - truth) * 1_000_000 / truth))
    return worst


def _sleep(ns: int) -> None:
    time.sleep(ns / 1_000_000_000)
