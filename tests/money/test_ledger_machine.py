"""A random economy against a plain model: conservation after every step.

Method: a hypothesis state machine moves credits as cells, sponsors and the mint do, in any order,
and settles at any time. A second, simpler count of where every credit must be is kept beside the
ledger and compared after each step.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from maxwell.errors import InsufficientEnergy
from maxwell.market.ledger import Ledger
from money.slots import FakeSlot

ACCOUNTS = ("a", "b", "c")
AMOUNTS = st.integers(0, 200) | st.integers(0, 2**64)


class Economy(RuleBasedStateMachine):
    """The model keeps held, sponsored, commons and burned of its own, and the slots the rest."""

    @initialize(opening=st.integers(0, 10**6))
    def start(self, opening: int) -> None:
        self.ledger = Ledger()
        self.slots: dict[int, FakeSlot] = {}
        self.pending: Counter[int] = Counter()  # granted, not yet in the purse
        self.unbooked: Counter[int] = Counter()  # sent, not yet transferred
        self.settled: dict[int, FakeSlot] = {}
        self.accounts: Counter[str] = Counter()
        self.owner: dict[int, str] = {}
        self.minted = self.treasury = opening
        self.sponsor = self.commons = self.burned = self.income_base = 0
        self.ledger.mint(opening, line="budget")
        for name in ACCOUNTS:
            self.ledger.open_account(name)
        self.ledger.open_sponsor("s")

    def pick(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.slots)))

    @rule(credits=AMOUNTS)
    def mint(self, credits: int) -> None:
        self.ledger.mint(credits, line="power")
        self.minted += credits
        self.treasury += credits

    @rule(name=st.sampled_from(ACCOUNTS), credits=AMOUNTS)
    def fund_account(self, name: str, credits: int) -> None:
        if credits > self.treasury:
            with pytest.raises(InsufficientEnergy):
                self.ledger.fund_account(name, credits)
            return
        self.ledger.fund_account(name, credits)
        self.treasury -= credits
        self.accounts[name] += credits

    @rule(credits=AMOUNTS)
    def fund_sponsor(self, credits: int) -> None:
        credits = min(credits, self.treasury)
        self.ledger.fund_sponsor("s", credits)
        self.treasury -= credits
        self.sponsor += credits

    @precondition(lambda self: len(self.owner) < 8)
    @rule(name=st.sampled_from(ACCOUNTS), credits=AMOUNTS, share=st.integers(0, 100))
    def spawn(self, name: str, credits: int, share: int) -> None:
        pid = len(self.owner) + 1
        credits = min(credits, self.accounts[name])
        self.ledger.lease(pid, name, credits)
        self.accounts[name] -= credits
        price = credits * share // 100
        self.ledger.admission(pid, price)
        self.commons += price
        self.slots[pid] = FakeSlot(pid=pid)
        self.settled[pid] = FakeSlot(pid=pid)
        self.owner[pid] = name
        self.pending[pid] = credits - price

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), credits=AMOUNTS)
    def top_up(self, data: st.DataObject, credits: int) -> None:
        pid = self.pick(data)
        name = self.owner[pid]
        credits = min(credits, self.accounts[name])
        self.ledger.lease(pid, name, credits)
        self.accounts[name] -= credits
        self.pending[pid] += credits

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def credits_arrive(self, data: st.DataObject) -> None:
        pid = self.pick(data)
        part = data.draw(st.integers(0, self.pending[pid]))
        self.slots[pid].fund(part)
        self.pending[pid] -= part

    @precondition(lambda self: self.slots)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["burned", "premium", "rent", "tax", "sent"]),
        credits=AMOUNTS,
    )
    def cell_spends(self, data: st.DataObject, kind: str, credits: int) -> None:
        slot = self.slots[self.pick(data)]
        before = slot.sent
        slot.spend(kind, credits)
        self.unbooked[slot.pid] += slot.sent - before

    @precondition(lambda self: self.slots)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["escrow", "bond"]),
        credits=st.integers(-(2**64), 2**64),
    )
    def cell_locks(self, data: st.DataObject, kind: str, credits: int) -> None:
        self.slots[self.pick(data)].lock(kind, credits)

    def book(self, pid: int) -> None:
        slot, old = self.slots[pid], self.settled[pid]
        self.burned += slot.burned - old.burned
        self.commons += slot.premium + slot.rent + slot.tax - old.premium - old.rent - old.tax
        self.settled[pid] = slot.copy()

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), times=st.integers(1, 3))
    def settle(self, data: st.DataObject, times: int) -> None:
        pid = self.pick(data)
        for _ in range(times):
            self.ledger.settle(pid, self.slots[pid])
        self.book(pid)

    @precondition(lambda self: len(self.slots) > 1)
    @rule(data=st.data())
    def transfer(self, data: st.DataObject) -> None:
        source, target = self.pick(data), self.pick(data)
        credits = data.draw(st.integers(0, self.unbooked[source]))
        self.ledger.settle(source, self.slots[source])
        self.book(source)
        self.ledger.transfer(source, target, credits)
        self.unbooked[source] -= credits
        self.pending[target] += credits

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), credits=AMOUNTS)
    def reward(self, data: st.DataObject, credits: int) -> None:
        pid = self.pick(data)
        paid = self.ledger.reward(pid, "s", credits)
        assert paid == min(credits, self.sponsor)
        self.sponsor -= paid
        self.pending[pid] += paid

    @rule(names=st.sets(st.sampled_from(ACCOUNTS)))
    def income(self, names: set[str]) -> None:
        inflow = self.ledger.commons_inflow() - self.income_base
        self.income_base = self.ledger.commons_inflow()
        each = self.ledger.basic_income(sorted(names))
        assert each * len(names) <= inflow * 3 // 10 < (each + 1) * len(names) or not names
        self.commons -= each * len(names)
        for name in names:
            self.accounts[name] += each

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), killed=st.booleans())
    def die(self, data: st.DataObject, killed: bool) -> None:
        pid = self.pick(data)
        slot = self.slots[pid]
        held = slot.purse + slot.escrow + slot.bond + self.pending[pid] + self.unbooked[pid]
        if not killed:
            slot.end()
        assert self.ledger.close(pid, slot) == held
        self.book(pid)
        self.accounts[self.owner[pid]] += held
        del self.slots[pid]
        del self.pending[pid]
        del self.unbooked[pid]

    @invariant()
    def the_counts_agree(self) -> None:
        if not hasattr(self, "ledger"):
            return
        self.ledger.check(self.slots)
        totals = self.ledger.totals(self.slots.values())
        live = self.slots.values()
        locked = sum(slot.escrow + slot.bond for slot in live)
        assert totals.conserved
        assert totals.minted == self.minted
        assert totals.held == sum(self.accounts.values()) + self.treasury
        assert totals.escrowed == self.sponsor + locked
        assert totals.burned == self.burned
        assert totals.commons == self.commons
        unsettled = sum(_spent(slot) - _spent(self.settled[slot.pid]) for slot in live)
        assert totals.leased == (
            sum(slot.purse for slot in live)
            + sum(self.pending.values())
            + sum(self.unbooked.values())
            + unsettled
        )


def _spent(slot: FakeSlot) -> int:
    return slot.burned + slot.premium + slot.rent + slot.tax


TestEconomy: Any = Economy.TestCase
TestEconomy.settings = settings(
    max_examples=60, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
