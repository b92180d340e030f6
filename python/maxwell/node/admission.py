"""Admission: each module is checked and compiled once, in a process of its own.

The parent starts at most one admission process per core, takes their answers and turns refusals
into `GuestError`. The price of admission does not depend on whether the cache was warm
(contract 10): see `admission_credits`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import GuestError, ModuleError
from maxwell.modules import make_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ADMISSION_S_MAX: Final = 1_500
"""Wall time of one admission; its CPU time is limited to 1,200 s by itself."""
BYTES_PER_CREDIT: Final = 64
REPLY_BYTES_MAX: Final = 1 << 20
COMPILED_FOLDER: Final = "compiled"
PATIENCE_S: Final = 1.0
"""An admission that takes longer compiles; one from the cache takes a fraction of it."""

_log = logging.getLogger(__name__)

KIND_CODES: Final = {
    "invalid_module": "MX1204",
    "unknown_import": "MX1205",
    "over_limit": "MX1206",
    "engine": "MX1207",
    "io": "MX1207",
    "bug": "MX1900",
}
"""Error codes of the kernel's kinds of refusal."""

HINTS: Final = {
    "invalid_module": "compile for wasm32-wasi (WASI preview 1), such as "
    "`python -m ziglang cc --target=wasm32-wasi`",
    "unknown_import": "guests may use WASI preview 1 and the `maxwell` module; rebuild without it",
    "over_limit": "the limits of admission are listed in SPECIFICATION.md",
}


class ModuleInfo(msgspec.Struct, frozen=True):
    """What admission learnt about a module; `maxwell._native.ModuleInfo`."""

    module_bytes: int
    functions: int
    function_bytes_max: int
    memory_bytes_min: int
    memory_bytes_max: int | None
    has_start: bool
    imports: list[str]
    counted: list[str]
    """Functions whose frees are counted, by the names that they were found by."""
    artifact_bytes: int
    cached: bool


class AdmissionReply(msgspec.Struct, frozen=True):
    """What an admission process answers."""

    info: ModuleInfo | None = None
    error: tuple[str, str] | None = None


class Admitted(msgspec.Struct, frozen=True):
    """A module that may run."""

    path: Path
    digest: str
    """`sha256:` and hex digits."""
    artifact: Path
    info: ModuleInfo

    @property
    def admission_credits(self) -> int:
        """The price of admission: 1 credit per 64 bytes of module, rounded up."""
        return -(-self.info.module_bytes // BYTES_PER_CREDIT)


class Compiling(msgspec.Struct, frozen=True, kw_only=True):
    """A compilation that a user waits for."""

    file: str
    """The module's file name."""
    number: int
    """Which one of `total` modules, from 1 on."""
    total: int
    cache: Path | None
    """Where the result is kept."""


class Admissions:
    """Admits modules and remembers them by their content.

    Args:
        folder: the run's private folder for compiled code.
        cache: Maxwell's cache folder; None compiles anew.
        environ: environment of the admission processes.
        on_compile: told of each module that is waited for, by the thread that calls `admit_all`.
    """

    def __init__(
        self,
        folder: Path,
        cache: Path | None,
        environ: Mapping[str, str],
        *,
        on_compile: Callable[[Compiling], None] | None = None,
    ) -> None:
        self._folder = folder
        self._on_compile = on_compile
        self._cache = None if cache is None else cache / COMPILED_FOLDER
        self._environ = dict(environ)
        self._known: dict[str, Admitted] = {}
        self._lock = threading.Lock()

    def admit_all(self, modules: Iterable[tuple[str, Path]]) -> dict[Path, Admitted]:
        """Admits the modules of several processes, in parallel.

        Args:
            modules: (name of a process, path of its module).

        Raises:
            ConfigError: MX1017 when the cache cannot be written to.
            GuestError: MX1204 to MX1207, naming the process and the file, for the first module
                that is refused.
            ModuleError: MX1101 when a file cannot be read.
        """
        if self._cache is not None:
            make_cache(self._cache)
        wanted = {path: name for name, path in reversed(list(modules))}
        with ThreadPoolExecutor(max_workers=max(1, os.cpu_count() or 1)) as pool:
            results = {
                path: pool.submit(self.admit, name, path)
                for path, name in sorted(wanted.items(), key=lambda item: item[1])
            }
            self._await(results)
            return {path: future.result() for path, future in results.items()}

    def _await(self, results: Mapping[Path, Future[Admitted]]) -> None:
        """Waits for all, and tells of the first that is still under way each time one is done."""
        told: Path | None = None
        pending = set(results.values())
        while pending:
            done, pending = wait(pending, timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
            if done or self._on_compile is None:
                continue
            path = next(path for path, future in results.items() if not future.done())
            if path != told:
                told = path
                self._on_compile(
                    Compiling(
                        file=path.name,
                        number=len(results) - len(pending) + 1,
                        total=len(results),
                        cache=self._cache,
                    )
                )

    def admit(self, name: str, path: Path) -> Admitted:
        """Admits the module of one process; see `admit_all`."""
        digest = _digest(path)
        with self._lock:
            known = self._known.get(digest)
        if known is None:
            artifact = self._folder / f"{digest}.cwasm"
            info = self._run(name, path, artifact)
            known = Admitted(path, f"sha256:{digest}", artifact, info)
            with self._lock:
                self._known[digest] = known
        return known

    def _run(self, name: str, path: Path, artifact: Path) -> ModuleInfo:
        command = [sys.executable, "-m", "maxwell.node.admit"]
        command += [str(os.getpid()), str(path), str(artifact)]
        if self._cache is not None:
            command.append(str(self._cache))
        started = time.monotonic()
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=self._environ,
                timeout=ADMISSION_S_MAX,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise GuestError(
                f"process {name!r}: {path}: compiling took more than {ADMISSION_S_MAX} s",
                code="MX1206",
                hint=HINTS["over_limit"],
            ) from error
        info = _read_reply(name, path, done.returncode, done.stdout, done.stderr)
        _log.info(
            "%s: %s in %.2f s",
            path.name,
            f"from the cache {self._cache}" if info.cached else "compiled",
            time.monotonic() - started,
        )
        _log.debug("%s: %s, digest %s", name, path, artifact.stem)
        return info


def _read_reply(name: str, path: Path, status: int, stdout: bytes, stderr: bytes) -> ModuleInfo:
    try:
        reply = msgspec.json.decode(stdout[:REPLY_BYTES_MAX], type=AdmissionReply)
    except msgspec.DecodeError:
        reply = AdmissionReply()
    if reply.info is not None:
        return reply.info
    if reply.error is None:
        last = stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        ended = f"was ended by signal {-status}" if status < 0 else f"exited with {status}"
        raise GuestError(
            f"process {name!r}: {path}: its admission {ended}{': ' + last if last else ''}",
            code="MX1206",
            hint="compiling it needs more memory or time than admission allows",
        )
    kind, message = reply.error
    # Names in a message are the module's own: they stay on one line.
    message = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in message
    )
    raise GuestError(
        f"process {name!r}: {path}: {message}",
        code=KIND_CODES.get(kind, "MX1207"),
        hint=HINTS.get(kind),
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModuleError(
            f"cannot read the module: {path}: {error.strerror}", code="MX1101"
        ) from error
