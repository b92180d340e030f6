"""A report as HTML, for notebooks: a table of the processes and the plot of the run."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Final

from maxwell.observe.table import run_line
from maxwell.observe.text import joules, seconds, share

if TYPE_CHECKING:
    from maxwell.observe.report import Report

NS: Final = 1_000_000_000
ROWS_MAX: Final = 100

HEADER: Final = ("process", "outcome", "lived", "energy", "paid", "earned", "left", "results")


def report_html(report: Report) -> str:
    """Returns an HTML fragment without scripts; names of processes are escaped."""
    record = report.record
    rows = "".join(
        _row(
            (
                process.name,
                process.outcome.replace("_", " "),
                seconds((process.died_ns - process.born_ns) / NS),
                joules(process.energy_uj),
                joules(process.paid_credits),
                joules(process.earned_credits),
                joules(process.returned_credits),
                f"{process.results:,}",
            )
        )
        for process in record.processes[:ROWS_MAX]
    )
    head = "".join(f"<th>{title}</th>" for title in HEADER)
    interval = record.interval_uj / record.energy.metered if record.energy.metered else 0.0
    account = (
        f"conservation: {'ok' if record.conservation_ok else 'FAILED'}; "
        f"{joules(record.energy.metered)} {record.provenance}, ±{share(interval)}"
    )
    warnings = "".join(f"<li>{escape(text)}</li>" for text in report.warnings)
    return (
        f"<div><p>{escape(run_line(record))}<br>{escape(account)}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{f'<ul>{warnings}</ul>' if warnings else ''}{_plot(report)}</div>"
    )


def _row(cells: tuple[str, ...]) -> str:
    """Returns a row of the table."""
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _plot(report: Report) -> str:
    """Returns the plot as an image, so that its styles and ids stay its own."""
    from maxwell.observe.prices import prices_svg

    if not report.history.node:
        return ""
    data = base64.b64encode(prices_svg(report.history, report.record)).decode()
    return f'<img alt="price, purses and power over time" src="data:image/svg+xml;base64,{data}">'
