"""Stands in for `maxwell.hypervisor` where the command line is tested without the native module.

It has the signature of `run_fleet` and runs a made-up fleet (`observe.made_up`): every process of
the configuration lives a made-up life, and outcomes are given by name: a process named
`bankrupt`, `trapped` and so on ends like that.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import TYPE_CHECKING, get_args

import msgspec

from maxwell.node.view import NodeView, Outcome
from maxwell.observe.events import EventLog
from maxwell.observe.report import Report
from observe.made_up import Guest, MadeUpRun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maxwell.config import FleetConfig
    from maxwell.node.admission import Compiling

OUTCOMES = get_args(Outcome)


class FakeHypervisor(ModuleType):
    """A module with `run_fleet`; its attributes say how the run goes."""

    def __init__(self) -> None:
        super().__init__("maxwell.hypervisor")
        self.conservation_ok = True
        self.interrupted = False
        self.exit_code = 0
        self.epoch_s = 0.0
        self.stdout = b""
        self.warnings: tuple[str, ...] = ()
        self.compiling: Compiling | None = None
        self.seen: FleetConfig | None = None

    def run_fleet(
        self,
        config: FleetConfig,
        *,
        out: Path | None,
        on_view: Callable[[NodeView], None],
        on_output: Callable[[str, str, bytes, int], None],
        on_compile: Callable[[Compiling], None],
    ) -> Report:
        """Runs made-up guests under the configuration's names."""
        self.seen = config
        if self.compiling is not None:
            on_compile(self.compiling)
        run = MadeUpRun(
            [_guest(process.name, process.funds_uj) for process in config.processes],
            seconds=(config.node.duration_ns or 8_000_000_000) / 1e9,
            seed=config.node.seed,
        )
        log = None if out is None else EventLog(out / "events.jsonl")
        for view in run.views(log):
            on_view(view)
            time.sleep(self.epoch_s)
        if log is not None:
            log.close()
        if self.stdout:
            on_output(config.processes[0].name, "stdout", self.stdout, 0)
        record = run.record(self.warnings)
        processes = tuple(
            msgspec.structs.replace(p, exit_code=self.exit_code) if p.outcome == "finished" else p
            for p in record.processes
        )
        record = msgspec.structs.replace(
            record,
            conservation_ok=self.conservation_ok,
            interrupted=self.interrupted,
            processes=processes,
        )
        return Report(record, run_dir=out)


def _guest(name: str, funds: int) -> Guest:
    """Makes a guest whose end is in its name."""
    outcome: Outcome = next((o for o in OUTCOMES if name.startswith(o)), "finished")
    if outcome == "bankrupt" or name.startswith(("leech", "loop")):
        return Guest(name, 1.4, 1, funds=funds)
    if outcome == "deadline":
        return Guest(name, 0.0, 1, funds=funds, sleep_until_s=1e9)
    if name.startswith("hog"):
        return Guest(name, 0.3, 1024, funds=funds)
    memory, finish_j = (2, 3.0) if outcome == "finished" else (16, 0.5)
    return Guest(
        name,
        1.0,
        memory,
        results_per_j=300.0,
        pay_uj=4_000,
        finish_j=finish_j,
        ending=outcome,
        funds=funds,
    )
