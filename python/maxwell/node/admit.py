"""The admission process: `python -m maxwell.node.admit MODULE ARTIFACT [CACHE]`.

It checks and compiles one module under limits of its own (address space, CPU time), so that a
hostile module can exhaust this process and nothing else, and prints what it learnt as one JSON
object: `{"info": …}` or `{"error": [kind, message]}`.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from maxwell.node.admission import AdmissionReply, ModuleInfo

ADDRESS_SPACE_BYTES_MAX: Final = 24 << 30
"""Compiling the largest known module (69 MB) takes about 4 GiB; reservations count as well."""
CPU_S_MAX: Final = 1_200
"""The same module takes 92 s of CPU time."""


def main(arguments: list[str]) -> int:
    """Admits one module; returns the exit code, 0 also for a refusal."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from maxwell._native import KernelError, admit

    module, artifact = Path(arguments[0]), Path(arguments[1])
    cache = Path(arguments[2]) if len(arguments) > 2 else None
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
