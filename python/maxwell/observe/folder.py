"""The run folder: what a run leaves on disk, under one name.

`report.json` (the account), `events.jsonl` (what happened when), `prices.svg` (the picture),
`receipts.cbor` and `summary.cbor` (what the node signed), and `output/NAME.stdout` and
`output/NAME.stderr` (what the guests wrote, bounded).
"""

from __future__ import annotations

import re
import shutil
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

UNSAFE: Final = re.compile(r"[^A-Za-z0-9._+-]")


class RunFolder:
    """A folder for the files of one run.

    Args:
        path: The folder; `create` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

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

    def create(self) -> None:
        """Makes the folder ready for a run, before the run starts.

        An earlier run in it is replaced. A folder with anything else in it is refused, so that a
        mistyped `--out` never deletes a stranger's files.

        Raises:
            ConfigError: The folder holds other files, or cannot be created or written to.
        """
        files = (self.report, self.prices, self.events, self.receipts, self.summary)
        known = {OUTPUT_FOLDER, *(file.name for file in files)}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
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
            raise ConfigError(
                f"cannot write a run folder: {self.path}: {error.strerror}",
                hint="choose a folder that you can write to with `--out`",
            ) from error


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
    """Returns the first unused folder `parent/name-N`.

    Raises:
        ConfigError: All numbers are in use.
    """
    stem = file_name(name)
    try:
        used = {entry.name for entry in parent.iterdir()}
    except OSError:
        used = set[str]()
    for number in range(1, RUN_NUMBER_MAX + 1):
        if f"{stem}-{number}" not in used:
            return RunFolder(parent / f"{stem}-{number}")
    raise ConfigError(f"no unused run folder: {parent / stem}-1 to -{RUN_NUMBER_MAX} exist")


def latest_run_folder(parent: Path) -> RunFolder:
    """Returns the folder under `parent` whose report is the newest.

    Raises:
        ConfigError: There is none.
    """
    try:
        reports = [entry / REPORT_FILE for entry in parent.iterdir()]
        found = [(report.stat().st_mtime_ns, report) for report in reports if report.is_file()]
    except OSError:
        found = []
    if not found:
        raise ConfigError(
            f"no finished run: {parent} holds no {REPORT_FILE}",
            hint="name the run's folder with `--run DIR`",
        )
    return RunFolder(max(found)[1].parent)
