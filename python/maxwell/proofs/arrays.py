"""Reading `.npy` files, and arrays of `.npz` files, that may be anything.

What a header declares is measured before anything is allocated or unpacked: cells, their type, and
that the file has just so many bytes. A file of zeros that is packed grows a thousandfold, a sparse
one takes no disk, and a header may say whatever it likes.
"""

from __future__ import annotations

import zipfile
import zlib
from math import prod
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from maxwell.errors import ProofError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

ARRAY_BYTES_MAX: Final = 128 << 20
"""2^24 cells, the most of one tensor with its batch, in 8 bytes each."""

_KINDS: Final = "biuf"
"""Booleans, integers and real numbers: nothing else is an input of a model."""


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def load_array(path: Path, *, bytes_max: int = ARRAY_BYTES_MAX) -> NDArray[np.generic]:
    """Returns the array of a `.npy` file; pickles are refused.

    Args:
        path: the file.
        bytes_max: of its cells.

    Raises:
        ProofError: MX1705 when it cannot be read, is no such file or is too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no regular file")
        with path.open("rb") as file:
            return _load(file, path.stat().st_size, bytes_max)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError) as error:
        raise ProofError(
            f"cannot read {path}: {error}",
            code="MX1705",
            hint='save it with numpy.save("x.npy", x)',
        ) from error


def load_packed(path: Path, name: str, *, bytes_max: int = ARRAY_BYTES_MAX) -> NDArray[np.generic]:
    """Returns one array of an `.npz` file; nothing else in it is unpacked.

    Args:
        path: the file.
        name: of the array.
        bytes_max: of its cells.

    Raises:
        ProofError: MX1705 when it cannot be read, is not there or is too large.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            item = packed.getinfo(f"{name}.npy")
            with packed.open(item) as file:
                return _load(file, item.file_size, bytes_max)
    # What a damaged archive may raise: zipfile has no error of its own for some of it.
    except (
        OSError, ValueError, KeyError, EOFError, MemoryError, OverflowError, RuntimeError,
        NotImplementedError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise ProofError(
            f"cannot read {name!r} of {path}: {error}",
            code="MX1705",
            hint="name an array of an .npz file, or leave `array` out for an .npy file",
        ) from error


def _load(file: _Readable, file_bytes: int, bytes_max: int) -> NDArray[np.generic]:
    """Reads a header, compares it with the file's size, and then reads the cells."""
    import numpy as np
    from numpy.lib import format as npy

    counted = _Counted(file)
    stream = cast("Any", counted)
    version = npy.read_magic(stream)
    readers: dict[tuple[int, int], Any] = {
        (1, 0): npy.read_array_header_1_0,
        (2, 0): npy.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    # Its length is bounded by numpy.
    shape, by_columns, dtype = cast(
        "tuple[tuple[int, ...], bool, np.dtype[Any]]", readers[version](stream)
    )
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise ValueError(f"cells of type {dtype}: numbers are inputs")
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"a shape of {shape}")
    size = prod(shape) * dtype.itemsize
    if size > bytes_max:
        raise ValueError(f"{size:,} bytes of cells, more than {bytes_max:,}")
    if counted.count + size != file_bytes:
        raise ValueError(f"{file_bytes:,} bytes, where its header says {counted.count + size:,}")
    data = bytearray()
    while len(data) < size:
        part = file.read(min(1 << 20, size - len(data)))
        if not part:
            raise EOFError(f"it ends after {len(data):,} of {size:,} bytes of cells")
        data += part
    cells = np.frombuffer(data, dtype)
    return cells.reshape(shape[::-1]).T if by_columns else cells.reshape(shape)


class _Counted:
    """Counts the bytes that are read of a header."""

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data
