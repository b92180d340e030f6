"""The report of a run: typed figures, `report.json`, `prices.svg`, and a view for notebooks."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from maxwell.errors import ConfigError, choices_hint
from maxwell.observe.folder import RunFolder
from maxwell.observe.report_json import report_from_json, report_text, report_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from maxwell.energy import EnergySplit
    from maxwell.market.ledger import Credits
    from maxwell.node.record import ProcessRecord, RunRecord
    from maxwell.observe.decimals import JsonValue
    from maxwell.observe.history import History

REPORT_BYTES_MAX: Final = 1024 * 1024 * 1024
"""A report has about 1 KiB a process; a larger file is no report."""

TEXT_WIDTH: Final = 100
"""Characters of a line of `str(report)`."""


class Report:
    """What a run cost and earned.

    Args:
        record: The figures.
        run_dir: Where the run's files are; None when it left none.
        warnings: Found after the record was made, such as lost events.
        seal: Signs the summary of the run over the bytes of `report.json`, and returns a warning
            when it cannot; None when the run keeps no receipts.
    """

    def __init__(
        self,
        record: RunRecord,
        *,
        run_dir: Path | None = None,
        warnings: tuple[str, ...] = (),
        seal: Callable[[bytes], str | None] | None = None,
    ) -> None:
        self._seal = seal
        self._record = record
        self._run_dir = run_dir
        self._later_warnings = warnings

    @property
    def record(self) -> RunRecord:
        """Every figure of the run."""
        return self._record

    @property
    def run_dir(self) -> Path | None:
        """Where the run's files are."""
        return self._run_dir

    @property
    def conservation_ok(self) -> bool:
        """Whether minted = held + leased + escrowed + burned + commons + expired held always."""
        return self._record.conservation_ok

    @property
    def energy(self) -> EnergySplit:
        """Where the node's microjoules went."""
        return self._record.energy

    @property
    def credits(self) -> Credits:
        """Where the minted credits are."""
        return self._record.credits

    @cached_property
    def processes(self) -> Mapping[str, ProcessRecord]:
        """The processes by name, in the fleet's order."""
        return MappingProxyType({process.name: process for process in self._record.processes})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before trusting the figures."""
        return (*self._record.warnings, *self._later_warnings)

    @cached_property
    def history(self) -> History:
        """The run over time, from `events.jsonl`; empty when the run left no file.

        Raises:
            ConfigError: The file is damaged before its last line.
        """
        from maxwell.observe.history import History, read_history

        if self._run_dir is None or not RunFolder(self._run_dir).events.is_file():
            return History()
        return read_history(RunFolder(self._run_dir).events)

    def process(self, name: str) -> ProcessRecord:
        """Returns the process of a name.

        Raises:
            ConfigError: MX1001 when the run had no such process.
        """
        found = self.processes.get(name)
        if found is None:
            raise ConfigError(
                f"no such process in this run: {name!r}",
                code="MX1001",
                hint=choices_hint(name, self.processes),
            )
        return found

    def to_json(self) -> dict[str, JsonValue]:
        """Returns the content of `report.json`, see docs/reference/report.schema.json."""
        return report_to_json(self._with_warnings())

    def to_text(self) -> str:
        """Returns the text of `report.json`."""
        return report_text(self._with_warnings())

    def save(self, run_dir: Path) -> None:
        """Writes `report.json`, whole or not at all, and `prices.svg` when there is a history.

        In the folder of its run the summary of the receipts is signed over it. A picture that
        cannot be drawn is a warning, not a failure: the figures matter more.

        Raises:
            ConfigError: `report.json` cannot be written.
        """
        folder = RunFolder(run_dir)
        self._run_dir = run_dir if self._run_dir is None else self._run_dir
        partial = run_dir / f".{folder.report.name}.{os.getpid()}"
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            text = self.to_text().encode()
            partial.write_bytes(text)
            partial.replace(folder.report)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise ConfigError(
                f"cannot write the report: {folder.report}: {error.strerror}",
                hint="free some space, or choose another folder with `--out`",
            ) from error
        if self._seal is not None and self._run_dir == run_dir:
            warning = self._seal(text)
            self._later_warnings += (warning,) if warning is not None else ()
        self._save_picture(folder)

    def _save_picture(self, folder: RunFolder) -> None:
        """Draws `prices.svg`, or warns that it could not."""
        from maxwell.observe.prices import save_prices

        try:
            if self.history.node:
                save_prices(folder.prices, self.history, self._record)
        except (OSError, ConfigError) as error:
            self._later_warnings += (f"{folder.prices.name} was not drawn: {error}",)

    @classmethod
    def load(cls, run_dir: Path) -> Report:
        """Reads the report of a run folder.

        Raises:
            ConfigError: MX1002 when there is none, or it is not a report of this version.
        """
        path = RunFolder(run_dir).report
        try:
            with path.open("rb") as file:
                data = file.read(REPORT_BYTES_MAX)
        except OSError as error:
            raise ConfigError(
                f"cannot read the report: {path}: {error.strerror}",
                code="MX1002",
                hint="name the folder of a finished run with `--run DIR`",
            ) from error
        return cls(report_from_json(data, what=str(path)), run_dir=run_dir)

    def with_warnings(self, texts: tuple[str, ...]) -> Report:
        """Returns the same report with further warnings."""
        warnings = (*self._later_warnings, *texts)
        return Report(self._record, run_dir=self._run_dir, warnings=warnings, seal=self._seal)

    def _with_warnings(self) -> RunRecord:
        """Returns the record with the warnings that were found later."""
        import msgspec

        if not self._later_warnings:
            return self._record
        return msgspec.structs.replace(self._record, warnings=self.warnings)

    def _repr_html_(self) -> str:
        """Draws the processes and the prices in a notebook."""
        from maxwell.observe.notebook import report_html

        return report_html(self)

    def __str__(self) -> str:
        """Returns the tables that a run ends with, as plain text."""
        from rich.console import Console

        from maxwell.observe.table import report_table, run_line, summary

        console = Console(width=TEXT_WIDTH, color_system=None, highlight=False, markup=False)
        with console.capture() as capture:
            for part in (report_table(self, width=TEXT_WIDTH), "", summary(self)):
                console.print(part)
        lines = (line.rstrip() for line in capture.get().splitlines())
        return "\n".join((run_line(self._record), "", *lines))

    def __repr__(self) -> str:
        return (
            f"<Report: {len(self._record.processes)} processes, "
            f"conservation {'ok' if self.conservation_ok else 'FAILED'}, run_dir={self._run_dir}>"
        )
