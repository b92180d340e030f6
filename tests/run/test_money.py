"""Goal: whatever the fleet, no credit is made or lost, and nobody pays less than cost or more than
it has.

Method: random fleets of samples and small guests, with rewards, incomes, transfers, deadlines and
late starts, on one to three cells in virtual time for at most half a second. The sums are those of
contracts 3, 4 and 8; each of them is checked after every epoch too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.fleets import Run, process, run
from support.guests import REPOSITORY, program, write

pytestmark = pytest.mark.native

GIVER = """(loop $on
    (drop (call $transfer (i32.const 1) (i64.const 1000)))
    (drop (call $transfer (i32.const 2) (i64.const 7)))
    (drop (call $sleep (i64.const 20000000)))
    (br $on))"""

GUESTS: dict[str, tuple[str, ...]] = {
    "samples:spin.wasm": (),
    "samples:leech.wasm": (),
    "samples:hello.wasm": ("Ada",),
    "samples:sieve.wasm": ("50000", "20"),
    "samples:hog.wasm": ("24",),
    "samples:sleeper.wasm": ("0.2",),
    "samples:scientist.wasm": ("100000", "200000"),
    "samples:learner.wasm": ("0",),
    "samples:noise.wasm": ("0",),
    "giver": (),
}
ASKED = ("learner.wasm", "noise.wasm")


def millijoules(least: int, most: int) -> st.SearchStrategy[str]:
    return st.integers(least, most).map(lambda n: f"{n} mJ")


@st.composite
def processes(draw: st.DrawFn) -> list[dict[str, object]]:
    count = draw(st.integers(1, 5))
    fleet: list[dict[str, object]] = []
    for number in range(count):
        module = draw(st.sampled_from(sorted(GUESTS)))
        keys: dict[str, object] = {"funds": draw(millijoules(1, 800))}
        if GUESTS[module]:
            keys["args"] = list(GUESTS[module])
        if draw(st.booleans()):
            keys["urgency"] = draw(st.sampled_from([0, 0.3, 1]))
        elif draw(st.booleans()):
            keys["bid_ppm"] = draw(st.integers(900_000, 256_000_000))
        if draw(st.booleans()):
            keys["horizon"] = draw(millijoules(1, 2_000))
        if draw(st.booleans()):
            keys["start_after"] = f"{draw(st.integers(0, 600))} ms"
        if draw(st.booleans()):
            keys["deadline"] = f"{draw(st.integers(1, 400))} ms"
        if draw(st.booleans()):
            keys["top_up"] = True
        if module.endswith("scientist.wasm"):
            keys["rewards"] = ["primes"]
        if module.endswith(ASKED):
            keys["rewards"] = ["text"]
        if draw(st.booleans()):
            keys["account"] = draw(st.sampled_from(["one", "two"]))
        fleet.append(process(f"p{number}", module, **keys))
    return fleet


nodes = st.fixed_dictionaries(
    {
        "cells": st.integers(1, 3),
        "seed": st.integers(0, 2**64 - 1),
        "temperature_log2": st.integers(0, 4),
        "reserve_ppm": st.sampled_from([1_000_000, 1_000_001, 7_654_321]),
        "quantum_fuel": st.sampled_from([10_000, 800_000, 5_000_000]),
        "slice_quanta": st.integers(1, 20),
        "duration": st.integers(1, 500).map(lambda n: f"{n} ms"),
    }
)


def assert_everyone_paid(result: Run, fleet: list[dict[str, object]]) -> None:
    givers = any(str(entry["module"]).endswith("giver.wasm") for entry in fleet)
    for entry in fleet:
        record = result[str(entry["name"])]
        funds = int(str(entry["funds"]).removesuffix(" mJ")) * 1_000
        spent = record.paid_credits + record.stake_lost_credits + record.returned_credits
        if givers:
            continue
        if record.cell == -1:
            assert spent == 0
        elif not entry.get("top_up"):
            assert spent == funds + record.earned_credits
        else:
            assert spent >= funds + record.earned_credits
        # At most one slice, plus the bytes of its host calls, may go uncollected.
        assert record.uncollected_uj <= max(record.energy_uj // max(1, record.slices) * 20, 10_000)


@settings(settings.get_profile("runs"), max_examples=25)
@given(fleet=processes(), node=nodes)
def test_no_fleet_makes_or_loses_a_credit(
    tmp_path_factory: pytest.TempPathFactory,
    fleet: list[dict[str, object]],
    node: dict[str, Any],
) -> None:
    folder = tmp_path_factory.getbasetemp()
    giver = write(folder, "giver", program(GIVER))
    fleet = [{**p, "module": giver if p["module"] == "giver" else p["module"]} for p in fleet]
    used = {str(p["account"]) for p in fleet if "account" in p}
    result = run(
        fleet,
        accounts=[{"name": name} for name in sorted(used)],
        sponsors=[{"name": "academy", "escrow": "50 mJ"}],
        rewards=[
            {"name": "primes", "sponsor": "academy", "resolver": "prime", "pays": "3 mJ"},
            {
                "name": "text",
                "sponsor": "academy",
                "resolver": "stream",
                "pays": "40 uJ",
                "file": str(REPOSITORY / "examples/information/devil.txt"),
                "chunk": 1,
            },
        ],
        **node,
    )
    assert_everyone_paid(result, fleet)
    credits = result.report.credits
    inflow = sum(
        p.premium_credits + p.rent_credits + p.tax_credits + p.admission_credits
        for p in result.report.record.processes
    )
    assert 0.7 * inflow <= credits.commons <= inflow
    assert credits.escrowed == 50_000 - sum(
        p.earned_credits - p.stake_lost_credits for p in result.report.record.processes
    )
    if int(str(node["reserve_ppm"])) > 1_000_000:
        for record in result.report.record.processes:
            if record.uncollected_uj == 0 and record.energy_uj > 0:
                charged = record.energy_uj + record.premium_credits
                assert charged * 1_000_000 >= record.energy_uj * int(str(node["reserve_ppm"]))


@settings(settings.get_profile("runs"), max_examples=6)
@given(
    shares=st.lists(st.integers(0, 40), min_size=2, max_size=2),
    power_mw=st.integers(1_100, 20_000),
    seed=st.integers(0, 9),
)
def test_power_never_mints_more_than_the_cap(shares: list[int], power_mw: int, seed: int) -> None:
    names = ("a", "b")
    result = run(
        [
            process(f"p{name}", "samples:spin.wasm", account=name, funds="10 mJ", top_up=True)
            for name in names
        ],
        accounts=[
            {"name": name, "funds": "10 mJ", "income_share": share / 100}
            for name, share in zip(names, shares, strict=True)
        ],
        power=f"{power_mw} mW",
        duration="400 ms",
        seed=seed,
    )
    record = result.report.record
    net_uj = (power_mw - record.model.idle_power_mw) * 400
    minted = record.credits.minted - 20_000
    assert sum(share * net_uj // 100 for share in shares) - 2 <= minted
    assert minted <= sum(shares) * net_uj // 100


def test_the_whole_life_of_a_credit(tmp_path: Path) -> None:
    """One run with every way a credit can go; the figures of the events sum to the report's."""
    result = run(
        [
            process("scientist", "samples:scientist.wasm", args=["100000", "900000"],
                    funds="100 mJ", rewards=["primes"]),
            process("hog", "samples:hog.wasm", args=["64"], funds="100 mJ"),
            process("loop", "samples:spin.wasm", funds="300 mJ", horizon="30 mJ", top_up=True),
            process("giver", write(tmp_path, "giver", program(GIVER)), funds="100 mJ"),
        ],
        sponsors=[{"name": "academy", "escrow": "50 mJ"}],
        rewards=[{"name": "primes", "sponsor": "academy", "resolver": "prime", "pays": "1 mJ"}],
        out=tmp_path / "run",
        duration="3 s",
    )  # fmt: skip
    paid = sum(event.integer("paid_credits") for event in result.events("result"))
    income = sum(event.integer("credits") for event in result.events("income"))
    records = result.report.record.processes
    assert paid == sum(record.earned_credits for record in records) == 50_000
    inflow = sum(
        p.premium_credits + p.rent_credits + p.tax_credits + p.admission_credits for p in records
    )
    assert result.report.credits.commons == inflow - income
    returned = sum(record.returned_credits for record in records)
    topped = result["loop"].paid_credits + result["loop"].returned_credits
    assert result.report.credits.held >= returned
    assert topped > 300_000
    (settled,) = result.events("settled")
    shown = settled.fields["credits"]
    assert shown == {
        name: str(getattr(result.report.credits, name))
        for name in result.report.credits.__struct_fields__
    }
