"""What a node counts of its heat planes; the same fields feed the command line and Prometheus."""

from __future__ import annotations

import msgspec


class HeatCounters(msgspec.Struct):
    """Counts since the node's start; each only grows."""

    packets_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    """Packets before sealing."""
    malformed: int = 0
    """Packets that do not parse: truncated, oversized, of another version, implausible fields."""
    forged: int = 0
    """Signatures that do not verify."""
    unknown_key: int = 0
    stale: int = 0
    """Entries and rumours known already, replays among them."""
    expired: int = 0
    """Entries older than their time to live."""
    accepted: int = 0
    equivocations: int = 0
    """Proofs that a node signed two bodies under one number."""
    banned: int = 0
    """Packets and entries of banned nodes."""
    rumours: int = 0
    rumours_dropped: int = 0
    """Rumours refused: one per node and minute, sixteen in the queue."""
    offers_made: int = 0
    offers_taken: int = 0
    reserves: int = 0
    refusals: int = 0
    clock_jumps: int = 0
    readings_bad: int = 0
    quarantined: int = 0
    """Neighbours whose metered outlet this node found at odds with what they claim."""
    doubted: int = 0
    """Nodes that three others accused."""


def prometheus_lines(counters: HeatCounters, gauges: dict[str, float]) -> list[str]:
    """Returns the node's figures as Prometheus text lines.

    Args:
        counters: become `maxwell_heat_<field>_total`.
        gauges: become `maxwell_heat_<name>`; names end in their unit.
    """
    lines: list[str] = []
    for name, value in msgspec.structs.asdict(counters).items():
        lines.append(f"# TYPE maxwell_heat_{name}_total counter")
        lines.append(f"maxwell_heat_{name}_total {value}")
    for name, number in gauges.items():
        lines.append(f"# TYPE maxwell_heat_{name} gauge")
        lines.append(f"maxwell_heat_{name} {number:.6g}")
    return lines
