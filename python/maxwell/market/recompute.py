"""Recomputing bits, dues and lost stakes from a run's events, without the kernel and the text.

`events.jsonl` holds, for every block of a stream that a process believed something of, the two
probabilities of each symbol that came; for every claim those of what turned out to hold. Whoever
has the text can check the public ones too: `check_public`.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TYPE_CHECKING

import msgspec

from maxwell.errors import ConfigError
from maxwell.market.information import (
    FLOOR,
    ONE,
    PublicBelief,
    bits_q32,
    gain_credits,
    loss_credits,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maxwell.observe.events import Event


class Recomputed(msgspec.Struct, kw_only=True):
    """What a process's beliefs were worth, by the events alone."""

    bits_q32: int = 0
    """In units of 2^-32 bit."""
    beliefs: int = 0
    """Symbols and claims with a belief."""
    due_credits: int = 0
    """What its bits were worth beyond what the sponsor had bought before."""
    paid_credits: int = 0
    """What the events say was paid: `due_credits`, less where an escrow was empty."""
    lost_credits: int = 0


def recompute_bits(events: Iterable[Event]) -> dict[str, Recomputed]:
    """Recomputes every process's bits from the events of a run.

    Args:
        events: those of `maxwell.observe.events.read_events`, in their order.

    Returns:
        By process name; processes without a resolved belief are left out.

    Raises:
        ConfigError: MX1002 when an event names an unknown question, holds no probabilities, or
            says that more was paid than was due.
    """
    kappas: dict[str, int] = {}
    bought: dict[tuple[str, object], int] = {}
    found: dict[str, Recomputed] = {}
    for event in events:
        if event.name == "question":
            kappas[event.text("question")] = event.integer("kappa_credits")
        if event.name not in ("belief", "claim"):
            continue
        question = event.text("question")
        kappa = kappas.get(question)
        if kappa is None:
            raise _damaged(event, f"no question {question!r} was announced")
        own, public = _probabilities(event)
        bits = sum(bits_q32(o, p) for o, p in zip(own, public, strict=True) if o)
        paid = event.integer("paid_credits")
        place = event.integer("start") if event.name == "belief" else event.text("number")
        what = (question, place)
        due = max(0, gain_credits(kappa, bits) - bought.get(what, 0))
        if paid > due:
            raise _damaged(event, f"{paid} credits were paid, {due} were due")
        bought[what] = bought.get(what, 0) + paid
        total = found.setdefault(event.text("process"), Recomputed())
        total.bits_q32 += bits
        total.beliefs += sum(1 for probability in own if probability)
        total.due_credits += due
        total.paid_credits += paid
        total.lost_credits += loss_credits(kappa, bits)
    return found


def check_public(event: Event, text: bytes, alphabet: bytes = b"") -> bool:
    """Checks the public probabilities of a `belief` event against the text that was fed.

    Args:
        event: a `belief` event.
        text: the stream, whose digest the `question` event names.
        alphabet: its symbols; empty for all bytes.

    Returns:
        Whether they are those of the adaptive model of order 0.
    """
    symbols = alphabet or bytes(range(256))
    start = event.integer("start")
    _, public = _probabilities(event)
    belief = PublicBelief(len(symbols))
    for symbol in text[:start]:
        belief.see(symbols.index(symbol))
    for symbol, probability in zip(text[start : start + len(public)], public, strict=True):
        outcome = symbols.index(symbol)
        if belief.probability(outcome) != probability:
            return False
        belief.see(outcome)
    return True


def _probabilities(event: Event) -> tuple[Sequence[int], Sequence[int]]:
    if event.name == "claim":
        own, public = [event.integer("own")], [event.integer("public")]
    else:
        own, public = _unpack(event, "own"), _unpack(event, "public")
    bad = [p for p in (*own, *public) if not FLOOR <= p < ONE and p != 0]
    if len(own) != len(public) or bad or 0 in public:
        raise _damaged(event, "its probabilities do not fit")
    return own, public


def _unpack(event: Event, key: str) -> Sequence[int]:
    try:
        packed = base64.b64decode(event.text(key), validate=True)
        return struct.unpack(f"<{len(packed) // 4}I", packed)
    except (binascii.Error, struct.error) as error:
        raise _damaged(event, f"{key} holds no probabilities") from error


def _damaged(event: Event, why: str) -> ConfigError:
    return ConfigError(
        f"event {event.name} at {event.t_ns} ns: {why}",
        code="MX1002",
        hint="the file was changed after the run, or is not whole",
    )
