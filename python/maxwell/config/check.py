"""What must hold across the tables of a fleet, however it was made."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from maxwell.errors import ConfigError, choices_hint
from maxwell.market.proof_options import is_proof
from maxwell.units import format_energy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maxwell.config.records import FleetConfig

CELLS_MAX: Final = 1_024
BID_CAP_FACTOR: Final = 256
"""The market clamps bids to this many times the reserve (contract 6)."""
INCOME_SHARES_PPM_MAX: Final = 1_000_000


def check_fleet(fleet: FleetConfig, *, cpus: int | None = None, where: str = "fleet") -> None:
    """Checks names, references, sums and limits across the tables of a fleet.

    Args:
        fleet: the fleet.
        cpus: processors that cells may be pinned to; not checked when None.
        where: for messages, such as the file's name.

    Raises:
        ConfigError: MX1006 to MX1011 and MX1014.
    """
    _check_names(fleet, where)
    _check_references(fleet, where)
    _check_models(fleet, where)
    _check_cells(fleet, cpus, where)
    _check_money(fleet, where)
    if fleet.heat is not None and fleet.node.deterministic and not fleet.heat.simulated:
        raise ConfigError(
            f"{where}: a temperature in a deterministic run",
            code="MX1009",
            hint="what a sensor says is no function of the seed; drop one of the two, or take "
            'sensor = "simulated"',
        )
    bid_ppm_max = BID_CAP_FACTOR * fleet.node.reserve_ppm
    for process in fleet.processes:
        if process.bid_ppm is not None and process.bid_ppm > bid_ppm_max:
            raise ConfigError(
                f"{where}: process {process.name!r}: bid_ppm: out of range: {process.bid_ppm}",
                code="MX1006",
                hint=f"at most {BID_CAP_FACTOR} times the reserve, {bid_ppm_max}",
            )


def fleet_warnings(fleet: FleetConfig) -> tuple[str, ...]:
    """Returns what a fleet says that has no effect or is not real, in words for its operator."""
    warnings: list[str] = []
    if fleet.heat is not None and fleet.heat.simulated:
        warnings.append(
            "the temperature is simulated from the metered power: no sensor was read, and "
            f"{fleet.heat.peak_c} °C at full power is what the fleet file says"
        )
    if fleet.node.power_mw is None or any(a.income_share_ppm for a in fleet.accounts):
        return tuple(warnings)
    opening = format_energy(fleet.opening_uj + fleet.escrows_uj)
    warnings.append(
        "power mints nothing: no account has an income_share; opening funds and escrows of "
        f"{opening} are minted whatever the power is"
    )
    return tuple(warnings)


def _check_names(fleet: FleetConfig, where: str) -> None:
    payers = [account.name for account in fleet.accounts]
    payers += [sponsor.name for sponsor in fleet.sponsors]
    for kind, names in (
        ("accounts or sponsors", payers),
        ("rewards", [reward.name for reward in fleet.rewards]),
        ("requests", [rule.name for rule in fleet.requests]),
        ("models", [model.name for model in fleet.models]),
        ("processes", [process.name for process in fleet.processes]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                raise ConfigError(
                    f"{where}: two {kind} are named {name!r}",
                    code="MX1007",
                    hint="rename one; for copies of a process use count",
                )


def _check_references(fleet: FleetConfig, where: str) -> None:
    accounts = {account.name for account in fleet.accounts}
    sponsors = {sponsor.name for sponsor in fleet.sponsors}
    rewards = {reward.name for reward in fleet.rewards}
    requests = {rule.name for rule in fleet.requests}
    models = {model.name for model in fleet.models}
    for reward in fleet.rewards:
        label = f"{where}: reward {reward.name!r}"
        _must_exist(reward.sponsor, sponsors, f"{label}: no sponsor")
        if is_proof(reward.resolver):
            _must_exist(str(reward.options.get("model")), models, f"{label}: no model")
    for process in fleet.processes:
        label = f"{where}: process {process.name!r}"
        _must_exist(process.account, accounts, f"{label}: no account")
        for name in process.rewards:
            _must_exist(name, rewards, f"{label}: no reward")
        for name in process.requests:
            _must_exist(name, requests, f"{label}: no request rule")
        for name in process.models:
            _must_exist(name, models, f"{label}: no model")
        if process.requests and fleet.node.deterministic:
            raise ConfigError(
                f"{label}: requests in a deterministic run",
                code="MX1009",
                hint="what a server answers is no function of the seed; drop one of the two",
            )
        if len(set(process.rewards)) < len(process.rewards):
            raise ConfigError(
                f"{label}: a reward is listed twice: {', '.join(process.rewards)}", code="MX1007"
            )


def _check_models(fleet: FleetConfig, where: str) -> None:
    for model in fleet.models:
        if model.hiding and fleet.node.deterministic:
            raise ConfigError(
                f"{where}: model {model.name!r}: hiding in a deterministic run",
                code="MX1009",
                hint="what hides is random, and no function of the seed; drop one of the two",
            )


def _must_exist(name: str, known: Iterable[str], text: str) -> None:
    names = set(known)
    if name not in names:
        raise ConfigError(f"{text} {name!r}", code="MX1008", hint=choices_hint(name, names))


def _check_cells(fleet: FleetConfig, cpus: int | None, where: str) -> None:
    cells = fleet.node.cells
    if not 1 <= cells <= CELLS_MAX:
        raise ConfigError(
            f"{where}: [node]: cells: out of range: {cells}",
            code="MX1006",
            hint=f"from 1 to {CELLS_MAX}",
        )
    # Two cells on one core would time each other's slices: the joules would be wrong. Virtual
    # time does not care.
    if cpus is not None and cells > cpus and not fleet.node.deterministic:
        raise ConfigError(
            f"{where}: [node]: cells: {cells}, and this machine offers {cpus} "
            f"{'processor' if cpus == 1 else 'processors'}",
            code="MX1006",
            hint=f"cells = {cpus} (--cells {cpus}); each cell is pinned to a core of its own",
        )


def _check_money(fleet: FleetConfig, where: str) -> None:
    node = fleet.node
    if node.power_mw is not None and node.budget_uj is not None:
        raise ConfigError(
            f"{where}: [node]: 'power' and 'budget' exclude each other",
            code="MX1009",
            hint="a run has a power cap or an energy budget; keep one",
        )
    shares_ppm = sum(account.income_share_ppm for account in fleet.accounts)
    if shares_ppm > INCOME_SHARES_PPM_MAX:
        raise ConfigError(
            f"{where}: income shares sum to {shares_ppm / 1_000_000:g}",
            code="MX1014",
            hint="at most 1 in all; what nobody claims is not minted",
        )
    for account in fleet.accounts:
        asked = sum(p.funds_uj for p in fleet.processes if p.account == account.name)
        if asked > account.funds_uj and account.income_share_ppm == 0:
            raise ConfigError(
                f"{where}: account {account.name!r} opens with "
                f"{format_energy(account.funds_uj, exact=True)}, and its processes ask for "
                f"{format_energy(asked, exact=True)}",
                code="MX1011",
                hint="raise the account's funds, or leave them out",
            )
    _check_budget(fleet, where)


def _check_budget(fleet: FleetConfig, where: str) -> None:
    budget = fleet.node.budget_uj
    needed = fleet.opening_uj + fleet.escrows_uj
    if budget is not None and budget < needed:
        raise ConfigError(
            f"{where}: a budget of {format_energy(budget, exact=True)} does not cover opening "
            f"funds of {format_energy(fleet.opening_uj, exact=True)} and escrows of "
            f"{format_energy(fleet.escrows_uj, exact=True)}",
            code="MX1010",
            hint=f'budget = "{format_energy(needed, exact=True).replace("µ", "u")}" or more',
        )
