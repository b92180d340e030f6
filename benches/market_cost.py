"""What the market costs: time of the cells that is not time of guests, over all their time.

Goal: the share of a core that decisions and settlements take, with 1,000 processes and slices of
100 µs, seen from outside the loop; not: what metering slows guests down (`metering.py`).

Method: 1,000 endless loops with equal funds run for a short and for a long time. The long run less
the short one is steady state: births and deaths, which both have, cancel. Guest time is what the
slices were billed; the cells' time is taken from two clocks: the cells' own thread clock, and the
operating system's account of ended child processes. The parent runs on the same machine, unpinned,
as it does in any run. A first run sets the quantum so that a slice, ten quanta, takes 100 µs in
the mean. The value is of all blocks together: the difference of two runs on a machine whose speed
changes between them may be too small as well as too large, so that the best block proves nothing.

`python benches/market_cost.py [--smoke]`
"""

from __future__ import annotations

import resource
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from harness import emit, note, parse_options, run_processes, spin_fuel_per_us

if TYPE_CHECKING:
    from collections.abc import Sequence

PROCESSES = 1_000
SLICE_US = 100
SLICE_QUANTA = 10
SHORT_S = 1
LONG_S = 8
BLOCKS = 2
TARGET_RATIO = 0.01


class Sums(NamedTuple):
    """Nanoseconds and slices of all cells of a run."""

    cpu_ns: int
    slice_ns: int
    slices: int
    os_cpu_ns: int
    """CPU time of all processes that the run started and ended: cells, and the admission's."""

    def plus(self, other: Sums) -> Sums:
        """Returns the sum, field by field."""
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))

    def less(self, other: Sums) -> Sums:
        """Returns the difference, field by field."""
        return Sums(*(a - b for a, b in zip(self, other, strict=True)))

    @property
    def cost_ratio(self) -> float:
        """Cells' time outside slices over all of it, by the cells' thread clocks."""
        return (self.cpu_ns - self.slice_ns) / self.cpu_ns

    @property
    def os_cost_ratio(self) -> float:
        """The same by the operating system's account of the cells' processes."""
        return (self.os_cpu_ns - self.slice_ns) / self.os_cpu_ns


def children_cpu_ns() -> int:
    """CPU time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def run(seconds: float, *, cells: int, processes: int, quantum_fuel: int, seed: int) -> Sums:
    """Runs the loops and returns what their cells report."""
    before = children_cpu_ns()
    node = {
        "cells": cells,
        "budget": f"{processes} J",
        "duration": f"{seconds} s",
        "seed": seed,
        "quantum_fuel": quantum_fuel,
        "slice_quanta": SLICE_QUANTA,
    }
    spin = {"name": "spin", "module": "samples:spin.wasm", "funds": "1 J", "count": processes}
    report = run_processes(node, [spin])
    ended = children_cpu_ns() - before
    cells_of = report.record.cells
    return Sums(
        sum(cell.cpu_ns for cell in cells_of),
        sum(cell.slice_ns for cell in cells_of),
        sum(cell.slices for cell in cells_of),
        ended,
    )


def steady(cells: int, *, smoke: bool, quantum_fuel: int) -> tuple[list[Sums], list[Sums]]:
    """Returns for each block the steady state and the whole long run."""
    processes = 20 if smoke else PROCESSES
    short_s, long_s, blocks = (0.3, 0.6, 1) if smoke else (SHORT_S, LONG_S, BLOCKS)
    differences: list[Sums] = []
    wholes: list[Sums] = []
    for block in range(blocks):
        note(f"market cost: {processes} processes on {cells} cell(s), block {block + 1}")
        short, long = (
            run(s, cells=cells, processes=processes, quantum_fuel=quantum_fuel, seed=block + 1)
            for s in (short_s, long_s)
        )
        differences.append(long.less(short))
        wholes.append(long)
    return differences, wholes


def quantum_of_slice(*, smoke: bool) -> int:
    """Returns the fuel of a quantum with which a mean slice takes `SLICE_US`."""
    guess = max(1_000, round(spin_fuel_per_us() * SLICE_US / SLICE_QUANTA))
    if smoke:
        return guess
    # Among a thousand others a loop starts each slice with cold caches: it does less in a slice.
    tried = run(1, cells=1, processes=PROCESSES, quantum_fuel=guess, seed=0)
    return max(1_000, round(guess * SLICE_US * 1_000 * tried.slices / tried.slice_ns))


def report(cells: int, differences: Sequence[Sums], wholes: Sequence[Sums]) -> None:
    """Prints the figures of all blocks together."""
    pooled = reduce(Sums.plus, differences)
    whole = reduce(Sums.plus, wholes)
    of = f"_{cells}_cell" + ("s" if cells > 1 else "")
    emit(
        f"market_cost{of}",
        pooled.cost_ratio,
        "ratio",
        target=TARGET_RATIO,
        peer="whole run with births and deaths",
        peer_value=whole.cost_ratio,
        more={"blocks": [round(sums.cost_ratio, 5) for sums in differences]},
    )
    emit(
        f"market_cost_by_os_clock{of}",
        pooled.os_cost_ratio,
        "ratio",
        more={"blocks": [round(sums.os_cost_ratio, 5) for sums in differences]},
    )
    emit(
        f"market_turn{of}",
        (pooled.cpu_ns - pooled.slice_ns) / pooled.slices,
        "ns",
        peer="mean slice",
        peer_value=pooled.slice_ns / pooled.slices,
    )


def main() -> None:
    """Measures one cell and two."""
    options = parse_options(__doc__ or "")
    quantum_fuel = quantum_of_slice(smoke=options.smoke)
    for cells in (1,) if options.smoke else (1, 2):
        differences, wholes = steady(cells, smoke=options.smoke, quantum_fuel=quantum_fuel)
        report(cells, differences, wholes)


if __name__ == "__main__":
    main()
