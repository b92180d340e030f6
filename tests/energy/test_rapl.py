"""Counters: a difference is exact or unknown; zones cover the machine once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.fakes import RANGE_UJ, Clock, Machine
from maxwell.energy.sources import RaplSource, Sample, covering_zones, delta
from maxwell.errors import EnergyError

if TYPE_CHECKING:
    from pathlib import Path

S = 10**9
W = 10**3
J = 10**6


def sample(uj: int, time_ns: int, *, boot: str = "b", modulus: int | None = RANGE_UJ) -> Sample:
    return Sample(domain="d", time_ns=time_ns, boot_id=boot, counter_uj=uj, modulus_uj=modulus)


@pytest.mark.parametrize(
    ("name", "previous", "current", "energy", "reason"),
    [
        ("plain", sample(5 * J, 0), sample(25 * J, S), 20 * J, None),
        ("still", sample(5 * J, 0), sample(5 * J, S), 0, None),
        ("one wrap", sample(RANGE_UJ - 5 * J, 0), sample(5 * J, S), 10 * J, None),
        ("reset is not a wrap", sample(200_000 * J, 0), sample(0, S), None, "reset"),
        ("reset after a while", sample(100 * J, 0), sample(0, 200 * S), None, "reset"),
        ("reboot", sample(5 * J, 0), sample(25 * J, S, boot="c"), None, "reboot"),
        ("no time", sample(5 * J, S), sample(6 * J, S), None, "clock"),
        ("back in time", sample(5 * J, S), sample(6 * J, 0), None, "clock"),
        ("may have wrapped unseen", sample(5 * J, 0), sample(6 * J, 263 * S), None, "gap"),
        ("wrap or reset", sample(RANGE_UJ - J, 0), sample(J, 140 * S), None, "reset"),
        ("too much", sample(0, 0), sample(1_001 * J, S), None, "implausible"),
        ("sentinel", sample(2**63, 0), sample(2**63, S), None, "implausible"),
        ("no range, plain", sample(0, 0, modulus=None), sample(J, S, modulus=None), J, None),
        ("no range, fell", sample(J, 0, modulus=None), sample(0, S, modulus=None), None, "reset"),
        ("beyond its range", sample(RANGE_UJ + J, 0), sample(0, S), None, "reset"),
    ],
)
def test_delta_rules(
    name: str, previous: Sample, current: Sample, energy: int | None, reason: str | None
) -> None:
    step = delta(previous, current, power_max_mw=1_000 * W)
    assert (step.energy_uj, step.reason) == (energy, reason), name


@given(
    start=st.integers(0, RANGE_UJ - 1),
    power_mw=st.integers(0, 1_000 * W),
    elapsed_ns=st.integers(1, 130 * S),
)
def test_a_true_step_is_never_wrong(start: int, power_mw: int, elapsed_ns: int) -> None:
    """Goal: for any plausible draw below half the range, wrapped or not, the delta is exact."""
    drawn = power_mw * elapsed_ns // 10**6
    end = (start + drawn) % RANGE_UJ
    step = delta(sample(start, 0), sample(end, elapsed_ns), power_max_mw=1_000 * W)
    assert step.energy_uj == drawn
    assert step.wrapped == (end < start)


@given(start=st.integers(0, RANGE_UJ), end=st.integers(0, RANGE_UJ), elapsed=st.integers(1, S))
def test_no_step_bills_more_than_the_domain_can_draw(start: int, end: int, elapsed: int) -> None:
    step = delta(sample(start, 0), sample(end, elapsed), power_max_mw=1_000 * W)
    assert step.energy_uj is None or 0 <= step.energy_uj <= -(-1_000 * W * elapsed // 10**6)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def domains(machine: Machine) -> list[str]:
    return [zone.domain for zone in covering_zones(machine.host)]


def test_packages_and_their_dram_without_cores(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0", 100 * J)
    machine.zone("intel-rapl:0:0", "core", 50 * J)
    machine.zone("intel-rapl:0:1", "dram", 10 * J)
    machine.zone("intel-rapl:1", "package-1", 900 * J)
    machine.zone("intel-rapl:1:0", "uncore", 5 * J)
    (machine.host.powercap / "dtpm").mkdir()
    assert domains(machine) == ["package-0", "package-0/dram", "package-1"]


def test_psys_covers_everything(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0", 100 * J)
    machine.zone("intel-rapl:1", "psys", 300 * J)
    assert domains(machine) == ["psys-1"]


def test_mmio_twins_are_left_out(machine: Machine) -> None:
    machine.zone("intel-rapl-mmio:0", "package-0", 7 * J)
    machine.zone("intel-rapl:0", "package-0", 100 * J)
    (zone,) = covering_zones(machine.host)
    assert zone.counter.parent.name == "intel-rapl:0"


def test_mirrored_packages_count_once(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0", 5_000 * J)
    machine.zone("intel-rapl:1", "package-1", 5_000 * J + 20_000)
    machine.zone("intel-rapl:1:0", "dram", 10 * J)
    assert domains(machine) == ["package-0"]


def test_nothing_readable(machine: Machine) -> None:
    assert domains(machine) == []
    machine.zone("intel-rapl:0", "package-0", 1)
    machine.set("intel-rapl:0", "")
    assert domains(machine) == []
    with pytest.raises(EnergyError) as caught:
        RaplSource(machine.host, Clock())
    assert caught.value.code == "MX1402"


def test_readings_add_zones_and_name_gaps(machine: Machine) -> None:
    machine.zone("intel-rapl:0", "package-0", RANGE_UJ - 2 * J)
    machine.zone("intel-rapl:0:0", "dram", 10 * J)
    clock = Clock()
    source = RaplSource(machine.host, clock)
    clock.advance(S)
    machine.add("intel-rapl:0", 5 * J)
    machine.add("intel-rapl:0:0", J)
    assert source.read().energy_uj == 6 * J
    clock.advance(S)
    machine.boot("boot-2")
    assert source.read().gaps == ("package-0: reboot", "package-0/dram: reboot")
    clock.advance(S)
    machine.set("intel-rapl:0", "garbage")
    assert source.read().gaps == ("package-0: unreadable",)
    clock.advance(S)
    machine.set("intel-rapl:0", 0)
    assert source.read().gaps == ("package-0: unreadable",)
    clock.advance(S)
    machine.add("intel-rapl:0", 3 * J)
    assert source.read().energy_uj == 3 * J
