"""A process of a run that was killed before it wrote its report: what its events still tell.

Whoever was alive at the last event is `lost`; its figures are those of the last epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from maxwell.errors import ConfigError, choices_hint
from maxwell.node.record import ProcessRecord
from maxwell.observe.events import as_integer, read_events

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.node.view import Outcome
    from maxwell.observe.events import Event

REASON: Final = "the run was ended from outside before it wrote its report"

FIGURES: Final = (
    "energy_uj",
    "uncollected_uj",
    "paid_credits",
    "earned_credits",
    "rent_credits",
    "tax_credits",
    "premium_credits",
    "returned_credits",
    "rent_unpaid",
    "tax_unpaid",
    "erased_bits",
    "freed_bits",
    "discarded_bits",
    "memory_byte_ns",
    "memory_bytes_max",
    "results",
    "bits_q32",
    "beliefs",
    "beliefs_refused",
    "information_credits",
    "stake_lost_credits",
    "inferences",
    "macs",
    "inference_uj",
    "proof_uj",
    "claims_paid",
    "claims_refused",
    "slices",
    "fuel",
)
"""Figures of a record that `died` carries."""


class _Life:
    """What the events say of one process."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {"outcome": "lost", "reason": REASON}
        self.figures: dict[str, int] = dict.fromkeys(FIGURES, 0)
        self.admission_credits = 0
        self.funds_credits = 0
        self.times_ns = [0, 0]
        self.cell = -1
        self.last_bid_ppm = 0
        self.last_price_ppm = 0
        self.exit_code: int | None = None
        self.dead = False

    def take(self, event: Event) -> None:
        """Takes an event that names the process."""
        match event.name:
            case "admitted":
                self.texts["digest"] = event.text("module_digest")
                self.admission_credits = event.integer("admission_credits")
            case "spawned":
                self.texts["account"] = event.text("account")
                self.cell = event.integer("cell")
                self.funds_credits = event.integer("funds_credits")
                self.times_ns = [event.t_ns, event.t_ns]
                self.figures["paid_credits"] = self.admission_credits
                self.figures["returned_credits"] = self.funds_credits
            case "result":
                self.figures["results"] += 1
                self.figures["earned_credits"] += event.integer("paid_credits")
            case "inference":
                self.figures["inference_uj"] += event.integer("run_uj")
                self.figures["proof_uj"] += event.integer("proof_uj")
                if event.text("call") == "infer" and event.integer("errno") == 0:
                    self.figures["inferences"] += event.integer("batch")
                    self.figures["macs"] += event.integer("macs")
            case "inference_paid":
                self.figures["results"] += 1
                self.figures["claims_paid"] += 1
                self.figures["earned_credits"] += event.integer("paid_credits")
            case "refused_claim":
                # Logs of older versions have one event each.
                self.figures["claims_refused"] += (
                    event.integer("count") if "count" in event.fields else 1
                )
            case "belief" | "claim":
                paid = event.integer("paid_credits")
                self.figures["bits_q32"] += event.integer("bits_q32")
                self.figures["beliefs"] += 1 if event.name == "claim" else event.integer("believed")
                self.figures["information_credits"] += paid
                self.figures["earned_credits"] += paid
                self.figures["stake_lost_credits"] += event.integer("lost_credits")
            case "refused_belief":
                self.figures["beliefs_refused"] += event.integer("count")
            case "died":
                self.dead = True
                self.texts["outcome"], self.texts["reason"] = (
                    event.text("outcome"),
                    event.text("reason"),
                )
                self.times_ns[1] = max(event.t_ns, self.times_ns[0])
                for key in FIGURES:
                    if key in event.fields:
                        self.figures[key] = event.integer(key)
                if event.fields.get("exit_code") is not None:
                    self.exit_code = event.integer("exit_code")
            case _:
                pass

    def see(self, t_ns: int, row: list[object]) -> None:
        """Takes the process's row of a sample."""
        if self.dead:
            return
        bid_ppm, price_ppm, balance, energy_uj = (
            as_integer(value, what="sample") for value in row[2:6]
        )
        self.last_bid_ppm, self.last_price_ppm = bid_ppm, price_ppm
        self.times_ns[1] = t_ns
        self.figures["energy_uj"] = energy_uj
        self.figures["returned_credits"] = balance
        gained = self.figures["earned_credits"] - self.figures["stake_lost_credits"]
        spent = self.funds_credits + gained - balance
        self.figures["paid_credits"] = self.admission_credits + max(0, spent)


def unfinished_process(events: Path, name: str) -> ProcessRecord:
    """Returns the account of a process, as far as the events of its run go.

    Args:
        events: the run's `events.jsonl`.
        name: of the process.

    Raises:
        ConfigError: MX1001 when the run had no such process; MX1000 when the file is damaged.
    """
    life = _Life()
    fleet: list[str] = []
    for event in read_events(events):
        if event.name == "run_started":
            fleet = [str(entry) for entry in cast("list[object]", event.fields.get("fleet", []))]
        elif event.name == "sample":
            rows = event.fields.get("processes")
            for row in cast("list[object]", rows) if isinstance(rows, list) else []:
                columns = cast("list[object]", row) if isinstance(row, list) else []
                if len(columns) == 6 and columns[0] == name:
                    life.see(event.t_ns, columns)
        elif event.text("process") == name:
            life.take(event)
    if not fleet:
        raise ConfigError(
            f"no events yet: {events}: the run was killed, or is looked at, before it had started",
            code="MX1002",
            hint="nothing has run: no process was placed and nothing was charged",
        )
    if name not in fleet:
        raise ConfigError(
            f"no such process in this run: {name!r}",
            code="MX1001",
            hint=choices_hint(name, fleet),
        )
    return ProcessRecord(
        name=name,
        account=life.texts.get("account", name),
        outcome=cast("Outcome", life.texts["outcome"]),
        reason=life.texts["reason"],
        exit_code=life.exit_code,
        module_digest=life.texts.get("digest", ""),
        **life.figures,
        admission_credits=life.admission_credits,
        cpu_ns=0,
        host_calls=0,
        host_bytes=0,
        stdout_bytes=0,
        stdout_lost_bytes=0,
        unsupported_calls=(),
        born_ns=life.times_ns[0],
        died_ns=life.times_ns[1],
        cell=life.cell,
        last_bid_ppm=life.last_bid_ppm,
        last_price_ppm=life.last_price_ppm,
    )
