"""The picture of a run: temperatures, prices and loads of all nodes, and the moves, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.heat.sim.engine import Simulation

NODES_DRAWN_MAX = 400


def draw(simulation: Simulation, path: Path) -> None:
    """Draws a finished run that kept its series.

    Args:
        simulation: run with `keep_series`.
        path: its ending chooses the format; an SVG is the same for the same run.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure as PlainFigure

    # Matplotlib's own types are incomplete here.
    Figure = cast("Any", PlainFigure)

    mpl.rcParams["svg.hashsalt"] = "maxwell"
    series = simulation.metrics.series
    assert series, "the run must keep its series"
    t = np.array([row[0] for row in series])
    count = simulation.config.nodes
    drawn = list(range(min(count, NODES_DRAWN_MAX)))
    failing = set(simulation.failing)
    temperature = np.array([row[1] for row in series])
    price = np.array([row[2] for row in series])
    price[~np.isfinite(price)] = np.nan
    load = np.array([row[3] for row in series])
    figure = Figure(figsize=(8, 9), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True)
    for i in drawn:
        style = {"color": "tab:red", "lw": 1.6, "zorder": 3} if i in failing else {
            "color": "tab:blue", "lw": 0.5, "alpha": 0.5}  # fmt: skip
        axes[0].plot(t, temperature[:, i], **style)
        axes[1].plot(t, price[:, i], **style)
        axes[2].plot(t, load[:, i], **style)
    axes[0].axhline(simulation.config.settings.trip_c, color="black", lw=0.8, ls="--")
    axes[0].set_ylabel("die, °C (dashed: trip)")
    axes[1].set_ylabel("ln price (gap: closed)")
    axes[2].set_ylabel("load, W")
    bins = np.arange(0, t[-1] + 2, 1.0)
    moves = [(at, forced) for at, _, _, forced in simulation.metrics.moves_shown]
    axes[3].hist(
        [[at for at, forced in moves if not forced], [at for at, forced in moves if forced]],
        bins=bins, stacked=True, color=["tab:blue", "tab:red"], label=["by price", "evacuation"],
    )  # fmt: skip
    axes[3].set_ylabel("moves per second")
    axes[3].set_xlabel("time, s")
    if moves:
        axes[3].legend(frameon=False)
    for axis in axes:
        axis.axvline(simulation.config.scenario.settle_s, color="grey", lw=0.8, ls=":")
    scenario, policy = simulation.config.scenario.name, simulation.config.policy.name
    figure.suptitle(
        f"{scenario}, {count} nodes, {policy}, seed {simulation.config.seed}; red: nodes that fail"
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
