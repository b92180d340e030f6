"""`maxwell demo`: the samples in the wheel against each other."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import click

from maxwell.cli.logging_setup import start_logging
from maxwell.cli.running import fleet_folder, run_and_show
from maxwell.cli.settings import Settings, common_options


@click.command()
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Seed of the auction.")
@click.option("--cells", type=click.IntRange(1), metavar="N", help="Cores that guests run on.")
@click.option("--deterministic", is_flag=True, help="Equal runs give equal results, bit by bit.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run's folder; an earlier run in it is replaced.  [default: runs/demo-N]",
)
@click.option("--json", is_flag=True, help="Print the report as JSON to standard output.")
@click.option("--print-fleet", is_flag=True, help="Print the demo's fleet file and stop.")
@common_options
@click.pass_obj
def command(
    settings: Settings,
    *,
    seed: int | None,
    cells: int | None,
    deterministic: bool,
    out: Path | None,
    json: bool,
    print_fleet: bool,
) -> int:
    """Run the samples against each other for six seconds.

    A scientist earns its way, a hash miner and an endless loop go bankrupt, a memory hog is
    evicted by rent, a sleeper costs almost nothing. Needs no network and no other files.
    """
    from maxwell.config import parse_fleet

    start_logging(settings)
    text = demo_text()
    if print_fleet:
        click.echo(text, nl=False)
        return 0
    overrides: dict[str, object] = {
        key: value
        for key, value in (
            ("seed", seed),
            ("cells", cells),
            ("deterministic", deterministic or None),
        )
        if value is not None
    }
    config = parse_fleet(
        tomllib.loads(text, parse_float=Decimal), Path.cwd(), node_overrides=overrides
    )
    return run_and_show(config, "the demo", fleet_folder(out, "demo"), settings, json=json)


def demo_text() -> str:
    """Returns the demo's fleet file."""
    return files("maxwell.cli").joinpath("demo.toml").read_text(encoding="utf-8")
