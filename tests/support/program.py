"""Maxwell as its users meet it: a program of its own, its exit code and what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from support.guests import REPOSITORY

CODE: Final = "import sys; from maxwell.cli import main; sys.exit(main())"
HANG_S: Final = 50
"""A run of these tests takes a second or two; this is the end of patience, not an expectation."""


@dataclass(frozen=True)
class Done:
    """What a command line did."""

    code: int
    out: bytes
    err: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "python"), **(extra or {})}


def maxwell(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = HANG_S
) -> Done:
    """Runs a command line to its end."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def assert_refused(done: Done, code: int, *words: str) -> None:
    """Checks that a failure is an answer: a code, an error, a hint, and no inside view."""
    assert done.code == code, done.err
    # A fleet's header may stand before it.
    assert f"\n{done.err}".count("\nerror: ") == 1, done.err
    assert "\nhint: " in done.err, done.err
    assert_no_inside_view(done.err)
    for word in words:
        assert word in done.err, done.err


def assert_no_inside_view(text: str) -> None:
    """Checks that a text shows no failure of ours."""
    for word in ("Traceback", "panicked", "BUG", "RUST_BACKTRACE", "Exception ignored"):
        assert word not in text, text


@contextmanager
def started(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """Starts a command line; ends it, and only it, when the test is over."""
    with (cwd / "stdout").open("wb") as out, (cwd / "stderr").open("wb") as err:
        child = subprocess.Popen(
            [sys.executable, "-c", CODE, *arguments],
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def await_true(
    what: str,
    check: Callable[[], object],
    *,
    while_runs: subprocess.Popen[bytes] | None = None,
    within_s: float = HANG_S,
) -> None:
    """Waits until `check()` holds; a hang guard, not a measurement."""
    end = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < end, f"still not: {what}"
        assert while_runs is None or while_runs.poll() is None, f"it ended before: {what}"
        time.sleep(0.01)


def cells_of(pid: int) -> list[int]:
    """Returns the process ids of the cells of a running parent."""
    found: list[int] = []
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        listed = children.read_text().split()
    except OSError:
        return []
    for child in listed:
        try:
            line = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"maxwell.node.cell" in line:
            found.append(int(child))
    return found


def is_running(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def events_so_far(folder: Path) -> list[dict[str, Any]]:
    """Reads the whole lines of an event file that is still being written."""
    try:
        lines = (folder / "events.jsonl").read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    return [cast("dict[str, Any]", json.loads(line)) for line in lines]


def report_of(folder: Path) -> dict[str, Any]:
    """Reads the report of a run folder."""
    return cast("dict[str, Any]", json.loads((folder / "report.json").read_text()))


def kill(pid: int) -> None:
    """SIGKILL to one process."""
    os.kill(pid, signal.SIGKILL)
