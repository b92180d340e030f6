"""A block of lines on a terminal that is drawn again in place.

Each frame is one write between the marks of synchronised output (terminals that do not know them
ignore them), and a line is overwritten before its rest is erased, so that nothing flickers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

BEGIN: Final = "\x1b[?2026h"
END: Final = "\x1b[?2026l"
HIDE_CURSOR: Final = "\x1b[?25l"
SHOW_CURSOR: Final = "\x1b[?25h"
ERASE_REST: Final = "\x1b[K"
ERASE_BELOW: Final = "\x1b[J"


class Screen:
    """Draws frames in place; `clear` removes the last one.

    Args:
        console: Of a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._drawn_lines = 0

    def draw(self, renderable: RenderableType) -> None:
        """Draws a frame where the last one is; lines beyond the terminal's height are left out."""
        from rich.text import Text

        width, height = self._console.size
        with self._console.capture() as capture:
            self._console.print(renderable, no_wrap=True, overflow="ellipsis")
        lines = capture.get().splitlines()[: max(1, height - 1)]
        # Erasing at the end of a full line would take its last character.
        ended = [
            line + (ERASE_REST if Text.from_ansi(line).cell_len < width else "") for line in lines
        ]
        first = HIDE_CURSOR if self._drawn_lines == 0 else ""
        self._write(BEGIN + first + self._home() + "\r\n".join(ended) + ERASE_BELOW + END)
        self._drawn_lines = max(1, len(lines))

    def clear(self) -> None:
        """Removes what was drawn and shows the cursor again."""
        if self._drawn_lines:
            self._write(self._home() + ERASE_BELOW + SHOW_CURSOR)
            self._drawn_lines = 0

    def _home(self) -> str:
        """Moves to the first character of what was drawn."""
        up = self._drawn_lines - 1
        return f"\r\x1b[{up}A" if up > 0 else "\r"

    def _write(self, text: str) -> None:
        """Writes all of it, past Python's buffer, which would cut it at its own size."""
        file = self._console.file
        file.flush()
        rest = memoryview(text.encode(self._console.encoding, errors="replace"))
        while rest:
            rest = rest[os.write(file.fileno(), rest) :]
