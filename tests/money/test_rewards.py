"""Rewards: verified results are paid once, from the escrow, whatever a guest writes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.config.records import RewardConfig
from maxwell.errors import ConfigError, LedgerError
from maxwell.market.ledger import Ledger
from maxwell.market.lines import LineJoiner
from maxwell.market.primes import PRIME_BOUND, is_prime
from maxwell.market.resolvers import LINE_BYTES_MAX, CallableResolver, build_resolver
from maxwell.market.rewards import REFUSALS_MAX, RewardBook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def ledger(escrow: int = 1_000, processes: int = 2) -> Ledger:
    made = Ledger()
    made.mint(escrow, line="budget")
    made.open_sponsor("s")
    made.fund_sponsor("s", escrow)
    made.open_account("a")
    for pid in range(1, processes + 1):
        made.lease(pid, "a", 0)
    return made


def reward(
    resolver: str,
    table: Mapping[str, object] | None = None,
    *,
    pays: int = 10,
    name: str = "r",
    **options: object,
) -> RewardConfig:
    return RewardConfig(
        sponsor="s",
        name=name,
        resolver=resolver,
        pays_credits=pays,
        options={**(table or {}), **options},
    )


def book(
    config: RewardConfig, *, escrow: int = 1_000, base_dir: Path | None = None
) -> tuple[RewardBook, Ledger]:
    books = ledger(escrow)
    made = RewardBook([config], books, base_dir=base_dir)
    for pid in (1, 2):
        made.subscribe(pid, ["r"])
    return made, books


def whys(made: RewardBook) -> list[str]:
    return [refusal.why for refusal in made.take_refusals()]


# Primes.


def test_primes_against_a_sieve() -> None:
    limit = 20_000
    sieve = bytearray([1]) * limit
    sieve[:2] = b"\0\0"
    for i in range(2, int(limit**0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, limit, i)))
    assert [n for n in range(limit) if is_prime(n)] == [n for n in range(limit) if sieve[n]]


@pytest.mark.parametrize(
    "n",
    # ψ_1 to ψ_12: each passes all bases but one of the list; and Carmichael numbers.
    [
        2047, 1373653, 25326001, 3215031751, 2152302898747, 3474749660383, 341550071728321,
        3825123056546413051, 318665857834031151167461, 561, 1105, 41041, 825265, 321197185,
    ],
)  # fmt: skip
def test_strong_pseudoprimes_are_composite(n: int) -> None:
    assert not is_prime(n)


def test_known_large_primes() -> None:
    for n in (2**31 - 1, 2**61 - 1, 10**18 + 9, 3317044064679887385961813):
        assert is_prime(n), n
        assert not is_prime(n + 1)
    assert not is_prime((2**31 - 1) * (2**19 - 1))
    assert [is_prime(n) for n in (-7, 0, 1, 2)] == [False, False, False, True]


def test_a_prime_is_paid_once_whoever_finds_it() -> None:
    made, books = book(reward("prime", {"from": 10, "to": 100}))
    (payout,) = made.on_report(1, b"11")
    assert (payout.process, payout.reward, payout.sponsor) == (1, "r", "s")
    assert (payout.credits, payout.line) == (10, "11")
    for line, why in (
        (b"11", "paid already"),
        (b" 011\n", "paid already"),
        (b"12", "not a prime"),
        (b"7", "not from 10 to 100"),
        (b"101", "not from 10 to 100"),
        (b"", "not a number in decimal digits"),
        (b"-13", "not a number in decimal digits"),
        (b"13.0", "not a number in decimal digits"),
        (b"1_3", "not a number in decimal digits"),
        (b"\xd9\xa1\xd9\xa3", "not a number in decimal digits"),
        (b"\xff\xfe", "not a number in decimal digits"),
        (b"9" * 26, "more than 25 digits"),
        (b"9" * 4096, "more than 25 digits"),
        (b"9" * 5000, f"longer than {LINE_BYTES_MAX} bytes"),
    ):
        assert made.on_report(2, line) == []
        assert whys(made) == [why], line
    assert made.on_report(2, b"13")[0].process == 2
    assert (made.results(1), made.results(2), made.results(3)) == (1, 1, 0)
    assert made.earned(1) == 10
    assert books.sponsor_balance("s") == 980
    assert books.lease_balance(1) == 10


def test_an_empty_escrow_closes_the_reward() -> None:
    made, books = book(reward("prime"), escrow=25)
    assert made.is_open(1)
    paid = [made.on_report(1, line)[0].credits for line in (b"2", b"3", b"5")]
    assert paid == [10, 10, 5]
    assert not made.is_open(1)
    assert made.on_report(1, b"7") == []
    assert whys(made) == ["the sponsor's escrow is empty"]
    assert books.lease_balance(1) == 25
    assert not made.is_open(9)  # works for nobody


def test_a_result_that_could_not_be_paid_is_not_used_up() -> None:
    made, books = book(reward("prime"))
    books.close(1, None)
    assert made.on_report(1, b"2") == []
    assert whys(made) == ["the process is dead"]
    assert made.on_report(2, b"2")


def test_primes_beyond_the_proof_are_a_config_error() -> None:
    for options in ({"to": PRIME_BOUND}, {"from": -1}, {"to": "1e9"}, {"to": 1.5}, {"to": True}):
        with pytest.raises(ConfigError) as caught:
            build_resolver("prime", options, what="r")
        assert caught.value.code == "MX1012"
    build_resolver("prime", {"from": "2", "to": str(PRIME_BOUND - 1)}, what="r")


# Regular expressions.

WIRE = {"pattern": r"wirelen = (\S+)", "direction": "down"}


def test_each_process_improves_on_its_own_best() -> None:
    made, _ = book(reward("regex", WIRE))
    text = b"wirelen = 100\nwirelen = 100\nwirelen = 90\nnoise\nwirelen = 95\nwirelen = 89.5\n"
    assert [p.line for p in made.on_output(1, "stderr", text)] == [
        "wirelen = 100",
        "wirelen = 90",
        "wirelen = 89.5",
    ]
    assert [p.line for p in made.on_output(2, "stdout", b"wirelen = 500\n")] == ["wirelen = 500"]
    assert made.take_refusals() == []


def test_baseline_direction_step_and_stream() -> None:
    made, _ = book(
        reward(
            "regex",
            pattern=r"score (.*)",
            direction="up",
            stream="stdout",
            first="baseline",
            min_step=0.5,
        )
    )
    assert made.on_output(1, "stderr", b"score 1\nscore 9\n") == []
    lines = b"score 1\nscore 1.4\nscore 1.5\nscore 1.9\nscore 2.0\nscore 1e2\n"
    assert [p.line for p in made.on_output(1, "stdout", lines)] == [
        "score 1.5",
        "score 2.0",
        "score 1e2",
    ]
    assert made.on_report(1, b"score 1e3") == []


@pytest.mark.parametrize(
    "text", [b"nan", b"inf", b"-Infinity", b"sNaN", b"1e999999", b"1e-999999999", b"", b"0x10"]
)
def test_only_finite_numbers_count(text: bytes) -> None:
    made, _ = book(reward("regex", pattern=r"n=(.*)", direction="down"))
    assert made.on_output(1, "stdout", b"n=" + text + b"\n") == []
    (why,) = whys(made)
    assert why.startswith("not a decimal number")


def test_an_optional_group_that_took_no_part() -> None:
    made, _ = book(reward("regex", pattern=r"n(?:=(\d+))?", direction="down"))
    assert made.on_output(1, "stdout", b"n\n") == []
    assert whys(made) == ["not a decimal number: ''"]


def test_catastrophic_backtracking_is_given_up() -> None:
    made, _ = book(reward("regex", pattern=r"^((?:a|a|aa)+)+$(?<=1)", direction="down"))
    assert made.on_output(1, "stdout", b"a" * 4000 + b"b\n") == []
    # Either the engine sees through it or it is stopped; it never hangs and never pays.
    assert all("longer than" in why for why in whys(made))


# Python functions.


def test_a_callable() -> None:
    def check(line: str) -> object:
        if line == "boom":
            raise ValueError("no\nsuch thing")
        if line == "odd":
            return 1
        return line.startswith("yes")

    books = ledger()
    made = RewardBook([reward("prime")], books, resolvers={"r": CallableResolver(check)})
    made.subscribe(1, ["r"])
    assert made.on_report(1, b"yes 1")
    for line, why in (
        (b"yes 1", "paid already"),
        (b"boom", "ValueError: no such thing"),
        (b"odd", "the function returned int, not a bool"),
        (b"no", "refused by the function"),
    ):
        assert made.on_report(1, line) == []
        assert whys(made) == [why]
    assert made.on_report(1, b"yes \xff")[0].line == "yes \ufffd"


def test_a_function_beside_the_fleet_file(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("LIMIT = 3\n")
    (tmp_path / "checks.py").write_text(
        "import neighbour\ndef short(line):\n    return len(line) < neighbour.LIMIT\n"
    )
    made, _ = book(reward("python:checks:short"), base_dir=tmp_path)
    assert made.on_report(1, b"ab")
    assert made.on_report(1, b"abc") == []
    other = tmp_path / "other"
    other.mkdir()
    (other / "checks.py").write_text("def short(line):\n    return False\n")
    made, _ = book(reward("python:checks:short"), base_dir=other)
    assert made.on_report(1, b"ab") == []  # not the first fleet's module
    made, _ = book(reward("python:operator:truth", stream="stdout"), base_dir=tmp_path)
    assert made.on_output(1, "stdout", b"x\n")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("python:absent_module_x:f", "cannot import"),
        ("python:broken:f", "ZeroDivisionError"),
        ("python:exits:f", "cannot import"),
        ("python:good:absent", "no function 'absent'"),
        ("python:good:VALUE", "no function 'VALUE'"),
        ("python:good", "not a reference"),
        ("python:../x:f", "not a reference"),
    ],
)
def test_functions_that_cannot_be_had(reference: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "exits.py").write_text("raise ImportError('x')\n")
    (tmp_path / "good.py").write_text("VALUE = 1\n")
    with pytest.raises(ConfigError, match=says) as caught:
        book(reward(reference), base_dir=tmp_path)
    assert caught.value.code == "MX1012"


# Lines.


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=8),
    cuts=st.randoms(use_true_random=False),
)
def test_lines_do_not_depend_on_chunks(lines: list[bytes], cuts: random.Random) -> None:
    data = b"\n".join(lines)
    joiner, joined = LineJoiner(), list[str]()
    rest = data
    while rest:
        size = cuts.randint(1, len(rest))
        joined += joiner.feed(rest[:size])
        rest = rest[size:]
    joined += joiner.finish()
    whole = data.split(b"\n")
    if whole[-1] == b"":
        whole.pop()
    assert joined == [line.removesuffix(b"\r").decode(errors="replace") for line in whole]


def test_a_line_beyond_the_limit_cannot_pay_in_any_chunking() -> None:
    for size in (1, 7, 4096, 5000):
        joiner = LineJoiner()
        data = b"9" * 4097 + b"\n" + b"8" * 4096 + b"\r\n7\n" + b"6" * 9000
        lines: list[str] = []
        for start in range(0, len(data), size):
            lines += joiner.feed(data[start : start + size])
        lines += joiner.finish()
        assert [line[:1] for line in lines] == ["8", "7"], size
        assert joiner.too_long == 2


def test_the_last_line_without_an_end_pays_at_the_finish() -> None:
    made, _ = book(reward("regex", WIRE))
    assert made.on_output(1, "stdout", b"wirelen = 1") == []
    assert made.on_output(1, "stdout", b"0") == []
    assert [p.line for p in made.finish(1)] == ["wirelen = 10"]
    assert made.finish(1) == []


# The book.


def test_several_rewards_for_one_line() -> None:
    books = ledger()
    made = RewardBook(
        [
            reward("regex", pattern=r"(\d+)", direction="up", stream="report"),
            reward("prime", name="p", pays=3),
        ],
        books,
    )
    made.subscribe(1, ["p", "r", "p"])
    assert [(p.reward, p.credits) for p in made.on_report(1, b"7")] == [("p", 3), ("r", 10)]
    assert made.results(1) == 2


def test_names_are_checked() -> None:
    made, _ = book(reward("prime"))
    with pytest.raises(ConfigError, match="no reward 'x'"):
        made.subscribe(1, ["x"])
    books = Ledger()
    with pytest.raises(LedgerError, match="no sponsor 's'"):
        RewardBook([reward("prime")], books)
    assert made.on_report(3, b"2") == []
    assert made.on_output(3, "stdout", b"2\n") == []


def test_refusals_are_bounded() -> None:
    made = RewardBook([reward("prime")], ledger(), deterministic=True)
    made.subscribe(1, ["r"])
    for _ in range(REFUSALS_MAX + 5):
        made.on_report(1, b"4")
    assert made.refusals_lost == 5
    assert len(made.take_refusals()) == REFUSALS_MAX
    assert made.take_refusals() == []


@given(st.lists(st.binary(max_size=30), max_size=20), st.sampled_from(["prime", "regex"]))
def test_any_bytes_conserve(lines: list[bytes], resolver: str) -> None:
    """Goal: whatever a guest writes, payouts are what left the escrow, and nothing raises."""
    options: dict[str, object] = (
        {} if resolver == "prime" else {"pattern": "(.+)", "direction": "up"}
    )
    made, books = book(reward(resolver, options, pays=7), escrow=50)
    paid = 0
    for line in lines:
        paid += sum(p.credits for p in made.on_report(1, line))
        paid += sum(p.credits for p in made.on_output(2, "stdout", line))
    assert paid == 50 - books.sponsor_balance("s") == made.earned(1) + made.earned(2)
    books.check(())
