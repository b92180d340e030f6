"""Running a fleet and showing what came of it: what `run` and `demo` share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
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
from maxwell.observe.folder import RunFolder, next_run_folder
from maxwell.observe.output import OutputFiles
from maxwell.observe.table import report_table, run_line, summary
from maxwell.observe.text import joules, watts

if TYPE_CHECKING:
    from maxwell.cli.settings import Settings
    from maxwell.config import FleetConfig
    from maxwell.node.view import NodeView
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

ASKED_OUTCOMES: Final = frozenset({"bankrupt", "trapped", "out_of_memory", "lost"})
"""Ends that ask for an explanation; who was stopped by the run's end or by hand needs none."""

HINTS_MAX: Final = 3
"""Processes that a fleet's report suggests to ask `maxwell why` about."""

OnOutput = Callable[[str, str, bytes, int], None]
"""Takes process, stream, data, and how many bytes were lost before it."""


def run_and_show(
    config: FleetConfig,
    name: str,
    folder: RunFolder,
    settings: Settings,
    *,
    json: bool,
    metrics: Path | None = None,
) -> int:
    """Runs a fleet with a run folder, shows it, and returns the exit code.

    Raises:
        ConfigError: The folder cannot be written to; nothing has run then.
    """
    from maxwell.hypervisor import run_fleet

    exported = None
    if metrics is not None:
        from maxwell.observe.prometheus import PrometheusFile

        exported = PrometheusFile(metrics)
    create(folder, settings)
    title = header(name, len(config.processes), config.node.duration_ns)
    outputs = OutputFiles(folder)
    try:
        with observer_for(settings, title) as observer:

            def on_view(view: NodeView) -> None:
                observer.on_view(view)
                if exported is not None:
                    exported.on_view(view)

            report = run_fleet(
                config,
                out=folder.path,
                on_view=on_view,
                on_output=outputs.write,
                on_compile=observer.on_compile,
            )
            observer.on_end(report.record)
    except MaxwellError:
        folder.remove_unused()
        raise
    finally:
        outputs.close()
    report = report.with_warnings(outputs.warnings())
    saved = save(report, folder.path)
    folder.release()
    show_report(report, settings, power=power_text(config, report), json=json)
    return fleet_exit_code(report) if saved else EXIT_OURS


def fleet_folder(out: Path | None, name: str) -> RunFolder:
    """Returns the folder that was named, or the next number of `runs/NAME-N`."""
    return RunFolder(out) if out is not None else next_run_folder(RUNS_FOLDER, name)


def create(folder: RunFolder, settings: Settings) -> None:
    """Makes a run's folder, and says so when an earlier run is replaced.

    Raises:
        ConfigError: The folder cannot be used.
    """
    earlier_ns = folder.earlier_run_ns()
    folder.create()
    if earlier_ns is not None and not settings.quiet:
        print_note(f"{folder.path}: replacing the run of {clock(earlier_ns)}")


def clock(time_ns: int) -> str:
    """Writes a time of this day as hours and minutes, another one with its date."""
    then = datetime.fromtimestamp(time_ns / 1e9).astimezone()
    today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")


def power_text(config: FleetConfig, report: Report) -> str | None:
    """Writes what a power cap minted; None for a run with a budget."""
    cap_mw = config.node.power_mw
    if cap_mw is None:
        return None
    opening = config.opening_uj + config.escrows_uj
    minted = report.credits.minted - opening
    return (
        f"cap {watts(cap_mw)}: minted {joules(minted)} as income, "
        f"besides {joules(opening)} of opening funds and escrows"
    )


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


def show_report(
    report: Report, settings: Settings, *, json: bool, power: str | None = None
) -> None:
    """Prints the report of a fleet: the table, the account, warnings, where to look next.

    Args:
        report: What to show.
        settings: How much of it.
        json: Whether standard output gets `report.json` instead.
        power: What the power cap minted.
    """
    if json:
        sys.stdout.write(report.to_text())
    else:
        width = stdout_console().width
        print_data(run_line(report.record))
        print_data("")
        print_data(report_table(report, width=width))
        print_data("")
        print_data(summary(report, power=power))
    for warning in report.warnings:
        print_warning(warning)
    if report.run_dir is None or settings.quiet:
        return
    print_note(f"run folder: {report.run_dir}")
    failed = [p.name for p in report.record.processes if p.outcome in ASKED_OUTCOMES]
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
