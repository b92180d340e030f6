"""The mint: never more than the cap, nothing lost to rounding, nothing minted twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.config import FleetConfig, parse_fleet
from maxwell.errors import ConfigError, InternalError
from maxwell.market.ledger import Ledger
from maxwell.market.mint import BudgetMint, PowerMint, open_books


def ledger(*names: str) -> Ledger:
    made = Ledger()
    for name in names:
        made.open_account(name)
    return made


def fleet(node: dict[str, object], **tables: object) -> FleetConfig:
    data: dict[str, object] = {
        "node": node,
        "process": [{"name": "p", "module": "x.wasm", "funds": "5 J"}],
        "sponsor": [{"name": "s", "escrow": "2 J"}],
        **tables,
    }
    return parse_fleet(data, Path("/"), cpus=1)


def test_a_second_of_power() -> None:
    books = ledger("a", "b")
    mint = PowerMint(12_000, 2_000, {"a": 500_000, "b": 250_000})
    income = mint.epoch(books, elapsed_ns=10**9, system_uj=2_000_000)
    assert income == {"a": 4_000_000, "b": 2_000_000}  # of (12 - 2) J - 2 J; a quarter unminted
    assert books.minted("power") == 6_000_000
    assert books.treasury() == 0
    assert mint.epoch(books, elapsed_ns=10**9, system_uj=2_000_000) == {}


@given(
    power=st.integers(1, 10**6),
    idle=st.integers(0, 10**6),
    shares=st.lists(st.integers(0, 333_333), max_size=3),
    steps=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6)), max_size=20),
)
def test_epochs_add_up_to_the_whole(
    power: int, idle: int, shares: list[int], steps: list[tuple[int, int]]
) -> None:
    """Goal: epoch by epoch is the same as once at the end, and never beyond the cap."""
    power += idle
    names = {f"a{i}": share for i, share in enumerate(shares)}
    books, mint = ledger(*names), PowerMint(power, idle, names)
    elapsed = system = peak = 0
    for step_ns, step_uj in steps:
        elapsed += step_ns
        system += step_uj
        mint.epoch(books, elapsed_ns=elapsed, system_uj=system)
        peak = max(peak, (power - idle) * elapsed - system * 10**6)
        assert books.minted("power") * 10**6 <= (power - idle) * elapsed
        for name, share in names.items():
            assert books.balance(name) == peak * share // 10**12 if share else True
    assert sum(books.balance(name) for name in names) == books.minted("power")


def test_a_system_that_draws_too_much_stops_the_mint_until_it_is_made_up_for() -> None:
    books = ledger("a")
    mint = PowerMint(2_000, 1_000, {"a": 1_000_000})
    assert mint.epoch(books, elapsed_ns=10**9, system_uj=3_000_000) == {}
    assert mint.epoch(books, elapsed_ns=3 * 10**9, system_uj=3_000_000) == {}
    # An estimate that sinks mints nothing for what was thought spent.
    assert mint.epoch(books, elapsed_ns=4 * 10**9, system_uj=0) == {"a": 1_000_000}


def test_time_does_not_run_backwards() -> None:
    mint = PowerMint(2_000, 1_000, {})
    mint.epoch(ledger(), elapsed_ns=10, system_uj=0)
    with pytest.raises(InternalError):
        mint.epoch(ledger(), elapsed_ns=9, system_uj=0)


@pytest.mark.parametrize("power", [0, 1_999, 2_000])
def test_a_cap_below_idle_is_refused(power: int) -> None:
    with pytest.raises(ConfigError, match=r"not above the node's idle power of 2 W") as caught:
        PowerMint(power, 2_000, {})
    assert caught.value.code == "MX1013"


@pytest.mark.parametrize("shares", [{"a": 600_000, "b": 400_001}, {"a": -1}])
def test_shares_beyond_the_whole_are_refused(shares: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        PowerMint(2_000, 1_000, shares)
    assert caught.value.code == "MX1014"


def test_opening_under_a_budget() -> None:
    books = Ledger()
    mint = open_books(fleet({"budget": "10 J"}), books, idle_power_mw=1_000)
    assert isinstance(mint, BudgetMint)
    totals = books.totals(())
    assert (totals.minted, totals.held, totals.escrowed) == (10_000_000, 8_000_000, 2_000_000)
    assert (books.balance("p"), books.treasury()) == (5_000_000, 3_000_000)
    assert mint.epoch(books, elapsed_ns=10**9, system_uj=0) == {}
    assert books.minted("budget") == 10_000_000


def test_opening_under_a_power_cap() -> None:
    books = Ledger()
    accounts = [{"name": "a", "income_share": 1.0}]
    mint = open_books(fleet({"power": "3 W"}, account=accounts), books, idle_power_mw=1_000)
    assert books.minted("opening") == 7_000_000
    assert books.treasury() == 0
    assert mint.epoch(books, elapsed_ns=10**9, system_uj=0) == {"a": 2_000_000}
    books.check(())
    with pytest.raises(ConfigError, match="idle"):
        open_books(fleet({"power": "1 W"}), Ledger(), idle_power_mw=1_000)


def test_a_budget_that_a_program_made_too_small() -> None:
    import msgspec

    made = fleet({"budget": "10 J"})
    node = msgspec.structs.replace(made.node, budget_uj=6_000_000)
    with pytest.raises(ConfigError, match="6 J does not cover opening funds of 5 J") as caught:
        open_books(msgspec.structs.replace(made, node=node), Ledger(), idle_power_mw=0)
    assert caught.value.code == "MX1010"
