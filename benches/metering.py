"""What metering costs: the same program with fuel and without, on the same engine, in one run.

Report only. Small kernels run to their end; the place-and-route run and the Python agent of the
example fleet run to their end too, with its inputs (`make fleet`). Median CPU time of alternating
runs; the peer is unmetered code. `--smoke` runs one kernel.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from maxwell._native import measure
from maxwell.config import load_fleet
from maxwell.modules import resolve_module

ROOT: Final = Path(__file__).resolve().parent.parent
KERNELS: Final = {
    "sieve": ("python/maxwell/samples/sieve.wasm", ["sieve", "10000000"]),
    "sha256": ("build/guests/sha256.wasm", ["sha256"]),
    "matmul": ("build/guests/matmul.wasm", ["matmul"]),
}
PROGRAMS: Final = {"nextpnr": "route-a", "cpython": "agent"}


def main(arguments: list[str]) -> None:
    """Prints one line a program."""
    smoke = "--smoke" in arguments
    for name, (file, args) in KERNELS.items():
        if smoke and name != "sieve":
            continue
        compare(name, (ROOT / file).read_bytes(), args, [], 1 if smoke else 5)
    if smoke:
        return
    fleet = load_fleet(ROOT / "examples/fleet.toml")
    for name, process_name in PROGRAMS.items():
        process = next(p for p in fleet.processes if p.name == process_name)
        wasm = resolve_module(process.module, fleet.base_dir).read_bytes()
        dirs = [(d.guest, d.host, d.read_only) for d in process.dirs]
        compare(name, wasm, [process.name, *process.args], dirs, 1, list(process.env))


def compare(
    name: str,
    wasm: bytes,
    args: list[str],
    dirs: list[tuple[str, Path, bool]],
    repeat: int,
    env: list[tuple[str, str]] | None = None,
) -> None:
    """Measures one program both ways and prints the overhead."""
    times: dict[bool, float] = {}
    for metered in (True, False):
        runs = measure(wasm, args=args, dirs=dirs, env=env or [], metered=metered, repeat=repeat)
        assert all(run.completed for run in runs), f"{name}: {runs[0].exit}"
        times[metered] = sorted(run.cpu_ns for run in runs)[len(runs) // 2] / 1e6
    line = {
        "bench": f"metering_overhead_{name}",
        "value": round(times[True] / times[False] - 1, 4),
        "unit": "ratio",
        "target": None,
        "peer": "unmetered wasmtime, ms",
        "peer_value": round(times[False], 3),
        "cpu_value": round(times[True], 3),
        "ok": True,
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
