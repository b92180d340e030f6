"""From the end of a sleep to the first instruction, among 1,000 runnable guests on one core.

Goal: how late a guest that sleeps 1 ms again and again wakes, bidding like the others and bidding
more, beside the same C program as a native process among busy processes on one core under Linux,
of equal and of the strongest nice level.
Report only: a guest that bids like everybody is meant to wait its turn, a slice of each other one
in the mean; what it waits less is what it pays for.

Method: `guests/waker.c` prints how late each of its sleeps ended, by the machine's monotonic
clock. Under Maxwell it runs on a cell with 1,000 endless loops. Natively it is pinned with
`NATIVE_BUSY` busy processes to one core (1,000 would starve the machine it is measured on).

`python benches/wakeup.py [--smoke]`
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import (
    GUESTS,
    REPOSITORY,
    emit,
    note,
    parse_options,
    percentile,
    run_processes,
    spin_fuel_per_us,
)

RUNNABLE = 1_000
NATIVE_BUSY = 100
SLEEP_NS = 1_000_000
SECONDS = 6.0
SLICE_US = 100
SLICE_QUANTA = 10
HIGH_BID_PPM = 64_000_000
"""Sixty-four times the reserve, which the loops bid: at T = 1/4 it outweighs all 1,000 of them."""


def latencies(lines: bytes) -> list[float]:
    """Parses the waker's output, in microseconds and ascending order; a last half line is left."""
    return sorted(int(line) / 1_000 for line in lines.split(b"\n")[:-1])


def guest_latencies(
    *, runnable: int, bid_ppm: int | None, seconds: float, quantum_fuel: int
) -> list[float]:
    """Runs the waker among endless loops on one cell."""
    said = bytearray()

    def hear(process: str, stream: str, data: bytes, lost: int) -> None:
        assert lost == 0, "the waker's output is complete"
        if process == "waker" and stream == "stdout":
            said.extend(data)

    node = {
        "cells": 1,
        "budget": f"{2 * runnable + 100} J",
        "duration": f"{seconds} s",
        "quantum_fuel": quantum_fuel,
        "slice_quanta": SLICE_QUANTA,
    }
    waker: dict[str, object] = {
        "name": "waker",
        "module": str(GUESTS / "waker.wasm"),
        "args": [str(SLEEP_NS), "3600"],
        "funds": "50 J",
    }
    # Loops and an ordinary waker bid the reserve, the least that is accepted.
    waker["bid_ppm"] = bid_ppm or 1_000_000
    loops = {
        "name": "loop",
        "module": "samples:spin.wasm",
        "funds": "1 J",
        "count": runnable,
        "bid_ppm": 1_000_000,
    }
    run_processes(node, [waker, loops], on_output=hear)
    return latencies(bytes(said))


def native_waker(folder: Path) -> Path:
    """Compiles the waker for this machine."""
    compiler = shutil.which("cc")
    command = [compiler] if compiler else [sys.executable, "-m", "ziglang", "cc"]
    program = folder / "waker"
    source = REPOSITORY / "guests" / "waker.c"
    subprocess.run([*command, "-O2", str(source), "-o", str(program)], check=True)
    return program


def native_latencies(program: Path, *, busy: int, seconds: float, nice: int) -> list[float]:
    """Runs the native waker among busy processes, all on the first core that we may use."""
    core = {min(os.sched_getaffinity(0))}
    loops: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(busy):
            loops.append(subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]))
            os.sched_setaffinity(loops[-1].pid, core)
        # Until the last of them has left its start behind.
        time.sleep(seconds / 10)
        command = [str(program), str(SLEEP_NS), str(seconds)]
        waker = subprocess.Popen(command, stdout=subprocess.PIPE)
        os.sched_setaffinity(waker.pid, core)
        os.setpriority(os.PRIO_PROCESS, waker.pid, nice)
        said, _ = waker.communicate()
    finally:
        # All first: one that is waited for alone would share its core with the others.
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()
    assert waker.returncode == 0, "the native waker ends well"
    return latencies(said)


def nice_of_high_bid() -> int:
    """Returns the strongest nice level that this user may give to a process."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    except PermissionError:
        return own
    os.setpriority(os.PRIO_PROCESS, 0, own)
    return -20


def report(name: str, ours: list[float], peer: str, theirs: list[float]) -> None:
    """Prints the median and the 99th percentile beside the peer's."""
    for per_cent in (50, 99):
        emit(
            f"wakeup_{name}_p{per_cent}",
            percentile(ours, per_cent),
            "us",
            peer=peer,
            peer_value=percentile(theirs, per_cent),
            more={"wakeups": len(ours), "peer_wakeups": len(theirs)},
        )


def main() -> None:
    """Measures both bids and the peer."""
    options = parse_options(__doc__ or "")
    runnable, busy, seconds = (10, 2, 0.5) if options.smoke else (RUNNABLE, NATIVE_BUSY, SECONDS)
    quantum_fuel = max(1_000, round(spin_fuel_per_us() * SLICE_US / SLICE_QUANTA))
    bids = (("high_bid", HIGH_BID_PPM, nice_of_high_bid()), ("equal_bid", None, 0))
    with tempfile.TemporaryDirectory(prefix="maxwell-bench-") as folder:
        program = native_waker(Path(folder))
        for name, bid_ppm, nice in bids:
            note(f"wake-ups: a native process of nice {nice} among {busy} busy ones on one core")
            native = native_latencies(program, busy=busy, seconds=seconds, nice=nice)
            note(f"wake-ups: a guest with {name} among {runnable}")
            ours = guest_latencies(
                runnable=runnable, bid_ppm=bid_ppm, seconds=seconds, quantum_fuel=quantum_fuel
            )
            peer = f"native process, nice {nice}, {busy} busy ones, Linux {os.uname().release}"
            report(f"{name}_n{runnable}", ours, peer, native)


if __name__ == "__main__":
    main()
