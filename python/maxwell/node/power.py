"""The joules of a run: the model that cells charge by, and the meter that checks them."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.energy import (
    CpuMeter,
    CpuTimes,
    EnergyModel,
    EnergySplit,
    Measurement,
    NodeMeter,
    NodeReading,
    attribute,
    calibrate,
)
from maxwell.node.place import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from maxwell.config import NodeConfig
    from maxwell.node.cells import Cell, CellTotals

SAMPLE_NS: Final = 50_000_000
"""Of each program, for the sample of what metering costs."""
SAMPLE_NS_MIN: Final = 1_000_000
"""Less unmetered work than this tells nothing."""
SAMPLE_MODULE_BYTES_MAX: Final = 256 << 10
"""A larger module takes longer to compile than the sample is worth."""
SAMPLE_S_MAX: Final = 5.0
"""Time of all samples of a run: eight programs take seven short runs each, 2.8 s at worst."""
SAMPLE_PROGRAMS_MAX: Final = 8
_SWITCH_CALLS: Final = 2_000


def sample_bytes(name: str) -> bytes:
    """Returns the bytes of a sample guest that comes with Maxwell."""
    return files("maxwell.samples").joinpath(f"{name}.wasm").read_bytes()


def measure_kernel(kernel: str, fuel_limit: int, /) -> Measurement:
    """Runs a calibration kernel on this machine; see `maxwell.energy.calibrate`."""
    from maxwell._native import measure

    guest = {"hostcalls": "hello", "switch": "spin"}.get(kernel, kernel)
    if kernel == "switch":
        return _measure_switch(fuel_limit)
    repeat = 1
    if kernel == "hostcalls":
        # The greeter makes a handful of calls and ends; its runs are added up.
        repeat = max(1, min(200, fuel_limit // 100_000))
    runs = measure(
        sample_bytes(guest),
        args=[kernel, *_ARGUMENTS.get(kernel, ())],
        fuel_max=fuel_limit,
        repeat=repeat,
    )
    return Measurement(
        fuel=sum(run.fuel for run in runs),
        wall_ns=sum(run.wall_ns for run in runs),
        cpu_ns=sum(run.cpu_ns for run in runs),
        bytes=sum(run.bytes for run in runs),
        calls=sum(run.calls for run in runs),
    )


_ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {"sieve": ("100000",)}


def _measure_switch(fuel_limit: int) -> Measurement:
    """Compares a loop in short quanta with the same loop in long ones."""
    from maxwell._native import measure

    fuel = min(fuel_limit, 20_000_000)
    quantum = max(1_000, fuel // _SWITCH_CALLS)
    wasm = sample_bytes("spin")
    short = measure(wasm, args=["spin"], fuel_max=fuel, quantum_fuel=quantum)[0]
    long = measure(wasm, args=["spin"], fuel_max=fuel, quantum_fuel=fuel)[0]
    calls = max(1, short.fuel // quantum)
    long_ns = long.cpu_ns * short.fuel // max(1, long.fuel)
    return Measurement(
        fuel=short.fuel,
        wall_ns=max(1, short.cpu_ns - long_ns),
        cpu_ns=max(1, short.cpu_ns - long_ns),
        calls=calls,
    )


def energy_model(node: NodeConfig | None = None, *, cells: int = 1) -> EnergyModel:
    """Returns this machine's energy model, calibrated now, or that of deterministic mode."""
    core = node.core_power_mw if node else None
    idle = node.idle_power_mw if node else None
    if node is not None and node.deterministic:
        return EnergyModel.deterministic(core, idle, cells=cells)
    return calibrate(measure_kernel, core_power_mw=core, idle_power_mw=idle, cells=cells)


def metering_overhead(programs: Iterable[tuple[Path, Sequence[str]]]) -> float:
    """Returns what metering costs: time of metered over unmetered code, less one.

    A short sample, taken now: each small program of the run is run alone, without its folders, for
    at most `SAMPLE_NS`, metered and then unmetered to the same end (its own, or the same host
    call). Programs that are too large to compile twice here, or that make no host call in that
    time and do not end, tell nothing; where none does, a sieve of primes stands in. `make bench`
    measures large programs.

    Args:
        programs: path of the module, and the arguments with the program's name first.
    """
    small: list[tuple[str, list[str]]] = []
    for path, args in list(programs)[:SAMPLE_PROGRAMS_MAX]:
        with suppress(OSError):  # it may have been removed meanwhile
            if path.stat().st_size <= SAMPLE_MODULE_BYTES_MAX:
                small.append((str(path), list(args)))
    samples = sample_programs(small)
    metered_ns = sum(metered for metered, _ in samples)
    unmetered_ns = sum(unmetered for _, unmetered in samples)
    if unmetered_ns < SAMPLE_NS_MIN:
        metered_ns, unmetered_ns = sample(sample_bytes("sieve"), ("sieve", "10000000"))
    return metered_ns / unmetered_ns - 1 if unmetered_ns else 0.0


def sample_programs(programs: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[int, int]]:
    """Samples guests in a process of its own (`maxwell.node.sample`), as far as time allows.

    Code without a meter cannot be stopped from within, and a guest may notice that it runs without
    one: it may hang or exhaust that process, and nothing else.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "maxwell.node.sample"],
            input=msgspec.json.encode(programs),
            capture_output=True,
            env=child_environment(),
            timeout=SAMPLE_S_MAX,
            check=False,
            start_new_session=True,
        )
        said = done.stdout
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
    samples: list[tuple[int, int]] = []
    for line in said.splitlines():
        with suppress(msgspec.DecodeError, msgspec.ValidationError):
            samples.append(msgspec.json.decode(line, type=tuple[int, int]))
    return samples


def sample(wasm: bytes, args: Sequence[str]) -> tuple[int, int]:
    """Returns CPU time of metered and of unmetered code over the same work; zeros for no work.

    Only for trusted code, or in a process that may hang.
    """
    from maxwell._native import KernelError, measure

    given = list(args)
    try:
        first = measure(wasm, args=given, wall_ns_max=SAMPLE_NS)[0]
        if not first.completed and first.calls == 0:
            return 0, 0
        # The same host call ends both, also for a guest that waits for its clock to move.
        calls = max(1, first.calls) if first.calls else None
        metered = measure(wasm, args=given, calls_max=calls, repeat=3)
        unmetered = measure(wasm, args=given, calls_max=calls, metered=False, repeat=3)
    except KernelError:
        return 0, 0
    return min(run.cpu_ns for run in metered), min(run.cpu_ns for run in unmetered)


class NodeEnergy:
    """Splits the node's energy, now or at the end.

    Args:
        model: what cells charge by.
        virtual_ns: virtual time in deterministic mode; None on a real clock.
    """

    def __init__(
        self,
        model: EnergyModel,
        *,
        virtual_ns: Callable[[], int] | None = None,
    ) -> None:
        self._model = model
        self._cells: list[Cell] = []
        self._virtual_ns = virtual_ns
        self._cpu = CpuMeter()
        self._charged_uj: Callable[[], int] = int
        clock = time.monotonic_ns if virtual_ns is None else virtual_ns
        read = self._cpu if virtual_ns is None else self._virtual_cpu
        self._meter = NodeMeter(model, clock, read)

    def _virtual_cpu(self) -> CpuTimes:
        return CpuTimes(cells_ns=sum(cell.totals().slice_ns for cell in self._cells))

    def watch_prover(self, living_ns: Callable[[], int], charged_uj: Callable[[], int]) -> None:
        """Counts the prover, and takes what processes answer for out of the system's energy.

        Args:
            living_ns: its CPU time while it lives.
            charged_uj: the joules of its jobs.
        """
        self._cpu.watch_helper(living_ns)
        self._charged_uj = charged_uj

    def watch(self, cell: Cell) -> None:
        """Counts a cell from its beginning."""
        self._cells.append(cell)
        self._cpu.add_cell(cell.pid)

    def cell_ended(self, pid: int) -> None:
        """Freezes the CPU time of a cell that ended and is not yet waited for."""
        self._cpu.remove_cell(pid)

    def cell_started(self, pid: int) -> None:
        """Counts a new incarnation of a cell."""
        self._cpu.add_cell(pid)

    def read(self) -> NodeReading:
        """Reads the node's meter."""
        return self._meter.read()

    def system_uj(self, reading: NodeReading) -> int:
        """Energy of the system: the parent, its helpers, and the cells outside slices.

        What cells spend around a slice is in part charged to processes as the energy of the
        switch; only the rest is the system's.
        """
        if self._virtual_ns is not None:
            return 0
        totals: list[CellTotals] = [cell.totals() for cell in self._cells]
        outside_ns = sum(total.overhead_ns + total.startup_cpu_ns for total in totals)
        charged_pj = sum(total.slices for total in totals) * self._model.switch_pj
        outside_uj = max(0, self._model.cpu_energy_uj(outside_ns) - charged_pj // 1_000_000)
        prover_uj = self._charged_uj()
        own_uj = max(0, self._model.cpu_energy_uj(reading.system_cpu_ns) - prover_uj)
        return own_uj + outside_uj

    def split(self, reading: NodeReading, processes_uj: int) -> EnergySplit:
        """Splits a reading between processes, idle, system and what nobody explains."""
        system = self.system_uj(reading)
        if self._virtual_ns is not None:
            # Virtual time has no other meter than the slices themselves.
            reading = msgspec.structs.replace(
                reading, metered_uj=processes_uj + reading.idle_uj + system
            )
        return attribute(reading, processes_uj, system)
