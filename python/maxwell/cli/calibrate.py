"""`maxwell calibrate --thermal`: the thermal constants of this host, from its own readings."""

from __future__ import annotations

import time
from typing import Final

import click

from maxwell.cli.console import print_data, print_note
from maxwell.cli.settings import Settings, common_options
from maxwell.errors import EnergyError

PERIOD_S: Final = 1.0
HALF_S: Final = 30
"""Seconds of load and of rest, in turn: what makes the temperature move."""


@click.command()
@click.option("--thermal", is_flag=True, help="Fit thermal resistance and capacity.")
@click.option(
    "--seconds",
    type=click.IntRange(30, 3_600),
    default=180,
    show_default=True,
    help="How long readings are taken.",
)
@click.option(
    "--inlet",
    "inlet_c",
    type=float,
    default=24.0,
    show_default=True,
    help="Inlet temperature, °C, where the host does not show it.",
)
@click.option(
    "--core-power",
    "core_w",
    type=float,
    default=5.0,
    show_default=True,
    help="Watts of one busy core.",
)
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def command(
    settings: Settings, *, thermal: bool, seconds: int, inlet_c: float, core_w: float, json: bool
) -> int:  # fmt: skip
    """Measure constants of this machine.

    `--thermal` loads one core by turns of 30 s, reads the hottest sensor each second, and fits
    R and C. Power is modelled: cores in use times their power.
    """
    import msgspec

    from maxwell.heat.calibrate import fit_rc, host_temperatures

    if not thermal:
        raise click.UsageError("say what to calibrate: --thermal")
    first = host_temperatures()
    if not first:
        raise EnergyError(
            "this host shows no temperature",
            code="MX1402",
            hint="sensors are hidden in most virtual machines; run on the host itself",
        )
    name = max(first, key=lambda key: (first[key], key))
    if not settings.quiet:
        print_note(f"reading {name} for {seconds} s")
    start = time.monotonic()
    t_s: list[float] = []
    t_c: list[float] = []
    power_w: list[float] = []
    while (elapsed := time.monotonic() - start) < seconds:
        cpu = time.process_time()
        busy = int(elapsed) // HALF_S % 2 == 0
        until = time.monotonic() + PERIOD_S
        while time.monotonic() < until:
            if not busy:
                time.sleep(max(0.0, until - time.monotonic()))
        spent = (time.monotonic() - start) - elapsed
        t_s.append(elapsed)
        t_c.append(host_temperatures().get(name, first[name]))
        power_w.append(core_w * (time.process_time() - cpu) / spent)
    fit = fit_rc(t_s, t_c, power_w, [inlet_c] * len(t_s))
    if json:
        data = {"schema": "maxwell.thermal/1", "sensor": name, "power": "modelled", "fit": fit}
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    else:
        print_data(
            f"{name}: R {fit.resistance_k_per_w:.3g} K/W, C {fit.capacity_j_per_k:.3g} J/K, "
            f"time constant {fit.tau_s:.3g} s (power modelled, {fit.samples} readings)"
        )
    return 0
