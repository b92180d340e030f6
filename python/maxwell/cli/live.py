"""What a run shows while it goes on: a table on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, Self

from maxwell.cli.console import print_note, stderr_console
from maxwell.cli.screen import Screen
from maxwell.observe.table import heat_text, live_table
from maxwell.observe.text import joules, price, seconds, watts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from maxwell.cli.settings import Settings
    from maxwell.node.admission import Compiling
    from maxwell.node.record import ProcessRecord, RunRecord
    from maxwell.node.view import NodeView, ProcessView

NS: Final = 1_000_000_000

REFRESH_NS: Final = 200_000_000
"""The table is drawn five times a second: 3 ms each, 1.5 % of one core."""

LINE_NS: Final = NS
"""Without a terminal, one line a second."""

PRICES_MAX: Final = 240
"""Epochs that the course of the price covers: 24 s."""

ROWS_MAX: Final = 40
FRAME_ROWS: Final = 9
"""Rows of the terminal that are not processes."""


class Observer(Protocol):
    """Sees each epoch of a run."""

    def on_compile(self, module: Compiling) -> None:
        """Takes a compilation that the run waits for, before its first epoch."""
        ...

    def on_view(self, view: NodeView) -> None:
        """Takes one epoch."""
        ...

    def on_end(self, record: RunRecord) -> None:
        """Takes the end of the run."""
        ...

    def __enter__(self) -> Self:
        """Starts showing."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops showing and leaves the terminal as it was."""
        ...


class SilentObserver:
    """Shows nothing."""

    def on_compile(self, module: Compiling) -> None:
        """Takes a compilation."""

    def on_view(self, view: NodeView) -> None:
        """Takes one epoch."""

    def on_end(self, record: RunRecord) -> None:
        """Takes the end of the run."""

    def __enter__(self) -> Self:
        """Does nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Does nothing."""


class LineObserver(SilentObserver):
    """Writes a line a second and a line a death.

    Args:
        title: Written when the run is under way: a fleet that is refused has not run.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._next_ns = LINE_NS
        self._dead: set[str] = set()

    def on_compile(self, module: Compiling) -> None:
        """Writes what is waited for."""
        print_note(compiling(module))

    def on_view(self, view: NodeView) -> None:
        """Takes one epoch."""
        self._write_title()
        self._note_deaths(view.elapsed_ns, view.processes)
        if view.elapsed_ns >= self._next_ns:
            self._next_ns = (view.elapsed_ns // LINE_NS + 1) * LINE_NS
            alive = len(view.processes) - len(self._dead)
            print_note(
                f"{view.elapsed_ns / NS:7.1f} s  price {price(view.price_ppm)}  "
                f"power {watts(view.power_mw)}  processes {joules(view.energy.processes)}  "
                f"alive {alive} of {len(view.processes)}"
                + ("" if view.heat is None else f"  heat {heat_text(view.heat)}")
            )

    def on_end(self, record: RunRecord) -> None:
        """Writes the deaths that no epoch showed."""
        self._write_title()
        self._note_deaths(record.wall_ns, record.processes)

    def _write_title(self) -> None:
        if self._title:
            print_note(self._title)
            self._title = ""

    def _note_deaths(
        self, now_ns: int, processes: Sequence[ProcessView] | Sequence[ProcessRecord]
    ) -> None:
        """Writes a line for each death that was not written yet."""
        for process in processes:
            if process.outcome is not None and process.name not in self._dead:
                self._dead.add(process.name)
                outcome = process.outcome.replace("_", " ")
                reason = f": {process.reason}" if process.reason else ""
                print_note(f"{now_ns / NS:7.1f} s  {process.name} {outcome}{reason}")


class TableObserver(SilentObserver):
    """Draws the live table in place; what it drew is gone when the run ends.

    Args:
        title: Written above the table when the run is under way.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = stderr_console()
        self._screen = Screen(self._console)
        self._prices: deque[int] = deque(maxlen=PRICES_MAX)
        self._drawn_ns = -REFRESH_NS

    def on_compile(self, module: Compiling) -> None:
        """Draws what is waited for, where the table will be."""
        self._screen.draw(compiling(module))

    def on_view(self, view: NodeView) -> None:
        """Takes one epoch."""
        self._prices.append(view.price_ppm)
        if view.elapsed_ns - self._drawn_ns < REFRESH_NS:
            return
        self._drawn_ns = view.elapsed_ns
        self._write_title()
        size = self._console.size
        table = live_table(
            view,
            list(self._prices),
            width=size.width,
            rows_max=max(1, min(ROWS_MAX, size.height - FRAME_ROWS)),
        )
        self._screen.draw(table)

    def on_end(self, record: RunRecord) -> None:
        """Writes the title of a run that was too short to be drawn."""
        self._write_title()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the table."""
        self._screen.clear()

    def _write_title(self) -> None:
        if self._title:
            self._screen.clear()
            print_note(self._title)
            self._title = ""


class CompileLine:
    """Tells on a terminal which compilation a single module waits for; gone when it runs."""

    def __init__(self, settings: Settings) -> None:
        console = stderr_console()
        shown = console.is_terminal and not console.is_dumb_terminal and not settings.quiet
        self._screen = Screen(console) if shown and settings.progress else None

    def draw(self, module: Compiling) -> None:
        """Draws the line."""
        if self._screen is not None:
            self._screen.draw(compiling(module))

    def clear(self) -> None:
        """Removes the line."""
        if self._screen is not None:
            self._screen.clear()


def observer_for(settings: Settings, title: str) -> Observer:
    """Chooses how a run is shown; log lines and a table would draw over each other."""
    if settings.quiet:
        return SilentObserver()
    if not settings.progress:
        return SilentObserver()
    console = stderr_console()
    in_place = console.is_terminal and not console.is_dumb_terminal and not settings.verbose
    return TableObserver(title) if in_place else LineObserver(title)


def compiling(module: Compiling) -> str:
    """Writes which compilation a run waits for."""
    kept = "" if module.cache is None else f", kept in {module.cache}"
    return f"compiling {module.file} ({module.number} of {module.total}{kept})"


def header(name: str, processes: int, duration_ns: int | None) -> str:
    """Writes the line before a run."""
    limit = "" if duration_ns is None else f", at most {seconds(duration_ns / NS)}"
    return f"running {name}: {processes} {'process' if processes == 1 else 'processes'}{limit}"
