"""Fleet files that are right: every key, every default, every expansion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.config import (
    FleetConfig,
    NodeConfig,
    fleet_warnings,
    load_fleet,
    parse_fleet,
    single_module,
)
from maxwell.config.records import DirConfig

FULL = """
[node]
cells = 2
budget = "340 J"
duration = "75 s"
seed = 7
temperature_log2 = 2
deterministic = true
reserve_ppm = 1_000_000
core_power = "4.5 W"
idle_power = "2 W"
quantum_fuel = 400_000
slice_quanta = 5

[[account]]
name = "lab"
funds = "60 J"
income_share = 0.25

[[account]]
name = "rest"

[[sponsor]]
name = "mathematics"
escrow = "60 J"

[[reward]]
sponsor = "mathematics"
name = "primes"
resolver = "prime"
pays = "5 mJ"
from = 1_000_000
to = 2_000_000

[[reward]]
sponsor = "mathematics"
name = "wire"
resolver = "regex"
pays = "2 J"
pattern = 'wirelen = ([0-9]+)'
direction = "down"
min_step = 0.5

[[process]]
name = "scientist"
account = "lab"
module = "samples:scientist.wasm"
args = ["1000000", "2000000"]
env = { LANG = "C", A = "b=c" }
dirs = { "/work" = "data", "/tools" = "data:ro" }
urgency = 0.75
horizon = "5 J"
rewards = ["primes", "wire"]
memory_max = "64 MiB"
start_after = "2 s"
deadline = "1 min"
top_up = true

[[process]]
name = "hog"
account = "rest"
module = "samples:hog.wasm"
funds = "12 J"
bid_ppm = 3_000_000
count = 3
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


def process(**keys: object) -> dict[str, object]:
    return {"name": "p", "module": "x.wasm", **keys}


def parse(base: Path, **tables: Any) -> FleetConfig:
    data: dict[str, Any] = {"process": [process()], **tables}
    return parse_fleet(data, base, cpus=2)


def test_a_full_file(base: Path) -> None:
    file = base / "fleet.toml"
    file.write_text(FULL, encoding="utf-8")
    fleet = load_fleet(file)
    assert fleet.node == NodeConfig(
        cells=2,
        budget_uj=340_000_000,
        duration_ns=75 * 10**9,
        seed=7,
        temperature_log2=2,
        deterministic=True,
        core_power_mw=4_500,
        idle_power_mw=2_000,
        quantum_fuel=400_000,
        slice_quanta=5,
    )
    assert [(a.name, a.funds_uj, a.income_share_ppm) for a in fleet.accounts] == [
        ("lab", 60_000_000, 250_000),
        ("rest", 36_000_000, 0),
    ]
    assert [(s.name, s.escrow_uj) for s in fleet.sponsors] == [("mathematics", 60_000_000)]
    primes, wire = fleet.rewards
    assert (primes.resolver, primes.pays_credits) == ("prime", 5_000)
    assert primes.options == {"from": 1_000_000, "to": 2_000_000}
    assert wire.options["direction"] == "down"
    scientist, *hogs = fleet.processes
    assert scientist.funds_uj == 60_000_000  # all that the account has
    assert scientist.env == (("A", "b=c"), ("LANG", "C"))
    assert scientist.dirs == (
        DirConfig(guest="/tools", host=base / "data", read_only=True),
        DirConfig(guest="/work", host=base / "data"),
    )
    assert (scientist.urgency_millis, scientist.bid_ppm) == (750, None)
    assert (scientist.horizon_uj, scientist.memory_max_bytes) == (5_000_000, 64 << 20)
    assert (scientist.start_after_ns, scientist.deadline_ns) == (2 * 10**9, 60 * 10**9)
    assert scientist.top_up
    assert [h.name for h in hogs] == ["hog-1", "hog-2", "hog-3"]
    assert {(h.account, h.funds_uj, h.bid_ppm, h.count) for h in hogs} == {
        ("rest", 12_000_000, 3_000_000, 1)
    }
    assert fleet.base_dir == base
    assert msgspec.json.encode(fleet.node)  # the record can be written into a report


def test_defaults_of_the_contracts(base: Path) -> None:
    fleet = parse(base)
    (p,) = fleet.processes
    assert (p.account, p.funds_uj, p.urgency_millis, p.horizon_uj) == ("p", 20_000_000, 500, None)
    assert p.memory_max_bytes == 512 << 20
    assert (p.start_after_ns, p.deadline_ns, p.top_up, p.bid_ppm) == (0, None, False, None)
    assert fleet.node.temperature_log2 == 2
    assert fleet.node.reserve_ppm == 1_000_000
    assert (fleet.node.quantum_fuel, fleet.node.slice_quanta) == (800_000, 10)
    assert fleet.node.cells == 2  # the processors that the test says there are
    assert fleet.node.budget_uj == 20_000_000  # what the file hands out
    assert fleet.horizon_default_uj == 5_000_000


def test_deterministic_mode_does_not_look_at_the_machine(base: Path) -> None:
    fleet = parse(base, node={"deterministic": True})
    assert fleet.node.cells == 1
    fleet = parse(base, node={"deterministic": True, "cells": 64})
    assert fleet.node.cells == 64


def test_copies_without_an_account_have_one_each(base: Path) -> None:
    fleet = parse(base, process=[process(count=2, funds="3 J")])
    assert [(a.name, a.funds_uj) for a in fleet.accounts] == [
        ("p-1", 3_000_000),
        ("p-2", 3_000_000),
    ]
    assert [p.account for p in fleet.processes] == ["p-1", "p-2"]
    assert fleet.node.budget_uj == 6_000_000


def test_open_funds_share_what_the_account_has_left(base: Path) -> None:
    fleet = parse(
        base,
        account=[{"name": "a", "funds": "10 uJ"}],
        process=[
            process(name="x", account="a", funds="3 uJ"),
            process(name="y", account="a", count=2),
        ],
    )
    assert [p.funds_uj for p in fleet.processes] == [3, 3, 3]  # one microjoule stays


def test_an_account_with_income_may_open_below_its_processes(base: Path) -> None:
    fleet = parse(
        base,
        node={"power": "12 W"},
        account=[{"name": "a", "funds": "1 J", "income_share": 1}],
        process=[process(account="a", funds="5 J", start_after="1 s")],
    )
    assert fleet.income_shares_ppm == {"a": 1_000_000}
    assert fleet.node.power_mw == 12_000
    assert fleet.node.budget_uj is None


def test_overrides_take_the_place_of_the_file(base: Path) -> None:
    file = base / "fleet.toml"
    file.write_text(FULL, encoding="utf-8")
    fleet = load_fleet(file, node_overrides={"power": "12 W", "seed": 9})
    assert (fleet.node.power_mw, fleet.node.budget_uj, fleet.node.seed) == (12_000, None, 9)
    fleet = load_fleet(file, node_overrides={"budget": "400 J"})
    assert (fleet.node.power_mw, fleet.node.budget_uj) == (None, 400_000_000)


def test_dirs_as_a_list(base: Path) -> None:
    fleet = parse(base, process=[process(dirs=["data:/work:ro", "data:/out", f"{base}:/b:rw"])])
    assert fleet.processes[0].dirs == (
        DirConfig(guest="/b", host=base),
        DirConfig(guest="/out", host=base / "data"),
        DirConfig(guest="/work", host=base / "data", read_only=True),
    )


def test_single_module(base: Path) -> None:
    fleet = single_module(
        "samples:hello.wasm",
        args=["a", "b"],
        env={"K": "v"},
        dirs=["data:/work:ro"],
        process={"memory_max": "64 MiB", "urgency": 1},
        node={"budget": "5 J", "seed": 3},
        base_dir=base,
    )
    (p,) = fleet.processes
    assert (p.name, p.account, p.funds_uj) == ("hello", "hello", 5_000_000)
    assert (p.args, p.env, p.urgency_millis) == (("a", "b"), (("K", "v"),), 1_000)
    assert (fleet.node.cells, fleet.node.seed, fleet.node.budget_uj) == (1, 3, 5_000_000)


def test_single_module_under_a_power_cap(base: Path) -> None:
    fleet = single_module("x.wasm", node={"power": "3 W"}, base_dir=base)
    assert fleet.node.power_mw == 3_000
    assert fleet.income_shares_ppm == {"x": 1_000_000}
    (process,) = fleet.processes
    assert (process.account, process.funds_uj, process.top_up) == ("x", 2_000_000, True)
    assert fleet_warnings(fleet) == ()


def test_a_power_cap_without_shares_is_warned_of(base: Path) -> None:
    fleet = parse_fleet(
        {"node": {"power": "12 W"}, "process": [{"name": "x", "module": "x.wasm"}]}, base
    )
    (warning,) = fleet_warnings(fleet)
    assert warning.startswith("power mints nothing: no account has an income_share")
    assert "20 J" in warning


@pytest.mark.parametrize(
    "ref", ["", "samples:", "/", "...", "é.wasm", "pypi:a-b/c d.wasm", "x" * 300 + ".wasm"]
)
def test_every_reference_gives_a_valid_process_name(ref: str, base: Path) -> None:
    if ref:
        assert single_module(ref, base_dir=base).processes


@given(
    funds=st.lists(st.integers(0, 10**9), min_size=1, max_size=6),
    escrow=st.integers(0, 10**9),
)
def test_the_default_budget_covers_exactly(funds: list[int], escrow: int) -> None:
    fleet = parse_fleet(
        {
            "sponsor": [{"name": "s", "escrow": f"{escrow} uJ"}],
            "process": [process(name=f"p{i}", funds=f"{f} uJ") for i, f in enumerate(funds)],
        },
        Path("/"),
        cpus=1,
    )
    assert fleet.node.budget_uj == sum(funds) + escrow == fleet.opening_uj + fleet.escrows_uj
    assert fleet.horizon_default_uj >= 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["5 J", "12 W", "1 s", "x.wasm", "prime", "regex"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = [
    "name", "module", "funds", "args", "env", "dirs", "urgency", "bid_ppm", "horizon", "rewards",
    "memory_max", "count", "start_after", "deadline", "account", "top_up", "escrow", "sponsor",
    "resolver", "pays", "pattern", "direction", "cells", "power", "budget", "seed", "income_share",
]  # fmt: skip
TABLE = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "node": TABLE | JSON,
            "account": st.lists(TABLE, max_size=2) | JSON,
            "sponsor": st.lists(TABLE, max_size=2) | JSON,
            "reward": st.lists(TABLE, max_size=2) | JSON,
            "process": st.lists(TABLE, max_size=2) | JSON,
            "proces": JSON,
        },
    )
)
def test_any_data_parses_or_is_a_config_error(data: dict[str, object]) -> None:
    """Goal: no data whatever raises anything but ConfigError. Method: random tables."""
    from maxwell.errors import EXPLANATIONS, ConfigError

    caught: ConfigError | None = None
    try:
        parse_fleet(data, Path("/nowhere"), cpus=1)
    except ConfigError as error:
        caught = error
    assert caught is None or (caught.code in EXPLANATIONS and caught.message)
