"""What counting fuel costs guests: metered beside unmetered code, on the same engine, in turns.

Goal: the slowdown that metering means for five programs, from a tight loop to an interpreter; not:
what the market costs (`market_cost.py`). Report only: it is the price of billing by instruction,
and differs by program more than by machine.

Method: each program runs alone to the same end, with fuel and without, on Maxwell's engine and
with its host calls. Small programs are run in turns; large ones, whose compilation takes longer
than their run, in two blocks. Medians of CPU time. For small programs the same is done with the
wasmtime package of PyPI and its default prices of operators (`stock`). nextpnr and CPython need
the files of `make fleet`; without them they are left out, with a note.

`python benches/metering.py [--smoke]`
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import wasmtime

from harness import GUESTS, REPOSITORY, SAMPLES, emit, note, parse_options
from maxwell._native import ENGINE_VERSION, measure
from maxwell.config import load_fleet
from maxwell.errors import MaxwellError
from maxwell.modules import resolve_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from pathlib import Path

    from maxwell.config import ProcessConfig

ROUNDS = 7
FUEL_MAX = 1 << 62


class Program(NamedTuple):
    """A program and its world."""

    name: str
    wasm: bytes
    args: list[str]
    env: list[tuple[str, str]]
    dirs: list[tuple[str, str | PathLike[str], bool]]
    repeat: int
    """Runs of each block of a large program; 0 marks a small one, run in turns."""


class Medians(NamedTuple):
    """Median CPU time with fuel and without, milliseconds."""

    metered_ms: float
    unmetered_ms: float

    @property
    def overhead_ratio(self) -> float:
        """Share of time that metering adds."""
        return self.metered_ms / self.unmetered_ms - 1


def small_programs(*, smoke: bool) -> list[Program]:
    """The kernels, for about 20 to 100 ms each."""
    kernels: list[tuple[str, Path, list[str]]] = [
        ("sieve", SAMPLES / "sieve.wasm", ["2000000", "3"]),
        ("sha256", GUESTS / "sha256.wasm", ["8192"]),
        ("matmul", GUESTS / "matmul.wasm", ["256", "2"]),
    ]
    small = {"sieve": ["1000"], "sha256": ["16"], "matmul": ["16"]}
    return [
        Program(name, path.read_bytes(), [name, *(small[name] if smoke else args)], [], [], 0)
        for name, path, args in kernels
    ]


def large_programs() -> list[Program]:
    """The place-and-route run and the agent of the example fleet, as they stand in its file."""
    wanted = {"route-a": ("nextpnr", 1), "agent": ("cpython_agent", 3)}
    try:
        fleet = load_fleet(REPOSITORY / "examples" / "fleet.toml")
        chosen = [process for process in fleet.processes if process.name in wanted]
        return [_program(process, fleet.base_dir, *wanted[process.name]) for process in chosen]
    except (MaxwellError, OSError) as error:
        note(f"metering: nextpnr and CPython are left out: {error}; run `make fleet`")
        return []


def _program(process: ProcessConfig, base: Path, name: str, repeat: int) -> Program:
    wasm = resolve_module(process.module, base).read_bytes()
    for directory in process.dirs:
        if not directory.host.is_dir():
            raise FileNotFoundError(directory.host)
    dirs: list[tuple[str, str | PathLike[str], bool]] = [
        (d.guest, d.host, d.read_only) for d in process.dirs
    ]
    env = [(key, value) for key, value in process.env]
    return Program(name, wasm, [process.name, *process.args], env, dirs, repeat)


def cpu_ms(program: Program, *, metered: bool, repeat: int = 1) -> list[float]:
    """CPU time of complete runs on Maxwell's engine."""
    runs = measure(
        program.wasm,
        args=program.args,
        env=program.env,
        dirs=program.dirs,
        metered=metered,
        repeat=repeat,
    )
    for run in runs:
        assert run.completed, f"{program.name}: {run.exit}"
    return [run.cpu_ns / 1e6 for run in runs]


def stock_cpu_ms(program: Program, *, metered: bool) -> list[float]:
    """CPU time of one complete run on the stock engine with its default settings."""
    config = wasmtime.Config()
    config.consume_fuel = metered
    engine = wasmtime.Engine(config)
    module = wasmtime.Module(engine, program.wasm)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = program.args
    store.set_wasi(wasi)
    if metered:
        store.set_fuel(FUEL_MAX)
    start = linker.instantiate(store, module).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    before = time.thread_time_ns()
    with contextlib.suppress(wasmtime.ExitTrap):
        start(store)
    return [(time.thread_time_ns() - before) / 1e6]


def in_turns(sample: Callable[[bool], list[float]], rounds: int) -> Medians:
    """Alternates metered and unmetered runs."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * rounds):
        metered = number % 2 == 0
        times[metered] += sample(metered)
    return Medians(statistics.median(times[True]), statistics.median(times[False]))


def report(program: Program, ours: Medians, stock: Medians | None) -> None:
    """Prints one program's figures."""
    extra: dict[str, object] = {"overhead_ratio": round(ours.overhead_ratio, 4)}
    if stock is not None:
        version = importlib.metadata.version("wasmtime")
        extra |= {"stock": f"wasmtime {version}, default operator costs"}
        extra |= {"stock_overhead_ratio": round(stock.overhead_ratio, 4)}
    emit(
        f"metered_{program.name}",
        ours.metered_ms,
        "ms",
        peer=f"{ENGINE_VERSION}, unmetered",
        peer_value=ours.unmetered_ms,
        more=extra,
    )


def main() -> None:
    """Measures every program."""
    options = parse_options(__doc__ or "")
    rounds = 1 if options.smoke else ROUNDS
    for program in small_programs(smoke=options.smoke):
        note(f"metering: {program.name}")

        def ours(metered: bool, program: Program = program) -> list[float]:
            return cpu_ms(program, metered=metered)

        def stock(metered: bool, program: Program = program) -> list[float]:
            return stock_cpu_ms(program, metered=metered)

        report(program, in_turns(ours, rounds), in_turns(stock, rounds))
    for program in [] if options.smoke else large_programs():
        note(f"metering: {program.name} (compiled twice)")
        metered = cpu_ms(program, metered=True, repeat=program.repeat)
        unmetered = cpu_ms(program, metered=False, repeat=program.repeat)
        report(program, Medians(statistics.median(metered), statistics.median(unmetered)), None)


if __name__ == "__main__":
    main()
