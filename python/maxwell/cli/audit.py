"""`maxwell audit`: whether a run's folder is what its node signed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from maxwell.cli.console import print_data, print_error
from maxwell.cli.running import RUNS_FOLDER
from maxwell.cli.settings import Settings, common_options
from maxwell.observe.folder import latest_run_folder

if TYPE_CHECKING:
    from maxwell.token.audit import Audit

EXIT_VIOLATION: Final = 1
SCHEMA: Final = "maxwell.audit/1"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
@click.option("--key", metavar="KEY", help="The node's public key, as `maxwell key` prints it.")
@click.option("--json", is_flag=True, help="Print what was found as JSON.")
@common_options
@click.pass_obj
def command(settings: Settings, *, folder: Path | None, key: str | None, json: bool) -> int:
    """Check that a run's folder is what its node signed.

    Signatures, chains, sums, conservation, the report and the events, from the folder's files
    alone (the newest run in ./runs by default). Names the first violation and exits with 1.
    Without --key it trusts the key that it finds in the folder.
    """
    from maxwell.token.audit import audit_folder
    from maxwell.token.key import read_public_key

    public_key = None if key is None else read_public_key(key)
    path = latest_run_folder(RUNS_FOLDER).path if folder is None else folder
    audit = audit_folder(path, key=public_key)
    if json:
        import msgspec

        fields = {"schema": SCHEMA, "ok": audit.holds, **msgspec.structs.asdict(audit)}
        click.echo(msgspec.json.format(msgspec.json.encode(fields), indent=2).decode())
    else:
        _show(audit, settings)
    return 0 if audit.holds else EXIT_VIOLATION


def _show(audit: Audit, settings: Settings) -> None:
    from rich.table import Table
    from rich.text import Text

    if not settings.quiet:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for check in audit.checks:
            table.add_row(check.name, Text("ok", "green"), check.detail)
        print_data(table)
    if audit.violation is not None:
        print_error(
            f"{audit.folder} does not verify: {audit.violation.message}",
            f"`maxwell explain {audit.violation.code}` says what that can mean",
            code=audit.violation.code,
        )
