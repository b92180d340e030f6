"""The folders of the host that sensors live in, injectable so that tests bring fake trees."""

from __future__ import annotations

from pathlib import Path

import msgspec


class HostPaths(msgspec.Struct, frozen=True, kw_only=True):
    """Where sysfs and procfs are mounted."""

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")

    @property
    def powercap(self) -> Path:
        """The kernel's folder of power capping zones, RAPL among them."""
        return self.sysfs / "class" / "powercap"

    def boot_id(self) -> str:
        """Returns the identity of this boot, or an empty text when it cannot be read."""
        try:
            return (self.procfs / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""
