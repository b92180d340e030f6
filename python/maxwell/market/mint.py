"""The mint: where credits come from, under a power cap or an energy budget (contract 3).

A mint works in cumulative terms: it computes what should have been minted since the start, and
mints the difference. Nothing is rounded twice, remainders carry over by themselves, and a lost
epoch is made up by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from maxwell.errors import ConfigError, InternalError
from maxwell.units import format_energy, format_power

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maxwell.config.records import FleetConfig
    from maxwell.market.ledger import Ledger

_PPM: Final = 1_000_000
_PJ_PER_UJ: Final = 1_000_000


class Mint(Protocol):
    """What mints, called once an epoch."""

    def epoch(self, ledger: Ledger, *, elapsed_ns: int, system_uj: int) -> dict[str, int]:
        """Mints what is due and funds accounts with it; returns the credits by account."""
        ...

    def set_cap(self, ppm: int) -> None:
        """Sets the share of the power cap that is minted from now on, in ppm."""
        ...


class PowerMint:
    """Mints (P − idle)·t − system, split by income share; what nobody claims is not minted.

    While the system draws more than the cap leaves, nothing is minted until it is made up for.

    Args:
        power_mw: the operator's cap in milliwatts.
        idle_power_mw: what the node draws without work, in milliwatts.
        shares_ppm: income share by account, in ppm, at most 1,000,000 in all.

    Raises:
        ConfigError: MX1013 when the cap is not above idle, MX1014 when the shares exceed 1.
    """

    def __init__(self, power_mw: int, idle_power_mw: int, shares_ppm: Mapping[str, int]) -> None:
        if power_mw <= idle_power_mw:
            raise ConfigError(
                f"power cap of {format_power(power_mw, exact=True)} is not above the node's idle "
                f"power of {format_power(idle_power_mw, exact=True)}",
                code="MX1013",
                hint="raise --power, or set idle_power under [node] to what this machine draws",
            )
        if min(shares_ppm.values(), default=0) < 0 or sum(shares_ppm.values()) > _PPM:
            raise ConfigError(
                f"income shares sum to {sum(shares_ppm.values()) / _PPM:g}",
                code="MX1014",
                hint="each from 0 on, at most 1 in all",
            )
        self._net_mw = power_mw - idle_power_mw
        self._shares_ppm = {name: share for name, share in shares_ppm.items() if share > 0}
        self._minted = dict.fromkeys(self._shares_ppm, 0)
        self._elapsed_ns = 0
        self._system_uj = 0
        self._cap_ppm = _PPM
        self._granted_pj = 0

    def set_cap(self, ppm: int) -> None:
        """Sets the share of the cap that is minted from the last epoch's end on."""
        assert 0 <= ppm <= _PPM, "a share"
        self._cap_ppm = ppm

    def epoch(self, ledger: Ledger, *, elapsed_ns: int, system_uj: int) -> dict[str, int]:
        """Mints what is due since the last call and funds the accounts.

        Args:
            ledger: has the accounts open.
            elapsed_ns: time since the start of the run, not of the epoch.
            system_uj: energy of the system since the start of the run. An estimate may sink; the
                largest so far counts, so that nothing is minted for what was only thought spent.

        Returns:
            Credits minted now by account; accounts that receive nothing are left out.

        Raises:
            InternalError: MX1900 when time goes backwards.
        """
        if elapsed_ns < self._elapsed_ns:
            raise InternalError(f"mint: time went from {self._elapsed_ns} to {elapsed_ns} ns")
        # One milliwatt for one nanosecond is one picojoule.
        passed_ns = elapsed_ns - self._elapsed_ns
        self._granted_pj += self._net_mw * passed_ns * self._cap_ppm // _PPM
        self._elapsed_ns = elapsed_ns
        self._system_uj = max(self._system_uj, system_uj)
        available_pj = max(0, self._granted_pj - self._system_uj * _PJ_PER_UJ)
        income: dict[str, int] = {}
        for name, share in self._shares_ppm.items():
            due = available_pj * share // (_PPM * _PJ_PER_UJ) - self._minted[name]
            if due <= 0:
                continue
            ledger.mint(due, line="power")
            ledger.fund_account(name, due)
            self._minted[name] += due
            income[name] = due
        if sum(self._minted.values()) * _PJ_PER_UJ > self._granted_pj:
            raise InternalError(
                f"mint: {sum(self._minted.values())} credits exceed the cap after {elapsed_ns} ns",
                code="MX1302",
            )
        return income


class BudgetMint:
    """Mints nothing after the start: the budget was minted by `open_books`."""

    def epoch(self, ledger: Ledger, *, elapsed_ns: int, system_uj: int) -> dict[str, int]:
        """Returns no income."""
        del ledger, elapsed_ns, system_uj
        return {}

    def set_cap(self, ppm: int) -> None:
        """Changes nothing: what is to come was minted already."""
        del ppm


def open_books(fleet: FleetConfig, ledger: Ledger, *, idle_power_mw: int) -> Mint:
    """Opens a fleet's accounts and sponsors, mints and hands out their opening funds.

    Under a budget all of it is minted once, and what the opening funds and escrows leave stays in
    the treasury. Under a power cap exactly the opening funds and escrows are minted, as a line of
    their own.

    Args:
        fleet: checked, see `maxwell.config.check_fleet`.
        ledger: empty.
        idle_power_mw: the node's idle power by its energy model.

    Returns:
        The mint for the epochs to come.

    Raises:
        ConfigError: MX1010 when the budget does not cover opening funds and escrows, MX1013 when
            the power cap is not above idle. Nothing is minted then.
    """
    needed = fleet.opening_uj + fleet.escrows_uj
    mint: Mint = BudgetMint()
    if fleet.node.power_mw is not None:
        mint = PowerMint(fleet.node.power_mw, idle_power_mw, fleet.income_shares_ppm)
        ledger.mint(needed, line="opening")
    else:
        budget = needed if fleet.node.budget_uj is None else fleet.node.budget_uj
        if budget < needed:
            raise ConfigError(
                f"a budget of {format_energy(budget, exact=True)} does not cover opening funds of "
                f"{format_energy(fleet.opening_uj, exact=True)} and escrows of "
                f"{format_energy(fleet.escrows_uj, exact=True)}",
                code="MX1010",
                hint=f"the sum is {format_energy(needed, exact=True)}",
            )
        ledger.mint(budget, line="budget")
    for account in fleet.accounts:
        ledger.open_account(account.name)
        ledger.fund_account(account.name, account.funds_uj)
    for sponsor in fleet.sponsors:
        ledger.open_sponsor(sponsor.name)
        ledger.fund_sponsor(sponsor.name, sponsor.escrow_uj)
    ledger.check(())
    return mint
