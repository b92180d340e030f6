"""The sponsor of the experiment: one resolver for all sides, with a limit to its patience.

It pays primes, each once, as the `prime` resolver does, and publishes what it paid. Checking a
prime takes microseconds and finding one by trial division a millisecond; one odd number in
fourteen is prime here. A sponsor that listens for ever can therefore be mined by guessing, and the
guesser would live. This one stops listening to a process once its wrong or repeated answers exceed
its right ones by `PATIENCE`. A scientist never gives a wrong answer.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Final, Self

from maxwell.market.resolvers import PrimeResolver, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.lab.plan import Plan

PATIENCE: Final = 16
LIST_NAME: Final = "results"
_TIRED: Final = Verdict(accepted=False, why="the sponsor listens to it no more", silent=True)


class Sponsor:
    """Judges result lines of all guests of one side; a `Resolver`.

    Args:
        plan: names the range of numbers that are paid.
        folder: where the list of paid results grows, for imitators to read.
        patience: wrong answers less right ones that a process is allowed; None has no limit.
    """

    def __init__(self, plan: Plan, folder: Path, *, patience: int | None = PATIENCE) -> None:
        options = {"from": plan.first, "to": plan.last}
        self._primes = PrimeResolver(options, what="lab: reward 'primes'")
        self.streams = self._primes.streams
        self._patience = patience
        self.paid: dict[int | str, list[int]] = {}
        """Paid primes by process, in the order of payment."""
        self.wrong: Counter[int | str] = Counter()
        """Answers that were judged and refused, by process."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._list = os.open(folder / LIST_NAME, flags, 0o644)

    @property
    def results(self) -> int:
        """Distinct verified results."""
        return sum(len(primes) for primes in self.paid.values())

    def judge(self, process: int | str, line: str) -> Verdict:
        """Judges one line; a process that was wrong too often is not heard."""
        right = len(self.paid.get(process, ()))
        if self._patience is not None and self.wrong[process] > right + self._patience:
            return _TIRED
        verdict = self._primes.judge(process, line)
        if verdict.accepted:
            prime = int(line)
            self.paid.setdefault(process, []).append(prime)
            # One short write a line: a reader sees whole lines only.
            os.write(self._list, f"{prime}\n".encode())
        else:
            self.wrong[process] += 1
        return verdict

    def close(self) -> None:
        """Closes the list."""
        if self._list >= 0:
            os.close(self._list)
            self._list = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
