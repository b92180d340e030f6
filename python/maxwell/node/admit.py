"""The admission process: `python -m maxwell.node.admit PARENT MODULE ARTIFACT [CACHE]`.

It checks and compiles one module under limits of its own (address space, CPU time), so that a
hostile module can exhaust this process and nothing else, and prints what it learnt as one JSON
object: `{"info": …}` or `{"error": [kind, message]}`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from maxwell.node.admission import AdmissionReply, ModuleInfo

ADDRESS_SPACE_BYTES_MAX: Final = 24 << 30
"""Compiling the largest known module (69 MB) takes about 4 GiB; reservations count as well."""
CPU_S_MAX: Final = 1_200
"""The same module takes 92 s of CPU time."""


PR_SET_PDEATHSIG: Final = 1
"""`prctl(2)`."""


def die_with_parent(parent: int) -> bool:
    """Asks to be killed when the process `parent` is; returns False when it has already gone.

    Compiling a large module takes minutes, for nobody once the parent is dead. Where the system
    refuses (it is Linux's own call), the limits on CPU time end it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def main(arguments: list[str]) -> int:
    """Admits one module; returns the exit code, 0 also for a refusal."""
    if not die_with_parent(int(arguments[0])):
        return 1
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from maxwell._native import KernelError, admit

    module, artifact = Path(arguments[1]), Path(arguments[2])
    cache = Path(arguments[3]) if len(arguments) > 3 else None
    try:
        found = admit(module.read_bytes(), artifact, cache_dir=cache)
    except KernelError as error:
        kind, message = error.args
        reply = AdmissionReply(error=(str(kind), str(message)))
    except OSError as error:
        reply = AdmissionReply(error=("io", f"cannot read {module}: {error.strerror}"))
    except MemoryError:
        reply = AdmissionReply(error=("over_limit", "compiling it needs too much memory"))
    else:
        fields = ModuleInfo.__struct_fields__
        reply = AdmissionReply(info=ModuleInfo(**{name: getattr(found, name) for name in fields}))
    sys.stdout.buffer.write(msgspec.json.encode(reply))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
