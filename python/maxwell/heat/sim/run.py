"""Runs a scenario and its twin, with the cores or with the vectorised model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import ConfigError
from maxwell.heat.policy import POLICIES, policy_named
from maxwell.heat.settings import HeatSettings
from maxwell.heat.sim.engine import SimConfig, Simulation
from maxwell.heat.sim.scenarios import scenario_named

if TYPE_CHECKING:
    from maxwell.heat.sim.metrics import HeatReport

NODES_MIN: Final = 3
CORES_NODES_MAX: Final = 4_000
"""Above, `auto` takes the vectorised model."""
NODES_MAX: Final = 200_000


def sim_config(
    *,
    nodes: int,
    scenario: str,
    policy: str,
    seed: int,
    utilisation: float | None = None,
    duration_s: int | None = None,
    fail_ratio: float | None = None,
    gain: float = 1.0,
    keep_trace: bool = False,
    keep_series: bool = False,
) -> SimConfig:
    """Returns the configuration of a run.

    Args:
        nodes: how many.
        scenario: its name.
        policy: its name.
        seed: of everything random.
        utilisation: mean load, instead of the scenario's.
        duration_s: simulated seconds, instead of the scenario's.
        fail_ratio: share of nodes that fail, instead of the scenario's.
        gain: multiplies the slope of the price, and what T_re aims at, so that T_re stays: the
            loop gain is this much higher than processes believe. By the theory it oscillates
            above the gain margin.
        keep_trace: for the trace file.
        keep_series: for the picture.

    Raises:
        ConfigError: MX1001 for unknown names, MX1006 for numbers out of range.
    """
    chosen = scenario_named(scenario)
    if not NODES_MIN <= nodes <= NODES_MAX:
        raise ConfigError(
            f"number of nodes out of range: {nodes}",
            code="MX1006",
            hint=f"from {NODES_MIN} to {NODES_MAX}",
        )
    if utilisation is not None and not 0.05 <= utilisation <= 0.95:
        raise ConfigError(
            f"utilisation out of range: {utilisation}", code="MX1006", hint="from 0.05 to 0.95"
        )
    if duration_s is not None and duration_s <= chosen.settle_s:
        raise ConfigError(
            f"duration too short: {duration_s} s",
            code="MX1006",
            hint=f"the scenario's fault happens after {chosen.settle_s} s",
        )
    chosen = msgspec.structs.replace(
        chosen,
        utilisation=chosen.utilisation if utilisation is None else utilisation,
        duration_s=chosen.duration_s if duration_s is None else duration_s,
        fail_ratio=chosen.fail_ratio if fail_ratio is None else fail_ratio,
    )
    settings = HeatSettings()
    if gain != 1.0:
        settings = msgspec.structs.replace(
            settings, kappa=settings.kappa * gain, loop_gain=settings.loop_gain * gain
        )
    return SimConfig(
        nodes=nodes,
        scenario=chosen,
        policy=policy_named(policy),
        seed=seed,
        settings=settings,
        keep_trace=keep_trace,
        keep_series=keep_series,
    )


def run_config(config: SimConfig) -> tuple[HeatReport, Simulation]:
    """Runs a configuration on the cores; with its twin where the scenario has one."""
    simulation = Simulation(config).run()
    report = simulation.metrics.report()
    if config.scenario.twin and config.policy.distress:
        twin = msgspec.structs.replace(
            config, policy=POLICIES["guard-only"], keep_trace=False, keep_series=False
        )
        other = Simulation(twin).run().metrics.report()
        report.fan_and_cooling_j_per_work_without_gossip = other.fan_and_cooling_j_per_work
        report.work_kept_ratio_without_gossip = other.work_kept_ratio
    return report, simulation
