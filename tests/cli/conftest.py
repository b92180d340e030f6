"""Fixtures: the command line in this process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.fake_hypervisor import FakeHypervisor
from maxwell.observe.report import Report
from observe.made_up import write_run

REPOSITORY = Path(__file__).resolve().parents[2]


class Done(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


Maxwell = Callable[..., Done]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and an environment without settings of ours."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MAXWELL_")]:
        monkeypatch.delenv(name)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    # The user's own key is none of the tests' business.
    monkeypatch.setenv("MAXWELL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def maxwell(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Maxwell:
    """Runs a command line in this process and returns its exit code and output."""
    del here
    from maxwell.cli import main

    def run(*arguments: str) -> Done:
        code = main(arguments)
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Done(code, out.decode(), err.decode())

    return run


@pytest.fixture
def hypervisor(monkeypatch: pytest.MonkeyPatch) -> FakeHypervisor:
    """Replaces `maxwell.hypervisor` by a made-up one."""
    fake = FakeHypervisor()
    monkeypatch.setitem(sys.modules, "maxwell.hypervisor", fake)
    return fake


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of eight made-up processes."""
    folder = tmp_path_factory.mktemp("run")
    Report(write_run(folder), run_dir=folder).save(folder)
    return folder


def subprocess_maxwell(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, errors: str = "strict"
) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "python"), **(env or {})}
    code = "import sys; from maxwell.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        errors=errors,
        timeout=50,
        check=False,
    )
