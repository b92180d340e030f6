"""What is being done, for work of several stages: a spinner on a terminal, else a line a stage."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING

from maxwell.cli.console import print_note, stderr_console

if TYPE_CHECKING:
    from collections.abc import Generator

    from maxwell.cli.settings import Settings


class Stages:
    """Shows stages and keeps how long each took, in the order of their ends."""

    def __init__(self, settings: Settings) -> None:
        self._shown = settings.progress and not settings.quiet
        self.took_ns: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str, what: str) -> Generator[None]:
        """Shows `what` while the block runs, and books its time under `name`."""
        console = stderr_console()
        start = perf_counter_ns()
        if self._shown and console.is_terminal:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
            with Progress(*columns, console=console, transient=True) as progress:
                progress.add_task(what, total=None)
                yield
        else:
            if self._shown:
                print_note(f"{what} …")
            yield
        self.took_ns[name] = perf_counter_ns() - start
