"""`maxwell lab`: experiments."""

from __future__ import annotations

import click

from maxwell.cli.lab_heat import command as heat
from maxwell.cli.settings import common_options


@click.group()
@common_options
def command() -> None:
    """Run an experiment: simulated, deterministic, with figures."""


command.add_command(heat, "heat")
