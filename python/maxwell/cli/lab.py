"""`maxwell lab`: experiments. Rendering only; what is measured is in `maxwell.lab`."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from maxwell.cli.console import print_data, print_note, stderr_console
from maxwell.cli.lab_heat import command as heat
from maxwell.cli.lab_thinker import command as thinker
from maxwell.cli.logging_setup import start_logging
from maxwell.cli.settings import Settings, common_options
from maxwell.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from rich.table import Table

    from maxwell.lab import Experiment, Plan, Sweep
    from maxwell.lab.result import Side, SideName

EXIT_INTERRUPTED: Final = 130
SEED: Final = click.IntRange(0, 2**64 - 1)
KINDS: Final = ("miner", "spin", "imitator", "mixed")
SIDES: Final = ("market", "metered", "unmetered", "quota", "stride", "allowance", "equal-bids")
JOULES_QUICK: Final = 10.0
"""Of `--quick`: two seconds a side on an idle machine. The leeches' funds are then a visible part
of all joules, so that the ratio is below that of a whole run."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@common_options
def command() -> None:
    """Run an experiment: what the market is worth, measured on this machine.

    Each experiment runs real guests under Maxwell and under schedulers that know no value, and
    prints both sides. The baselines need the package wasmtime (`maxwell-hypervisor[lab]`).
    """


@command.command("scientist-vs-leech")
@click.option(
    "--leeches",
    type=click.IntRange(0, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Leeches per scientist; there is one scientist on each core.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, metavar="S", help="Seed.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="mixed",
    show_default=True,
    help="What leeches are: hash miners, endless loops, imitators, or all in turn.",
)
@click.option(
    "--joules-per-core",
    type=float,
    metavar="J",
    help="When a side ends: joules of all its processes, per core.  [default: 60]",
)
@click.option("--quick", is_flag=True, help=f"As --joules-per-core {JOULES_QUICK:g}: to look.")
@click.option("--cores", type=click.IntRange(1, 8), metavar="N", help="Cores.  [default: up to 2]")
@click.option(
    "--side",
    "sides",
    type=click.Choice(SIDES),
    multiple=True,
    help="Run only these sides (repeat it).  [default: all but equal-bids]",
)
@click.option(
    "--scientists-bid",
    type=click.Choice(("value", "proxy")),
    default="value",
    show_default=True,
    help="What a microjoule earns them, or the node's default rule.",
)
@click.option("--json", is_flag=True, help="Print the figures as JSON.")
@common_options
@click.pass_obj
def scientist_vs_leech_command(
    settings: Settings,
    *,
    leeches: int,
    seed: int,
    kind: str,
    joules_per_core: float | None,
    quick: bool,
    cores: int | None,
    sides: tuple[str, ...],
    scientists_bid: str,
    json: bool,
) -> int:
    """Compare verified results per joule with those of schedulers that know no value.

    Scientists find primes that a sponsor pays for; leeches burn joules for nothing. The same
    guests run under the market, as processes of Linux's fair scheduler with and without metering,
    under an equal CPU quota, under stride scheduling, and with an equal CPU budget. The ratio's
    ceiling is N + 1.
    """
    from maxwell.lab import scientist_vs_leech

    start_logging(settings)
    if quick and joules_per_core is not None:
        raise click.UsageError("--quick and --joules-per-core exclude each other")
    given = JOULES_QUICK if quick else joules_per_core
    plan = _plan(leeches=leeches, seed=seed, kind=kind, joules=given, cores=cores)
    plan = _with_bids(plan, scientists_bid)
    with _interruptible(), _progress(settings) as (on_side, on_joules):
        found = scientist_vs_leech(plan, sides=_sides(sides), on_side=on_side, on_joules=on_joules)
    if json:
        _print_json(found.to_json())
    else:
        print_data(experiment_table(found))
        print_data("")
        for line in summary(found):
            print_data(line)
    return EXIT_INTERRUPTED if found.interrupted else 0


@command.command("leech-sweep")
@click.option("--leeches", default="0,1,3,10", show_default=True, metavar="N,N,…")
@click.option("--seeds", default="1,2,3", show_default=True, metavar="S,S,…")
@click.option("--kind", type=click.Choice(KINDS), default="mixed", show_default=True)
@click.option("--joules-per-core", type=float, metavar="J", help="[default: 60]")
@click.option(
    "--others-joules-per-core",
    type=float,
    metavar="J",
    help="For sides beside the market and the metered baseline.  [default: as the others]",
)
@click.option("--cores", type=click.IntRange(1, 8), metavar="N", help="Cores.  [default: up to 2]")
@click.option("--each-kind/--no-each-kind", default=True, help="Also each kind by itself, N = 1.")
@click.option("--side", "sides", type=click.Choice(SIDES), multiple=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    required=True,
    help="Where figures.json, ratio.svg and table.md are written.",
)
@click.option("--json", is_flag=True, help="Print the figures as JSON too.")
@common_options
@click.pass_obj
def leech_sweep_command(
    settings: Settings,
    *,
    leeches: str,
    seeds: str,
    kind: str,
    joules_per_core: float | None,
    others_joules_per_core: float | None,
    cores: int | None,
    each_kind: bool,
    sides: tuple[str, ...],
    out: Path,
    json: bool,
) -> int:
    """Run scientist-vs-leech over numbers of leeches and seeds; write table and figure."""
    import msgspec

    from maxwell.lab import leech_sweep

    start_logging(settings)
    plan = _plan(leeches=0, seed=0, kind=kind, joules=joules_per_core, cores=cores)
    plan = msgspec.structs.replace(plan, others_joules_per_core=others_joules_per_core).check()
    _make_folder(out)

    def on_run(one: Plan, number: int, count: int) -> None:
        if not settings.quiet:
            print_note(
                f"run {number} of {count}: {one.leeches} leeches ({one.kind}), seed {one.seed}"
            )

    with _interruptible():
        found = leech_sweep(
            plan,
            leeches=_numbers("--leeches", leeches),
            seeds=_numbers("--seeds", seeds),
            each_kind=each_kind,
            sides=_sides(sides),
            on_run=on_run,
        )
    _save_sweep(out, found)
    if json:
        _print_json(found.to_json())
    else:
        from maxwell.lab.sweep import markdown

        click.echo(markdown(found), nl=False)
    interrupted = any(run.interrupted for run in found.runs)
    return EXIT_INTERRUPTED if interrupted else 0


def experiment_table(found: Experiment) -> Table:
    """Makes the table of sides."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("side", "results", "joules", "results/J", "parasites", "ours over it"):
        table.add_column(title, justify="left" if title == "side" else "right", no_wrap=True)
    table.add_column("outcomes")
    for name, side in found.sides.items():
        ratio = found.ratios.get(name)
        table.add_row(
            name,
            f"{side.results:,}",
            f"{side.energy_uj / 1e6:.1f}",
            f"{side.results_per_joule:.2f}",
            f"{side.parasite_share:.2%}",
            "" if ratio is None else f"{ratio:.3f}",
            _outcomes(side),
        )
    return table


def _outcomes(side: Side) -> str:
    """Writes how many guests of each kind ended how."""
    parts: list[str] = []
    for kind, counts in side.outcomes.items():
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        parts.append(f"{kind}: {said}")
    return "; ".join(parts)


def summary(found: Experiment) -> list[str]:
    """Writes what the table means, in a few lines."""
    lines: list[str] = []
    ratio = found.results_per_joule_ratio
    if ratio is not None:
        lines.append(
            f"results per joule: {ratio:.3f} times the metered baseline; the ceiling with "
            f"{found.leeches} leeches per scientist is {found.ceiling:g}"
        )
    if found.leeches == 0 and ratio is not None:
        lines.append(f"without leeches the market itself costs {1 - ratio:.2%} of the results")
    lines.append(
        f"joules are {found.provenance} (±{found.relative_interval_ppm / 1e6:.0%}, the same factor "
        f"on all sides): {found.source}"
    )
    if found.interrupted:
        lines.append("interrupted: only finished sides are shown")
    return lines


def _plan(*, leeches: int, seed: int, kind: str, joules: float | None, cores: int | None) -> Plan:
    import os

    import msgspec

    from maxwell.lab import Plan
    from maxwell.lab.plan import CORES_DEFAULT, JOULES_PER_CORE_DEFAULT

    usable = len(os.sched_getaffinity(0))
    fields = {
        "leeches": leeches,
        "seed": seed,
        "kind": kind,
        "joules_per_core": JOULES_PER_CORE_DEFAULT if joules is None else joules,
        "cores": min(CORES_DEFAULT, usable) if cores is None else cores,
    }
    return msgspec.convert(fields, Plan).check()


def _with_bids(plan: Plan, scientists_bid: str) -> Plan:
    import msgspec

    bids = "proxy" if scientists_bid == "proxy" else "value"
    return msgspec.structs.replace(plan, scientists_bid=bids)


def _sides(given: tuple[str, ...]) -> tuple[SideName, ...]:
    from maxwell.lab.experiment import SIDES as DEFAULT
    from maxwell.lab.experiment import SIDES_ALL

    return tuple(side for side in SIDES_ALL if side in given) if given else DEFAULT


def _numbers(option: str, text: str) -> list[int]:
    """Reads a list such as `0,1,3`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(
            f"{option}: not a list of numbers: {text!r}", code="MX1006", hint="such as 0,1,3,10"
        )
    return [int(word) for word in words]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make folder: {folder}: {error.strerror}",
            code="MX1002",
            hint="give a folder that you may write to",
        ) from error


def _save_sweep(folder: Path, found: Sweep) -> None:
    from maxwell.lab.figure import save_figure
    from maxwell.lab.sweep import markdown

    try:
        (folder / "figures.json").write_text(_json_text(found.to_json()), encoding="utf-8")
        (folder / "table.md").write_text(markdown(found), encoding="utf-8")
        save_figure(folder / "ratio.svg", found)
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror}",
            code="MX1002",
            hint="give a folder that you may write to",
        ) from error


def _json_text(data: object) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def _print_json(data: object) -> None:
    sys.stdout.write(_json_text(data))


@contextmanager
def _interruptible() -> Generator[None]:
    """Lets SIGTERM end an experiment as Ctrl-C does: what it started is ended first."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(
    settings: Settings,
) -> Generator[tuple[Callable[[str], None], Callable[[str, int, int], None]]]:
    """Shows a bar on a terminal, a line a side without one, nothing with `--no-progress`."""
    if settings.quiet or not settings.progress:
        yield (lambda _side: None), (lambda _side, _joules, _target: None)
        return
    if not sys.stderr.isatty():
        yield (lambda side: print_note(f"lab: {side}")), (lambda _side, _joules, _target: None)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr_console(), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def on_side(side: str) -> None:
            progress.reset(task, description=side, total=None)

        def on_joules(side: str, joules_uj: int, target_uj: int) -> None:
            del side
            progress.update(task, completed=joules_uj, total=target_uj)

        yield on_side, on_joules


command.add_command(heat, "heat")
command.add_command(thinker, "thinker-vs-miner")
