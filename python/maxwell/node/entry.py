"""What the parent keeps of one process."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, cast

import msgspec

from maxwell.node.record import ProcessRecord
from maxwell.node.view import Outcome, ProcessState, ProcessView

if TYPE_CHECKING:
    from maxwell._native import Slot
    from maxwell.config import ProcessConfig
    from maxwell.node.admission import Admitted

STATES: Final[dict[int, ProcessState]] = {
    0: "pending",
    1: "born",
    2: "ready",
    3: "running",
    4: "blocked",
    5: "dead",
    6: "broke",
}
TREND_NS: Final = 1_000_000_000
"""Power and time to bankruptcy are means over about a second."""
_NS: Final = 1_000_000_000


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended."""

    outcome: Outcome
    reason: str
    exit_code: int | None = None
    unsupported: tuple[str, ...] = ()


class Entry:
    """A process from its configuration to its record.

    Args:
        pid: its place in the fleet, from 1 on.
        config: what the fleet says of it.
        admitted: its module.
    """

    def __init__(self, pid: int, config: ProcessConfig, admitted: Admitted) -> None:
        self.number = pid
        """What other guests know it by."""
        self.pid = pid
        """What its cell and its slot know it by: another one once it was placed again."""
        self.config = config
        self.admitted = admitted
        self.cell: int | None = None
        self.placed = False
        self.started = False
        self.revoking = False
        self.withheld_credits = 0
        """Credits its purse is not told of while its cell may be giving it back."""
        self.death: Death | None = None
        self.ended_ns = 0
        """When its death was noticed; its slot says when it died, unless its cell was killed."""
        self.slot: Slot | None = None
        self.funds_credits = config.funds_uj
        self.rewards_open = False
        self.results = 0
        self.earned_credits = 0
        self.requests = 0
        self.request_credits = 0
        self.inferences = 0
        self.macs = 0
        self.inference_uj = 0
        """Joules of the host's runs for it."""
        self.proof_uj = 0
        """Joules of proving, verifying and auditing for it."""
        self.inference_uncollected_uj = 0
        self.inference_premium = 0
        self.claims_paid = 0
        self.claims_refused = 0
        self.information_credits = 0
        self.bits_q32 = 0
        self.beliefs = 0
        self.beliefs_refused = 0
        self.stake_lost_credits = 0
        self.stdout_bytes = 0
        self.lost_bytes = 0
        self.returned_credits = 0
        """What its account got back at the end: its purse, and what had not reached it yet."""
        self._trend: deque[tuple[int, int, int]] = deque()

    @property
    def name(self) -> str:
        """Its name."""
        return self.config.name

    @property
    def is_alive(self) -> bool:
        """Whether it is placed and has not ended."""
        return self.placed and self.death is None

    @property
    def host_uj(self) -> int:
        """Joules that the host spent on its behalf."""
        return self.inference_uj + self.proof_uj

    @property
    def energy_uj(self) -> int:
        """Joules metered so far, those of the host on its behalf included."""
        return (0 if self.slot is None else self.slot.energy_uj) + self.host_uj

    @property
    def _host_credits(self) -> int:
        return self.host_uj - self.inference_uncollected_uj + self.inference_premium

    @property
    def paid_credits(self) -> int:
        """Credits spent so far, admission included once it is placed."""
        slot = self.slot
        admission = self.admitted.admission_credits if self.placed else 0
        if slot is None:
            return admission + self._host_credits
        charged = slot.burned + slot.premium + slot.rent + slot.tax
        return charged + admission + self.request_credits + self._host_credits

    def note(self, now_ns: int, slot: Slot) -> None:
        """Takes the slot of this epoch."""
        self.slot = slot
        self._trend.append((now_ns, self.energy_uj, slot.purse + slot.escrow + slot.stake))
        while len(self._trend) > 2 and now_ns - self._trend[0][0] > TREND_NS:
            self._trend.popleft()

    def view(self) -> ProcessView:
        """Returns what the live table shows of it."""
        slot = self.slot
        power_mw, bankrupt_in_s = self._trends()
        state: ProcessState = "dead" if self.death else "pending"
        if slot is not None and self.death is None:
            state = STATES.get(slot.state, "ready")
        return ProcessView(
            name=self.name,
            account=self.config.account,
            cell=-1 if self.cell is None else self.cell,
            state=state,
            bid_ppm=slot.bid_ppm if slot else 0,
            price_ppm=slot.price_ppm if slot else 0,
            energy_uj=self.energy_uj,
            inference_uj=self.inference_uj,
            proof_uj=self.proof_uj,
            power_mw=power_mw,
            results=self.results,
            earned_credits=self.earned_credits,
            bits_q32=self.bits_q32,
            paid_credits=self.paid_credits,
            balance_credits=slot.purse + slot.escrow + slot.stake if slot else 0,
            returned_credits=self.returned_credits,
            bankrupt_in_s=bankrupt_in_s,
            outcome=self.death.outcome if self.death else None,
            reason=self.death.reason if self.death else None,
        )

    def _trends(self) -> tuple[int, float | None]:
        if self.death is not None or len(self._trend) < 2:
            return 0, None
        (t0, energy0, balance0), (t1, energy1, balance1) = self._trend[0], self._trend[-1]
        if t1 <= t0:
            return 0, None
        # One microjoule in a nanosecond is a kilowatt.
        power_mw = (energy1 - energy0) * 1_000_000 // (t1 - t0)
        falling = balance0 - balance1
        left_s = balance1 * (t1 - t0) / falling / _NS if falling > 0 else None
        return power_mw, left_s

    def record(self) -> ProcessRecord:
        """Returns the account of its life."""
        slot = self.slot
        death = self.death or Death(outcome="killed", reason="it never started")

        def figure(name: str) -> int:
            return 0 if slot is None else cast("int", getattr(slot, name))

        freed_bits, discarded_bits = 8 * figure("freed_bytes"), 8 * figure("discarded_bytes")
        return ProcessRecord(
            name=self.name,
            account=self.config.account,
            outcome=death.outcome,
            reason=death.reason,
            exit_code=death.exit_code,
            module_digest=self.admitted.digest,
            energy_uj=self.energy_uj,
            uncollected_uj=figure("uncollected_uj") + self.inference_uncollected_uj,
            paid_credits=self.paid_credits,
            earned_credits=self.earned_credits,
            rent_credits=figure("rent"),
            tax_credits=figure("tax"),
            premium_credits=figure("premium") + self.inference_premium,
            admission_credits=self.admitted.admission_credits if self.placed else 0,
            returned_credits=self.returned_credits,
            rent_unpaid=figure("rent_unpaid"),
            tax_unpaid=figure("tax_unpaid"),
            erased_bits=figure("erased_bits") + freed_bits + discarded_bits,
            freed_bits=freed_bits,
            discarded_bits=discarded_bits,
            memory_byte_ns=figure("memory_byte_ns"),
            memory_bytes_max=figure("memory_bytes_max"),
            results=self.results,
            bits_q32=self.bits_q32,
            beliefs=self.beliefs,
            beliefs_refused=self.beliefs_refused,
            information_credits=self.information_credits,
            stake_lost_credits=self.stake_lost_credits,
            slices=figure("slices"),
            fuel=figure("fuel"),
            cpu_ns=figure("cpu_ns"),
            host_calls=figure("calls"),
            host_bytes=figure("bytes"),
            stdout_bytes=self.stdout_bytes,
            stdout_lost_bytes=self.lost_bytes,
            unsupported_calls=death.unsupported,
            requests=self.requests,
            request_credits=self.request_credits,
            inferences=self.inferences,
            macs=self.macs,
            inference_uj=self.inference_uj,
            proof_uj=self.proof_uj,
            claims_paid=self.claims_paid,
            claims_refused=self.claims_refused,
            born_ns=figure("born_ns"),
            died_ns=figure("died_ns") or self.ended_ns,
            cell=-1 if self.cell is None else self.cell,
            last_bid_ppm=figure("bid_ppm"),
            last_price_ppm=figure("price_ppm"),
        )
