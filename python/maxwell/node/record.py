"""What a run leaves behind: the figures of each process, of each cell and of the node.

`maxwell.observe.report` turns a `RunRecord` into `report.json`. See docs/design/control-plane.md.
All credits, energies, bits and times are integers; only ratios are floats.
"""

from __future__ import annotations

from typing import Final

import msgspec

from maxwell.energy import NO_ENERGY, EnergyModel, EnergySplit
from maxwell.market.ledger import Credits
from maxwell.node.view import Outcome

REPORT_SCHEMA: Final = "maxwell.report/1"
"""Name and version of the format of `report.json`; the number grows when a reader must change."""


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one process's life."""

    name: str
    account: str
    outcome: Outcome
    reason: str
    exit_code: int | None
    """The guest's own exit code; None unless it finished."""
    module_digest: str
    """SHA-256 of the bytes of the module in hex, with the prefix sha256 and a colon."""
    energy_uj: int
    """Joules metered: burned credits plus `uncollected_uj`."""
    uncollected_uj: int
    """Joules that no purse could pay: at most one slice, and what inferences took beyond what was
    set apart for them."""
    paid_credits: int
    """Credits spent in all: burned, premium, rent, erasure tax, admission, outbound requests."""
    earned_credits: int
    """Rewards received, for results and for bits."""
    rent_credits: int
    tax_credits: int
    premium_credits: int
    admission_credits: int
    returned_credits: int
    """What was left at the end and went back to the account."""
    rent_unpaid: int
    """Rent due at death that the purse could not pay, in credits."""
    tax_unpaid: int = 0
    """Erasure tax of frees and discards that the purse could not pay, in credits."""
    erased_bits: int
    """Bits erased in all: freed, discarded, and those of pages that held something at its end."""
    freed_bits: int = 0
    """Of them, what its allocator freed (tier T1); 0 when the allocator could not be counted."""
    discarded_bits: int = 0
    """Of them, what it gave back with `discard`."""
    memory_byte_ns: int
    """Resident memory integrated over the life."""
    memory_bytes_max: int
    """The largest resident memory."""
    results: int
    """Results that were paid."""
    bits_q32: int = 0
    """Verified information in units of 2^-32 bit: code length saved against public beliefs."""
    beliefs: int = 0
    """Symbols and claims that were resolved with a belief of the process."""
    beliefs_refused: int = 0
    """Beliefs, observations and claims that were refused."""
    information_credits: int = 0
    """What bits brought, a part of `earned_credits`."""
    stake_lost_credits: int = 0
    """Stakes lost to sponsors by negative bits; not a part of `paid_credits`."""
    slices: int
    fuel: int
    cpu_ns: int
    host_calls: int
    host_bytes: int
    stdout_bytes: int
    stdout_lost_bytes: int
    unsupported_calls: tuple[str, ...]
    """WASI calls that the guest made and that answered ENOSYS."""
    born_ns: int
    died_ns: int
    cell: int
    last_bid_ppm: int
    last_price_ppm: int
    requests: int = 0
    """Outbound requests that were settled."""
    request_credits: int = 0
    """What they cost."""
    inferences: int = 0
    """Inferences that the host ran for it."""
    macs: int = 0
    """Multiplications in them."""
    inference_uj: int = 0
    """Of `energy_uj`, what these took."""
    proof_uj: int = 0
    """Of `energy_uj`, what proving, verifying and auditing took."""
    claims_paid: int = 0
    """Claims of inferences that were paid, among `results`."""
    claims_refused: int = 0
    """Claims that were not."""


class CellRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: where its time went."""

    cell: int
    cpu_ns: int
    """CPU time of the cell's process by the operating system."""
    slice_ns: int
    """CPU time inside slices, as charged to processes."""
    overhead_ns: int
    """CPU time outside slices: decisions, settlement, messages."""
    idle_ns: int
    """Wall time without a runnable process."""
    slices: int
    decisions_digest: str
    """Hash over the sequence of decisions; equal for equal runs in deterministic mode."""
    restarts: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The account of a whole run."""

    schema: str
    """`REPORT_SCHEMA`."""
    version: str
    """Version of Maxwell."""
    seed: int
    deterministic: bool
    started_at: str | None
    """UTC, ISO 8601; None in deterministic mode, so that equal runs give equal files."""
    wall_ns: int
    """Length of the run; virtual time in deterministic mode."""
    conservation_ok: bool
    energy: EnergySplit
    setup: EnergySplit = NO_ENERGY
    """The part of `energy` before the start: calibration and compilation."""
    setup_ns: int = 0
    """How long that took; 0 in deterministic mode."""
    interval_uj: int
    """Half-width of the interval around `energy.metered`."""
    uncollected_uj: int
    credits: Credits
    market_overhead_ratio: float
    metering_overhead_ratio: float
    cells: tuple[CellRecord, ...]
    provenance: str
    """Where the joules come from: `wall`, `silicon`, `host`, `modelled` or `simulated`."""
    model: EnergyModel
    processes: tuple[ProcessRecord, ...]
    price_mean_ppm: int
    """Mean price of the run, weighted by energy; the reserve when nothing ran."""
    warnings: tuple[str, ...]
    interrupted: bool
