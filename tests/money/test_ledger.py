"""The ledger: what each entry moves, what it refuses, and that refusals book nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maxwell.errors import InsufficientEnergy, InternalError, LedgerError
from maxwell.market.book import COMMONS, FIRE, TREASURY, Book, Entry
from maxwell.market.ledger import Credits, Ledger
from money.slots import FakeSlot


@pytest.fixture
def ledger() -> Ledger:
    """An account of 100, a sponsor of 50, a treasury of 10."""
    ledger = Ledger()
    ledger.mint(160, line="budget")
    ledger.open_account("a")
    ledger.open_account("b")
    ledger.open_sponsor("s")
    ledger.fund_account("a", 100)
    ledger.fund_sponsor("s", 50)
    return ledger


def leased(ledger: Ledger, credits: int = 60) -> FakeSlot:
    """Leases to process 1 and fills its purse."""
    ledger.lease(1, "a", credits)
    slot = FakeSlot()
    slot.fund(credits)
    return slot


def test_a_life(ledger: Ledger) -> None:
    """Goal: every credit of one life ends where the contracts say."""
    ledger.lease(1, "a", 60)
    ledger.admission(1, 4)
    assert ledger.lease_balance(1) == 56
    slot = FakeSlot()
    slot.fund(56)
    slot.spend("burned", 20)
    slot.spend("premium", 5)
    slot.spend("rent", 3)
    slot.spend("tax", 2)
    slot.lock("escrow", 6)
    slot.lock("bond", 4)
    ledger.settle(1, slot)
    ledger.check([slot])
    assert ledger.totals({1: slot}) == Credits(
        minted=160, held=50, leased=16, escrowed=60, burned=20, commons=14, expired=0
    )
    assert ledger.reward(1, "s", 30) == 30
    assert ledger.totals([slot]).leased == 46  # on its way to the purse
    slot.fund(30)
    slot.end()
    assert ledger.close(1, slot) == 56
    ledger.check([slot])
    assert ledger.totals([slot]) == Credits(
        minted=160, held=106, leased=0, escrowed=20, burned=20, commons=14, expired=0
    )
    assert ledger.balance("a") == 96
    assert ledger.commons_inflow() == 14
    assert not ledger.is_leased(1)


def test_settling_twice_books_nothing(ledger: Ledger) -> None:
    slot = leased(ledger)
    slot.spend("burned", 7)
    slot.spend("rent", 2)
    ledger.settle(1, slot)
    before = ledger.totals([slot])
    ledger.settle(1, slot)
    ledger.settle(1, slot.copy())
    assert ledger.totals([slot]) == before


@pytest.mark.parametrize("field", ["burned", "premium", "rent", "tax", "sent", "returned"])
def test_a_slot_that_goes_backwards_is_a_bug(ledger: Ledger, field: str) -> None:
    slot = leased(ledger)
    slot.spend("burned" if field == "returned" else field, 5)
    if field == "returned":
        slot.end()
    ledger.settle(1, slot)
    before = ledger.totals([slot])
    back = slot.copy()
    setattr(back, field, getattr(back, field) - 1)
    back.purse += 1
    if field == "burned":
        back.energy_uj -= 1
    with pytest.raises(InternalError, match=f"went backwards: {field}") as caught:
        ledger.settle(1, back)
    assert caught.value.code == "MX1304"
    with pytest.raises(InternalError):
        ledger.check([back])
    assert ledger.totals([slot]) == before


def test_a_slot_that_breaks_its_invariant_is_a_bug(ledger: Ledger) -> None:
    slot = leased(ledger)
    for bad in (
        replace(slot, purse=slot.purse + 1),
        replace(slot, energy_uj=1),
        replace(slot, uncollected_uj=1),
    ):
        with pytest.raises(InternalError) as caught:
            ledger.settle(1, bad)
        assert caught.value.code == "MX1303"
        with pytest.raises(InternalError):
            ledger.check([bad])


def test_a_slot_with_credits_from_nowhere_is_a_bug(ledger: Ledger) -> None:
    slot = leased(ledger)
    slot.fund(1)
    with pytest.raises(InternalError, match="granted 60"):
        ledger.settle(1, slot)
    stranger = FakeSlot(pid=9)
    stranger.fund(1)
    with pytest.raises(InternalError, match="without a lease"):
        ledger.check([stranger])
    ledger.check([FakeSlot(pid=9)])  # a free slot is nobody's


def test_uncollected_joules_are_not_money(ledger: Ledger) -> None:
    slot = leased(ledger, 10)
    slot.spend("burned", 25)
    assert (slot.burned, slot.uncollected_uj) == (10, 15)
    ledger.settle(1, slot)
    ledger.check([slot])
    assert ledger.totals([slot]).burned == 10


def test_transfers_arrive_as_funds(ledger: Ledger) -> None:
    one = leased(ledger)
    ledger.lease(2, "a", 5)
    two = FakeSlot(pid=2)
    two.fund(5)
    one.spend("sent", 20)
    ledger.settle(1, one)
    ledger.check([one, two])
    ledger.transfer(1, 2, 20)
    ledger.check([one, two])
    two.fund(20)
    ledger.settle(2, two)
    ledger.check([one, two])
    assert ledger.lease_balance(2) == 25
    with pytest.raises(LedgerError, match="no lease"):
        ledger.transfer(1, 3, 1)


def test_what_was_sent_and_never_booked_goes_back(ledger: Ledger) -> None:
    slot = leased(ledger)
    slot.spend("sent", 20)
    slot.end()
    assert ledger.close(1, slot) == 60
    ledger.check([slot])


def test_a_killed_cell_returns_what_its_slots_hold(ledger: Ledger) -> None:
    slot = leased(ledger)
    slot.spend("burned", 10)
    slot.lock("escrow", 5)
    slot.lock("bond", 5)
    assert ledger.close(1, slot) == 50
    ledger.check([slot])
    assert ledger.balance("a") == 90


def test_a_process_without_a_slot_returns_everything(ledger: Ledger) -> None:
    ledger.lease(1, "a", 60)
    ledger.check(())
    assert ledger.totals(()).leased == 60
    assert ledger.close(1, None) == 60
    with pytest.raises(LedgerError, match="closed lease"):
        ledger.close(1, None)
    with pytest.raises(LedgerError, match="is closed"):
        ledger.lease(1, "a", 1)


def test_rewards_stop_with_the_escrow(ledger: Ledger) -> None:
    leased(ledger)
    assert ledger.reward(1, "s", 30) == 30
    assert ledger.reward(1, "s", 30) == 20
    assert ledger.reward(1, "s", 30) == 0
    assert ledger.sponsor_balance("s") == 0


def test_refusals_book_nothing(ledger: Ledger) -> None:
    leased(ledger)
    before = ledger.totals(())
    for refused in (
        lambda: ledger.lease(2, "a", 41),
        lambda: ledger.lease(2, "nobody", 1),
        lambda: ledger.lease(1, "b", 0),
        lambda: ledger.fund_account("a", 11),
        lambda: ledger.fund_sponsor("nobody", 1),
        lambda: ledger.reward(1, "nobody", 1),
        lambda: ledger.reward(2, "s", 1),
        lambda: ledger.admission(1, 61),
        lambda: ledger.open_account("a"),
        lambda: ledger.open_sponsor("s"),
        lambda: ledger.balance("s"),
        lambda: ledger.settle(2, FakeSlot(pid=2)),
        lambda: ledger.basic_income(["a", "a"]),
        lambda: ledger.basic_income(["nobody"]),
    ):
        with pytest.raises(LedgerError) as caught:
            refused()
        assert caught.value.code in {"MX1300", "MX1301"}
    assert ledger.totals(()) == before
    with pytest.raises(LedgerError, match="no lease"):
        ledger.lease_balance(2) if ledger.is_leased(2) else ledger.reward(2, "s", 1)


def test_admission_comes_before_the_purse(ledger: Ledger) -> None:
    slot = leased(ledger)
    ledger.settle(1, slot)
    with pytest.raises(LedgerError, match="admitted already"):
        ledger.admission(1, 1)


def test_basic_income(ledger: Ledger) -> None:
    """Goal: 30 % of the inflow since the last call, floored twice; dust stays in the commons."""
    slot = leased(ledger)
    slot.spend("rent", 25)
    ledger.settle(1, slot)
    assert ledger.basic_income(["a", "b"]) == 3  # 30 % of 25 is 7, halved
    assert (ledger.balance("a"), ledger.balance("b"), ledger.commons()) == (43, 3, 19)
    assert ledger.basic_income(["a", "b"]) == 0
    slot.spend("premium", 10)
    ledger.settle(1, slot)
    assert ledger.basic_income([]) == 0
    assert ledger.basic_income(["a"]) == 0  # that epoch is over
    ledger.check([slot])


def test_the_journal_replays_to_the_same_balances() -> None:
    """Goal: the entries are the whole truth. Method: replay them into another book."""
    entries: list[Entry] = []
    ledger = Ledger(journal=entries.append)
    ledger.mint(100, line="budget")
    ledger.open_account("a")
    ledger.fund_account("a", 90)
    slot = leased(ledger, 50)
    slot.spend("burned", 11)
    slot.spend("tax", 7)
    slot.end()
    ledger.close(1, slot)
    balances: dict[object, int] = {}
    for entry in entries:
        assert entry.credits > 0
        balances[entry.target] = balances.get(entry.target, 0) + entry.credits
        if entry.source is not None:
            balances[entry.source] -= entry.credits
    assert balances == {
        TREASURY: 10,
        ("account", "a"): 72,
        ("lease", 1): 0,
        FIRE: 11,
        COMMONS: 7,
    }
    assert ledger.minted("budget") == 100
    assert ledger.minted("power") == 0


@pytest.mark.parametrize("amount", [-1, 1.0, "1", True, None])
def test_amounts_are_whole_and_not_negative(amount: object) -> None:
    book = Book()
    with pytest.raises(InternalError, match="not an amount"):
        book.mint(amount, kind="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InternalError, match="not an amount"):
        book.post(TREASURY, FIRE, amount, kind="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert book.minted == 0


def test_insufficient_names_both_figures() -> None:
    book = Book()
    book.mint(5, kind="x")
    with pytest.raises(InsufficientEnergy, match="holds 5 credits, 6 are needed"):
        book.post(TREASURY, FIRE, 6, kind="burn")


def test_a_damaged_book_is_found() -> None:
    """Goal: `check` recounts. Method: damage a balance behind the book's back."""
    book = Book()
    book.mint(5, kind="x")
    balances: dict[object, int] = book._balances  # type: ignore[assignment]  # pyright: ignore
    balances[FIRE] = 1
    with pytest.raises(InternalError, match="sums are off"):
        book.check()
    balances[FIRE] = -1
    with pytest.raises(InternalError, match="negative"):
        book.check()
