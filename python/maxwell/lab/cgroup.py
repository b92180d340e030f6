"""CPU quotas by control groups: version 2 (`cpu.max`) or version 1 (`cpu.cfs_quota_us`).

Most users may not make control groups. `probe` finds out by making one, and returns None where
that fails; nothing of the system is changed then.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path("/sys/fs/cgroup")
PREFIX: Final = "maxwell-lab-"
REMOVE_S_MAX: Final = 2.0
"""A group of killed processes can be removed when the kernel has buried them."""


class CpuGroups:
    """A group of groups, one a process.

    Args:
        folder: the group that they are made in.
        version: 1 or 2.
    """

    def __init__(self, folder: Path, *, version: int) -> None:
        self._folder = folder
        self._version = version
        self._groups: list[Path] = []

    @property
    def words(self) -> str:
        """Which interface of the kernel enforces the quotas."""
        return "cgroup cpu.max" if self._version == 2 else "cgroup v1 cpu.cfs_quota_us"

    @classmethod
    def probe(cls, name: str, *, root: Path = ROOT) -> Self | None:
        """Makes a group `name` for quotas below the root; None when that is not permitted."""
        for parent, version in ((root, 2), (root / "unified", 2), (root / "cpu", 1)):
            with suppress(OSError):
                remove_stale(parent)
                made = cls._make(parent, name, version)
                if made is not None:
                    return made
        return None

    @classmethod
    def _make(cls, parent: Path, name: str, version: int) -> Self | None:
        """Tries one hierarchy."""
        limit = "cpu.max" if version == 2 else "cpu.cfs_quota_us"
        marker = "cgroup.controllers" if version == 2 else limit
        if version == 2 and not (parent / marker).is_file():
            return None
        if version == 1 and not (parent / "tasks").is_file():
            return None
        folder = parent / name
        folder.mkdir()
        try:
            if version == 2:
                (folder / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
            trial = folder / "trial"
            trial.mkdir()
            works = os.access(trial / limit, os.W_OK)
            trial.rmdir()
        except OSError:
            works = False
        if not works:
            folder.rmdir()
            return None
        return cls(folder, version=version)

    def confine(self, pid: int, quota_us: int, period_us: int) -> None:
        """Lets a process run `quota_us` of each `period_us`.

        Raises:
            OSError: the kernel refused.
        """
        group = self._folder / str(pid)
        group.mkdir()
        self._groups.append(group)
        if self._version == 2:
            (group / "cpu.max").write_text(f"{quota_us} {period_us}", encoding="ascii")
        else:
            (group / "cpu.cfs_period_us").write_text(str(period_us), encoding="ascii")
            (group / "cpu.cfs_quota_us").write_text(str(quota_us), encoding="ascii")
        (group / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def close(self) -> None:
        """Removes all groups; their processes have been killed."""
        deadline = time.monotonic() + REMOVE_S_MAX
        for group in [*self._groups, self._folder]:
            while group.exists():
                try:
                    group.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        break  # a later experiment removes it
                    time.sleep(0.005)


def remove_stale(parent: Path) -> None:
    """Removes groups of experiments whose process was killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX)
        if not pid.isdigit() or Path(f"/proc/{pid}").exists():
            continue
        with suppress(OSError):
            for group in folder.iterdir():
                if group.is_dir():
                    group.rmdir()
            folder.rmdir()
