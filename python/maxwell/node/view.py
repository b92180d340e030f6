"""What a running node shows, once an epoch: the live table and `sample` events are drawn from it.

See docs/design/control-plane.md. All integers; only `bankrupt_in_s` is an estimate and a float.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from maxwell.energy import NO_ENERGY, EnergySplit
from maxwell.market.ledger import Credits

ProcessState = Literal["pending", "born", "ready", "running", "blocked", "broke", "dead"]
"""`pending` waits for `start_after` or for admission; `broke` cannot afford a slice and
lives on its runway; the others are the slot's states 1 to 5."""

Outcome = Literal["finished", "bankrupt", "trapped", "out_of_memory", "deadline", "killed", "lost"]
"""How a process ended."""


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """One process at the end of an epoch."""

    name: str
    account: str
    cell: int
    state: ProcessState
    bid_ppm: int
    """Last bid entered."""
    price_ppm: int
    """Last price paid."""
    energy_uj: int
    """Joules metered since birth."""
    power_mw: int
    """Mean power over the last epochs."""
    results: int
    """Results paid so far."""
    earned_credits: int
    paid_credits: int
    """Credits spent so far: burned, premium, rent, erasure tax and admission."""
    balance_credits: int
    """Credits in the purse, slice escrow and stakes included."""
    returned_credits: int = 0
    """Of one that has ended: what went back to its account."""
    bankrupt_in_s: float | None
    """Seconds until the purse is empty at the present rate; None when it is not falling."""
    inference_uj: int = 0
    """Of `energy_uj`, what the host spent on running models for it."""
    proof_uj: int = 0
    """Of `energy_uj`, what the host spent on proving, verifying and auditing for it."""
    bits_q32: int = 0
    """Verified information so far, in units of 2^-32 bit; negative for who knew less than all."""
    outcome: Outcome | None = None
    """None while it lives."""
    reason: str | None = None


class HeatView(msgspec.Struct, frozen=True, kw_only=True):
    """The node's own heat at the end of an epoch."""

    temperature_mc: int | None
    """Filtered, thousandths of a degree; None while the sensor is blind."""
    predicted_mc: int | None
    """The same 20 s ahead: what the price follows."""
    reserve_ppm: int
    """The reserve of the auctions."""
    cap_ppm: int
    """Share of the power cap that is minted."""
    simulated: bool
    """Whether the temperature is a model's, heated by the metered power, and nobody's reading."""


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """The node at the end of an epoch."""

    elapsed_ns: int
    duration_ns: int | None
    """None for a run without a time limit."""
    price_ppm: int
    """Mean price of the slices of the last epoch, weighted by energy; the reserve when none ran."""
    power_mw: int
    """Mean power of the node over the last epoch."""
    energy: EnergySplit
    setup: EnergySplit = NO_ENERGY
    """The part of `energy` before the start: calibration and compilation."""
    setup_ns: int = 0
    """How long that took."""
    credits: Credits
    processes: tuple[ProcessView, ...]
    heat: HeatView | None = None
    """None for a fleet without `[heat]`."""
