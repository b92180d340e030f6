"""`maxwell lab heat`: the simulator of the heat planes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from maxwell.cli.console import print_data, print_note
from maxwell.cli.settings import Settings, common_options
from maxwell.heat.policy import POLICIES
from maxwell.heat.sim.scenarios import SCENARIOS

if TYPE_CHECKING:
    from maxwell.heat.sim.metrics import HeatReport

EXIT_MISSED: Final = 0
"""A missed target is a result, not a failure of the program."""


@click.command()
@click.option("--nodes", type=int, default=100, show_default=True, help="How many nodes.")
@click.option(
    "--scenario", default="fan-death", show_default=True, metavar="NAME",
    help=f"What happens: {', '.join(SCENARIOS)}.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
@click.option(
    "--policy", default="ours", show_default=True, metavar="NAME",
    help=f"What nodes do: {', '.join(POLICIES)}.",
)  # fmt: skip
@click.option("--utilisation", type=float, help="Mean load, 0.05 to 0.95; else the scenario's.")
@click.option("--duration", "duration_s", type=int, help="Simulated seconds.")
@click.option("--gain", type=float, default=1.0, show_default=True, help="Of the price loop.")
@click.option(
    "--model", type=click.Choice(["auto", "cores", "vector"]), default="auto", show_default=True,
    help="The shipped cores, or a vectorised model of them; auto: cores up to 4,000 nodes.",
)  # fmt: skip
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), help="Write the trace.")
@click.option(
    "--picture", "--figure", "picture", type=click.Path(dir_okay=False, path_type=Path),
    help="Draw temperatures, prices and moves (.svg, .png, .pdf; .gif is animated).",
)  # fmt: skip
@click.option("--ablation", is_flag=True, help="Compare policies over 20 seeds and four loads.")
@click.option("--seeds", type=int, default=20, show_default=True, help="Of the ablation.")
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def command(
    settings: Settings, *, nodes: int, scenario: str, seed: int, policy: str,
    utilisation: float | None, duration_s: int | None, gain: float, model: str,
    trace: Path | None, picture: Path | None, ablation: bool, seeds: int, json: bool,
) -> int:  # fmt: skip
    """Simulate how heat spreads the word, and where the load goes.

    Deterministic: the same nodes, scenario, seed and policy give the same trace, byte for byte.
    """
    from maxwell.heat.sim.run import CORES_NODES_MAX, run_config, sim_config

    if ablation:
        return _ablation(settings, min(nodes, 1_000), seeds, scenario, as_json=json)
    start = time.monotonic()
    config = sim_config(
        nodes=nodes, scenario=scenario, policy=policy, seed=seed, utilisation=utilisation,
        duration_s=duration_s, gain=gain, keep_trace=trace is not None,
        keep_series=picture is not None,
    )  # fmt: skip
    if model == "vector" or (model == "auto" and nodes > CORES_NODES_MAX):
        from maxwell.heat.sim.vector import run_vector

        if trace is not None or picture is not None:
            raise click.UsageError("the vectorised model has neither trace nor picture")
        report = run_vector(config)
    else:
        report, simulation = run_config(config)
        if trace is not None:
            trace.write_text("".join(simulation.trace), encoding="utf-8")
        if picture is not None:
            from maxwell.heat.sim.animation import animate
            from maxwell.heat.sim.picture import draw

            (animate if picture.suffix == ".gif" else draw)(simulation, picture)
    if not settings.quiet:
        print_note(f"simulated {report.simulated_s} s in {time.monotonic() - start:.1f} s")
    if json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
    else:
        _print(report)
    return EXIT_MISSED


def _print(report: HeatReport) -> None:
    """Prints the figures with what they should be."""
    import msgspec
    from rich.table import Table

    from maxwell.heat.sim.targets import TARGETS

    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value in msgspec.to_builtins(report).items():
        target = TARGETS.get(name)
        shown = "–" if value is None else str(value)
        wanted = "" if target is None else target.text(report)
        table.add_row(name, shown, wanted)
    print_data(table)


def _ablation(settings: Settings, nodes: int, seeds: int, scenario: str, *, as_json: bool) -> int:
    """Prints one row a policy and utilisation."""
    import msgspec
    from rich.table import Table

    from maxwell.heat.sim.ablation import run_ablation

    progress = print_note if settings.progress and not settings.quiet else None
    table = Table(box=None)
    for name in ("load", "policy", "value kept", "against forced", "shed 90 %", "peak", "refusals"):
        table.add_column(name)
    for row in run_ablation(nodes=nodes, seeds=seeds, scenario=scenario, progress=progress):
        if as_json:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
            sys.stdout.flush()
        shed, kept = row.shed90_after_fault_s, row.value_kept_ratio
        table.add_row(
            f"{row.utilisation:.2f}", row.policy, f"{kept.mean:.4f} ± {kept.half:.4f}",
            f"{row.value_lost_vs_forced.mean:+.4f} ± {row.value_lost_vs_forced.half:.4f}",
            f"{shed.mean:.1f} ± {shed.half:.1f} s" if shed.count else "never",
            f"{row.peak_failing_max_c:.1f} °C", f"{row.refusals.mean:.1f}",
        )  # fmt: skip
    if not as_json:
        print_data(table)
    return 0
