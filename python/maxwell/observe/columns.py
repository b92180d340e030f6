"""Tables that fit: columns give way by their rank until the rest fits the terminal's width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from rich.table import Table

GAP: int = 2
"""Blanks between columns."""

NAME_WIDTH_MAX: int = 28
"""Longer names are cut in the middle."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column, with its cells."""

    title: str
    cells: Sequence[str]
    rank: int
    """Columns of the highest rank are the first to go; rank 0 stays."""
    justify: Literal["left", "right"] = "right"
    fixed: int | None = None
    """Characters of the column whatever its cells hold: a table that is drawn again and again
    keeps its shape. None takes what the widest cell needs."""

    @property
    def width(self) -> int:
        """Characters that the column takes."""
        if self.fixed is not None:
            return max(len(self.title), self.fixed)
        return max(len(self.title), *(len(cell) for cell in self.cells), 1)


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Returns the columns that fit into `width` characters together, in their order."""
    kept = list(columns)
    while sum(column.width + GAP for column in kept) > width:
        droppable = [column for column in kept if column.rank > 0]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda column: column.rank))
    return kept


def build_table(columns: Sequence[Column], *, styles: Sequence[str], width: int) -> Table:
    """Returns a table without borders.

    Args:
        columns: The columns; all have as many cells as there are styles.
        styles: A style a row.
        width: Characters of the terminal.
    """
    from rich.table import Table

    assert all(len(column.cells) == len(styles) for column in columns)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    kept = fitting(columns, width)
    for column in kept:
        table.add_column(
            column.title,
            justify=column.justify,
            no_wrap=True,
            overflow="ellipsis",
            width=None if column.fixed is None else column.width,
        )
    for index, style in enumerate(styles):
        table.add_row(*(column.cells[index] for column in kept), style=style)
    return table


def short_name(name: str, width: int = NAME_WIDTH_MAX) -> str:
    """Cuts a long name in its middle, since numbered names differ at their end.

    >>> short_name("a-very-long-name-of-a-process-12", 12)
    'a-ver…ess-12'
    """
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[head + 1 - width :]}"
