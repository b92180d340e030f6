"""The whole product from the command line, with the native module: runs, deaths, equality, Ctrl-C.

Method: processes of their own (`python -m`-like), the shipped samples, the real hypervisor. What is
asserted holds on any machine and under load; figures are for the benchmarks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import REPOSITORY, subprocess_maxwell
from maxwell.observe.folder import RunFolder

pytest.importorskip("maxwell._native")
pytestmark = pytest.mark.native

SAMPLES = REPOSITORY / "python/maxwell/samples"

DETERMINISTIC = """
[node]
budget = "12 J"
duration = "3 s"
seed = 11
deterministic = true
[[sponsor]]
name = "sponsor"
escrow = "4 J"
[[reward]]
sponsor = "sponsor"
name = "primes"
resolver = "prime"
pays = "5 mJ"
[[process]]
name = "scientist"
module = "samples:scientist.wasm"
args = ["1000000000", "1000100000"]
funds = "1 J"
rewards = ["primes"]
[[process]]
name = "loop"
module = "samples:spin.wasm"
funds = "1 J"
[[process]]
name = "hog"
module = "samples:hog.wasm"
args = ["64"]
funds = "1 J"
"""


def report_of(folder: Path) -> dict[str, Any]:
    """Reads a run's report and checks that its books balance, and that its receipts hold."""
    audit = subprocess_maxwell("audit", ".", "--json", cwd=folder)
    assert json.loads(audit.stdout)["violation"] is None
    assert audit.returncode == 0, audit.stderr
    data: dict[str, Any] = json.loads((folder / "report.json").read_text())
    credits = {name: int(value) for name, value in data["credits"].items()}
    assert data["conservation_ok"] is True
    assert credits["minted"] == sum(credits.values()) - credits["minted"]
    energy = {name: int(value) for name, value in data["energy_uj"].items()}
    assert energy["metered"] == sum(energy.values()) - energy["metered"]
    assert energy["processes"] == credits["burned"] + int(data["uncollected_uj"])
    assert energy["processes"] == sum(int(p["energy_uj"]) for p in data["processes"])
    return data


def test_hello(tmp_path: Path) -> None:
    done = subprocess_maxwell("run", "samples:hello.wasm", "--", "Ada", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello, Ada\n")
    assert done.stderr.startswith("maxwell: hello finished (exit code 0) after ")
    assert done.stderr.rstrip().endswith("conservation ok")
    assert list(tmp_path.iterdir()) == []


def test_a_leech_goes_bankrupt_and_can_be_asked_why(tmp_path: Path) -> None:
    done = subprocess_maxwell(
        "run", "samples:leech.wasm", "--budget", "500mJ", "--out", "run", cwd=tmp_path
    )
    assert done.returncode == 120
    assert done.stdout.startswith("leech: nonce ")
    process = report_of(tmp_path / "run")["processes"][0]
    assert process["outcome"] == "bankrupt"
    assert int(process["paid_credits"]) + int(process["returned_credits"]) == 500_000
    why = subprocess_maxwell("why", "leech", "--run", "run", cwd=tmp_path)
    assert why.returncode == 0
    assert why.stdout.startswith("leech: bankrupt at ")
    assert "Money: " in why.stdout


def test_the_demo(tmp_path: Path) -> None:
    done = subprocess_maxwell("demo", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "conservation: ok" in done.stdout
    data = report_of(tmp_path / "run")
    outcomes = {process["name"]: process["outcome"] for process in data["processes"]}
    assert outcomes["leech"] == outcomes["loop"] == "bankrupt"
    assert outcomes["sleeper"] == "finished"
    scientist = next(p for p in data["processes"] if p["name"] == "scientist")
    assert scientist["results"] > 0
    assert int(scientist["earned_credits"]) > 0
    assert (tmp_path / "run/prices.svg").stat().st_size > 10_000
    assert (tmp_path / "run/output/leech.stdout").exists()
    # Every death is announced, those of the last epoch too.
    for name, outcome in outcomes.items():
        assert f"{name} {outcome.replace('_', ' ')}" in done.stderr


def test_deterministic_runs_are_equal_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(DETERMINISTIC)
    for name in ("a", "b"):
        done = subprocess_maxwell("run", "fleet.toml", "--out", name, "--quiet", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        report_of(tmp_path / name)
    for file in ("report.json", "events.jsonl", "prices.svg", "receipts.cbor", "summary.cbor"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(DETERMINISTIC)
    digests: set[str] = set()
    for seed in ("1", "2"):
        arguments = ("run", "fleet.toml", "--seed", seed, "--out", seed, "--quiet")
        subprocess_maxwell(*arguments, cwd=tmp_path)
        digests.add(report_of(tmp_path / seed)["cells"][0]["decisions_digest"])
    assert len(digests) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_settles_first(tmp_path: Path, number: signal.Signals) -> None:
    """The signal is sent when the first line of progress shows that the run is under way."""
    code = "import sys; from maxwell.cli import main; sys.exit(main())"
    (tmp_path / "fleet.toml").write_text(
        '[node]\nbudget = "900 J"\n[[process]]\nname = "loop"\nmodule = "samples:spin.wasm"\n'
        'funds = "900 J"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "fleet.toml", "--out", "run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python"), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "  price " not in process.stderr.readline():
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "conservation: ok" in out
    data = report_of(tmp_path / "run")
    assert data["interrupted"] is True
    assert data["processes"][0]["outcome"] == "killed"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"not wasm at all", 126), (b"", 126), (b"\0asm\x01\0\0\0", 126)],
)
def test_what_is_no_program_is_not_runnable(tmp_path: Path, content: bytes, code: int) -> None:
    (tmp_path / "x.wasm").write_bytes(content)
    done = subprocess_maxwell("run", "x.wasm", cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_fleet_that_is_refused_has_not_run(tmp_path: Path) -> None:
    """No line says that it runs, and no folder is left."""
    (tmp_path / "x").mkdir()
    (tmp_path / "text.wasm").write_text("not wasm")
    (tmp_path / "fleet.toml").write_text('[[process]]\nname = "x"\nmodule = "x/../text.wasm"\n')
    done = subprocess_maxwell("run", "fleet.toml", cwd=tmp_path)
    assert done.returncode == 126
    assert done.stderr.startswith(f"error: process 'x': {tmp_path}/text.wasm: ")
    assert list((tmp_path / "runs").iterdir()) == []


def test_runs_at_the_same_time_keep_apart(tmp_path: Path) -> None:
    """Three runs without a folder get one each; of two in one folder the second is refused."""
    (tmp_path / "fleet.toml").write_text(DETERMINISTIC.replace('"3 s"', '"500 ms"'))

    def start(*arguments: str) -> subprocess.Popen[str]:
        code = "import sys; from maxwell.cli import main; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", code, "run", "fleet.toml", "--quiet", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    runs = [start() for _ in range(3)]
    for run in runs:
        _, err = run.communicate(timeout=50)
        assert run.returncode == 0, err
    assert sorted(folder.name for folder in (tmp_path / "runs").iterdir()) == [
        "fleet-1", "fleet-2", "fleet-3",
    ]  # fmt: skip
    for number in (1, 2, 3):
        report_of(tmp_path / f"runs/fleet-{number}")
    held = RunFolder(tmp_path / "out")
    held.create()
    done = subprocess_maxwell("run", "fleet.toml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: another run is writing to out [MX1018]")


def test_a_full_disk_does_not_stop_a_run(tmp_path: Path) -> None:
    """The event file is a link to `/dev/full`: each write fails, the run and the report do not."""
    out = tmp_path / "run"
    out.mkdir()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from maxwell.config import single_module\n"
        "from maxwell.hypervisor import run_fleet\n"
        "out = Path('run')\n"
        "(out / 'events.jsonl').symlink_to('/dev/full')\n"
        "fleet = single_module('samples:hello.wasm', node={'budget': '1 J'})\n"
        "report = run_fleet(fleet, out=out)\n"
        "assert report.conservation_ok\n"
        "assert any('events' in text for text in report.warnings), report.warnings\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_samples_are_there() -> None:
    assert {path.stem for path in SAMPLES.glob("*.wasm")} >= {"hello", "scientist", "leech", "hog"}


@pytest.mark.parametrize("kind", ["a file", "a folder of the kernel"])
def test_a_cache_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" if kind == "a file" else Path("/proc/nope")
    environment = {"MAXWELL_CACHE_DIR": str(cache)}
    done = subprocess_maxwell("run", "samples:hello.wasm", cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot write the cache folder: {cache}")
    assert "[MX1017]\n\nhint: set MAXWELL_CACHE_DIR" in done.stderr
    doctor = subprocess_maxwell("doctor", cwd=tmp_path, env=environment)
    assert "cannot write the cache folder" in doctor.stdout
    assert doctor.returncode == 125


def test_verbose_says_what_is_done(tmp_path: Path) -> None:
    """Once compiling, once from the cache; -vv tells of each event too."""
    environment = {"MAXWELL_CACHE_DIR": str(tmp_path / "cache")}
    arguments = ("run", "samples:hello.wasm", "--deterministic", "--out", "run")
    cold, warm = (
        subprocess_maxwell(*arguments, flag, cwd=tmp_path, env=environment).stderr
        for flag in ("-v", "-vv")
    )
    assert "hello.wasm: compiled in " in cold
    assert f"hello.wasm: from the cache {tmp_path / 'cache'}" in warm
    for text in (cold, warm):
        assert "cell 0: process " in text
        assert "run folder run\n" in text
    assert " spawned hello" in warm
    assert " spawned hello" not in cold


@pytest.mark.slow
def test_a_cold_cache_is_no_silence(tmp_path: Path) -> None:
    """Compiling CPython takes seconds; the line says so before the run starts."""
    module = REPOSITORY / ".cache/maxwell/fleet/cpython/python3.11.wasm"
    if not module.exists():
        pytest.skip("`make fleet` has not run")
    (tmp_path / "fleet.toml").write_text(
        f'[node]\nbudget = "5 J"\n[[process]]\nname = "python"\nmodule = "{module}"\n'
        'funds = "5 J"\n'
        '[[process]]\nname = "hello"\nmodule = "samples:hello.wasm"\nfunds = "0 J"\n'
    )
    environment = {"MAXWELL_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess_maxwell("run", "fleet.toml", cwd=tmp_path, env=environment)
    line = f"compiling python3.11.wasm (2 of 2, kept in {tmp_path / 'cache/compiled'})"
    assert line in done.stderr.splitlines(), done.stderr
