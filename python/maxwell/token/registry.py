"""The figures of a receipt: components and their fields, each with a key that never changes.

A receipt is a map from component to a map from field to figure. To add a figure, register it here
with a new key and document it in docs/reference/receipts.md; to add a component, take the next
free one. A reader ignores keys that it does not know, so that neither needs a new version. Keys
are never used again for something else.

Components 16 to 20 are in use; 21 (`questions`: bits by question) and 22 (`requests`: outbound
requests) are reserved.
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

ERASURE: Final = Component(20, "erasure", (Field(0, "at_end_bits", "bits"),))
"""Bits erased by tier; tier 0 is what death or finish erased."""

COMPONENTS: Final = (METERS, CREDITS, ENERGY, PRICES, ERASURE)
BY_KEY: Final = {component.key: component for component in COMPONENTS}

PAID_IN: Final = ("leased", "rewards", "received")
PAID_OUT: Final = (
    "admission", "burned", "premium", "rent", "tax", "sent", "returned", "balance",
)  # fmt: skip
"""Of each receipt: the sum of `PAID_IN` is the sum of `PAID_OUT`."""
