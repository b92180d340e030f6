"""The version of Maxwell, apart from everything else so that asking for it costs nothing."""

from typing import Final

__version__: Final = "0.1.0"
