"""Each command of the README works in a person's shell: one without the Makefile's variables.

Every day the fleet files that it names are read and the short commands are run; `make test-slow`
runs all of them.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from cli.conftest import REPOSITORY

pytest.importorskip("maxwell._native")
pytestmark = pytest.mark.native


def readme_commands() -> list[str]:
    """Returns the commands of every console block, without their comments."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line.partition("#")[0].strip() for line in lines]


def shell_environment() -> dict[str, str]:
    """Returns the environment of a shell that knows nothing of Make."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAXWELL_", "MAKE", "PYTHON", "CARGO"))
    }


def test_the_readme_has_commands() -> None:
    commands = readme_commands()
    assert [command for command in commands if command.startswith("make ")] == [
        "make run",
        "make test",
    ]
    assert len(commands) >= 7


def run_here(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=cwd,
        env=shell_environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that holds what a person's checkout holds, and nothing of ours."""
    if not (REPOSITORY / ".venv/bin/maxwell").exists():
        pytest.skip("no .venv in this checkout")
    for name in (".venv", "examples"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    return tmp_path


def test_the_fleets_of_the_readme_are_found_with_their_inputs(checkout: Path) -> None:
    named = {word for command in readme_commands() for word in shlex.split(command)}
    fleets = sorted(word for word in named if word.endswith(".toml"))
    assert fleets
    code = "import sys; from maxwell.config import load_fleet; load_fleet(sys.argv[1])"
    for fleet in fleets:
        done = run_here([".venv/bin/python", "-c", code, fleet], checkout)
        assert done.returncode == 0, (fleet, done.stderr)


@pytest.mark.slow
def test_every_command_of_the_readme_works(checkout: Path) -> None:
    """In their order; each finishes, and none says that something went wrong."""
    for command in readme_commands():
        words = shlex.split(command)
        if words[0] == "make":
            continue
        assert words[0] == ".venv/bin/maxwell", command
        done = run_here(words, checkout)
        # An unpaid guest ends with 120: that is what the example shows.
        assert done.returncode in {0, 120, 124}, (command, done.stderr)
        assert "error: " not in done.stderr


def test_a_checkout_keeps_its_cache_where_make_puts_it(tmp_path: Path) -> None:
    from maxwell.modules import cache_dir

    assert cache_dir({}) == REPOSITORY / ".cache/maxwell"
    assert cache_dir({"MAXWELL_CACHE_DIR": str(tmp_path)}) == tmp_path
