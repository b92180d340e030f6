"""`maxwell lab heat` and `maxwell heat`: output, errors, pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from maxwell.cli import main
from maxwell.market.thermal import ThermalReserve

Capture = pytest.CaptureFixture[str]


def test_lab_heat_prints_json_and_repeats_it(capsys: Capture, tmp_path: Path) -> None:
    trace, picture = tmp_path / "trace", tmp_path / "run.svg"
    line = ["lab", "heat", "--nodes", "6", "--seed", "3", "--duration", "90", "--json", "-q"]
    assert main([*line, "--trace", str(trace), "--picture", str(picture)]) == 0
    first = capsys.readouterr().out
    data = json.loads(first)
    assert data["scenario"] == "fan-death"
    assert data["peak_failing_c"] < data["trip_c"]
    assert "distress" in trace.read_text()
    assert picture.read_text().startswith("<?xml")
    assert main(line) == 0
    assert capsys.readouterr().out == first


def test_the_animated_picture_is_small_and_moves(tmp_path: Path) -> None:
    picture = tmp_path / "run.gif"
    line = ["lab", "heat", "--nodes", "6", "--seed", "3", "--duration", "70", "-q"]
    assert main([*line, "--figure", str(picture)]) == 0
    assert picture.stat().st_size < 500_000
    with Image.open(picture) as image:
        assert getattr(image, "n_frames", 1) >= 14


def test_lab_heat_names_near_misses(capsys: Capture) -> None:
    assert main(["lab", "heat", "--scenario", "fan-deth"]) == 2
    assert "did you mean 'fan-death'?" in capsys.readouterr().err
    assert main(["lab", "heat", "--policy", "our"]) == 2
    assert "did you mean 'ours'?" in capsys.readouterr().err


def test_heat_without_a_node_says_what_to_do(capsys: Capture, tmp_path: Path) -> None:
    assert main(["heat", "--status", str(tmp_path / "none.json")]) == 125
    error = capsys.readouterr().err
    assert "MX1803" in error
    assert "heat node" in error


def test_heat_shows_a_status(capsys: Capture, tmp_path: Path) -> None:
    from heat.test_udp import live

    node = live(0, [1, 2])
    path = tmp_path / "status.json"
    path.write_text(json.dumps(node.status(1_000)))
    assert main(["heat", "--status", str(path)]) == 0
    assert "°C" in capsys.readouterr().out
    assert main(["heat", "--status", str(path), "--prometheus"]) == 0
    text = capsys.readouterr().out
    assert "maxwell_heat_packets_in_total 0" in text
    assert "maxwell_heat_temperature_celsius" in text


def test_a_hot_node_raises_the_reserve_and_a_cool_one_does_not_sell_below_cost() -> None:
    reserve = ThermalReserve(1_000_000)
    assert reserve.update(-1.0) is None
    raised = reserve.update(1.0)
    assert raised == 2_718_281
    assert reserve.update(1.001) is None
    assert reserve.update(0.0) == 1_000_000


def test_calibrate_says_when_a_host_shows_no_temperature(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> dict[str, float]:
        return {}

    monkeypatch.setattr("maxwell.heat.calibrate.host_temperatures", none)
    assert main(["calibrate", "--thermal"]) == 125
    assert "MX1402" in capsys.readouterr().err
    assert main(["calibrate"]) == 2
