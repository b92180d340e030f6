"""What receipts cost: CPU time of making, signing and writing them, over all CPU time of the run.

Goal: at most 0.1 % of the run's CPU time (parent, cells and helpers), for a small fleet with
epochs of one second and for 1,000 processes, whose epochs are longer.

Method: a fleet of endless loops runs with a folder. The methods through which the node makes
receipts are timed by the parent's thread clock, the clock's own cost included; all CPU time is the
operating system's account of the parent from the start of the run, and of its ended children.
What is paid once a run (loading the library and the key, the opening) is a line of its own: it is
a share of nothing. On a machine with other load the run gets fewer seconds of CPU for as many
receipts a second; `receipts_cost_of_cores` is the share of the time of its cores, which does not
depend on that. The peer is one signature for each process and second, made of the same parts:
a receipt and a signature, timed here.

`python benches/receipts.py [--smoke]`
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from harness import REPOSITORY, emit, note, parse_options
from maxwell.config import parse_fleet
from maxwell.config.table import Source
from maxwell.hypervisor import run_fleet

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

TARGET_RATIO = 0.001
CELLS = 2
SMALL = (8, 20.0)
LARGE = (1_000, 40.0)
"""Processes and seconds."""


class Cost(NamedTuple):
    """CPU time of a run, in nanoseconds."""

    receipts_ns: int
    once_ns: int
    all_ns: int
    receipts: int
    batches: int
    file_bytes: int
    seconds: float


class Stopwatch:
    """Adds up the thread time of the methods it is put around."""

    def __init__(self) -> None:
        self.total_ns = 0

    def around(self, method: Callable[P, R]) -> Callable[P, R]:
        """Returns the method, timed."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            start = time.thread_time_ns()
            try:
                return method(*args, **kwargs)
            finally:
                self.total_ns += time.thread_time_ns() - start

        return timed


def children_ns() -> int:
    """CPU time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def run(processes: int, seconds: float, folder: Path) -> Cost:
    """Runs the loops and returns what receipts cost."""
    from maxwell.node.receipts import Receipts
    from maxwell.token.store import read_file
    from maxwell.token.verify import Verifier

    running, once = Stopwatch(), Stopwatch()
    originals = {
        name: getattr(Receipts, name)
        for name in ("__init__", "open", "epoch", "end", "finish", "close", "write_summary")
    }
    for name, method in originals.items():
        watch = once if name in {"__init__", "open"} else running
        setattr(Receipts, name, watch.around(method))
    try:
        tables: dict[str, object] = {
            "node": {"cells": CELLS, "budget": f"{30 * processes} J", "duration": f"{seconds} s"},
            "process": [
                {
                    "name": "spin",
                    "module": "samples:spin.wasm",
                    "funds": "30 J",
                    "count": processes,
                }
            ],
        }
        config = parse_fleet(tables, REPOSITORY, source=Source("bench"))
        folder.mkdir()
        before_ns = time.process_time_ns() + children_ns()
        report = run_fleet(config, out=folder)
        all_ns = time.process_time_ns() + children_ns() - before_ns
        report.save(folder)
    finally:
        for name, method in originals.items():
            setattr(Receipts, name, method)
    state = Verifier().read(read_file(folder / "receipts.cbor"))
    size = (folder / "receipts.cbor").stat().st_size
    return Cost(
        running.total_ns, once.total_ns, all_ns, state.receipts, state.batches, size, seconds
    )


def signature_ns(rounds: int) -> float:
    """CPU time of one signature."""
    from maxwell.token.key import node_signer

    signer = node_signer()
    payload = bytes(400)
    start = time.thread_time_ns()
    for _ in range(rounds):
        signer.sign(payload)
    return (time.thread_time_ns() - start) / rounds


def verify_rate(folder: Path) -> float:
    """Receipts verified in a second of CPU time."""
    from maxwell.token.verify import Verifier

    data = (folder / "receipts.cbor").read_bytes()
    start = time.thread_time_ns()
    state = Verifier().read(data)
    return state.receipts * 1e9 / (time.thread_time_ns() - start)


def main() -> None:
    """Measures a small fleet and a large one."""
    options = parse_options(__doc__ or "")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("MAXWELL_DATA_DIR", temporary)
        sign_ns = signature_ns(50 if options.smoke else 2_000)
        for processes, seconds in ((3, 1.2),) if options.smoke else (SMALL, LARGE):
            note(f"receipts: {processes} processes, {seconds:g} s")
            folder = Path(temporary) / str(processes)
            cost = run(processes, seconds, folder)
            each_ns = cost.receipts_ns / cost.receipts
            peer_ns = processes * seconds * (each_ns + sign_ns)
            emit(
                f"receipts_cost_{processes}_processes",
                cost.receipts_ns / cost.all_ns,
                "ratio",
                target=TARGET_RATIO,
                peer="a signature for each process and second",
                peer_value=peer_ns / cost.all_ns,
                more={"receipts": cost.receipts, "batches": cost.batches},
            )
            emit(
                f"receipts_cost_of_cores_{processes}_processes",
                cost.receipts_ns / (cost.seconds * 1e9 * CELLS),
                "ratio",
                target=TARGET_RATIO,
            )
            emit(
                f"receipt_{processes}_processes",
                each_ns / 1e3,
                "us",
                peer="one signature",
                peer_value=sign_ns / 1e3,
            )
            emit(f"receipts_start_{processes}_processes", cost.once_ns / 1e6, "ms")
            emit(
                f"receipts_bytes_{processes}_processes",
                cost.file_bytes / cost.receipts,
                "bytes",
            )
            emit(f"receipts_verify_{processes}_processes", verify_rate(folder), "1/s")


if __name__ == "__main__":
    main()
