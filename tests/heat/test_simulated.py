"""A fleet on a host without sensors heats a simulated part, and everybody is told so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.cli import main
from maxwell.config import FleetConfig, HeatConfig, fleet_warnings, parse_fleet
from maxwell.errors import ConfigError
from maxwell.heat.simulated import DIE_SHARE, DIE_TAU_S, SINK_TAU_S, SimulatedPart
from maxwell.node.heat import PPM, NodeHeat
from maxwell.observe.prometheus import prometheus_lines
from maxwell.observe.table import heat_text
from support.fleets import Run, process, run

CONFIG = HeatConfig(sensor="simulated")


def part(start_w: float = 2.0) -> SimulatedPart:
    return SimulatedPart(inlet_c=25.0, peak_c=100.0, full_w=12.0, start_w=start_w)


def exact(power_w: float, seconds: float) -> float:
    """The die after a step of power from rest: the two linear equations, solved by eigenvalues."""
    r = 75.0 / 12.0
    r_die, r_sink = DIE_SHARE * r, (1 - DIE_SHARE) * r
    c_die, c_sink = DIE_TAU_S / r_die, SINK_TAU_S / r_sink
    a = np.array([
        [-1 / (r_die * c_die), 1 / (r_die * c_die)],
        [1 / (r_die * c_sink), -1 / (r_die * c_sink) - 1 / (r_sink * c_sink)],
    ])  # fmt: skip
    settled = np.array([25.0 + r * power_w, 25.0 + r_sink * power_w])
    values, vectors = np.linalg.eig(a)
    decayed = vectors @ np.diag(np.exp(values * seconds)) @ np.linalg.inv(vectors)
    return float((settled + decayed @ (np.array([25.0, 25.0]) - settled))[0])


@pytest.mark.parametrize("seconds", [1, 5, 20, 60, 300])
def test_the_part_follows_the_equations_of_two_nodes(seconds: int) -> None:
    heated = part(start_w=0.0)
    heated.follow(0, 0.0)
    for now in range(100, seconds * 1_000 + 1, 100):
        heated.follow(now, 9.0)
    assert heated.t_c == pytest.approx(exact(9.0, seconds), abs=0.3)


def test_it_settles_where_it_was_told() -> None:
    heated = part()
    assert heated.t_c == pytest.approx(25 + 75 * 2 / 12)
    heated.follow(0, 2.0)
    assert heated.follow(600_000, 12.0) == pytest.approx(100, abs=0.01)
    assert heated.follow(599_000, 2.0) == pytest.approx(100, abs=0.01), "no time has passed"
    assert heated.follow(1_599_000, 0.0) == pytest.approx(25, abs=0.01)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 12)), max_size=40))
def test_it_stays_between_air_and_peak(steps: list[tuple[int, float]]) -> None:
    heated = part(start_w=0.0)
    for now, power_w in steps:
        assert 25 - 1e-6 <= heated.follow(now, power_w) <= 100 + 1e-6


def test_a_busy_node_gets_dearer_and_mints_less_and_an_idle_one_recovers() -> None:
    heat = NodeHeat(CONFIG, base_ppm=PPM, cap_mw=10_000, full_mw=12_000, idle_mw=2_000)
    clock = iter(range(0, 10_000_000, 100))
    after: list[tuple[int, int]] = []
    for power_mw, epochs in ((2_000, 100), (12_000, 1_500), (2_000, 2_000)):
        for _ in range(epochs):
            change = heat.epoch(next(clock), power_mw)
            assert change.warning is None
        after.append((heat.reserve_ppm, heat.cap_ppm))
    assert after[0] == after[2] == (PPM, PPM)
    assert after[1][0] > 3 * PPM
    assert after[1][1] < PPM
    view = heat.view()
    assert view.simulated
    assert heat_text(view).endswith("simulated")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(10**9), 10**12)), max_size=40))
def test_no_power_breaks_a_simulated_node(epochs: list[tuple[int, int]]) -> None:
    heat = NodeHeat(CONFIG, base_ppm=PPM, cap_mw=None, full_mw=0)
    for now, power_mw in epochs:
        change = heat.epoch(now, power_mw)
        assert 0 <= change.cap_ppm <= PPM
        assert PPM <= heat.reserve_ppm <= 256 * PPM


def fleet(tmp_path: Path) -> Run:
    """A part so small that a second of one core heats it."""
    return run(
        [
            process("rich", "samples:spin.wasm", account="a", funds="50 J", bid_ppm=250_000_000),
            process("poor", "samples:spin.wasm", account="b", funds="50 J", bid_ppm=1_050_000),
        ],
        accounts=[{"name": "a", "income_share": 1.0}, {"name": "b"}],
        heat={"sensor": "simulated", "trip": 40, "inlet": 20, "peak": 150},
        out=tmp_path,
        power="5.1 W",
        idle_power="0.1 W",
        core_power="5 W",
        cells=1,
        duration="1500 ms",
    )


@pytest.mark.native
def test_a_deterministic_fleet_heats_itself_the_same_twice(tmp_path: Path) -> None:
    # Goal: what a fleet burns heats the part, prices rise, less is minted, and equal runs are
    # equal. Method: two virtual runs of a second and a half, their events compared.
    first, second = fleet(tmp_path / "one"), fleet(tmp_path / "two")
    heats = first.events("heat")
    assert max(e.integer("reserve_ppm") for e in heats) > 3 * PPM // 2, "dearer than poor bids"
    assert min(e.integer("cap_ppm") for e in heats) < PPM // 2
    assert all(e.fields["simulated"] is True for e in heats)
    last = first.views[-1]
    assert last.heat is not None
    assert last.heat.temperature_mc is not None
    assert last.heat.temperature_mc > 25_000, "22.5 °C at rest"
    assert any("simulated" in text for text in first.report.warnings)
    metrics = "\n".join(prometheus_lines(last))
    assert 'maxwell_heat_temperature_celsius{source="simulated"}' in metrics
    assert 'source="sensor"' not in metrics
    assert [(e.name, e.t_ns, e.fields) for e in first.events()] == [
        (e.name, e.t_ns, e.fields) for e in second.events()
    ]


def parsed(folder: Path, **heat: object) -> FleetConfig:
    data = {"heat": heat, "process": [{"name": "a", "module": "samples:hello.wasm"}]}
    return parse_fleet(data, folder)


def test_the_fleet_file_names_it_and_its_peak(tmp_path: Path) -> None:
    config = parsed(tmp_path, sensor="simulated", trip=80)
    assert config.heat is not None
    assert (config.heat.simulated, config.heat.peak_c) == (True, 90)
    assert any("simulated" in warning for warning in fleet_warnings(config))
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, sensor="auto", peak=95)
    assert caught.value.code == "MX1009"
    for peak in (20, 900):
        with pytest.raises(ConfigError) as caught:
            parsed(tmp_path, sensor="simulated", peak=peak)
        assert caught.value.code == "MX1006"


@pytest.mark.native
def test_the_command_line_takes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "fleet.toml"
    file.write_text('[[process]]\nname = "a"\nmodule = "samples:hello.wasm"\n')
    assert main(["run", str(file), "--heat", "simulated", "--deterministic"]) == 0
    assert "temperature is simulated" in "".join(capsys.readouterr())
