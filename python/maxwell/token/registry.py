"""The figures of a receipt: components and their fields, each with a key that never changes.

A receipt is a map from component to a map from field to figure. To add a figure, register it here
with a new key and document it in docs/reference/receipts.md; to add a component, take the next
free one. A reader ignores keys that it does not know, so that neither needs a new version. Keys
are never used again for something else.

Components 16 to 23 are in use.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Kind = Literal["grows", "now", "text"]
"""`grows`: cumulative since birth, never smaller than before; `now`: as it stands; `text`."""

FIRST_COMPONENT: Final = 16
"""Smaller keys of a receipt say whose it is and where it stands."""


class Field(msgspec.Struct, frozen=True):
    """One figure."""

    key: int
    name: str
    unit: str
    kind: Kind = "grows"


class Component(msgspec.Struct, frozen=True):
    """A group of figures."""

    key: int
    name: str
    fields: tuple[Field, ...]

    def key_of(self, name: str) -> int:
        """Returns the key of a field."""
        return next(field.key for field in self.fields if field.name == name)


METERS: Final = Component(
    16,
    "meters",
    (
        Field(1, "fuel", "fuel"),
        Field(2, "cpu_ns", "ns"),
        Field(3, "host_bytes", "bytes"),
        Field(4, "host_calls", "calls"),
        Field(5, "slices", "slices"),
        Field(6, "memory_byte_seconds", "byte-seconds"),
        Field(7, "memory_bytes", "bytes", "now"),
        Field(8, "memory_bytes_max", "bytes"),
        Field(9, "results", "results"),
    ),
)

CREDITS: Final = Component(
    17,
    "credits",
    (
        Field(1, "leased", "credits"),
        Field(2, "rewards", "credits"),
        Field(3, "received", "credits"),
        Field(4, "admission", "credits"),
        Field(5, "burned", "credits"),
        Field(6, "premium", "credits"),
        Field(7, "rent", "credits"),
        Field(8, "tax", "credits"),
        Field(9, "sent", "credits"),
        Field(10, "returned", "credits"),
        Field(11, "balance", "credits", "now"),
        Field(12, "escrow", "credits", "now"),
        Field(13, "bond", "credits", "now"),
        Field(14, "rent_unpaid", "credits"),
        Field(15, "request_credits", "credits"),
        Field(16, "stake_lost_credits", "credits"),
        Field(17, "tax_unpaid", "credits"),
    ),
)

ENERGY: Final = Component(
    18,
    "energy",
    (
        Field(1, "energy_uj", "uJ"),
        Field(2, "uncollected_uj", "uJ"),
        Field(3, "interval_uj", "uJ", "now"),
        Field(4, "provenance", "", "text"),
    ),
)

PRICES: Final = Component(
    19,
    "prices",
    (
        Field(1, "bid_ppm", "ppm", "now"),
        Field(2, "price_ppm", "ppm", "now"),
    ),
)

ERASURE: Final = Component(
    20,
    "erasure",
    (
        Field(0, "at_end_bits", "bits"),
        Field(1, "freed_bits", "bits"),
        Field(2, "discarded_bits", "bits"),
    ),
)
"""Bits erased by tier: at death or finish, by a counted allocator, by `discard`."""

INFORMATION: Final = Component(
    21,
    "information",
    (
        Field(1, "gained_q32", "2^-32 bit", "now"),
        Field(2, "lost_q32", "2^-32 bit", "now"),
        Field(3, "beliefs", "outcomes"),
        Field(4, "beliefs_refused", "beliefs"),
        Field(5, "information_credits", "credits"),
    ),
)
"""Verified bits: one of the first two is 0, and their difference is the balance so far."""

OUTBOUND: Final = Component(22, "outbound", (Field(1, "requests_settled", "requests"),))
"""Outbound requests that were settled; what they cost is among the credits."""

INFERENCE: Final = Component(
    23,
    "inference",
    (
        Field(1, "inferences", "inferences"),
        Field(2, "macs", "multiplications"),
        Field(3, "inference_uj", "uJ"),
        Field(4, "proof_uj", "uJ"),
        Field(5, "claims_paid", "claims"),
        Field(6, "claims_refused", "claims"),
    ),
)
"""What the host ran and proved on the process's behalf; its joules are a part of `energy_uj`."""

COMPONENTS: Final = (METERS, CREDITS, ENERGY, PRICES, ERASURE, INFORMATION, OUTBOUND, INFERENCE)
BY_KEY: Final = {component.key: component for component in COMPONENTS}

PAID_IN: Final = ("leased", "rewards", "received")
PAID_OUT: Final = (
    "admission", "burned", "premium", "rent", "tax", "sent", "returned", "balance",
    "request_credits", "stake_lost_credits",
)  # fmt: skip
"""Of each receipt: the sum of `PAID_IN` is the sum of `PAID_OUT`."""
