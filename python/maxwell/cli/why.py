"""`maxwell why`: how a process of a run ended."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from maxwell.cli.console import print_data, print_note, stdout_console
from maxwell.cli.running import RUNS_FOLDER, clock
from maxwell.cli.settings import Settings, common_options
from maxwell.observe.folder import RunFolder, latest_run_folder

run_option = click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run's folder.  [default: this folder if it holds a run, else the newest in ./runs]",
)
"""Names the run that a verb reads."""


def complete_process(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offers the processes of the run that the command line names."""
    del parameter
    from maxwell.errors import MaxwellError
    from maxwell.observe.report import Report

    try:
        report = Report.load(_run_folder(context.params.get("run")).path)
    except MaxwellError:
        return []
    return [
        CompletionItem(process.name, help=process.outcome)
        for process in report.record.processes
        if process.name.startswith(incomplete)
    ]


@click.command()
@click.argument("process", shell_complete=complete_process)
@run_option
@click.option("--json", is_flag=True, help="Print the explanation as JSON.")
@common_options
@click.pass_obj
def command(settings: Settings, *, process: str, run: Path | None, json: bool) -> int:
    """Explain how a process of a run ended.

    Its outcome, the rule behind it with the figures, its last bids and prices, the course of its
    purse, what it spent, and what would have kept it alive. Reads the run's folder only.
    """
    from maxwell.observe.explain import explain_process, explain_unfinished, explanation_json
    from maxwell.observe.explain_text import explanation_view
    from maxwell.observe.report import Report

    folder = chosen_run(run, settings)
    if folder.events.is_file() and not folder.report.exists():
        print_note(f"{folder.path}: no report: the run was killed, or is still under way")
        explanation = explain_unfinished(folder.events, process)
    else:
        explanation = explain_process(Report.load(folder.path), process)
    if json:
        import msgspec

        data = msgspec.json.encode(explanation_json(explanation))
        click.echo(msgspec.json.format(data, indent=2).decode())
    else:
        print_data(explanation_view(explanation, width=stdout_console().width))
    return 0


def chosen_run(run: Path | None, settings: Settings) -> RunFolder:
    """Returns the folder of the run to read; says which one it is when none was named.

    Raises:
        ConfigError: None was named and there is no run here.
    """
    folder = _run_folder(run)
    written_ns = folder.earlier_run_ns()
    if run is None and written_ns is not None and not settings.quiet:
        print_note(f"run: {folder.path} ({clock(written_ns)})")
    return folder


def _run_folder(run: Path | None) -> RunFolder:
    """Returns the run's folder, whether it, its report or nothing was named."""
    if run is not None:
        named = RunFolder(run.parent)
        return named if run.name == named.report.name else RunFolder(run)
    here = RunFolder(Path())
    if here.report.is_file():
        return here
    # In `runs` itself its folders are the runs.
    inside = Path.cwd().name == RUNS_FOLDER.name and not RUNS_FOLDER.is_dir()
    return latest_run_folder(Path() if inside else RUNS_FOLDER)
