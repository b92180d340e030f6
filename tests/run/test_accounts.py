"""Goal: shares follow money. Equal funds get equal shares, one account is one bidder whatever its
number of processes, and urgency, bids, deadlines and incomes do what they say.

Method: deterministic runs on one cell; what is compared are figures of one run, or of two runs
that differ in one thing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fleets import Run, process, run
from support.guests import SLEEP_FOREVER, program, write

pytestmark = pytest.mark.native

SPIN = "samples:spin.wasm"


def energies(run_: Run) -> list[int]:
    return [record.energy_uj for record in run_.report.record.processes]


def by_account(run_: Run) -> dict[str, int]:
    sums: dict[str, int] = {}
    for record in run_.report.record.processes:
        sums[record.account] = sums.get(record.account, 0) + record.energy_uj
    return sums


@pytest.mark.parametrize("seed", [1, 2])
def test_equal_funds_share_equally(seed: int) -> None:
    fleet = [process(f"p{n}", SPIN, funds="20 J", horizon="5 J") for n in range(4)]
    shares = energies(run(fleet, duration="1500 ms", seed=seed))
    mean = sum(shares) / len(shares)
    assert all(abs(share - mean) <= 0.05 * mean for share in shares), shares


@pytest.mark.parametrize("count", [2, 5])
def test_many_processes_of_one_account_bid_as_one(count: int) -> None:
    """The same money on more processes buys no more of the core, and is split evenly."""
    result = run(
        [
            process("one", SPIN, account="a", funds="20 J", horizon="5 J"),
            process("many", SPIN, account="b", count=count, horizon="5 J"),
        ],
        accounts=[{"name": "a", "funds": "20 J"}, {"name": "b", "funds": "20 J"}],
        duration="1500 ms",
    )
    sums = by_account(result)
    assert abs(sums["a"] - sums["b"]) <= 0.05 * (sums["a"] + sums["b"]) / 2, sums
    many = [record.energy_uj for record in result.report.record.processes if record.account == "b"]
    assert len(many) == count
    assert max(many) - min(many) <= 0.05 * max(many)


def test_urgency_orders() -> None:
    result = run(
        [
            process("calm", SPIN, funds="20 J", horizon="5 J", urgency=0.3),
            process("eager", SPIN, funds="20 J", horizon="5 J", urgency=0.9),
        ],
        duration="1 s",
    )
    calm, eager = result["calm"], result["eager"]
    assert eager.energy_uj > 2 * calm.energy_uj
    assert eager.premium_credits > calm.premium_credits
    assert eager.last_bid_ppm > calm.last_bid_ppm


def test_money_orders() -> None:
    result = run(
        [
            process("poor", SPIN, funds="10 J", horizon="5 J"),
            process("rich", SPIN, funds="30 J", horizon="5 J"),
        ],
        duration="1 s",
    )
    assert result["rich"].energy_uj > 2 * result["poor"].energy_uj


def test_nobody_is_shut_out_by_a_higher_bid() -> None:
    """The auction has a temperature: a bidder at cost price gets slices beside one at twice it."""
    result = run(
        [
            process("low", SPIN, funds="9 J", bid_ppm=1_000_000),
            process("high", SPIN, funds="9 J", bid_ppm=2_000_000),
        ],
        duration="1 s",
    )
    assert result["low"].slices > 5
    assert result["high"].slices > 5 * result["low"].slices


def test_a_bid_below_the_reserve_waits_and_dies_of_rent() -> None:
    result = run(
        [
            process("miser", SPIN, funds="4 mJ", bid_ppm=999_999),
            process("loop", SPIN, funds="20 J"),
        ],
        duration="30 s",
    )
    miser = result["miser"]
    assert (miser.outcome, miser.slices, miser.energy_uj) == ("bankrupt", 0, 0)
    # It never ran, so nothing was resident: 2,000 credits a second for its place.
    assert miser.rent_credits + miser.admission_credits == 4_000
    assert miser.died_ns == pytest.approx((4_000 - miser.admission_credits) / 2_000 * 1e9, rel=1e-3)


def test_a_reserve_is_the_lowest_price() -> None:
    result = run(
        [process("loop", SPIN, funds="1 J"), process("loop2", SPIN, funds="1 J")],
        duration="400 ms",
        reserve_ppm=1_500_000,
    )
    assert result.report.record.price_mean_ppm >= 1_500_000
    for record in result.report.record.processes:
        burned = record.energy_uj - record.uncollected_uj
        assert record.premium_credits >= burned // 2


def test_price_never_exceeds_the_bid() -> None:
    result = run(
        [process(f"p{n}", SPIN, funds="9 J", bid_ppm=1_000_000 + 300_000 * n) for n in range(4)],
        duration="1 s",
    )
    for number, record in enumerate(result.report.record.processes):
        bid_ppm = 1_000_000 + 300_000 * number
        # A charge is rounded up, so that each slice may be one credit dearer than the ratio.
        most = (record.energy_uj * bid_ppm) // 1_000_000 + record.slices
        assert record.energy_uj + record.premium_credits <= most
        assert record.last_price_ppm <= bid_ppm


def test_a_deadline_ends_a_process_after_its_start() -> None:
    result = run(
        [
            process("late", SPIN, funds="9 J", start_after="300 ms", deadline="500 ms"),
            process("loop", SPIN, funds="9 J"),
        ],
        duration="2 s",
    )
    late = result["late"]
    assert (late.outcome, late.reason) == ("deadline", "its deadline passed")
    assert late.born_ns == pytest.approx(300e6, abs=5e6)
    assert late.died_ns - late.born_ns == pytest.approx(500e6, abs=5e6)
    assert late.returned_credits > 0
    assert result["loop"].outcome == "deadline"


def test_a_process_that_never_started_is_accounted_for() -> None:
    result = run(
        [process("never", SPIN, start_after="10 s"), process("loop", SPIN)], duration="200 ms"
    )
    never = result["never"]
    assert (never.outcome, never.paid_credits, never.cell) == ("deadline", 0, -1)
    assert "not started" in never.reason


def test_a_run_ends_when_everything_has_ended() -> None:
    result = run([process("hello", "samples:hello.wasm")], duration="1000 s")
    assert result["hello"].outcome == "finished"
    assert result.report.record.wall_ns < 1_000_000_000


def test_the_purse_goes_back_to_the_account_and_on_to_the_next() -> None:
    """Two processes one after the other share an account that could pay for one only."""
    result = run(
        [
            process("first", "samples:hello.wasm", account="a", funds="100 mJ"),
            process("second", "samples:hello.wasm", account="a", funds="95 mJ", start_after="1 s"),
        ],
        accounts=[{"name": "a", "funds": "195 mJ"}],
        duration="3 s",
    )
    assert result.outcomes == {"first": "finished", "second": "finished"}
    left = 195_000 - sum(record.paid_credits for record in result.report.record.processes)
    income = result.report.credits.held - left
    assert 0 <= income <= result.report.credits.commons


def test_basic_income_is_paid_in_equal_parts(tmp_path: Path) -> None:
    result = run(
        [
            process("rich", SPIN, funds="9 J", horizon="1 J"),
            process("poor", SPIN, funds="1 J", horizon="1 J"),
        ],
        duration="1 s",
        out=tmp_path / "run",
    )
    incomes: dict[str, int] = {}
    for event in result.events("income"):
        account = event.text("account")
        incomes[account] = incomes.get(account, 0) + event.integer("credits")
    assert incomes["rich"] == incomes["poor"] > 0
    inflow = sum(
        p.premium_credits + p.rent_credits + p.tax_credits + p.admission_credits
        for p in result.report.record.processes
    )
    assert sum(incomes.values()) <= 0.3 * inflow
    assert result.report.credits.commons == inflow - sum(incomes.values())


def test_income_tops_up_only_who_asked() -> None:
    fleet = [
        process("topped", SPIN, funds="200 mJ", horizon="20 mJ", top_up=True),
        process("plain", SPIN, funds="200 mJ", horizon="20 mJ"),
        process("rich", SPIN, funds="20 J", horizon="2 J"),
    ]
    result = run(fleet, duration="4 s")
    plain, topped = result["plain"], result["topped"]
    assert plain.paid_credits + plain.returned_credits == 200_000
    assert topped.paid_credits + topped.returned_credits > 200_000
    assert topped.died_ns > plain.died_ns


def test_power_mints_what_the_cap_leaves() -> None:
    """(P − idle)·t, in deterministic mode exactly, for the share that is claimed."""
    result = run(
        [
            process("worker", SPIN, account="a", funds="100 mJ", top_up=True),
            process("other", SPIN, account="b", funds="100 mJ", top_up=True),
        ],
        accounts=[
            {"name": "a", "funds": "100 mJ", "income_share": 0.5},
            {"name": "b", "funds": "100 mJ", "income_share": 0.25},
        ],
        power="3 W",
        duration="2 s",
    )
    model, credits = result.report.record.model, result.report.credits
    net_uj = (3_000 - model.idle_power_mw) * 2_000
    assert credits.minted == 200_000 + net_uj * 3 // 4
    # Who lives on an income does not die, and spends in proportion to it.
    worker, other = result["worker"], result["other"]
    assert worker.outcome == other.outcome == "deadline"
    assert worker.energy_uj > 1.3 * other.energy_uj
    assert worker.paid_credits > 100_000


def test_power_mints_no_more_on_the_real_clock() -> None:
    result = run(
        [process("worker", SPIN, account="a", funds="500 mJ", top_up=True)],
        accounts=[{"name": "a", "funds": "500 mJ", "income_share": 1.0}],
        deterministic=False,
        power="40 W",
        duration="1 s",
    )
    record = result.report.record
    net_uj = (40_000 - record.model.idle_power_mw) * record.wall_ns // 1_000_000
    assert 500_000 < record.credits.minted <= 500_000 + net_uj
    assert result["worker"].outcome == "deadline"


def test_an_empty_escrow_refuses_reports() -> None:
    """The sponsor can pay for three primes; the guest is told at the end of the epoch."""
    result = run(
        [
            process(
                "scientist",
                "samples:scientist.wasm",
                args=["1000000", "1100000"],
                funds="5 J",
                rewards=["primes"],
            )
        ],
        sponsors=[{"name": "academy", "escrow": "30 mJ"}],
        rewards=[{"name": "primes", "sponsor": "academy", "resolver": "prime", "pays": "10 mJ"}],
        duration="5 s",
    )
    scientist = result["scientist"]
    assert (scientist.results, scientist.earned_credits) == (3, 30_000)
    assert result.report.credits.escrowed == 0
    assert scientist.outcome == "finished"
    assert b"escrow empty" in result.output["scientist", "stdout"]


def test_nobody_listens_is_an_answer(tmp_path: Path) -> None:
    """Without a reward `report` returns -EDQUOT: the process exits with 19."""
    code = "(call $exit (i32.sub (i32.const 0) (call $report (i32.const 0) (i32.const 1))))"
    module = write(tmp_path, "asker", program(code))
    assert run([process("asker", module)], duration="1 s")["asker"].exit_code == 19


def test_a_prime_is_paid_once(tmp_path: Path) -> None:
    code = f"""(loop $n (drop (call $report (i32.const 0) (i32.const 3))) (br_if $n
        (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
        {SLEEP_FOREVER}"""
    data = '(data (i32.const 0) "101")'
    folder = tmp_path
    module = write(folder, "repeater", program(code, data, "(local $i i32)"))
    result = run(
        [process("one", module, rewards=["primes"]), process("two", module, rewards=["primes"])],
        sponsors=[{"name": "academy", "escrow": "1 J"}],
        rewards=[{"name": "primes", "sponsor": "academy", "resolver": "prime", "pays": "10 mJ"}],
        duration="500 ms",
        out=folder / "run",
    )
    assert result["one"].results + result["two"].results == 1
    assert result.report.credits.escrowed == 990_000
    assert len(result.events("refused_result")) > 0


def test_an_idle_insolvent_dies_at_its_time(tmp_path: Path) -> None:
    """A sleeper holds 16 MiB of memory that it never touches; rent alone ends it, to the epoch."""
    code = f"(drop (memory.grow (i32.const 255))) {SLEEP_FOREVER}"
    module = write(tmp_path, "holder", program(code))
    result = run([process("holder", module, funds="90 mJ")], duration="60 s")
    holder = result["holder"]
    assert holder.outcome == "bankrupt"
    assert holder.memory_bytes_max == 16 << 20
    # Never written to, so that the whole bond comes back, and the tax is at most a page or two.
    assert holder.returned_credits > 60_000
    assert holder.tax_credits <= 32
    assert holder.rent_unpaid <= 8_400


def test_funds_below_the_price_of_admission(tmp_path: Path) -> None:
    """It never runs and pays nothing; its account holds all of its money at the end."""
    result = run(
        [
            process("poor", "samples:hello.wasm", account="a", funds="10 uJ"),
            process("loop", SPIN, funds="1 J"),
        ],
        accounts=[{"name": "a", "funds": "1 J"}],
        duration="500 ms",
        out=tmp_path / "run",
    )
    poor = result["poor"]
    assert (poor.outcome, poor.paid_credits, poor.slices, poor.cell) == ("bankrupt", 0, 0, -1)
    assert "admission" in poor.reason
    died = [event for event in result.events("died") if event.text("process") == "poor"]
    assert len(died) == 1


def test_a_process_waits_until_an_income_can_pay_for_it() -> None:
    result = run(
        [
            process("late", SPIN, account="a", funds="300 mJ"),
            process("loop", SPIN, funds="1 J"),
        ],
        accounts=[{"name": "a", "funds": "100 mJ", "income_share": 0.5}],
        power="3 W",
        duration="1 s",
    )
    late = result["late"]
    assert late.outcome == "deadline"
    assert late.energy_uj > 0
    # 0.5 of 2 W fill up 200 mJ in 200 ms, or a little less with the basic income.
    assert 100e6 <= late.born_ns <= 300e6


def test_a_top_up_leaves_nothing_for_who_comes_later() -> None:
    """Two claims on one account: who takes its balance first has it; the other cannot start."""
    result = run(
        [
            process("taker", SPIN, account="a", funds="100 mJ", top_up=True),
            process("later", SPIN, account="a", funds="100 mJ", start_after="300 ms"),
        ],
        accounts=[{"name": "a", "funds": "200 mJ"}],
        duration="1 s",
    )
    assert result["later"].outcome == "bankrupt"
    assert result["later"].slices == 0
    assert result["taker"].paid_credits + result["taker"].returned_credits > 100_000
