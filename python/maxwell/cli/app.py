"""The program: its verbs, its errors, its exit codes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from maxwell.cli.settings import Settings, common_options
from maxwell.errors import MaxwellError, near_miss
from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_USAGE: Final = 2
EXIT_OURS: Final = 125
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
"""128 + SIGPIPE: whoever read our output stopped reading."""


class Verb(NamedTuple):
    """Where a verb is, and what `--help` says of it without importing it."""

    module: str
    help: str


VERBS: Final = {
    "run": Verb("maxwell.cli.run", "Run a fleet file, or one WebAssembly module."),
    "why": Verb("maxwell.cli.why", "Explain how a process of a run ended."),
    "logs": Verb("maxwell.cli.logs", "Print what a process of a run wrote."),
    "audit": Verb("maxwell.cli.audit", "Check that a run's folder is what its node signed."),
    "receipt": Verb("maxwell.cli.receipt", "Verify, show and export receipts."),
    "key": Verb("maxwell.cli.key", "Print the public key that this node signs with."),
    "demo": Verb("maxwell.cli.demo", "Run the samples against each other for six seconds."),
    "lab": Verb("maxwell.cli.lab", "Run an experiment: what the market is worth, measured."),
    "model": Verb("maxwell.cli.model", "Import, inspect and register models for proofs."),
    "prove": Verb("maxwell.cli.prove", "Run a model on an input and write the proof."),
    "verify": Verb("maxwell.cli.verify", "Check a proof without running the model."),
    "doctor": Verb("maxwell.cli.doctor", "Show what this machine offers: cores, sensors, limits."),
    "explain": Verb("maxwell.cli.explain", "Explain an error code."),
    "completion": Verb("maxwell.cli.completion", "Print a shell's completion script."),
}
"""Each module defines `command`."""

ELSEWHERE: Final = {
    "ps": "`maxwell run` shows its processes while they run; `maxwell why NAME` explains one after",
    "top": "`maxwell run FLEET.toml` on a terminal is a live table of its processes",
    "ls": "runs are folders: `ls runs`; `maxwell why NAME --run runs/DIR` reads one",
    "stop": "Ctrl-C in the terminal of a run, or SIGTERM, ends it; everything is settled first",
    "kill": "Ctrl-C in the terminal of a run, or SIGTERM, ends it; everything is settled first",
    "report": "the report of a run is `report.json` in its folder; `maxwell why NAME` explains one",
}
"""Where to find what other programs have a verb for."""


class Program(click.Group):
    """A group that imports a verb when it is called, and knows near misses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the verbs in the order of their importance."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a verb."""
        del ctx
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = import_module(verb.module).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the verb; a file in its place is answered with `run`."""
        word = args[0] if args else ""
        if word == "help":
            if len(args) > 1:
                return self.resolve_command(ctx, [args[1], "--help"])
            click.echo(ctx.get_help())
            ctx.exit()
        if word in VERBS or word.startswith("-"):
            return super().resolve_command(ctx, args)
        if word.endswith((".toml", ".wasm")):
            hint = f"maxwell run {word}"
        elif word in ELSEWHERE:
            hint = ELSEWHERE[word]
        else:
            close = near_miss(word, VERBS)
            hint = f"did you mean `maxwell {close}`?" if close else f"verbs: {', '.join(VERBS)}"
        raise UnknownVerb(word, hint)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the verbs without importing them."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


class UnknownVerb(click.UsageError):
    """The first word is no verb."""

    def __init__(self, word: str, hint: str) -> None:
        super().__init__(f"no such verb: {word!r}")
        self.hint = hint


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    subcommand_metavar="VERB ...",
)
@click.version_option(__version__, "-V", "--version", message="maxwell %(version)s")
@common_options
@click.pass_context
def program(context: click.Context) -> None:
    """Maxwell, a thermodynamic hypervisor.

    WebAssembly guests pay for the joules they burn, slices of time are auctioned, and whoever
    cannot pay dies with a receipt that says why.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run_command_line(arguments: Sequence[str]) -> int:
    """Runs a command line and turns every failure into a message and an exit code."""
    settings = Settings.from_environment()
    try:
        code: object = program.main(
            args=list(arguments), prog_name="maxwell", standalone_mode=False, obj=settings
        )
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as error:
        # Click turns a broken pipe below a verb into `sys.exit(1)`.
        if isinstance(error, SystemExit) and error.code != 1:
            raise
        # Python flushes again at exit; nobody reads, so it may not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_PIPE
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return _usage(error, arguments)
    except MaxwellError as error:
        return _ours(error, settings)
    except Exception as error:
        return _bug(error, settings)
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, arguments: Sequence[str]) -> int:
    """Reports a command line that does not parse."""
    from maxwell.cli.console import print_error

    hint = getattr(error, "hint", None)
    if hint is None:
        verb = next((word for word in arguments if word in VERBS), "")
        hint = f"`{' '.join(filter(None, ('maxwell', verb, '--help')))}` lists the options"
    message = error.format_message().rstrip(".")
    print_error(message[:1].lower() + message[1:], str(hint), code="MX1019")
    return EXIT_USAGE


def _ours(error: MaxwellError, settings: Settings) -> int:
    """Reports an error that Maxwell raised on purpose."""
    from maxwell.cli.console import print_maxwell_error

    if settings.debug:
        _print_traceback()
    print_maxwell_error(error)
    return error.exit_code


def _bug(error: Exception, settings: Settings) -> int:
    """Reports an error that nobody expected."""
    from maxwell.cli.console import print_error

    if settings.debug:
        _print_traceback()
    print_error(
        f"BUG: {type(error).__name__}: {error}",
        "please report this; `--debug` shows where it happened",
        code="MX1900",
    )
    return EXIT_OURS


def _print_traceback() -> None:
    """Prints the traceback of the error in hand."""
    import traceback

    sys.stderr.write(traceback.format_exc())
