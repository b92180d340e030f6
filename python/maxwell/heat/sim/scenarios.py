"""The scenarios of `maxwell lab heat`: what fails, when, and how bad the network is."""

from __future__ import annotations

from typing import Final

import msgspec

from maxwell.errors import ConfigError, choices_hint


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment; times in seconds of simulated time."""

    name: str
    about: str
    utilisation: float = 0.65
    settle_s: int = 60
    duration_s: int = 150
    fail_ratio: float = 0.01
    """Share of nodes whose fans die at `settle_s`, the most loaded ones; at least one."""
    fails: bool = True
    loss: float = 0.01
    duplicate: float = 0.0
    reorder: float = 0.0
    dead_relays: float = 0.0
    gossip_off: bool = False
    partition_s: tuple[int, int] | None = None
    liars: float = 0.0
    supply_k: float = 0.0
    """Added to the supply temperature from the start."""
    inlet_k: float = 0.0
    """Added to the inlets of 10 % of the racks, over two minutes from `settle_s`."""
    square_wave: bool = False
    chassis: int = 1
    surge: bool = False
    """From `settle_s` one node in each fourth chassis wants half as much again."""
    derate: float = 0.0
    """Share of its draw that one rack's feed loses at `settle_s`."""
    twin: bool = False
    """Whether the same run without gossip is made too, for comparison."""


_ALL: Final = (
    Scenario(name="steady", about="nothing fails: churn, spread, spectrum", fails=False,
             settle_s=120, duration_s=760),
    Scenario(name="fan-death", about="the fans of 1 % of the nodes die, the most loaded ones"),
    Scenario(name="fan-death-lossy", loss=0.30, duplicate=0.02, reorder=0.10, dead_relays=0.10,
             about="the same with 30 % loss, duplicates, reordering and 10 % dead relays"),
    Scenario(name="ten-percent", fail_ratio=0.10, about="the fans of 10 % of the nodes die"),
    Scenario(name="overload", utilisation=0.90, supply_k=5.0,
             about="90 % load and a supply 5 K too warm, and 1 % of the fans die"),
    Scenario(name="partition", partition_s=(40, 260), duration_s=300,
             about="the network is two halves for 220 s, and fans die in it"),
    Scenario(name="gossip-off", gossip_off=True, about="no packet arrives; 1 % of the fans die"),
    Scenario(name="liars", liars=0.10,
             about="10 % of the nodes say that they are cold and take everything; fans die"),
    Scenario(name="slow-inlet", fails=False, inlet_k=8.0, duration_s=300,
             about="the inlets of 10 % of the racks warm by 8 K in two minutes"),
    Scenario(name="square-wave", fails=False, square_wave=True, duration_s=300,
             about="a fifth of the processes switch between 40 and 160 % every 20 s"),
    Scenario(name="shared-fans", fails=False, chassis=4, surge=True, twin=True, duration_s=300,
             about="chassis of four share their fans; one node in each fourth chassis surges"),
    Scenario(name="pdu-derate", fails=False, derate=0.30, twin=True, duration_s=240,
             about="one rack's feed loses 30 % of what the rack draws"),
)  # fmt: skip

SCENARIOS: Final[dict[str, Scenario]] = {scenario.name: scenario for scenario in _ALL}


def scenario_named(name: str) -> Scenario:
    """Returns a scenario.

    Raises:
        ConfigError: MX1001 when there is none of this name.
    """
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise ConfigError(
            f"unknown scenario: {name!r}", code="MX1001", hint=choices_hint(name, SCENARIOS)
        )
    return scenario
