"""Running a fleet and showing what came of it: what `run` and `demo` share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maxwell.cli.console import (
    print_data,
    print_hint,
    print_maxwell_error,
    print_note,
    print_warning,
    stdout_console,
)
from maxwell.cli.live import header, observer_for
from maxwell.errors import MaxwellError
from maxwell.observe.output import OutputFiles
from maxwell.observe.table import report_table, run_line, summary

if TYPE_CHECKING:
    from maxwell.cli.settings import Settings
    from maxwell.config import FleetConfig
    from maxwell.observe.folder import RunFolder
    from maxwell.observe.report import Report

RUNS_FOLDER: Final = Path("runs")
"""Where fleet runs go that name no folder: `runs/NAME-1`, `runs/NAME-2`, …"""

EXIT_OK: Final = 0
EXIT_BANKRUPT: Final = 120
EXIT_DEADLINE: Final = 124
EXIT_OURS: Final = 125
EXIT_INTERRUPTED: Final = 130
EXIT_TRAP: Final = 134
EXIT_KILLED: Final = 137

OUTCOME_EXITS: Final = {
    "bankrupt": EXIT_BANKRUPT,
    "deadline": EXIT_DEADLINE,
    "trapped": EXIT_TRAP,
    "out_of_memory": EXIT_KILLED,
    "killed": EXIT_KILLED,
    "lost": EXIT_OURS,
}
"""Exit codes of single-module runs, by outcome; a guest that finished gives its own."""

HINTS_MAX: Final = 3
"""Processes that a fleet's report suggests to ask `maxwell why` about."""

OnOutput = Callable[[str, str, bytes, int], None]
"""Takes process, stream, data, and how many bytes were lost before it."""


def run_and_show(
    config: FleetConfig, name: str, folder: RunFolder, settings: Settings, *, json: bool
) -> int:
    """Runs a fleet with a run folder, shows it, and returns the exit code.

    Raises:
        ConfigError: The folder cannot be written to; nothing has run then.
    """
    from maxwell.hypervisor import run_fleet

    folder.create()
    if not settings.quiet:
        print_note(header(name, len(config.processes), config.node.duration_ns))
    outputs = OutputFiles(folder)
    try:
        with observer_for(settings) as observer:
            report = run_fleet(
                config, out=folder.path, on_view=observer.on_view, on_output=outputs.write
            )
            observer.on_end(report.record)
    finally:
        outputs.close()
    report = report.with_warnings(outputs.warnings())
    saved = save(report, folder.path)
    show_report(report, settings, json=json)
    return fleet_exit_code(report) if saved else EXIT_OURS


def save(report: Report, folder: Path | None) -> bool:
    """Saves a report, or says why not: what a run cost is shown in any case."""
    if folder is None:
        return True
    try:
        report.save(folder)
    except MaxwellError as error:
        print_maxwell_error(error)
        return False
    return True


def show_report(report: Report, settings: Settings, *, json: bool) -> None:
    """Prints the report of a fleet: the table, the account, warnings, where to look next."""
    if json:
        sys.stdout.write(report.to_text())
    else:
        width = stdout_console().width
        print_data(run_line(report.record))
        print_data("")
        print_data(report_table(report, width=width))
        print_data("")
        print_data(summary(report))
    for warning in report.warnings:
        print_warning(warning)
    if report.run_dir is None or settings.quiet:
        return
    print_note(f"run folder: {report.run_dir}")
    failed = [p.name for p in report.record.processes if p.outcome != "finished"]
    for name in failed[:HINTS_MAX]:
        print_hint(f"`maxwell why {quoted(name)} --run {quoted(str(report.run_dir))}`")


def fleet_exit_code(report: Report) -> int:
    """Returns 0 whatever became of the processes; not when the figures cannot be trusted."""
    if not report.conservation_ok:
        return EXIT_OURS
    return EXIT_INTERRUPTED if report.record.interrupted else EXIT_OK


def single_exit_code(report: Report) -> int:
    """Returns the guest's own exit code, or what its outcome stands for."""
    if not report.conservation_ok:
        return EXIT_OURS
    if report.record.interrupted:
        return EXIT_INTERRUPTED
    process = report.record.processes[0]
    if process.outcome == "finished":
        # The system keeps eight bits of an exit code.
        return (process.exit_code or 0) & 0xFF
    return OUTCOME_EXITS[process.outcome]


def quoted(word: str) -> str:
    """Quotes a word for a shell."""
    from shlex import quote

    return quote(word)
