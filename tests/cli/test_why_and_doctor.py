"""`maxwell why` and `maxwell doctor`: from files and from the machine, nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from cli.conftest import Maxwell, subprocess_maxwell
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


def test_why_takes_the_newest_run_and_names_it(
    maxwell: Maxwell, run_dir: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder above `runs`, from `runs`, and from a run's own folder."""
    for number, t in ((1, 2_000_000_000), (2, 1_000_000_000)):
        shutil.copytree(run_dir, here / f"runs/fleet-{number}")
        os.utime(here / f"runs/fleet-{number}/report.json", (t, t))
    for folder, name in ((".", "runs/fleet-1"), ("runs", "fleet-1"), ("fleet-2", ".")):
        monkeypatch.chdir(folder)
        done = maxwell("why", "hog")
        assert done.code == 0
        assert done.err.startswith(f"run: {name} (20")
        assert done.out.startswith("hog: bankrupt at ")
        assert maxwell("why", "hog", "--quiet").err == ""
    assert maxwell("why", "hog", "--run", ".").code == 0


def test_why_tells_times_and_energies_in_one_form(maxwell: Maxwell, run_dir: Path) -> None:
    """The time of death is the same text wherever it stands."""
    text = maxwell("why", "leech", "--run", str(run_dir)).out
    end = re.match(r"leech: bankrupt at ([0-9.]+ s) ", text)
    assert end is not None
    assert re.search(rf"0\.1 s +{end[1]}|100 ms +{end[1]}", text)
    energies = re.findall(r"([0-9.,]+) [mµk]?J\b", text)
    digits = [energy.replace(".", "").replace(",", "").lstrip("0") for energy in energies]
    assert {len(figure) for figure in digits if figure} == {3}


def test_logs_print_what_a_process_wrote(run_dir: Path, here: Path) -> None:
    folder = here / "runs/fleet-1"
    shutil.copytree(run_dir, folder)
    (folder / "output").mkdir(exist_ok=True)
    (folder / "output/leech.stdout").write_bytes(b"nonce 1\n\xff")
    (folder / "output/leech.stderr").write_bytes(b"warm\n")
    command = ("logs", "leech", "--run", str(folder))
    done = subprocess_maxwell(*command, cwd=here, env={"PYTHONUTF8": "1"}, errors="surrogateescape")
    assert (done.returncode, done.stderr) == (0, "warm\n")
    assert done.stdout == "nonce 1\n\udcff"


def test_logs_of_nothing(maxwell: Maxwell, run_dir: Path) -> None:
    done = maxwell("logs", "lech", "--run", str(run_dir))
    assert done.code == 2
    assert "did you mean 'leech'" in done.err
    done = maxwell("logs", "leech", "--run", str(run_dir))
    assert done.code == 2
    assert "error: no output of 'leech' in " in done.err


def test_a_run_that_was_killed_is_told_as_one(maxwell: Maxwell, run_dir: Path, here: Path) -> None:
    """Its events stop in the middle: no cell died, and no figure is invented."""
    folder = here / "run"
    folder.mkdir()
    lines = (run_dir / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(lines[: len(lines) // 4]))
    done = maxwell("why", "primes", "--run", "run")
    assert done.code == 0
    assert "primes: lost at " in done.out
    assert "The run itself was killed" in done.out
    assert "cell" not in done.out
    assert " 0 slices" not in done.out
    assert "back" not in done.out
    (folder / "events.jsonl").write_text("")
    done = maxwell("why", "primes", "--run", "run")
    assert done.code == 2
    assert "the run was killed, or is looked at, before it had started" in done.err


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
