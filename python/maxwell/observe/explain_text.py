"""An `Explanation` for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maxwell.observe.columns import Column, build_table
from maxwell.observe.table import OUTCOME_STYLES
from maxwell.observe.text import curve, joules, moment, price, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType
    from rich.text import Text

    from maxwell.observe.explain import Cost, Explanation
    from maxwell.observe.history import Sample

CURVE_HEIGHT: Final = 6
CURVE_WIDTH_MAX: Final = 72
AXIS_WIDTH: Final = 9
"""Characters left of the curve."""


def explanation_view(explanation: Explanation, *, width: int) -> RenderableType:
    """Draws an explanation.

    Args:
        explanation: What to draw.
        width: Characters of the terminal.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    style = OUTCOME_STYLES.get(explanation.outcome, "")
    parts: list[RenderableType] = [
        Text.assemble(
            (explanation.process, "bold"),
            ": ",
            (explanation.outcome.replace("_", " "), f"bold {style}"),
            f" at {moment(explanation.died_ns)}",
            f" ({explanation.reason})" if explanation.reason else "",
        )
    ]

    def section(title: str, body: Iterable[RenderableType]) -> None:
        lines = list(body)
        if lines:
            parts.extend(
                ["", Text(title, "bold"), *(Padding(line, (0, 0, 0, 2)) for line in lines)]
            )

    section("rule", [Text(explanation.rule)])
    section("what happened", [Text(text) for text in explanation.what_happened])
    section("purse over its life", _curve(explanation, width))
    section(
        "where the credits went", [_costs(explanation.costs, width)] if explanation.costs else []
    )
    section("last bids and prices", [_samples(explanation.last, width)] if explanation.last else [])
    section("what would have changed it", [_item(text) for text in explanation.counterfactuals])
    return Group(*parts)


def _item(text: str) -> Text:
    """Writes one alternative, its subject in bold."""
    from rich.text import Text

    subject, colon, rest = text.partition(": ")
    if not colon or " " in subject:
        return Text(text)
    return Text.assemble((subject, "bold"), colon, rest)


def _curve(explanation: Explanation, width: int) -> list[Text]:
    """Draws the purse from birth to death, with its scale."""
    from rich.text import Text

    points = explanation.balances
    if len(points) < 2:
        return []
    columns = max(min(width - AXIS_WIDTH - 4, CURVE_WIDTH_MAX), 10)
    # A short life is stretched: each epoch takes as many columns as fit.
    stretch = max(columns // len(points), 1)
    purses = [float(credits) for _, credits in points for _ in range(stretch)]
    lines = curve(purses, width=columns, height=CURVE_HEIGHT)
    top = joules(max(credits for _, credits in points))
    drawn: list[Text] = []
    for row, line in enumerate(lines):
        label = top if row == 0 else "0 J" if row == CURVE_HEIGHT - 1 else ""
        drawn.append(Text.assemble(f"{label:>{AXIS_WIDTH - 1}} ", (line, "cyan")))
    start, end = moment(points[0][0]), moment(explanation.died_ns)
    drawn_width = max(len(lines[0]), len(start) + len(end) + 1)
    drawn.append(Text(" " * AXIS_WIDTH + start + end.rjust(drawn_width - len(start)), style="dim"))
    return drawn


def _costs(costs: Sequence[Cost], width: int) -> RenderableType:
    """Draws what was spent."""
    columns = [
        Column(title="", cells=[cost.name for cost in costs], rank=0, justify="left"),
        Column(title="", cells=[joules(cost.credits) for cost in costs], rank=0),
        Column(title="", cells=[share(cost.ratio) for cost in costs], rank=0),
        Column(
            title="", cells=["█" * round(cost.ratio * 30) for cost in costs], rank=1, justify="left"
        ),
    ]
    table = build_table(columns, styles=[""] * len(costs), width=width)
    table.show_header = False
    return table


def _samples(samples: Sequence[Sample], width: int) -> RenderableType:
    """Draws the last epochs."""
    columns = [
        Column(title="time", cells=[moment(sample.t_ns) for sample in samples], rank=0),
        Column(title="state", cells=[sample.state for sample in samples], rank=1, justify="left"),
        Column(title="bid", cells=[price(sample.bid_ppm) for sample in samples], rank=0),
        Column(title="price", cells=[price(sample.price_ppm) for sample in samples], rank=0),
        Column(title="energy", cells=[joules(sample.energy_uj) for sample in samples], rank=2),
        Column(title="purse", cells=[joules(sample.balance_credits) for sample in samples], rank=0),
    ]
    return build_table(columns, styles=[""] * len(samples), width=width)
