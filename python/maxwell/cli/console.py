"""Where text goes: data to standard output, the rest to standard error, errors in one form."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from maxwell.errors import MaxwellError

WIDTH_WITHOUT_TERMINAL: Final = 120
"""Columns for files and pipes, where nobody's window is the limit."""


def stdout_console() -> Console:
    """Returns the console for data; without a terminal it writes plain text."""
    return _console(stderr=False)


def stderr_console() -> Console:
    """Returns the console for everything else."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    """Makes a console; rich honours NO_COLOR, TERM and COLUMNS by itself."""
    from os import environ

    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in environ else WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def print_data(renderable: RenderableType) -> None:
    """Prints data for people to standard output, without blanks at line ends."""
    console = stdout_console()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as capture:
        console.print(renderable)
    lines = (line.rstrip() for line in capture.get().splitlines())
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def printable(text: str) -> str:
    r"""Returns a text without the characters that command a terminal, which guests may choose.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def print_error(message: str, hint: str | None = None, *, code: str | None = None) -> None:
    """Prints `error: message`, then an empty line and `hint: …`, to standard error."""
    from rich.text import Text

    console = stderr_console()
    parts = Text.assemble(("error", "bold red"), f": {printable(message)}")
    if code is not None:
        parts.append(f" [{code}]", style="dim")
    console.print(parts, soft_wrap=True)
    if hint:
        console.print()
        print_hint(hint)


def print_maxwell_error(error: MaxwellError) -> None:
    """Prints an error of ours with its code and hint."""
    print_error(error.message, error.hint, code=error.code)


def print_warning(message: str) -> None:
    """Prints `warning: message` to standard error."""
    _labelled("warning", "bold yellow", message)


def print_hint(message: str) -> None:
    """Prints `hint: message` to standard error."""
    _labelled("hint", "bold cyan", message)


def print_note(message: str) -> None:
    """Prints a line to standard error."""
    from rich.text import Text

    stderr_console().print(Text(printable(message)), soft_wrap=True)


def _labelled(label: str, style: str, message: str) -> None:
    """Prints a line with a coloured label; the label alone carries the meaning."""
    from rich.text import Text

    text = Text.assemble((label, style), f": {printable(message)}")
    stderr_console().print(text, soft_wrap=True)
