"""What a run tells: events into its folder, views and output to whoever watches."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from maxwell.errors import ConfigError
from maxwell.observe.events import BULKY_EVENTS, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maxwell.node.admission import Compiling
    from maxwell.node.receipts import Receipts
    from maxwell.node.view import NodeView


_log = logging.getLogger(__name__)


class Journal:
    """Writes events and calls observers; an observer that raises ends the run cleanly.

    Args:
        out: the run's folder; None keeps no events.
        on_view: called once an epoch.
        on_output: called with process, stream, data and bytes lost before it.
        on_compile: called before the start for each module that takes time to compile.

    Attributes:
        receipts: what signs receipts into the folder; None without one.
        warnings: what the report must say.

    Raises:
        ConfigError: the event file or the receipt file cannot be created, or the node's key cannot
            be read.
    """

    def __init__(
        self,
        out: Path | None,
        on_view: Callable[[NodeView], None] | None,
        on_output: Callable[[str, str, bytes, int], None] | None,
        on_compile: Callable[[Compiling], None] | None = None,
    ) -> None:
        from maxwell.observe.folder import RunFolder

        self._log: EventLog | None = None
        self.receipts: Receipts | None = None
        if out is not None:
            from maxwell.node.receipts import Receipts

            self.receipts = Receipts(RunFolder(out))
            try:
                self._log = EventLog(RunFolder(out).events)
            except ConfigError:
                self.receipts.close()
                raise
        self._on_view = on_view
        self._on_output = on_output
        self._on_compile = on_compile
        self.warnings: list[str] = []

    def event(self, name: str, t_ns: int, **fields: object) -> None:
        """Writes one event."""
        if name not in BULKY_EVENTS:
            _log.debug("%.3f s %s %s", t_ns / 1e9, name, fields.get("process", ""))
        if self._log is not None:
            self._log.write(name, t_ns, **fields)

    def flush(self) -> None:
        """Writes what is buffered, so that a killed run leaves it."""
        if self._log is not None:
            self._log.flush()

    def compiling(self, module: Compiling) -> None:
        """Tells of a compilation that the run waits for."""
        if self._on_compile is not None:
            self._on_compile(module)

    def warn(self, t_ns: int, text: str) -> None:
        """Notes a warning for the report."""
        self.warnings.append(text)
        self.event("warning", t_ns, text=text)

    def view(self, view: NodeView) -> None:
        """Shows an epoch."""
        if self._on_view is not None:
            self._on_view(view)

    def output(self, t_ns: int, process: str, stream: str, data: bytes, lost: int) -> None:
        """Passes output on and notes it."""
        if self._on_output is not None:
            self._on_output(process, stream, data, lost)
        text = data.decode("utf-8", "replace")
        self.event("output", t_ns, process=process, stream=stream, text=text, lost_bytes=lost)

    def close(self) -> None:
        """Writes what is buffered; lost events and receipts become warnings."""
        if self._log is None:
            return
        self._log.close()
        lost = [self._log.warning()]
        if self.receipts is not None:
            lost.append(self.receipts.close())
        self.warnings += [text for text in lost if text is not None]
        self._log = None
