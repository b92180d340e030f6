"""What goes into a heat node and what comes out of it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Hosted:
    """A process on a node, as thermal control sees it.

    Attributes:
        process: its number.
        watts: what it draws at full speed.
        ln_value: the highest price that it pays, natural logarithm over cost.
        since_ms: when it came here.
        frozen: it is a snapshot and draws nothing.
        moving: a move of it is under way.
        asked_ms: until when an answer to a request is waited for.
        avoid: nodes that did not deliver what they were paid for, until when; at most four.
    """

    __slots__ = (
        "asked_ms",
        "avoid",
        "frozen",
        "ln_value",
        "moving",
        "process",
        "since_ms",
        "unpaid_ms",
        "watts",
    )

    def __init__(self, process: int, watts: float, ln_value: float, since_ms: int) -> None:
        self.process = process
        self.watts = watts
        self.ln_value = ln_value
        self.since_ms = since_ms
        self.frozen = False
        self.moving = False
        self.asked_ms = 0
        self.unpaid_ms = 0
        self.avoid: dict[int, int] = {}


class Packet(NamedTuple):
    """Input: a packet that the seal let through."""

    data: bytes


class TimerKind(IntEnum):
    """What a timer is for."""

    HEAT = 1
    DISTRESS = 2
    MEMBERSHIP = 3
    DECIDE = 4
    OFFER = 5
    REBID = 6


class Timer(NamedTuple):
    """Input and output: something to do at a time."""

    due_ms: int
    kind: TimerKind
    argument: int = 0


class Reading(NamedTuple):
    """Input: what the node's sensors say, every 500 ms."""

    t_c: float
    power_w: float
    inlet_c: float
    meter_w: float


class Move(NamedTuple):
    """Decision: send a process to a node that promised room for it."""

    process: int
    target: int
    deal: int
    forced: bool


class Freeze(NamedTuple):
    """Decision: snapshot a process here and stop it."""

    process: int
    why: str


class Thaw(NamedTuple):
    """Decision: let a frozen process run here again."""

    process: int


class Suspend(NamedTuple):
    """Decision: the host is empty; put it to sleep at 10 W."""


class Wake(NamedTuple):
    """Decision: wake the host."""


class Distress(NamedTuple):
    """Decision, for the record: this node said that it is dying, or that a feed lost capacity."""

    reason: str
    wanted_w: float


class Alarm(NamedTuple):
    """Decision, for the record: this node raised, or heard of, a zone alarm."""

    zone: int
    own: bool


Decision = Move | Freeze | Thaw | Suspend | Wake | Distress | Alarm


class Outputs:
    """What a step wants done; whoever drives the node empties the lists."""

    __slots__ = ("decisions", "packets", "timers")

    def __init__(self) -> None:
        self.packets: list[tuple[int, bytes]] = []
        self.timers: list[Timer] = []
        self.decisions: list[Decision] = []

    def clear(self) -> None:
        """Forgets everything."""
        self.packets.clear()
        self.timers.clear()
        self.decisions.clear()
