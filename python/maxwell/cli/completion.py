"""`maxwell completion`: what a shell needs to complete our words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from maxwell.cli.settings import Settings, common_options


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@click.pass_obj
def command(settings: Settings, *, shell: str) -> int:
    """Print a shell's completion script.

    \b
      bash   eval "$(maxwell completion bash)"     in ~/.bashrc
      zsh    eval "$(maxwell completion zsh)"      in ~/.zshrc
      fish   maxwell completion fish > ~/.config/fish/completions/maxwell.fish
    """  # noqa: D301 - click reads the character, which a raw text would not have
    from maxwell.cli.app import program

    del settings
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(program, {}, "maxwell", "_MAXWELL_COMPLETE").source())
    return 0
