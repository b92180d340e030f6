"""Goal: credits sent by a guest arrive whole, come back whole, or stay: none is made or lost.

Method: guests of a few instructions on one or two cells, in virtual and in real time. Guests name
each other by their numbers, which are their places in the fleet, from 1 on.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fleets import Run, process, run
from support.guests import SLEEP_FOREVER, SPIN_FOREVER, program, write

pytestmark = pytest.mark.native

MILLISECONDS = 1_000_000
AFTER_SEND = "(call $exit (i32.sub (i32.const 0) (local.get $r)))"
"""Exits with the errno of the first transfer, 0 when it was taken."""


def sender(to: int, credits: int, *, wait_ms: int = 0, after: str = SLEEP_FOREVER) -> bytes:
    return program(
        f"""(drop (call $sleep (i64.const {wait_ms * MILLISECONDS})))
        (local.set $r (call $transfer (i32.const {to}) (i64.const {credits})))
        {after}""",
        locals_="(local $r i32)",
    )


def balance_teller(wait_ms: int) -> bytes:
    """Exits with its balance in thousands of credits after a while."""
    return program(
        f"""(drop (call $sleep (i64.const {wait_ms * MILLISECONDS})))
        (call $exit (i32.wrap_i64 (i64.div_u (call $balance) (i64.const 1000))))"""
    )


def arrived(result: Run, name: str, funds: int) -> int:
    """Credits that a process had beyond its funds."""
    record = result[name]
    return record.paid_credits + record.returned_credits - funds


@pytest.mark.parametrize("cells", [1, 2])
@pytest.mark.parametrize("deterministic", [True, False])
def test_credits_arrive(tmp_path: Path, cells: int, deterministic: bool) -> None:
    result = run(
        [
            process("giver", write(tmp_path, "giver", sender(2, 40_000)), funds="100 mJ"),
            process("taker", write(tmp_path, "taker", balance_teller(500)), funds="20 mJ"),
        ],
        cells=cells,
        deterministic=deterministic,
        duration="700 ms",
    )
    assert arrived(result, "taker", 20_000) == 40_000
    assert arrived(result, "giver", 100_000) == -40_000
    assert result["taker"].exit_code in (56, 57, 58, 59)
    if cells == 2:
        assert result["giver"].cell != result["taker"].cell


@pytest.mark.parametrize(
    ("to", "why"),
    [(3, "dead"), (99, "of nobody"), (0, "of nobody"), (4, "not yet started")],
)
@pytest.mark.parametrize("cells", [1, 2])
def test_what_nobody_takes_comes_back(tmp_path: Path, to: int, why: str, cells: int) -> None:
    """`why` says whose number it is."""
    del why
    result = run(
        [
            process(
                "giver", write(tmp_path, "giver", sender(to, 40_000, wait_ms=200)), funds="90 mJ"
            ),
            process("other", write(tmp_path, "other", balance_teller(900)), funds="20 mJ"),
            process("dead", "samples:hello.wasm", funds="90 mJ"),
            process("later", "samples:hello.wasm", funds="90 mJ", start_after="600 ms"),
        ],
        cells=cells,
        duration="1 s",
    )
    assert result["giver"].outcome == "deadline"
    for name, funds in (("giver", 90_000), ("other", 20_000), ("dead", 90_000), ("later", 90_000)):
        assert arrived(result, name, funds) == 0, name


def test_to_itself(tmp_path: Path) -> None:
    giver = write(tmp_path, "giver", sender(1, 40_000))
    result = run([process("giver", giver, funds="90 mJ")], duration="500 ms")
    assert arrived(result, "giver", 90_000) == 0
    assert result["giver"].outcome == "deadline"


@pytest.mark.parametrize(
    ("credits", "errno"),
    [(0, 0), (-1, 28), (-(2**63), 28), (2**63 - 1, 19), (100_000, 19), (90_000, 19), (50_000, 0)],
)
def test_overdrafts_and_negative_amounts_are_refused(
    tmp_path: Path, credits: int, errno: int
) -> None:
    """The runway stays: a purse of 90,000 less admission cannot send 90,000."""
    giver = write(tmp_path, "giver", sender(2, credits, after=AFTER_SEND))
    result = run(
        [
            process("giver", giver, funds="90 mJ"),
            process("taker", write(tmp_path, "taker", balance_teller(300)), funds="20 mJ"),
        ],
        duration="500 ms",
    )
    assert result["giver"].exit_code == errno
    assert arrived(result, "taker", 20_000) == (credits if errno == 0 else 0)


def test_sending_and_dying_in_one_epoch(tmp_path: Path) -> None:
    """The credits were on their way when the sender exited: they arrive all the same."""
    giver = write(tmp_path, "giver", sender(2, 40_000, after="(call $exit (i32.const 7))"))
    result = run(
        [
            process("giver", giver, funds="90 mJ"),
            process("taker", write(tmp_path, "taker", balance_teller(300)), funds="20 mJ"),
        ],
        duration="500 ms",
    )
    assert result["giver"].exit_code == 7
    assert arrived(result, "taker", 20_000) == 40_000


def test_sending_to_who_dies_in_the_same_epoch(tmp_path: Path) -> None:
    """Both exit at once; wherever the credits are, they are somewhere and the books balance."""
    giver = write(
        tmp_path, "giver", sender(2, 40_000, wait_ms=50, after="(call $exit (i32.const 7))")
    )
    result = run(
        [
            process("giver", giver, funds="90 mJ"),
            process("taker", write(tmp_path, "taker", balance_teller(50)), funds="20 mJ"),
        ],
        cells=2,
        duration="500 ms",
    )
    assert result.outcomes == {"giver": "finished", "taker": "finished"}


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_storm_of_transfers_conserves(tmp_path: Path, deterministic: bool) -> None:
    """Three processes on two cells throw a credit at each other as often as they can; one dies."""
    storm = """(loop $on
        (drop (call $transfer (i32.const {a}) (i64.const 1)))
        (drop (call $transfer (i32.const {b}) (i64.const 3)))
        (br_if $on (i32.lt_u (local.tee $r (i32.add (local.get $r) (i32.const 1)))
          (i32.const {times}))))"""
    fleet = [
        process(
            f"p{number}",
            write(
                tmp_path,
                f"p{number}",
                program(
                    storm.format(a=a, b=b, times=5_000 if number == 2 else -1),
                    locals_="(local $r i32)",
                ),
            ),
            funds="400 mJ",
        )
        for number, a, b in ((1, 2, 3), (2, 3, 1), (3, 1, 77))
    ]
    result = run(fleet, cells=2, deterministic=deterministic, duration="600 ms")
    sent = sum(arrived(result, f"p{number}", 400_000) for number in (1, 2, 3))
    assert sent == 0
    assert result["p2"].outcome == "finished"


def test_a_gift_saves_a_life(tmp_path: Path) -> None:
    """A process that cannot afford a slice any more lives on what another one sends."""
    giver = write(tmp_path, "giver", sender(2, 90_000, wait_ms=800))
    fleet = [
        process("giver", giver, funds="200 mJ"),
        process("poor", "samples:spin.wasm", funds="30 mJ"),
    ]
    saved = run(fleet, duration="5 s")
    fleet[0] = process("giver", write(tmp_path, "other", sender(99, 90_000)), funds="200 mJ")
    alone = run(fleet, duration="5 s")
    assert saved["poor"].energy_uj > 2 * alone["poor"].energy_uj
    assert saved["poor"].died_ns > alone["poor"].died_ns


def test_bid_and_urgency_of_a_guest_count(tmp_path: Path) -> None:
    """Three equal purses; one guest bids for itself, one lowers its urgency."""
    result = run(
        [
            process(
                "bidder",
                write(
                    tmp_path, "b", program(f"(drop (call $bid (i64.const 4000000))) {SPIN_FOREVER}")
                ),
                funds="50 J",
                horizon="25 J",
            ),
            process(
                "calm",
                write(
                    tmp_path, "c", program(f"(drop (call $urgency (i32.const 0))) {SPIN_FOREVER}")
                ),
                funds="50 J",
                horizon="10 J",
            ),
            process("plain", "samples:spin.wasm", funds="50 J", horizon="10 J"),
        ],
        duration="500 ms",
    )
    bidder, calm, plain = result["bidder"], result["calm"], result["plain"]
    assert bidder.energy_uj > 2 * plain.energy_uj
    assert plain.energy_uj > 2 * calm.energy_uj
    assert bidder.last_bid_ppm > 3_900_000
    assert calm.last_bid_ppm == 1_000_000


def test_a_guest_may_take_its_bid_back(tmp_path: Path) -> None:
    """Below the reserve it waits; a sleeper that bids anew on waking runs again."""
    code = f"""(drop (call $bid (i64.const 9000000))) (drop (call $sleep (i64.const 1000000)))
        (drop (call $bid (i64.const 0))) {SPIN_FOREVER}"""
    result = run(
        [process("guest", write(tmp_path, "g", program(code)), funds="9 J", horizon="4500 mJ")],
        duration="300 ms",
    )
    assert 900_000 <= result["guest"].last_bid_ppm <= 1_000_000


def test_price_is_the_mean_of_the_last_epoch(tmp_path: Path) -> None:
    """Alone at the reserve, a guest reads cost price: exit code 100 is 1,000,000 / 10,000."""
    code = """(drop (call $sleep (i64.const 250000000)))
        (call $exit (i32.wrap_i64 (i64.div_u (call $price) (i64.const 10000))))"""
    asker = write(tmp_path, "asker", program(code))
    result = run(
        [process("asker", asker), process("loop", "samples:spin.wasm", bid_ppm=1_000_000)],
        duration="1 s",
    )
    assert result["asker"].exit_code == 100


def test_sleep_sleeps_and_costs_rent_only(tmp_path: Path) -> None:
    code = "(drop (call $sleep (i64.const 700000000)))"
    result = run([process("s", write(tmp_path, "s", program(code)), funds="90 mJ")], duration="5 s")
    record = result["s"]
    assert record.outcome == "finished"
    assert record.died_ns - record.born_ns == pytest.approx(700e6, rel=1e-3)
    assert record.rent_credits == pytest.approx(0.7 * (2_000 + 400 / 16), abs=2)
    assert record.energy_uj < 100
    assert record.slices == 2


def test_discard_zeroes_whole_pages(tmp_path: Path) -> None:
    """It exits with the byte in the middle of the page, then with one beside it: 0 and 9."""
    for address, expected in ((6_000, 0), (4_095, 9), (8_192, 9)):
        code = f"""(memory.fill (i32.const 0) (i32.const 9) (i32.const 65536))
            (drop (call $discard (i32.const 4000) (i32.const 4300)))
            (call $exit (i32.load8_u (i32.const {address})))"""
        module = write(tmp_path, f"d{address}", program(code))
        assert run([process("d", module)], duration="1 s")["d"].exit_code == expected


def test_a_process_keeps_its_number_when_another_cell_takes_it(tmp_path: Path) -> None:
    """The taker bids below the floor and so never starts; the cell of the sleeper is given it.

    The sleeper's rich purse fills its cell in the eyes of the placement, and then it sleeps.
    """
    spin = write(tmp_path, "spin", program(SPIN_FOREVER))
    giver = write(tmp_path, "giver", sender(2, 40_000, wait_ms=700))
    result = run(
        [
            process("giver", giver, funds="200 J"),
            process("taker", "samples:hello.wasm", funds="90 mJ", bid_ppm=1),
            process("spin-a", spin, funds="2 J"),
            process("spin-b", spin, funds="2 J"),
        ],
        cells=2,
        deterministic=False,
        duration="1200 ms",
    )
    assert result["taker"].cell == result["giver"].cell, "it was taken, or this shows nothing"
    assert arrived(result, "taker", 90_000) == 40_000
