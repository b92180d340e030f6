"""The audit of real runs: clean ones of each kind pass, and each edit of a folder is named."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxwell.errors import ConfigError, MaxwellError
from maxwell.token.audit import Audit, audit_folder
from maxwell.token.cbor import encode
from maxwell.token.cose import Signer, read_sign1
from maxwell.token.key import node_signer
from maxwell.token.statements import Summary, read_summary
from maxwell.token.store import read_items
from maxwell.token.verify import Verifier
from receipts import oracle
from receipts.made_up import signer
from support.fleets import process, run

pytestmark = pytest.mark.native

PRIMES = [{"sponsor": "s", "name": "primes", "resolver": "prime", "pays": "2 mJ"}]


def a_run(out: Path, **node: Any) -> Path:
    """A worker that is paid, a loop that goes bankrupt, a sleeper: about half a second."""
    keys: dict[str, Any] = {"duration": "2500 ms", "budget": "12 J", **node}
    run(
        [
            process(
                "scientist",
                "samples:scientist.wasm",
                args=["1000000000", "1000100000"],
                funds="1 J",
                rewards=["primes"],
            ),
            process("loop", "samples:spin.wasm", funds="700 mJ"),
            process("sleeper", "samples:sleeper.wasm", funds="1 J"),
        ],
        sponsors=[{"name": "s", "escrow": "200 mJ"}],
        rewards=PRIMES,
        out=out,
        **keys,
    )
    return out


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("clean") / "run")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("other") / "run", seed=2)


@pytest.fixture
def copy(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "copy"))


def passes(folder: Path) -> Audit:
    audit = audit_folder(folder, key=node_signer().public_key)
    assert audit.violation is None, audit.violation
    assert [check.name for check in audit.checks] == [
        "key", "receipts", "summary", "report", "events",
    ]  # fmt: skip
    oracle.verify_folder(folder, node_signer().public_key)
    return audit


def violation(folder: Path) -> tuple[str, str]:
    audit = audit_folder(folder, key=node_signer().public_key)
    assert audit.violation is not None
    with pytest.raises((oracle.Rejected, OSError, ValueError)):
        oracle.verify_folder(folder, node_signer().public_key)
    return audit.violation.code, audit.violation.message


def repack(folder: Path, change: Callable[[list[list[Any]]], None]) -> None:
    path = folder / "receipts.cbor"
    items: list[list[Any]] = [
        [i.statement, i.receipts] for i in read_items(path.read_bytes(), what="")
    ]
    change(items)
    path.write_bytes(b"".join(encode(item) for item in items))


# Clean runs.


def test_a_deterministic_run_passes(clean: Path) -> None:
    passes(clean)
    state = Verifier().read((clean / "receipts.cbor").read_bytes())
    counts = {chain.name: chain.count for chain in state.chains.values()}
    # One a second and one at the end.
    assert counts == {"scientist": 1, "loop": 2, "sleeper": 3}
    endings = {chain.name: chain.last.ending for chain in state.chains.values()}
    assert endings == {"scientist": "finished", "loop": "bankrupt", "sleeper": "deadline"}
    # The sleeper's epochs are the seconds, and they leave no gap.
    receipts = [
        oracle.whole(raw)
        for item in read_items((clean / "receipts.cbor").read_bytes(), what="")
        for raw in item.receipts
    ]
    times = [(r[9], r[10]) for r in receipts if r[4] == "sleeper"]
    s = 10**9
    assert times == [(0, s), (s, 2 * s), (2 * s, 25 * s // 10)]


def test_receipts_agree_with_what_events_say_of_each_second(clean: Path) -> None:
    """Energy and balance of the receipts against the samples of the same epoch: two readings."""
    samples: dict[tuple[str, int], list[Any]] = {}
    for line in (clean / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "sample":
            for row in event["processes"]:
                samples[row[0], int(event["t_ns"])] = row
    seen = 0
    for item in read_items((clean / "receipts.cbor").read_bytes(), what=""):
        for raw in item.receipts:
            r = oracle.whole(raw)
            row = samples.get((r[4], r[10]))
            if row is not None and 11 not in r:
                seen += 1
                assert int(row[5]) == r[18][1]
                assert int(row[4]) == r[17][11] - r[17][13], "purse and escrow, without the bond"
    assert seen >= 2


def test_a_run_in_real_time_passes(tmp_path: Path) -> None:
    passes(a_run(tmp_path / "run", deterministic=False, cells=2, duration="1500 ms"))


def test_a_run_under_a_power_cap_with_income_passes(tmp_path: Path) -> None:
    run(
        [
            process("a", "samples:spin.wasm", account="acc", funds="500 mJ", top_up=True),
            process("b", "samples:hog.wasm", args=["8"], account="acc", funds="500 mJ"),
        ],
        accounts=[{"name": "acc", "funds": "2 J", "income_share": 0.5}],
        power="5 W",
        duration="1200 ms",
        out=tmp_path / "run",
    )
    audit = passes(tmp_path / "run")
    assert audit.holds
    summary = summary_of(tmp_path / "run")
    assert summary.credits["income"] > 0
    assert summary.credits["minted"] > 2_000_000


def test_a_process_that_could_not_be_placed_has_no_receipts(tmp_path: Path) -> None:
    run(
        [
            process("a", "samples:hello.wasm", account="acc", funds="10 mJ"),
            process("poor", "samples:hello.wasm", account="acc", funds="10 mJ"),
            process("late", "samples:hello.wasm", funds="10 mJ", start_after="50 s"),
        ],
        accounts=[{"name": "acc", "funds": "20 mJ"}],
        duration="300 ms",
        out=tmp_path / "run",
    )
    passes(tmp_path / "run")


def test_a_run_that_kept_no_report_has_no_summary(tmp_path: Path) -> None:
    from maxwell.config import parse_fleet
    from maxwell.hypervisor import run_fleet

    fleet = parse_fleet(
        {
            "node": {"budget": "1 J", "deterministic": True},
            "process": [process("h", "samples:hello.wasm", funds="1 J")],
        },
        Path.cwd(),
    )
    run_fleet(fleet, out=tmp_path)
    code, message = violation(tmp_path)
    assert code == "MX1611"
    assert "its receipts verify up to" in message


# Edits. Each is made on a copy of the same folder.


def flip_receipt(folder: Path, other: Path) -> None:
    del other
    path = folder / "receipts.cbor"
    data = bytearray(path.read_bytes())
    at = data.rfind(b"sleeper") + 2
    data[at] ^= 1
    path.write_bytes(data)


def drop_receipt(folder: Path, other: Path) -> None:
    del other

    def change(items: list[list[Any]]) -> None:
        item = next(i for i in items if len(i[1]) > 1 or (i[1] and i is not items[0]))
        del item[1][0]

    repack(folder, change)


def drop_batch(folder: Path, other: Path) -> None:
    del other
    repack(folder, lambda items: items.__delitem__(1))


def drop_last_batch(folder: Path, other: Path) -> None:
    del other
    repack(folder, lambda items: items.__delitem__(-1))


def reorder_batches(folder: Path, other: Path) -> None:
    del other
    repack(folder, lambda items: items.insert(1, items.pop()))


def swap_processes(folder: Path, other: Path) -> None:
    del other

    def change(items: list[list[Any]]) -> None:
        places = {
            oracle.whole(raw)[4]: (item, index)
            for item in items
            for index, raw in enumerate(item[1])
        }
        (a, i), (b, j) = places["loop"], places["sleeper"]
        a[1][i], b[1][j] = b[1][j], a[1][i]

    repack(folder, change)


def duplicate_batch(folder: Path, other: Path) -> None:
    del other
    repack(folder, lambda items: items.append(items[-1]))


def cut_file(folder: Path, other: Path) -> None:
    del other
    path = folder / "receipts.cbor"
    path.write_bytes(path.read_bytes()[:-20])


def other_key(folder: Path, other: Path) -> None:
    """Everything signed anew, consistently, by a key of somebody else."""
    del other
    sign_anew(folder, signer(b"\5" * 32))


def receipts_of_another_run(folder: Path, other: Path) -> None:
    shutil.copy(other / "receipts.cbor", folder)


def summary_of_another_run(folder: Path, other: Path) -> None:
    shutil.copy(other / "summary.cbor", folder)


def no_summary(folder: Path, other: Path) -> None:
    del other
    (folder / "summary.cbor").unlink()


def no_receipts(folder: Path, other: Path) -> None:
    del other
    (folder / "receipts.cbor").unlink()


def flip_summary(folder: Path, other: Path) -> None:
    del other
    path = folder / "summary.cbor"
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def change_json(file: str, pattern: str, replacement: str) -> Callable[[Path, Path], None]:
    def change(folder: Path, other: Path) -> None:
        del other
        path = folder / file
        text = path.read_text()
        changed = re.sub(pattern, replacement, text, count=1, flags=re.DOTALL)
        assert changed != text
        path.write_text(changed)

    return change


def no_file(name: str) -> Callable[[Path, Path], None]:
    def change(folder: Path, other: Path) -> None:
        del other
        (folder / name).unlink()

    return change


def drop_events(kind: str) -> Callable[[Path, Path], None]:
    def change(folder: Path, other: Path) -> None:
        del other
        path = folder / "events.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if f'"event":"{kind}"' not in line]
        assert len(kept) < len(lines)
        path.write_text("".join(kept))

    return change


EDITS: list[tuple[str, Callable[[Path, Path], None], str, str]] = [
    ("flip a bit of a receipt", flip_receipt, "MX1606", "'sl"),
    ("drop a receipt", drop_receipt, "MX1606", "receipts where 3 were signed"),
    ("drop a batch", drop_batch, "MX1608", "batch 0 is missing: batch 1 stands in its place"),
    ("drop the last batch", drop_last_batch, "MX1612", "batches: the summary says"),
    ("reorder batches", reorder_batches, "MX1608", "batch 0 is missing"),
    ("swap receipts of two processes", swap_processes, "MX1606", "does not follow"),
    ("duplicate a batch", duplicate_batch, "MX1608", "is missing"),
    ("cut the file", cut_file, "MX1610", "torn after"),
    ("another key", other_key, "MX1605", "the run was signed with ed25519:"),
    ("receipts of another run", receipts_of_another_run, "MX1609", "the summary is of run"),
    ("summary of another run", summary_of_another_run, "MX1609", "the summary is of run"),
    ("no summary", no_summary, "MX1611", "summary.cbor is missing"),
    ("no receipts", no_receipts, "MX1612", "is missing; the summary counts 6 receipts"),
    ("flip a bit of the summary", flip_summary, "MX1604", "summary.cbor: its signature"),
    (
        "change a process's sum in the report",
        change_json("report.json", r'("loop",.*?"premium_credits": )"\d+"', r'\1"7"'),
        "MX1613",
        "report.json: process 'loop': premium_credits is 7, signed was",
    ),
    (
        "change an outcome in the report",
        change_json("report.json", '"outcome": "bankrupt"', '"outcome": "finished"'),
        "MX1613",
        "process 'loop': outcome is finished, signed was bankrupt",
    ),
    (
        "change a total in the report",
        change_json("report.json", r'"burned": "\d+"', '"burned": "1"'),
        "MX1613",
        "report.json: credits.burned is 1, signed was",
    ),
    (
        "change the report where receipts know nothing",
        change_json("report.json", '"warnings": ', '"warnings":  '),
        "MX1613",
        "report.json is not the file that was signed",
    ),
    ("damage the report", change_json("report.json", "^{", "["), "MX1613", "report.json: not a"),
    ("no report", no_file("report.json"), "MX1613", "report.json is missing"),
    (
        "change a death in the events",
        change_json("events.jsonl", r'("process":"loop","outc.*?"rent_credits":")', r"\g<1>9"),
        "MX1614",
        "died: rent_credits of 'loop' is 9",
    ),
    (
        "change a payment in the events",
        change_json("events.jsonl", r'"paid_credits":"2000"', '"paid_credits":"2001"'),
        "MX1614",
        "rewards of 'scientist' is 200001, signed was 200000",
    ),
    ("drop deaths from the events", drop_events("died"), "MX1614", "the end of 'scientist' is"),
    ("drop the settlement", drop_events("settled"), "MX1614", "the settlement is missing"),
    (
        "change a sample of the events",
        change_json("events.jsonl", r'"sample","t_ns":"(\d+)"', r'"sample","t_ns":"1"'),
        "MX1614",
        "events.jsonl is not the file that was signed",
    ),
    ("damage the events", change_json("events.jsonl", "}\n", "\n"), "MX1614", "line 1"),
    ("no events", no_file("events.jsonl"), "MX1614", "events.jsonl is missing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "code", "says"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS]
)
def test_each_edit_is_named(
    copy: Path, other: Path, edit: Callable[[Path, Path], None], code: str, says: str
) -> None:
    edit(copy, other)
    found = violation(copy)
    assert found[0] == code, found
    assert says in found[1]


def test_the_key_is_taken_on_trust_and_says_so(clean: Path, copy: Path, other: Path) -> None:
    other_key(copy, other)
    audit = audit_folder(copy)
    assert audit.holds, "consistent with itself"
    assert "pin it with --key" in audit.checks[0].detail
    assert audit.key != audit_folder(clean).key


# A dishonest node: it signs what it likes.


def summary_of(folder: Path) -> Summary:
    signed = read_sign1((folder / "summary.cbor").read_bytes(), what="")
    return read_summary(signed.payload, what="")


def sign_anew(folder: Path, made: Signer, **fields: Any) -> None:
    """Signs a folder's opening, batches and summary with a key, and changes the summary."""
    from hashlib import sha256

    from msgspec.structs import replace

    from maxwell.token.merkle import leaf_hash, root_of
    from maxwell.token.statements import read_batch, read_opening

    run_id = last = b""
    heads: dict[int, list[Any]] = {}

    def change(items: list[list[Any]]) -> None:
        nonlocal run_id, last
        opening = read_opening(read_sign1(items[0][0], what="").payload, what="")
        items[0][0] = made.sign(replace(opening, public_key=made.public_key).encoded())
        run_id = last = sha256(items[0][0]).digest()
        for item in items[1:]:
            receipts: list[bytes] = []
            for raw in item[1]:
                receipt = oracle.whole(raw)
                head = heads.setdefault(receipt[3], [0, run_id])
                receipt[8] = head[1]
                receipts.append(oracle.again(receipt))
                head[0], head[1] = head[0] + 1, leaf_hash(receipts[-1])
            item[1] = receipts
            batch = read_batch(read_sign1(item[0], what="").payload, what="")
            root = root_of([leaf_hash(raw) for raw in receipts])
            batch = replace(batch, run_id=run_id, previous=last, root=root)
            item[0] = made.sign(batch.encoded())
            last = sha256(item[0]).digest()

    repack(folder, change)
    from maxwell.token.statements import Head

    summary = replace(
        summary_of(folder),
        public_key=made.public_key,
        run_id=run_id,
        last=last,
        heads=tuple(Head(p, count, head) for p, (count, head) in sorted(heads.items())),
    )
    summary = replace(summary, **fields)
    (folder / "summary.cbor").write_bytes(made.sign(summary.encoded()))


@pytest.mark.parametrize(
    ("part", "name", "says"),
    [
        ("credits", "minted", "not conserved: minted"),
        ("credits", "burned", "not conserved: minted"),
        ("energy", "metered", "not conserved: metered joules"),
        ("energy", "processes", "not conserved: metered joules"),
        ("energy", "uncollected", "not conserved: uncollected joules"),
    ],
)
def test_a_false_summary_is_found_out(copy: Path, part: str, name: str, says: str) -> None:
    figures = dict(getattr(summary_of(copy), part))
    figures[name] += 1
    sign_anew(copy, node_signer(), **{part: figures})
    code, message = violation(copy)
    assert code == "MX1612"
    assert says in message


def test_credits_moved_within_a_false_summary(copy: Path) -> None:
    figures = dict(summary_of(copy).credits)
    for source, target, says in (
        ("burned", "held", "not conserved: burned"),
        ("commons", "held", "not conserved: the commons"),
        ("held", "leased", "not conserved: leased"),
    ):
        changed = {**figures, source: figures[source] - 1, target: figures[target] + 1}
        sign_anew(copy, node_signer(), credits=changed)
        assert says in violation(copy)[1]


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"conserved": False}, "MX1612", "the node itself says that conservation failed"),
        ({"lost_batches": 2}, "MX1610", "could not write 2 of"),
        ({"seed": 9}, "MX1612", "the seed: the summary says 9"),
        ({"receipts": 99}, "MX1612", "receipts: the summary says 99"),
        ({"heads": ()}, "MX1612", "the processes"),
        ({"ended_ns": 1}, "MX1613", "wall_ns"),
        ({"interrupted": True}, "MX1613", "interrupted is False, signed was True"),
        ({"events_hash": None}, "MX1614", "was not there when the summary was signed"),
    ],
)
def test_false_fields_of_a_summary(
    copy: Path, fields: dict[str, Any], code: str, says: str
) -> None:
    sign_anew(copy, node_signer(), **fields)
    audit = audit_folder(copy, key=node_signer().public_key)
    assert audit.violation is not None
    assert (audit.violation.code, says in audit.violation.message) == (code, True), audit.violation


def test_a_folder_without_receipts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no receipts") as caught:
        audit_folder(tmp_path)
    assert caught.value.code == "MX1002"


def test_files_that_cannot_be_read(copy: Path) -> None:
    for name, code in (("summary.cbor", "MX1602"), ("report.json", "MX1613")):
        kept = (copy / name).read_bytes()
        (copy / name).unlink()
        (copy / name).mkdir()
        assert violation(copy) == (code, f"{name} is missing")
        (copy / name).rmdir()
        (copy / name).write_bytes(kept)
    (copy / "receipts.cbor").unlink()
    (copy / "receipts.cbor").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        audit_folder(copy)


@given(
    file=st.sampled_from(["receipts.cbor", "summary.cbor", "report.json", "events.jsonl"]),
    edits=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 30),
)
@settings(max_examples=60, deadline=None)
def test_random_edits_never_pass(
    clean: Path, file: str, edits: list[tuple[int, int]], cut: int
) -> None:
    """Goal: whatever bytes change in whichever file, the audit fails, by a MaxwellError only."""
    folder = clean.parent / "edited"
    if not folder.exists():
        shutil.copytree(clean, folder)
    original = (clean / file).read_bytes()
    data = bytearray(original)
    for at, value in edits:
        data[at % len(data)] = value
    if cut > 20:
        del data[-cut:]
    (folder / file).write_bytes(data)
    try:
        try:
            audit = audit_folder(folder)
        except MaxwellError:
            return
        assert audit.holds == (bytes(data) == original)
    finally:
        (folder / file).write_bytes(original)


def test_a_head_that_is_named_twice(copy: Path) -> None:
    sign_anew(copy, node_signer())
    heads = summary_of(copy).heads
    sign_anew(copy, node_signer(), heads=(*heads, heads[-1]))
    assert violation(copy)[0] == "MX1612"


def test_a_pipe_is_not_waited_for(copy: Path) -> None:
    (copy / "receipts.cbor").unlink()
    os.mkfifo(copy / "receipts.cbor")
    with pytest.raises(ConfigError, match="not a regular file"):
        audit_folder(copy)
