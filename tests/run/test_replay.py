"""Goal: a deterministic run is a function of its fleet and its seed, and of nothing else.

Method: runs of the whole product are compared file by file and byte by byte; single guests are
stopped at an exact fuel under several quanta, and their memories compared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maxwell import _native
from support.fleets import Run, process, run
from support.guests import REPOSITORY, SAMPLES, program, write
from support.program import maxwell

pytestmark = pytest.mark.native

CPYTHON = REPOSITORY / ".cache/maxwell/fleet/cpython/python3.11.wasm"

FLEET = """
[node]
deterministic = true
cells = {cells}
duration = "1500 ms"
seed = 5
temperature_log2 = 1
[[account]]
name = "lab"
funds = "1 J"
[[sponsor]]
name = "academy"
escrow = "200 mJ"
[[reward]]
sponsor = "academy"
name = "primes"
resolver = "prime"
pays = "1 mJ"
[[process]]
name = "scientist"
account = "lab"
module = "samples:scientist.wasm"
args = ["1000000", "1100000"]
funds = "200 mJ"
rewards = ["primes"]
count = 2
[[process]]
name = "leech"
module = "samples:leech.wasm"
funds = "300 mJ"
urgency = 0.8
[[process]]
name = "loop"
module = "samples:spin.wasm"
funds = "400 mJ"
top_up = true
start_after = "200 ms"
[[process]]
name = "hog"
module = "samples:hog.wasm"
args = ["64"]
funds = "100 mJ"
[[process]]
name = "teller"
module = "{clock}"
args = ["2000"]
funds = "50 mJ"
dirs = {{ "/data" = "data" }}
[[process]]
name = "dice"
module = "{dice}"
funds = "50 mJ"
deadline = "700 ms"
"""

DICE = """
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "maxwell" "sleep" (func $sleep (param i64) (result i32)))
  (memory (export "memory") 1)
"""
"""Prints random bytes, both clocks, and sleeps, for ever."""


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fleet_file(folder: Path, *, cells: int) -> Path:
    from support.guests import wasm

    dice = wasm(
        f"""(module {DICE}
          (data (i32.const 0) "\\10\\00\\00\\00\\20\\00\\00\\00")
          (func (export "_start")
            (loop $on
              (drop (call $random (i32.const 16) (i32.const 16)))
              (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 32)))
              (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 40)))
              (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
              (drop (call $sleep (i64.const 3000000)))
              (br $on))))"""
    )
    (folder / "data").mkdir()
    (folder / "data/file").write_text("content")
    text = FLEET.format(
        cells=cells,
        dice=write(folder, "dice", dice),
        clock=REPOSITORY / "build/guests/clockreader.wasm",
    )
    (folder / "fleet.toml").write_text(text)
    return folder / "fleet.toml"


@pytest.mark.parametrize("cells", [1, 2])
def test_equal_runs_leave_equal_folders(tmp_path: Path, cells: int) -> None:
    """Winners, bills, events, output, report and picture, with the clock, sleeps, random bytes,
    files, rewards and deaths in play; the hash seed, the folder and the time differ."""
    fleet_file(tmp_path, cells=cells)
    for number, name in enumerate(("a", "b")):
        done = maxwell(
            *("run", "fleet.toml", "--out", name, "--quiet"),
            cwd=tmp_path,
            env={"PYTHONHASHSEED": str(number), "TZ": f"Etc/GMT+{number}", "X": name * 99},
        )
        assert done.code == 0, done.err
    first, second = files_of(tmp_path / "a"), files_of(tmp_path / "b")
    assert first.keys() == second.keys()
    assert {"report.json", "events.jsonl", "output/dice.stdout"} <= first.keys()
    for file, content in first.items():
        assert content == second[file], file


def small(seed: int, **node: Any) -> Run:
    fleet = [
        process("sieve", "samples:sieve.wasm", args=["200000", "40"], funds="1 J"),
        process("leech", "samples:leech.wasm", funds="300 mJ", horizon="100 mJ"),
        process("loop", "samples:spin.wasm", funds="300 mJ", horizon="50 mJ"),
    ]
    return run(fleet, seed=seed, duration="600 ms", **node)


def digests(run_: Run) -> list[str]:
    return [cell.decisions_digest for cell in run_.report.record.cells]


def test_in_process_runs_are_equal_too() -> None:
    first, second = small(3), small(3)
    assert first.report.record == second.report.record
    assert first.views == second.views
    assert first.output == second.output


def test_another_seed_draws_other_winners() -> None:
    runs = [small(seed) for seed in (1, 2, 3)]
    assert len({digest for run_ in runs for digest in digests(run_)}) == 3
    assert len({str(run_.report.record.processes) for run_ in runs}) == 3


@pytest.mark.parametrize("node", [{"slice_quanta": 3}, {"quantum_fuel": 200_000}])
def test_another_slice_size_changes_the_schedule_and_not_the_result(
    node: dict[str, Any],
) -> None:
    """The sieve reads neither clock nor price: what it prints and the fuel it takes are its own."""
    whole, cut = small(3), small(3, **node)
    assert digests(whole) != digests(cut)
    assert whole["sieve"].outcome == cut["sieve"].outcome == "finished"
    assert whole["sieve"].fuel == cut["sieve"].fuel
    assert whole.output["sieve", "stdout"] == cut.output["sieve", "stdout"]
    assert cut["sieve"].slices > whole["sieve"].slices


def state_at(
    wasm: bytes,
    args: Sequence[str],
    fuel: int,
    quantum_fuel: int,
    dirs: Sequence[tuple[str, str, bool]] = (),
    env: Sequence[tuple[str, str]] = (),
) -> tuple[object, ...]:
    """Returns what a guest is when exactly `fuel` is used up."""
    measured = _native.measure(
        wasm,
        args=list(args),
        store_fuel=fuel,
        quantum_fuel=quantum_fuel,
        digest_memory=True,
        dirs=[(guest, host, read_only) for guest, host, read_only in dirs],
        env=list(env),
    )[0]
    return (measured.memory_digest, measured.fuel, measured.exit, measured.stdout, measured.calls)


GUESTS = {
    "sieve": ["sieve", "100000", "3"],
    "leech": ["leech"],
    "scientist": ["scientist", "1000000", "1001000"],
}


@pytest.mark.parametrize("name", GUESTS)
@settings(settings.get_profile("runs"), max_examples=12)
@given(
    fuel=st.integers(1, 60_000_000),
    quanta=st.lists(st.integers(10_000, 50_000_000), min_size=1, max_size=2),
)
@example(fuel=800_000, quanta=[800_000, 799_999])
@example(fuel=8_000_001, quanta=[10_000])
def test_memory_at_equal_fuel_does_not_depend_on_the_slice(
    name: str, fuel: int, quanta: list[int]
) -> None:
    content = (SAMPLES / f"{name}.wasm").read_bytes()
    expected = state_at(content, GUESTS[name], fuel, 800_000)
    for quantum_fuel in quanta:
        assert state_at(content, GUESTS[name], fuel, quantum_fuel) == expected


def test_fuel_is_used_up_exactly() -> None:
    content = (SAMPLES / "leech.wasm").read_bytes()
    states = [state_at(content, ["leech"], 20_000_000 + more, 800_000) for more in (0, 400_000)]
    assert states[0][0] != states[1][0]


@pytest.mark.slow
@pytest.mark.parametrize("quantum_fuel", [50_000, 3_000_000])
def test_memory_of_python_does_not_depend_on_the_slice(quantum_fuel: int, tmp_path: Path) -> None:
    """CPython 3.11, in the middle of its start: files, tables, a heap of 10 MB."""
    if not CPYTHON.is_file():
        pytest.skip("`make fleet` has not prepared CPython")
    lib = CPYTHON.parent / "lib"
    dirs = [("/lib", os.fspath(lib), True)]
    arguments = ["python", "-S", "-B", "-c", "print(sum(range(100000)))"]
    content = CPYTHON.read_bytes()
    states = [
        state_at(content, arguments, 150_000_000, quantum, dirs, [("PYTHONHOME", "/")])
        for quantum in (800_000, quantum_fuel)
    ]
    assert states[0] == states[1]
    assert states[0][0] is not None


def test_the_clock_of_a_guest_is_its_own_fuel(tmp_path: Path) -> None:
    """A neighbour does not move it: what is printed alone and in company is the same."""
    module = str(REPOSITORY / "build/guests/clockreader.wasm")
    alone = run([process("clock", module, args=["3000"])], duration="1 s")
    company = run(
        [
            process("clock", module, args=["3000"]),
            process("loop", "samples:spin.wasm"),
            process(
                "sleepy", write(tmp_path, "sleepy", program("(drop (call $sleep (i64.const 9)))"))
            ),
        ],
        duration="1 s",
    )
    assert alone.output["clock", "stdout"] == company.output["clock", "stdout"]
    assert b"0 backwards" in alone.output["clock", "stdout"]
