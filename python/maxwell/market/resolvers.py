"""Resolvers: who says whether a line that a guest wrote is a result worth paying for.

The host checks results; it never takes a guest's word for their worth. What each resolver proves:

- `prime`: the line is a prime in the sponsor's range that nobody was paid for yet. A proof.
- `regex`: the line has the sponsor's form, and its number improves on the process's own best. The
  form and the direction are checked, not the truth of the number: use it for programs that the
  sponsor chose, such as a placer that prints its wire length.
- `python:module:function`: whatever the sponsor's own function checks.

A resolver only judges. Money, escrows and who may earn are `maxwell.market.rewards`.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, cast

import msgspec
import regex

from maxwell.errors import ConfigError, LedgerError, choices_hint
from maxwell.market.functions import import_function, split_reference
from maxwell.market.primes import PRIME_BOUND, is_prime
from maxwell.market.proof_options import PROOF_RESOLVER
from maxwell.market.question_options import QUESTION_RESOLVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Stream: TypeAlias = Literal["report", "stdout", "stderr"]
"""Where a line came from: the guest's `maxwell.report`, or one of its output streams."""

RESOLVERS: Final = ("prime", "regex", "python:module:function", *QUESTION_RESOLVERS, PROOF_RESOLVER)
"""Everything that a reward may name."""
LINE_BYTES_MAX: Final = 4_096
"""A longer line cannot pay: the same limit as `maxwell.report`."""
DISTINCT_MAX: Final = 1 << 20
"""Results that one reward remembers to pay each only once: 1 Mi × ~100 bytes is 100 MB at worst.
A reward that has paid that many is closed."""
REGEX_SECONDS_MAX: Final = 0.05
"""Bound of one search: a pattern that backtracks longer on 4 KiB is at fault, and pays nothing."""
REGEX_SECONDS_DETERMINISTIC: Final = 5.0
"""Bound of one search in deterministic mode, beyond which the run ends with an error."""
_DIGITS_MAX: Final = 25
_NUMBER_LENGTH_MAX: Final = 64
_EXPONENT_MAX: Final = 400

_STREAMS: Final[dict[str, frozenset[Stream]]] = {
    "report": frozenset({"report"}),
    "stdout": frozenset({"stdout"}),
    "stderr": frozenset({"stderr"}),
    "both": frozenset({"stdout", "stderr"}),
}


class Verdict(msgspec.Struct, frozen=True):
    """What a resolver says about a line.

    `accepted`: pay it. Otherwise `why` says why not; with `silent` the line was no attempt at a
    result at all (an ordinary line of output), and nobody needs to hear of it.
    """

    accepted: bool
    why: str = ""
    silent: bool = False


ACCEPTED: Final = Verdict(accepted=True)
_NO_RESULT: Final = Verdict(accepted=False, why="not a result", silent=True)


class Resolver(Protocol):
    """Judges lines. Stateful: a result that was accepted once is not accepted again."""

    @property
    def streams(self) -> frozenset[Stream]:
        """Where the lines that it wants come from."""
        ...

    def judge(self, process: int | str, line: str) -> Verdict:
        """Judges one line, of at most `LINE_BYTES_MAX` bytes, without its line end."""
        ...


class PrimeResolver:
    """Pays each prime of a range once, whoever finds it first.

    Options: `from` (default 2) and `to` (inclusive, default and at most 3.3 · 10^24), integers or
    decimal texts; `stream` (default `report`).
    """

    def __init__(self, options: Mapping[str, object], *, what: str) -> None:
        _check_options(options, ("from", "to", "stream"), kind="prime", what=what)
        self.streams = _streams(options, default="report", what=what)
        self._least = _integer_option(options, "from", default=2, what=what)
        self._most = _integer_option(options, "to", default=PRIME_BOUND - 1, what=what)
        if not 0 <= self._least <= self._most < PRIME_BOUND:
            raise ConfigError(
                f"{what}: from {self._least} to {self._most} is not a range below {PRIME_BOUND}",
                code="MX1012",
                hint="from ≤ to; larger primes cannot be verified without a proof",
            )
        self._paid: set[int] = set()

    def judge(self, process: int | str, line: str) -> Verdict:
        """Accepts a line of decimal digits that is a prime in range and new to this reward."""
        text = line.strip()
        if not text.isascii() or not text.isdigit():
            return Verdict(accepted=False, why="not a number in decimal digits")
        if len(text) > _DIGITS_MAX:
            return Verdict(accepted=False, why=f"more than {_DIGITS_MAX} digits")
        n = int(text)
        if not self._least <= n <= self._most:
            return Verdict(accepted=False, why=f"not from {self._least} to {self._most}")
        if n in self._paid:
            return Verdict(accepted=False, why="paid already")
        if len(self._paid) >= DISTINCT_MAX:
            return Verdict(accepted=False, why=f"this reward has paid {DISTINCT_MAX} results")
        if not is_prime(n):
            return Verdict(accepted=False, why="not a prime")
        self._paid.add(n)
        return ACCEPTED


class RegexResolver:
    """Pays each line whose number improves on the best of the same process.

    Options: `pattern` (exactly one capture group, whose text is a decimal number; searched, not
    anchored), `direction` (`down` or `up`), `stream` (`both` output streams by default, since
    compilers and solvers log to either; `stdout`, `stderr` or `report`), `first` (`pays` by
    default: the first number is an improvement on nothing; `baseline`: it sets the mark and earns
    nothing), `min_step` (the least improvement that counts; any by default).

    The `regex` module is used instead of `re` for its time limit: a search is given up after
    50 ms, pays nothing, and is reported. That is time on the wall, so that a busy machine may give
    up what an idle one finds. In deterministic mode no verdict depends on it: a search that takes
    longer than 5 s ends the run with an error instead.
    """

    def __init__(
        self, options: Mapping[str, object], *, what: str, deterministic: bool = False
    ) -> None:
        self._what = what
        self._deterministic = deterministic
        _check_options(
            options,
            ("pattern", "direction", "stream", "first", "min_step"),
            kind="regex",
            required=("pattern", "direction"),
            what=what,
        )
        self.streams = _streams(options, default="both", what=what)
        self._pattern = _compile(options["pattern"], what=what)
        self._down = (
            _word_option(options, "direction", ("down", "up"), default="", what=what) == "down"
        )
        self._first_pays = (
            _word_option(options, "first", ("pays", "baseline"), default="pays", what=what)
            == "pays"
        )
        self._min_step = _step_option(options, what=what)
        self._best: dict[int | str, Fraction] = {}

    def judge(self, process: int | str, line: str) -> Verdict:
        """Accepts a line whose number improves on the process's own best by `min_step`."""
        limit_s = REGEX_SECONDS_DETERMINISTIC if self._deterministic else REGEX_SECONDS_MAX
        try:
            match = self._pattern.search(line, timeout=limit_s)
        except TimeoutError as error:
            if self._deterministic:
                raise LedgerError(
                    f"{self._what}: the pattern took longer than {limit_s} s on a line of process "
                    f"{process!r}: {line[:80]!r}",
                    code="MX1305",
                    hint="write a pattern that does not backtrack, or run without --deterministic",
                ) from error
            return Verdict(
                accepted=False, why=f"the pattern took longer than {REGEX_SECONDS_MAX} s"
            )
        if match is None:
            return _NO_RESULT
        text = cast("str | None", match.group(1))
        value = None if text is None else _number(text)
        if value is None:
            return Verdict(accepted=False, why=f"not a decimal number: {(text or '')[:64]!r}")
        best = self._best.get(process)
        if best is None:
            self._best[process] = value
            return ACCEPTED if self._first_pays else _NO_RESULT
        gain = best - value if self._down else value - best
        if gain <= 0 or gain < self._min_step:
            return _NO_RESULT
        self._best[process] = value
        return ACCEPTED


class CallableResolver:
    """Pays each distinct line that a Python function accepts.

    The function gets the line as text and returns True or False. What it raises is a refusal with
    the exception as its reason, never the end of the run. It runs inside the control plane and is
    trusted: it must return in well under an epoch, and nothing stops it. In deterministic mode it
    must depend on nothing but the lines.

    Args:
        function: the check.
        streams: where lines come from; `report` by default.
    """

    def __init__(
        self,
        function: Callable[[str], object],
        *,
        streams: frozenset[Stream] = frozenset({"report"}),
    ) -> None:
        self.streams = streams
        self._function = function
        self._paid: set[str] = set()

    def judge(self, process: int | str, line: str) -> Verdict:
        """Accepts a line that is new to this reward and that the function returns True for."""
        text = line.strip()
        if text in self._paid:
            return Verdict(accepted=False, why="paid already")
        if len(self._paid) >= DISTINCT_MAX:
            return Verdict(accepted=False, why=f"this reward has paid {DISTINCT_MAX} results")
        try:
            answer = self._function(line)
        except Exception as error:
            # The sponsor's function is foreign code: whatever it raises is its answer "no".
            return Verdict(accepted=False, why=_shorten(f"{type(error).__name__}: {error}"))
        if not isinstance(answer, bool):
            return Verdict(
                accepted=False, why=f"the function returned {type(answer).__name__}, not a bool"
            )
        if not answer:
            return Verdict(accepted=False, why="refused by the function")
        self._paid.add(text)
        return ACCEPTED


def check_resolver(resolver: str, options: Mapping[str, object], *, what: str) -> None:
    """Checks a reward's resolver and options without importing anything.

    Args:
        resolver: `prime`, `regex` or `python:module:function`.
        options: the resolver's own keys.
        what: the reward's name for messages.

    Raises:
        ConfigError: MX1012 when they do not fit, MX1001 for an unknown option.
    """
    kind = resolver.partition(":")[0]
    if kind == "python":
        split_reference(resolver, what=what)
        _check_options(options, ("stream",), kind="python", what=what)
        _streams(options, default="report", what=what)
        return
    _build_builtin(resolver, options, what=what)


def build_resolver(
    resolver: str,
    options: Mapping[str, object],
    *,
    what: str,
    base_dir: Path | None = None,
    deterministic: bool = False,
) -> Resolver:
    """Returns the resolver of a reward; for `python:` imports its function.

    Args:
        resolver: `prime`, `regex` or `python:module:function`.
        options: the resolver's own keys.
        what: the reward's name for messages.
        base_dir: folder whose Python modules may be named; the fleet file's.
        deterministic: no verdict may depend on how fast this machine is.

    Raises:
        ConfigError: MX1012 when they do not fit or the function cannot be imported, MX1001 for an
            unknown option.
    """
    if resolver.partition(":")[0] != "python":
        return _build_builtin(resolver, options, what=what, deterministic=deterministic)
    check_resolver(resolver, options, what=what)
    function = import_function(resolver, what=what, base_dir=base_dir)
    return CallableResolver(function, streams=_streams(options, default="report", what=what))


def _build_builtin(
    resolver: str, options: Mapping[str, object], *, what: str, deterministic: bool = False
) -> Resolver:
    if resolver == "prime":
        return PrimeResolver(options, what=what)
    if resolver == "regex":
        return RegexResolver(options, what=what, deterministic=deterministic)
    raise ConfigError(
        f"{what}: unknown resolver: {resolver[:80]!r}",
        code="MX1012",
        hint=choices_hint(resolver, RESOLVERS),
    )


def _check_options(
    options: Mapping[str, object],
    known: tuple[str, ...],
    *,
    kind: str,
    what: str,
    required: tuple[str, ...] = (),
) -> None:
    for key in options:
        if key not in known:
            raise ConfigError(
                f"{what}: unknown option {key!r} of a {kind} resolver",
                code="MX1001",
                hint=choices_hint(key, known),
            )
    for key in required:
        if key not in options:
            raise ConfigError(
                f"{what}: option {key!r} is missing",
                code="MX1012",
                hint="a regex reward needs pattern and direction",
            )


def _word_option(
    options: Mapping[str, object], key: str, words: tuple[str, ...], *, default: str, what: str
) -> str:
    value = options.get(key, default)
    if not isinstance(value, str) or value not in words:
        raise ConfigError(
            f"{what}: {key}: {value!r}", code="MX1012", hint=f"one of {', '.join(words)}"
        )
    return value


def _streams(options: Mapping[str, object], *, default: str, what: str) -> frozenset[Stream]:
    word = _word_option(options, "stream", tuple(_STREAMS), default=default, what=what)
    return _STREAMS[word]


def _integer_option(options: Mapping[str, object], key: str, *, default: int, what: str) -> int:
    value = options.get(key, default)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 64:
        return int(value)
    raise ConfigError(
        f"{what}: {key}: not an integer: {str(value)[:64]!r}",
        code="MX1012",
        hint=f'such as {key} = 1000000 or {key} = "1000000"',
    )


def _step_option(options: Mapping[str, object], *, what: str) -> Fraction:
    value = options.get("min_step", 0)
    if isinstance(value, float):
        value = repr(value)
    number = (
        _number(str(value))
        if isinstance(value, (int, str, Decimal)) and not isinstance(value, bool)
        else None
    )
    if number is None or number < 0:
        raise ConfigError(
            f"{what}: min_step: not a number from 0 on: {str(value)[:64]!r}", code="MX1012"
        )
    return number


def _compile(pattern: object, *, what: str) -> regex.Pattern[str]:
    if not isinstance(pattern, str) or len(pattern) > LINE_BYTES_MAX:
        raise ConfigError(f"{what}: pattern: not a text up to 4 KiB", code="MX1012")
    try:
        compiled = regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ConfigError(
            f"{what}: pattern does not compile: {pattern[:80]!r}: {error}",
            code="MX1012",
            hint="single quotes keep backslashes in TOML: pattern = 'wirelen = ([0-9]+)'",
        ) from error
    if compiled.groups != 1:
        raise ConfigError(
            f"{what}: pattern has {compiled.groups} capture groups: {pattern[:80]!r}",
            code="MX1012",
            hint="exactly one group holds the number; write (?:…) for the others",
        )
    return compiled


def _number(text: str) -> Fraction | None:
    """Returns the exact value of a finite decimal number, or None. Bounded in time and size."""
    stripped = text.strip()
    if len(stripped) > _NUMBER_LENGTH_MAX or not stripped.isascii():
        return None
    try:
        value = Decimal(stripped)
    except InvalidOperation:
        return None
    if not value.is_finite() or (value and abs(value.adjusted()) > _EXPONENT_MAX):
        return None
    return Fraction(value) if value else Fraction(0)


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 200 else flat[:200] + "…"
