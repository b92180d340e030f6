"""What `maxwell doctor` looks at: each check reads the machine and says what it found."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from maxwell.energy import EnergyModel, HostPaths
from maxwell.units import format_bytes
from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Status = Literal["ok", "note", "warning", "failed"]

OPEN_FILES_MIN: Final = 1_024
"""Two pipes and a few files a process: 256 processes a node."""

SHARED_MEMORY_BYTES_MIN: Final = 16 << 20
"""Slots take 512 bytes a process; the rest is room."""

CACHE_BYTES_MIN: Final = 512 << 20
"""A large module compiles to about 200 MiB."""

CLOCK_READS: Final = 10_000
CLOCK_NS_MAX: Final = 1_000
"""A clock that needs a system call to read costs more than a decision."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    name: str
    status: Status
    detail: str
    hint: str | None = None


def run_checks(host: HostPaths | None = None) -> Iterator[Check]:
    """Runs all checks, in the order in which a person would want to read them."""
    where = HostPaths() if host is None else host
    checks: tuple[Callable[[], Check], ...] = (
        check_engine,
        check_cores,
        lambda: check_rapl(where),
        lambda: check_hwmon(where),
        check_model,
        lambda: check_kvm(Path("/dev/kvm")),
        lambda: check_clock(where),
        check_open_files,
        lambda: check_shared_memory(Path("/dev/shm")),  # noqa: S108
        lambda: check_cgroup(where),
        check_samples,
        check_cache,
    )
    for check in checks:
        yield check()


def check_engine() -> Check:
    """Is the compiled module there?"""
    python = f"Python {platform.python_version()}"
    try:
        native = import_module("maxwell._native")
    except ImportError as error:
        return Check(
            name="engine",
            status="failed",
            detail=f"maxwell {__version__}, {python}, no native module: {error}",
            hint="install the wheel, or run `make build` in a checkout",
        )
    engine = getattr(native, "ENGINE_VERSION", None)
    parts = [f"maxwell {__version__}", python, *([str(engine)] if engine else [])]
    return Check(name="engine", status="ok", detail=", ".join(parts))


def check_cores() -> Check:
    """How many cells can this process pin?"""
    usable = sorted(os.sched_getaffinity(0))
    everyone = os.cpu_count() or len(usable)
    detail = f"{len(usable)} of {everyone} cores usable: at most {len(usable)} cells"
    if len(usable) == 1:
        return Check(
            name="cores",
            status="note",
            detail=detail,
            hint="the control plane shares the one core with the guests",
        )
    return Check(name="cores", status="ok", detail=detail)


def check_rapl(host: HostPaths) -> Check:
    """Are there energy counters in the processor?"""
    from maxwell.energy.sources.rapl import covering_zones

    zones = covering_zones(host)
    if zones:
        names = ", ".join(zone.domain for zone in zones)
        return Check(name="RAPL", status="ok", detail=f"readable: {names}")
    folder = host.powercap
    hidden = [entry for entry in _entries(folder) if entry.name.startswith("intel-rapl")]
    if hidden:
        return Check(
            name="RAPL",
            status="note",
            detail=f"present but not readable: {folder}",
            hint="reading it takes root; without it joules are modelled",
        )
    return Check(
        name="RAPL",
        status="note",
        detail="none: usual in virtual machines; joules are modelled, and every figure says so",
    )


def check_hwmon(host: HostPaths) -> Check:
    """Are there power or energy sensors of the board?"""
    found = [
        _text(folder / "name") or folder.name
        for folder in _entries(host.sysfs / "class" / "hwmon")
        if any(folder.glob("power*_input")) or any(folder.glob("energy*_input"))
    ]
    if not found:
        return Check(name="hwmon", status="note", detail="no power or energy sensor")
    return Check(
        name="hwmon",
        status="note",
        detail=f"found, not used in this version: {', '.join(sorted(found))}",
    )


def check_model() -> Check:
    """What do joules cost here, and how sure is that?"""
    model = _energy_model()
    if model is None:
        model = EnergyModel.modelled(cells=len(os.sched_getaffinity(0)))
        state = "not fitted"
    else:
        state = "fitted just now"
    detail = (
        f"{model.provenance}, ±{model.relative_interval_ppm / 10_000:.0f} %: {model.source}; "
        f"{state}: α {model.alpha_pj_per_fuel} pJ/fuel, β {model.beta_pj_per_ns} pJ/ns, "
        f"{model.picoseconds_per_fuel} ps/fuel, switch {model.switch_pj / 1e6:.2f} µJ"
    )
    return Check(name="energy model", status="ok", detail=detail)


def _energy_model() -> EnergyModel | None:
    """Returns the calibrated model of this node; None without the native module."""
    try:
        hypervisor = import_module("maxwell.hypervisor")
        calibrated = hypervisor.energy_model(cells=len(os.sched_getaffinity(0)))
    except (ImportError, AttributeError):
        return None
    assert isinstance(calibrated, EnergyModel)
    return calibrated


def check_kvm(device: Path) -> Check:
    """Could this machine run microVM guests?"""
    if not device.exists():
        detail = "absent: guests are WebAssembly only, which is all that this version runs"
    elif os.access(device, os.R_OK | os.W_OK):
        detail = f"{device} usable; this version runs WebAssembly guests only"
    else:
        detail = f"{device} present, not accessible; not needed in this version"
    return Check(name="KVM", status="note", detail=detail)


def check_clock(host: HostPaths) -> Check:
    """Is reading the time cheap?"""
    source = _text(host.sysfs / "devices/system/clocksource/clocksource0/current_clocksource")
    started = time.perf_counter_ns()
    for _ in range(CLOCK_READS):
        time.monotonic_ns()
    cost = (time.perf_counter_ns() - started) // CLOCK_READS
    resolution = round(time.get_clock_info("monotonic").resolution * 1e9)
    detail = f"{source or 'unknown source'}, {resolution} ns steps, {cost} ns to read from Python"
    if cost > CLOCK_NS_MAX:
        return Check(
            name="clock",
            status="warning",
            detail=detail,
            hint="reading the clock is a system call here: slices are metered at a higher cost",
        )
    return Check(name="clock", status="ok", detail=detail)


def check_open_files() -> Check:
    """Are there descriptors enough?"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"{soft:,} (hard limit {hard:,})"
    if soft < OPEN_FILES_MIN:
        hint = f"raise it with `ulimit -n {OPEN_FILES_MIN}`"
        return Check(name="open files", status="warning", detail=detail, hint=hint)
    return Check(name="open files", status="ok", detail=detail)


def check_shared_memory(folder: Path) -> Check:
    """Is there room for the slots that parent and cells share?"""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        detail = f"{folder}: {error.strerror}"
        return Check(name="shared memory", status="failed", detail=detail, hint="mount a tmpfs")
    detail = f"{format_bytes(free)} free in {folder}"
    if free < SHARED_MEMORY_BYTES_MIN:
        hint = "in a container: `--shm-size=64m`"
        return Check(name="shared memory", status="warning", detail=detail, hint=hint)
    return Check(name="shared memory", status="ok", detail=detail)


def check_cgroup(host: HostPaths) -> Check:
    """Is this process limited in CPU time or memory?"""
    root = host.sysfs / "fs" / "cgroup"
    memory, cpu = _text(root / "memory.max"), _text(root / "cpu.max")
    limits: list[str] = []
    if memory and memory.isdigit():
        limits.append(f"memory {format_bytes(int(memory))}")
    if cpu and not cpu.startswith("max"):
        quota, _, period = cpu.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            limits.append(f"{int(quota) / int(period):.2f} cores")
    if not limits:
        return Check(name="cgroup", status="ok", detail="no limit on memory or CPU time seen")
    return Check(
        name="cgroup",
        status="note",
        detail=f"limited to {' and '.join(limits)}",
        hint="throttled time counts as idle; cells beyond the quota gain nothing",
    )


def check_samples() -> Check:
    """Are the sample guests there?"""
    from importlib.resources import files

    try:
        entries = [entry.name for entry in files("maxwell").joinpath("samples").iterdir()]
    except OSError:
        entries = []
    names = sorted(name.removesuffix(".wasm") for name in entries if name.endswith(".wasm"))
    if not names:
        return Check(
            name="samples",
            status="warning",
            detail="none found: `maxwell demo` cannot run",
            hint="reinstall the wheel, or run `make samples` in a checkout",
        )
    return Check(name="samples", status="ok", detail=", ".join(names))


def check_cache() -> Check:
    """Can compiled modules be kept? A file is written where they would be, and removed."""
    from maxwell.errors import ConfigError
    from maxwell.modules import cache_dir, make_cache

    folder = cache_dir(os.environ)
    existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    detail = f"{folder}, {format_bytes(shutil.disk_usage(existing).free)} free"
    try:
        make_cache(existing)
    except ConfigError as error:
        detail = error.message
        return Check(name="cache", status="failed", detail=detail, hint=error.hint)
    if shutil.disk_usage(existing).free < CACHE_BYTES_MIN:
        return Check(name="cache", status="warning", detail=detail, hint="free some space")
    return Check(name="cache", status="ok", detail=detail)


def _entries(folder: Path) -> list[Path]:
    """Lists a folder; an absent one is empty."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str | None:
    """Reads a small file of the kernel; None when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
