"""`maxwell lab`: experiments."""

from __future__ import annotations

import click

from maxwell.cli.lab_heat import command as heat


@click.group()
def command() -> None:
    """Run an experiment: simulated, deterministic, with figures."""


command.add_command(heat, "heat")
