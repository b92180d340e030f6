"""`maxwell logs`: what a process of a run wrote."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TextIO

import click

from maxwell.cli.console import printable
from maxwell.cli.settings import Settings, common_options
from maxwell.cli.why import chosen_run, complete_process, run_option
from maxwell.errors import ConfigError, choices_hint

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.observe.folder import RunFolder

CHUNK_BYTES: Final = 1 << 20


@click.command()
@click.argument("process", shell_complete=complete_process)
@run_option
@common_options
@click.pass_obj
def command(settings: Settings, *, process: str, run: Path | None) -> int:
    """Print what a process of a run wrote.

    Its standard output goes to standard output, its standard error to standard error. A fleet run
    keeps 16 MiB of each; a single module's output is passed through and not kept.
    """
    folder = chosen_run(run, settings)
    files = [(folder.output_file(process, name), name) for name in ("stdout", "stderr")]
    kept = [(file, name) for file, name in files if file.is_file()]
    if not kept:
        raise _nothing(folder, process)
    for file, name in kept:
        _copy(file, sys.stdout if name == "stdout" else sys.stderr)
    return 0


def _copy(file: Path, target: TextIO) -> None:
    """Copies a file; on a terminal without the characters that command it."""
    with file.open("rb") as source:
        while data := source.read(CHUNK_BYTES):
            if target.isatty():
                target.write(printable(data.decode("utf-8", "replace")))
            else:
                target.flush()
                target.buffer.write(data)
    target.flush()


def _nothing(folder: RunFolder, process: str) -> ConfigError:
    """Says whether the process wrote nothing, or was never there."""
    from maxwell.observe.report import Report

    if folder.report.is_file():
        Report.load(folder.path).process(process)
        return ConfigError(
            f"no output of {process!r} in {folder.path}: it wrote nothing, or it ran as a single "
            "module, whose output is passed through",
            hint=f"`maxwell why {process}` tells its life",
        )
    wrote = sorted(file.stem for file in folder.output.glob("*.std*"))
    return ConfigError(
        f"no output of {process!r} in {folder.path}",
        code="MX1001",
        hint=choices_hint(process, wrote) if wrote else "no process of this run wrote anything",
    )
