"""The options of `[[reward]]` tables that ask questions: `stream` and `predicate`.

Checked when a fleet file is read; the text of a stream is read when the run begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from maxwell.errors import ConfigError, choices_hint
from maxwell.market.primes import PRIME_BOUND
from maxwell.units import parse_duration_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

QUESTION_RESOLVERS: Final = ("stream", "predicate")
CHUNK_MAX: Final = 256
"""Symbols that one `observe` may reveal: the kernel settles at most two blocks in it."""
BYTES: Final = "bytes"
TESTS: Final = ("prime",)

_STREAM: Final = ("file", "alphabet", "chunk", "limit", "deadline")
_PREDICATE: Final = ("test", "from", "to", "deadline")


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A text that is fed symbol by symbol."""

    file: str
    """A path relative to the fleet file, or `cache:path`."""
    alphabet: bytes = b""
    """The symbols in the order of the outcomes; empty for all 256 bytes."""
    chunk: int = 1
    """Symbols that one `observe` reveals."""
    limit: int | None = None
    """Only the first symbols of the file."""
    deadline_ns: int | None = None


class PredicateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A property of numbers that the host checks."""

    test: str
    least: int
    most: int
    deadline_ns: int | None = None


QuestionOptions: TypeAlias = StreamOptions | PredicateOptions


def is_question(resolver: str) -> bool:
    """Returns whether a reward pays for beliefs by the bit rather than for results."""
    return resolver in QUESTION_RESOLVERS


def parse_question(resolver: str, options: Mapping[str, object], *, what: str) -> QuestionOptions:
    """Checks the options of a question.

    Args:
        resolver: `stream` or `predicate`.
        options: the reward's own keys.
        what: the reward's name for messages.

    Raises:
        ConfigError: MX1001 for an unknown option, MX1012 for one that does not fit, MX1005 and
            MX1006 for a duration.
    """
    known = _STREAM if resolver == "stream" else _PREDICATE
    for key in options:
        if key not in known:
            raise ConfigError(
                f"{what}: unknown option {key!r}", code="MX1001", hint=choices_hint(key, known)
            )
    deadline = options.get("deadline")
    deadline_ns = None
    if deadline is not None:
        if not isinstance(deadline, str | int | float):
            raise _bad(what, "deadline", deadline, 'such as deadline = "30 s"')
        deadline_ns = parse_duration_ns(deadline, what=f"{what}: deadline")
    if resolver == "stream":
        return _stream(options, deadline_ns, what)
    test = options.get("test", "prime")
    if test not in TESTS:
        raise _bad(what, "test", test, choices_hint(str(test), TESTS))
    least = _integer(options, "from", 2, (2, PRIME_BOUND - 1), what)
    return PredicateOptions(
        test=str(test),
        least=least,
        most=_integer(options, "to", PRIME_BOUND - 1, (least, PRIME_BOUND - 1), what),
        deadline_ns=deadline_ns,
    )


def _stream(options: Mapping[str, object], deadline_ns: int | None, what: str) -> StreamOptions:
    file = options.get("file")
    if not isinstance(file, str) or not file or "\0" in file:
        raise ConfigError(
            f"{what}: option 'file' is missing",
            code="MX1012",
            hint='a stream needs the text that it feeds, such as file = "text.txt"',
        )
    limit = None
    if "limit" in options:
        limit = _integer(options, "limit", 1, (1, 1 << 26), what)
    return StreamOptions(
        file=file,
        alphabet=_alphabet(options.get("alphabet", BYTES), what),
        chunk=_integer(options, "chunk", 1, (1, CHUNK_MAX), what),
        limit=limit,
        deadline_ns=deadline_ns,
    )


def _alphabet(value: object, what: str) -> bytes:
    if value == BYTES:
        return b""
    if isinstance(value, str) and value.isascii() and len(set(value)) == len(value) >= 2:
        return value.encode()
    raise _bad(
        what,
        "alphabet",
        value,
        'alphabet = "bytes", or two or more different ASCII characters such as alphabet = "01"',
    )


def _integer(
    options: Mapping[str, object], key: str, default: int, bounds: tuple[int, int], what: str
) -> int:
    value = options.get(key, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 64:
        value = int(value)
    low, high = bounds
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _bad(what, key, value, f"an integer from {low} to {high}")
    return value


def _bad(what: str, key: str, value: object, hint: str) -> ConfigError:
    return ConfigError(f"{what}: {key}: {str(value)[:64]!r}", code="MX1012", hint=hint)
