"""Options that every verb has: how much is shown, and how."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])


@dataclass
class Settings:
    """What the common options say; one object a command line."""

    quiet: bool = False
    """Only data, errors and warnings."""
    verbose: int = 0
    """1 logs what is done, 2 logs everything."""
    progress: bool = True
    """Whether a run shows itself while it goes on."""
    debug: bool = False
    """Whether an error shows its traceback."""

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads `MAXWELL_DEBUG`, `MAXWELL_QUIET` and `MAXWELL_NO_PROGRESS`; any value counts."""
        return cls(
            quiet=bool(os.environ.get("MAXWELL_QUIET")),
            progress=not os.environ.get("MAXWELL_NO_PROGRESS"),
            debug=bool(os.environ.get("MAXWELL_DEBUG")),
        )


def common_options(command: Command) -> Command:
    """Adds the options of `Settings` to a verb, or to the program itself."""
    for option in (
        click.option(
            "--debug", is_flag=True, expose_value=False, callback=_set("debug", True),
            help="Show the traceback of an error.",
        ),
        click.option(
            "--no-progress", is_flag=True, expose_value=False, callback=_set("progress", False),
            help="Show nothing while a run goes on.",
        ),
        click.option(
            "-v", "--verbose", count=True, expose_value=False, callback=_add_verbosity,
            help="Log what is done to standard error; -vv logs everything.",
        ),
        click.option(
            "-q", "--quiet", is_flag=True, expose_value=False, callback=_set("quiet", True),
            help="Print only data, warnings and errors.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _set(name: str, value: bool) -> Callable[[click.Context, click.Parameter, bool], None]:
    """Returns a callback that sets a setting when its flag is given, and leaves it otherwise."""

    def callback(context: click.Context, parameter: click.Parameter, given: bool) -> None:
        del parameter
        if given:
            setattr(context.ensure_object(Settings), name, value)

    return callback


def _add_verbosity(context: click.Context, parameter: click.Parameter, count: int) -> None:
    """Counts `-v` before and after the verb together."""
    del parameter
    context.ensure_object(Settings).verbose += count
