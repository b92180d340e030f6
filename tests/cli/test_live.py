"""What is shown while a run goes on: on a terminal a table that leaves nothing behind."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import REPOSITORY

CODE = """
import sys
from cli.fake_hypervisor import FakeHypervisor
fake = FakeHypervisor()
fake.epoch_s = 0.01
sys.modules["maxwell.hypervisor"] = fake
from maxwell.cli import main
sys.exit(main())
"""


def run_on_a_terminal(cwd: Path, *arguments: str, columns: int = 100) -> tuple[int, str]:
    """Runs the command line with a terminal for all its streams; returns code and output."""
    leader, follower = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY / 'python'}:{REPOSITORY / 'tests'}",
        "TERM": "xterm-256color",
        "COLUMNS": str(columns),
        "LINES": "40",
    }
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        cwd=cwd,
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        close_fds=True,
    )
    os.close(follower)
    shown = bytearray()
    while select.select([leader], [], [], 40)[0]:
        try:
            data = os.read(leader, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(leader)
    return process.wait(timeout=10), shown.decode(errors="replace")


def plain(text: str) -> str:
    """Removes colours and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("columns", [60, 110])
def test_a_terminal_gets_a_live_table_and_then_the_report(tmp_path: Path, columns: int) -> None:
    code, shown = run_on_a_terminal(tmp_path, "demo", columns=columns)
    assert code == 0
    text = " ".join(plain(shown).split())
    assert text.count("broke in") > 3
    assert "alive 5 of 5" in text
    report = text[text.index("conservation:") :]
    assert "broke in" not in report
    # The cursor that the live table hid is shown again.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_frames_are_whole_and_overwrite_each_other(tmp_path: Path) -> None:
    """Each frame lies between the marks of synchronised output and erases no line it will draw."""
    _, shown = run_on_a_terminal(tmp_path, "demo")
    frames = shown.split("\x1b[?2026h")[1:]
    assert len(frames) > 3
    for frame in frames:
        assert "\x1b[?2026l" in frame
    assert "\x1b[2K" not in shown
    drawn = [plain(frame.split("\x1b[?2026l")[0]) for frame in frames]
    assert len({frame.count("\n") for frame in drawn}) == 1


def test_verbose_lines_do_not_run_through_the_table(tmp_path: Path) -> None:
    _, shown = run_on_a_terminal(tmp_path, "demo", "-v")
    assert "\x1b[?2026h" not in shown
    assert "run folder runs/demo-1" in plain(shown)


def test_no_progress_on_a_terminal_is_only_the_report(tmp_path: Path) -> None:
    code, shown = run_on_a_terminal(tmp_path, "demo", "--no-progress")
    assert code == 0
    assert "broke in" not in plain(shown)
    assert "conservation: ok" in plain(shown)
