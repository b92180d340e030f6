"""Where a run lives: its private folders, and the environment of its child processes.

Compiled code is on disk and the meters are in shared memory, both in folders of mode 0700.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_PREFIX: Final = "maxwell-"


def child_environment() -> dict[str, str]:
    """Returns the environment of cells and helpers: this one's, with the path of this package."""
    import maxwell

    environ = dict(os.environ)
    package = os.path.dirname(os.path.dirname(os.path.abspath(maxwell.__file__)))
    known = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = package if not known else f"{package}{os.pathsep}{known}"
    return environ


class Workplace:
    """Makes the folders of one run and removes them; clears what killed runs left behind."""

    def __init__(self) -> None:
        shared = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
        for parent in {Path(tempfile.gettempdir()), *([shared] if shared else [])}:
            _clear_dead(parent)
        prefix = f"{_PREFIX}{os.getpid()}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        self._shared = Path(tempfile.mkdtemp(prefix=prefix, dir=shared))

    @property
    def slots(self) -> Path:
        """Where the meters are mapped from."""
        return self._shared / "slots"

    def close(self) -> None:
        """Removes the folders and all that is in them."""
        for folder in (self.folder, self._shared):
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _clear_dead(parent: Path) -> None:
    """Removes folders of runs whose parent process was killed."""
    for folder in parent.glob(f"{_PREFIX}[0-9]*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not pid.isdigit() or _is_alive(int(pid)):
            continue
        try:
            ours = folder.lstat().st_uid == os.getuid() and folder.is_dir()
        except OSError:
            continue
        if ours and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
