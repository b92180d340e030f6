"""The course of a run: every death found, memory bounded, order kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from maxwell.errors import ConfigError
from maxwell.observe.events import EventLog
from maxwell.observe.history import LAST_SAMPLES, POINTS_MAX, read_history

if TYPE_CHECKING:
    from pathlib import Path


def test_a_long_run_is_thinned_and_its_end_is_not(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    epochs = 5 * POINTS_MAX
    with EventLog(path) as log:
        log.write("spawned", 0, process="a", account="x", cell=0, funds_credits=epochs)
        for epoch in range(1, epochs + 1):
            row = ["a", "running", 1, 2, epochs - epoch, epoch]
            log.write("sample", epoch, price_ppm=epoch, power_mw=1, processes=[row])
        log.write("died", epochs + 1, process="a", outcome="bankrupt", reason="")
    history = read_history(path)
    process = history.process("a")
    assert POINTS_MAX // 2 <= len(history.node) <= POINTS_MAX
    assert len(process.samples) <= POINTS_MAX
    times = [sample.t_ns for sample in process.samples]
    assert times == sorted(times)
    assert [sample.t_ns for sample in process.last] == list(
        range(epochs - LAST_SAMPLES + 1, epochs + 1)
    )
    assert process.died_ns == epochs + 1
    assert process.outcome == "bankrupt"
    assert process.funds_credits == epochs
    assert history.end_ns == epochs + 1


def test_the_last_epochs_are_those_in_which_it_ran(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        for epoch in range(1, 40):
            row = ["a", "ready", 1, 2, 100 - epoch, min(epoch, 20)]
            log.write("sample", epoch, price_ppm=1, power_mw=1, processes=[row])
    process = read_history(path).process("a")
    assert [sample.t_ns for sample in process.last] == list(range(11, 21))
    assert process.final is not None
    assert process.final.t_ns == 39


def test_an_unknown_process_has_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()
    history = read_history(path)
    assert history.process("nobody").samples == []
    assert history.node == []


@pytest.mark.parametrize("rows", ["x", [["a"]], [["a", "s", 1, 1, 1, 1.5]]])
def test_a_damaged_sample_is_a_config_error(tmp_path: Path, rows: object) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("sample", 1, price_ppm=1, power_mw=1, processes=rows)
        log.write("sample", 2, price_ppm=1, power_mw=1, processes=[])
    with pytest.raises(ConfigError, match=r"events\.jsonl"):
        read_history(path)
