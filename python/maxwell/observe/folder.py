"""The run folder: what a run leaves on disk, under one name.

`report.json` (the account), `events.jsonl` (what happened when), `prices.svg` (the picture),
`receipts.cbor` and `summary.cbor` (what the node signed), and `output/NAME.stdout` and
`output/NAME.stderr` (what the guests wrote, bounded).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from maxwell.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

REPORT_FILE: Final = "report.json"
EVENTS_FILE: Final = "events.jsonl"
PRICES_FILE: Final = "prices.svg"
RECEIPTS_FILE: Final = "receipts.cbor"
SUMMARY_FILE: Final = "summary.cbor"
OUTPUT_FOLDER: Final = "output"

RUN_NUMBER_MAX: Final = 99_999
"""Runs of one name in one folder."""

_log = logging.getLogger(__name__)

UNSAFE: Final = re.compile(r"[^A-Za-z0-9._+-]")


class RunFolder:
    """A folder for the files of one run.

    Args:
        path: The folder; `create` makes it and holds it until `release` or the end of this process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def report(self) -> Path:
        """`report.json`."""
        return self.path / REPORT_FILE

    @property
    def events(self) -> Path:
        """`events.jsonl`."""
        return self.path / EVENTS_FILE

    @property
    def prices(self) -> Path:
        """`prices.svg`."""
        return self.path / PRICES_FILE

    @property
    def receipts(self) -> Path:
        """`receipts.cbor`."""
        return self.path / RECEIPTS_FILE

    @property
    def summary(self) -> Path:
        """`summary.cbor`."""
        return self.path / SUMMARY_FILE

    @property
    def output(self) -> Path:
        """The folder of what guests wrote."""
        return self.path / OUTPUT_FOLDER

    def output_file(self, process: str, stream: str) -> Path:
        """Returns where one process's stream goes; any name gives a file inside the folder."""
        return self.output / f"{file_name(process)}.{stream}"

    def earlier_run_ns(self) -> int | None:
        """Returns when the run was written that `create` would replace; None when there is none."""
        return _written_ns(self.path)

    def create(self) -> None:
        """Makes the folder ready for a run, before the run starts, and holds it.

        An earlier run in it is replaced. A folder with anything else in it is refused, so that a
        mistyped `--out` never deletes a stranger's files, and so is one that another run holds.

        Raises:
            ConfigError: The folder holds other files, or cannot be created or written to; MX1018
                while another run writes to it.
        """
        files = (self.report, self.prices, self.events, self.receipts, self.summary)
        known = {OUTPUT_FOLDER, *(file.name for file in files)}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
            strangers = sorted(
                entry.name for entry in self.path.iterdir() if entry.name not in known
            )
            if strangers:
                raise ConfigError(
                    f"not a run folder: {self.path} holds {strangers[0]!r}",
                    hint="choose a new or empty folder with `--out`",
                )
            for file in files:
                file.unlink(missing_ok=True)
            if self.output.is_dir():
                shutil.rmtree(self.output)
            self.output.mkdir()
            self.events.touch()
        except OSError as error:
            self.release()
            raise _cannot_write(self.path, error) from error
        except ConfigError:
            self.release()
            raise
        _log.info("run folder %s", self.path)

    def remove_unused(self) -> None:
        """Removes the folder when its run never began; one with anything in it stays."""
        with suppress(OSError):
            if self.report.exists() or self.events.stat().st_size:
                return
            self.output.rmdir()
            for file in (self.events, self.receipts, self.summary):
                file.unlink(missing_ok=True)
            self.path.rmdir()

    def release(self) -> None:
        """Lets other runs have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        self.release()

    def _hold(self) -> None:
        """Locks the folder itself: nothing is left on disk, and the end of this process frees it.

        A file system without such locks (some network ones) is written to without.
        """
        if self._lock is not None:
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno == errno.EWOULDBLOCK:
                raise ConfigError(
                    f"another run is writing to {self.path}",
                    code="MX1018",
                    hint="wait for it, or choose another folder with `--out`",
                ) from error
            return
        self._lock = descriptor


def _cannot_write(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot write a run folder: {path}: {error.strerror}",
        hint="choose a folder that you can write to with `--out`",
    )


def _written_ns(path: Path) -> int | None:
    """Returns when a folder's report was written, or its events when it has none yet.

    None when it holds no run.
    """
    for name in (REPORT_FILE, EVENTS_FILE):
        try:
            status = (path / name).stat()
        except OSError:
            continue
        if status.st_size:
            return status.st_mtime_ns
    return None


def file_name(process: str) -> str:
    """Turns a process's name into a file's name; different names give different files.

    >>> file_name("nextpnr-1"), file_name("../x"), file_name(".")
    ('nextpnr-1', '..%2Fx', '%2E')
    """
    safe = UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), process)
    if safe.strip(".") == "":
        safe = safe.replace(".", "%2E")
    return safe


def next_run_folder(parent: Path, name: str) -> RunFolder:
    """Makes and returns the first unused folder `parent/name-N`; characters of a shell become `-`.

    Runs that start together get folders of their own: whoever makes the folder has it.

    Raises:
        ConfigError: All numbers are in use, or the folder cannot be made.
    """
    stem = UNSAFE.sub("-", name).strip(".-") or "run"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        used = {entry.name for entry in parent.iterdir()}
        for number in range(1, RUN_NUMBER_MAX + 1):
            path = parent / f"{stem}-{number}"
            if path.name in used:
                continue
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return RunFolder(path)
    except OSError as error:
        raise _cannot_write(parent, error) from error
    raise ConfigError(f"no unused run folder: {parent / stem}-1 to -{RUN_NUMBER_MAX} exist")


def latest_run_folder(parent: Path) -> RunFolder:
    """Returns the folder under `parent` whose run is the newest, finished or not.

    Raises:
        ConfigError: There is none.
    """
    try:
        found = [(_written_ns(entry), entry) for entry in parent.iterdir()]
    except OSError:
        found = []
    runs = [(written_ns, entry) for written_ns, entry in found if written_ns is not None]
    if not runs:
        raise ConfigError(
            f"no run: {parent} holds no folder with a {REPORT_FILE}",
            hint="name the run's folder with `--run DIR`",
        )
    return RunFolder(max(runs)[1])
