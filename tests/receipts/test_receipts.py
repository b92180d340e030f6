"""Receipt files: what is written verifies, under two verifiers; what is changed is named."""

from __future__ import annotations

import errno
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxwell.errors import BadReceipt, ConfigError, MaxwellError
from maxwell.observe.folder import RunFolder
from maxwell.token import book as books
from maxwell.token.audit import check_summary, read_summary_file
from maxwell.token.book import ReceiptBook
from maxwell.token.cbor import encode
from maxwell.token.receipt import decode_receipt
from maxwell.token.registry import COMPONENTS
from maxwell.token.single import find_receipt, is_single, receipts_in, verify_single
from maxwell.token.statements import Batch, Opening, read_batch, read_opening, read_summary
from maxwell.token.store import ReceiptFile, read_items
from maxwell.token.verify import Verifier
from receipts import oracle
from receipts.made_up import SEED, Life, S, identity, opening, signer, write_run
from receipts.vectors import FILE, tampered, vectors

VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return folder


def verify(data: bytes, **keys: Any) -> Any:
    return Verifier(**keys).read(data)


def new_book(folder: Path) -> tuple[ReceiptBook, ReceiptFile]:
    file = ReceiptFile(folder / "receipts.cbor")
    return ReceiptBook(file, signer(), opening(signer())), file


def refused(data: bytes, **keys: Any) -> BadReceipt:
    with pytest.raises(BadReceipt) as caught:
        verify(data, **keys)
    return caught.value


# What is written.


@given(processes=st.integers(1, 9), epochs=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_two_verifiers_agree_on_any_run(processes: int, epochs: int, seed: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_run(path, processes=processes, epochs=epochs, seed=seed)
        data = (path / "receipts.cbor").read_bytes()
        state = verify(data)
        _, chains, (run, last, heads, batches) = oracle.verify_file(data)
        assert (state.run_id, state.last, state.batches) == (run, last, batches)
        assert {p: c.head for p, c in state.chains.items()} == heads
        assert state.receipts == sum(map(len, chains.values()))
        check_summary(read_summary_file(RunFolder(path)), state)
        for receipt, single in receipts_in(data, what=""):
            assert is_single(single)
            assert verify_single(single, key=signer().public_key, what="").receipt == receipt
            assert oracle.verify_single(single)[7] == receipt.number


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name)
    for file in ("receipts.cbor", "summary.cbor"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    write_run(tmp_path / "c", nonce=bytes(15) + b"\1")
    assert (
        verify((tmp_path / "c/receipts.cbor").read_bytes()).run_id
        != verify((tmp_path / "a/receipts.cbor").read_bytes()).run_id
    )


def test_vectors_are_what_is_written() -> None:
    assert vectors() == VECTORS


def test_vectors_under_both_verifiers() -> None:
    key = bytes.fromhex(VECTORS["public_key"])
    data = bytes.fromhex(VECTORS["receipts_cbor"])
    single = bytes.fromhex(VECTORS["single"]["bytes"])
    assert verify(data, key=key).run_id.hex() == VECTORS["run_id"]
    assert oracle.verify_file(data, key)[2][0].hex() == VECTORS["run_id"]
    assert verify_single(single, key=key, what="").receipt.identity.name == "p2"
    assert oracle.verify_single(single, key)[4] == "p2"
    for vector in VECTORS["refused"]:
        edited = bytes.fromhex(vector["receipts_cbor"])
        assert refused(edited).code == vector["code"], vector["what"]
        with pytest.raises(oracle.Rejected):
            oracle.verify_file(edited)


def test_registered_keys_are_unique_and_documented() -> None:
    page = (FILE.parents[1] / "docs/reference/receipts.md").read_text(encoding="utf-8")
    assert len({component.key for component in COMPONENTS}) == len(COMPONENTS)
    for component in COMPONENTS:
        keys = [field.key for field in component.fields]
        assert keys == sorted(set(keys))
        assert f"{component.key}: {component.name}" in page
        block = page.split(f"\n{component.name} = {{")[1].split("* uint")[0]
        for key in keys:
            assert f"{key}:" in block, (component.name, key)


def test_later_components_are_ignored_and_stay_signed(tmp_path: Path) -> None:
    """A receipt with a component and a field of a later version verifies; its figures are kept."""
    book, file = new_book(tmp_path)
    figures = Life(100).figures()
    figures[16][99] = 5
    figures[24] = {1: 7, 2: "later"}
    book.introduce(identity(1), 0)
    book.add(1, S, figures)
    book.seal(S)
    file.close()
    state = verify((tmp_path / "receipts.cbor").read_bytes())
    last = state.chains[1].last
    assert (last.figure(16, 99), last.figure(24, 1), last.figures[24][2]) == (5, 7, "later")
    oracle.verify_file((tmp_path / "receipts.cbor").read_bytes())


# Settlement epochs.


def test_epochs_grow_with_the_number_of_processes(tmp_path: Path) -> None:
    def epochs(processes: int) -> list[int]:
        book, file = new_book(tmp_path)
        file.close()
        return [t for t in range(0, 100 * S, S // 10) if book.is_due(t, processes)]

    assert epochs(8) == [n * S for n in range(1, 100)]
    assert epochs(32) == epochs(8)
    assert epochs(33) == [n * S for n in range(2, 100, 2)]
    assert epochs(1_000) == [32 * S, 64 * S, 96 * S]


def test_a_full_batch_is_sealed_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "BATCH_RECEIPTS_MAX", 4)
    write_run(tmp_path, processes=9, epochs=2)
    state = verify((tmp_path / "receipts.cbor").read_bytes())
    assert (state.receipts, state.batches) == (18, 6)


# Edits, by name.


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (
            "bit of a receipt flipped",
            "batch 1 (until 2 s): receipt 1 of 'p2' was changed: what follows",
        ),
        ("receipt dropped", "2 receipts where 3 were signed; none of 'p2'"),
        ("receipts in another order", "its receipts are in another order than was signed"),
        ("receipt repeated", "receipt 1 of 'p3' is there twice (4 receipts where 3 were signed)"),
        ("batch dropped", "batch 1 is missing: batch 2 stands in its place"),
        ("batches in another order", "batch 1 is missing: batch 2 stands in its place"),
        ("batch repeated", "batch 2 is missing: batch 1 stands in its place"),
        ("opening repeated", "batch 0 is the opening again"),
        ("cut within a batch", "torn after"),
        ("byte after the end", "no batch of receipts at byte"),
        ("empty", "it is empty"),
    ],
)
def test_each_edit_is_named(made: Path, what: str, says: str) -> None:
    edited, code = tampered((made / "receipts.cbor").read_bytes())[what]
    heads = {h.process: h.hash for h in read_summary_file(RunFolder(made)).heads}
    error = refused(edited, heads=heads)
    assert error.code == code
    assert says in error.message


def repacked(data: bytes, change: Callable[[list[list[Any]]], None]) -> bytes:
    items: list[list[Any]] = [[i.statement, i.receipts] for i in read_items(data, what="")]
    change(items)
    return b"".join(encode(item) for item in items)


def resigned(data: bytes, batch_number: int, *, key: bytes = SEED, **fields: Any) -> bytes:
    """Signs one batch anew with changed fields: what a dishonest node could do."""
    from msgspec.structs import replace

    from maxwell.token.cose import read_sign1

    def change(items: list[list[Any]]) -> None:
        batch = read_batch(read_sign1(items[batch_number + 1][0], what="").payload, what="")
        items[batch_number + 1][0] = signer(key).sign(replace(batch, **fields).encoded())

    return repacked(data, change)


def test_a_changed_receipt_is_found_by_what_follows_it(made: Path) -> None:
    """A balance cut and the premium raised: the sums hold, but the next receipt names another."""
    data = (made / "receipts.cbor").read_bytes()

    def change(items: list[list[Any]]) -> None:
        receipt = decode_receipt(items[1][1][1], what="")
        fields = oracle.whole(items[1][1][1])
        assert fields[17][11] > 0
        fields[17][11] -= 1
        fields[17][6] += 1
        items[1][1][1] = oracle.again(fields)
        assert receipt.identity.name == "p2"

    error = refused(repacked(data, change))
    assert error.code == "MX1606"
    assert "receipt 0 of 'p2' was changed" in error.message


def test_receipts_swapped_between_processes(made: Path) -> None:
    data = (made / "receipts.cbor").read_bytes()

    def change(items: list[list[Any]]) -> None:
        fields = [oracle.whole(raw) for raw in items[2][1][:2]]
        for key in (3, 4, 5):
            fields[0][key], fields[1][key] = fields[1][key], fields[0][key]
        items[2][1][:2] = [oracle.again(f) for f in fields]

    error = refused(repacked(data, change))
    assert error.code == "MX1606"
    assert "receipt 1 of 'p2' does not follow number 0 of its process" in error.message


def test_another_key(made: Path, tmp_path: Path) -> None:
    data = (made / "receipts.cbor").read_bytes()
    other = signer(b"\7" * 32)
    error = refused(data, key=other.public_key)
    assert error.code == "MX1605"
    assert other.public_key.hex() in error.message
    error = refused(resigned(data, 1, key=b"\7" * 32))
    assert error.code == "MX1604"
    assert "batch 1 is signed by key" in error.message
    write_run(tmp_path, key=b"\7" * 32)
    theirs = (tmp_path / "receipts.cbor").read_bytes()
    verify(theirs, key=other.public_key)
    assert refused(theirs, key=signer().public_key).code == "MX1605"


def test_a_batch_of_another_run(made: Path, tmp_path: Path) -> None:
    write_run(tmp_path, nonce=b"\1" * 16)
    theirs = list(read_items((tmp_path / "receipts.cbor").read_bytes(), what=""))

    def change(items: list[list[Any]]) -> None:
        items[2] = [theirs[2].statement, theirs[2].receipts]

    error = refused(repacked((made / "receipts.cbor").read_bytes(), change))
    assert error.code == "MX1609"
    assert "batch 1 is of run" in error.message


def test_a_changed_signature_or_statement(made: Path) -> None:
    data = (made / "receipts.cbor").read_bytes()
    for index, what in ((0, "the opening"), (2, "batch 1")):
        for at in (-1, -70):

            def change(items: list[list[Any]], index: int = index, at: int = at) -> None:
                changed = bytearray(items[index][0])
                changed[at] ^= 4
                items[index][0] = bytes(changed)

            error = refused(repacked(data, change))
            assert error.code in {"MX1604", "MX1602"}
            assert what in error.message


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": 9}, "MX1608"),
        ({"previous": bytes(32)}, "MX1608"),
        ({"run_id": bytes(32)}, "MX1609"),
        ({"t_ns": 1}, "MX1600"),
        ({"size": 2}, "MX1606"),
        ({"root": bytes(32)}, "MX1606"),
    ],
)
def test_a_dishonest_node_is_found_out(made: Path, fields: dict[str, Any], code: str) -> None:
    data = (made / "receipts.cbor").read_bytes()
    assert refused(resigned(data, 1, **fields)).code == code


def false_run(tmp_path: Path, change: Callable[[dict[int, Any]], None]) -> bytes:
    """Signs two receipts of which the second is false."""
    book, file = new_book(tmp_path)
    life = Life(1_000)
    life.spend([5, 100, 20, 10, 2])
    book.introduce(identity(1), 0)
    book.add(1, S, life.figures())
    life.spend([0, 100, 20, 10, 2])
    figures: dict[int, Any] = life.figures()
    change(figures)
    book.add(1, 2 * S, figures)
    book.seal(2 * S)
    file.close()
    return (tmp_path / "receipts.cbor").read_bytes()


@pytest.mark.parametrize(
    ("place", "by", "says"),
    [
        ((17, 5), 1, "given 1000 credits and accounts for 1001"),
        ((17, 11), -1, "given 1000 credits and accounts for 999"),
        ((18, 1), 1, "metered 201 uJ, burned 200, uncollected 0"),
        ((16, 1), -1_500, "fuel went from 1000 to 500"),
        ((17, 12), 10_000, "escrow and bond exceed its balance"),
    ],
)
def test_figures_that_were_signed_false(
    tmp_path: Path, place: tuple[int, int], by: int, says: str
) -> None:
    def change(figures: dict[int, Any]) -> None:
        figures[place[0]][place[1]] += by

    error = refused(false_run(tmp_path, change))
    assert error.code == "MX1600"
    assert says in error.message
    assert "receipt 1 of 'p1'" in error.message


def test_a_chain_goes_on_after_its_end(tmp_path: Path) -> None:
    book, file = new_book(tmp_path)
    book.introduce(identity(1), 0)
    book.add(1, S, Life(10).figures(ending=True), ending="finished")
    book.add(1, 2 * S, Life(10).figures(ending=True))
    book.seal(2 * S)
    file.close()
    error = refused((tmp_path / "receipts.cbor").read_bytes())
    assert error.code == "MX1607"
    assert "its process had ended (finished)" in error.message


@pytest.mark.parametrize("version", [0, 2, 2**64 - 1])
def test_another_version(version: int) -> None:
    made = signer()
    payloads = {
        read_opening: opening(made).encoded(),
        read_batch: Batch(
            run_id=bytes(32), number=0, previous=bytes(32), t_ns=0, size=1, root=bytes(32)
        ).encoded(),
    }
    for read, payload in payloads.items():
        fields = oracle.whole(payload)
        fields[0] = version
        with pytest.raises(BadReceipt, match=f"version {version}") as caught:
            read(oracle.again(fields), what="x")
        assert caught.value.code == "MX1603"
        assert caught.value.hint is not None


def test_every_missing_or_mistyped_key_is_refused(made: Path) -> None:
    """Of each structure each key once left out, and once of another type."""
    from maxwell.token.cose import read_sign1

    items = list(read_items((made / "receipts.cbor").read_bytes(), what=""))
    summary = read_sign1((made / "summary.cbor").read_bytes(), what="").payload
    structures: list[tuple[Callable[..., object], bytes]] = [
        (read_opening, read_sign1(items[0].statement, what="").payload),
        (read_batch, read_sign1(items[1].statement, what="").payload),
        (read_summary, summary),
        (decode_receipt, items[1].receipts[0]),
    ]
    tried = 0
    for read, data in structures:
        read(data, what="x")
        whole = oracle.whole(data)
        for key in whole:
            for value in (None, [1], True, -5, "x", b"x", {0: -1}):
                fields = {k: v for k, v in whole.items() if k != key}
                if value is not None:
                    if type(value) is type(whole[key]) and not isinstance(value, (bytes, dict)):
                        continue
                    fields = dict(sorted({**fields, key: value}.items()))
                if read is read_summary and key == 19 and value is None:
                    continue  # a run without events
                with pytest.raises(BadReceipt) as caught:
                    read(oracle.again(fields), what=f"{read} {key} {value}")
                assert caught.value.code in {"MX1602", "MX1603"}, (read, key, value)
                tried += 1
    assert tried > 200


# Files that fail.


class Disk:
    """A file of limited room; `torn` keeps what did not fit, as a device that cannot be cut."""

    def __init__(self, room: int, *, torn: bool = False) -> None:
        self.data = bytearray()
        self.room, self.torn = room, torn

    def write(self, data: bytes, /) -> int:
        fits = data[: self.room - len(self.data)]
        if not fits:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += fits
        return len(fits)

    def truncate(self, size: int, /) -> int:
        if self.torn:
            raise OSError(errno.EINVAL, "cannot")
        del self.data[size:]
        return size

    def close(self) -> None:
        pass


@pytest.mark.parametrize("torn", [False, True])
def test_a_full_disk_leaves_whole_batches_and_says_so(tmp_path: Path, torn: bool) -> None:
    disk = Disk(2_000, torn=torn)
    file = ReceiptFile(tmp_path / "receipts.cbor", sink=disk)
    book = ReceiptBook(file, signer(), opening(signer()))
    book.introduce(identity(1), 0)
    for second in range(1, 9):
        book.add(1, second * S, Life(10).figures())
        book.seal(second * S)
    file.close()
    verifier = Verifier()
    if torn:
        with pytest.raises(BadReceipt, match="torn after") as caught:
            verifier.read(bytes(disk.data))
        assert caught.value.code == "MX1610"
    else:
        verifier.read(bytes(disk.data))
    assert verifier.state is not None
    assert 0 < verifier.state.batches < 8
    assert file.lost == 8 - verifier.state.batches
    warning = file.warning()
    assert warning is not None
    assert f"{file.lost} batches lost: No space left on device" in warning


def test_a_file_at_its_bound_stops(tmp_path: Path) -> None:
    file = ReceiptFile(tmp_path / "r", bytes_max=100)
    file.append(b"x" * 60, [])
    file.append(b"x" * 60, [])
    file.append(b"x", [])
    assert file.lost == 2
    assert "reached 100 bytes" in (file.warning() or "")
    assert [i.statement for i in read_items((tmp_path / "r").read_bytes(), what="")] == [b"x" * 60]


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write receipts"):
        ReceiptFile(tmp_path / "absent" / "receipts.cbor")


def test_every_cut_is_torn_or_at_a_boundary(made: Path) -> None:
    """kill -9 may leave any prefix: all whole batches of it verify."""
    data = (made / "receipts.cbor").read_bytes()
    starts = [item.offset for item in read_items(data, what="")] + [len(data)]
    for end in range(1, len(data), 29):
        verifier = Verifier()
        whole = sum(start <= end for start in starts) - 1
        if end in starts:
            verifier.read(data[:end])
        else:
            with pytest.raises(BadReceipt) as caught:
                verifier.read(data[:end])
            assert caught.value.code == "MX1610"
        batches = -1 if verifier.state is None else verifier.state.batches
        assert batches == whole - 1


# Receipts on their own.


def test_a_receipt_of_nobody(made: Path) -> None:
    data = (made / "receipts.cbor").read_bytes()
    for process, number in (("nobody", None), ("p1", 99)):
        with pytest.raises(ConfigError) as caught:
            find_receipt(data, process, number, what="x")
        assert caught.value.code == "MX1001"


def test_a_receipt_on_its_own_that_was_changed(made: Path) -> None:
    data = (made / "receipts.cbor").read_bytes()
    _, single = find_receipt(data, "p2", 1, what="x")
    fields = oracle.whole(single)

    def code(**changes: Any) -> str:
        made_ = list(fields)
        for at, value in changes.items():
            made_[int(at[1:])] = value
        with pytest.raises(BadReceipt) as caught:
            verify_single(oracle.again(made_), key=None, what="x")
        with pytest.raises(oracle.Rejected):
            oracle.verify_single(oracle.again(made_))
        return caught.value.code

    other = oracle.whole(find_receipt(data, "p1", 0, what="x")[1])
    assert code(_3=0) == "MX1606"
    assert code(_4=fields[4][::-1]) == "MX1606"
    assert code(_4=[]) == "MX1606"
    assert code(_5=other[5]) == "MX1606"
    assert code(_2=other[2]) == "MX1606"
    assert code(_2=fields[1]) == "MX1602"
    assert code(_0="maxwell.other") == "MX1602"
    assert code(_4=[b"short"]) == "MX1602"
    assert code(_4=[bytes(32)] * 33) in {"MX1602", "MX1606"}


# Random edits.


@given(
    edits=st.lists(
        st.tuples(st.sampled_from(["set", "cut", "insert", "swap"]), st.integers(0, 10**9),
                  st.integers(0, 255), st.integers(1, 40)),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_random_edits_never_verify(made: Path, edits: list[tuple[str, int, int, int]]) -> None:
    """Goal: no edit of the files verifies, and nothing but a MaxwellError is raised."""
    heads = verify((made / "receipts.cbor").read_bytes())
    data = edited(original := (made / "receipts.cbor").read_bytes(), edits)
    if data != original:
        try:
            state = verify(data, key=signer().public_key)
        except MaxwellError:
            pass
        else:
            # Cut between two batches it is whole; the summary counts what is missing.
            assert original.startswith(data)
            with pytest.raises(MaxwellError):
                check_summary(read_summary_file(RunFolder(made)), state)
    data = edited(original := (made / "summary.cbor").read_bytes(), edits)
    if data != original:
        folder = RunFolder(made.parent / "edited")
        folder.path.mkdir(exist_ok=True)
        folder.summary.write_bytes(data)
        with pytest.raises(MaxwellError):
            check_summary(read_summary_file(folder), heads)


@given(edits=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 255)), min_size=1))
@settings(max_examples=80, deadline=None)
def test_random_edits_of_a_receipt_on_its_own(made: Path, edits: list[tuple[int, int]]) -> None:
    _, original = find_receipt((made / "receipts.cbor").read_bytes(), "p2", 2, what="x")
    data = bytearray(original)
    for at, value in edits:
        data[at % len(data)] = value
    if bytes(data) != original:
        with pytest.raises(MaxwellError):
            verify_single(bytes(data), key=None, what="x")


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_a_maxwell_error(data: bytes) -> None:
    for read in (
        lambda: verify(data),
        lambda: verify_single(data, key=None, what="x"),
        lambda: decode_receipt(data, what="x"),
    ):
        with pytest.raises(MaxwellError):
            read()


def edited(data: bytes, edits: list[tuple[str, int, int, int]]) -> bytes:
    made = bytearray(data)
    for kind, place, value, size in edits:
        at = place % max(1, len(made))
        if kind == "set":
            made[at] = value
        elif kind == "cut":
            del made[at : at + size]
        elif kind == "insert":
            made[at:at] = random.Random(place).randbytes(size)
        else:
            other = (place // 7) % max(1, len(made) - size)
            piece = bytes(made[other : other + size])
            made[at : at + len(piece)] = piece
    return bytes(made)


def test_openings_differ_by_every_field() -> None:
    base = opening(signer())
    fields: dict[str, Any] = {n: getattr(base, n) for n in Opening.__struct_fields__}
    seen = {base.encoded()}
    for name, value in fields.items():
        other: Any = not value if isinstance(value, bool) else value * 2
        if isinstance(value, bytes):
            other = bytes(len(value) - 1) + b"\5"
        elif isinstance(value, int) and not isinstance(value, bool):
            other = value + 1
        seen.add(Opening(**{**fields, name: other}).encoded())
    assert len(seen) == 1 + len(fields)
