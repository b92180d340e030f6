"""The command line: one file a verb, rendering only. `main` is the entry point `maxwell`.

Data goes to standard output, everything else to standard error. Nothing heavy is imported before
the verb is known: `maxwell --version` answers without importing click.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Without the program's name; those of this process when None.

    Returns:
        The exit code of docs/reference/exit-codes.md.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given in (["--version"], ["-V"]):
        sys.stdout.write(f"maxwell {__version__}\n")
        return 0
    from maxwell.cli.app import run_command_line

    return run_command_line(given)
