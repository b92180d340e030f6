"""What one experiment runs: which guests, on which cores, with which arguments.

The same list of guests goes to every side, so that the sides differ in the scheduler alone.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final, Literal, get_args

import msgspec

from maxwell.errors import ConfigError, choices_hint

Kind = Literal["miner", "spin", "imitator", "mixed"]
"""What the leeches are: hash miners, endless loops, imitators, or all three in turn."""

LeechKind = Literal["miner", "spin", "imitator"]

Bids = Literal["value", "proxy"]
"""How scientists bid: what a microjoule is worth to them, or by the node's default rule."""

KINDS: Final[tuple[LeechKind, ...]] = ("miner", "spin", "imitator")
MODULES: Final = {
    "scientist": "samples:scientist.wasm",
    "miner": "samples:leech.wasm",
    "spin": "samples:spin.wasm",
    "imitator": "samples:imitator.wasm",
}

FUNDS_UJ: Final = 500_000
"""0.5 J each, scientists and leeches alike: what the simulated economies of contract 8 used."""
HORIZON_UJ: Final = 125_000
PAYS_OVER_COST: Final = 2
"""A result pays twice what it costs a scientist that runs alone (contract 12)."""
JOULES_PER_CORE_DEFAULT: Final = 60.0
JOULES_PER_CORE_QUICK: Final = 10.0
JOULES_PER_CORE_MAX: Final = 600.0
"""Two minutes of a 5 W core. The resolver remembers 2^20 results, many times what they bring."""
LEECHES_MAX: Final = 64
"""Of each scientist: 65 operating-system processes a core is a crowd for the baselines."""
CORES_MAX: Final = 8
CORES_DEFAULT: Final = 2

FIRST: Final = 2_000_000_000_000
"""Primes near 2 · 10^12 cost about a millisecond of trial division each, and cost it steadily."""
SPAN: Final = 100_000_000
"""Numbers of one scientist: 3.5 million primes, an hour of work, so that it never runs out."""
OFFSETS: Final = 1 << 10
"""Ranges that seeds choose from; the dearest is at 2.8 · 10^12, where a prime costs 18 % more."""
SEED_MAX: Final = 2**64 - 1
FOLDER: Final = "/published"
"""Where an imitator finds the list of paid results."""


class GuestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One guest of the experiment."""

    name: str
    kind: Literal["scientist", "miner", "spin", "imitator"]
    lane: int
    """Index of the core that it runs on."""
    module: str
    args: tuple[str, ...]
    """After the program's name."""

    @property
    def is_parasite(self) -> bool:
        """Whether it is a leech of any kind."""
        return self.kind != "scientist"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment. `check` says whether it can be run."""

    leeches: int
    """Leeches per scientist; there is one scientist on each core."""
    seed: int = 0
    kind: Kind = "mixed"
    joules_per_core: float = JOULES_PER_CORE_DEFAULT
    """Each side ends when its processes have burned this many joules times cores."""
    others_joules_per_core: float | None = None
    """The same for the sides beside the market and the metered baseline, which are there for
    comparison and whose rate of results does not change over time; None is `joules_per_core`."""
    cores: int = CORES_DEFAULT
    scientists_bid: Bids = "value"

    def check(self) -> Plan:
        """Returns itself.

        Raises:
            ConfigError: MX1001 for an unknown kind, MX1006 for a number out of range.
        """
        for what, word, known in (
            ("kind of leech", self.kind, get_args(Kind)),
            ("way to bid", self.scientists_bid, get_args(Bids)),
        ):
            if word not in known:
                raise ConfigError(
                    f"lab: unknown {what}: {word!r}", code="MX1001", hint=choices_hint(word, known)
                )
        usable = min(CORES_MAX, len(os.sched_getaffinity(0)))
        for name, value, least, most in (
            ("leeches", self.leeches, 0, LEECHES_MAX),
            ("seed", self.seed, 0, SEED_MAX),
            ("joules per core", self.joules_per_core, 0.5, JOULES_PER_CORE_MAX),
            ("joules per core of the others", self._others, 0.5, JOULES_PER_CORE_MAX),
            ("cores", self.cores, 1, usable),
        ):
            # Written so that a NaN is refused too.
            if not least <= value <= most:
                raise ConfigError(
                    f"lab: {name}: {value} is not from {least} to {most}",
                    code="MX1006",
                    hint=f"give a number from {least} to {most}",
                )
        return self

    @property
    def _others(self) -> float:
        given = self.others_joules_per_core
        return self.joules_per_core if given is None else given

    @property
    def target_uj(self) -> int:
        """Joules of all processes of the market and of the metered baseline, in microjoules."""
        return round(self.joules_per_core * 1_000_000) * self.cores

    @property
    def others_target_uj(self) -> int:
        """Joules of all processes of any other side, in microjoules."""
        return round(self._others * 1_000_000) * self.cores

    @property
    def first(self) -> int:
        """The first number of the first scientist; depends on the seed."""
        digest = hashlib.sha256(f"maxwell lab range {self.seed}".encode()).digest()
        offset = int.from_bytes(digest[:8], "big") % OFFSETS
        return FIRST + offset * CORES_MAX * SPAN

    @property
    def last(self) -> int:
        """The last number that the sponsor pays for."""
        return self.first + self.cores * SPAN - 1

    def guests(self) -> tuple[GuestSpec, ...]:
        """Returns all guests: the scientists first, then leeches in turn over the cores."""
        guests = [
            GuestSpec(
                name=f"scientist-{lane + 1}",
                kind="scientist",
                lane=lane,
                module=MODULES["scientist"],
                args=(str(self.first + lane * SPAN), str(self.first + (lane + 1) * SPAN)),
            )
            for lane in range(self.cores)
        ]
        for number in range(self.leeches):
            guests += [self._leech(number, lane) for lane in range(self.cores)]
        return tuple(guests)

    def _leech(self, number: int, lane: int) -> GuestSpec:
        kind = self.kind
        if kind == "mixed":
            # The seed turns the order, so that with few leeches every kind has its turn.
            kind = KINDS[(number + lane + self.seed) % len(KINDS)]
        args: tuple[str, ...] = ()
        if kind == "imitator":
            own = hashlib.sha256(f"maxwell lab guess {self.seed} {lane} {number}".encode()).digest()
            guess_seed = int.from_bytes(own[:7], "big")
            args = (FOLDER, str(self.first), str(self.last + 1), str(guess_seed))
        return GuestSpec(
            name=f"{kind}-{lane + 1}-{number + 1}",
            kind=kind,
            lane=lane,
            module=MODULES[kind],
            args=args,
        )
