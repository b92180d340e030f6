"""`maxwell explain`: what an error code means."""

from __future__ import annotations

import click

from maxwell.cli.console import print_data
from maxwell.cli.settings import Settings, common_options
from maxwell.errors import EXPLANATIONS, explain


@click.command()
@click.argument("code", required=False)
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def command(settings: Settings, *, code: str | None, json: bool) -> int:
    """Explain an error code, such as MX1202; without a code, list all."""
    del settings
    shown = EXPLANATIONS if code is None else {code.strip().upper(): explain(code)}
    if json:
        import msgspec

        click.echo(msgspec.json.encode(shown))
        return 0
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, text in shown.items():
        table.add_row(key, text if code is not None else f"{text.split('. ')[0].rstrip('.')}.")
    print_data(table)
    return 0
