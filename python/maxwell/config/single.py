"""The fleet of one: what `maxwell run x.wasm --budget 5J -- args` means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from maxwell.config.parse import parse_fleet
from maxwell.config.table import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maxwell.config.records import FleetConfig

OPENING_FUNDS: Final = "2 J"
"""Under a power cap: admission of the largest known module (1.1 J), bond and runway, and little
more, so that what the guest burns is what the cap mints."""


def single_module(
    module: str,
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    dirs: Sequence[str] = (),
    name: str | None = None,
    process: Mapping[str, object] | None = None,
    node: Mapping[str, object] | None = None,
    base_dir: Path | None = None,
) -> FleetConfig:
    """Returns a fleet of one process that owns the whole budget.

    With a `budget` in `node` and no `funds` in `process`, the process's funds are the budget, so
    that `--budget 5J` gives the guest five joules. With a `power` it opens with `OPENING_FUNDS`
    and lives on: its account receives all that the power mints, and passes it on into its purse.

    Args:
        module: path or `pypi:`/`samples:` reference, relative to `base_dir`.
        args: the guest's arguments after its name.
        env: the guest's environment.
        dirs: folders as `host:guest` or `host:guest:ro`.
        name: the process's name; from the module's file name when None.
        process: further keys of `[[process]]`, such as `{"memory_max": "64 MiB"}`.
        node: keys of `[node]`, such as `{"budget": "5 J", "cells": 1}`; one cell by default.
        base_dir: the current folder when None.

    Raises:
        ConfigError: as `parse_fleet`.
    """
    node_table: dict[str, object] = {"cells": 1, **(node or {})}
    process_table: dict[str, object] = {
        "name": name or process_name(module),
        "module": module,
        "args": list(args),
        **({"env": dict(env)} if env else {}),
        **({"dirs": list(dirs)} if dirs else {}),
        **(process or {}),
    }
    fleet: dict[str, object] = {"node": node_table, "process": [process_table]}
    if "budget" in node_table:
        process_table.setdefault("funds", node_table["budget"])
    elif "power" in node_table and "account" not in process_table:
        process_table.setdefault("funds", OPENING_FUNDS)
        process_table.setdefault("top_up", True)
        process_table["account"] = process_table["name"]
        fleet["account"] = [{"name": process_table["name"], "income_share": 1.0}]
    return parse_fleet(
        fleet,
        Path.cwd() if base_dir is None else base_dir,
        source=Source("command line"),
    )


def process_name(module: str) -> str:
    """Returns a valid process name for a module reference.

    >>> process_name("samples:hello.wasm"), process_name("build/my agent.wasm")
    ('hello', 'my-agent')
    """
    stem = Path(module.rpartition(":")[2]).stem
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem)
    return name.strip("._-")[:64] or "guest"
