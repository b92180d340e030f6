"""A fake machine: a clock that only moves when told, and a powercap tree in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maxwell.energy import HostPaths

if TYPE_CHECKING:
    from pathlib import Path

RANGE_UJ = 262_143_328_850


class Clock:
    """Monotonic time in nanoseconds."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, ns: int) -> None:
        self.now_ns += ns


class Machine:
    """Sysfs and procfs below a folder, with zones that the test writes."""

    def __init__(self, root: Path) -> None:
        self.host = HostPaths(sysfs=root / "sys", procfs=root / "proc")
        self.host.powercap.mkdir(parents=True)
        self.boot("boot-1")

    def boot(self, boot_id: str) -> None:
        path = self.host.procfs / "sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(boot_id + "\n", encoding="ascii")

    def zone(self, folder: str, name: str, uj: int, range_uj: int | None = RANGE_UJ) -> None:
        path = self.host.powercap / folder
        path.mkdir(exist_ok=True)
        (path / "name").write_text(name + "\n", encoding="ascii")
        if range_uj is not None:
            (path / "max_energy_range_uj").write_text(f"{range_uj}\n", encoding="ascii")
        self.set(folder, uj)

    def set(self, folder: str, uj: int | str) -> None:
        (self.host.powercap / folder / "energy_uj").write_text(f"{uj}\n", encoding="ascii")

    def get(self, folder: str) -> int:
        return int((self.host.powercap / folder / "energy_uj").read_text(encoding="ascii"))

    def add(self, folder: str, uj: int) -> None:
        self.set(folder, (self.get(folder) + uj) % RANGE_UJ)
