"""What information costs and brings: a belief and its symbol, and bits per joule of the learner.

Goal: the host's part of a symbol (`believe` and `observe` together) is small beside what a model
takes to form its belief; and the learner's bits per joule, the figure that the project is about.

Method: a guest that believes the uniform distribution, and one that only reads, are fed the same
text alone on one cell; CPU time of their slices over the symbols. The learner is run alone on the
text of the example. Best of several runs, each its own fleet.

`python benches/information.py [--smoke]`
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import wasmtime

from harness import REPOSITORY, emit, note, parse_options
from maxwell.config import parse_fleet
from maxwell.hypervisor import run_fleet
from maxwell.market.information import ONE

if TYPE_CHECKING:
    from maxwell.node.record import ProcessRecord

TEXT = REPOSITORY / "examples" / "information" / "devil.txt"
RUNS = 7
KAPPA = "36 uJ"
SYMBOL_NS_MAX = 2_000
"""A fifth of what the learner takes for a symbol."""

UNIFORM = """(module
  (import "maxwell" "believe" (func $believe (param i32 i32 i32) (result i32)))
  (import "maxwell" "observe" (func $observe (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $i i32)
    (loop $fill
      (i32.store (i32.shl (local.get $i) (i32.const 2)) (i32.const 16777216))
      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                             (i32.const 256))))
    (loop $on
      {belief}
      (br_if $on (i32.eq (call $observe (i32.const 0) (i32.const 2048) (i32.const 1))
                         (i32.const 1))))))"""
BELIEF = "(drop (call $believe (i32.const 0) (i32.const 0) (i32.const 1024)))"


def run_alone(module: str, symbols: int) -> ProcessRecord:
    """Runs one process on the first `symbols` of the text and returns its account."""
    data: dict[str, object] = {
        "node": {"cells": 1, "seed": 7, "duration": "60 s"},
        "sponsor": [{"name": "reader", "escrow": "10 J"}],
        "reward": [
            {
                "name": "text",
                "sponsor": "reader",
                "resolver": "stream",
                "file": str(TEXT),
                "pays": KAPPA,
                "limit": symbols,
            }
        ],
        "process": [{"name": "p", "module": module, "funds": "10 J", "rewards": ["text"]}],
    }
    record = run_fleet(parse_fleet(data, REPOSITORY)).processes["p"]
    assert record.outcome == "finished", record.reason
    return record


def symbol_ns(folder: Path, name: str, belief: str, *, symbols: int, runs: int) -> float:
    """Returns the CPU time of a symbol in ns; the best of several runs."""
    path = folder / f"{name}.wasm"
    path.write_bytes(wasmtime.wat2wasm(UNIFORM.replace("{belief}", belief)))
    return min(run_alone(str(path), symbols).cpu_ns for _ in range(runs)) / symbols


def main() -> None:
    """Runs the benchmark and prints its lines."""
    options = parse_options(__doc__ or "")
    symbols, runs = (2_000, 1) if options.smoke else (TEXT.stat().st_size, RUNS)
    with tempfile.TemporaryDirectory() as folder:
        note("reading a stream with and without beliefs")
        read = symbol_ns(Path(folder), "read", "", symbols=symbols, runs=runs)
        both = symbol_ns(Path(folder), "both", BELIEF, symbols=symbols, runs=runs)
    note("the learner alone")
    records = [run_alone("samples:learner.wasm", symbols) for _ in range(runs)]
    learner = min(records, key=lambda record: record.energy_uj)
    bits = learner.bits_q32 / ONE
    emit(
        "information_symbol_ns",
        both,
        "ns",
        target=SYMBOL_NS_MAX,
        peer="observe alone",
        peer_value=read,
        more={"learner_symbol_ns": round(learner.cpu_ns / symbols)},
    )
    emit(
        "information_bits_per_joule",
        bits * 1e6 / learner.energy_uj,
        "bits/J",
        more={"bits": round(bits), "symbols": symbols, "energy_uj": learner.energy_uj},
    )
    kappa = -(-2 * learner.energy_uj * ONE // learner.bits_q32)
    emit("information_kappa", kappa, "credits/bit", more={"rule": "ceil(2 x solo uJ / bits)"})


if __name__ == "__main__":
    main()
