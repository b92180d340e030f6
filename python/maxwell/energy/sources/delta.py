"""From two samples of an energy counter to the energy between them, or the reason why not.

A counter that fell may have wrapped, or may have been reset by a resume, a driver reload or a
reboot. Billing a reset as a wrap invents up to the whole range of the counter (262 kJ on common
servers), so that a wrap is only believed when it is the only explanation. The rules are (a) to (d)
of docs/design, energy §1.4; what they leave unknown is filled by the model and counted as a gap.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

GapReason: TypeAlias = Literal["reboot", "clock", "gap", "reset", "implausible"]
"""Why a difference is unknown: another boot; time that did not pass or went backwards; so much
time that the counter may have wrapped unseen; a fall that no single wrap explains; more energy
than the domain can draw."""

COUNTER_UJ_MAX: Final = 2**63
"""Sentinels such as 2^63 have been seen in counters of virtual machines; they are no energy."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a counter."""

    domain: str
    time_ns: int
    """Monotonic clock."""
    boot_id: str
    counter_uj: int
    modulus_uj: int | None
    """The counter's range; None for one that never wraps."""


class Delta(msgspec.Struct, frozen=True):
    """Energy between two samples in µJ, or None and the reason why it is unknown."""

    energy_uj: int | None
    reason: GapReason | None = None
    wrapped: bool = False


def delta(previous: Sample, current: Sample, *, power_max_mw: int) -> Delta:
    """Returns the energy between two samples of one domain. Exact, or unknown; never a guess.

    Args:
        previous: the earlier sample.
        current: the later one, of the same domain.
        power_max_mw: the most that the domain can draw, in milliwatts.
    """
    assert previous.domain == current.domain
    assert power_max_mw > 0
    if previous.boot_id != current.boot_id:
        return Delta(None, "reboot")
    elapsed_ns = current.time_ns - previous.time_ns
    if elapsed_ns <= 0:
        return Delta(None, "clock")
    if max(previous.counter_uj, current.counter_uj) >= COUNTER_UJ_MAX:
        return Delta(None, "implausible")
    # One milliwatt for one nanosecond is one picojoule; rounded up.
    drawn_uj_max = -(-power_max_mw * elapsed_ns // 1_000_000)
    modulus = current.modulus_uj
    if modulus is not None and drawn_uj_max >= modulus:
        return Delta(None, "gap")
    energy = current.counter_uj - previous.counter_uj
    wrapped = energy < 0
    if wrapped:
        # Rule (b): one wrap only where less than half the range can have been drawn.
        if modulus is None or previous.counter_uj > modulus or 2 * drawn_uj_max >= modulus:
            return Delta(None, "reset")
        energy += modulus
    if energy > drawn_uj_max:
        return Delta(None, "reset" if wrapped else "implausible")
    assert energy >= 0
    return Delta(energy, wrapped=wrapped)
