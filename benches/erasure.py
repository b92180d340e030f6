"""What counting frees costs and how well it counts: the same module with and without rewriting.

Goal: the rewriting adds at most 3 % to programs that do something with their memory, and counts
what an instrumented native allocator counts on the same workload, within 1 %.

Method, overhead: modules alone on Maxwell's engine, metered, as they are and counted, in turns;
best CPU time of each. `churn` does nothing but allocate and free, and is report only.
Method, counts: the same C sources compiled by the system's compiler with malloc and its kin wrapped
(`erasure/counting_allocator.c`); Lua for 32 bits, so that its objects have the sizes that they have
in WebAssembly. Lua needs `tools/prepare_lua.py`; without it it is left out, with a note.

`python benches/erasure.py [--smoke]`
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness import GUESTS, REPOSITORY, SAMPLES, emit, note, parse_options
from maxwell._native import ENGINE_VERSION, measure

if TYPE_CHECKING:
    from os import PathLike

ROUNDS = 8
REPEAT = 5
OVERHEAD_RATIO_MAX = 0.03
COUNT_RATIO_MAX = 0.01
LUA = REPOSITORY / "build" / "lua"
HERE = REPOSITORY / "benches" / "erasure"
WRAPPED = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free"


class Program(NamedTuple):
    """A module, what it is run with, and whether its overhead is promised."""

    name: str
    wasm: Path
    args: list[str]
    promised: bool
    source: Path | None
    """What is compiled natively; None for Lua, which is compiled beforehand."""
    dirs: list[tuple[str, str | PathLike[str], bool]]


def programs(*, smoke: bool) -> list[Program]:
    """Two own guests, a stress test, and Lua where it was prepared."""
    guests = REPOSITORY / "guests"
    batches = ["20", "512"] if smoke else ["500", "4096"]
    found = [
        Program("churner", SAMPLES / "churner.wasm", batches, True, guests / "churner.c", []),
        Program("tidy", SAMPLES / "tidy.wasm", batches, True, guests / "tidy.c", []),
    ]
    steps = ["2000"] if smoke else ["500000"]
    found.append(Program("churn", GUESTS / "churn.wasm", steps, False, guests / "churn.c", []))
    if (LUA / "lua.wasm").is_file():
        arguments = ["/bench/workload.lua", "1" if smoke else "4"]
        dirs: list[tuple[str, str | PathLike[str], bool]] = [("/bench", HERE, True)]
        found.append(Program("lua", LUA / "lua.wasm", arguments, True, None, dirs))
    else:
        note("erasure: Lua is left out; run tools/prepare_lua.py")
    return found


def run(program: Program, *, counted: bool, repeat: int) -> tuple[int, int]:
    """Runs it `repeat` times; returns the best CPU time in ns and the bytes freed in each."""
    runs = measure(
        program.wasm.read_bytes(),
        args=[program.name, *program.args],
        dirs=program.dirs,
        counted=counted,
        repeat=repeat,
    )
    assert all(one.completed for one in runs), f"{program.name}: {runs[0].exit}"
    return min(one.cpu_ns for one in runs), runs[0].freed_bytes


def native_freed_bytes(program: Program, folder: Path) -> int:
    """Runs it natively on the counting allocator; returns what that counted."""
    binary = LUA / "lua32"
    arguments = program.args
    if program.source is not None:
        binary = folder / program.name
        sources = [str(program.source), str(HERE / "counting_allocator.c")]
        include = str(REPOSITORY / "guests" / "sdk")
        command = ["cc", "-O2", "-std=gnu11", "-I", include, WRAPPED, *sources, "-o", str(binary)]
        subprocess.run(command, check=True)
    else:
        arguments = [str(HERE / "workload.lua"), *program.args[1:]]
    done = subprocess.run(
        [str(binary), *arguments], check=True, capture_output=True, text=True, timeout=300
    )
    return int(done.stderr.split()[-1])


def report_overhead(program: Program, rounds: int) -> int:
    """Prints what counting adds; returns what was counted."""
    best = {True: 1 << 62, False: 1 << 62}
    freed = 0
    for number in range(2 * rounds):
        counted = number % 2 == 0
        ns, bytes_ = run(program, counted=counted, repeat=1 if rounds == 1 else REPEAT)
        best[counted] = min(best[counted], ns)
        freed = bytes_ if counted else freed
    overhead = best[True] / best[False] - 1
    emit(
        f"erasure_overhead_{program.name}",
        round(overhead, 5),
        "ratio",
        target=OVERHEAD_RATIO_MAX if program.promised else None,
        peer=f"{ENGINE_VERSION}, the module as it is",
        peer_value=best[False] / 1e6,
        more={"counted_ms": best[True] / 1e6, "freed_bytes": str(freed)},
    )
    return freed


def main() -> None:
    """Measures every program."""
    options = parse_options(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        for program in programs(smoke=options.smoke):
            note(f"erasure: {program.name}")
            freed = report_overhead(program, 1 if options.smoke else ROUNDS)
            native = native_freed_bytes(program, Path(folder))
            emit(
                f"erasure_count_{program.name}",
                round(abs(freed - native) / native, 6),
                "ratio",
                target=COUNT_RATIO_MAX,
                peer="malloc and its kin wrapped, native",
                peer_value=native,
                more={"freed_bytes": str(freed)},
            )


if __name__ == "__main__":
    main()
