"""`maxwell run`: a fleet file, or one module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from maxwell.cli.console import print_note, print_warning
from maxwell.cli.live import CompileLine
from maxwell.cli.logging_setup import start_logging
from maxwell.cli.running import (
    EXIT_OURS,
    create,
    fleet_folder,
    power_text,
    quoted,
    run_and_show,
    save,
    single_exit_code,
)
from maxwell.cli.settings import Settings, common_options
from maxwell.errors import ConfigError, ModuleError
from maxwell.observe.folder import RunFolder

if TYPE_CHECKING:
    from maxwell.config import FleetConfig
    from maxwell.observe.report import Report

BUDGET_DEFAULT: Final = "10 J"
"""What a single module gets when neither a budget nor a power is named: one to two seconds of
one core."""

WASM_MAGIC: Final = b"\0asm"


@click.command()
@click.argument("target", metavar="FLEET.toml|MODULE.wasm")
@click.argument("args", nargs=-1, metavar="[-- ARGS]...")
@click.option(
    "--budget",
    metavar="ENERGY",
    help="Energy minted once, such as 5J.  [default: 10J for a module; what a fleet file says]",
)
@click.option(
    "--power",
    metavar="POWER",
    help="Rate of minting instead of a budget, such as 10W, less idle and system power; accounts "
    "get it by their income_share, a module all of it.",
)
@click.option("--duration", metavar="TIME", help="When the run ends at the latest, such as 75s.")
@click.option("--cells", type=click.IntRange(1), metavar="N", help="Cores that guests run on.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Seed of the auction.")
@click.option("--deterministic", is_flag=True, help="Equal runs give equal results, bit by bit.")
@click.option(
    "--heat",
    metavar="SENSOR",
    help="Prices and power cap follow a temperature: auto, a file, a folder as /sys/class, or "
    "simulated (a model that the node's own power heats).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run's folder; an earlier run in it is replaced.  "
    "[default: runs/NAME-N; none for a module]",
)
@click.option("--json", is_flag=True, help="Print the report as JSON to standard output.")
@click.option(
    "--prometheus",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fleet: keep figures in a text file for Prometheus, once a second.",
)
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Module: a variable.")
@click.option("--dir", "dirs", multiple=True, metavar="HOST:GUEST[:ro]", help="Module: a folder.")
@click.option("--memory-max", metavar="SIZE", help="Module: memory limit, such as 64MiB.")
@click.option("--name", metavar="NAME", help="Module: the process's name.")
@common_options
@click.pass_obj
def command(
    settings: Settings,
    *,
    target: str,
    args: tuple[str, ...],
    budget: str | None,
    power: str | None,
    duration: str | None,
    cells: int | None,
    seed: int | None,
    deterministic: bool,
    heat: str | None,
    out: Path | None,
    json: bool,
    prometheus: Path | None,
    env: tuple[str, ...],
    dirs: tuple[str, ...],
    memory_max: str | None,
    name: str | None,
) -> int:
    """Run a fleet file, or one WebAssembly module.

    A fleet shows a live table and ends with a report and a run folder (runs/NAME-N, or --out). A
    module gets the terminal to itself: its output and exit code are passed through, and a receipt
    follows on standard error. Modules are paths, pypi:PACKAGE/FILE.wasm or samples:FILE.wasm.

    \b
      maxwell run fleet.toml --power 12W
      maxwell run agent.wasm --budget 5J -- --verbose input.txt
    """  # noqa: D301 - click reads the character, which a raw text would not have
    start_logging(settings)
    if budget is not None and power is not None:
        raise click.UsageError("--budget and --power exclude each other")
    node: dict[str, object] = {
        key: value
        for key, value in (
            ("budget", budget),
            ("power", power),
            ("duration", duration),
            ("cells", cells),
            ("seed", seed),
            ("deterministic", deterministic or None),
        )
        if value is not None
    }
    if is_fleet(target):
        if args or env or dirs or memory_max or name:
            raise click.UsageError(
                "--env, --dir, --memory-max, --name and ARGS are for a module; "
                "a fleet file says them for each process"
            )
        return _run_fleet_file(
            Path(target), node, out, settings, heat=heat, json=json, metrics=prometheus
        )
    if prometheus is not None:
        raise click.UsageError("--prometheus is for a fleet")
    config = _single_config(target, args, node, env, dirs, memory_max, name)
    return _run_single(_with_heat(config, heat), out, settings, json=json)


def _with_heat(config: FleetConfig, sensor: str | None) -> FleetConfig:
    """Replaces the sensor of `[heat]`; its other keys stay."""
    if sensor is None:
        return config
    import msgspec

    from maxwell.config import HeatConfig, check_fleet, sensor_path

    path = sensor_path(sensor, Path.cwd())
    heat = HeatConfig(sensor=path)
    if config.heat is not None:
        heat = msgspec.structs.replace(config.heat, sensor=path)
    changed = msgspec.structs.replace(config, heat=heat)
    check_fleet(changed)
    return changed


def is_fleet(target: str) -> bool:
    """Tells a fleet file from a module: by its name, else by its first bytes.

    Raises:
        ModuleError: MX1101 when a path without a telling name does not exist.
    """
    if target.endswith(".toml"):
        return True
    if target.endswith(".wasm") or target.startswith(("pypi:", "samples:", "cache:")):
        return False
    try:
        if Path(target).exists() and not Path(target).is_file():
            raise ModuleError(
                f"not a regular file: {target}",
                code="MX1101",
                hint="give a fleet file (.toml) or a module (.wasm)",
            )
        with Path(target).open("rb") as file:
            return file.read(len(WASM_MAGIC)) != WASM_MAGIC
    except OSError as error:
        raise ModuleError(
            f"cannot read: {target}: {error.strerror}",
            code="MX1101",
            hint="give a fleet file (.toml) or a module (.wasm)",
        ) from error


def _run_fleet_file(
    path: Path,
    node: dict[str, object],
    out: Path | None,
    settings: Settings,
    *,
    heat: str | None,
    json: bool,
    metrics: Path | None,
) -> int:
    """Runs a fleet file."""
    from maxwell.config import load_fleet

    config = _with_heat(load_fleet(path, node_overrides=node), heat)
    folder = fleet_folder(out, path.stem)
    return run_and_show(config, path.name, folder, settings, json=json, metrics=metrics)


def _single_config(
    module: str,
    args: tuple[str, ...],
    node: dict[str, object],
    env: tuple[str, ...],
    dirs: tuple[str, ...],
    memory_max: str | None,
    name: str | None,
) -> FleetConfig:
    """Builds the fleet of one process.

    Raises:
        ConfigError: An option's value is not usable.
    """
    from maxwell.config import single_module
    from maxwell.modules import resolve_module

    # A module that does not exist is found out before anything is loaded.
    resolve_module(module, Path.cwd())
    variables: dict[str, str] = {}
    for text in env:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ConfigError(
                f"--env: not NAME=VALUE: {text!r}", code="MX1004", hint="such as --env LANG=C"
            )
        variables[key] = value
    if "budget" not in node and "power" not in node:
        node = {**node, "budget": BUDGET_DEFAULT}
    return single_module(
        module,
        args=args,
        env=variables,
        dirs=dirs,
        name=name,
        process={"memory_max": memory_max} if memory_max is not None else None,
        node=node,
    )


def _run_single(config: FleetConfig, out: Path | None, settings: Settings, *, json: bool) -> int:
    """Runs one module with the terminal as its own."""
    from maxwell.hypervisor import run_fleet
    from maxwell.units import format_bytes

    folder = None if out is None else RunFolder(out)
    if folder is not None:
        create(folder, settings)
    waiting = CompileLine(settings)
    # With --json standard output is the report's.
    streams = {"stdout": sys.stderr.buffer if json else sys.stdout.buffer}

    lost = 0

    def pass_through(process: str, stream: str, data: bytes, lost_bytes: int = 0) -> None:
        nonlocal lost
        del process
        lost += lost_bytes
        waiting.clear()
        target = streams.get(stream, sys.stderr.buffer)
        rest = memoryview(data)
        while rest:
            # Without Python's buffer (PYTHONUNBUFFERED) a pipe may take a part only.
            rest = rest[target.write(rest) :]
        target.flush()

    try:
        report = run_fleet(
            config,
            out=out,
            on_view=lambda view: waiting.clear(),
            on_output=pass_through,
            on_compile=waiting.draw,
        )
    finally:
        waiting.clear()
    if lost:
        text = f"{format_bytes(lost)} of its output were dropped: it writes faster than it is read"
        report = report.with_warnings((text,))
    saved = save(report, out)
    if folder is not None:
        folder.release()
    if json:
        sys.stdout.write(report.to_text())
    if not settings.quiet:
        for line in receipt(report):
            print_note(line)
        power = power_text(config, report)
        if power is not None:
            print_note(f"maxwell: power {power}")
    for warning in report.warnings:
        print_warning(warning)
    return single_exit_code(report) if saved else EXIT_OURS


def receipt(report: Report) -> list[str]:
    """Writes the three lines that end a single module's run."""
    from maxwell.observe.text import joules, price, share
    from maxwell.units import format_bytes, format_duration, format_energy

    record = report.record
    process = record.processes[0]
    outcome = process.outcome.replace("_", " ")
    code = "" if process.exit_code is None else f" (exit code {process.exit_code})"
    why = "" if process.outcome == "finished" or not process.reason else f": {process.reason}"
    burned = process.energy_uj - process.uncollected_uj
    mean_ppm = 1_000_000 * (burned + process.premium_credits) // burned if burned else 1_000_000
    interval = record.interval_uj / record.energy.metered if record.energy.metered else 0.0
    lived = format_duration(process.died_ns - process.born_ns)
    noun = "slice" if process.slices == 1 else "slices"
    lines = [
        f"maxwell: {process.name} {outcome}{code} after {lived}{why}",
        f"maxwell: burned {joules(process.energy_uj)} ({record.provenance}, ±{share(interval)}) in "
        f"{process.slices:,} {noun} at {price(mean_ppm)} credits/µJ; memory "
        f"{format_bytes(process.memory_bytes_max)}",
        f"maxwell: paid {format_energy(process.paid_credits)} (rent "
        f"{format_energy(process.rent_credits)}), {format_energy(process.returned_credits)} left; "
        f"conservation {'ok' if record.conservation_ok else 'FAILED'}",
    ]
    if report.run_dir is not None and process.outcome != "finished":
        lines.append(
            f"maxwell: `maxwell why {quoted(process.name)} --run {quoted(str(report.run_dir))}`"
        )
    return lines
