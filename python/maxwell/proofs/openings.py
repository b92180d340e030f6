"""How often a hiding commitment may still be opened, counted where it lasts.

Every proof shows some places of the weights' code words. Their random coefficients keep that from
telling anything for a fixed number of openings (`total`), and not for one more. So an opening is
counted before it is made: a process that dies in between has lost an opening, not a secret. Copies
of one commitment must count together: never restore these files from a backup, never give a seed to
a second machine. The ledger will keep the count for those who prove on several machines; it needs
only be an `Openings`.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from maxwell.errors import ProofError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

TOTAL_DEFAULT: Final = 16
"""Openings of a commitment unless asked otherwise: 14 proofs, a refresh, and one more try at it."""

TOTAL_MIN: Final = 3
"""One to be linked by, one to prove with, one to be refreshed with."""

TOTAL_MAX: Final = 256
"""The native prover's limit."""


class Openings(Protocol):
    """The count of one commitment."""

    @property
    def total(self) -> int:
        """Openings that the commitment was made for."""
        ...

    def used(self) -> int:
        """Openings that were counted so far."""
        ...

    def spend(self, *, reserve: int) -> None:
        """Counts one opening, durably, before it is made.

        Args:
            reserve: openings that must be left afterwards.

        Raises:
            ProofError: MX1716 when that is impossible; nothing is counted then.
        """
        ...


def kept_for_refreshes(total: int) -> int:
    """Returns how many openings proofs leave alone.

    A refresh spends one before anything is saved. A full disk or a kill in between costs that one,
    and must not cost the model; a commitment of three openings has no room for it.
    """
    return 1 if total == TOTAL_MIN else 2


def proofs_left(openings: Openings) -> int:
    """Returns how many more proofs can be made; the last openings are kept for refreshes."""
    return max(0, openings.total - openings.used() - kept_for_refreshes(openings.total))


def opened_before(openings: Openings) -> int:
    """Returns how many openings the native prover is told of: all, when the count is lost."""
    try:
        return min(openings.total, openings.used())
    except ProofError:
        return openings.total


class MemoryOpenings:
    """The count of a commitment that lives and dies with this process.

    Args:
        total: openings that the commitment was made for.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0

    def used(self) -> int:
        """See `Openings`."""
        return self._used

    def spend(self, *, reserve: int) -> None:
        """See `Openings`."""
        _check(self._used, self.total, reserve)
        self._used += 1


class FileOpenings:
    """The count as a file with one byte an opening, shared by all processes of this machine.

    A byte is appended under a lock and brought to the disk before the opening is made. A byte
    cannot be torn. A file that is missing counts as spent, since a count from anew could reveal
    the weights.

    Args:
        path: the file.
        total: openings that the commitment was made for.
    """

    def __init__(self, path: Path, total: int) -> None:
        self.path = path
        self.total = total

    @classmethod
    def create(cls, path: Path, total: int, *, used: int = 0) -> FileOpenings:
        """Makes the file of a new commitment, for this user only."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, b"." * used)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return cls(path, total)

    def used(self) -> int:
        """See `Openings`."""
        with self._opened(os.O_RDONLY) as descriptor:
            return os.fstat(descriptor).st_size

    def spend(self, *, reserve: int) -> None:
        """See `Openings`; MX1715 when the file is missing or cannot be written."""
        with self._opened(os.O_WRONLY | os.O_APPEND) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _check(os.fstat(descriptor).st_size, self.total, reserve)
            if os.write(descriptor, b".") != 1:
                raise OSError("nothing was written")
            os.fsync(descriptor)

    @contextmanager
    def _opened(self, flags: int) -> Generator[int]:
        try:
            descriptor = os.open(self.path, flags | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ProofError(
                f"the count of openings {self.path} cannot be kept: {error.strerror or error}",
                code="MX1715",
                hint="without it no proof can be made; register the model again with --zk",
            ) from error


def _check(used: int, total: int, reserve: int) -> None:
    if used + 1 + reserve > total:
        raise ProofError(
            f"the weights were opened {used} times of {total}"
            + (", and the rest is kept for a refresh" if used < total else ""),
            code="MX1716",
            hint="`maxwell model refresh DIGEST` makes new randomness under the same digest"
            if used < total
            else "nothing is left to make new randomness with; register the model again with --zk",
        )
