"""The explanation of the auction: its law, its incentives, and its agreement with the kernel's.

Goal: ``maxwell.reference`` is right by itself, and ``vectors/auction.json``, which the Rust
auction wrote and its own tests check, says the same. Method: exact integer arithmetic for the grid
and the draws; fixed seeds and five standard errors for the law; counterfactual bids for incentives.
"""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import TypedDict, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxwell import reference
from maxwell.reference import PPM, Auction, Decision, grid_level, grid_ppm, seeded_draw

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "vectors" / "auction.json"
GRID = ROOT / "crates" / "market" / "src" / "grid.rs"


class Scenario(TypedDict):
    temperature_log2: int
    reserve_ppm: int
    seed: str
    cell: int
    draws: list[list[str]]
    events: list[list[object]]


def scenarios() -> list[Scenario]:
    return cast("list[Scenario]", json.loads(VECTORS.read_text())["scenarios"])


def race(bids: list[int], *, temperature: float = 0.25, seed: int = 1) -> Auction:
    auction = Auction(temperature=temperature, draw=seeded_draw(seed))
    for account, bid in enumerate(bids):
        auction.enter(account)
        auction.bid(account, bid)
        auction.wake(account)
    return auction


def shares(auction: Auction) -> dict[int, float]:
    rates = {b.account: b.rate for b in auction.bidders.values() if b.racing}
    total = sum(rates.values())
    return {account: rate / total for account, rate in rates.items()}


# The grid.


@given(st.integers(1, 1 << 62))
def test_grid_rounds_down_exactly(ppm: int) -> None:
    level = grid_level(ppm)
    assert 1 << level <= ppm**64 < 1 << (level + 1)
    bid = grid_ppm(level)
    assert bid <= ppm
    assert bid**64 >= 1 << level > (bid - 1) ** 64


def test_kernel_grid_is_exact() -> None:
    """The table in ``grid.rs`` is ceil(2**(63 + i/64)), by integer arithmetic."""
    table = GRID.read_text().split("static STEP")[1].split("];")[0]
    steps = [int(word.replace("_", ""), 16) for word in re.findall(r"0x([0-9A-F_]+)", table)]
    assert len(steps) == 64
    for i, step in enumerate(steps):
        assert (step - 1) ** 64 < 1 << (64 * 63 + i) <= step**64


# Agreement with the Rust auction.


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: f"T=2^-{s['temperature_log2']}")
def test_agrees_with_the_kernel(scenario: Scenario) -> None:
    """Given the same draws, every winner is the same, and every price within rounding."""
    draws = [[int(e) / 2**57 for e in of_account] for of_account in scenario["draws"]]
    auction = Auction(
        temperature=2.0 ** -scenario["temperature_log2"],
        reserve_ppm=scenario["reserve_ppm"],
        draw=lambda account, wins: draws[account][wins],
    )
    away: dict[int, tuple[float, int]] = {}
    above_floor = 0
    for event in scenario["events"]:
        name, *rest = event
        arguments = cast("list[int]", rest)
        match name:
            case "enter":
                auction.enter(arguments[0], away.pop(arguments[0], None))
            case "leave":
                e, wins = away[arguments[0]] = auction.leave(arguments[0])
                assert wins == arguments[2]
                assert e == pytest.approx(int(arguments[1]) / 2**57, rel=1e-9, abs=1e-12)
            case "bid":
                assert auction.bid(arguments[0], arguments[1]) == arguments[2]
            case "sleep":
                auction.sleep(arguments[0])
            case "wake":
                auction.wake(arguments[0])
            case "quality":
                auction.set_quality(arguments[0], arguments[1])
            case "reserve":
                auction.set_prices(reserve_ppm=arguments[0])
            case "rho":
                auction.set_prices(rho_ppm=arguments[0])
            case "decide":
                slots, expected = cast("tuple[int, list[list[int | None]]]", tuple(rest))
                got = auction.decide(slots)
                assert [decision.winner for decision in got] == [line[0] for line in expected]
                for decision, line in zip(got, expected, strict=True):
                    _, price, bid, floor, runner_up = line
                    assert (decision.bid_ppm, decision.floor_ppm) == (bid, floor)
                    assert decision.runner_up == runner_up
                    assert decision.price_ppm == pytest.approx(price, rel=1e-8, abs=1.5)
                    above_floor += decision.price_ppm > decision.floor_ppm
            case _:
                pytest.fail(f"unknown event {name}")
    assert above_floor > 100


def rotate(word: int, by: int) -> int:
    return ((word << by) | (word >> (64 - by))) & (2**64 - 1)


def siphash(key: bytes, message: bytes, rounds: tuple[int, int], *, wide: bool) -> bytes:
    """SipHash-c-d (Aumasson and Bernstein 2012), for checking the kernel's draws only."""
    mask = 2**64 - 1
    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D ^ (0xEE if wide else 0),
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]

    def mix(times: int) -> None:
        for _ in range(times):
            for a, b, by, turn in ((0, 1, 13, True), (2, 3, 16, False)):
                v[a] = (v[a] + v[b]) & mask
                v[b] = rotate(v[b], by) ^ v[a]
                if turn:
                    v[a] = rotate(v[a], 32)
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message)])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        mix(rounds[0])
        v[0] ^= word
    v[2] ^= 0xEE if wide else 0xFF
    mix(rounds[1])
    out = (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")
    if wide:
        v[1] ^= 0xDD
        mix(rounds[1])
        out += (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")
    return out


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: f"T=2^-{s['temperature_log2']}")
def test_draws_can_be_audited(scenario: Scenario) -> None:
    """Whoever knows the seed can compute each draw: the lottery is auditable."""
    seed, cell = bytes.fromhex(scenario["seed"]), scenario["cell"].to_bytes(4, "little")
    key = siphash(seed, cell, (2, 4), wide=True)
    for account, draws in enumerate(scenario["draws"]):
        for wins, draw in enumerate(draws):
            message = account.to_bytes(8, "little") + wins.to_bytes(8, "little")
            word = int.from_bytes(siphash(key, message, (1, 3), wide=False), "little")
            expected = -math.log((word | 1) / 2**64)
            assert int(draw) / 2**57 == pytest.approx(expected, rel=1e-9, abs=2**-42)


# The law.


def test_winners_follow_the_softmax_whatever_changes() -> None:
    """Bids, sleep, quality and re-entry change at random: each decision has its own softmax."""
    auction = race([1_200_000 + 300_000 * i for i in range(6)], temperature=0.5, seed=3)
    sums, variances = [0.0] * 6, [0.0] * 6
    random = reference.random.Random(4)
    for _ in range(12_000):
        account = random.randrange(6)
        match random.randrange(6):
            case 0 if account:
                auction.sleep(account)
            case 1 | 2:
                auction.wake(account)
            case 3:
                auction.set_quality(account, random.choice([PPM // 2, PPM, 2 * PPM]))
            case 4:
                before = copy.copy(auction.bidders[account])
                auction.enter(account, auction.leave(account))
                auction.bid(account, before.submitted_ppm)
                if before.awake:
                    auction.wake(account)
            case _:
                auction.bid(account, random.randrange(1_000_000, 4_000_000))
        expected = shares(auction)
        [decision] = auction.decide()
        for account, share in expected.items():
            sums[account] += (account == decision.winner) - share
            variances[account] += share * (1.0 - share)
    for total, variance in zip(sums, variances, strict=True):
        assert abs(total) < 5.0 * math.sqrt(variance)


def test_a_naive_gumbel_race_would_fail() -> None:
    """The rule of kept clocks matters: kept Gumbel scores let one winner run away."""

    class NaiveGumbel(Auction):
        def decide(self, slots: int = 1) -> list[Decision]:
            kept = {b.account: b.e for b in self.bidders.values()}
            decisions = super().decide(slots)
            for decision in decisions:
                kept.pop(decision.winner)
            for account, e in kept.items():
                self.bidders[account].e = e  # the score, not the rest of the clock
            return decisions

    def runs(auction: Auction) -> int:
        longest = run = 0
        last = -1
        for _ in range(4_000):
            [decision] = auction.decide()
            run = run + 1 if decision.winner == last else 1
            last, longest = decision.winner, max(longest, run)
        return longest

    naive = NaiveGumbel(temperature=0.25, draw=seeded_draw(5))
    lawful = race([2_000_000] * 2, seed=5)
    for account in range(2):
        naive.enter(account)
        naive.bid(account, 2_000_000)
        naive.wake(account)
    assert runs(lawful) < 40 < 400 < runs(naive)


def test_lottery_and_vickrey_are_the_limits() -> None:
    bids = [1_500_000, 2_500_000, 6_000_000]
    lottery = shares(race(bids, temperature=1.0))
    total = sum(grid_ppm(grid_level(bid)) for bid in bids)
    for account, bid in enumerate(bids):
        assert lottery[account] == pytest.approx(grid_ppm(grid_level(bid)) / total, rel=1e-5)
    cold = race(bids, temperature=2.0**-8)
    second = grid_ppm(grid_level(bids[1]))
    error = 0.0
    for _ in range(200):
        [decision] = cold.decide()
        assert decision.winner == 2
        error += abs(math.log(decision.price_ppm / second)) / 200
    assert error < 0.01


# Incentives, for every realisation of the clocks.

BIDS = st.lists(st.integers(900_000, 300_000_000), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    bids=BIDS,
    temperature=st.sampled_from([1.0, 0.5, 0.25, 0.0625]),
    seed=st.integers(0, 10**6),
    quality=st.integers(125_000, 8_000_000),
    slots=st.integers(1, 3),
    deviation=st.lists(st.integers(0, 400_000_000), min_size=8, max_size=8),
)
def test_truth_is_dominant(
    bids: list[int],
    temperature: float,
    seed: int,
    quality: int,
    slots: int,
    deviation: list[int],
) -> None:
    """Individually rational, truthful, and the own bid does not move the price."""
    auction = race(bids, temperature=temperature, seed=seed)
    auction.set_quality(0, quality)
    for _ in range(seed % 7):
        auction.decide()
    value = auction.bidders[0].bid_ppm or bids[0]

    def outcome(bid: int) -> Decision | None:
        trial = copy.deepcopy(auction)
        trial.bid(0, bid)
        return next((d for d in trial.decide(slots) if d.winner == 0), None)

    def utility(decision: Decision | None) -> float:
        return 0.0 if decision is None else value - decision.price_ppm

    truth = outcome(value)
    for decision in copy.deepcopy(auction).decide(slots):
        assert decision.floor_ppm <= decision.price_ppm <= decision.bid_ppm
    assert utility(truth) >= 0.0
    for bid in [*deviation, value + 1, value * 2, 256 * PPM, 10**18]:
        other = outcome(bid)
        assert utility(other) <= utility(truth) + 1e-6 * value
        if truth is not None and other is not None:
            assert other.price_ppm == pytest.approx(truth.price_ppm, rel=1e-9)
        if truth is not None and bid >= value:
            assert other is not None


# One clock per account.


def test_leaving_and_sleeping_keep_the_clock() -> None:
    auction = race([2_000_000, 3_000_000], seed=9)
    for _ in range(20):
        auction.decide()
    before = auction.bidders[0].e
    auction.bid(0, 90_000_000)
    auction.sleep(0)
    residual = auction.leave(0)
    with pytest.raises(KeyError):
        auction.bid(0, 1)
    auction.enter(0, residual)
    auction.bid(0, 2_000_000)
    auction.wake(0)
    assert auction.bidders[0].e == before
    with pytest.raises(ValueError, match="already has a clock"):
        auction.enter(0)


def test_nobody_racing_is_sleep() -> None:
    auction = race([999_999])
    assert auction.decide() == []
    assert auction.bid(0, 1_000_000) == 1_000_000
    [decision] = auction.decide()
    assert (decision.price_ppm, decision.runner_up) == (1_000_000, None)
    auction.set_prices(rho_ppm=2_000_000)
    assert auction.decide() == []
