# ruff: noqa: E501 - a table with one case a line
"""Fleet files that are wrong: each is refused with code, place, value and hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from maxwell.config import load_fleet
from maxwell.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

PROCESS = '[[process]]\nname = "p"\nmodule = "x.wasm"\n'
SPONSOR = '[[sponsor]]\nname = "s"\nescrow = "1 J"\n'
REWARD = '[[reward]]\nname = "r"\nsponsor = "s"\npays = "1 mJ"\nresolver = "prime"\n'
REGEX = REWARD.replace('"prime"', '"regex"')
STREAM = REWARD.replace('"prime"', '"stream"')
PREDICATE = REWARD.replace('"prime"', '"predicate"')

# name: (text, code, what the message says, what the hint says)
CASES: dict[str, tuple[str, str, str, str]] = {
    "not toml": ("[node\n", "MX1002", "not valid TOML", ""),
    "huge integer": (f"[node]\nseed = {'9' * 5000}\n" + PROCESS, "MX1002", "not valid TOML", ""),
    "deep nesting": ("a = " + "[" * 5000 + "]" * 5000, "MX1002", "not valid TOML", ""),
    "no process": ("", "MX1003", "no process", "[[process]]"),
    "unknown table": (PROCESS + "[[proces]]\n", "MX1001", "'proces'", "'process'"),
    "unknown key": (PROCESS + 'found = "1 J"\n', "MX1001", "fleet.toml:4: process 'p'", "'funds'"),
    "unknown node key": ('[node]\nbudgte = "1 J"\n' + PROCESS, "MX1001", ":2: [node]", "'budget'"),
    "table twice over": ("[process]\nname = 'p'\n", "MX1004", "list of tables", "[[process]]"),
    "node as a list": ("[[node]]\n" + PROCESS, "MX1004", "must be a table", "[node]"),
    "no module": ('[[process]]\nname = "p"\n', "MX1003", "'module' is missing", "x.wasm"),
    "no name": ('[[process]]\nmodule = "x"\n', "MX1003", "[[process]] 1: 'name'", "name ="),
    "bad name": (PROCESS.replace('"p"', '"a b"'), "MX1006", "'a b'", "letters"),
    "empty module": (PROCESS.replace("x.wasm", ""), "MX1003", "module: empty", "x.wasm"),
    "bare number": (PROCESS + "funds = 5\n", "MX1005", ":4: process 'p': funds: 5 has", '"5 J"'),
    "wrong kind": (PROCESS + 'funds = "5 W"\n', "MX1005", "'5 W'", "measures power"),
    "negative budget": ('[node]\nbudget = "-5 J"\n' + PROCESS, "MX1006", "'-5 J'", ""),
    "zero budget": ('[node]\nbudget = "0 J"\n' + PROCESS, "MX1006", "must be above zero: '0 J'", '"1 uJ"'),
    "absurd budget": ('[node]\nbudget = "1e30 J"\n' + PROCESS, "MX1006", "'1e30 J'", "unit"),
    "no cells": ("[node]\ncells = 0\n" + PROCESS, "MX1006", "cells: out of range: 0", "from 1"),
    "too many cells": ("[node]\ncells = 900\n" + PROCESS, "MX1006", "cells: 900", "cells = "),
    "huge cells": ("[node]\ncells = 99999\n" + PROCESS, "MX1006", "99999", "1024"),
    "cells as text": ('[node]\ncells = "2"\n' + PROCESS, "MX1004", "expected an integer", ""),
    "cells as truth": ("[node]\ncells = true\n" + PROCESS, "MX1004", "expected an integer", ""),
    "negative seed": ("[node]\nseed = -1\n" + PROCESS, "MX1006", "seed: out of range: -1", ""),
    "below cost": ("[node]\nreserve_ppm = 5\n" + PROCESS, "MX1006", "reserve_ppm", "1000000"),
    "power and budget": (
        '[node]\npower = "9 W"\nbudget = "9 J"\n' + PROCESS, "MX1009", "exclude each other", "cap"
    ),
    "urgency and bid": (PROCESS + "urgency = 1\nbid_ppm = 2\n", "MX1009", "exclude", "number"),
    "urgency beyond": (PROCESS + "urgency = 1.5\n", "MX1006", "urgency: out of range: 1.5", "1"),
    "urgency nan": (PROCESS + "urgency = nan\n", "MX1006", "urgency", "from 0 to 1"),
    "urgency fine": (PROCESS + "urgency = 0.12345\n", "MX1006", "finer than 1/1000", ""),
    "urgency text": (PROCESS + 'urgency = "high"\n', "MX1004", "a number from 0 to 1", ""),
    "bid zero": (PROCESS + "bid_ppm = 0\n", "MX1006", "bid_ppm: out of range: 0", "from 1"),
    "bid beyond the clamp": (PROCESS + "bid_ppm = 256000001\n", "MX1006", "256000001", "256"),
    "count zero": (PROCESS + "count = 0\n", "MX1006", "count: out of range: 0", "from 1"),
    "count huge": (PROCESS + "count = 100000\n", "MX1006", "100000", "1024"),
    "too many": (
        "".join(PROCESS.replace('"p"', f'"p{i}"') + "count = 1024\n" for i in range(5)),
        "MX1006", "5120 processes", "4096",
    ),
    "prime's key": (SPONSOR + REWARD.replace('"prime"', '"python:a:b"') + "from = 2\n" + PROCESS, "MX1001", "unknown option 'from' of a python resolver", ""),
    "memory small": (PROCESS + 'memory_max = "1 KiB"\n', "MX1006", "too small: '1 KiB'", '"64 KiB"'),
    "memory big": (PROCESS + 'memory_max = "5 GiB"\n', "MX1006", "'5 GiB'", "4 GiB"),
    "horizon zero": (PROCESS + 'horizon = "0 J"\n', "MX1006", "must be above zero: '0 J'", '"1 uJ"'),
    "args text": (PROCESS + 'args = "a b"\n', "MX1004", "expected a list of texts", ""),
    "args numbers": (PROCESS + "args = [1]\n", "MX1004", "args", ""),
    "args nul": (PROCESS + 'args = ["a\\u0000"]\n', "MX1006", "NUL", ""),
    "env list": (PROCESS + 'env = ["A=b"]\n', "MX1004", "env", "") ,
    "env number": (PROCESS + "env = { A = 1 }\n", "MX1004", "a text for A", ""),
    "env name": (PROCESS + 'env = { "A=" = "b" }\n', "MX1006", "'A='", ""),
    "top_up": (PROCESS + "top_up = 1\n", "MX1004", "true or false", ""),
    "twice": (PROCESS + PROCESS, "MX1007", "two processes are named 'p'", "count"),
    "copies meet": (
        PROCESS.replace('"p"', '"p-1"') + 'account = "a"\n' + PROCESS
        + 'account = "a"\ncount = 2\n[[account]]\nname = "a"\n',
        "MX1007", "two processes are named 'p-1'", "count",
    ),
    "account twice": (
        PROCESS + '[[account]]\nname = "a"\n[[account]]\nname = "a"\n', "MX1007", "'a'", "rename"
    ),
    "account like process": (
        PROCESS + '[[account]]\nname = "p"\n', "MX1007", "account is named 'p' too", 'account = "p"'
    ),
    "sponsor like account": (
        PROCESS + SPONSOR.replace('"s"', '"p"'), "MX1007", "accounts or sponsors", "rename"
    ),
    "no account": (PROCESS + 'account = "lib"\n[[account]]\nname = "lab"\n', "MX1008",
                   "no account 'lib'", "'lab'"),
    "no reward": (PROCESS + 'rewards = ["q"]\n', "MX1008", "no reward 'q'", "none here"),
    "reward twice": (PROCESS + 'rewards = ["r", "r"]\n' + SPONSOR + REWARD, "MX1007", "twice", ""),
    "no sponsor": (PROCESS + REWARD, "MX1008", "no sponsor 's'", "none here"),
    "sponsor without escrow": (PROCESS + '[[sponsor]]\nname = "s"\n', "MX1003", "'escrow'", "J"),
    "reward without pays": (
        PROCESS + SPONSOR + REWARD.replace('pays = "1 mJ"\n', ""), "MX1003", "'pays'", "mJ"
    ),
    "reward pays nothing": (
        PROCESS + SPONSOR + REWARD.replace("1 mJ", "0 J"), "MX1006", "'0 J'", ""
    ),
    "unknown resolver": (
        PROCESS + SPONSOR + REWARD.replace('"prime"', '"primes"'), "MX1012", "'primes'", "'prime'"
    ),
    "quality of nothing": (
        "[node]\nquality_bits_per_joule = 0\n" + PROCESS, "MX1006", "quality_bits_per_joule", "from 1"
    ),
    "stream without a text": (PROCESS + SPONSOR + STREAM, "MX1012", "'file' is missing", "text"),
    "stream option": (
        PROCESS + SPONSOR + STREAM + 'file = "t"\nchunks = 2\n', "MX1001", "'chunks'", "'chunk'"
    ),
    "stream chunk": (
        PROCESS + SPONSOR + STREAM + 'file = "t"\nchunk = 257\n', "MX1012", "'257'", "1 to 256"
    ),
    "stream chunk of a text": (
        PROCESS + SPONSOR + STREAM + 'file = "t"\nchunk = "nan"\n', "MX1012", "'nan'", "1 to 256"
    ),
    "stream alphabet": (
        PROCESS + SPONSOR + STREAM + 'file = "t"\nalphabet = "aa"\n', "MX1012", "'aa'", "bytes"
    ),
    "stream deadline": (
        PROCESS + SPONSOR + STREAM + 'file = "t"\ndeadline = "soon"\n', "MX1005", "'soon'", "s"
    ),
    "predicate test": (
        PROCESS + SPONSOR + PREDICATE + 'test = "prim"\n', "MX1012", "'prim'", "'prime'"
    ),
    "predicate option": (
        PROCESS + SPONSOR + PREDICATE + "form = 3\n", "MX1001", "'form'", "'from'"
    ),
    "predicate range": (
        PROCESS + SPONSOR + PREDICATE + "from = 9\nto = 5\n", "MX1012", "'5'", "from 9"
    ),
    "resolver near stream": (
        PROCESS + SPONSOR + REWARD.replace('"prime"', '"streams"'), "MX1012", "'streams'",
        "'stream'",
    ),
    "prime option": (PROCESS + SPONSOR + REWARD + "form = 1\n", "MX1001", "'form'", "'from'"),
    "prime range": (PROCESS + SPONSOR + REWARD + "from = 9\nto = 5\n", "MX1012", "9 to 5", "≤"),
    "no pattern": (PROCESS + SPONSOR + REGEX, "MX1012", "'pattern' is missing", "direction"),
    "bad pattern": (
        PROCESS + SPONSOR + REGEX + "pattern = '(('\ndirection = 'up'\n", "MX1012", "'(('", "TOML"
    ),
    "no group": (
        PROCESS + SPONSOR + REGEX + "pattern = 'a'\ndirection = 'up'\n", "MX1012", "0 capture", "?:"
    ),
    "direction": (
        PROCESS + SPONSOR + REGEX + "pattern = '(a)'\ndirection = 'left'\n", "MX1012", "'left'", "up"
    ),
    "python reference": (
        PROCESS + SPONSOR + REWARD.replace('"prime"', '"python:x"'), "MX1012", "'python:x'", "module"
    ),
    "budget too small": (
        '[node]\nbudget = "20 J"\n' + PROCESS + SPONSOR, "MX1010",
        "a budget of 20 J does not cover opening funds of 20 J and escrows of 1 J", '"21 J"',
    ),
    "account too small": (
        PROCESS + 'account = "a"\nfunds = "2 J"\n[[account]]\nname = "a"\nfunds = "1 J"\n',
        "MX1011", "opens with 1 J, and its processes ask for 2 J", "funds",
    ),
    "shares": (
        '[node]\npower = "9 W"\n' + PROCESS
        + '[[account]]\nname = "a"\nincome_share = 0.7\n[[account]]\nname = "b"\nincome_share = 0.7\n',
        "MX1014", "1.4", "at most 1",
    ),
    "share text": (
        PROCESS + '[[account]]\nname = "a"\nincome_share = "30 %"\n', "MX1004", "'30 %'", ""
    ),
    "dir missing": (PROCESS + 'dirs = ["gone:/w"]\n', "MX1015", "gone", "relative"),
    "dir order": (PROCESS + 'dirs = ["/work:data"]\n', "MX1015", "'data'", "host:guest"),
    "dir alone": (PROCESS + 'dirs = ["data"]\n', "MX1015", "no guest path", "host:guest"),
    "dir twice": (PROCESS + 'dirs = [".:/w", ".:/w:ro"]\n', "MX1015", "/w is given twice", ""),
    "dir escape": (PROCESS + 'dirs = { "/a/../b" = "." }\n', "MX1015", "'/a/../b'", ".."),
    "dir key": (
        PROCESS + 'dirs = { "/a" = { host = ".", readonly = true } }\n', "MX1001", "'readonly'",
        "'read_only'",
    ),
    "dir type": (PROCESS + 'dirs = { "/a" = 1 }\n', "MX1004", "'/a'", "data"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refusal(name: str, tmp_path: Path) -> None:
    text, code, says, hint = CASES[name]
    file = tmp_path / "fleet.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_fleet(file)
    error = caught.value
    assert (error.code, error.message) == (code, error.message)
    assert "fleet.toml" in error.message
    assert says in error.message
    assert hint in (error.hint or "")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read fleet file") as caught:
        load_fleet(tmp_path / "no.toml")
    assert caught.value.code == "MX1002"
    with pytest.raises(ConfigError):
        load_fleet(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"[node]\n# \xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 9"):
        load_fleet(tmp_path / "latin.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * ((4 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        load_fleet(tmp_path / "big.toml")


def test_errors_of_overrides_name_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text('[node]\nbudget = "50 J"\n' + PROCESS, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^command line: budget: '5' has no unit"):
        load_fleet(file, node_overrides={"budget": "5"})
