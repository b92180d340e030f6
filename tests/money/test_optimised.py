"""Goal: conservation is checked under `python -O` too, which removes `assert`.

Method: a child interpreter with `-O` damages the books in each way that a check guards against,
and prints the code of what the check raised.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

DAMAGE = """
from maxwell.energy import attribution
from maxwell.errors import InternalError
from maxwell.market import ledger as ledgers, mint as mints, rewards
from maxwell.market.book import COMMONS, TREASURY
from maxwell.market.ledger import Ledger
from maxwell.config.records import RewardConfig
from money.slots import FakeSlot

assert False, "assertions are off here"


def books():
    made = Ledger()
    made.mint(100, line="budget")
    made.open_account("a")
    made.open_sponsor("s")
    made.fund_account("a", 60)
    made.fund_sponsor("s", 40)
    made.lease(1, "a", 50)
    slot = FakeSlot()
    slot.fund(50)
    return made, slot


def lease_below_slot():
    made, slot = books()
    made._book._balances["lease", 1] -= 5
    made._book._balances[TREASURY] += 5
    made._book._totals["lease"] -= 5
    made._book._totals["treasury"] += 5
    made.settle(1, slot)


def closed_with_credits():
    made, slot = books()
    made._book.post = lambda *sides, **kind: None
    made.close(1, slot)


def income_beyond_inflow():
    made, slot = books()
    slot.spend("rent", 40)
    made.settle(1, slot)
    ledgers.BASIC_INCOME_NUMERATOR = 11
    made.basic_income(["a"])


def negative_balance():
    made, _ = books()
    made._book.balance = lambda key: 1_000
    made._book.post(("account", "a"), COMMONS, 500, kind="x")


def minted_from_nothing():
    made, _ = books()
    made._book._minted += 1
    made._book.post(("account", "a"), COMMONS, 1, kind="x")


def mint_beyond_the_cap():
    mint = mints.PowerMint(2_000, 1_000, {"a": 1_000_000})
    mint._minted["a"] = 10**9
    mint.epoch(books()[0], elapsed_ns=1, system_uj=0)


def reward_beyond_its_price():
    made, _ = books()
    config = RewardConfig(sponsor="s", name="r", resolver="prime", pays_credits=5)
    book = rewards.RewardBook([config], made)
    book.subscribe(1, ["r"])
    made.reward = lambda process, sponsor, credits: credits + 1
    book.on_report(1, b"7")


def joules_from_nothing():
    class Odd(int):
        def __sub__(self, other):
            return Odd(int(self) - int(other) + 1)

    reading = type("Reading", (), {"metered_uj": Odd(10), "idle_uj": 1})
    attribution.attribute(reading, 2, 3)


for check in (
    lease_below_slot, closed_with_credits, income_beyond_inflow, negative_balance,
    minted_from_nothing, mint_beyond_the_cap, reward_beyond_its_price, joules_from_nothing,
):
    try:
        check()
    except InternalError as error:
        print(check.__name__, error.code)
    else:
        print(check.__name__, "NOT NOTICED")
"""


def test_every_invariant_is_checked_without_assertions() -> None:
    path = os.pathsep.join(str(REPOSITORY / folder) for folder in ("python", "tests"))
    done = subprocess.run(
        [sys.executable, "-O", "-c", DAMAGE],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert dict(line.split(maxsplit=1) for line in done.stdout.splitlines()) == {
        "lease_below_slot": "MX1304",
        "closed_with_credits": "MX1302",
        "income_beyond_inflow": "MX1302",
        "negative_balance": "MX1302",
        "minted_from_nothing": "MX1302",
        "mint_beyond_the_cap": "MX1302",
        "reward_beyond_its_price": "MX1302",
        "joules_from_nothing": "MX1302",
    }
