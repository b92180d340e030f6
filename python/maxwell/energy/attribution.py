"""Splitting a node's metered energy: processes, idle, system, and what nobody explains.

The meter and the sum of the slices are two separate paths (contract 3), so that their difference
is information. It is reported as `unattributed`, signed, and is never spread over the processes
to make the table look exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from maxwell.errors import EnergyError, InternalError
from maxwell.units import format_energy

if TYPE_CHECKING:
    from collections.abc import Sequence

UNATTRIBUTED_PPM_MAX: Final = 50_000
"""5 % of active energy: beyond it the report warns and says why."""


class Metered(Protocol):
    """The part of a `NodeReading` that attribution needs."""

    @property
    def metered_uj(self) -> int:
        """The node's energy in µJ."""
        ...

    @property
    def idle_uj(self) -> int:
        """The part that the node would have drawn without any work, in µJ."""
        ...


class EnergySplit(msgspec.Struct, frozen=True, kw_only=True):
    """Where the node's joules went, in µJ: metered = processes + idle + system + unattributed."""

    metered: int
    processes: int
    """Sum over the slices of all processes."""
    idle: int
    system: int
    """Control plane, compilation, ledger: CPU time of the parent and its helpers."""
    unattributed: int
    """What the meter saw and no part explains; negative when the parts exceed the meter."""

    @property
    def active_uj(self) -> int:
        """Metered energy above idle, in µJ; not below zero."""
        return max(0, self.metered - self.idle)

    @property
    def unattributed_ppm(self) -> int:
        """Size of the unattributed energy relative to active energy, in ppm; 0 without any."""
        if self.active_uj == 0:
            return 0
        return abs(self.unattributed) * 1_000_000 // self.active_uj


NO_ENERGY: Final = EnergySplit(metered=0, processes=0, idle=0, system=0, unattributed=0)


def attribute(reading: Metered, processes_uj: int, system_uj: int) -> EnergySplit:
    """Returns the split of a reading.

    Args:
        reading: the node's meter, cumulative.
        processes_uj: sum of the metered energy of all processes, µJ.
        system_uj: energy of the parent and its helpers, µJ.

    Raises:
        EnergyError: MX1400 when a figure is negative.
    """
    if min(reading.metered_uj, reading.idle_uj, processes_uj, system_uj) < 0:
        raise EnergyError(
            f"negative energy: metered {reading.metered_uj}, idle {reading.idle_uj}, "
            f"processes {processes_uj}, system {system_uj} uJ"
        )
    rest = reading.metered_uj - processes_uj - reading.idle_uj - system_uj
    split = EnergySplit(
        metered=reading.metered_uj,
        processes=processes_uj,
        idle=reading.idle_uj,
        system=system_uj,
        unattributed=rest,
    )
    if split.metered != split.processes + split.idle + split.system + split.unattributed:
        raise InternalError(f"joules are not conserved: {split}", code="MX1302")
    return split


def unattributed_warning(split: EnergySplit, *, provenance: str) -> str | None:
    """Returns a warning with a reason when more than 5 % of active energy is unattributed."""
    if split.unattributed_ppm <= UNATTRIBUTED_PPM_MAX:
        return None
    percent = split.unattributed_ppm / 10_000
    figure = f"{format_energy(split.unattributed)} ({percent:.1f} % of active energy)"
    if split.unattributed < 0:
        return (
            f"{figure} was charged beyond what the meter saw: slices are timed by the clock on the "
            "wall, so that time which other work on this machine takes in pieces of less than a "
            "millisecond counts as theirs"
        )
    if provenance == "silicon":
        return (
            f"{figure} is unattributed: the counter covers the whole machine, other programs "
            "included, or the calibration no longer fits"
        )
    return (
        f"{figure} is unattributed: CPU time of the cells outside slices (decisions, "
        "settlement, messages) and the tick of the operating system's accounting"
    )


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Splits `total` in proportion to `weights` so that the parts sum to it exactly.

    The method of the largest remainder (Hamilton): each gets the whole part of its quota, and the
    units left go one each to the largest remainders, ties to the lower index. Deterministic;
    every part is within one unit of its quota. O(n log n).

    Args:
        total: units to hand out, not negative.
        weights: (n,) non-negative; all zero counts as all equal.

    Raises:
        EnergyError: MX1400 when an argument is negative, or there is nobody to hand units to.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise EnergyError(f"cannot apportion {total} over negative figures")
    if not weights:
        if total:
            raise EnergyError(f"cannot apportion {total} over nobody")
        return []
    sum_weights = sum(weights)
    shares = list(weights) if sum_weights else [1] * len(weights)
    divisor = sum_weights or len(weights)
    parts = [total * share // divisor for share in shares]
    order = sorted(range(len(shares)), key=lambda i: (-(total * shares[i] % divisor), i))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    if sum(parts) != total:
        raise InternalError(f"{total} was apportioned as {sum(parts)}", code="MX1302")
    return parts
