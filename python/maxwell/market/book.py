"""The core of double entry: balances, entries between them, and two assertions on every entry.

A balance has a class and a name. The book keeps the sum of each class as it goes, so that
conservation can be asserted on every entry in constant time; `check` recounts everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from maxwell.errors import InsufficientEnergy, InternalError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

Class: TypeAlias = Literal["treasury", "account", "lease", "sponsor", "request", "fire", "commons"]
Key: TypeAlias = tuple[Class, int | str]
"""Class and name of a balance."""

TREASURY: Final[Key] = ("treasury", "")
"""Minted and not yet handed out."""
FIRE: Final[Key] = ("fire", "")
"""Burned: spent on process joules, never to come back."""
REQUESTS: Final[Key] = ("request", "")
"""Prices taken in advance of outbound requests that are not answered yet."""
COMMONS: Final[Key] = ("commons", "")
"""Premium, rent, erasure tax and admission; basic income leaves from here."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One booked entry: `credits` moved from `source` to `target`; source None is the mint."""

    kind: str
    source: Key | None
    target: Key
    credits: int


class Book:
    """Balances that only entries change. Not thread-safe; deterministic.

    Args:
        journal: called with each entry after it is booked.
    """

    def __init__(self, *, journal: Callable[[Entry], None] | None = None) -> None:
        self._journal = journal
        self._minted = 0
        self._balances: dict[Key, int] = {TREASURY: 0, FIRE: 0, COMMONS: 0, REQUESTS: 0}
        self._totals: dict[Class, int] = {
            "treasury": 0,
            "account": 0,
            "lease": 0,
            "sponsor": 0,
            "request": 0,
            "fire": 0,
            "commons": 0,
        }

    @property
    def minted(self) -> int:
        """Credits ever minted."""
        return self._minted

    def open(self, key: Key) -> None:
        """Opens a balance of zero.

        Raises:
            LedgerError: MX1300 when it is open already.
        """
        if key in self._balances:
            raise LedgerError(f"{key[0]} {key[1]!r} exists already")
        self._balances[key] = 0

    def balance(self, key: Key) -> int:
        """Returns a balance.

        Raises:
            LedgerError: MX1300 when there is none of this name.
        """
        balance = self._balances.get(key)
        if balance is None:
            raise LedgerError(f"no {key[0]} {key[1]!r}")
        return balance

    def total(self, kind: Class) -> int:
        """Returns the sum over one class."""
        return self._totals[kind]

    def mint(self, credits: int, *, kind: str) -> None:
        """Makes credits, into the treasury: the one entry with a single side."""
        _check_amount(credits)
        self._minted += credits
        self._balances[TREASURY] += credits
        self._totals["treasury"] += credits
        self._assert_conserved()
        if self._journal is not None:
            self._journal(Entry(kind=kind, source=None, target=TREASURY, credits=credits))

    def post(self, source: Key, target: Key, credits: int, *, kind: str) -> None:
        """Moves credits. Moving zero is allowed and leaves no trace in the journal.

        Raises:
            InsufficientEnergy: MX1301 when the source holds less; nothing is booked.
            LedgerError: MX1300 when a side does not exist; nothing is booked.
            InternalError: MX1900 when the amount is not a non-negative integer.
        """
        _check_amount(credits)
        held = self.balance(source)
        self.balance(target)
        if held < credits:
            raise InsufficientEnergy(
                f"{kind}: {source[0]} {source[1]!r} holds {held} credits, {credits} are needed"
            )
        if credits == 0:
            return
        self._balances[source] -= credits
        self._balances[target] += credits
        self._totals[source[0]] -= credits
        self._totals[target[0]] += credits
        if self._balances[source] < 0:
            raise InternalError(
                f"{source[0]} {source[1]!r} is negative: {self._balances[source]}", code="MX1302"
            )
        self._assert_conserved()
        if self._journal is not None:
            self._journal(Entry(kind=kind, source=source, target=target, credits=credits))

    def check(self) -> None:
        """Recounts every balance.

        Raises:
            InternalError: MX1302 when a class's sum is off, a balance is negative, or the sum over
                all is not what was minted.
        """
        recount = dict.fromkeys(self._totals, 0)
        for (kind, name), balance in self._balances.items():
            if balance < 0:
                raise InternalError(f"{kind} {name!r} is negative: {balance}", code="MX1302")
            recount[kind] += balance
        if recount != self._totals:
            raise InternalError(f"sums are off: {self._totals} not {recount}", code="MX1302")
        self._assert_conserved()

    def _assert_conserved(self) -> None:
        if sum(self._totals.values()) != self._minted:
            raise InternalError(
                f"minted {self._minted}, accounted for {self._totals}", code="MX1302"
            )


def _check_amount(credits: object) -> None:
    if not isinstance(credits, int) or isinstance(credits, bool) or credits < 0:
        raise InternalError(f"not an amount of credits: {credits!r}")
