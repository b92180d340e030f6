"""Heat: gossip of temperatures and prices, distress, thermal control, and their simulator.

The cores are sans-I/O: `HeatNode.step(now_ms, input)` returns packets, timers and decisions.
"""

from maxwell.heat.counters import HeatCounters, prometheus_lines
from maxwell.heat.entry import Entry, State
from maxwell.heat.guard import Guard
from maxwell.heat.membership import Membership, Swim
from maxwell.heat.node import HeatNode
from maxwell.heat.policy import POLICIES, Policy, policy_named
from maxwell.heat.price import PriceLaw, reserve_ppm
from maxwell.heat.records import (
    Alarm,
    Distress,
    Freeze,
    Hosted,
    Move,
    Outputs,
    Packet,
    Reading,
    Suspend,
    Thaw,
    Timer,
    TimerKind,
    Wake,
)
from maxwell.heat.settings import HeatSettings
from maxwell.heat.signing import (
    Ed25519Signer,
    KeyRing,
    Signer,
    StandInKeys,
    StandInSigner,
    Verdict,
    Verifier,
)

__all__ = [
    "POLICIES",
    "Alarm",
    "Distress",
    "Ed25519Signer",
    "Entry",
    "Freeze",
    "Guard",
    "HeatCounters",
    "HeatNode",
    "HeatSettings",
    "Hosted",
    "KeyRing",
    "Membership",
    "Move",
    "Outputs",
    "Packet",
    "Policy",
    "PriceLaw",
    "Reading",
    "Signer",
    "StandInKeys",
    "StandInSigner",
    "State",
    "Suspend",
    "Swim",
    "Thaw",
    "Timer",
    "TimerKind",
    "Verdict",
    "Verifier",
    "Wake",
    "policy_named",
    "prometheus_lines",
    "reserve_ppm",
]
