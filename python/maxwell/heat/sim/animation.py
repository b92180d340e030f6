"""An animated picture of a run: the nodes as a row of tiles, and what each says and sheds.

A small GIF that any browser shows. Colour is the die's temperature, the bar below a tile its load,
the dot its price; lines are moves that began since the last frame.
"""

from __future__ import annotations

from math import ceil, isfinite, sqrt
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.heat.sim.engine import Simulation

NODES_MAX: Final = 100
BEFORE_S, AFTER_S = 5, 40
"""Seconds shown before and after the fault, one a frame."""
FRAME_MS: Final = 250
COOL_C, HOT_C = 55.0, 90.0
DPI: Final = 72
COLOURS: Final = 48
"""Of the palette: fewer make the file small."""


def animate(simulation: Simulation, path: Path) -> None:
    """Draws a finished run that kept its series as an animated GIF.

    Args:
        simulation: run with `keep_series`; at most the first hundred nodes are shown.
        path: ends in .gif.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as PlainFigure
    from PIL import Image

    # Matplotlib's own types are incomplete here.
    Figure = cast("Any", PlainFigure)
    series = simulation.metrics.series
    assert series, "the run must keep its series"
    count = min(simulation.config.nodes, NODES_MAX)
    columns = ceil(sqrt(count * 1.6))
    rows = ceil(count / columns)
    fault_s = simulation.config.scenario.settle_s
    shown = [row for row in series if fault_s - BEFORE_S <= row[0] <= fault_s + AFTER_S]
    colours = cast("Any", colormaps["turbo"])
    frames: list[Image.Image] = []
    for at_s, temperature, price, load in shown:
        figure = Figure(figsize=(0.62 * columns + 0.3, 0.62 * rows + 0.9), dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        axis = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        axis.set_xlim(-0.6, columns - 0.4)
        axis.set_ylim(rows - 0.35, -1.35)
        axis.axis("off")
        for i in range(count):
            _tile(axis, i, columns, simulation, temperature[i], price[i], load[i], colours)
        for began_s, source, target, forced in simulation.metrics.moves_shown:
            if at_s - 1 < began_s <= at_s and source < count and target < count:
                x0, y0 = source % columns, source // columns
                x1, y1 = target % columns, target // columns
                style = "crimson" if forced else "dimgrey"
                axis.annotate(
                    "", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": style}
                )
        _caption(axis, simulation, at_s - fault_s, temperature, columns)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        frames.append(picture.quantize(COLOURS, dither=Image.Dither.NONE))
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, optimize=True
    )


def _tile(
    axis: Any, i: int, columns: int, simulation: Simulation, t_c: float, ln_price: float,
    load_w: float, colours: Any,
) -> None:  # fmt: skip
    x, y = i % columns, i // columns
    share = (t_c - COOL_C) / (HOT_C - COOL_C)
    edge = "crimson" if i in simulation.failing else "white"
    axis.add_patch(
        _rectangle((x - 0.42, y - 0.42), 0.84, 0.84, facecolor=colours(share), edgecolor=edge)
    )
    axis.text(x, y - 0.1, f"{t_c:.0f}", ha="center", va="center", fontsize=9, color="white")
    price = f"{ln_price:+.2f}" if isfinite(ln_price) else "closed"
    axis.text(x, y + 0.16, price, ha="center", va="center", fontsize=6, color="white")
    width = 0.8 * min(load_w / simulation.plant.model.dynamic_w_max, 1.0)
    axis.add_patch(_rectangle((x - 0.4, y + 0.32), width, 0.07, facecolor="white"))


def _rectangle(at: tuple[float, float], width: float, height: float, **style: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(at, width, height, linewidth=2 if "edgecolor" in style else 0, **style)


def _caption(axis: Any, simulation: Simulation, at_s: float, t_c: Any, columns: int) -> None:
    scenario = simulation.config.scenario.name
    left = f"{scenario}: {at_s:+.0f} s after the fault"
    right = f"hottest {float(np.max(t_c)):.0f} °C, trip {simulation.config.settings.trip_c:.0f} °C"
    axis.text(-0.5, -1.05, left, fontsize=10, va="center")
    axis.text(columns - 0.5, -1.05, right, fontsize=10, ha="right", va="center")
    axis.text(
        -0.5, -0.7, "tile: die °C, ln price, bar: load; arrows: moves (red: evacuation)",
        fontsize=7, va="center", color="dimgrey",
    )  # fmt: skip
