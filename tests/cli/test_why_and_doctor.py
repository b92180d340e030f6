"""`maxwell why` and `maxwell doctor`: from files and from the machine, nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli.conftest import Maxwell
from maxwell.cli.checks import (
    check_cgroup,
    check_hwmon,
    check_kvm,
    check_rapl,
    check_shared_memory,
    run_checks,
)
from maxwell.energy import HostPaths


def test_why(maxwell: Maxwell, run_dir: Path) -> None:
    done = maxwell("why", "leech", "--run", str(run_dir))
    assert done.code == 0
    assert done.err == ""
    assert done.out.startswith("leech: bankrupt at 9.6 s (")
    for section in ("rule", "what happened", "purse over its life", "where the credits went",
                    "last bids and prices", "what would have changed it"):  # fmt: skip
        assert f"\n{section}\n" in done.out
    assert all(line == line.rstrip() for line in done.out.splitlines())


def test_why_takes_the_report_itself(maxwell: Maxwell, run_dir: Path) -> None:
    assert maxwell("why", "hog", "--run", str(run_dir / "report.json")).code == 0


def test_why_as_json(maxwell: Maxwell, run_dir: Path) -> None:
    data = json.loads(maxwell("why", "hog", "--run", str(run_dir), "--json").out)
    assert data["process"] == "hog"
    assert data["outcome"] == "bankrupt"


def test_why_takes_the_newest_run(maxwell: Maxwell, run_dir: Path, here: Path) -> None:
    shutil.copytree(run_dir, here / "runs/fleet-1")
    assert maxwell("why", "hog").code == 0


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("lech", "--run", "{run}"), "no such process in this run: 'lech'", "did you mean 'leech'"),
        (("leech", "--run", "absent"), "cannot read the report", "--run DIR"),
        (("leech",), "no run: ", "--run DIR"),
    ],
)
def test_why_of_nothing(
    maxwell: Maxwell, run_dir: Path, arguments: tuple[str, ...], error: str, hint: str
) -> None:
    done = maxwell("why", *(word.format(run=run_dir) for word in arguments))
    assert done.code == 2
    assert f"error: {error}" in done.err
    assert hint in done.err


def test_why_survives_a_run_without_events(maxwell: Maxwell, run_dir: Path, here: Path) -> None:
    shutil.copy(run_dir / "report.json", here / "report.json")
    done = maxwell("why", "leech", "--run", ".")
    assert done.code == 0
    assert "purse over its life" not in done.out


def test_doctor(maxwell: Maxwell) -> None:
    done = maxwell("doctor")
    assert done.code in {0, 125}
    for name in ("engine", "cores", "RAPL", "hwmon", "energy model", "KVM", "clock", "open files",
                 "shared memory", "cgroup", "samples", "cache"):  # fmt: skip
        assert f"\n{name} " in f"\n{done.out}"
    data = json.loads(maxwell("doctor", "--json").out)
    assert data["schema"] == "maxwell.doctor/1"
    assert {check["status"] for check in data["checks"]} <= {"ok", "note", "warning", "failed"}
    failed = any(check["status"] == "failed" for check in data["checks"])
    assert done.code == (125 if failed else 0)


def test_doctor_finds_sensors(tmp_path: Path) -> None:
    host = HostPaths(sysfs=tmp_path, procfs=tmp_path)
    assert "none" in check_rapl(host).detail
    assert "no power" in check_hwmon(host).detail
    zone = tmp_path / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    assert "present but not readable" in check_rapl(host).detail
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("123456\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    assert check_rapl(host).detail == "readable: package-0"
    sensor = tmp_path / "class/hwmon/hwmon0"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("power_meter\n")
    (sensor / "power1_input").write_text("1\n")
    assert "power_meter" in check_hwmon(host).detail


def test_doctor_reads_limits(tmp_path: Path) -> None:
    host = HostPaths(sysfs=tmp_path, procfs=tmp_path)
    assert check_cgroup(host).status == "ok"
    folder = tmp_path / "fs/cgroup"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text("1073741824\n")
    (folder / "cpu.max").write_text("150000 100000\n")
    assert check_cgroup(host).detail == "limited to memory 1 GiB and 1.50 cores"


def test_doctor_says_what_is_absent(tmp_path: Path) -> None:
    assert "absent" in check_kvm(tmp_path / "kvm").detail
    assert check_shared_memory(tmp_path / "shm").status == "failed"
    assert check_shared_memory(tmp_path).status in {"ok", "warning"}


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in run_checks()]
    assert len(names) == len(set(names))
