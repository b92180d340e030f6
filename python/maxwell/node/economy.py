"""The money of a run: one ledger, its mint, its sponsors, and what flows each epoch.

Nothing here speaks with a cell. Methods return the credits that a purse must be told of; the node
sends them. Conservation is asserted by the ledger on every entry and over all slots by `check`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maxwell.errors import InsufficientEnergy
from maxwell.market.ledger import Credits, Ledger
from maxwell.market.mint import open_books
from maxwell.market.proof_options import is_proof
from maxwell.market.questions import QuestionBook
from maxwell.market.rewards import RewardBook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from maxwell._native import Slot
    from maxwell.config import FleetConfig
    from maxwell.market.resolvers import Resolver
    from maxwell.market.rewards import Payout, Refusal
    from maxwell.node.entry import Entry


class Economy:
    """Accounts, leases, rewards and income of one run.

    Args:
        fleet: checked.
        idle_power_mw: the node's idle power by its energy model.
        resolvers: resolvers by reward name, in place of what the configuration names.

    Raises:
        ConfigError: the budget or the power cap does not cover the fleet; nothing is minted.
    """

    def __init__(
        self,
        fleet: FleetConfig,
        *,
        idle_power_mw: int,
        resolvers: Mapping[str, Resolver] | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._income_ppm = fleet.income_shares_ppm if fleet.node.power_mw is not None else {}
        self._mint = open_books(fleet, self.ledger, idle_power_mw=idle_power_mw)
        self.questions = QuestionBook(fleet.rewards, self.ledger, base_dir=fleet.base_dir)
        results = [
            r
            for r in fleet.rewards
            if r.name not in self.questions.names and not is_proof(r.resolver)
        ]
        self._results = frozenset(reward.name for reward in results)
        self.rewards = RewardBook(
            results,
            self.ledger,
            base_dir=fleet.base_dir,
            resolvers=resolvers,
            deterministic=fleet.node.deterministic,
        )

    def place(self, entry: Entry) -> int:
        """Leases a process's funds, takes the price of admission and returns its opening purse.

        Raises:
            InsufficientEnergy: MX1301 when the account or the funds do not reach.
        """
        self.ledger.lease(entry.pid, entry.config.account, entry.funds_credits)
        try:
            self.ledger.admission(entry.pid, entry.admitted.admission_credits)
        except InsufficientEnergy:
            self.ledger.close(entry.pid, None)
            raise
        self._subscribe(entry)
        entry.rewards_open = self.takes_reports(entry)
        return self.ledger.lease_balance(entry.pid)

    def may_wait(self, entry: Entry) -> bool:
        """Whether a process that its account cannot pay for now may be paid for out of income."""
        return (
            self._income_ppm.get(entry.config.account, 0) > 0
            and entry.funds_credits >= entry.admitted.admission_credits
        )

    def lease_again(self, entry: Entry, credits: int) -> None:
        """Leases what a process brought back that is placed on another cell before it ran."""
        self.ledger.lease(entry.pid, entry.config.account, credits)
        self._subscribe(entry)

    def _subscribe(self, entry: Entry) -> None:
        names = entry.config.rewards
        self.rewards.subscribe(entry.pid, [n for n in names if n in self._results])
        self.questions.ask(entry.pid, names)

    def takes_reports(self, entry: Entry) -> bool:
        """Returns whether anything may still be paid for a report of the process."""
        return self.rewards.is_open(entry.pid) or self.questions.hears_reports(entry.pid)

    def note_payouts(self, entry: Entry, payouts: Iterable[Payout]) -> int:
        """Counts a process's payouts; returns their credits."""
        credits = 0
        for payout in payouts:
            credits += payout.credits
            entry.results += 1
        entry.earned_credits += credits
        return credits

    def transfer(self, sender: Entry, receiver: Entry | None, credits: int, slot: Slot) -> Entry:
        """Books credits that a process sent; returns whose purse gets them.

        To a process that does not live they go back to the sender.
        """
        target = receiver if receiver is not None and receiver.is_alive else sender
        self.ledger.settle(sender.pid, slot)
        self.ledger.transfer(sender.pid, target.pid, credits)
        return target

    def close(self, entry: Entry, slot: Slot | None) -> int:
        """Settles a process a last time; returns the credits given back to its account."""
        return self.ledger.close(entry.pid, slot)

    def set_cap(self, ppm: int) -> None:
        """Sets the share of the power cap that is minted, in ppm."""
        self._mint.set_cap(ppm)

    def income(
        self, entries: Iterable[Entry], *, elapsed_ns: int, system_uj: int
    ) -> tuple[dict[str, int], dict[int, int]]:
        """Mints, pays the basic income and tops purses up.

        Returns:
            Credits by account, and credits by process that its purse must be told of.
        """
        by_account = self._mint.epoch(self.ledger, elapsed_ns=elapsed_ns, system_uj=system_uj)
        alive = [entry for entry in entries if entry.is_alive]
        accounts = list(dict.fromkeys(entry.config.account for entry in alive))
        each = self.ledger.basic_income(accounts)
        if each:
            for account in accounts:
                by_account[account] = by_account.get(account, 0) + each
        return by_account, self._top_up(alive)

    def _top_up(self, alive: list[Entry]) -> dict[int, int]:
        """Moves an account's balance into the purses that ask for it, in equal parts."""
        takers: dict[str, list[Entry]] = {}
        for entry in alive:
            if entry.config.top_up:
                takers.setdefault(entry.config.account, []).append(entry)
        topped: dict[int, int] = {}
        for account, entries in takers.items():
            share = self.ledger.balance(account) // len(entries)
            if share == 0:
                continue
            for entry in entries:
                self.ledger.lease(entry.pid, account, share)
                topped[entry.pid] = share
        return topped

    def refusals(self) -> list[Refusal]:
        """Returns the results refused since the last call."""
        return self.rewards.take_refusals()

    def totals(self, slots: Mapping[int, Slot]) -> Credits:
        """Returns where all credits are."""
        return self.ledger.totals(dict(slots))

    def check(self, slots: Mapping[int, Slot]) -> None:
        """Checks conservation over the books and the slots.

        Raises:
            InternalError: MX1302 to MX1304.
        """
        self.ledger.check(dict(slots))
