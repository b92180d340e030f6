"""The node's meter: modelled, measured, and in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.fakes import Clock, Machine
from maxwell.energy import CpuTimes, EnergyModel, HostPaths, NodeMeter
from maxwell.errors import InternalError

if TYPE_CHECKING:
    from pathlib import Path

MODEL = EnergyModel.modelled(5_000, 2_000)
J = 10**6
S = 10**9
NOWHERE = HostPaths(sysfs=HostPaths().sysfs / "nowhere")


class Cpu:
    """CPU times that the test sets."""

    def __init__(self) -> None:
        self.times = CpuTimes(cells_ns=0)

    def set(self, cells_ns: int, parent_ns: int = 0, helpers_ns: int = 0) -> None:
        self.times = CpuTimes(cells_ns=cells_ns, parent_ns=parent_ns, helpers_ns=helpers_ns)

    def __call__(self) -> CpuTimes:
        return self.times


def test_modelled() -> None:
    clock, cpu = Clock(7), Cpu()
    cpu.set(10, 20, 30)
    meter = NodeMeter(MODEL, clock, cpu, NOWHERE)
    assert meter.read().metered_uj == 0
    clock.advance(2 * S)
    cpu.set(10 + S, 20 + S // 4, 30 + S // 4)
    reading = meter.read()
    assert reading.metered_uj == 2 * 2 * J + 5 * J + 5 * J // 2
    assert reading.idle_uj == 4 * J
    assert (reading.system_cpu_ns, reading.system_uj) == (S // 2, 5 * J // 2)
    assert reading.interval_uj == reading.metered_uj * 2 // 5
    assert (reading.provenance, reading.gaps) == ("modelled", 0)
    assert meter.source == MODEL.source


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=20))
def test_reading_often_loses_nothing(steps: list[tuple[int, int]]) -> None:
    """Goal: readings are cumulative, so that no remainder is dropped between epochs."""
    clock, cpu = Clock(), Cpu()
    meter = NodeMeter(MODEL, clock, cpu, NOWHERE)
    elapsed = busy = last = 0
    for step_ns, busy_ns in steps:
        clock.advance(step_ns)
        elapsed += step_ns
        busy += busy_ns
        cpu.set(busy)
        reading = meter.read()
        assert reading.metered_uj == (2_000 * elapsed + 5_000 * busy) // 10**6
        assert reading.metered_uj >= last
        last = reading.metered_uj


def test_measured(tmp_path: Path) -> None:
    machine, clock, cpu = Machine(tmp_path), Clock(), Cpu()
    machine.zone("intel-rapl:0", "package-0", 0)
    meter = NodeMeter(MODEL, clock, cpu, machine.host)
    assert meter.source == "RAPL: package-0"
    clock.advance(S)
    cpu.set(S)
    machine.add("intel-rapl:0", 30 * J)
    reading = meter.read()
    assert (reading.metered_uj, reading.idle_uj) == (30 * J, 2 * J)
    assert (reading.provenance, reading.interval_uj) == ("silicon", 3 * J)


def test_idle_is_not_more_than_the_meter_saw(tmp_path: Path) -> None:
    machine, clock = Machine(tmp_path), Clock()
    machine.zone("intel-rapl:0", "package-0", 0)
    meter = NodeMeter(MODEL, clock, Cpu(), machine.host)
    clock.advance(S)
    machine.add("intel-rapl:0", J)
    reading = meter.read()
    assert (reading.metered_uj, reading.idle_uj) == (J, J)


def test_a_gap_is_filled_by_the_model_and_said_so(tmp_path: Path) -> None:
    machine, clock, cpu = Machine(tmp_path), Clock(), Cpu()
    machine.zone("intel-rapl:0", "package-0", 100_000 * J)
    meter = NodeMeter(MODEL, clock, cpu, machine.host)
    clock.advance(S)
    cpu.set(S)
    machine.set("intel-rapl:0", 0)  # a reset: must not be billed as 162 kJ
    reading = meter.read()
    assert (reading.metered_uj, reading.filled_uj, reading.gaps) == (7 * J, 7 * J, 1)
    assert reading.provenance == "modelled"
    assert meter.gap_reasons == {"package-0: reset": 1}
    clock.advance(S)
    machine.add("intel-rapl:0", 10 * J)
    reading = meter.read()
    assert (reading.metered_uj, reading.filled_uj, reading.gaps) == (17 * J, 7 * J, 1)
    assert reading.provenance == "modelled"  # a figure with filled parts stays modelled
    assert reading.interval_uj == J + 7 * J * 2 // 5


def test_deterministic_mode_reads_no_sensor(tmp_path: Path) -> None:
    machine, clock, cpu = Machine(tmp_path), Clock(), Cpu()
    machine.zone("intel-rapl:0", "package-0", 0)
    meter = NodeMeter(EnergyModel.deterministic(cells=2), clock, cpu, machine.host)
    clock.advance(S)
    cpu.set(S // 2)
    machine.add("intel-rapl:0", 99 * J)
    reading = meter.read()
    assert (reading.metered_uj, reading.idle_uj) == (2 * J + 5 * J // 2, 2 * J)
    assert (reading.system_cpu_ns, reading.provenance) == (0, "simulated")


@pytest.mark.parametrize("what", ["clock", "cells", "parent"])
def test_time_that_runs_backwards_is_a_bug(what: str) -> None:
    clock, cpu = Clock(S), Cpu()
    cpu.set(S, S)
    meter = NodeMeter(MODEL, clock, cpu, NOWHERE)
    if what == "clock":
        clock.advance(-1)
    else:
        cpu.set(0, S) if what == "cells" else cpu.set(S, 0)
    with pytest.raises(InternalError):
        meter.read()
