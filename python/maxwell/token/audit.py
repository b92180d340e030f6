"""`maxwell audit`: whether a run's folder is what its node signed, from its files alone.

In this order: the summary's signature, the receipts, the summary against the receipts,
`report.json` and `events.jsonl` against both, and their hashes. The first violation ends it.

The picture and the files of `output/` are drawn from these and are not signed.

What this cannot show: that the metered joules were drawn. The node meters itself; compare its sums
with a meter of your own.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import BadReceipt, ConfigError
from maxwell.observe.folder import RunFolder
from maxwell.token.cose import check_sign1, read_sign1
from maxwell.token.events_audit import check_events
from maxwell.token.key import text_of
from maxwell.token.registry import CREDITS
from maxwell.token.report_audit import check_report
from maxwell.token.statements import Summary, read_summary
from maxwell.token.store import SUMMARY_BYTES_MAX, read_file
from maxwell.token.verify import Verified, Verifier

if TYPE_CHECKING:
    from pathlib import Path

REPORT_BYTES_MAX: Final = 1 << 30
_NS: Final = 1_000_000_000


class Check(msgspec.Struct, frozen=True):
    """One thing that holds."""

    name: str
    detail: str


class Violation(msgspec.Struct, frozen=True):
    """The first thing that does not."""

    code: str
    message: str


class Audit(msgspec.Struct, kw_only=True):
    """What an audit found."""

    folder: str
    key: str | None = None
    """The key that signed the run; None when it could not be read."""
    pinned: bool = False
    """Whether the auditor named the key; otherwise it is taken from the folder on trust."""
    run_id: str | None = None
    checks: list[Check] = []
    violation: Violation | None = None

    @property
    def holds(self) -> bool:
        """Whether everything holds."""
        return self.violation is None


def audit_folder(path: Path, *, key: bytes | None = None) -> Audit:
    """Audits the folder of a run.

    Args:
        path: the folder.
        key: the public key of the node that is to have signed it; None trusts the folder's.

    Raises:
        ConfigError: MX1002 when there is no run with receipts here.
    """
    folder = RunFolder(path)
    audit = Audit(folder=str(path), pinned=key is not None)
    if not any(file.exists() for file in (folder.receipts, folder.summary)):
        raise ConfigError(
            f"no receipts: {path} holds no {folder.receipts.name}",
            code="MX1002",
            hint="name the folder of a run, such as runs/fleet-1",
        )
    try:
        _run_checks(folder, key, audit)
    except BadReceipt as error:
        audit.violation = Violation(error.code, error.message)
    return audit


def _run_checks(folder: RunFolder, key: bytes | None, audit: Audit) -> None:
    summary = read_summary_file(folder) if folder.summary.exists() else None
    if not folder.receipts.exists():
        count = 0 if summary is None else summary.receipts
        raise BadReceipt(
            f"{folder.receipts.name} is missing; the summary counts {count} receipts",
            code="MX1612",
        )
    heads = {} if summary is None else {head.process: head.hash for head in summary.heads}
    verifier = Verifier(key=key, heads=heads)
    data = read_file(folder.receipts)
    try:
        verified = verifier.read(data)
    except BadReceipt as error:
        state = verifier.state
        _note_receipts(audit, state)
        if error.code == "MX1610" and summary is not None and summary.lost_batches:
            raise _incomplete(summary) from error
        raise
    _note_receipts(audit, verified)
    if summary is None:
        raise BadReceipt(
            f"{folder.summary.name} is missing: the run was ended from outside, or the file was "
            f"removed; its receipts verify up to {verified.t_ns / _NS:g} s",
            code="MX1611",
        )
    check_summary(summary, verified)
    minted = summary.credits["minted"]
    audit.checks.append(
        Check("summary", f"heads, counts and sums agree; {minted} credits minted are conserved")
    )
    report = _read(folder.report, "MX1613")
    # Figures first, so that a changed one is named; then the file as a whole.
    record = check_report(report, summary, verified)
    _same_hash(report, summary.report_hash, folder.report.name, "MX1613")
    audit.checks.append(Check("report", f"{folder.report.name} is the one that was signed"))
    if summary.events_hash is None:
        if folder.events.is_file():
            raise BadReceipt(
                f"{folder.events.name} was not there when the summary was signed", code="MX1614"
            )
        audit.checks.append(Check("events", "the run kept none"))
        return
    events = _read(folder.events, "MX1614")
    lines = check_events(folder.events, summary, verified, record)
    _same_hash(events, summary.events_hash, folder.events.name, "MX1614")
    audit.checks.append(Check("events", f"{lines:,} lines of {folder.events.name} agree"))


def _note_receipts(audit: Audit, state: Verified | None) -> None:
    if state is None:
        return
    audit.key = text_of(state.opening.public_key)
    audit.run_id = state.run_id.hex()
    trust = "the one that was given" if audit.pinned else "found in the folder; pin it with --key"
    audit.checks.append(Check("key", f"{audit.key} ({trust})"))
    audit.checks.append(
        Check(
            "receipts",
            f"{state.receipts:,} receipts of {len(state.chains):,} processes in {state.batches:,} "
            f"batches, until {state.t_ns / _NS:g} s: signatures, chains and sums hold",
        )
    )


def read_summary_file(folder: RunFolder) -> Summary:
    """Reads a summary and checks its signature against the key that it names.

    Raises:
        BadReceipt: MX1602, MX1603 or MX1604.
    """
    what = folder.summary.name
    data = _read(folder.summary, "MX1602", bytes_max=SUMMARY_BYTES_MAX)
    signed = read_sign1(data, what=what)
    summary = read_summary(signed.payload, what=what)
    check_sign1(signed, summary.public_key, what=what)
    return summary


def check_summary(summary: Summary, verified: Verified) -> None:
    """Compares a summary with the receipts that it binds.

    Raises:
        BadReceipt: MX1604, MX1609, MX1610 or MX1612.
    """
    opening = verified.opening
    if summary.public_key != opening.public_key:
        raise BadReceipt(
            f"the summary is signed by {text_of(summary.public_key)}, "
            f"the receipts by {text_of(opening.public_key)}",
            code="MX1604",
        )
    if summary.run_id != verified.run_id:
        raise BadReceipt(
            f"the summary is of run {summary.run_id.hex()[:16]}, "
            f"the receipts are of run {verified.run_id.hex()[:16]}",
            code="MX1609",
        )
    if summary.lost_batches:
        raise _incomplete(summary)
    _require(summary.batches, verified.batches, "batches")
    _require(summary.receipts, verified.receipts, "receipts")
    _require(summary.last.hex()[:16], verified.last.hex()[:16], "the last statement")
    _require((summary.seed), opening.seed, "the seed")
    _require(summary.fleet_hash.hex()[:16], opening.fleet_hash.hex()[:16], "the fleet")
    heads = {head.process: head for head in summary.heads}
    named = [head.process for head in summary.heads]
    _require(named, sorted(verified.chains), "the processes")
    for process, chain in verified.chains.items():
        _require(heads[process].count, chain.count, f"the number of receipts of {chain.name!r}")
        _require(heads[process].hash, chain.head, f"the last receipt of {chain.name!r}")
        if chain.last.ending is None:
            raise BadReceipt(f"{chain.name!r} has no last receipt", code="MX1612")
    _check_sums(summary, verified)


def _check_sums(summary: Summary, verified: Verified) -> None:
    last = [chain.last for chain in verified.chains.values()]
    for field in CREDITS.fields:
        total = sum(receipt.figure(CREDITS.key, field.key) for receipt in last)
        _require(summary.sums.get(field.key), total, f"the sum of {field.name}")
    credits, energy = summary.credits, summary.energy
    sums = {field.name: summary.sums[field.key] for field in CREDITS.fields}
    parts = ("held", "leased", "escrowed", "burned", "commons", "expired")
    inflow = sum(sums[name] for name in ("premium", "rent", "tax", "admission", "request_credits"))
    for what, says, is_ in (
        ("minted", credits["minted"], sum(credits[name] for name in parts)),
        ("burned", credits["burned"], sums["burned"]),
        ("the commons", credits["commons"], inflow - credits["income"]),
        ("leased", credits["leased"], sums["balance"]),
        ("what was sent", sums["sent"], sums["received"]),
        (
            "metered joules",
            energy["metered"],
            sum(energy[name] for name in ("processes", "idle", "system", "unattributed")),
        ),
        ("process joules", energy["processes"], sum(r.energy("energy_uj") for r in last)),
        ("uncollected joules", energy["uncollected"], energy["processes"] - credits["burned"]),
    ):
        if says != is_:
            raise BadReceipt(f"not conserved: {what}: {says} is not {is_}", code="MX1612")
    if min(credits.values()) < 0:
        raise BadReceipt("the summary has negative credits", code="MX1612")
    if not summary.conserved:
        raise BadReceipt("the node itself says that conservation failed", code="MX1612")


def _require(says: object, is_: object, what: str) -> None:
    if says != is_:
        shown = [x.hex()[:16] if isinstance(x, bytes) else x for x in (says, is_)]
        raise BadReceipt(
            f"{what}: the summary says {shown[0]}, the receipts {shown[1]}", code="MX1612"
        )


def _incomplete(summary: Summary) -> BadReceipt:
    return BadReceipt(
        f"receipts.cbor is incomplete: the node could not write {summary.lost_batches} of "
        f"{summary.batches} batches",
        code="MX1610",
    )


def _read(path: Path, code: str, *, bytes_max: int = REPORT_BYTES_MAX) -> bytes:
    try:
        if not path.is_file():
            raise BadReceipt(f"{path.name} is missing", code=code)
        with path.open("rb") as file:
            return file.read(bytes_max + 1)[:bytes_max]
    except OSError as error:
        raise BadReceipt(f"{path.name} cannot be read: {error.strerror}", code=code) from error


def _same_hash(data: bytes, expected: bytes, name: str, code: str) -> None:
    if sha256(data).digest() != expected:
        raise BadReceipt(
            f"{name} is not the file that was signed, though no figure that receipts know differs",
            code=code,
        )
