"""CPU time of other processes: the real clock of a real child, and what is left when it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from maxwell.energy import CpuMeter, HostPaths, ProcessCpuClock
from maxwell.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def failing(error: int) -> Callable[[int], int]:
    def clock(_: int) -> int:
        raise OSError(error, "gone")

    return clock


def test_our_own_clock() -> None:
    clock = ProcessCpuClock(os.getpid())
    first = clock.read()
    assert first > 0
    assert clock.read() >= first
    assert not clock.is_dead


def test_a_child_keeps_its_time_after_death() -> None:
    """Goal: a zombie can still be read; once it is waited for, its last value stands."""
    child = subprocess.Popen(
        [sys.executable, "-c", "sum(range(10**5)); print('x'); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    clock = ProcessCpuClock(child.pid)
    child.stdout.readline()
    running = clock.read()
    assert running > 0
    child.stdin.write(b"\n")
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    zombie = clock.read()
    assert zombie >= running
    child.wait()
    child.stdout.close()
    assert clock.read() >= zombie
    assert clock.is_dead
    assert clock.close() == clock.read()


def test_proc_stands_in(tmp_path: Path) -> None:
    host = HostPaths(procfs=tmp_path)
    (tmp_path / "77").mkdir()
    fields = ["S", *["0"] * 10, "150", "50", *["0"] * 30]
    (tmp_path / "77/stat").write_text("77 (a) b (c) " + " ".join(fields))
    clock = ProcessCpuClock(77, host=host, clock_gettime_ns=failing(22))
    assert clock.read() == 200 * 10**9 // os.sysconf("SC_CLK_TCK")
    (tmp_path / "77/stat").write_text("77 (a) S 1")
    assert clock.read() == 200 * 10**9 // os.sysconf("SC_CLK_TCK")
    assert clock.is_dead


def test_time_never_runs_backwards() -> None:
    values = iter([5, 9, 7])
    clock = ProcessCpuClock(77, clock_gettime_ns=lambda _: next(values))
    assert [clock.read(), clock.read(), clock.read()] == [5, 9, 9]


def test_the_clock_id_is_the_kernels() -> None:
    seen: list[int] = []

    def clock(number: int) -> int:
        seen.append(number)
        return 0

    ProcessCpuClock(1234, clock_gettime_ns=clock).read()
    assert seen == [-1235 * 8 + 2]


def test_a_node() -> None:
    """Goal: a cell that was waited for counts once, as a cell and not as a helper."""
    now = {"parent": 100, "children": 1_000, "cell": 0}
    meter = CpuMeter(parent_ns=lambda: now["parent"], children_ns=lambda: now["children"])
    clock = ProcessCpuClock(77, clock_gettime_ns=lambda _: now["cell"])
    meter.add_cell(77, clock)
    now.update(parent=130, cell=500)
    times = meter()
    assert (times.cells_ns, times.parent_ns, times.helpers_ns) == (500, 30, 0)
    now["cell"] = 600
    assert meter.remove_cell(77) == 600
    now["children"] += 600 + 45  # the cell, and a helper of 45
    times = meter()
    assert (times.cells_ns, times.helpers_ns) == (600, 45)
    now["children"] -= 10
    assert meter().helpers_ns == 45
    with pytest.raises(InternalError):
        meter.remove_cell(77)
    meter.add_cell(78, clock)
    with pytest.raises(InternalError):
        meter.add_cell(78)


def test_the_real_node() -> None:
    meter = CpuMeter()
    first = meter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    second = meter()
    assert second.helpers_ns > first.helpers_ns
    assert second.parent_ns >= first.parent_ns
    assert second.cells_ns == 0
