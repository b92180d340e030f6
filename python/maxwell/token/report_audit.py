"""`report.json` against the summary and the receipts: every figure that both know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maxwell.errors import BadReceipt, MaxwellError
from maxwell.observe.report_json import report_from_json
from maxwell.token.registry import COMPONENTS
from maxwell.token.statements import CREDIT_KEYS

if TYPE_CHECKING:
    from maxwell.node.record import ProcessRecord, RunRecord
    from maxwell.token.receipt import Receipt
    from maxwell.token.statements import Summary
    from maxwell.token.verify import Verified

NAMES: Final = {
    "energy_uj": "energy_uj",
    "uncollected_uj": "uncollected_uj",
    "earned_credits": "rewards",
    "rent_credits": "rent",
    "tax_credits": "tax",
    "premium_credits": "premium",
    "returned_credits": "returned",
    "rent_unpaid": "rent_unpaid",
    "freed_bits": "freed_bits",
    "discarded_bits": "discarded_bits",
    "tax_unpaid": "tax_unpaid",
    "beliefs": "beliefs",
    "beliefs_refused": "beliefs_refused",
    "information_credits": "information_credits",
    "stake_lost_credits": "stake_lost_credits",
    "requests": "requests_settled",
    "inferences": "inferences",
    "macs": "macs",
    "inference_uj": "inference_uj",
    "proof_uj": "proof_uj",
    "claims_paid": "claims_paid",
    "claims_refused": "claims_refused",
    "request_credits": "request_credits",
    "memory_bytes_max": "memory_bytes_max",
    "results": "results",
    "slices": "slices",
    "fuel": "fuel",
}
"""Figures of a process by their names in `report.json` and `died`, and in receipts."""

REPORT_NAMES: Final = NAMES | {
    "cpu_ns": "cpu_ns",
    "host_calls": "host_calls",
    "host_bytes": "host_bytes",
    "last_bid_ppm": "bid_ppm",
    "last_price_ppm": "price_ppm",
    "admission_credits": "admission",
}
DERIVED: Final = ("paid_credits", "erased_bits", "bits_q32")
"""Figures that are sums of several of a receipt's."""
_PLACES: Final = {
    field.name: (component.key, field.key) for component in COMPONENTS for field in component.fields
}
_PAID: Final = ("burned", "premium", "rent", "tax", "admission", "request_credits")
_NS: Final = 1_000_000_000


def figure_of(receipt: Receipt, name: str) -> int:
    """Returns a figure of a receipt by its registered name."""
    return receipt.figure(*_PLACES[name])


def account_of(verified: Verified, name: str) -> tuple[Receipt | None, dict[str, int]]:
    """Returns a process's last receipt and the figures that its report must show.

    A process that was moved before it started has more than one chain; the first ones hold its
    price of admission and nothing else that stays.
    """
    chains = [chain for chain in verified.chains.values() if chain.name == name]
    if not chains:
        return None, dict.fromkeys((*REPORT_NAMES, *DERIVED), 0)
    last = chains[-1].last
    figures = {key: figure_of(last, place) for key, place in REPORT_NAMES.items()}
    receipts = [chain.last for chain in chains]
    figures["admission_credits"] = sum(figure_of(r, "admission") for r in receipts)
    tiers = ("at_end_bits", "freed_bits", "discarded_bits")
    figures["erased_bits"] = sum(figure_of(last, tier) for tier in tiers)
    figures["bits_q32"] = figure_of(last, "gained_q32") - figure_of(last, "lost_q32")
    figures["paid_credits"] = sum(figure_of(r, part) for r in receipts for part in _PAID)
    return last, figures


def check_report(data: bytes, summary: Summary, verified: Verified) -> RunRecord:
    """Compares a report with what was signed; returns it.

    Raises:
        BadReceipt: MX1613 at the first difference.
    """
    try:
        record = report_from_json(data, what="report.json")
    except MaxwellError as error:
        raise BadReceipt(f"report.json: {error.message}", code="MX1613") from error
    except (RecursionError, ValueError) as error:
        raise BadReceipt(f"report.json: not a report: {error}", code="MX1613") from error
    opening = verified.opening
    for what, says, is_ in (
        ("seed", record.seed, opening.seed),
        ("deterministic", record.deterministic, opening.deterministic),
        ("version", record.version, opening.maxwell),
        ("wall_ns", record.wall_ns, summary.ended_ns),
        ("interrupted", record.interrupted, summary.interrupted),
        ("conservation_ok", record.conservation_ok, summary.conserved),
        ("provenance", record.provenance, summary.provenance),
        ("interval_uj", record.interval_uj, summary.energy["interval"]),
        ("uncollected_uj", record.uncollected_uj, summary.energy["uncollected"]),
    ):
        _require(what, says, is_)
    for name in record.credits.__struct_fields__:
        if name in CREDIT_KEYS.values():
            _require(f"credits.{name}", getattr(record.credits, name), summary.credits[name])
    for name in record.energy.__struct_fields__:
        _require(f"energy_uj.{name}", getattr(record.energy, name), summary.energy[name])
    names = {process.name for process in record.processes}
    for chain in verified.chains.values():
        if chain.name not in names:
            _fail(f"it leaves out process {chain.name!r}, which has receipts")
    for process in record.processes:
        _check_process(process, verified)
    return record


def _check_process(process: ProcessRecord, verified: Verified) -> None:
    last, figures = account_of(verified, process.name)
    for key, expected in figures.items():
        _require(f"process {process.name!r}: {key}", getattr(process, key), expected)
    if last is None:
        return
    digest = f"sha256:{last.identity.module_digest.hex()}"
    ending = process.outcome if last.ending != "moved" else "moved"
    for what, says, is_ in (
        ("account", process.account, last.identity.account),
        ("module_digest", process.module_digest, digest),
        ("outcome", ending, last.ending),
        (
            "memory_byte_ns",
            process.memory_byte_ns // _NS,
            figure_of(last, "memory_byte_seconds"),
        ),
    ):
        _require(f"process {process.name!r}: {what}", says, is_)


def _require(what: str, says: object, is_: object) -> None:
    if says != is_:
        _fail(f"{what} is {says}, signed was {is_}")


def _fail(why: str) -> None:
    raise BadReceipt(f"report.json: {why}", code="MX1613")
