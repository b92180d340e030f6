"""The secret that opens the commitment to a hidden input, and its file.

A proof that hides its input shows a salted commitment in the input's place. Whoever holds the input
and this secret can show later that the commitment is to that input, and to no other; without the
secret nobody can test even a right guess. It belongs to one proof and is never used for another.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, cast

from maxwell.errors import ProofError
from maxwell.proofs.extras import optional

FORMAT: Final = "maxwell-input-opening/1"
COMMITMENT_BYTES: Final = 32
SEED_BYTES: Final = 32
FILE_BYTES_MAX: Final = 1_024
"""A file is about 170 bytes; nothing longer is parsed."""


@dataclass(frozen=True, kw_only=True)
class InputOpening:
    """What a commitment to an input was made with.

    Attributes:
        commitment: the 32 bytes that the proof shows.
        batch: inputs in it.
        seed: 32 secret bytes.
    """

    commitment: bytes
    batch: int
    seed: bytes = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Writes it to a file that only this user can read, whole or not at all.

        Raises:
            ProofError: MX1700 when the file cannot be written.
        """
        target = Path(path)
        try:
            # Made for its owner alone before there is anything in it.
            descriptor, made = tempfile.mkstemp(dir=target.parent, prefix=".opening-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self.encode())
                    file.flush()
                    os.fsync(file.fileno())
                Path(made).replace(target)
            except BaseException:
                Path(made).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ProofError(
                f"cannot write {path}: {error.strerror or error}",
                code="MX1700",
                hint="name another file with --opening",
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> InputOpening:
        """Reads a file that may come from anyone.

        Raises:
            ProofError: MX1706 when it is no opening.
        """
        try:
            with Path(path).open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise ProofError(
                f"cannot read {path}: {error.strerror or error}",
                code="MX1706",
                hint="name the file that `maxwell prove --hide-input` wrote beside the proof",
            ) from error
        opening = _decode(data)
        if opening is None:
            raise ProofError(
                f"{path} is no opening of an input",
                code="MX1706",
                hint="name the file that `maxwell prove --hide-input` wrote beside the proof",
            )
        return opening

    def encode(self) -> bytes:
        """Returns its canonical bytes; they are as secret as the seed."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        data = optional("cbor2").dumps(values | {"format": FORMAT}, canonical=True)
        assert isinstance(data, bytes)
        return data


def _decode(data: bytes) -> InputOpening | None:
    """Parses canonical CBOR; None for anything else."""
    if len(data) > FILE_BYTES_MAX:
        return None
    try:
        decoded: object = optional("cbor2").loads(data)
    except ProofError:
        raise
    # The decoder's exceptions vary with what is wrong; none may pass as a bug of ours.
    except Exception:
        return None
    if not isinstance(decoded, dict):
        return None
    match cast("dict[str, object]", decoded):
        case {
            "commitment": bytes(commitment),
            "batch": int(batch),
            "seed": bytes(seed),
            "format": str(),
        } if (len(commitment), len(seed)) == (COMMITMENT_BYTES, SEED_BYTES) and type(batch) is int:
            opening = InputOpening(commitment=commitment, batch=batch, seed=seed)
        case _:
            return None
    # Fields that are not known, another format and another encoding all end here.
    return opening if batch > 0 and opening.encode() == data else None
