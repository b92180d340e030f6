"""`maxwell audit`, `receipt` and `key`: what they print, how they fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Maxwell, subprocess_maxwell
from receipts.made_up import signer, write_run

KEY = f"ed25519:{signer().public_key.hex()}"


@pytest.fixture
def folder(here: Path) -> Path:
    """A made-up run with receipts and without a report."""
    write_run(here / "run")
    return here / "run"


def test_verify_a_file(maxwell: Maxwell, folder: Path) -> None:
    done = maxwell("receipt", "verify", str(folder))
    assert (done.code, done.out) == (0, "10 receipts of 3 processes verify, until 4 s\n"), done.err
    assert done.err == f"key: {KEY} (found in the file; pin it with --key)\n"
    done = maxwell("receipt", "verify", str(folder / "receipts.cbor"), "--key", KEY, "--json")
    assert done.err == ""
    found: dict[str, Any] = json.loads(done.out)
    assert (found["ok"], found["pinned"], found["key"]) == (True, True, KEY)
    assert found["processes"] == ["p1", "p2", "p3"]
    done = maxwell("receipt", "verify", str(folder), "--key", "00" * 32)
    assert done.code == 1
    assert done.out == ""
    assert "[MX1605]" in done.err


def test_show_export_and_verify_one(maxwell: Maxwell, folder: Path) -> None:
    done = maxwell("receipt", "show", str(folder))
    assert [line.split()[0] for line in done.out.splitlines()] == ["process", "p1", "p2", "p3"]
    last = json.loads(maxwell("receipt", "show", str(folder), "--json").out)["last"]
    assert [receipt["number"] for receipt in last] == [3, 3, 1]
    done = maxwell("receipt", "show", str(folder), "p3")
    assert "bankrupt" in done.out
    done = maxwell("receipt", "show", str(folder), "p2", "--number", "1", "--json")
    shown = json.loads(done.out)
    assert (shown["process"], shown["number"], shown["from_ns"]) == ("p2", 1, "1000000000")
    assert isinstance(shown["credits"]["burned"], str)
    assert maxwell("receipt", "show", str(folder), "p2", "--out", "one.receipt").code == 0
    done = maxwell("receipt", "verify", "one.receipt", "--key", KEY)
    assert (done.code, done.out) == (0, "receipt 3 of 'p2' verifies\n")
    data = bytearray(Path("one.receipt").read_bytes())
    data[-1] ^= 1
    Path("one.receipt").write_bytes(data)
    done = maxwell("receipt", "verify", "one.receipt")
    assert done.code == 1
    assert "[MX1606]" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("receipt", "show", "run", "--out", "x"), 2, "need a process"),
        (("receipt", "show", "run", "nobody"), 2, "MX1001"),
        (("receipt", "show", "run", "p1", "--number", "77"), 2, "MX1001"),
        (("receipt", "show", "run", "p1", "--out", "absent/x"), 2, "cannot write"),
        (("receipt", "verify", "absent"), 2, "MX1002"),
        (("receipt", "verify", "run", "--key", "nonsense"), 2, "MX1601"),
        (("receipt", "verify", "text"), 1, "MX1610"),
        (("receipt", "verify", "empty"), 1, "MX1610"),
        (("receipt", "verify", "bomb"), 1, "MX1602"),
        (("receipt", "show", "bomb"), 1, "MX1602"),
        (("receipt", "erase"), 2, "no such command"),
        (("audit", "absent"), 2, "MX1002"),
        (("audit",), 2, "no run: "),
        (("audit", "run", "--key", "5"), 2, "MX1601"),
        (("audit", "run"), 1, "MX1613"),
    ],
)
def test_failures(
    maxwell: Maxwell, folder: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    Path("text").write_text("{}")
    Path("empty").write_bytes(b"")
    Path("bomb").write_bytes(b"\x82" * 100_000)
    done = maxwell(*arguments)
    assert done.code == code, done.err
    assert says in done.err.lower() or says in done.err
    assert done.err.count("error: ") == 1
    assert "hint: " in done.err or code == 1
    assert "BUG" not in done.err
    assert folder.exists()


def test_a_failed_audit_shows_what_holds(maxwell: Maxwell, folder: Path) -> None:
    done = maxwell("audit", str(folder))
    assert [line.split()[:2] for line in done.out.splitlines() if "ok" in line] == [
        ["key", "ok"], ["receipts", "ok"], ["summary", "ok"],
    ]  # fmt: skip
    assert done.err.startswith(f"error: {folder} does not verify: report.json is missing [MX1613]")
    assert "hint: `maxwell explain MX1613`" in done.err
    found = json.loads(maxwell("audit", str(folder), "--json").out)
    assert (found["schema"], found["ok"]) == ("maxwell.audit/1", False)
    assert found["violation"] == {"code": "MX1613", "message": "report.json is missing"}


def test_the_key_is_made_and_printed(maxwell: Maxwell, here: Path) -> None:
    first = maxwell("key")
    assert first.code == 0
    assert first.out.startswith("ed25519:")
    assert maxwell("key") == first
    found = json.loads(maxwell("key", "--json").out)
    assert (found["public_key"], found["path"]) == (first.out.strip(), str(here / "data/node.key"))
    (here / "data/node.key").chmod(0o644)
    done = maxwell("key")
    assert (done.code, done.out) == (2, "")
    assert "[MX1601]" in done.err
    assert "hint: chmod 600 " in done.err


@pytest.mark.native
def test_a_run_without_a_usable_key_does_not_start(tmp_path: Path) -> None:
    env = {"MAXWELL_DATA_DIR": "/proc/nowhere"}
    done = subprocess_maxwell("run", "samples:hello.wasm", "--out", "run", cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "[MX1601]" in done.stderr
    assert "hint: set MAXWELL_DATA_DIR" in done.stderr
    assert done.stdout == ""
    done = subprocess_maxwell("run", "samples:hello.wasm", "--deterministic", cwd=tmp_path, env=env)
    assert done.returncode == 0, "without a folder nothing is signed"
