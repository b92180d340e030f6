"""Calibration against a simulated plant whose true coefficients the test knows.

The plant runs kernels on a clock of its own and writes what they draw into a fake powercap tree.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy.fakes import Clock, Machine
from maxwell.energy import HostPaths, Measurement, calibrate
from maxwell.energy.calibrate import KERNELS
from maxwell.energy.nnls import nnls
from maxwell.errors import EnergyError

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = HostPaths(sysfs=HostPaths().sysfs / "nowhere")

# kernel: picoseconds per fuel; bytes and calls per million fuel
PLANT = {
    "spin": (80, 0, 0),
    "sieve": (140, 0, 0),
    "leech": (95, 0, 0),
    "hostcalls": (400, 60_000, 900),
    "switch": (90, 0, 500),
}


class Plant:
    """A machine with true costs, in pJ; counters tick in whole microjoules."""

    def __init__(
        self, clock: Clock, machine: Machine | None, *, alpha: int, beta: int, idle_mw: int
    ) -> None:
        self.clock, self.machine = clock, machine
        self.alpha, self.beta, self.idle_mw = alpha, beta, idle_mw
        self.start_ns = 0
        self.runs: list[tuple[str, int]] = []

    def draw(self, pj: int) -> None:
        if self.machine is not None:
            self.machine.add("intel-rapl:0", pj // 10**6)

    def pause(self, ns: int) -> None:
        self.clock.advance(ns)
        self.draw(self.idle_mw * ns)

    def measure(self, kernel: str, fuel_limit: int, /) -> Measurement:
        self.runs.append((kernel, fuel_limit))
        ps, bytes_per, calls_per = PLANT[kernel]
        ns = fuel_limit * ps // 1_000 + self.start_ns
        data, calls = fuel_limit * bytes_per // 10**6, fuel_limit * calls_per // 10**6
        self.clock.advance(ns)
        self.draw((self.idle_mw + self.beta) * ns + self.alpha * fuel_limit + 300 * data)
        return Measurement(fuel=fuel_limit, wall_ns=ns, cpu_ns=ns, bytes=data, calls=calls)


def test_without_a_sensor_only_speeds_are_measured() -> None:
    plant = Plant(Clock(), None, alpha=0, beta=0, idle_mw=0)
    model = calibrate(plant.measure, host=NOWHERE, cells=2, clock_ns=plant.clock)
    assert (model.alpha_pj_per_fuel, model.beta_pj_per_ns) == (0, 5_000)
    assert (model.core_power_mw, model.idle_power_mw) == (5_000, 2_000)
    assert model.picoseconds_per_fuel == 95  # the median of spin, sieve and leech
    assert model.switch_pj == 5_000 * (90 * 1_000 // 500)
    assert (model.provenance, model.relative_interval_ppm) == ("modelled", 400_000)
    assert plant.clock.now_ns < 100_000_000
    assert {kernel for kernel, _ in plant.runs} == {*KERNELS, "switch"}


def test_with_counters_fuel_and_time_are_told_apart(tmp_path: Path) -> None:
    machine, clock = Machine(tmp_path), Clock()
    machine.zone("intel-rapl:0", "package-0", 0)
    plant = Plant(clock, machine, alpha=150, beta=3_000, idle_mw=8_000)
    model = calibrate(plant.measure, host=machine.host, clock_ns=clock, pause_ns=plant.pause)
    assert model.provenance == "silicon"
    assert "RAPL (package-0)" in model.source
    assert abs(model.alpha_pj_per_fuel - 150) <= 2
    assert abs(model.beta_pj_per_ns - 3_000) <= 15
    assert model.idle_power_mw == 8_000
    assert 3_500 < model.core_power_mw < 5_500
    assert model.relative_interval_ppm >= 200_000
    assert model.alpha_deterministic_pj_per_fuel == model.core_power_mw * 20 // 1_000
    assert plant.clock.now_ns < 500_000_000


def test_starting_a_guest_is_not_the_speed_of_fuel() -> None:
    plant = Plant(Clock(), None, alpha=0, beta=0, idle_mw=0)
    plant.start_ns = 300_000
    model = calibrate(plant.measure, host=NOWHERE, clock_ns=plant.clock)
    assert model.picoseconds_per_fuel == 95


def test_kernels_that_end_by_themselves_have_a_speed() -> None:
    plant = Plant(Clock(), None, alpha=0, beta=0, idle_mw=0)
    model = calibrate(
        lambda kernel, fuel: plant.measure(kernel, min(fuel, 1_000_000)),
        host=NOWHERE,
        clock_ns=plant.clock,
    )
    assert model.picoseconds_per_fuel == 95


def test_what_is_given_is_not_fitted(tmp_path: Path) -> None:
    machine, clock = Machine(tmp_path), Clock()
    machine.zone("intel-rapl:0", "package-0", 0)
    plant = Plant(clock, machine, alpha=150, beta=3_000, idle_mw=8_000)
    model = calibrate(
        plant.measure, core_power_mw=4_000, idle_power_mw=900, host=machine.host, clock_ns=clock
    )
    assert (model.beta_pj_per_ns, model.idle_power_mw) == (4_000, 900)
    assert model.provenance == "modelled"


def test_a_counter_that_shows_nothing_falls_back_to_the_model(tmp_path: Path) -> None:
    machine, clock = Machine(tmp_path), Clock()
    machine.zone("intel-rapl:0", "package-0", 0)
    plant = Plant(clock, None, alpha=0, beta=0, idle_mw=0)
    model = calibrate(plant.measure, host=machine.host, clock_ns=clock, pause_ns=clock.advance)
    assert model.provenance == "modelled"


@pytest.mark.parametrize("bad", [{"fuel": 0}, {"cpu_ns": 0}, {"wall_ns": 0}, {"calls": -1}])
def test_a_kernel_that_did_nothing_is_an_error(bad: dict[str, int]) -> None:
    def measure(_kernel: str, fuel_limit: int, /) -> Measurement:
        figures = {"fuel": fuel_limit, "wall_ns": 1_000, "cpu_ns": 1_000, **bad}
        return Measurement(**figures)

    with pytest.raises(EnergyError) as caught:
        calibrate(measure, host=NOWHERE)
    assert caught.value.code == "MX1401"


def test_least_squares_on_modelled_energy_finds_core_power_alone() -> None:
    """Goal: the claim of the module. Method: E = 5 W x cpu time over kernels, fitted."""
    rows = [
        (fuel, fuel * ps // 1_000, fuel * bytes_per // 10**6, calls_per * fuel)
        for ps, bytes_per, calls_per in PLANT.values()
        for fuel in (10**6, 3 * 10**6)
    ]
    assert nnls(rows, [5_000 * row[1] for row in rows]) == (0, 5_000, 0, 0)


VECTORS = st.integers(1, 4).flatmap(
    lambda n: st.lists(
        st.tuples(st.lists(st.integers(0, 50), min_size=n, max_size=n), st.integers(-100, 1000)),
        min_size=1,
        max_size=8,
    )
)


@settings(max_examples=50)
@given(VECTORS)
def test_least_squares_is_optimal(data: list[tuple[list[int], int]]) -> None:
    """Goal: the answer is a minimum. Method: Karush–Kuhn–Tucker conditions, exactly."""
    rows, targets = [row for row, _ in data], [target for _, target in data]
    x = nnls(rows, targets)
    residual = [
        sum((a * b for a, b in zip(row, x, strict=True)), Fraction(0)) - target
        for row, target in data
    ]
    for column in range(len(rows[0])):
        gradient = sum(
            (row[column] * r for row, r in zip(rows, residual, strict=True)), Fraction(0)
        )
        assert x[column] >= 0
        assert gradient >= 0
        assert gradient * x[column] == 0


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(1, 50), min_size=3, max_size=3), min_size=4, max_size=8))
def test_least_squares_against_numpy(rows: list[list[int]]) -> None:
    """Differential: where the free optimum is positive, both find it."""
    truth = [3, 5, 7]
    targets = [sum(a * b for a, b in zip(row, truth, strict=True)) for row in rows]
    free, _, rank, _ = np.linalg.lstsq(np.array(rows, float), np.array(targets, float), rcond=None)
    if rank == 3:
        assert [float(v) for v in nnls(rows, targets)] == pytest.approx(list(free), rel=1e-6)
