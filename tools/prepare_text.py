"""Prepares a text to pay for: The Devil's Dictionary, from the Debian package `dict-devil`.

Usage: `python tools/prepare_text.py [--force]`

Writes, below the cache folder (`MAXWELL_CACHE_DIR`, default `.cache/maxwell` in the repository):

    text/devil.txt     the dictionary, 372 KiB of ASCII, which fleet files name as
                       `cache:text/devil.txt`

Ambrose Bierce's dictionary (1911) is in the public domain; the package's `copyright` file says so,
and the notice is kept in the text that is cut off. The package is downloaded by `apt-get`, which
checks its signature, and is not installed; its data is checked against a SHA-256 here. The excerpt
`examples/information/devil.txt` is the first 32 KiB of the same text, so that the example and the
tests need no download; the tool checks that too.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
EXCERPT = REPOSITORY / "examples" / "information" / "devil.txt"
PACKAGE = "dict-devil"
DATA = "usr/share/dictd/devil.dict.dz"
DATA_SHA256 = "703d1225d2fb927653bfd8b00e4e96938e0b630c6023edd26702ac6ed50383f8"
FIRST_ENTRY = b"\nABASEMENT"
DOWNLOAD_TIMEOUT_S = 300


class PrepareError(Exception):
    """A step failed. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def target() -> Path:
    """Returns where the text goes."""
    given = os.environ.get("MAXWELL_CACHE_DIR", "")
    root = Path(given) if given else REPOSITORY / ".cache" / "maxwell"
    return root / "text" / "devil.txt"


def run(command: list[str], folder: Path) -> None:
    """Runs one command.

    Raises:
        PrepareError: it failed or took too long.
    """
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise PrepareError(
            f"no program {command[0]}", "this tool needs Debian's apt and dpkg"
        ) from error
    except subprocess.SubprocessError as error:
        details = getattr(error, "stderr", "") or str(error)
        raise PrepareError(
            f"{' '.join(command)} failed: {details.strip()[-200:]}",
            f"the excerpt {EXCERPT.relative_to(REPOSITORY)} needs no download",
        ) from error


def fetch(folder: Path) -> bytes:
    """Downloads the package and returns its data, checked.

    Raises:
        PrepareError: the package cannot be had, or holds something else than expected.
    """
    run(["apt-get", "download", PACKAGE], folder)
    packages = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not packages:
        raise PrepareError(f"apt-get left no package of {PACKAGE}")
    run(["dpkg-deb", "-x", str(packages[0]), "content"], folder)
    data = gzip.decompress((folder / "content" / DATA).read_bytes())
    digest = hashlib.sha256(data).hexdigest()
    if digest != DATA_SHA256:
        raise PrepareError(
            f"{PACKAGE} holds another text: sha256 {digest}",
            "check the new version and its licence, then change DATA_SHA256",
        )
    return data


def prepare(path: Path) -> None:
    """Writes the text, whole or not at all.

    Raises:
        PrepareError: see `fetch`; or the excerpt of the repository is not a part of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = fetch(Path(folder))
    text = data[data.index(FIRST_ENTRY) + 1 :]
    if not text.startswith(EXCERPT.read_bytes()):
        raise PrepareError(f"{EXCERPT} is not the beginning of the text")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(text)
    partial.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line and prepares; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prepares a public-domain text.")
    parser.add_argument("--force", action="store_true", help="prepare it again")
    options = parser.parse_args(arguments)
    path = target()
    try:
        if options.force or not path.is_file():
            prepare(path)
    except PrepareError as error:
        sys.stderr.write(f"error: {error}\n")
        if error.hint:
            sys.stderr.write(f"\nhint: {error.hint}\n")
        return 1
    sys.stderr.write(f"text: {path}, {path.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
