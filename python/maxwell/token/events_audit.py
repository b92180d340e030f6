"""`events.jsonl` against the receipts: deaths, payments, admissions and the settlement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from maxwell.errors import BadReceipt, MaxwellError
from maxwell.observe.events import as_integer, read_events
from maxwell.token.report_audit import DERIVED, NAMES, account_of

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.node.record import RunRecord
    from maxwell.observe.events import Event
    from maxwell.token.statements import Summary
    from maxwell.token.verify import Verified

INCOMPLETE: Final = "events.jsonl is incomplete"
"""How the report's warning begins when events were lost."""


class _Tally:
    """What the events say, to be compared at their end."""

    def __init__(self) -> None:
        self.paid: dict[str, int] = {}
        self.died: set[str] = set()
        self.settled = False


def check_events(path: Path, summary: Summary, verified: Verified, record: RunRecord) -> int:
    """Compares the events of a run with what was signed; returns their number.

    Raises:
        BadReceipt: MX1614 at the first difference, with the number of its line.
    """
    tally = _Tally()
    number = 0
    try:
        for number, event in enumerate(read_events(path), start=1):
            where = f"events.jsonl, line {number}: {event.name}"
            _check_event(event, where, tally, summary, verified)
    except BadReceipt:
        raise
    except MaxwellError as error:
        raise BadReceipt(
            error.message if "events.jsonl" in error.message else f"events.jsonl: {error.message}",
            code="MX1614",
        ) from error
    except (RecursionError, ValueError) as error:
        raise BadReceipt(
            f"events.jsonl, line {number + 1}: not an event: {error}", code="MX1614"
        ) from error
    if any(text.startswith(INCOMPLETE) for text in record.warnings):
        return number
    for process in record.processes:
        earned = tally.paid.get(process.name, 0)
        if earned != process.earned_credits:
            _fail("events.jsonl", f"rewards of {process.name!r}", earned, process.earned_credits)
        if process.name not in tally.died and account_of(verified, process.name)[0] is not None:
            raise BadReceipt(f"events.jsonl: the end of {process.name!r} is missing", code="MX1614")
    if not tally.settled:
        raise BadReceipt("events.jsonl: the settlement is missing", code="MX1614")
    return number


def _check_event(
    event: Event, where: str, tally: _Tally, summary: Summary, verified: Verified
) -> None:
    name = event.text("process")
    match event.name:
        case "run_started":
            _require(where, "seed", event.integer("seed"), verified.opening.seed)
        case "admitted":
            last, figures = account_of(verified, name)
            if last is not None:
                digest = f"sha256:{last.identity.module_digest.hex()}"
                _require(where, f"module of {name!r}", event.text("module_digest"), digest)
                paid = event.integer("admission_credits")
                _require(where, f"admission of {name!r}", paid, figures["admission_credits"])
        case "result" | "belief" | "claim" | "inference_paid":
            tally.paid[name] = tally.paid.get(name, 0) + event.integer("paid_credits")
        case "died":
            tally.died.add(name)
            _check_death(event, where, name, verified)
        case "settled":
            tally.settled = True
            for key, values in (("credits", summary.credits), ("energy_uj", summary.energy)):
                figures = event.fields.get(key)
                items = cast("dict[str, object]", figures) if isinstance(figures, dict) else {}
                for part, value in items.items():
                    says = as_integer(value, what=f"settled.{part}")
                    _require(where, f"{key}.{part}", says, values.get(part))
        case _:
            pass


def _check_death(event: Event, where: str, name: str, verified: Verified) -> None:
    last, figures = account_of(verified, name)
    if last is None:
        return
    outcome = event.text("outcome")
    _require(where, f"outcome of {name!r}", outcome, last.ending)
    for key in (*NAMES, *DERIVED):
        if key in event.fields:
            _require(where, f"{key} of {name!r}", event.integer(key), figures[key])


def _require(where: str, what: str, says: object, is_: object) -> None:
    if says != is_:
        _fail(where, what, says, is_)


def _fail(where: str, what: str, says: object, is_: object) -> None:
    raise BadReceipt(f"{where}: {what} is {says}, signed was {is_}", code="MX1614")
