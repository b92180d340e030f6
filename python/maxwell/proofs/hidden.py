"""What a hiding registration has besides a plain one: a seed, a count, and a lineage.

The digest of a model is that of its first header. When the openings of a commitment are spent, the
same weights are committed to again with new randomness. The new header has another root, and there
is a proof (a link) that both roots are of the same weights. Headers and links from the first to the
current one are the lineage. It goes with every proof, so that a verifier who trusts the first
digest needs nothing else. See docs/decisions/0014-hiding.md.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from maxwell.errors import ProofError
from maxwell.proofs import backend
from maxwell.proofs.extras import optional
from maxwell.proofs.openings import (
    TOTAL_DEFAULT,
    TOTAL_MAX,
    TOTAL_MIN,
    FileOpenings,
    MemoryOpenings,
)

if TYPE_CHECKING:
    from maxwell.proofs.openings import Openings

SEED_BYTES: Final = 32
FOLDER: Final = "hiding"
"""In the folder of a model: one folder for each commitment, `0`, `1`, …"""

LINEAGE_MAX: Final = 1_024
"""Commitments before the current one that a verifier follows."""

LINEAGE_BYTES_MAX: Final = 128 * 1024 * 1024
"""Of their headers and links, which go with every proof: half of the largest proof file. The other
half is for the current header (below 2 MiB), input and output (2^24 padded cells of 2 bytes each,
64 MiB) and the proof (the largest of the documented cases is below 2 MiB)."""

Lineage = tuple[tuple[bytes, bytes], ...]
"""For each commitment before the current one: its header, and the link to the next."""


@dataclass(frozen=True)
class Hidden:
    """The current commitment of a model that hides its weights.

    Attributes:
        seed: 32 secret bytes that all its randomness comes from.
        openings: how often it may be opened.
        lineage: the commitments before it.
    """

    seed: bytes = field(repr=False)
    openings: Openings
    lineage: Lineage = ()

    @classmethod
    def new(cls, total: int = TOTAL_DEFAULT, *, lineage: Lineage = ()) -> Hidden:
        """Draws a new commitment, counted in memory.

        Raises:
            ProofError: MX1700 when `total` is out of range.
        """
        if not TOTAL_MIN <= total <= TOTAL_MAX:
            raise ProofError(f"{total} openings; {TOTAL_MIN} to {TOTAL_MAX} are allowed")
        return cls(secrets.token_bytes(SEED_BYTES), MemoryOpenings(total), lineage)

    def save(self, model_folder: Path, header: bytes) -> Hidden:
        """Puts it beside those before it, readable by this user only, whole or not at all.

        Returns:
            The same, counted in its file from now on.

        Raises:
            FileExistsError: another process was first.
        """
        folder = model_folder / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / str(len(self.lineage))
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as made:
            whole = Path(made) / "commitment"
            whole.mkdir(mode=0o700)
            _write_private(whole / "seed", self.seed)
            _write_private(whole / "header.bin", header)
            _write_private(whole / "total", str(self.openings.total).encode())
            if self.lineage:
                _write_private(whole / "link.bin", self.lineage[-1][1])
            FileOpenings.create(whole / "openings", self.openings.total, used=self.openings.used())
            _sync(whole)
            if target.exists():
                raise FileExistsError(target)
            whole.rename(target)
        _sync(folder)
        return replace(self, openings=FileOpenings(target / "openings", self.openings.total))

    @classmethod
    def load(cls, model_folder: Path) -> tuple[Hidden, bytes]:
        """Returns the newest commitment of a model, and its header.

        Raises:
            ProofError: MX1715 when something is missing.
        """
        folder = model_folder / FOLDER
        lineage: list[tuple[bytes, bytes]] = []
        try:
            count = sum(1 for entry in folder.iterdir() if entry.name.isdecimal())
            for number in range(1, count):
                before = (folder / str(number - 1) / "header.bin").read_bytes()
                lineage.append((before, (folder / str(number) / "link.bin").read_bytes()))
            newest = folder / str(count - 1)
            total = int((newest / "total").read_text())
            seed = (newest / "seed").read_bytes()
            header = (newest / "header.bin").read_bytes()
        except (OSError, ValueError) as error:
            raise ProofError(
                f"the secrets of a hiding model in {folder} cannot be read: {error}",
                code="MX1715",
                hint="register the model again with --zk",
            ) from error
        openings = FileOpenings(newest / "openings", total)
        return cls(seed, openings, tuple(lineage)), header


def _write_private(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Brings a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode_lineage(lineage: Lineage) -> bytes:
    """Returns a lineage in canonical CBOR; nothing for none."""
    if not lineage:
        return b""
    data = optional("cbor2").dumps([list(entry) for entry in lineage], canonical=True)
    assert isinstance(data, bytes)
    return data


def decode_lineage(data: bytes) -> Lineage:
    """Parses a lineage that may come from anyone.

    Raises:
        ProofError: MX1706 when it is malformed.
    """
    if not data:
        return ()
    if len(data) > LINEAGE_BYTES_MAX:
        raise ProofError(
            f"a lineage of {len(data):,} bytes: {LINEAGE_BYTES_MAX:,} are followed", code="MX1706"
        )
    malformed = ProofError("the lineage of the proof's model is malformed", code="MX1706")
    try:
        decoded: object = optional("cbor2").loads(data)
    # The decoder's exceptions vary with what is wrong; none may pass as a bug of ours.
    except Exception as error:
        raise malformed from error
    if not isinstance(decoded, list) or not 1 <= len(cast("list[object]", decoded)) <= LINEAGE_MAX:
        raise malformed
    entries: list[tuple[bytes, bytes]] = []
    for entry in cast("list[object]", decoded):
        match entry:
            case [bytes(header), bytes(link)]:
                entries.append((header, link))
            case _:
                raise malformed
    if encode_lineage(tuple(entries)) != data:
        raise malformed
    return tuple(entries)


def has_room(lineage: Lineage, header: bytes) -> bool:
    """Returns whether verifiers will follow a lineage with one commitment more.

    Asked before anything is spent: a link is about as long as the one before it, since shapes and
    openings are the same, and at most twice as long (paths of a tree may share nothing).

    Args:
        lineage: of the current commitment.
        header: its own.
    """
    if len(lineage) >= LINEAGE_MAX - 1:
        return False
    # The first always fits: 2^26 weights have a link of a few MiB.
    last = len(lineage[-1][1]) if lineage else 0
    return len(encode_lineage(lineage)) + len(header) + 2 * last + 64 <= LINEAGE_BYTES_MAX


def check_lineage(lineage: Lineage, header: bytes) -> None:
    """Checks that every commitment is to the weights of the one before, up to `header`.

    Raises:
        ProofError: MX1706 when a link does not hold.
    """
    headers = [*(entry[0] for entry in lineage), header]
    for (old, link), new in zip(lineage, headers[1:], strict=True):
        backend.verify_link(old, new, link)


def first_header(lineage: Lineage, header: bytes) -> bytes:
    """Returns the header whose digest names the model."""
    return lineage[0][0] if lineage else header
