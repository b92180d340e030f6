"""Goal: the baselines' schedulers divide time as they say, and control groups are cleared up.

Method: workers whose clock the test sets, so that shares are exact; a fake control-group tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxwell.lab.cgroup import CpuGroups, remove_stale
from maxwell.lab.schedulers import PERIOD_NS, TICK_NS, Allowance, Quota, Stride
from maxwell.lab.worker import Worker


class Fake:
    """A worker that runs when it is let, and uses what the test gives it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.used_ns = 0
        self.running = False
        self.outcome = "survived"

    def cpu_ns(self) -> int:
        return self.used_ns

    def go(self) -> None:
        self.running = True

    def halt(self) -> None:
        self.running = False

    def flush(self) -> None:
        self.running = False


def lane(fakes: list[Fake]) -> list[Worker]:
    return cast("list[Worker]", fakes)


@settings(max_examples=20)
@given(
    count=st.integers(1, 12),
    quanta=st.lists(st.integers(1, 3 * TICK_NS), min_size=60, max_size=120),
)
def test_stride_gives_equal_shares_whatever_the_quanta(count: int, quanta: list[int]) -> None:
    """The difference of two processes never exceeds one quantum (Waldspurger 1995)."""
    fakes = [Fake(n) for n in range(count)]
    stride = Stride()
    stride.start([lane(fakes)])
    for quantum in quanta:
        (running,) = [fake for fake in fakes if fake.running]
        running.used_ns += quantum
        assert stride.tick(0)
        used = [fake.used_ns for fake in fakes]
        assert max(used) - min(used) <= max(quanta)


def test_a_quota_by_signals_ends_everyones_turn_in_each_period() -> None:
    fakes = [Fake(n) for n in range(4)]
    quota = Quota(None)
    quota.start([lane(fakes)])
    for tick in range(200):
        quota.tick(tick * TICK_NS)
        # A greedy one takes all time it is given; the others want little.
        for fake in fakes:
            if fake.running:
                fake.used_ns += TICK_NS if fake.pid == 0 else TICK_NS // 10
    periods = 200 * TICK_NS // PERIOD_NS
    assert fakes[0].used_ns <= periods * (PERIOD_NS // 4 + TICK_NS)
    assert fakes[0].used_ns >= periods * PERIOD_NS // 4
    assert all(fake.used_ns == periods * 10 * TICK_NS // 10 for fake in fakes[1:])


def test_an_allowance_ends_all_alike() -> None:
    fakes = [Fake(n) for n in range(3)]
    allowance = Allowance(10 * TICK_NS)
    allowance.start([lane(fakes)])
    ticks = 0
    running = True
    while running:
        for fake in fakes:
            fake.used_ns += TICK_NS * (fake.pid + 1) if fake.running else 0
        running = allowance.tick(0)
        ticks += 1
    assert ticks == 10
    assert [fake.outcome for fake in fakes] == ["stopped"] * 3
    assert all(10 * TICK_NS <= fake.used_ns < 13 * TICK_NS for fake in fakes)


@pytest.mark.parametrize("version", [1, 2])
def test_quotas_are_written_to_control_groups(tmp_path: Path, version: int) -> None:
    groups = CpuGroups(tmp_path / "maxwell-lab-1", version=version)
    (tmp_path / "maxwell-lab-1").mkdir()
    groups.confine(77, 25_000, 100_000)
    own = tmp_path / "maxwell-lab-1" / "77"
    assert (own / "cgroup.procs").read_text() == "77"
    if version == 2:
        assert (own / "cpu.max").read_text() == "25000 100000"
    else:
        assert (own / "cpu.cfs_quota_us").read_text() == "25000"
        assert (own / "cpu.cfs_period_us").read_text() == "100000"


def test_without_permission_there_are_no_groups(tmp_path: Path) -> None:
    assert CpuGroups.probe("maxwell-lab-1", root=tmp_path / "none") is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "tasks").write_text("")
    # A folder that is no control group: its children have no `cpu.cfs_quota_us`.
    assert CpuGroups.probe("maxwell-lab-1", root=tmp_path) is None
    assert [path.name for path in (tmp_path / "cpu").iterdir()] == ["tasks"]


def test_groups_of_killed_experiments_are_removed(tmp_path: Path) -> None:
    dead = 2**22 + 1  # beyond the largest process id
    (tmp_path / f"maxwell-lab-{dead}" / "5").mkdir(parents=True)
    (tmp_path / "maxwell-lab-1" / "5").mkdir(parents=True)
    (tmp_path / "maxwell-lab-x").mkdir()
    remove_stale(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maxwell-lab-1", "maxwell-lab-x"]
