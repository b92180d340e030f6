"""The figure of thinker-vs-miner: purses over time, and where each guest's joules went.

Deterministic: equal figures give equal files, byte for byte, with the same version of matplotlib.
"""

# pyright: reportUnknownMemberType=false
# The keyword arguments of matplotlib's drawing methods have no types.

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, cast

from maxwell.lab.thinking import KINDS
from maxwell.observe.prices import COLOURS, FAINT, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from maxwell.lab.thinking import ThinkerVsMiner, Thinking

WIDTH_IN: Final = 9.6
HEIGHT_IN: Final = 4.2
MARGINS: Final = {"left": 0.07, "right": 0.985, "top": 0.91, "bottom": 0.125, "wspace": 0.22}
_J: Final = 1e6


def figure_svg(found: ThinkerVsMiner) -> bytes:
    """Draws the experiment: left the purses of all seeds, right what joules were spent on."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(cast(dict[Any, Any], STYLE)):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        FigureCanvasSVG(figure)
        grid = figure.add_gridspec(1, 2, **MARGINS)
        _draw_purses(figure.add_subplot(grid[0]), found)
        _draw_joules(figure.add_subplot(grid[1]), found)
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "Maxwell"})
    return buffer.getvalue()


def _draw_purses(axes: Axes, found: ThinkerVsMiner) -> None:
    for index, kind in enumerate(KINDS):
        for number, guest in enumerate(found.of(kind)):
            axes.plot(
                [t_ns / 1e9 for t_ns, _ in guest.purse],
                [max(credits, 100) / _J for _, credits in guest.purse],
                color=COLOURS[index % len(COLOURS)],
                linewidth=1.2,
                label=kind if number == 0 else None,
            )
    axes.set_yscale("log")
    axes.set_title("purse, J, over seconds: it ends where the guest does")
    axes.legend(frameon=False, fontsize=8)


def _draw_joules(axes: Axes, found: ThinkerVsMiner) -> None:
    count = len(found.runs)
    below = [0.0] * len(KINDS)
    for label, colour, part in (
        ("own instructions", FAINT, _own_uj),
        ("inferences", COLOURS[0], _inference_uj),
        ("proofs and checks", COLOURS[1], _proof_uj),
    ):
        sums = [sum(part(guest) for guest in found.of(kind)) / count / _J for kind in KINDS]
        axes.bar(KINDS, sums, bottom=below, color=colour, width=0.5, label=label)
        below = [low + more for low, more in zip(below, sums, strict=True)]
    earned = [sum(g.earned_credits for g in found.of(kind)) / count / _J for kind in KINDS]
    axes.plot(KINDS, earned, color=COLOURS[2], marker="D", linewidth=0, label="earned")
    axes.set_title("joules burned and credits earned, mean of a run")
    axes.legend(frameon=False, fontsize=8)


def _own_uj(guest: Thinking) -> int:
    return guest.energy_uj - guest.inference_uj - guest.proof_uj


def _inference_uj(guest: Thinking) -> int:
    return guest.inference_uj


def _proof_uj(guest: Thinking) -> int:
    return guest.proof_uj
