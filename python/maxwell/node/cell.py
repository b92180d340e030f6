"""The main program of a cell: `python -m maxwell.node.cell FD`.

It ignores the terminal's signals (the parent decides when a run ends) and hands its end of the
control pipe to the kernel, which returns when the parent stops it or goes away.
"""

from __future__ import annotations

import resource
import signal
import sys


def main(arguments: list[str]) -> int:
    """Runs a cell on the descriptor that the parent named; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    from maxwell._native import KernelError, run_cell

    try:
        run_cell(int(arguments[0]))
    except KernelError as error:
        sys.stderr.write(f"cell: {error.args[-1]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
