"""Goal: erasing is taxed by tier, giving pages back lowers rent, and keeping memory is the dearer
one beyond the break-even time.

Method: guests in virtual time, whose bills are compared with what contracts 7 says of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from maxwell.config import load_fleet
from maxwell.hypervisor import run_fleet
from maxwell.node.record import ProcessRecord
from maxwell.observe.explain import explain_process
from maxwell.observe.report_json import erased_bits_by_tier
from support.fleets import process, run
from support.guests import IMPORTS, REPOSITORY, program, wasm, write

pytestmark = pytest.mark.native

MIB = 1 << 20
TAX_PER_MIB = 4096
RENT_PER_MIB_S = 400


def test_a_churner_pays_for_what_it_frees_and_a_tidy_program_does_not(tmp_path: Path) -> None:
    rounds, records = 100, 4096
    arguments = [str(rounds), str(records)]
    both = run(
        [
            process("tidy", "samples:tidy.wasm", args=arguments, funds="2 J"),
            process("churner", "samples:churner.wasm", args=arguments, funds="2 J"),
        ],
        out=tmp_path,
        budget="4 J",
        duration="20 s",
    )
    tidy, churner = both["tidy"], both["churner"]
    assert (tidy.outcome, churner.outcome) == ("finished", "finished")
    words = [both.output[name, "stdout"].split()[-1] for name in ("tidy", "churner")]
    assert words[0] == words[1], "the same work"
    batch_bits = 2 * records * 4 * 8
    assert tidy.freed_bits == batch_bits
    assert churner.freed_bits == rounds * batch_bits
    for one in (tidy, churner):
        by_tier = erased_bits_by_tier(one)
        assert sum(by_tier.values()) == one.erased_bits
        assert by_tier["t1"] == one.freed_bits
        living = (one.freed_bits + one.discarded_bits) // 2048
        assert one.tax_credits == living + by_tier["death"] // 2048
    assert churner.tax_credits > 5 * tidy.tax_credits
    # The price of a slice is the auction's; cost price, rent and tax are their own.
    bills = [one.paid_credits - one.premium_credits for one in (tidy, churner)]
    assert bills[1] > 1.3 * bills[0], bills
    facts = " ".join(explain_process(both.report, "churner").what_happened)
    assert "freed" in facts
    died = {event.text("process"): event for event in both.events("died")}
    assert died["churner"].integer("freed_bits") == churner.freed_bits


@pytest.mark.parametrize(("seconds", "keeping_is_dearer"), [(5, False), (20, True)])
def test_hoarding_is_dearer_beyond_the_break_even_time(
    seconds: int, keeping_is_dearer: bool
) -> None:
    pauses, mib = 3, 4
    bills: dict[str, ProcessRecord] = {}
    for kind in ("keep", "discard"):
        arguments = [kind, str(pauses), str(seconds), str(mib)]
        alone = run(
            [process("hoarder", "samples:hoarder.wasm", args=arguments, funds="3 J")],
            budget="3 J",
            duration="120 s",
        )
        assert alone["hoarder"].outcome == "finished"
        bills[kind] = alone["hoarder"]
    keep, discard = bills["keep"], bills["discard"]
    assert keep.discarded_bits == 0
    # The cache is whole pages but for its ends, and is given back once a pause.
    given_back = discard.discarded_bits / 8 / MIB
    assert pauses * mib * 0.99 < given_back <= pauses * mib
    saved_rent = keep.rent_credits - discard.rent_credits
    expected = pauses * seconds * mib * RENT_PER_MIB_S
    assert 0.9 * expected < saved_rent <= 1.01 * expected
    # Who keeps the cache is taxed for it once, at the end; the other one after each use.
    more_tax = discard.tax_credits - keep.tax_credits
    assert more_tax == pytest.approx((pauses - 1) * mib * TAX_PER_MIB, rel=0.02)
    per_use = (saved_rent / pauses, given_back / pauses * TAX_PER_MIB)
    assert (per_use[0] > per_use[1]) is keeping_is_dearer


def test_a_leak_costs_more_rent_the_longer_it_goes_on() -> None:
    few, many = (
        run(
            [process("leaker", "samples:leaker.wasm", args=[jobs, "2", "512"], funds="3 J")],
            budget="3 J",
            duration="120 s",
        )["leaker"]
        for jobs in ("10", "20")
    )
    assert many.freed_bits == few.freed_bits == 0
    of_memory = [one.rent_credits - 2_000 * one.died_ns // 10**9 for one in (few, many)]
    assert of_memory[1] > 3 * of_memory[0], "twice the jobs, almost four times the rent"


GROW = "(drop (memory.grow (i32.const 32)))"


def test_discarded_pages_count_again_when_they_are_touched(tmp_path: Path) -> None:
    """Goal: rent falls with a discard and rises again with use. Method: 1 MiB is filled, given
    back, and after ten seconds filled again for ten more; or stays given back."""
    sleep = "(drop (call $sleep (i64.const {}000000000)))"
    discard = "(drop (call $discard (i32.const 65536) (i32.const 1048576)))"
    fill = "(memory.fill (i32.const 65536) (i32.const 7) (i32.const 1048576))"
    naps = sleep.format(1) * 10
    away = program(GROW + fill + discard + naps + naps)
    back = program(GROW + fill + discard + naps + fill + naps)
    kept = program(GROW + fill + naps + naps)
    rents: list[int] = []
    for name, module in (("away", away), ("back", back), ("kept", kept)):
        path = write(tmp_path, name, module)
        alone = run([process(name, path, funds="1 J")], budget="1 J", duration="60 s")
        assert alone[name].outcome == "finished", alone[name].reason
        rents.append(alone[name].rent_credits)
    assert rents[2] - rents[0] == pytest.approx(20 * RENT_PER_MIB_S, rel=0.01)
    # Counted again from the first look on, a second after the touch at the latest.
    assert 8.8 * RENT_PER_MIB_S <= rents[1] - rents[0] <= 10.1 * RENT_PER_MIB_S


def test_a_discard_of_zeros_is_free_and_data_stays_zero(tmp_path: Path) -> None:
    """Goal: what is given back reads as zero, the module's own data included. Method: a guest whose
    data lies in the discarded pages exits with what it reads there."""
    discard = "(drop (call $discard (i32.const 0) (i32.const 65536)))"
    code = f"{discard} {discard} (call $exit (i32.load (i32.const 5000)))"
    path = write(tmp_path, "data", program(code, data='(data (i32.const 5000) "abcd")'))
    alone = run([process("data", path, funds="1 J")], budget="1 J", duration="5 s")["data"]
    assert (alone.outcome, alone.exit_code) == ("finished", 0)
    assert alone.discarded_bits == 4096 * 8, "one page held something, once"
    assert alone.erased_bits == alone.discarded_bits


FREES = f"""(module {IMPORTS}
  (func $free (export "__rust_dealloc") (param i32 i32 i32))
  (func (export "_start")
    (loop $on
      (call $free (i32.const 64) (i32.const 32768) (i32.const 1))
      (br $on))))"""


def test_who_cannot_pay_the_tax_is_bankrupt(tmp_path: Path) -> None:
    path = write(tmp_path, "frees", wasm(FREES))
    alone = run([process("frees", path, funds="200 mJ")], budget="200 mJ", duration="20 s")
    frees = alone["frees"]
    assert frees.outcome == "bankrupt"
    assert "erasure tax" in frees.reason
    assert frees.tax_unpaid > 0
    assert frees.rent_unpaid == 0
    assert frees.tax_credits > frees.energy_uj - frees.uncollected_uj
    explained = explain_process(alone.report, "frees")
    assert "erasure tax" in " ".join(explained.what_happened)


def test_a_module_may_not_export_the_counter(tmp_path: Path) -> None:
    from maxwell.errors import GuestError

    text = (
        '(module (memory (export "memory") 1) '
        '(global (export "maxwell:freed-bytes") (mut i64) (i64.const 0)) (func (export "_start")))'
    )
    path = write(tmp_path, "cheat", wasm(text))
    with pytest.raises(GuestError, match="maxwell:freed-bytes"):
        run([process("cheat", path, funds="1 J")], budget="1 J", duration="1 s")


def test_the_example_runs_and_shows_both_sides() -> None:
    fleet = load_fleet(
        REPOSITORY / "examples" / "erasure.toml", node_overrides={"deterministic": True}
    )
    report = run_fleet(fleet)
    processes = report.processes
    assert {p.outcome for p in processes.values()} == {"finished"}
    assert processes["churner"].tax_credits > 5 * processes["tidy"].tax_credits
    kept, discarded = processes["cache-kept"], processes["cache-discarded"]
    memory_cost = [p.rent_credits + p.tax_credits for p in (kept, discarded)]
    assert memory_cost[0] > memory_cost[1]


@pytest.mark.parametrize("wait", ["sleep", "bid"])
def test_pages_touched_again_are_rent_while_their_guest_waits(tmp_path: Path, wait: str) -> None:
    """Goal: discarding fresh pages, writing them and waiting is no way to keep them for nothing."""
    waiting = {
        "sleep": "(drop (call $sleep (i64.const 8000000000)))",
        "bid": "(drop (call $bid (i64.const 1))) (drop (call $sleep (i64.const 8000000000)))",
    }[wait]
    write_all = f"""(local.set $p (i32.const 65536))
        (loop $on
          (i32.store (local.get $p) (i32.const 7))
          (local.set $p (i32.add (local.get $p) (i32.const 4096)))
          (br_if $on (i32.lt_u (local.get $p) (i32.const {4 * MIB}))))"""
    give_back = "\n".join(
        f"(drop (call $discard (i32.const {65536 + k * MIB}) (i32.const {MIB})))" for k in range(3)
    )

    def guest(first: str) -> bytes:
        imports = IMPORTS.replace('(memory (export "memory") 1)', '(memory (export "memory") 65)')
        return wasm(
            f"""(module {imports} (func (export "_start") (local $p i32)
            {first} {write_all} {waiting}))"""
        )

    both = run(
        [
            process("honest", write(tmp_path, "honest", guest("")), funds="2 J"),
            process("cheat", write(tmp_path, "cheat", guest(give_back)), funds="2 J"),
        ],
        duration="12 s",
    )
    held = [both[name].memory_byte_ns for name in ("honest", "cheat")]
    assert held[0] > 4 * MIB * 8_000_000_000
    assert held[1] > 0.99 * held[0]
