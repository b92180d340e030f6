"""Information per joule from the fleet file to the report, in virtual time.

Goal: who knows what comes next is paid by the bit, nobody else is, nobody is in debt, and whoever
has the events can recompute every bit. Method: the learner and its three controls on a real text;
small guests that offend every rule of beliefs; figures compared with the text by exact arithmetic.
"""

from __future__ import annotations

import json
import struct
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from maxwell.errors import ConfigError
from maxwell.market.information import ONE
from maxwell.market.recompute import check_public, recompute_bits
from maxwell.observe.events import Event
from support.fleets import Run, process, run
from support.guests import REPOSITORY, wasm, write
from support.program import maxwell

pytestmark = pytest.mark.native

TEXT = REPOSITORY / "examples/information/devil.txt"
KAPPA = 36
SPONSORS = [{"name": "reader", "escrow": "4 J"}]

IMPORTS = """
  (import "maxwell" "balance" (func $balance (result i64)))
  (import "maxwell" "believe" (func $believe (param i32 i32 i32) (result i32)))
  (import "maxwell" "observe" (func $observe (param i32 i32 i32) (result i32)))
  (import "maxwell" "report" (func $report (param i32 i32) (result i32)))
  (import "maxwell" "sleep" (func $sleep (param i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $expect (param $place i32) (param $wanted i32) (param $found i32)
    (if (i32.ne (local.get $wanted) (local.get $found)) (then (call $exit (local.get $place)))))
"""


def guest(code: str, data: str = "", locals_: str = "") -> bytes:
    return wasm(f'(module {IMPORTS} {data} (func (export "_start") {locals_} {code}))')


def stream(name: str = "text", **options: object) -> dict[str, object]:
    keys: dict[str, object] = {"file": str(TEXT), "pays": f"{KAPPA} uJ", **options}
    return {"name": name, "sponsor": "reader", "resolver": "stream", **keys}


def asked(name: str, module: str, **keys: object) -> dict[str, object]:
    return process(name, module, **{"funds": "2 J", "rewards": ["text"], **keys})


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The example's four processes on the first 8,000 bytes."""
    return four(tmp_path_factory.mktemp("market"))


def four(out: Path) -> Run:
    names = ("learner", "copier", "noise", "looper")
    return run(
        [asked(name, f"samples:{name}.wasm") for name in names],
        sponsors=SPONSORS,
        rewards=[stream(limit=8_000)],
        duration="600 ms",
        out=out,
    )


def exact_bits(event: Event) -> tuple[Decimal, int]:
    """The bits of a block in 60 digits, and the symbols that count."""
    import base64

    own, public = (base64.b64decode(event.text(key)) for key in ("own", "public"))
    pairs = zip(struct.iter_unpack("<I", own), struct.iter_unpack("<I", public), strict=True)
    ratio, count = Fraction(1), 0
    for (mine,), (common,) in pairs:
        if mine:
            ratio *= Fraction(mine, common)
            count += 1
    with localcontext() as context:
        context.prec = 60
        difference = Decimal(ratio.numerator).ln() - Decimal(ratio.denominator).ln()
        return difference / Decimal(2).ln(), count


def test_the_learner_is_paid_and_ranks_first(market: Run) -> None:
    learner, copier, noise, looper = (
        market[name] for name in ("learner", "copier", "noise", "looper")
    )
    rates = {p.name: p.bits_q32 / p.energy_uj for p in (learner, copier, noise, looper)}
    assert max(rates, key=lambda name: rates[name]) == "learner"
    # The excerpt is English: a bit a byte less than order 0 is what any model of context saves.
    assert learner.bits_q32 > 8_000 * ONE
    assert learner.earned_credits == learner.information_credits > learner.energy_uj
    assert (copier.bits_q32, copier.beliefs, copier.earned_credits) == (0, 8_000, 0)
    assert (looper.bits_q32, looper.beliefs, looper.earned_credits) == (0, 0, 0)
    assert (learner.stake_lost_credits, copier.stake_lost_credits) == (0, 0)


def test_the_noise_maker_loses_its_stake_and_nobody_is_in_debt(market: Run) -> None:
    noise = market["noise"]
    assert noise.bits_q32 < 0
    assert noise.earned_credits == 0
    assert noise.stake_lost_credits > 1_000_000
    for record in market.report.record.processes:
        out = record.paid_credits + record.stake_lost_credits + record.returned_credits
        assert out == 2_000_000 + record.earned_credits, record.name
    earned = sum(p.earned_credits for p in market.report.record.processes)
    lost = sum(p.stake_lost_credits for p in market.report.record.processes)
    assert market.report.credits.escrowed == 4_000_000 - earned + lost


def test_recomputing_from_the_events_gives_the_numbers_of_the_report(market: Run) -> None:
    recomputed = recompute_bits(market.events())
    assert set(recomputed) == {"learner", "copier", "noise"}
    for name, found in recomputed.items():
        record = market[name]
        assert found.bits_q32 == record.bits_q32
        assert found.beliefs == record.beliefs
        assert found.due_credits == found.paid_credits == record.information_credits
        assert found.lost_credits == record.stake_lost_credits
    assert market.report.run_dir is not None
    data = json.loads((market.report.run_dir / "report.json").read_text())
    for figures in data["processes"]:
        bits = Decimal(figures["bits_q32"]) / ONE
        assert abs(Decimal(figures["bits"]) - bits) <= Decimal("0.0000005")
        rate = float(bits) * 1e6 / int(figures["energy_uj"])
        assert figures["bits_per_joule"] == pytest.approx(rate)


def test_the_recorded_bits_are_those_of_exact_arithmetic(market: Run) -> None:
    """Each symbol is off by less than 2^-32 bit, and the public beliefs are those of the text."""
    text = TEXT.read_bytes()[:8_000]
    events = market.events("belief")
    for event in events[:: len(events) // 12]:
        exact, count = exact_bits(event)
        recorded = Decimal(event.integer("bits_q32")) / ONE
        assert abs(recorded - exact) <= Decimal(count + 1) / ONE
        assert check_public(event, text)
    # What the sponsor paid for a block is at most kappa bits of the public's surprise.
    assert not check_public(events[-1], text[::-1])


def test_equal_runs_give_equal_files(market: Run, tmp_path: Path) -> None:
    again = four(tmp_path / "again")
    assert market.report.run_dir is not None
    assert again.report.run_dir is not None
    for name in ("report.json", "events.jsonl"):
        one, two = (r.report.run_dir / name for r in (market, again) if r.report.run_dir)
        assert one.read_bytes() == two.read_bytes(), name


def test_a_damaged_event_log_is_refused(market: Run) -> None:
    events = market.events()
    place = next(
        place
        for place, event in enumerate(events)
        if event.name == "belief" and event.text("process") == "learner"
    )
    event = events[place]

    def changed(**fields: object) -> list[Event]:
        bad = Event(event.name, event.t_ns, {**event.fields, **fields})
        return [*events[:place], bad, *events[place + 1 :]]

    for fields in (
        {"question": "other"},
        {"own": "!!"},
        {"own": "AAAA"},
        {"public": ""},
        {"paid_credits": str(10**12)},
        # Fewer bits than were paid for.
        {"own": event.text("public")},
    ):
        with pytest.raises(ConfigError) as caught:
            recompute_bits(changed(**fields))
        assert caught.value.code == "MX1002"


def test_a_second_learner_is_not_paid_for_the_same_bits() -> None:
    """Whoever comes second with equal bits earns nothing; the sponsor buys a block once."""
    result = run(
        [
            asked("first", "samples:learner.wasm"),
            asked("second", "samples:learner.wasm", start_after="300 ms"),
        ],
        sponsors=SPONSORS,
        rewards=[stream(limit=2_000)],
    )
    assert result["first"].bits_q32 == result["second"].bits_q32 > 0
    assert result["first"].earned_credits > 0
    assert result["second"].earned_credits == 0


def test_an_empty_escrow_closes_the_question() -> None:
    result = run(
        [asked("learner", "samples:learner.wasm")],
        sponsors=[{"name": "reader", "escrow": "20 mJ"}],
        rewards=[stream()],
    )
    assert result["learner"].outcome == "finished"
    assert result["learner"].earned_credits == 20_000
    assert result["learner"].beliefs < 32_642
    assert result["learner"].beliefs_refused == 1
    assert result.report.credits.escrowed == 0


HALVES = '(data (i32.const 0) "\\00\\00\\00\\80\\00\\00\\00\\80\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ff")'

MALFORMED = """
    (call $expect (i32.const 1) (i32.const -44) (call $believe (i32.const 5) (i32.const 0) (i32.const 8)))
    (call $expect (i32.const 2) (i32.const -44) (call $believe (i32.const -1) (i32.const 0) (i32.const 8)))
    (call $expect (i32.const 3) (i32.const -35) (call $believe (i32.const 0) (i32.const 0) (i32.const 4)))
    (call $expect (i32.const 4) (i32.const -35) (call $believe (i32.const 0) (i32.const 0) (i32.const 12)))
    (call $expect (i32.const 5) (i32.const -35) (call $believe (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $expect (i32.const 6) (i32.const -18) (call $believe (i32.const 0) (i32.const 8) (i32.const 8)))
    (call $expect (i32.const 7) (i32.const -18) (call $believe (i32.const 0) (i32.const 64) (i32.const 8)))
    (call $expect (i32.const 8) (i32.const -21) (call $believe (i32.const 0) (i32.const 65532) (i32.const 8)))
    (call $expect (i32.const 9) (i32.const -21) (call $believe (i32.const 0) (i32.const -4) (i32.const 8)))
    (call $expect (i32.const 10) (i32.const -44) (call $observe (i32.const 1) (i32.const 0) (i32.const 8)))
    (call $expect (i32.const 11) (i32.const -35) (call $observe (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $expect (i32.const 12) (i32.const -21) (call $observe (i32.const 0) (i32.const -1) (i32.const 8)))
    (call $expect (i32.const 13) (i32.const 0) (call $believe (i32.const 0) (i32.const 0) (i32.const 8)))
    (call $expect (i32.const 14) (i32.const 1) (call $observe (i32.const 0) (i32.const 32) (i32.const 1)))
    (call $expect (i32.const 15) (i32.const 48) (i32.load8_u (i32.const 32)))
"""  # noqa: E501


def test_malformed_beliefs_have_their_errnos_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "coins").write_bytes(b"0110")
    module = write(tmp_path, "bad", guest(MALFORMED, HALVES))
    result = run(
        [asked("bad", module)],
        sponsors=SPONSORS,
        rewards=[stream(file=str(tmp_path / "coins"), alphabet="01")],
        out=tmp_path / "out",
    )
    bad = result["bad"]
    assert (bad.outcome, bad.exit_code) == ("finished", 0), f"call {bad.exit_code}"
    assert (bad.beliefs, bad.bits_q32, bad.stake_lost_credits) == (1, 0, 0)
    assert bad.beliefs_refused == 12
    whys = {event.text("why"): event.integer("count") for event in result.events("refused_belief")}
    assert whys["the probabilities do not sum to one"] == 2
    assert sum(whys.values()) == 12 or len(whys) < len(result.events("refused_belief"))


LATE = """
    (call $expect (i32.const 1) (i32.const 0) (call $believe (i32.const 0) (i32.const 0) (i32.const 8)))
    (call $expect (i32.const 2) (i32.const 1) (call $observe (i32.const 0) (i32.const 32) (i32.const 1)))
    (drop (call $sleep (i64.const 150000000)))
    (call $expect (i32.const 3) (i32.const -73) (call $believe (i32.const 0) (i32.const 0) (i32.const 8)))
    (call $expect (i32.const 4) (i32.const 1) (call $observe (i32.const 0) (i32.const 32) (i32.const 1)))
    (call $expect (i32.const 5) (i32.const 1) (call $observe (i32.const 0) (i32.const 32) (i32.const 1)))
    (call $expect (i32.const 6) (i32.const 1) (call $observe (i32.const 0) (i32.const 32) (i32.const 1)))
    (call $expect (i32.const 7) (i32.const -64) (call $believe (i32.const 0) (i32.const 0) (i32.const 8)))
    (call $expect (i32.const 8) (i32.const 0) (call $observe (i32.const 0) (i32.const 32) (i32.const 1)))
"""  # noqa: E501


def test_beliefs_after_the_deadline_and_after_the_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "coins").write_bytes(b"0110")
    module = write(tmp_path, "late", guest(LATE, HALVES))
    result = run(
        [asked("late", module)],
        sponsors=SPONSORS,
        rewards=[stream(file=str(tmp_path / "coins"), alphabet="01", deadline="100 ms")],
    )
    late = result["late"]
    assert (late.outcome, late.exit_code) == ("finished", 0), f"call {late.exit_code}"
    assert (late.beliefs, late.beliefs_refused) == (1, 1)


def test_a_belief_without_its_stake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coins").write_bytes(b"0110")
    code = """(call $expect (i32.const 1) (i32.const -19)
        (call $believe (i32.const 0) (i32.const 0) (i32.const 8)))
        (call $expect (i32.const 2) (i32.const 1)
        (call $observe (i32.const 0) (i32.const 32) (i32.const 1)))"""
    module = write(tmp_path, "poor", guest(code, HALVES))
    result = run(
        [asked("poor", module, funds="20 mJ")],
        sponsors=SPONSORS,
        rewards=[stream(file=str(tmp_path / "coins"), alphabet="01", pays="2 mJ")],
    )
    assert result["poor"].exit_code == 0
    assert (result["poor"].beliefs_refused, result["poor"].bits_q32) == (1, 0)


def test_claims_are_paid_and_staked_through_reports(tmp_path: Path) -> None:
    """A true claim, a false one, a repeated one, and a text that is no number."""
    lines = ["1000003 0.999", "1000001", "1000003", "1000033 NaN"]
    data = "".join(f'(data (i32.const {64 * i}) "{line}")' for i, line in enumerate(lines))
    code = "".join(
        f"(call $expect (i32.const {i + 1}) (i32.const 0)"
        f"(call $report (i32.const {64 * i}) (i32.const {len(line)})))"
        for i, line in enumerate(lines)
    )
    module = write(
        tmp_path, "oracle", guest(code + "(drop (call $sleep (i64.const 300000000)))", data)
    )
    result = run(
        [asked("oracle", module, funds="500 mJ", rewards=["primes"])],
        sponsors=SPONSORS,
        rewards=[{"name": "primes", "sponsor": "reader", "resolver": "predicate", "pays": "1 mJ"}],
        out=tmp_path / "out",
    )
    oracle = result["oracle"]
    assert (oracle.outcome, oracle.exit_code) == ("finished", 0), f"call {oracle.exit_code}"
    assert (oracle.beliefs, oracle.beliefs_refused) == (2, 2)
    true, false = result.events("claim")
    assert 3_700 < true.integer("paid_credits") < 3_800
    assert 15_000 < false.integer("lost_credits") <= 16_000
    assert oracle.information_credits == true.integer("paid_credits")
    assert oracle.stake_lost_credits == false.integer("lost_credits")
    spent = oracle.paid_credits + oracle.stake_lost_credits + oracle.returned_credits
    assert spent == 500_000 + oracle.earned_credits
    assert recompute_bits(result.events())["oracle"].bits_q32 == oracle.bits_q32
    whys = [event.text("why") for event in result.events("refused_belief")]
    assert whys == ["resolved already", "the probability is not finite"]


def test_the_example_runs_as_its_page_says(tmp_path: Path) -> None:
    """The command line, the example file and its text together."""
    out = tmp_path / "out"
    done = maxwell(
        "run",
        str(REPOSITORY / "examples/information.toml"),
        "--deterministic",
        "--out",
        str(out),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    shown = done.err + done.out.decode()
    assert "bits/J" in shown
    assert "52,364" in shown
    why = maxwell("why", "noise", "--run", str(out), cwd=tmp_path)
    assert "of stakes went to the sponsor" in " ".join(why.out.decode().split())


def test_quality_lets_the_learner_outbid_an_equal_loop(tmp_path: Path) -> None:
    """With equal bids a loop and the learner share the core; with qualities the learner leads."""

    def learnt(node: dict[str, Any], out: Path | None = None) -> Run:
        return run(
            [
                asked("learner", "samples:learner.wasm", bid_ppm=2_000_000),
                asked("loop", "samples:spin.wasm", bid_ppm=2_000_000, rewards=[]),
            ],
            sponsors=SPONSORS,
            rewards=[stream(limit=20_000)],
            duration="1 s",
            out=out,
            **node,
        )

    plain = learnt({})
    ranked = learnt({"quality_bits_per_joule": 10_000}, tmp_path / "out")
    assert plain["learner"].bits_q32 == ranked["learner"].bits_q32
    # Half of the core until it has finished, against nearly all of it after the first settlement.
    assert ranked["learner"].died_ns < 0.85 * plain["learner"].died_ns
    qualities = {e.text("account"): e.integer("quality_ppm") for e in ranked.events("quality")}
    assert qualities["learner"] > 1_000_000
    assert qualities["loop"] < 500_000
