"""Goal: whatever a guest does, it does to itself: the machine stays responsive, the books balance,
and the others get what they paid for.

Method: each attack of the hostile set runs on one cell beside two honest equals with equal money,
in virtual time (exact figures) and, where the attack is on real time or memory, on the real clock
(views must keep coming). The honest two are compared with each other and with a run without the
attacker; nothing is compared with a clock.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from maxwell.errors import GuestError
from support.fleets import Run, process, run
from support.guests import hostile, hostile_expected, hostile_names, write

pytestmark = [pytest.mark.native, pytest.mark.timeout(120)]

HONEST = ("one", "two")
DURATION_MS = 600
ON_THE_CLOCK = (
    "host_call_flood",
    "infinite_recursion",
    "iovec_griefing",
    "memory_fill",
    "random_flood",
    "report_flood",
    "tiny_slices",
)
"""Attacks on time, memory and the host, whose effect only the real clock shows."""

ON_THE_CLOCK_TOO = (
    "bulk_chain",
    "empty_loop",
    "exception_storm",
    "memory_copy",
    "memory_grow_loop",
    "sleep_extremes",
    "table_grow_loop",
)
"""More of them, for the slow tests."""


def fleet(
    folder: Path, attack: str | None, *, horizon: str = "5 J", rewards: list[str] | None = None
) -> list[dict[str, object]]:
    honest: list[dict[str, object]] = [
        process("one", "samples:spin.wasm", funds="20 J", horizon=horizon),
        process("two", "samples:spin.wasm", funds="20 J", horizon=horizon),
    ]
    if attack is None:
        return honest
    keys: dict[str, object] = {"funds": "3 J", "horizon": "750 mJ", "rewards": rewards or []}
    return [process("attacker", write(folder, attack, hostile(attack)), **keys), *honest]


def assert_defended(result: Run, attack: str) -> None:
    attacker = result["attacker"]
    assert attacker.outcome in hostile_expected(attack), attacker.reason
    # It had its 3 J and not a credit more, and no one else's money paid for it.
    assert attacker.paid_credits + attacker.returned_credits == 3_000_000
    assert attacker.uncollected_uj <= 0.05 * max(attacker.energy_uj, 100_000)
    one, two = (result[name] for name in HONEST)
    for record in (one, two):
        assert record.outcome == "deadline"
        assert record.uncollected_uj == 0
    shares = [record.energy_uj / record.paid_credits for record in (one, two)]
    assert abs(shares[0] - shares[1]) <= 0.05 * shares[0]
    slices = [record.slices / record.paid_credits for record in (one, two)]
    assert abs(slices[0] - slices[1]) <= 0.05 * slices[0]


@cache
def without_attacker() -> Run:
    return run(fleet(Path(), None), duration=f"{DURATION_MS} ms")


@pytest.mark.parametrize("attack", hostile_names())
def test_an_attack_in_virtual_time(tmp_path: Path, attack: str) -> None:
    expected = hostile_expected(attack)
    try:
        result = run(fleet(tmp_path, attack), duration=f"{DURATION_MS} ms")
    except GuestError as error:
        refusal = error
    else:
        refusal = None
        assert_defended(result, attack)
        assert_honest_prices(result)
    if refusal is not None:
        assert "refused" in expected, refusal
        assert refusal.code in {"MX1203", "MX1204", "MX1205", "MX1206"}, refusal
        assert "process 'attacker'" in str(refusal)
        assert refusal.hint


def assert_honest_prices(result: Run) -> None:
    assert len(result.views) == DURATION_MS // 100
    # A joule costs the honest what the attacker's demand makes it cost, and at most their bid of
    # two credits: they get no less for their money than the price they were told.
    alone = without_attacker()
    for name in HONEST:
        mine, before = result[name], alone[name]
        assert mine.energy_uj / mine.paid_credits >= 0.48 * before.energy_uj / before.paid_credits
        assert mine.energy_uj + mine.premium_credits <= 2 * mine.energy_uj + mine.slices


@pytest.mark.parametrize(
    "attack",
    [*ON_THE_CLOCK, *(pytest.param(name, marks=pytest.mark.slow) for name in ON_THE_CLOCK_TOO)],
)
def test_an_attack_on_the_real_clock(tmp_path: Path, attack: str) -> None:
    result = run(
        fleet(tmp_path, attack, rewards=["primes"]),
        deterministic=False,
        duration="1 s",
        sponsors=[{"name": "academy", "escrow": "1 J"}],
        rewards=[{"name": "primes", "sponsor": "academy", "resolver": "prime", "pays": "1 mJ"}],
        out=tmp_path / "run",
    )
    assert_defended(result, attack)
    assert result.report.credits.escrowed == 1_000_000
    # The parent kept its beat: at least half of its ten views a second came.
    assert len(result.views) >= 5
    assert sum(f.stat().st_size for f in (tmp_path / "run").rglob("*") if f.is_file()) < 64 << 20
    # What the core did is on somebody's bill: the attacker cannot run on the system's account.
    model, cells = result.report.record.model, result.report.record.cells
    spent_uj = model.cpu_energy_uj(sum(cell.cpu_ns for cell in cells))
    assert result.report.energy.processes >= 0.75 * spent_uj


@pytest.mark.parametrize("attack", ["deep_recursion", "divide_by_zero", "unreachable"])
def test_a_trap_is_the_end_of_one_process_only(tmp_path: Path, attack: str) -> None:
    module = write(tmp_path, attack, hostile(attack))
    result = run(
        [process("bad", module, count=20, funds="10 mJ"), *fleet(tmp_path, None)],
        duration="500 ms",
    )
    assert list(result.outcomes.values()).count("trapped") == 20
    assert result["one"].outcome == "deadline"


def test_a_hundred_attackers_at_once(tmp_path: Path) -> None:
    """Twenty of each of five kinds with little money: they go, the honest two stay equal."""
    attackers = [
        process(name.replace("_", "-"), write(tmp_path, name, hostile(name)), count=20,
                funds="20 mJ", horizon="5 mJ")
        for name in ("tiny_slices", "host_call_flood", "infinite_recursion", "table_grow_loop",
                     "random_flood")
    ]  # fmt: skip
    result = run([*attackers, *fleet(tmp_path, None)], duration="2 s")
    one, two = (result[name] for name in HONEST)
    assert abs(one.energy_uj - two.energy_uj) <= 0.05 * one.energy_uj
    paid = sum(p.paid_credits + p.returned_credits for p in result.report.record.processes)
    assert paid == 100 * 20_000 + 40_000_000


def test_one_account_may_not_multiply_itself(tmp_path: Path) -> None:
    """Fifty processes of one account against one of another with the same money (a Sybil)."""
    result = run(
        [
            process("sybil", "samples:spin.wasm", account="a", count=50, horizon="5 J"),
            process("one", "samples:spin.wasm", account="b", horizon="5 J"),
        ],
        accounts=[{"name": "a", "funds": "20 J"}, {"name": "b", "funds": "20 J"}],
        duration="2 s",
    )
    sybil = sum(p.energy_uj for p in result.report.record.processes if p.account == "a")
    assert sybil <= 1.05 * result["one"].energy_uj


def test_the_pointers_of_no_import_reach_outside(tmp_path: Path) -> None:
    """The exit code is the number of the first call that was served: none was."""
    module = write(tmp_path, "p", hostile("bad_pointers"))
    assert run([process("p", module)], duration="1 s")["p"].exit_code == 0


def test_theft_by_transfer_moves_nothing(tmp_path: Path) -> None:
    """Only the call to a number that nobody has (6) is taken, and its credit comes back."""
    module = write(tmp_path, "thief", hostile("transfer_theft"))
    result = run([process("victim", "samples:spin.wasm"), process("thief", module)], duration="1 s")
    assert result["thief"].exit_code in (0, 6)
    for record in result.report.record.processes:
        assert record.paid_credits + record.returned_credits == 20_000_000
