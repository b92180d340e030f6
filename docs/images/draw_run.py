"""Draws a finished run into `docs/images/run.svg`, for the README and the documentation.

Usage: `python docs/images/draw_run.py runs/fleet-1` (or `make picture RUN=runs/fleet-1`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from maxwell.observe.prices import save_prices
from maxwell.observe.report import Report

PICTURE = Path(__file__).resolve().parent / "run.svg"


def main(arguments: list[str]) -> int:
    """Draws the run of the one argument; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: {Path(__file__).name} RUN_FOLDER\n")
        return 2
    report = Report.load(Path(arguments[0]))
    save_prices(PICTURE, report.history, report.record)
    sys.stderr.write(f"wrote {PICTURE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
