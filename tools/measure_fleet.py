"""Measures what each process of a fleet file takes alone, on stock Wasmtime with fuel on.

Usage: `python tools/measure_fleet.py [examples/fleet.toml] [--runs 3] [NAME ...]`

Prints one JSON object a process: CPU seconds (the least of the runs), fuel, memory, output, the
results its reward would pay for, when the first came, and the `pays` that follows: twice the
solo energy, at 5 W a core, divided by the paid results. Endless guests are stopped after
`--limit` seconds. Figures are of this machine; the prices in fleet files were set from them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RUNNER = REPOSITORY / "tools" / "reference_runner.py"
SAMPLES = REPOSITORY / "python" / "maxwell" / "samples"

CORE_POWER_UW_PER_US = 5
"""Five watts a core are 5 microjoules a microsecond."""


def cache_root() -> Path:
    """Returns the folder that `cache:` paths start from."""
    named = os.environ.get("MAXWELL_CACHE_DIR", "")
    return Path(named).resolve() if named else REPOSITORY / ".cache" / "maxwell"


def locate(reference: str, base: Path) -> Path:
    """Returns the host path of a module or folder named in a fleet file."""
    scheme, colon, rest = reference.partition(":")
    if colon and scheme == "pypi":
        package, _, inside = rest.partition("/")
        found = importlib.util.find_spec(package.replace("-", "_"))
        if found is None or not found.submodule_search_locations:
            raise FileNotFoundError(f"package not installed: {package}")
        return Path(next(iter(found.submodule_search_locations))) / inside
    if colon and scheme == "cache":
        return cache_root() / rest
    if colon and scheme == "samples":
        return SAMPLES / rest
    return base / reference


def command(process: dict[str, Any], rewards: dict[str, dict[str, Any]], base: Path) -> list[str]:
    """Returns the reference runner's command line for one process."""
    options: list[str] = []
    for name, value in process.get("env", {}).items():
        options += ["--env", f"{name}={value}"]
    for guest, host in process.get("dirs", {}).items():
        plain = host.removesuffix(":ro")
        readonly = ":ro" if plain != host else ""
        options += ["--dir", f"{guest}={locate(plain, base)}{readonly}"]
    for name in process.get("rewards", []):
        reward = rewards[name]
        if reward["resolver"] == "regex":
            options += ["--pattern", reward["pattern"], "--direction", reward["direction"]]
    module = str(locate(process["module"], base))
    return [*options, "--quiet", module, *process.get("args", [])]


def measure(
    process: dict[str, Any], line: list[str], *, runs: int, limit_s: float
) -> dict[str, Any]:
    """Runs one process `runs` times; returns the figures of the cheapest run."""
    best: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory(prefix="maxwell-") as scratch:
        meters = Path(scratch) / "meters.json"
        for _ in range(runs):
            try:
                subprocess.run(
                    [sys.executable, str(RUNNER), "--meters", str(meters), *line],
                    timeout=limit_s,
                    check=False,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired:
                return {"process": process["name"], "endless": True, "limit_s": limit_s}
            read = json.loads(meters.read_text(encoding="utf-8"))
            if best is None or read["cpu_s"] < best["cpu_s"]:
                best = read
    assert best is not None
    paid = best.pop("paid")
    solo_uj = math.ceil(best["cpu_s"] * 1e6 * CORE_POWER_UW_PER_US)
    figures: dict[str, Any] = {"process": process["name"], **best, "solo_uj": solo_uj}
    if paid:
        figures |= {
            "paid_results": len(paid),
            "first_paid_cpu_s": paid[0]["cpu_s"],
            "last_paid_cpu_s": paid[-1]["cpu_s"],
            "pays_uj": -(-2 * solo_uj // len(paid)),
        }
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Measures the processes named, or all."""
    parser = argparse.ArgumentParser(description="Measures a fleet's processes one by one.")
    parser.add_argument("fleet", type=Path, nargs="?", default=REPOSITORY / "examples/fleet.toml")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds before a run is endless")
    options = parser.parse_args(arguments)
    fleet = tomllib.loads(options.fleet.read_text(encoding="utf-8"))
    rewards = {reward["name"]: reward for reward in fleet.get("reward", [])}
    for process in fleet["process"]:
        if options.names and process["name"] not in options.names:
            continue
        line = command(process, rewards, options.fleet.resolve().parent)
        figures = measure(process, line, runs=options.runs, limit_s=options.limit)
        print(json.dumps(figures), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
