"""The course of a run, read back from `events.jsonl`: prices, power, purses, deaths.

Memory: a series keeps at most `POINTS_MAX` samples a process; when it is full, every second sample
goes and from then on every second epoch is skipped, so a day of run costs what an hour does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from maxwell.errors import ConfigError
from maxwell.observe.events import Event, as_integer, read_events

if TYPE_CHECKING:
    from pathlib import Path

POINTS_MAX: Final = 2_000
"""Samples kept a series: more than a plot has pixels across."""

LAST_SAMPLES: Final = 10
"""Epochs kept at full rate before each process's end."""


class Sample(msgspec.Struct, frozen=True):
    """One process at the end of one epoch."""

    t_ns: int
    state: str
    bid_ppm: int
    price_ppm: int
    balance_credits: int
    energy_uj: int


class ProcessHistory(msgspec.Struct):
    """One process over time."""

    name: str
    funds_credits: int = 0
    """What its purse opened with; 0 when the file does not say."""
    spawned_ns: int | None = None
    samples: list[Sample] = msgspec.field(default_factory=list[Sample])
    """Thinned, in order."""
    last: list[Sample] = msgspec.field(default_factory=list[Sample])
    """The last `LAST_SAMPLES` epochs in which it ran, never thinned."""
    final: Sample | None = None
    """The last epoch of its life."""
    died_ns: int | None = None
    outcome: str | None = None
    result_ns: list[int] = msgspec.field(default_factory=list[int])
    """When results were paid; thinned like samples."""


class NodeSample(msgspec.Struct, frozen=True):
    """The node at the end of one epoch."""

    t_ns: int
    price_ppm: int
    power_mw: int


class History(msgspec.Struct):
    """A run over time."""

    node: list[NodeSample] = msgspec.field(default_factory=list[NodeSample])
    processes: dict[str, ProcessHistory] = msgspec.field(default_factory=dict[str, ProcessHistory])
    end_ns: int = 0
    """Time of the last event."""

    def process(self, name: str) -> ProcessHistory:
        """Returns a process's history, an empty one when nothing is known of it."""
        return self.processes.get(name) or ProcessHistory(name=name)


def read_history(path: Path) -> History:
    """Reads a run's course from `events.jsonl`.

    Raises:
        ConfigError: The file cannot be read or is damaged before its last line.
    """
    history = History()
    stride, epoch = 1, 0
    for event in read_events(path):
        history.end_ns = max(history.end_ns, event.t_ns)
        if event.name == "sample":
            _add_sample(history, event, keep=epoch % stride == 0)
            epoch += 1
            if len(history.node) >= POINTS_MAX:
                _thin(history)
                stride *= 2
        else:
            _add_event(history, event)
    return history


def _process(history: History, name: str) -> ProcessHistory:
    """Returns the history of a process, which it creates."""
    return history.processes.setdefault(name, ProcessHistory(name=name))


def _add_event(history: History, event: Event) -> None:
    """Takes an event that is about one process."""
    name = event.text("process")
    if event.name == "spawned":
        process = _process(history, name)
        process.spawned_ns = event.t_ns
        process.funds_credits = event.integer("funds_credits")
    elif event.name == "died":
        process = _process(history, name)
        process.died_ns = event.t_ns
        process.outcome = event.text("outcome")
    elif event.name in {"result", "inference_paid"}:
        times = _process(history, name).result_ns
        times.append(event.t_ns)
        if len(times) >= 2 * POINTS_MAX:
            del times[1::2]


def _add_sample(history: History, event: Event, *, keep: bool) -> None:
    """Takes one epoch."""
    if keep:
        history.node.append(
            NodeSample(event.t_ns, event.integer("price_ppm"), event.integer("power_mw"))
        )
    rows = event.fields.get("processes")
    if not isinstance(rows, list):
        raise ConfigError("not a sample in events.jsonl: no list of processes")
    for row in cast(list[object], rows):
        name, sample = _row(event.t_ns, row)
        process = _process(history, name)
        if process.died_ns is not None:
            continue
        if keep:
            process.samples.append(sample)
        before, process.final = process.final, sample
        if before is None or sample.energy_uj > before.energy_uj:
            process.last.append(sample)
            if len(process.last) > LAST_SAMPLES:
                del process.last[0]


def _row(t_ns: int, row: object) -> tuple[str, Sample]:
    """Reads one process's row of a sample.

    Raises:
        ConfigError: It has not the six columns of docs/reference/events.md.
    """
    columns = cast(list[object], row) if isinstance(row, list) else []
    if len(columns) != 6:
        raise ConfigError(f"not a row of a sample in events.jsonl: {row!r}")
    name, state = columns[0], columns[1]
    if not isinstance(name, str) or not isinstance(state, str):
        raise ConfigError(f"not a row of a sample in events.jsonl: {row!r}")
    bid_ppm, price_ppm, balance_credits, energy_uj = (
        as_integer(value, what=f"sample of {name}") for value in columns[2:]
    )
    return name, Sample(t_ns, state, bid_ppm, price_ppm, balance_credits, energy_uj)


def _thin(history: History) -> None:
    """Drops every second sample of every series."""
    del history.node[1::2]
    for process in history.processes.values():
        del process.samples[1::2]
