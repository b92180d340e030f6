"""What the benchmarks share: the format of a result line, the machine, percentiles, fleets.

A result is one JSON object a line on stdout: `bench`, `value`, `unit`, `target`, `peer`,
`peer_value`, `ok`, and where it differs `cpu_value`. A line with `target: null` is only reported.
Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maxwell._native import ENGINE_VERSION
from maxwell.config import parse_fleet
from maxwell.config.table import Source
from maxwell.hypervisor import run_fleet
from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from maxwell.observe.report import Report

REPOSITORY: Final = Path(__file__).resolve().parents[2]
GUESTS: Final = REPOSITORY / "build" / "guests"
SAMPLES: Final = REPOSITORY / "python" / "maxwell" / "samples"


def parse_options(description: str) -> argparse.Namespace:
    """Parses the command line of a benchmark: `--smoke` runs it as short as it can be."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="shortest run, for tests: no figures")
    options = parser.parse_args()
    emit_machine()
    return options


def emit(
    bench: str,
    value: float | None,
    unit: str,
    *,
    target: float | None = None,
    peer: str | None = None,
    peer_value: float | None = None,
    more: Mapping[str, object] | None = None,
) -> None:
    """Prints one result; with a target the value must not exceed it. `more` adds keys.

    A value that does not exist, such as a crossing of lines that do not cross, is None.
    """
    line: dict[str, object] = {
        "bench": bench,
        "value": None if value is None else _rounded(value),
        "unit": unit,
        "target": target,
        "peer": peer,
        "peer_value": None if peer_value is None else _rounded(peer_value),
        "ok": target is None or (value is not None and value <= target),
    }
    print(json.dumps(line | dict(more or {})), flush=True)


def _rounded(value: float) -> float:
    """Five significant digits: more would be noise."""
    return float(f"{value:.5g}")


def emit_machine() -> None:
    """Prints the machine that the figures are of."""
    line: dict[str, object] = {
        "bench": "machine",
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "load_1_5_15": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "maxwell": __version__,
        "engine": ENGINE_VERSION,
        "command": Path(sys.argv[0]).name,
    }
    print(json.dumps(line), flush=True)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def note(text: str) -> None:
    """Says on stderr what is being done."""
    sys.stderr.write(f"bench: {text}\n")


def percentile(ordered: Sequence[float], per_cent: float) -> float:
    """Returns the nearest-rank percentile of values in ascending order."""
    assert ordered, "no values"
    rank = max(1, -(-len(ordered) * per_cent // 100))
    return ordered[int(rank) - 1]


def run_processes(
    node: Mapping[str, object],
    processes: Sequence[Mapping[str, object]],
    *,
    on_output: Callable[[str, str, bytes, int], None] | None = None,
) -> Report:
    """Runs a fleet made of tables as they stand in a fleet file."""
    tables: dict[str, object] = {"node": dict(node), "process": [dict(p) for p in processes]}
    config = parse_fleet(tables, REPOSITORY, source=Source("bench"))
    return run_fleet(config, on_output=on_output)


def spin_fuel_per_us() -> float:
    """Fuel that the endless loop uses in a microsecond on this machine; the fastest of five."""
    from maxwell._native import measure

    wasm = (SAMPLES / "spin.wasm").read_bytes()
    runs = measure(wasm, args=["spin"], fuel_max=1_000_000_000, repeat=5)
    return max(run.fuel * 1_000 / run.cpu_ns for run in runs)
