"""The joules of a run: the model that cells charge by, and the meter that checks them."""

from __future__ import annotations

import time
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.config import NodeConfig
    from maxwell.node.cells import Cell, CellTotals

SAMPLE_KERNELS: Final = ("spin", "sieve", "leech")
OVERHEAD_FUEL: Final = 400_000_000
"""About 10 ms of work for each kernel of the overhead sample."""
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
        sample_bytes(guest), args=[kernel, *_ARGUMENTS.get(kernel, ())], fuel_max=fuel_limit,
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


def metering_overhead() -> float:
    """Returns what metering costs: time of metered over unmetered code, less one.

    Measured now on the sample kernels, each to its end, median of three. The programs of a run
    have other mixes of operators: `make bench` measures several of them.
    """
    from maxwell._native import measure

    metered_ns = unmetered_ns = 0
    for wasm, args in ((sample_bytes("sieve"), ["sieve", "200000"]),):
        for metered in (True, False):
            runs = measure(wasm, args=args, metered=metered, repeat=3)
            median = sorted(run.cpu_ns for run in runs)[len(runs) // 2]
            if metered:
                metered_ns += median
            else:
                unmetered_ns += median
    return metered_ns / unmetered_ns - 1 if unmetered_ns else 0.0


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
        clock = time.monotonic_ns if virtual_ns is None else virtual_ns
        read = self._cpu if virtual_ns is None else self._virtual_cpu
        self._meter = NodeMeter(model, clock, read)

    def _virtual_cpu(self) -> CpuTimes:
        return CpuTimes(cells_ns=sum(cell.totals().slice_ns for cell in self._cells))

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
        return self._model.cpu_energy_uj(reading.system_cpu_ns) + outside_uj

    def split(self, reading: NodeReading, processes_uj: int) -> EnergySplit:
        """Splits a reading between processes, idle, system and what nobody explains."""
        system = self.system_uj(reading)
        if self._virtual_ns is not None:
            # Virtual time has no other meter than the slices themselves.
            reading = msgspec.structs.replace(
                reading, metered_uj=processes_uj + reading.idle_uj + system
            )
        return attribute(reading, processes_uj, system)
