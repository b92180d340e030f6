"""RAPL through the kernel's powercap folder: `/sys/class/powercap/intel-rapl:*` (AMD too).

Zones overlap, so that they must not all be summed. One covering set is chosen (rule (e)): `psys`
where it exists, else all packages and their DRAM. Left out are cores and uncore (inside the
package), the `intel-rapl-mmio` twins of a zone, and packages that mirror another one's counter
(seen on multi-die EPYC and Threadripper, where one counter shows up once a die).

What RAPL is worth: it covers processor and memory, not the power supply or the disks; the vendors
publish no error. We state ±10 %. Where Intel filters energy reporting (SGX in use) it can be far
worse. `energy_uj` is readable by root only since 2020 (CVE-2020-8694).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.energy.sources.delta import Delta, Sample, delta
from maxwell.errors import EnergyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.energy.host import HostPaths

RAPL_INTERVAL_PPM: Final = 100_000
"""±10 %, an assumption of ours; see the module."""
ZONES_MAX: Final = 256
"""32 sockets with 8 zones each."""
_ZONE: Final = re.compile(r"(?P<driver>[a-z-]+):(?P<package>\d+)(?::(?P<part>\d+))?")

# The most that a domain can draw, for plausibility: above any product of 2026, and low enough to
# expose a reset (262 kJ in one 100 ms epoch would be 2.6 MW).
_POWER_MW_MAX: Final = {"psys": 3_000_000, "package": 1_000_000, "dram": 300_000}

_MIRROR_UJ: Final = 1_000_000
_MIRROR_FROM_UJ: Final = 10_000_000


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """One counter that belongs to the covering set."""

    domain: str
    """Unique name, such as `package-0` or `package-0/dram`."""
    kind: str
    """`psys`, `package` or `dram`."""
    counter: Path
    modulus_uj: int | None

    @property
    def power_max_mw(self) -> int:
        """The most that it can draw, in milliwatts."""
        return _POWER_MW_MAX[self.kind]


class RaplReading(msgspec.Struct, frozen=True):
    """Energy of the covering set since the last reading, or None with the reasons."""

    energy_uj: int | None
    gaps: tuple[str, ...] = ()


class RaplSource:
    """The covering set of counters of this machine.

    Args:
        host: where sysfs is.
        clock_ns: monotonic time.

    Raises:
        EnergyError: MX1402 when there is no readable counter.
    """

    def __init__(self, host: HostPaths, clock_ns: Callable[[], int]) -> None:
        self._host = host
        self._clock_ns = clock_ns
        self.zones = covering_zones(host)
        if not self.zones:
            raise EnergyError(
                f"no readable RAPL counter under {host.powercap}",
                code="MX1402",
                hint="run as root on bare metal for measured energy; modelled energy needs nothing",
            )
        self._last = {zone.domain: self._sample(zone) for zone in self.zones}

    def read(self) -> RaplReading:
        """Returns the energy since the last call (or since construction)."""
        total = 0
        gaps: list[str] = []
        for zone in self.zones:
            current = self._sample(zone)
            previous = self._last[zone.domain]
            self._last[zone.domain] = current
            if previous is None or current is None:
                gaps.append(f"{zone.domain}: unreadable")
                continue
            step: Delta = delta(previous, current, power_max_mw=zone.power_max_mw)
            if step.energy_uj is None:
                gaps.append(f"{zone.domain}: {step.reason}")
            else:
                total += step.energy_uj
        return RaplReading(None, tuple(gaps)) if gaps else RaplReading(total)

    def _sample(self, zone: Zone) -> Sample | None:
        counter = _read_integer(zone.counter)
        if counter is None:
            return None
        return Sample(
            domain=zone.domain,
            time_ns=self._clock_ns(),
            boot_id=self._host.boot_id(),
            counter_uj=counter,
            modulus_uj=zone.modulus_uj,
        )


def covering_zones(host: HostPaths) -> tuple[Zone, ...]:
    """Returns the readable counters that cover the machine once, sorted by domain; maybe none."""
    zones = _all_zones(host)
    psys = [zone for zone in zones if zone.kind == "psys"]
    if psys:
        return tuple(_without_mirrors(psys))
    packages = _without_mirrors([zone for zone in zones if zone.kind == "package"])
    if not packages:
        return ()
    names = {zone.domain for zone in packages}
    drams = [z for z in zones if z.kind == "dram" and z.domain.partition("/")[0] in names]
    return tuple(sorted([*packages, *drams], key=lambda zone: zone.domain))


def _all_zones(host: HostPaths) -> list[Zone]:
    """Lists readable psys, package and DRAM zones; of twins, the one of `intel-rapl`."""
    try:
        folders = sorted(host.powercap.iterdir())[:ZONES_MAX]
    except OSError:
        return []
    found: dict[str, Zone] = {}
    # `intel-rapl:…` sorts after `intel-rapl-mmio:…`; reading it last lets it win.
    for folder in folders:
        zone = _zone(folder)
        if zone is not None:
            found[zone.domain] = zone
    return sorted(found.values(), key=lambda zone: zone.domain)


def _zone(folder: Path) -> Zone | None:
    match = _ZONE.fullmatch(folder.name)
    name = _read_text(folder / "name")
    if match is None or name is None or _read_integer(folder / "energy_uj") is None:
        return None
    if name.startswith("psys"):
        kind, domain = "psys", f"psys-{match['package']}"
    elif name.startswith("package"):
        kind, domain = "package", name
    elif name == "dram":
        parent = f"{match['driver']}:{match['package']}"
        package = _read_text(folder.parent / parent / "name") or f"package-{match['package']}"
        kind, domain = "dram", f"{package}/dram"
    else:
        return None
    modulus = _read_integer(folder / "max_energy_range_uj")
    return Zone(
        domain=domain,
        kind=kind,
        counter=folder / "energy_uj",
        modulus_uj=modulus or None,
    )


def _without_mirrors(zones: list[Zone]) -> list[Zone]:
    """Drops zones whose counter shows the same figure as an earlier one's.

    Two independent counters of some 262 kJ that stand within one joule of each other are a
    one-in-a-hundred-thousand accident, except right after boot, when both are near zero.
    """
    kept: list[tuple[Zone, int]] = []
    for zone in zones:
        counter = _read_integer(zone.counter)
        if counter is None:
            continue
        mirrored = counter >= _MIRROR_FROM_UJ and any(
            abs(counter - other) <= _MIRROR_UJ for _, other in kept
        )
        if not mirrored:
            kept.append((zone, counter))
    return [zone for zone, _ in kept]


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _read_integer(path: Path) -> int | None:
    text = _read_text(path)
    if text is None or not text.isdigit() or len(text) > 20:
        return None
    return int(text)
