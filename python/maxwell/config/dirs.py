"""The two ways to write the folders that a guest sees.

A table from guest path to host path::

    dirs = { "/work" = "data", "/in" = "inputs:ro", "/t" = { host = "tools", read_only = true } }

or a list in the order host, guest, options::

    dirs = ["data:/work", "tools:/tools:ro"]

A host path is relative to the fleet file, below the cache folder (`cache:fleet/out`), or a folder
of an installed package (`pypi:package/share`). It must exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from maxwell.config.records import DirConfig
from maxwell.errors import ModuleError, choices_hint
from maxwell.modules import resolve_folder

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.config.table import Table


def read_dirs(table: Table, base_dir: Path) -> tuple[DirConfig, ...]:
    """Returns the folders of a process, sorted by guest path.

    Raises:
        ConfigError: MX1004 for a value of another shape, MX1015 for a path that does not fit.
    """
    if not table.has("dirs"):
        return ()
    value = table.raw("dirs")
    if isinstance(value, Mapping):
        dirs = [
            _from_table(table, guest, entry, base_dir)
            for guest, entry in cast(Mapping[str, object], value).items()
        ]
    else:
        dirs = [_from_text(table, text, base_dir) for text in table.texts("dirs")]
    dirs.sort(key=lambda entry: entry.guest)
    for one, other in pairwise(dirs):
        if one.guest == other.guest:
            table.fail("dirs", f"dirs: {one.guest} is given twice", code="MX1015")
    return tuple(dirs)


def _from_table(table: Table, guest: str, entry: object, base_dir: Path) -> DirConfig:
    if isinstance(entry, str):
        host, read_only = _split_mode(entry)
        return _make(table, host, guest, read_only=read_only, base_dir=base_dir)
    if not isinstance(entry, Mapping):
        table.fail(
            "dirs",
            f"dirs: expected a path for {guest!r}, got {type(entry).__name__}",
            code="MX1004",
            hint='such as dirs = { "/work" = "data" }',
        )
    fields = cast(Mapping[str, object], entry)
    for key in fields:
        if key not in ("host", "read_only"):
            table.fail(
                "dirs",
                f"dirs: {guest}: unknown key {key!r}",
                code="MX1001",
                hint=choices_hint(key, ("host", "read_only")),
            )
    host, read_only = fields.get("host"), fields.get("read_only", False)
    if not isinstance(host, str) or not isinstance(read_only, bool):
        table.fail(
            "dirs",
            f"dirs: {guest}: host must be a text and read_only true or false",
            code="MX1004",
            hint='such as { host = "data", read_only = true }',
        )
    return _make(table, host, guest, read_only=read_only, base_dir=base_dir)


def _from_text(table: Table, text: str, base_dir: Path) -> DirConfig:
    spec, read_only = _split_mode(text)
    host, colon, guest = spec.rpartition(":")
    if not colon:
        table.fail(
            "dirs",
            f"dirs: no guest path: {text!r}",
            code="MX1015",
            hint='write "host:guest" or "host:guest:ro", such as "data:/work:ro"',
        )
    return _make(table, host, guest, read_only=read_only, base_dir=base_dir)


def _split_mode(text: str) -> tuple[str, bool]:
    """Takes `:ro` or `:rw` off the end; returns the rest and whether it is read-only."""
    head, colon, mode = text.rpartition(":")
    return (head, mode == "ro") if colon and mode in ("ro", "rw") else (text, False)


def _make(table: Table, host: str, guest: str, *, read_only: bool, base_dir: Path) -> DirConfig:
    path = PurePosixPath(guest)
    if not path.is_absolute() or ".." in path.parts or not guest.isprintable():
        table.fail(
            "dirs",
            f"dirs: not an absolute guest path: {guest!r}",
            code="MX1015",
            hint='guest paths start with "/", without ".."; the order in a list is host:guest',
        )
    if not host or "\0" in host:
        table.fail("dirs", f"dirs: no host path for {guest!r}", code="MX1015")
    try:
        folder = resolve_folder(host, base_dir)
    except ModuleError as error:
        table.fail("dirs", f"dirs: {error.message}", code="MX1015", hint=error.hint)
    return DirConfig(guest=str(path), host=folder, read_only=read_only)
