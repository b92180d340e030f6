"""What the market costs: CPU time of the cells that is not guests' time, from outside the loop.

1,000 endless processes with equal funds run on one cell in slices of about 100 µs. The cost is the
cell's CPU time by the operating system less the time inside slices, over that CPU time: decisions,
settlement, bids, rent, messages. Target: 1 %. One JSON object a line; `--smoke` is small.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from maxwell import Hypervisor

TARGET: Final = 0.01


def main(arguments: list[str]) -> None:
    """Prints the share and the mean length of a slice."""
    smoke = "--smoke" in arguments
    processes = 20 if smoke else 1_000
    seconds = 1 if smoke else 8
    with Hypervisor(
        budget=f"{processes * 2} J",
        duration=f"{seconds} s",
        cells=1,
        progress=False,
        # A quantum of this loop takes about 15 µs: seven of them are 100 µs.
        node={"slice_quanta": 7},
    ) as hypervisor:
        for number in range(processes):
            hypervisor.spawn("samples:spin.wasm", name=f"p{number}", funds="2 J", horizon="0.5 J")
        report = hypervisor.run()
    cells = report.record.cells
    cpu_ns = sum(cell.cpu_ns for cell in cells)
    slice_ns = sum(cell.slice_ns for cell in cells)
    slices = sum(cell.slices for cell in cells)
    ratio = (cpu_ns - slice_ns) / cpu_ns
    show("market_cost_ratio", ratio, "ratio", None if smoke else TARGET)
    show("market_cost_slice", slice_ns / slices / 1_000, "us", None)
    show("market_cost_per_slice", (cpu_ns - slice_ns) / slices, "ns", None)
    show("market_cost_processes", processes, "processes", None)


def show(bench: str, value: float, unit: str, target: float | None) -> None:
    """Prints one result."""
    line = {
        "bench": bench,
        "value": round(value, 6),
        "unit": unit,
        "target": target,
        "peer": None,
        "peer_value": None,
        "ok": target is None or value <= target,
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
