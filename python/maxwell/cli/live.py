"""What a run shows while it goes on: a table on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, Self

from maxwell.cli.console import print_note, stderr_console
from maxwell.observe.table import live_table
from maxwell.observe.text import joules, price, seconds, watts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.live import Live

    from maxwell.cli.settings import Settings
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
FRAME_ROWS: Final = 8
"""Rows of the terminal that are not processes."""


class Observer(Protocol):
    """Sees each epoch of a run."""

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
    """Writes a line a second and a line a death."""

    def __init__(self) -> None:
        self._next_ns = LINE_NS
        self._dead: set[str] = set()

    def on_view(self, view: NodeView) -> None:
        """Takes one epoch."""
        self._note_deaths(view.elapsed_ns, view.processes)
        if view.elapsed_ns >= self._next_ns:
            self._next_ns = (view.elapsed_ns // LINE_NS + 1) * LINE_NS
            alive = len(view.processes) - len(self._dead)
            print_note(
                f"{view.elapsed_ns / NS:7.1f} s  price {price(view.price_ppm)}  "
                f"power {watts(view.power_mw)}  processes {joules(view.energy.processes)}  "
                f"alive {alive} of {len(view.processes)}"
            )

    def on_end(self, record: RunRecord) -> None:
        """Writes the deaths that no epoch showed."""
        self._note_deaths(record.wall_ns, record.processes)

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
    """Draws the live table in place; what it drew is gone when the run ends."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._prices: deque[int] = deque(maxlen=PRICES_MAX)
        self._drawn_ns = -REFRESH_NS
        self._live: Live | None = None

    def on_view(self, view: NodeView) -> None:
        """Takes one epoch."""
        self._prices.append(view.price_ppm)
        if self._live is None or view.elapsed_ns - self._drawn_ns < REFRESH_NS:
            return
        self._drawn_ns = view.elapsed_ns
        size = self._console.size
        table = live_table(
            view,
            list(self._prices),
            width=size.width,
            rows_max=max(1, min(ROWS_MAX, size.height - FRAME_ROWS)),
        )
        self._live.update(table, refresh=True)

    def __enter__(self) -> Self:
        """Starts drawing."""
        from rich.live import Live

        # No thread of rich's: the run itself says when to draw.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the table."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def observer_for(settings: Settings) -> Observer:
    """Chooses how a run is shown."""
    if settings.quiet or not settings.progress:
        return SilentObserver()
    return TableObserver() if stderr_console().is_terminal else LineObserver()


def header(name: str, processes: int, duration_ns: int | None) -> str:
    """Writes the line before a run."""
    limit = "until all have ended" if duration_ns is None else f"for {seconds(duration_ns / NS)}"
    return f"running {name}: {processes} {'process' if processes == 1 else 'processes'} {limit}"
