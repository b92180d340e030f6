"""Logging for `-v`: plain lines on standard error, none without it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maxwell.cli.settings import Settings


def start_logging(settings: Settings) -> None:
    """Sends the log records of Maxwell to standard error: with `-v` INFO, with `-vv` all."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(settings.verbose, 2)]
    if settings.quiet:
        level = logging.ERROR
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("maxwell").setLevel(level)
