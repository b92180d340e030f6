"""`maxwell doctor`: what this machine offers."""

from __future__ import annotations

from typing import Final

import click

from maxwell.cli.console import print_data
from maxwell.cli.settings import Settings, common_options

EXIT_FAILED: Final = 125

STYLES: Final = {"ok": "green", "note": "cyan", "warning": "yellow", "failed": "bold red"}


@click.command()
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def command(settings: Settings, *, json: bool) -> int:
    """Show what this machine offers: cores, sensors, clock, limits, energy model.

    Changes nothing. Exits with 125 when something is missing that a run needs.
    """
    from maxwell.cli.checks import run_checks

    del settings
    checks = list(run_checks())
    if json:
        import msgspec

        data = msgspec.json.encode({"schema": "maxwell.doctor/1", "checks": checks})
        click.echo(msgspec.json.format(data, indent=2).decode())
    else:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column()
        for check in checks:
            table.add_row(check.name, Text(check.status, STYLES[check.status]), check.detail)
            if check.hint:
                table.add_row("", "", Text.assemble(("hint", "bold cyan"), f": {check.hint}"))
        print_data(table)
    return EXIT_FAILED if any(check.status == "failed" for check in checks) else 0
