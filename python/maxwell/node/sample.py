"""The sample process: `python -m maxwell.node.sample`.

It reads a JSON list of `[path of a module, arguments]` from standard input and prints, for each,
`[metered_ns, unmetered_ns]` on a line, under limits of its own: guests run here without a meter.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from maxwell.node.power import sample

DATA_BYTES_MAX: Final = 1 << 30
CPU_S_MAX: Final = 5


def main() -> int:
    """Samples the programs; returns the exit code."""
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES_MAX, DATA_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    programs = msgspec.json.decode(sys.stdin.buffer.read(), type=list[tuple[str, list[str]]])
    for path, args in programs:
        times = sample(Path(path).read_bytes(), args)
        sys.stdout.buffer.write(msgspec.json.encode(times) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
