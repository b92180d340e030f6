"""Goal: the sample guests compute what they say, judged by an independent engine and library.

Method: each built module runs on stock Wasmtime through `tools/reference_runner.py`; checksums
are compared with Python's own arithmetic. Nothing here runs Maxwell.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def load(path: str) -> ModuleType:
    name = "under_test_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


build = load("guests/build.py")
inspect_wasm = load("tools/inspect_wasm.py")


def module_of(name: str) -> Path:
    (guest,) = [guest for guest in build.guests() if guest.name == name]
    if not guest.output.is_file():
        pytest.skip(f"{guest.output} is not built: run `make samples`")
    return guest.output


def run(
    name: str, *arguments: str, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    runner = REPOSITORY / "tools" / "reference_runner.py"
    command = [sys.executable, str(runner), *options, str(module_of(name)), *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=50)


def test_every_guest_has_a_comment_that_says_what_it_is_for() -> None:
    for guest in build.guests():
        assert guest.source.read_text(encoding="utf-8").startswith(f"/* {guest.name}: ")


def test_samples_are_small_and_use_little_memory() -> None:
    for name in build.SAMPLES:
        shape = inspect_wasm.inspect(module_of(name).read_bytes(), name)
        assert shape.module_bytes < 40_000
        assert shape.memories[0].minimum <= 4, f"{name} pays rent for memory it does not use"


def test_guests_import_only_wasi_and_maxwell() -> None:
    header = (REPOSITORY / "guests" / "sdk" / "maxwell.h").read_text(encoding="utf-8")
    for guest in build.guests():
        shape = inspect_wasm.inspect(module_of(guest.name).read_bytes(), guest.name)
        for imported in shape.imports:
            module, _, function = imported.partition(".")
            assert module in {"wasi_snapshot_preview1", "maxwell"}
            assert module != "maxwell" or f'MAXWELL_IMPORT("{function}")' in header


def test_hello_greets() -> None:
    done = run("hello", "Maxwell")
    assert (done.returncode, done.stdout) == (0, b"hello, Maxwell\n")


def test_scientist_reports_exactly_the_primes(tmp_path: Path) -> None:
    meters = tmp_path / "meters.json"
    done = run("scientist", "0", "1000", options=("--meters", str(meters)))
    assert done.returncode == 0
    reported = [int(line["text"]) for line in json.loads(meters.read_text())["paid"]]
    assert reported == [n for n in range(2, 1000) if all(n % d for d in range(2, n))]


def test_scientist_stops_after_its_count(tmp_path: Path) -> None:
    meters = tmp_path / "meters.json"
    run("scientist", "1000000", "2000000", "5", options=("--meters", str(meters)))
    assert json.loads(meters.read_text())["reports"] == 5


@pytest.mark.parametrize(
    "arguments", [(), ("1",), ("x", "2"), ("1", "99999999999999999999"), ("-1", "5")]
)
def test_scientist_refuses_bad_arguments(arguments: tuple[str, ...]) -> None:
    done = run("scientist", *arguments)
    assert done.returncode == 2
    assert b"usage" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), b"usage"), (("/x", "1", "2"), b"usage"), (("/x", "9", "9", "1"), b"not a range")],
)
def test_imitator_refuses_bad_arguments(arguments: tuple[str, ...], words: bytes) -> None:
    done = run("imitator", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_sha256_agrees_with_hashlib() -> None:
    expected = hashlib.sha256(bytes(i % 251 for i in range(3 * 1024))).hexdigest()
    assert run("sha256", "3").stdout.split()[0].decode() == expected


def test_sieve_counts_the_primes() -> None:
    assert run("sieve", "100000").stdout.startswith(b"9592 primes up to 100000, last 99991,")


def test_matmul_is_exact() -> None:
    def product(n: int) -> int:
        state, a, b = 1, list[int](), list[int]()
        for _ in range(n * n):
            for matrix in (a, b):
                state = (state * 1664525 + 1013904223) % 2**32
                matrix.append((state >> 28) - 8)
        checksum = 0
        for i in range(n):
            for j in range(n):
                entry = sum(a[i * n + k] * b[k * n + j] for k in range(n))
                checksum = (checksum * 6364136223846793005 + entry) % 2**64
        return checksum

    assert f"checksum {product(8):016x}" in run("matmul", "8").stdout.decode()


def test_echoargs_returns_their_number() -> None:
    done = run("echoargs", "a b", "")
    assert (done.returncode, done.stdout) == (2, b"[a b]\n[]\n")


def test_files_stays_in_its_folder(tmp_path: Path) -> None:
    done = run("files", "/w", options=("--dir", f"/w={tmp_path}"))
    assert done.returncode == 0, done.stdout
    assert not list(tmp_path.iterdir())


def test_hog_takes_what_it_is_told_and_sleeps(tmp_path: Path) -> None:
    meters = tmp_path / "meters.json"
    run("hog", "8", options=("--meters", str(meters)))
    read = json.loads(meters.read_text())
    assert (read["memory_bytes_max"], read["trap"]) == (8 << 20, "sleeps for ever")


def test_build_names_an_unknown_guest(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["nonsense"]) == 1
    assert "unknown guest: nonsense" in capsys.readouterr().err


def test_build_says_how_to_get_the_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(build.importlib.util, "find_spec", nothing)
    assert build.main(["--out", str(tmp_path), "hello"]) == 1
    assert "pip install ziglang" in capsys.readouterr().err
