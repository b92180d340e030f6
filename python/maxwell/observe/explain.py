"""`maxwell why`: how a process ended, by which rule, and what would have kept it alive.

Reads a run folder only. Every sentence carries the figures that it rests on; what is an estimate
says from which seconds of the run it was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.observe.history import ProcessHistory, Sample
from maxwell.observe.text import bits, joules, moment, price, significant
from maxwell.units import format_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.node.record import ProcessRecord
    from maxwell.observe.decimals import JsonValue
    from maxwell.observe.report import Report

NS: Final = 1_000_000_000
MIB: Final = 1 << 20

RENT_CREDITS_PER_MIB_S: Final = 400
RENT_CREDITS_PER_S: Final = 2_000
"""Rent of memory and of existing; docs/concepts/rent-and-death.md."""

RATE_WINDOW_NS: Final = 5 * NS
"""Spending rates are those of the last five seconds of life, or of all of it when shorter."""

SHOWN_COSTS_MIN_RATIO: Final = 0.0005
"""Costs below 0.05 % of the whole are left out of the list."""


class Cost(msgspec.Struct, frozen=True):
    """One kind of spending."""

    name: str
    credits: int
    ratio: float
    """Share of all that the process paid."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a process ended as it did."""

    process: str
    outcome: str
    reason: str
    """The node's own words."""
    lived_ns: int
    died_ns: int
    rule: str
    """The rule that ended it, in general."""
    what_happened: tuple[str, ...]
    """The rule applied, with the figures."""
    counterfactuals: tuple[str, ...]
    """What would have changed the end; empty when nothing about money would have."""
    costs: tuple[Cost, ...]
    """Largest first."""
    opening_credits: int
    earned_credits: int
    spending_uj_per_s: int
    """Over the last seconds, in credits per second; 0 when unknown."""
    income_uj_per_s: int
    last: tuple[Sample, ...]
    """The last epochs in which it ran, with their bids and prices, and the last of its life."""
    balances: tuple[tuple[int, int], ...]
    """Time in ns and purse in credits, over the whole life."""


RULES: Final = {
    "finished": "A process that ends by itself gets the rest of its purse and its bond back, less "
    "the erasure tax on the memory it leaves.",
    "bankrupt": "A process dies when its purse cannot pay the rent or the erasure tax that is due. "
    "Slices may not "
    "spend the last second of rent (the runway), so that whoever has spent the rest still lives "
    "for about a second.",
    "trapped": "A guest that executes a trap ends at once; what it had burned stays burned.",
    "out_of_memory": "Memory grows only up to `memory_max`, and only while the purse can pay the "
    "bond and the runway of the larger memory; `memory.grow` then fails, and this guest ended "
    "itself for it.",
    "deadline": "At the end of the run, or of its own deadline, a process is ended; the rest of "
    "its purse goes back to its account.",
    "killed": "The operator ended it; the rest of its purse went back to its account.",
    "lost": "The cell that ran it died. Its figures are those of the last settlement, at most one "
    "slice old, and the rest of its purse went back to its account.",
}


UNFINISHED_RULE: Final = (
    "The run itself was killed, or is still under way: nothing was settled and no report was "
    "written. The figures are those of the last epoch in `events.jsonl`."
)


def explain_process(report: Report, name: str) -> Explanation:
    """Explains the end of one process of a run.

    Raises:
        ConfigError: MX1001 when the run had no such process; the hint names the nearest.
    """
    return explain_record(report.process(name), report.history.process(name))


def explain_unfinished(events: Path, name: str) -> Explanation:
    """Explains what became of a process of a run that left no report.

    Raises:
        ConfigError: MX1001 when the run had no such process.
    """
    from maxwell.observe.history import read_history
    from maxwell.observe.unfinished import REASON, unfinished_process

    process = unfinished_process(events, name)
    explained = explain_record(process, read_history(events).process(name))
    if process.reason != REASON:
        return explained
    # No cell reported its end: slices and what it left are not known.
    fact = (
        f"By then it had lived {moment(process.died_ns - process.born_ns)}, burned "
        f"{joules(process.energy_uj)}, paid {joules(process.paid_credits)}, {_earned(process)}, "
        f"and had {joules(process.returned_credits)} in its purse."
    )
    return msgspec.structs.replace(
        explained, rule=UNFINISHED_RULE, what_happened=(fact,), counterfactuals=()
    )


def explain_record(process: ProcessRecord, history: ProcessHistory) -> Explanation:
    """Explains the end of a process, given its account and its course."""
    spending, income = _rates(process, history)
    return Explanation(
        process=process.name,
        outcome=process.outcome,
        reason=process.reason,
        lived_ns=process.died_ns - process.born_ns,
        died_ns=process.died_ns if history.died_ns is None else history.died_ns,
        rule=RULES[process.outcome],
        what_happened=tuple(_what_happened(process)),
        counterfactuals=tuple(_counterfactuals(process, spending, income)),
        costs=_costs(process),
        opening_credits=opening_credits(process),
        earned_credits=process.earned_credits,
        spending_uj_per_s=spending,
        income_uj_per_s=income,
        last=_last(history),
        balances=tuple((sample.t_ns, sample.balance_credits) for sample in history.samples),
    )


def _last(history: ProcessHistory) -> tuple[Sample, ...]:
    """Returns the last epochs in which it ran, then the last of its life."""
    if history.final is None or history.final in history.last:
        return tuple(history.last)
    return (*history.last, history.final)


def opening_credits(process: ProcessRecord) -> int:
    """Returns what the purse was funded with besides rewards, from what went out and came in.

    It counts opening funds, top-ups and transfers received, less transfers sent:
    funded + earned = paid + stakes lost + returned.
    """
    out = process.paid_credits + process.stake_lost_credits + process.returned_credits
    return max(out - process.earned_credits, 0)


def explanation_json(explanation: Explanation) -> dict[str, JsonValue]:
    """Returns the explanation as JSON data."""
    from maxwell.observe.decimals import to_json

    data = to_json(msgspec.to_builtins(explanation))
    assert isinstance(data, dict)
    data["balances"] = [[str(t_ns), str(credits)] for t_ns, credits in explanation.balances]
    return data


def _burned(process: ProcessRecord) -> int:
    """Returns the joules that were paid, in credits."""
    return process.energy_uj - process.uncollected_uj


def _costs(process: ProcessRecord) -> tuple[Cost, ...]:
    """Lists what the process spent, the largest first."""
    kinds = (
        ("joules burned", _burned(process)),
        ("premium of the auction", process.premium_credits),
        ("rent", process.rent_credits),
        ("erasure tax", process.tax_credits),
        ("admission", process.admission_credits),
    )
    total = sum(credits for _, credits in kinds)
    costs = [Cost(name, credits, credits / total if total else 0.0) for name, credits in kinds]
    shown = [cost for cost in costs if cost.ratio >= SHOWN_COSTS_MIN_RATIO]
    return tuple(sorted(shown, key=lambda cost: -cost.credits))


def _rates(process: ProcessRecord, history: ProcessHistory) -> tuple[int, int]:
    """Estimates spending and income in credits per second at the end of life.

    Income is that of the whole life, since rewards come in lumps; spending is what the purse lost
    over the window, corrected for that income.
    """
    lived_ns = process.died_ns - process.born_ns
    if lived_ns <= 0:
        return 0, 0
    income = process.earned_credits * NS // lived_ns
    ended_ns = process.died_ns if history.died_ns is None else history.died_ns
    window = [s for s in history.samples if s.t_ns >= ended_ns - RATE_WINDOW_NS]
    # At the very end a bankrupt pays rent only; its rate is that of the time before its runway.
    runway = _rent_per_s(process)
    window = [s for s in window if s.balance_credits > 2 * runway] or window
    if len(window) >= 2 and window[-1].t_ns > window[0].t_ns:
        span_ns = window[-1].t_ns - window[0].t_ns
        burned = window[-1].energy_uj - window[0].energy_uj
        prices = sum(sample.price_ppm for sample in window) // len(window)
        return burned * prices // 1_000_000 * NS // span_ns + runway, income
    return process.paid_credits * NS // lived_ns, income


def _rent_per_s(process: ProcessRecord) -> int:
    """Returns the mean rent per second of life; the runway holds one second of it."""
    lived_ns = process.died_ns - process.born_ns
    if lived_ns <= 0:
        return RENT_CREDITS_PER_S
    return (process.rent_credits + process.rent_unpaid) * NS // lived_ns


def _what_happened(process: ProcessRecord) -> list[str]:
    """States the facts of the end."""
    lived = moment(process.died_ns - process.born_ns)
    burned = joules(process.energy_uj)
    facts: list[str] = []
    if process.died_ns <= process.born_ns and process.slices == 0:
        return [f"It never started: {process.reason or 'the node does not say why'}."]
    if process.outcome == "bankrupt":
        if process.tax_unpaid and not process.rent_unpaid:
            facts.append(
                f"After {lived} the purse could not pay its erasure tax: "
                f"{_count(process.tax_unpaid, 'credit')} stayed unpaid."
            )
        else:
            facts.append(_rent_short(process, lived))
        facts.append(
            f"It was funded with {joules(opening_credits(process))}, "
            f"{_earned(process)}, and paid "
            f"{joules(process.paid_credits)}, of which {burned} were burned by running."
        )
    else:
        facts.append(
            f"It lived {lived}, burned {burned} in {_count(process.slices, 'slice')}, paid "
            f"{joules(process.paid_credits)}, {_earned(process)}, and gave "
            f"{joules(process.returned_credits)} back."
        )
    facts.extend(_information(process))
    facts += _erased(process)
    if process.slices == 0:
        facts.append(
            f"It never won a slice: its last bid was {price(process.last_bid_ppm)} credits/µJ."
        )
    if process.uncollected_uj:
        facts.append(f"{joules(process.uncollected_uj)} of its last slice could not be collected.")
    if process.requests:
        facts.append(
            f"It made {_count(process.requests, 'outbound request')} for "
            f"{joules(process.request_credits)}."
        )
    if process.inference_uj or process.proof_uj:
        facts.append(_inferences(process))
    if process.stdout_lost_bytes:
        facts.append(f"{format_bytes(process.stdout_lost_bytes)} of its output were dropped.")
    if process.unsupported_calls:
        facts.append(
            f"It called what this node does not offer: {', '.join(process.unsupported_calls)}."
        )
    return facts


def _inferences(process: ProcessRecord) -> str:
    """Says what the host ran and proved for it, and what of that was paid."""
    text = (
        f"The host ran {_count(process.inferences, 'inference')} for it for "
        f"{joules(process.inference_uj)}, and proved and checked for {joules(process.proof_uj)}"
    )
    if process.inference_uj:
        text += f", {significant(process.proof_uj / process.inference_uj)} times as much"
    text += f"; {_count(process.claims_paid, 'claim')} of them were paid"
    return f"{text}, {process.claims_refused:,} refused." if process.claims_refused else f"{text}."


def _rent_short(process: ProcessRecord, lived: str) -> str:
    """Says how much rent a purse was short."""
    return (
        f"After {lived} the purse could not pay its rent, about {_rent_per_s(process):,} "
        f"credits/s for {format_bytes(process.memory_bytes_max)} at most: "
        f"{_count(process.rent_unpaid, 'credit')} stayed unpaid."
    )


def _erased(process: ProcessRecord) -> list[str]:
    """Says what was erased by which tier, when it cost anything worth a line."""
    if process.tax_credits == 0 or process.freed_bits + process.discarded_bits == 0:
        return []
    left_bits = process.erased_bits - process.freed_bits - process.discarded_bits
    return [
        f"It erased {format_bytes(process.erased_bits // 8)} for "
        f"{joules(process.tax_credits)} of tax: "
        f"{format_bytes(process.freed_bits // 8)} freed, "
        f"{format_bytes(process.discarded_bits // 8)} discarded, "
        f"{format_bytes(left_bits // 8)} in pages that held something at its end."
    ]


def _count(number: int, noun: str) -> str:
    """Writes a number of things.

    >>> _count(1, "credit"), _count(2_000, "slice")
    ('1 credit', '2,000 slices')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _earned(process: ProcessRecord) -> str:
    """Writes what rewards brought."""
    if process.earned_credits == 0:
        return "earned nothing"
    results = _count(process.results, "result")
    what = [results] if process.results or not process.beliefs else []
    if process.information_credits:
        what.append(f"{bits(process.bits_q32)} bits")
    return f"earned {joules(process.earned_credits)} with {' and '.join(what)}"


def _information(process: ProcessRecord) -> list[str]:
    """Writes what its beliefs were worth."""
    facts: list[str] = []
    if process.beliefs:
        rate = bits(process.bits_q32 * 1_000_000 // max(process.energy_uj, 1))
        per_joule = f", {rate} bits/J" if process.bits_q32 > 0 else ""
        lost = (
            f"; {joules(process.stake_lost_credits)} of stakes went to the sponsor"
            if process.stake_lost_credits
            else ""
        )
        facts.append(
            f"Its beliefs about {process.beliefs:,} outcomes were worth {bits(process.bits_q32)} "
            f"bits against the public belief{per_joule}{lost}."
        )
    if process.beliefs_refused:
        were = "belief was" if process.beliefs_refused == 1 else "beliefs were"
        facts.append(f"{process.beliefs_refused:,} {were} refused.")
    return facts


def _counterfactuals(process: ProcessRecord, spending: int, income: int) -> list[str]:
    """States what would have changed the end."""
    if process.died_ns <= process.born_ns:
        return []
    if process.outcome == "bankrupt":
        return _against_bankruptcy(process, spending, income)
    if process.outcome == "out_of_memory":
        return [
            f"A larger `memory_max`: it reached {format_bytes(process.memory_bytes_max)}.",
            "A fuller purse, if the bond was the limit: each further MiB needs a bond of 4,096 "
            f"credits and {RENT_CREDITS_PER_MIB_S} credits of runway.",
        ]
    if process.outcome == "deadline":
        more = "a longer `duration` or `deadline`, or more slices per second by a higher bid"
        left = joules(process.returned_credits)
        return [f"It was solvent, with {left} left: what it lacked is time, so {more}."]
    return []


def _against_bankruptcy(process: ProcessRecord, spending: int, income: int) -> list[str]:
    """States what would have kept a bankrupt alive, each with its price."""
    net = spending - income
    texts: list[str] = []
    if net > 0:
        extra = _round_joules(max(opening_credits(process) // 4, 1_000_000))
        texts.append(
            f"Money: {joules(extra)} more in `funds` would have paid another "
            f"{moment(extra * NS // net)} at its late spending of "
            f"{joules(spending)}/s{_less(income)}."
        )
        texts.append(
            f"Income: {joules(spending)}/s of rewards would have sustained it; "
            f"it earned {f'{joules(income)}/s' if income else 'nothing'}."
        )
    memory_rent = max(_rent_per_s(process) - RENT_CREDITS_PER_S, 0)
    rent_uj = memory_rent * (process.died_ns - process.born_ns) // NS // 2
    saved_uj = rent_uj + process.tax_credits // 2
    memory_matters = memory_rent > 0 and saved_uj * 20 > process.paid_credits
    if net > 0 and memory_matters:
        half = format_bytes(memory_rent * MIB // RENT_CREDITS_PER_MIB_S // 2)
        gained = saved_uj * NS // max(net - memory_rent // 2, 1)
        texts.append(
            f"Memory: {half} less (half of its mean) would have saved "
            f"{joules(rent_uj)} of rent and {joules(process.tax_credits // 2)} of "
            f"erasure tax, enough for another {moment(gained)}."
        )
    freed_uj = min(process.freed_bits // 2048, process.tax_credits)
    if net > 0 and freed_uj * 20 > process.paid_credits:
        gained = freed_uj * NS // net
        texts.append(
            f"Reuse: keeping buffers instead of freeing {format_bytes(process.freed_bits // 8)} "
            f"would have saved up to {joules(freed_uj)} of erasure tax, enough for another "
            f"{moment(gained)}."
        )
    if net > 0 and process.premium_credits * 20 > process.paid_credits:
        gained = process.premium_credits * NS // net
        texts.append(
            f"Patience: bidding only the reserve would have saved up to "
            f"{joules(process.premium_credits)} of premium, enough for another "
            f"{moment(gained)}, at the price of fewer slices per second."
        )
    if net > 0 and not memory_matters and spending > 2 * _rent_per_s(process):
        idle = process.paid_credits * NS // max(_rent_per_s(process), 1)
        texts.append(f"Sleep: had it only slept, its rent alone would have lasted {moment(idle)}.")
    return texts


def _less(income: int) -> str:
    """Names the income that spending is set against."""
    return f" less {joules(income)}/s of income" if income else ""


def _round_joules(uj: int) -> int:
    """Rounds down to one significant digit, so that the example is a number people would write."""
    step = 10 ** (len(str(uj)) - 1)
    return uj // step * step
