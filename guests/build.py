"""Builds Maxwell's own guests from C to WebAssembly with the `ziglang` wheel's C compiler.

Usage: `python guests/build.py [--out DIR] [--other-out DIR] [--force] [NAME ...]`

The sample guests, which the wheel ships, go to `python/maxwell/samples`; the others, which only
tests and benchmarks use, go to `build/guests`. Both folders are build products and never
committed. A guest is rebuilt only when its source, a header of `guests/sdk` or this script is
newer than its `.wasm`. The first build on a machine compiles the C library once (about 30 s).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

GUESTS = Path(__file__).resolve().parent
REPOSITORY = GUESTS.parent
SDK = GUESTS / "sdk"
SAMPLES_OUT = REPOSITORY / "python" / "maxwell" / "samples"
OTHERS_OUT = REPOSITORY / "build" / "guests"

SAMPLES = (
    "hello", "scientist", "leech", "imitator", "spin", "hog", "sleeper", "sieve",
    "learner", "copier", "noise", "looper",
    "tidy", "churner", "hoarder", "leaker",
    "thinker", "replayer", "substituter",
)  # fmt: skip
"""Guests that ship inside the wheel and that `samples:NAME.wasm` names."""

FREESTANDING = ("spin",)
"""Guests without a C library: no imports except those of `maxwell.h`."""

OPTIMISED_FOR_SPEED = (
    "sieve", "sha256", "matmul", "churn", "leech", "scientist", "learner",
    "tidy", "churner", "imitator",
)  # fmt: skip
"""Guests compiled with -O3 instead of -O2."""

COUNTED = ("churn", "tidy", "churner", "hoarder", "leaker")
"""Guests that export their allocator, so that what they free is counted (docs/concepts/erasure.md).
The others are stripped of all names, as most modules are."""

STACK_BYTES = 65536
"""The shadow stack of each guest. The linker's default of 16 MiB would be paid for in rent."""

COMPILER_TIMEOUT_S = 600
"""A cold C library build takes about 30 s on two cores; twenty times that is a hang."""

WASM_MAGIC = b"\0asm\x01\0\0\0"


class BuildError(Exception):
    """A guest could not be built. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Guest:
    """One guest: its name, its source file and the module it is compiled to."""

    name: str
    source: Path
    output: Path

    def is_fresh(self) -> bool:
        """Returns True when the output is newer than everything it is made from."""
        if not self.output.is_file():
            return False
        built = self.output.stat().st_mtime_ns
        inputs = [self.source, Path(__file__), *SDK.glob("*.h")]
        return all(path.stat().st_mtime_ns <= built for path in inputs)


def guests(samples_out: Path = SAMPLES_OUT, others_out: Path = OTHERS_OUT) -> list[Guest]:
    """Lists every guest in name order, with where its module goes."""
    found: list[Guest] = []
    for source in sorted(GUESTS.glob("*.c")):
        out = samples_out if source.stem in SAMPLES else others_out
        found.append(Guest(source.stem, source, out / f"{source.stem}.wasm"))
    missing = set(SAMPLES) - {guest.name for guest in found}
    if missing:
        raise BuildError(f"sample guests without a source: {', '.join(sorted(missing))}")
    return found


def compiler_command(guest: Guest, output: Path) -> list[str]:
    """Returns the command line that compiles `guest` to `output`."""
    command = [sys.executable, "-m", "ziglang", "cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    command.append("-O3" if guest.name in OPTIMISED_FOR_SPEED else "-O2")
    if guest.name in FREESTANDING:
        command += ["--target=wasm32-freestanding", "-nostdlib", "-Wl,--no-entry"]
    else:
        command.append("--target=wasm32-wasi")
    command.append(f"-Wl,-z,stack-size={STACK_BYTES}")
    if guest.name in COUNTED:
        command += ["-Wl,--export=free", "-Wl,--export=realloc"]
    return [*command, "-s", "-I", str(SDK), str(guest.source), "-o", str(output)]


def require_compiler() -> None:
    """Checks that the `ziglang` package is installed.

    Raises:
        BuildError: It is not; the hint says how to install it.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise BuildError(
            f"the C compiler for guests is missing: no module ziglang in {sys.executable}",
            "install it with `python -m pip install ziglang` (about 100 MB, no other dependency)",
        )


def build(guest: Guest) -> None:
    """Compiles one guest; the output appears whole or not at all.

    Raises:
        BuildError: The compiler failed; the message carries its diagnostics.
    """
    guest.output.parent.mkdir(parents=True, exist_ok=True)
    partial = guest.output.with_name(f".{guest.name}.{os.getpid()}.partial.wasm")
    try:
        # The command is ours, made of constants and of paths inside the repository.
        done = subprocess.run(  # noqa: S603
            compiler_command(guest, partial),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMPILER_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"compiling {guest.source} failed\n{done.stderr.strip()}")
        if not partial.is_file() or partial.read_bytes()[:8] != WASM_MAGIC:
            raise BuildError(f"compiling {guest.source} produced no WebAssembly module")
        partial.chmod(0o644)
        partial.replace(guest.output)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"compiling {guest.source} took over {COMPILER_TIMEOUT_S} s") from error
    finally:
        partial.unlink(missing_ok=True)


def build_all(chosen: list[Guest], *, force: bool = False) -> int:
    """Builds those of `chosen` that are stale; returns how many were built."""
    stale = [guest for guest in chosen if force or not guest.is_fresh()]
    if stale:
        require_compiler()
    for guest in stale:
        started = time.monotonic()
        build(guest)
        seconds = time.monotonic() - started
        size = guest.output.stat().st_size
        sys.stderr.write(f"guest {guest.name:12} {size:8,} bytes  {seconds:5.1f} s\n")
    return len(stale)


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line and builds; returns the exit code."""
    parser = argparse.ArgumentParser(description="Builds Maxwell's own guests.")
    parser.add_argument("--out", type=Path, default=SAMPLES_OUT, help="folder of the samples")
    parser.add_argument("--other-out", type=Path, default=OTHERS_OUT, help="folder of the others")
    parser.add_argument("--samples-only", action="store_true", help="build only the samples")
    parser.add_argument("--force", action="store_true", help="rebuild fresh guests too")
    parser.add_argument("names", nargs="*", metavar="NAME", help="guests to build (default: all)")
    options = parser.parse_args(arguments)
    names: list[str] = options.names
    try:
        known = guests(options.out, options.other_out)
        unknown = sorted(set(names) - {guest.name for guest in known})
        if unknown:
            listed = ", ".join(guest.name for guest in known)
            raise BuildError(f"unknown guest: {', '.join(unknown)}", f"known guests: {listed}")
        chosen = [
            guest
            for guest in known
            if (not names or guest.name in names)
            and (not options.samples_only or guest.name in SAMPLES)
        ]
        built = build_all(chosen, force=options.force)
    except BuildError as error:
        sys.stderr.write(f"error: {error}\n")
        if error.hint:
            sys.stderr.write(f"\nhint: {error.hint}\n")
        return 1
    sys.stderr.write(f"guests: {built} built, {len(chosen) - built} up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
