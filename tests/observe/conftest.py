"""Fixtures: one made-up run on disk, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from maxwell.observe.report import Report
from observe.made_up import write_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the events and the report of eight processes."""
    folder = tmp_path_factory.mktemp("run")
    Report(write_run(folder), run_dir=folder).save(folder)
    return folder


@pytest.fixture
def report(run_dir: Path) -> Report:
    """The report of the made-up run, read back from disk."""
    return Report.load(run_dir)
