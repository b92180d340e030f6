"""Goal: files of inputs are measured before they are unpacked, wherever one is read.

Method: files as numpy writes them, and files whose headers, sizes or packing lie."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.conftest import Maxwell, here, maxwell
from maxwell.errors import ProofError
from maxwell.proofs.arrays import ARRAY_BYTES_MAX, load_array, load_packed

__all__ = ["here", "maxwell"]

INT8 = str(Path(__file__).resolve().parents[2] / "examples/models/digits_mlp_int8.onnx")


@pytest.mark.parametrize("dtype", ["<i2", ">i4", "i8", "u1", "u8", "f2", "f4", "<f8", "?"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (), (0, 3)])
def test_what_numpy_writes_is_read(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    for name, y in (("c", x), ("f", np.asarray(x, order="F"))):
        np.save(tmp_path / "x.npy", y)
        np.savez_compressed(tmp_path / f"{name}.npz", other=np.zeros(9), x=y)
        for read in (load_array(tmp_path / "x.npy"), load_packed(tmp_path / f"{name}.npz", "x")):
            assert read.dtype == x.dtype
            assert np.array_equal(read, x)
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, x, version=(2, 0))
    assert np.array_equal(load_array(tmp_path / "x.npy"), x)


def header(shape: object, descr: str = "<f8", *, order: bool = False) -> bytes:
    """A header that says anything."""
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
    return np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode()


def whole(x: Any, *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, x, allow_pickle=pickled)
    return file.getvalue()


GOOD = whole(np.zeros(100))
BAD: dict[str, bytes] = {
    "empty": b"",
    "text": b"1 2 3",
    "more cells than bytes": header((1 << 40,)),
    "more than any memory": header((1 << 62, 1 << 62)),
    "negative": header((-1, 8)) + bytes(64),
    "a truth as a size": header("(True, 8)") + bytes(64),
    "cells of nothing": header((1 << 62,), "|V0"),
    "texts": whole(np.array(["a" * 100])),
    "records": whole(np.zeros(3, [("a", "i4"), ("b", "f4")])),
    "complex": whole(np.zeros(3, complex)),
    "dates": whole(np.zeros(3, "M8[s]")),
    "objects": whole(np.asarray([{}], object), pickled=True),
    "cut short": GOOD[:-1],
    "too long": GOOD + b"\0",
    "version 3": GOOD[:6] + b"\x03" + GOOD[7:],
    "a long header": np.lib.format.magic(2, 0) + (1 << 31).to_bytes(4, "little") + b" " * 99,
    "code": header("__import__('os')"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_whatever_lies_is_an_error(tmp_path: Path, data: bytes) -> None:
    plain, packed = tmp_path / "x.npy", tmp_path / "x.npz"
    plain.write_bytes(data)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", data)
    reads: list[Callable[[], object]] = [
        lambda: load_array(plain),
        lambda: load_packed(packed, "x"),
    ]
    for read in reads:
        with pytest.raises(ProofError) as caught:
            read()
        assert caught.value.code == "MX1705"


def sparse(path: Path, cells: int) -> None:
    """A file of zeros that takes no disk; its header tells the truth."""
    head = header((cells,))
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 8 * cells)


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    sparse(tmp_path / "x.npy", ARRAY_BYTES_MAX // 8 + 1)
    with pytest.raises(ProofError) as caught:
        load_array(tmp_path / "x.npy")
    assert "more than 134,217,728" in caught.value.message
    zeros = np.zeros(4 << 20, np.int8)
    np.savez_compressed(tmp_path / "x.npz", x=zeros)
    assert (tmp_path / "x.npz").stat().st_size < 10_000, "a thousandfold"
    with pytest.raises(ProofError) as caught:
        load_packed(tmp_path / "x.npz", "x", bytes_max=(4 << 20) - 1)
    assert caught.value.code == "MX1705"
    assert load_packed(tmp_path / "x.npz", "x", bytes_max=4 << 20).size == zeros.size


def test_an_archive_that_lies_about_an_array_is_an_error(tmp_path: Path) -> None:
    """Its directory says fewer bytes than are packed, and then more."""
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros(1_000))
    data = path.read_bytes()
    at = data.rindex(b"PK\1\2") + 24
    for size in (100, 1 << 30):
        path.write_bytes(data[:at] + size.to_bytes(4, "little") + data[at + 4 :])
        with pytest.raises(ProofError):
            load_packed(path, "x")
    path.write_bytes(data)
    with pytest.raises(ProofError) as caught:
        load_packed(path, "y")
    assert "'y'" in caught.value.message


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    for path in (tmp_path / "x.npy", tmp_path):
        with pytest.raises(ProofError):
            load_array(path)


@pytest.mark.parametrize("option", ["input", "calibration"])
def test_the_command_line_measures_too(
    maxwell: Maxwell, here: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("MAXWELL_DATA_DIR", str(here / "data"))
    sparse(here / "huge.npy", 1 << 34)
    np.save(here / "x.npy", np.zeros((1, 64)))
    arguments = ("huge.npy",) if option == "input" else ("x.npy", "--calibration", "huge.npy")
    done = maxwell("prove", INT8, *arguments, "-o", "p")
    assert (done.code, "[MX1705]" in done.err) == (125, True)
    assert "bytes of cells" in done.err
