"""The figure of the experiment: the ratio and the parasites' share against the number of leeches.

Deterministic: equal figures give equal files, byte for byte, with the same version of matplotlib.
"""

# pyright: reportUnknownMemberType=false
# The keyword arguments of matplotlib's drawing methods have no types.

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, cast

from maxwell.observe.prices import COLOURS, FAINT, GRID, INK, STYLE

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from maxwell.lab.sweep import Row, Sweep

WIDTH_IN: Final = 9.6
HEIGHT_IN: Final = 4.2
MARGINS: Final = {"left": 0.065, "right": 0.975, "top": 0.91, "bottom": 0.125, "wspace": 0.2}
MARKERS: Final = ("o", "s", "^", "D", "v", "P")


def save_figure(path: Path, found: Sweep) -> None:
    """Draws a sweep as SVG, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(figure_svg(found))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def figure_svg(found: Sweep) -> bytes:
    """Draws a sweep: left the ratios under their ceiling, right where the joules went."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(cast(dict[Any, Any], STYLE)):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        FigureCanvasSVG(figure)
        grid = figure.add_gridspec(1, 2, **MARGINS)
        rows = _main_rows(found)
        _draw_ratios(figure.add_subplot(grid[0]), rows)
        _draw_shares(figure.add_subplot(grid[1]), rows)
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "Maxwell"})
    return buffer.getvalue()


def _main_rows(found: Sweep) -> list[Row]:
    """The rows of the kind that was run with every number of leeches."""
    rows = list(found.rows)
    counts: dict[str, set[int]] = {}
    for row in rows:
        counts.setdefault(row.kind, set()).add(row.leeches)
    if not counts:
        return []
    most = max(counts, key=lambda kind: len(counts[kind]))
    return [row for row in rows if row.kind == most]


def _draw_ratios(axes: Axes, rows: list[Row]) -> None:
    """Draws our results per joule over each baseline's, and the ceiling N + 1."""
    numbers = sorted({row.leeches for row in rows}) or [0, 1]
    axes.plot(numbers, [n + 1 for n in numbers], color=INK, linewidth=1.0, label="ceiling, N + 1")
    axes.plot(
        numbers,
        [0.9 * (n + 1) for n in numbers],
        color=FAINT,
        linewidth=1.0,
        linestyle=(0, (4, 3)),
        label="0.9 · (N + 1)",
    )
    for index, baseline in enumerate(dict.fromkeys(row.baseline for row in rows)):
        own = sorted((row for row in rows if row.baseline == baseline), key=lambda r: r.leeches)
        # Beside each other, where they would hide each other.
        shift = 0.07 * (index - 2)
        axes.errorbar(
            [row.leeches + shift for row in own],
            [row.ratio.mean for row in own],
            yerr=[row.ratio.half_width or 0.0 for row in own],
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            linewidth=0,
            elinewidth=1.0,
            label=f"against {baseline}",
        )
    axes.set_title("verified results per joule, market over baseline")
    _finish(axes, numbers)


def _draw_shares(axes: Axes, rows: list[Row]) -> None:
    """Draws the parasites' share of joules: in the market, and in the metered baseline."""
    own = sorted((row for row in rows if row.baseline == "metered"), key=lambda r: r.leeches)
    numbers = [row.leeches for row in own] or [0, 1]
    for label, colour, values in (
        ("metered baseline", COLOURS[1], [row.baseline_parasite_share.mean for row in own]),
        ("market", COLOURS[0], [row.parasite_share.mean for row in own]),
    ):
        if own:
            shares = [100 * value for value in values]
            axes.plot(numbers, shares, color=colour, marker="o", markersize=4, label=label)
    axes.set_title("parasites' share of all joules [%]")
    axes.set_ylim(0, 100)
    _finish(axes, numbers)


def _finish(axes: Axes, numbers: list[int]) -> None:
    axes.set_xlabel("leeches per scientist, N")
    axes.set_xticks(numbers)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=2.5)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7.5, loc="upper left")
