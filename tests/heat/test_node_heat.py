"""A real node follows a temperature: reserve and cap rise and fall, blind sensors are safe."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.cli import main
from maxwell.config import HeatConfig
from maxwell.errors import ConfigError, EnergyError
from maxwell.market.ledger import Ledger
from maxwell.market.mint import PowerMint
from maxwell.node.heat import BLIND_CAP_PPM, PPM, NodeHeat, sensor_reader
from maxwell.node.view import NodeView
from support.fleets import process, run

CONFIG = HeatConfig(sensor="auto")


class Sensor:
    """A temperature that the test sets."""

    def __init__(self) -> None:
        self.t_c = 50.0

    def __call__(self) -> float:
        return self.t_c


def node_heat() -> tuple[NodeHeat, Sensor, Iterator[int]]:
    sensor = Sensor()
    heat = NodeHeat(CONFIG, base_ppm=PPM, cap_mw=10_000, read=sensor)
    return heat, sensor, iter(range(0, 10_000_000, 100))


def test_a_hot_node_sells_dearer_and_mints_less_and_recovers() -> None:
    heat, sensor, clock = node_heat()
    after: list[tuple[int, int]] = []
    for t_c, epochs in ((50.0, 50), (92.0, 50), (50.0, 600)):
        sensor.t_c = t_c
        for _ in range(epochs):
            heat.epoch(next(clock), 8_000)
        after.append((heat.reserve_ppm, heat.cap_ppm))
    assert after[0] == after[2] == (PPM, PPM)
    assert after[1][0] > 3 * PPM
    assert after[1][1] < PPM // 10


@pytest.mark.parametrize("reading", [math.nan, math.inf, -300.0, 900.0])
def test_a_blind_node_goes_to_the_safe_side_and_says_so(reading: float) -> None:
    heat, sensor, clock = node_heat()
    warnings: list[str] = []
    caps: list[int] = []

    def epochs(count: int) -> None:
        for _ in range(count):
            change = heat.epoch(next(clock), 8_000)
            warnings.extend([change.warning] if change.warning else [])
            caps.append(change.cap_ppm)

    epochs(20)
    sensor.t_c = reading
    epochs(10)
    assert not warnings, "a second without a reading is no reason"
    epochs(100)
    assert len(warnings) == 1
    assert caps[-1] == BLIND_CAP_PPM
    assert all(b <= a for a, b in pairwise(caps))
    assert heat.reserve_ppm > 2 * PPM
    sensor.t_c = 50.0
    epochs(600)
    assert len(warnings) == 2
    assert (caps[-1], heat.reserve_ppm) == (PPM, PPM)


def test_a_stuck_sensor_is_found_by_the_power_that_changes() -> None:
    heat, _, clock = node_heat()
    steady = [heat.epoch(next(clock), 8_000).warning for _ in range(1_000)]
    assert not any(steady), "an even load may well hold a temperature"
    changing = [heat.epoch(next(clock), 4_000 + 500 * (i % 20)).warning for i in range(700)]
    assert [w for w in changing if w]
    assert heat.blind


@given(st.lists(st.tuples(st.floats(), st.integers(0, 10**7)), max_size=60))
def test_no_reading_breaks_the_node(readings: list[tuple[float, int]]) -> None:
    heat, sensor, clock = node_heat()
    for t_c, power_mw in readings:
        sensor.t_c = t_c
        change = heat.epoch(next(clock), power_mw)
        assert 0 <= change.cap_ppm <= PPM
        assert PPM <= heat.reserve_ppm <= 256 * PPM


@given(st.lists(st.tuples(st.integers(0, PPM), st.integers(1, 10**9)), max_size=30))
def test_the_mint_never_exceeds_the_capped_power(steps: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    ledger.open_account("a")
    mint = PowerMint(12_000, 2_000, {"a": PPM})
    now, granted_pj = 0, 0
    for cap, passed_ns in steps:
        mint.set_cap(cap)
        now += passed_ns
        granted_pj += 10_000 * passed_ns * cap // PPM
        mint.epoch(ledger, elapsed_ns=now, system_uj=0)
    assert ledger.balance("a") == granted_pj // 1_000_000


def tree(folder: Path, t_c: float) -> Path:
    """Writes a tree as under `/sys/class`; the second sensor is cool."""
    for name, value in (("temp1_input", t_c), ("temp2_input", 30.0)):
        file = folder / "hwmon" / "hwmon0" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(str(int(value * 1_000)))
        draft.replace(file)
    return folder


def test_sensors_are_found_and_a_host_without_any_is_an_error(tmp_path: Path) -> None:
    read = sensor_reader(str(tree(tmp_path, 61.5)))
    assert read() == 61.5
    shutil.rmtree(tmp_path / "hwmon")
    assert math.isnan(read())
    with pytest.raises(EnergyError) as caught:
        sensor_reader(str(tmp_path))
    assert caught.value.code == "MX1402"


def put_digits(path: Path) -> None:
    path.write_text("9" * 400)


def put_words(path: Path) -> None:
    path.write_bytes(b"\xff\xfe 1e400")


def put_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [put_digits, put_words, put_zeros, os.mkfifo, Path.mkdir])
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_no_sensor_blinds_and_neither_hangs_nor_fails(
    tmp_path: Path, put: Callable[[Path], object], *, alone: bool
) -> None:
    """Somebody who can write there puts something else in the sensor's place."""
    file = tree(tmp_path, 61.5) / "hwmon/hwmon0/temp1_input"
    file.with_name("temp2_input").unlink()
    read = sensor_reader(str(file if alone else tmp_path))
    assert read() == 61.5
    file.unlink()
    put(file)
    assert math.isnan(read())
    if not file.is_dir():
        with pytest.raises(EnergyError) as caught:
            sensor_reader(str(file if alone else tmp_path))
        assert caught.value.code == "MX1402"


@pytest.mark.native
@pytest.mark.slow
def test_a_fleet_in_a_hot_tree_pays_more_and_low_bidders_wait(tmp_path: Path) -> None:
    # Goal: with real cells, the price of joules follows a sensor up and down, who bids less waits,
    # and less is minted; then all is as before. Method: one run whose fake sensor is cool, hot,
    # broken and cool again by the run's own clock; each phase is judged by its last second.
    folder = tree(tmp_path / "class", 50.0)
    phases = [(3.0, 50.0), (6.0, 88.5), (8.5, None), (40.0, 50.0)]

    def follow(view: NodeView) -> None:
        at_s = view.elapsed_ns / 1e9
        t_c = next(t for end, t in phases if at_s < end or end == phases[-1][0])
        if t_c is None:
            shutil.rmtree(folder / "hwmon", ignore_errors=True)
        else:
            tree(folder, t_c)

    result = run(
        [
            process("rich", "samples:spin.wasm", account="a", funds="200 J", bid_ppm=20_000_000),
            process("poor", "samples:spin.wasm", account="b", funds="200 J", bid_ppm=1_050_000),
        ],
        accounts=[{"name": "a", "income_share": 1.0}, {"name": "b"}],
        heat={"sensor": str(folder)},
        on_view=follow,
        out=tmp_path / "run",
        deterministic=False,
        cells=2,
        power="20 W",
        duration="32 s",
    )
    samples = result.events("sample")

    def energy(name: str, start_s: float, end_s: float) -> float:
        """µJ a second of a process."""
        at: list[tuple[float, int]] = []
        for event in samples:
            rows = cast("list[list[Any]]", event.fields["processes"])
            at += [(event.t_ns / 1e9, int(r[5])) for r in rows if r[0] == name]
        at = [pair for pair in at if start_s <= pair[0] <= end_s]
        return (at[-1][1] - at[0][1]) / (at[-1][0] - at[0][0])

    heats = [
        (e.t_ns / 1e9, e.integer("reserve_ppm"), e.integer("cap_ppm"))
        for e in result.events("heat")
    ]
    hot = [h for h in heats if 4 <= h[0] < 6]
    assert max(reserve for _, reserve, _ in hot) > 2_000_000
    assert min(cap for _, _, cap in hot) < 500_000
    assert energy("poor", 1, 3) > 0
    assert energy("poor", 4.5, 6) < energy("poor", 1, 3) / 10
    assert energy("rich", 4.5, 6) > energy("rich", 1, 3) / 2
    assert any("safe side" in text for text in result.report.warnings)
    assert any("usable again" in text for text in result.report.warnings)
    assert heats[-1][1] == 1_000_000
    assert energy("poor", 30, 32) > energy("poor", 1, 3) / 10


def test_a_temperature_in_a_deterministic_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="deterministic"):
        run([process("a", "samples:hello.wasm")], heat={"sensor": str(tmp_path)})
    fleet = tmp_path / "fleet.toml"
    fleet.write_text('[heat]\nsensr = "auto"\n[[process]]\nname = "a"\nmodule = "x.wasm"\n')
    assert main(["run", str(fleet)]) == 2
