"""The public API: a hypervisor that runs processes under an energy budget, and its report.

    with maxwell.Hypervisor(budget="60 J") as hv:
        agent = hv.spawn("agent.wasm", funds="5 J", urgency=0.7)
        report = hv.run()

Everything that `maxwell run` does goes through `run_fleet` here.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from maxwell.config import parse_fleet, parse_node, process_name
from maxwell.config.table import Source
from maxwell.errors import ConfigError, MaxwellError
from maxwell.node.journal import Journal
from maxwell.node.node import Node
from maxwell.node.power import energy_model
from maxwell.observe.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from types import FrameType, TracebackType

    from maxwell.config import FleetConfig
    from maxwell.market.resolvers import Resolver
    from maxwell.node.admission import Compiling
    from maxwell.node.record import ProcessRecord
    from maxwell.node.view import NodeView, ProcessView

BUDGET_DEFAULT: Final = "60 J"
FUNDS_DEFAULT: Final = "5 J"

Quantity: TypeAlias = str
"""A number with its unit, such as `"5 J"`, `"12 W"`, `"75 s"` or `"64 MiB"`."""

OnView: TypeAlias = "Callable[[NodeView], None]"
OnOutput: TypeAlias = "Callable[[str, str, bytes, int], None]"
OnCompile: TypeAlias = "Callable[[Compiling], None]"


class Process:
    """A process of a `Hypervisor`: what it was given, how it stands, how it ended.

    `view` is None until the first epoch after `run` began; `record` is None until the run ended.
    """

    def __init__(self, hypervisor: Hypervisor, name: str) -> None:
        self._hypervisor = hypervisor
        self.name: Final = name

    @property
    def view(self) -> ProcessView | None:
        """How it stood at the end of the last epoch."""
        seen = self._hypervisor.last_view
        if seen is None:
            return None
        return next((view for view in seen.processes if view.name == self.name), None)

    @property
    def record(self) -> ProcessRecord | None:
        """The account of its life."""
        report = self._hypervisor.report
        return None if report is None else report.processes.get(self.name)

    @property
    def outcome(self) -> str | None:
        """How it ended; None while it lives."""
        if self.record is not None:
            return self.record.outcome
        return None if self.view is None else self.view.outcome

    @property
    def energy_uj(self) -> int:
        """Energy metered so far, in microjoules."""
        if self.record is not None:
            return self.record.energy_uj
        return 0 if self.view is None else self.view.energy_uj

    @property
    def balance_credits(self) -> int:
        """Credits in its purse at the end of the last epoch."""
        return 0 if self.view is None else self.view.balance_credits

    def kill(self, reason: str = "killed by its owner") -> None:
        """Ends it at the end of this epoch; only while the hypervisor runs.

        Raises:
            ConfigError: MX1000 when nothing runs.
        """
        self._hypervisor.kill(self.name, reason)

    def __repr__(self) -> str:
        return f"<Process {self.name!r}: {self.outcome or 'alive'}, {self.energy_uj} uJ>"


class Hypervisor:
    """Runs WebAssembly processes under an energy budget or a power cap.

    Args:
        budget: energy minted once, such as `"60 J"`; the default when no `power` is given.
        power: power cap, such as `"10 W"`; excludes `budget`.
        duration: end of the run; None runs until every process has ended.
        cells: cores that processes run on.
        seed: of the auction's draws.
        deterministic: virtual time; equal runs give equal results, bit by bit.
        temperature_log2: temperature of the auction, T = 2^-n.
        out: folder for `report.json`, `events.jsonl` and `prices.svg`; None keeps no files.
        on_epoch: called ten times a second with a `NodeView`; may call `Process.kill`.
        on_output: called with process, stream, data and the bytes lost before it.
        progress: draw a progress line; None does so on a terminal and in a notebook.
        node: further keys of `[node]`.

    Raises:
        ConfigError: an argument makes no sense; see its code and hint.
    """

    def __init__(
        self,
        *,
        budget: Quantity | None = None,
        power: Quantity | None = None,
        duration: Quantity | None = None,
        cells: int = 1,
        seed: int = 0,
        deterministic: bool = False,
        temperature_log2: int = 2,
        out: Path | str | None = None,
        on_epoch: OnView | None = None,
        on_output: OnOutput | None = None,
        progress: bool | None = None,
        node: Mapping[str, object] | None = None,
    ) -> None:
        if budget is None and power is None:
            budget = BUDGET_DEFAULT
        given: dict[str, object | None] = {
            "budget": budget,
            "power": power,
            "duration": duration,
            "cells": cells,
            "seed": seed,
            "deterministic": deterministic,
            "temperature_log2": temperature_log2,
        }
        self._node: dict[str, object] = {k: v for k, v in given.items() if v is not None}
        self._node.update(node or {})
        parse_node(self._node, source=Source("Hypervisor"))
        self._out = None if out is None else Path(out)
        self._on_epoch = on_epoch
        self._on_output = on_output
        self._progress = _is_interactive() if progress is None else progress
        self._accounts: list[dict[str, object]] = []
        self._sponsors: list[dict[str, object]] = []
        self._rewards: list[dict[str, object]] = []
        self._processes: list[dict[str, object]] = []
        self._resolvers: dict[str, Resolver] = {}
        self._names: set[str] = set()
        self._running: Node | None = None
        self._closed = False
        self.last_view: NodeView | None = None
        self.report: Report | None = None

    def account(self, name: str, *, funds: Quantity, income_share: float = 0.0) -> None:
        """Opens an account that processes can be paid from; see `spawn(account=…)`."""
        self._accounts.append({"name": name, "funds": funds, "income_share": income_share})

    def sponsor(self, name: str, *, escrow: Quantity) -> None:
        """Opens a sponsor that pays for results."""
        self._sponsors.append({"name": name, "escrow": escrow})

    def reward(
        self,
        name: str,
        *,
        sponsor: str,
        resolver: str | Callable[[str], object],
        pays: Quantity,
        **options: object,
    ) -> None:
        """Lets a sponsor pay for results.

        Args:
            name: what processes subscribe to.
            sponsor: who pays.
            resolver: `"prime"`, `"regex"`, `"python:module:function"`, or a function that gets a
                result line and returns whether it is worth paying; `"stream"` or `"predicate"`
                pay by the bit.
            pays: for each distinct result, such as `"5 mJ"`, or for each bit.
            options: the resolver's own keys, such as `pattern` and `direction`.
        """
        if not isinstance(resolver, str):
            from maxwell.market.resolvers import CallableResolver

            self._resolvers[name] = CallableResolver(resolver)
            resolver = "python:builtins:bool"
        table = {"name": name, "sponsor": sponsor, "resolver": resolver, "pays": pays}
        self._rewards.append({**table, **options})

    def spawn(
        self,
        module: str | Path,
        *,
        name: str | None = None,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        dirs: Mapping[str, str | Path] | None = None,
        funds: Quantity = FUNDS_DEFAULT,
        urgency: float = 0.5,
        bid_ppm: int | None = None,
        horizon: Quantity | None = None,
        account: str | None = None,
        rewards: Sequence[str] = (),
        memory_max: Quantity | None = None,
        start_after: Quantity | None = None,
        deadline: Quantity | None = None,
        top_up: bool = False,
    ) -> Process:
        """Adds a process; it runs when `run` is called.

        Args:
            module: a path, `pypi:package/file.wasm` or `samples:file.wasm`.
            name: unique; from the module's file name when None.
            args: arguments after the program's name.
            env: environment variables.
            dirs: guest path to host folder; append `:ro` to the host path for read-only.
            funds: opening purse.
            urgency: 0 to 1; the proxy bids urgency × purse / horizon.
            bid_ppm: an explicit bid instead, in millionths of a credit per microjoule.
            horizon: own consumption that the purse is spread over.
            account: who pays; an account of its own when None.
            rewards: names of rewards it works for.
            memory_max: limit of its memory.
            start_after: when to start it.
            deadline: when to end it, after its start.
            top_up: whether its account's income goes on into its purse.

        Raises:
            ConfigError: MX1000 while running, or the name is taken.
        """
        self._require_idle("spawn")
        if name is None:
            name = self._free_name(process_name(str(module)))
        if name in self._names:
            raise ConfigError(f"two processes are named {name!r}", hint="give each its own name")
        self._names.add(name)
        given: dict[str, object | None] = {
            "name": name,
            "module": str(module),
            "args": list(args) or None,
            "env": dict(env) if env else None,
            "dirs": {guest: str(host) for guest, host in dirs.items()} if dirs else None,
            "funds": funds,
            "urgency": urgency if bid_ppm is None else None,
            "bid_ppm": bid_ppm,
            "horizon": horizon,
            "account": account,
            "rewards": list(rewards) or None,
            "memory_max": memory_max,
            "start_after": start_after,
            "deadline": deadline,
            "top_up": top_up or None,
        }
        self._processes.append({k: v for k, v in given.items() if v is not None})
        return Process(self, name)

    def fleet(self) -> FleetConfig:
        """Returns the checked configuration of everything added so far.

        Raises:
            ConfigError: see its code and hint.
        """
        tables: dict[str, object] = {"node": self._node, "process": self._processes}
        if self._accounts:
            tables["account"] = self._accounts
        if self._sponsors:
            tables["sponsor"] = self._sponsors
        if self._rewards:
            tables["reward"] = self._rewards
        return parse_fleet(tables, Path.cwd(), source=Source("Hypervisor"))

    def run(self) -> Report:
        """Runs all processes to the end of the run and returns the report.

        Raises:
            ConfigError: nothing was spawned, or the configuration makes no sense.
            GuestError: a module was refused; nothing has run then.
            InternalError: an invariant failed.
        """
        self._require_idle("run")
        if not self._processes:
            raise ConfigError("nothing to run", hint="call spawn first")
        with ExitStack() as stack:
            show = stack.enter_context(_progress_line()) if self._progress else None

            def on_view(view: NodeView) -> None:
                self.last_view = view
                if show is not None:
                    show(view)
                if self._on_epoch is not None:
                    self._on_epoch(view)

            if self._out is not None:
                from maxwell.observe.folder import RunFolder

                folder = RunFolder(self._out)
                folder.create()
                stack.callback(folder.release)
            try:
                self.report = _run(
                    self.fleet(),
                    out=self._out,
                    on_view=on_view,
                    on_output=self._on_output,
                    resolvers=self._resolvers,
                    started=self._started,
                )
            finally:
                self._running = None
            if self._out is not None:
                self.report.save(self._out)
        return self.report

    def _started(self, node: Node) -> None:
        self._running = node

    def interrupt(self) -> None:
        """Ends the run at the end of this epoch; everything is settled first."""
        if self._running is not None:
            self._running.interrupt()

    def kill(self, name: str, reason: str) -> None:
        """Ends one process at the end of this epoch.

        Raises:
            ConfigError: MX1000 when nothing runs.
        """
        if self._running is None:
            raise ConfigError("nothing runs", hint="kill from on_epoch, while run is under way")
        self._running.kill(name, reason)

    def _require_idle(self, what: str) -> None:
        if self._closed:
            raise ConfigError(f"{what}: this hypervisor is closed", hint="make a new one")
        if self._running is not None:
            raise ConfigError(f"{what}: this hypervisor runs already")

    def _free_name(self, base: str) -> str:
        if base not in self._names:
            return base
        number = 2
        while f"{base}-{number}" in self._names:
            number += 1
        return f"{base}-{number}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True


def run_fleet(
    config: FleetConfig,
    *,
    out: Path | None = None,
    on_view: OnView | None = None,
    on_output: OnOutput | None = None,
    resolvers: Mapping[str, Resolver] | None = None,
    until: Callable[[NodeView], bool] | None = None,
    on_compile: OnCompile | None = None,
) -> Report:
    """Runs a fleet and returns its report; Ctrl-C and SIGTERM settle first.

    Args:
        config: checked, see `maxwell.config`.
        out: the run's folder, which exists; None keeps no events.
        on_view: called once an epoch.
        on_output: called with process, stream, data and bytes lost before it.
        resolvers: resolvers by reward name, in place of what the configuration names.
        until: called once an epoch; the run ends like one whose duration is over when it is True.
        on_compile: called before the start for each module that takes time to compile.

    Raises:
        ConfigError: the fleet or the folder makes no sense; nothing has run then.
        GuestError: a module was refused; nothing has run then.
        InternalError: an invariant failed.
    """
    return _run(
        config,
        out=out,
        on_view=on_view,
        on_output=on_output,
        resolvers=resolvers,
        until=until,
        on_compile=on_compile,
    )


def _run(
    config: FleetConfig,
    *,
    out: Path | None,
    on_view: OnView | None,
    on_output: OnOutput | None,
    resolvers: Mapping[str, Resolver] | None = None,
    started: Callable[[Node], None] | None = None,
    until: Callable[[NodeView], bool] | None = None,
    on_compile: OnCompile | None = None,
) -> Report:
    def show(view: NodeView) -> None:
        if on_view is not None:
            on_view(view)
        if until is not None and until(view):
            node.end("what it was run for is done")

    journal = Journal(out, show, on_output, on_compile)
    try:
        node = Node(config, journal, resolvers=resolvers)
        if started is not None:
            started(node)
        with _signals(node):
            record = node.run()
    finally:
        journal.close()
    seal = None if journal.receipts is None else journal.receipts.write_summary
    return Report(record, run_dir=out, seal=seal)


@contextmanager
def _signals(node: Node) -> Generator[None]:
    """Lets Ctrl-C and SIGTERM end the run instead of this process; a second one does not wait."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal count
        del number, frame
        count += 1
        if count > 1:
            raise KeyboardInterrupt
        node.interrupt()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_interactive() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


@contextmanager
def _progress_line() -> Generator[OnView]:
    """A progress line by rich, on a terminal or in a notebook."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from maxwell.units import format_energy, format_power

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(view: NodeView) -> None:
            alive = sum(process.outcome is None for process in view.processes)
            text = (
                f"{alive} of {len(view.processes)} alive, {format_power(view.power_mw)}, "
                f"{format_energy(view.energy.processes)}, price {view.price_ppm / 1e6:.2f}"
            )
            total = None if view.duration_ns is None else view.duration_ns / 1e9
            progress.update(task, description=text, total=total, completed=view.elapsed_ns / 1e9)

        yield show


__all__ = [
    "Hypervisor",
    "MaxwellError",
    "Process",
    "Report",
    "energy_model",
    "run_fleet",
]
