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

    from numpy.typing import NDArray

    from maxwell.heat.sim.engine import Simulation

NODES_MAX: Final = 100
BEFORE_S, AFTER_S = 5, 40
"""Seconds shown before and after the fault, one a frame."""
FRAME_MS: Final = 250
COOL_C, HOT_C = 55.0, 85.0
DPI: Final = 84
COLOURS: Final = 64
"""Of the palette: fewer make the file small."""


def animate(simulation: Simulation, path: Path) -> None:
    """Draws a finished run that kept its series as an animated GIF.

    Args:
        simulation: run with `keep_series`; at most the first hundred nodes are shown.
        path: ends in .gif.
    """
    from PIL import Image

    series, metrics = simulation.metrics.series, simulation.metrics
    assert series, "the run must keep its series"
    count = min(simulation.config.nodes, NODES_MAX)
    fault_s = simulation.config.scenario.settle_s
    trip_c = simulation.config.settings.trip_c
    frames: list[Image.Image] = []
    for at_s, temperature, price, load in series:
        if not fault_s - BEFORE_S <= at_s <= fault_s + AFTER_S:
            continue
        frame = _Frame(count)
        for i in range(count):
            share = min(float(load[i]) / simulation.plant.model.dynamic_w_max, 1.0)
            fails = i in simulation.failing
            frame.tile(i, float(temperature[i]), float(price[i]), share, fails=fails)
        for began_s, source, target, forced in metrics.moves_shown:
            if at_s - 1 < began_s <= at_s and source < count and target < count:
                frame.arrow(source, target, forced=forced)
        frame.caption(
            f"{simulation.config.scenario.name}: {at_s - fault_s:+.0f} s after the fault",
            f"hottest {float(np.max(temperature)):.0f} °C, trip {trip_c:.0f} °C",
        )
        frames.append(Image.fromarray(frame.pixels()).convert("RGB"))
    # One palette for all frames: what does not change then needs no bytes.
    width, height = frames[0].size
    strip = Image.new("RGB", (width, 3 * height))
    for k, at in enumerate((0, len(frames) // 3, 2 * len(frames) // 3)):
        strip.paste(frames[at], (0, k * height))
    palette = strip.quantize(COLOURS, dither=Image.Dither.NONE)
    frames = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, optimize=True
    )


class _Frame:
    """One second of a run."""

    def __init__(self, count: int) -> None:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as PlainFigure

        # Matplotlib's own types are incomplete here.
        figure = cast("Any", PlainFigure)
        self._columns = ceil(sqrt(count * 1.6))
        rows = ceil(count / self._columns)
        size = (0.62 * self._columns + 0.3, 0.62 * rows + 0.9)
        self._figure = figure(figsize=size, dpi=DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self._axis = self._figure.add_axes((0.01, 0.01, 0.98, 0.98))
        self._axis.set_xlim(-0.6, self._columns - 0.4)
        self._axis.set_ylim(rows - 0.35, -1.35)
        self._axis.axis("off")
        self._colours = cast("Any", colormaps["YlOrRd"])

    def tile(self, i: int, t_c: float, ln_price: float, load: float, *, fails: bool) -> None:
        """Draws a node; `load` is a share."""
        from matplotlib.patches import Rectangle

        x, y = i % self._columns, i // self._columns
        colour = self._colours((t_c - COOL_C) / (HOT_C - COOL_C))
        edge = "crimson" if fails else "lightgrey"
        corner = (x - 0.42, y - 0.42)
        self._axis.add_patch(
            Rectangle(corner, 0.84, 0.84, facecolor=colour, edgecolor=edge, linewidth=2)
        )
        self._axis.add_patch(Rectangle((x - 0.4, y + 0.32), 0.8 * load, 0.08, facecolor="black"))
        self._axis.text(x, y - 0.1, f"{t_c:.0f}", ha="center", va="center", fontsize=9)
        price = f"{ln_price:+.2f}" if isfinite(ln_price) else "closed"
        self._axis.text(x, y + 0.16, price, ha="center", va="center", fontsize=7)

    def arrow(self, source: int, target: int, *, forced: bool) -> None:
        """Draws a move."""
        style = {"arrowstyle": "->", "lw": 1.5, "color": "crimson" if forced else "dimgrey"}
        start = (source % self._columns, source // self._columns)
        end = (target % self._columns, target // self._columns)
        self._axis.annotate("", end, start, arrowprops=style)

    def caption(self, left: str, right: str) -> None:
        """Writes what and when above the tiles."""
        self._axis.text(-0.5, -1.05, left, fontsize=10, va="center")
        end = self._columns - 0.5
        self._axis.text(end, -1.05, right, fontsize=10, ha="right", va="center")
        key = "tile: die °C, ln price, bar: load; arrows: moves (red: evacuation)"
        self._axis.text(-0.5, -0.7, key, fontsize=7, va="center", color="dimgrey")

    def pixels(self) -> NDArray[np.uint8]:
        """Returns the picture, rows of red, green, blue and alpha."""
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())
