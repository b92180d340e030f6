"""Questions: paying processes by the bit for what they knew before it was revealed.

Two kinds. A **stream** is resolved by the kernel, which feeds it symbol by symbol and reports
blocks of bits; a **predicate** is resolved here, when a process claims something of a number. Both
are scored against a public belief in units of 2^-32 bit, earn kappa credits a bit out of the
sponsor's escrow, and lose their stake, never more, to the same escrow.

A sponsor buys each bit once. Of a block of a stream it pays a process what the block's bits are
worth beyond what it has paid for that block already; of a predicate it pays the first claim. So all
payments for a question stay below kappa · log2(1 / p0(outcome)), whoever takes part.
docs/decisions/0012-information.md says why. Deterministic: equal calls give equal payments.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec

from maxwell.errors import ConfigError, ModuleError
from maxwell.market.information import (
    ONE,
    bits_q32,
    clip,
    gain_credits,
    loss_credits,
    prime_prior,
    stake_credits,
)
from maxwell.market.lines import decode_line
from maxwell.market.primes import is_prime
from maxwell.market.question_options import (
    PredicateOptions,
    StreamOptions,
    is_question,
    parse_question,
)
from maxwell.modules import resolve_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maxwell.config.records import RewardConfig
    from maxwell.market.ledger import Ledger

TEXT_BYTES_MAX: Final = 64 << 20
"""A text is held once by the parent and once by each cell."""
RESOLVED_MAX: Final = 1 << 20
"""Numbers that one predicate remembers to pay each only once."""

_CLAIM: Final = re.compile(r"([0-9]{1,25})(?:[ \t]+(\S{1,64}))?")
_EXPONENT_MAX: Final = 400


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream and what it pays."""

    name: str
    sponsor: str
    kappa: int
    """Credits per bit."""
    options: StreamOptions
    text: bytes
    digest: str
    """SHA-256 of the text in hex."""


class Predicate(msgspec.Struct, frozen=True, kw_only=True):
    """A predicate and what it pays."""

    name: str
    sponsor: str
    kappa: int
    options: PredicateOptions


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What a block of a stream, or a claim, was worth."""

    question: str
    bits: int
    """In units of 2^-32 bit."""
    due_credits: int
    """What the bits are worth beyond what was paid for them before."""
    paid_credits: int
    """`due_credits`, or what the escrow still held."""
    lost_credits: int
    """Stake that went to the sponsor."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim about a number that was resolved."""

    number: int
    own: int
    """The claimed probability of what turned out to hold, after clipping, in 1/2^32."""
    public: int
    """The public one."""
    holds: bool
    score: Score


class RefusedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was no claim, or came too late; its stake goes back."""

    question: str
    line: str
    why: str


class _Refused(Exception):
    """Why a claim is none; never leaves this module."""


class QuestionBook:
    """The questions of a fleet, who is asked, what was paid and what was lost.

    Args:
        rewards: the fleet's rewards; those that pay for results are left out.
        ledger: pays; the sponsors are open there.
        base_dir: folder that the texts' paths start from.

    Raises:
        ConfigError: MX1012 when a text cannot be read, is empty, too long, or has a symbol that is
            not in its alphabet.
    """

    def __init__(
        self, rewards: Iterable[RewardConfig], ledger: Ledger, *, base_dir: Path | None = None
    ) -> None:
        self._ledger = ledger
        self._questions: dict[str, Stream | Predicate] = {}
        for reward in rewards:
            if is_question(reward.resolver):
                ledger.sponsor_balance(reward.sponsor)  # the sponsor must exist
                self._questions[reward.name] = _question(reward, base_dir or Path.cwd())
        self._asked: dict[int, dict[int, Stream | Predicate]] = {}
        self._closed: set[tuple[int, int]] = set()
        self._bought: dict[tuple[str, int], int] = {}
        """Credits paid for each block of each stream."""
        self._resolved: dict[str, set[int]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Names of the rewards that are questions."""
        return frozenset(self._questions)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams, in the fleet's order."""
        return tuple(q for q in self._questions.values() if isinstance(q, Stream))

    @property
    def predicates(self) -> tuple[Predicate, ...]:
        """The predicates, in the fleet's order."""
        return tuple(q for q in self._questions.values() if isinstance(q, Predicate))

    def ask(self, process: int, reward_names: Sequence[str]) -> None:
        """Asks a process; a question's number is its place in the process's `rewards`, from 0."""
        self._asked[process] = {
            number: self._questions[name]
            for number, name in enumerate(reward_names)
            if name in self._questions
        }

    def asked(self, process: int) -> list[tuple[int, Stream]]:
        """Returns the streams that a process is fed, with their numbers."""
        items = self._asked.get(process, {}).items()
        return [(number, q) for number, q in items if isinstance(q, Stream)]

    def report_stake_credits(self, process: int) -> int:
        """Returns the stake that each report of a process comes with."""
        return sum(stake_credits(predicate.kappa) for predicate in self._listening(process))

    def hears_reports(self, process: int) -> bool:
        """Returns whether a predicate of the process can still pay for a report."""
        return any(self._can_pay(predicate) for predicate in self._listening(process))

    def can_pay(self, question: Stream | Predicate) -> bool:
        """Returns whether the sponsor's escrow holds anything."""
        return self._can_pay(question)

    def any_empty(self) -> bool:
        """Returns whether some question's escrow is empty. O(questions)."""
        return not all(self._can_pay(question) for question in self._questions.values())

    def close_empty(self, process: int) -> list[int]:
        """Returns the numbers of the process's streams whose escrow is empty, each once."""
        closing = [
            number
            for number, stream in self.asked(process)
            if (process, number) not in self._closed and not self._can_pay(stream)
        ]
        self._closed.update((process, number) for number in closing)
        return closing

    def name_of(self, process: int, number: int | None) -> str:
        """Returns the name of a process's question; empty when it has none of this number."""
        question = None if number is None else self._asked.get(process, {}).get(number)
        return "" if question is None else question.name

    def on_block(self, process: int, number: int, *, start: int, bits: int, lost: int) -> Score:
        """Books a block that the kernel has scored.

        Args:
            process: whose.
            number: the question's number for the process.
            start: position of the block in the stream.
            bits: won or lost, in units of 2^-32 bit.
            lost: stake that left the purse for it, credits.

        Raises:
            KeyError: the process is not asked this question.
            LedgerError: its lease is closed, or does not hold the stake.
        """
        stream = self._asked[process][number]
        self._ledger.take_stake(process, lost)
        self._ledger.forfeit(process, stream.sponsor, lost)
        block = (stream.name, start)
        bought = self._bought.get(block, 0)
        due = max(0, gain_credits(stream.kappa, bits) - bought)
        paid = self._ledger.reward(process, stream.sponsor, due)
        if paid:
            self._bought[block] = bought + paid
        return Score(
            question=stream.name, bits=bits, due_credits=due, paid_credits=paid, lost_credits=lost
        )

    def on_report(
        self, process: int, line: bytes, *, staked: int, now_ns: int
    ) -> tuple[list[Claim | RefusedClaim], int]:
        """Judges a report as a claim about a number by every predicate of the process.

        A claim is a number and the probability that the predicate holds of it, `1000003 0.9`; a
        number alone claims that it holds.

        Args:
            process: who claims.
            line: what it handed in.
            staked: credits that left the purse with it.
            now_ns: the run's clock.

        Returns:
            The claims, and the credits of the stake that go back into the purse.
        """
        if not self._ledger.is_leased(process):
            return [], 0
        self._ledger.take_stake(process, staked)
        text = decode_line(line).strip()
        results: list[Claim | RefusedClaim] = []
        left = staked
        for predicate in self._listening(process):
            try:
                claim = self._judge(process, predicate, text, left, now_ns)
            except _Refused as refused:
                why = str(refused)
                results.append(RefusedClaim(question=predicate.name, line=text[:256], why=why))
                continue
            left -= claim.score.lost_credits
            results.append(claim)
        return results, left

    def _judge(
        self, process: int, predicate: Predicate, text: str, stake: int, now_ns: int
    ) -> Claim:
        options = predicate.options
        if options.deadline_ns is not None and now_ns >= options.deadline_ns:
            raise _Refused("after the deadline")
        number, probability = _parse_claim(text)
        if not options.least <= number <= options.most:
            raise _Refused(f"not from {options.least} to {options.most}")
        if not self._can_pay(predicate):
            raise _Refused("the sponsor's escrow is empty")
        if stake < stake_credits(predicate.kappa):
            raise _Refused("it came without its stake")
        resolved = self._resolved.setdefault(predicate.name, set())
        if number in resolved:
            raise _Refused("resolved already")
        if len(resolved) >= RESOLVED_MAX:
            raise _Refused(f"this question has resolved {RESOLVED_MAX} numbers")
        resolved.add(number)
        holds, prior = is_prime(number), prime_prior(number)
        own = probability if holds else ONE - probability
        public = prior if holds else ONE - prior
        bits = bits_q32(own, public)
        lost, due = loss_credits(predicate.kappa, bits), gain_credits(predicate.kappa, bits)
        assert lost <= stake_credits(predicate.kappa)
        self._ledger.forfeit(process, predicate.sponsor, lost)
        paid = self._ledger.reward(process, predicate.sponsor, due)
        score = Score(
            question=predicate.name,
            bits=bits,
            due_credits=due,
            paid_credits=paid,
            lost_credits=lost,
        )
        return Claim(number=number, own=own, public=public, holds=holds, score=score)

    def _listening(self, process: int) -> list[Predicate]:
        return [q for q in self._asked.get(process, {}).values() if isinstance(q, Predicate)]

    def _can_pay(self, question: Stream | Predicate) -> bool:
        return self._ledger.free_balance(question.sponsor) > 0


def _parse_claim(text: str) -> tuple[int, int]:
    """Returns a number and the clipped probability, in 1/2^32, that the predicate holds of it."""
    match = _CLAIM.fullmatch(text)
    if match is None or not text.isascii():
        raise _Refused("not a number, or a number and a probability")
    written = cast("str | None", match.group(2))
    if written is None:
        return int(match.group(1)), clip(ONE)
    try:
        probability = Decimal(written)
    except InvalidOperation:
        raise _Refused("the probability is not a decimal number") from None
    if not probability.is_finite():
        raise _Refused("the probability is not finite")
    if probability and abs(probability.adjusted()) > _EXPONENT_MAX:
        raise _Refused("the probability's exponent is out of range")
    if not 0 <= probability <= 1:
        raise _Refused("the probability is not from 0 to 1")
    return int(match.group(1)), clip(int(probability * ONE))


def _question(reward: RewardConfig, base_dir: Path) -> Stream | Predicate:
    what = f"reward {reward.name!r}"
    options = parse_question(reward.resolver, reward.options, what=what)
    if isinstance(options, PredicateOptions):
        return Predicate(
            name=reward.name, sponsor=reward.sponsor, kappa=reward.pays_credits, options=options
        )
    text = _read(options, base_dir, what)
    return Stream(
        name=reward.name,
        sponsor=reward.sponsor,
        kappa=reward.pays_credits,
        options=options,
        text=text,
        digest=hashlib.sha256(text).hexdigest(),
    )


def _read(options: StreamOptions, base_dir: Path, what: str) -> bytes:
    def bad(why: str, hint: str) -> ConfigError:
        return ConfigError(f"{what}: file: {options.file!r} {why}", code="MX1012", hint=hint)

    try:
        path = resolve_file(options.file, base_dir)
        size = path.stat().st_size
        with path.open("rb") as file:
            text = file.read(TEXT_BYTES_MAX + 1 if options.limit is None else options.limit)
    except ModuleError as error:
        raise bad("is not there", error.hint or "paths are relative to the fleet file") from error
    except OSError as error:
        raise bad(f"cannot be read: {error.strerror}", "give a file that you can read") from error
    if len(text) > TEXT_BYTES_MAX:
        raise bad(f"is larger than {TEXT_BYTES_MAX >> 20} MiB", "give limit = 1000000 or less")
    if options.limit is not None and size < options.limit:
        raise bad(f"has {size} symbols, limit is {options.limit}", "lower limit, or leave it out")
    if not text:
        raise bad("is empty", "a stream needs at least one symbol")
    foreign = set(text) - set(options.alphabet) if options.alphabet else set[int]()
    if foreign:
        shown = ", ".join(repr(chr(symbol)) for symbol in sorted(foreign)[:4])
        raise bad(
            f"has symbols that are not in its alphabet: {shown}",
            'alphabet = "bytes" takes any file',
        )
    return text
