"""Questions: nobody is paid twice for a bit, nobody is in debt, and no claim is taken on trust."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.config.records import RewardConfig
from maxwell.errors import ConfigError, InsufficientEnergy, LedgerError
from maxwell.market.information import ONE, gain_credits, prime_prior, stake_credits
from maxwell.market.ledger import Ledger
from maxwell.market.questions import Claim, QuestionBook, RefusedClaim
from money.slots import FakeSlot

KAPPA = 100
STAKE = stake_credits(KAPPA)


def reward(resolver: str, **options: object) -> RewardConfig:
    return RewardConfig(
        sponsor="s", name="q", resolver=resolver, pays_credits=KAPPA, options=options
    )


def ledger(escrow: int, funds: int = 10_000) -> Ledger:
    made = Ledger()
    made.mint(escrow + 2 * funds, line="budget")
    made.open_sponsor("s")
    made.fund_sponsor("s", escrow)
    made.open_account("a")
    made.fund_account("a", 2 * funds)
    for pid in (1, 2):
        made.lease(pid, "a", funds)
    return made


def primes(escrow: int = 100_000, **options: object) -> tuple[QuestionBook, Ledger]:
    books = ledger(escrow)
    book = QuestionBook([reward("predicate", test="prime", **options)], books)
    for pid in (1, 2):
        book.ask(pid, ["q"])
    return book, books


def only(results: list[Claim | RefusedClaim]) -> Claim | RefusedClaim:
    assert len(results) == 1
    return results[0]


def claim(book: QuestionBook, line: bytes, *, pid: int = 1, staked: int = STAKE) -> Claim:
    results, _ = book.on_report(pid, line, staked=staked, now_ns=0)
    found = only(results)
    assert isinstance(found, Claim), found
    return found


def test_a_true_claim_earns_its_surprise_and_a_false_one_loses_no_more_than_its_stake() -> None:
    book, books = primes()
    found = claim(book, b"1000003")
    prior = prime_prior(1_000_003)
    assert (found.holds, found.public) == (True, prior)
    # Certain but for 2^-16, of something with 1 in 13.8: 3.79 bits.
    assert 3.7 < found.score.bits / ONE < 3.8
    assert found.score.paid_credits == gain_credits(KAPPA, found.score.bits) > 0
    results, back = book.on_report(1, b"1000001", staked=STAKE, now_ns=0)
    lost = only(results)
    assert isinstance(lost, Claim)
    assert not lost.holds
    assert 0 < lost.score.lost_credits <= STAKE
    assert back == STAKE - lost.score.lost_credits
    assert claim(book, b"999999 0.01").score.bits > 0
    books.check({})


def test_a_number_is_resolved_once() -> None:
    book, books = primes()
    claim(book, b"1000003")
    before = books.sponsor_balance("s")
    for pid in (1, 2):
        results, back = book.on_report(pid, b"1000003 0.5", staked=STAKE, now_ns=0)
        refused = only(results)
        assert isinstance(refused, RefusedClaim)
        assert (refused.why, back) == ("resolved already", STAKE)
    assert books.sponsor_balance("s") == before


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not a number"),
        (b"prime", "not a number"),
        (b"-7", "not a number"),
        (b"7 NaN", "not finite"),
        (b"7 -nan", "not finite"),
        (b"7 sNaN", "not finite"),
        (b"7 inf", "not finite"),
        (b"7 -Infinity", "not finite"),
        (b"7 1.0000001", "not from 0 to 1"),
        (b"7 -0.1", "not from 0 to 1"),
        (b"7 1e999999999999", "out of range"),
        (b"7 1e-99999", "out of range"),
        (b"7 0x10", "not a decimal number"),
        (b"7 0,5", "not a decimal number"),
        (b"7 0.5 0.5", "not a number, or a number and"),
        (b"\xff\xfe", "not a number"),
        ("7 ٠".encode(), "not a number"),
        (b"99999999999999999999999999 1", "not a number"),
        (b"4999", "not from 5000"),
    ],
)
def test_malformed_claims_are_refused_and_their_stake_goes_back(line: bytes, why: str) -> None:
    book, books = primes(**{"from": 5000} if line == b"4999" else {})
    results, back = book.on_report(1, line, staked=STAKE, now_ns=0)
    refused = only(results)
    assert isinstance(refused, RefusedClaim)
    assert why in refused.why
    assert back == STAKE
    assert books.sponsor_balance("s") == 100_000


def test_claims_after_the_deadline_without_a_stake_or_without_an_escrow_are_refused() -> None:
    book, _ = primes(deadline="1 s")
    results, back = book.on_report(1, b"7", staked=STAKE, now_ns=10**9)
    assert [r.why for r in results if isinstance(r, RefusedClaim)] == ["after the deadline"]
    assert back == STAKE
    results, back = book.on_report(1, b"7", staked=STAKE - 1, now_ns=0)
    assert [r.why for r in results if isinstance(r, RefusedClaim)] == ["it came without its stake"]
    empty, _ = primes(escrow=0)
    assert not empty.hears_reports(1)
    results, back = empty.on_report(1, b"7", staked=STAKE, now_ns=0)
    assert [r.why for r in results if isinstance(r, RefusedClaim)] == [
        "the sponsor's escrow is empty"
    ]
    assert back == STAKE


blocks = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.integers(0, 5), st.integers(-300 * ONE, 900 * ONE)),
    max_size=40,
)


@given(blocks=blocks, escrow=st.integers(0, 400_000))
def test_a_block_is_bought_once_whoever_sells_it(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[int, int, int]], escrow: int
) -> None:
    """Goal: payments for a block telescope. Method: blocks in any order from two processes; what
    the sponsor pays for a block is never more than its best bits are worth, and the escrow never
    pays what it does not hold."""
    folder = tmp_path_factory.getbasetemp()
    (folder / "text").write_bytes(b"x" * 2048)
    books = ledger(escrow, funds=2_000_000)
    book = QuestionBook([reward("stream", file="text")], books, base_dir=folder)
    slots = {pid: FakeSlot(pid=pid) for pid in (1, 2)}
    for pid, slot in slots.items():
        book.ask(pid, ["q"])
        slot.fund(2_000_000)
    paid: dict[int, int] = {}
    best: dict[int, int] = {}
    for pid, block, bits in blocks:
        lost = -(KAPPA * bits // ONE) if bits < 0 else 0
        slots[pid].spend("staked", lost)
        books.settle(pid, slots[pid])
        score = book.on_block(pid, 0, start=block * 256, bits=bits, lost=lost)
        slots[pid].fund(score.paid_credits)
        assert score.paid_credits <= score.due_credits
        paid[block] = paid.get(block, 0) + score.paid_credits
        best[block] = max(best.get(block, 0), bits)
        assert paid[block] <= gain_credits(KAPPA, best[block])
        books.check(slots)
    for pid, slot in slots.items():
        slot.end()
        books.close(pid, slot)
    books.check({})


def test_what_was_staked_and_never_booked_goes_back() -> None:
    """A cell that is killed after a stake left a purse: the lease still holds it."""
    books = ledger(0)
    slot = FakeSlot(pid=1)
    slot.fund(10_000)
    slot.lock("stake", 1_600)
    slot.spend("staked", 400)
    assert books.totals({1: slot, 2: FakeSlot(pid=2)}).escrowed == 1_600
    assert books.close(1, slot) == 10_000


def test_a_stake_is_refused_beyond_the_lease_and_after_its_end() -> None:
    books = ledger(0)
    with pytest.raises(InsufficientEnergy):
        books.take_stake(1, 10_001)
    books.close(1, None)
    with pytest.raises(LedgerError):
        books.take_stake(1, 1)
    with pytest.raises(LedgerError):
        books.forfeit(1, "s", 1)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, {}, ("is not there", "relative")),
        (b"", {}, ("is empty",)),
        (b"0120", {"alphabet": "01"}, ("not in its alphabet: '2'", "bytes")),
        (b"0101", {"alphabet": "01", "limit": 5}, ("has 4 symbols, limit is 5",)),
    ],
)
def test_texts_that_cannot_be_fed_are_refused(
    tmp_path: Path, content: bytes | None, options: dict[str, object], words: tuple[str, ...]
) -> None:
    if content is not None:
        (tmp_path / "text").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        QuestionBook([reward("stream", file="text", **options)], ledger(0), base_dir=tmp_path)
    assert caught.value.code == "MX1012"
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"
