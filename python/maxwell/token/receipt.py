"""A receipt: what one process has used and paid from its birth to the end of a settlement epoch.

Figures are cumulative, so that the last receipt of a process is its whole account and a missing
one hides nothing. Each names the hash of the one before it: a chain per process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from maxwell.errors import BadReceipt
from maxwell.token.cbor import Encodable, Value, decode, encode
from maxwell.token.registry import (
    BY_KEY,
    CREDITS,
    ENERGY,
    FIRST_COMPONENT,
    PAID_IN,
    PAID_OUT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1
HASH_BYTES: Final = 32
RECEIPT_BYTES_MAX: Final = 64 << 10
"""A receipt takes about 350 bytes and two names."""

Figures = dict[int, dict[int, int | str]]
"""Component to field to figure."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change over the life of a process."""

    engine: str
    price_table: int
    """Version of the operator's table of prices of host calls."""
    process: int
    """Number in the run."""
    name: str
    account: str
    module_digest: bytes
    """SHA-256 of the module."""

    def encoded(self) -> bytes:
        """Returns keys 0 to 6 of every receipt, without the map's head."""
        fields: dict[int, Encodable] = {
            0: VERSION,
            1: self.engine,
            2: self.price_table,
            3: self.process,
            4: self.name,
            5: self.account,
            6: self.module_digest,
        }
        return encode(fields)[1:]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt."""

    identity: Identity
    number: int
    """Place in the chain of its process, from 0."""
    previous: bytes
    """Leaf hash of the receipt before; of the first, the run's id."""
    from_ns: int
    to_ns: int
    """The run's clock; virtual time in deterministic mode."""
    ending: str | None
    """How the process ended, in its last receipt; `moved` when its cell gave it back unstarted."""
    figures: Figures

    def figure(self, component: int, field: int) -> int:
        """Returns a figure; 0 when the receipt has none."""
        value = self.figures.get(component, {}).get(field, 0)
        return value if isinstance(value, int) else 0

    def credits(self, name: str) -> int:
        """Returns one of the credits."""
        return self.figure(CREDITS.key, CREDITS.key_of(name))

    def energy(self, name: str) -> int:
        """Returns one of the energies, in microjoules."""
        return self.figure(ENERGY.key, ENERGY.key_of(name))


def encode_receipt(
    identity: bytes,
    *,
    number: int,
    previous: bytes,
    from_ns: int,
    to_ns: int,
    ending: str | None,
    figures: Mapping[int, Mapping[int, int | str]],
) -> bytes:
    """Returns the bytes of a receipt.

    Args:
        identity: of the process, as `Identity.encoded` gives it: made once for all its receipts.
        number: see `Receipt`.
        previous: see `Receipt`.
        from_ns: see `Receipt`.
        to_ns: see `Receipt`.
        ending: see `Receipt`.
        figures: components in ascending order, fields too.
    """
    rest: dict[int, Encodable] = {7: number, 8: previous, 9: from_ns, 10: to_ns}
    if ending is not None:
        rest[11] = ending
    rest.update(figures)
    tail = encode(rest)
    # Seven keys and these; a map of up to 23 has one byte in front.
    return bytes([tail[0] + 7]) + identity + tail[1:]


def decode_receipt(data: bytes, *, what: str) -> Receipt:
    """Reads a receipt.

    Raises:
        BadReceipt: MX1602 when it is none, MX1603 when it is of another version.
    """
    if len(data) > RECEIPT_BYTES_MAX:
        raise BadReceipt(f"{what}: {len(data):,} bytes are too many", code="MX1602")
    fields = decode(data, what=what)
    if not isinstance(fields, dict):
        raise BadReceipt(f"{what}: not a receipt", code="MX1602")
    check_version(fields.get(0), what=what)
    previous = byte_string(fields, 8, what=what, size=HASH_BYTES)
    ending = text(fields, 11, what=what) if 11 in fields else None
    return Receipt(
        identity=Identity(
            engine=text(fields, 1, what=what),
            price_table=unsigned(fields, 2, what=what),
            process=unsigned(fields, 3, what=what),
            name=text(fields, 4, what=what),
            account=text(fields, 5, what=what),
            module_digest=byte_string(fields, 6, what=what, size=HASH_BYTES),
        ),
        number=unsigned(fields, 7, what=what),
        previous=previous,
        from_ns=unsigned(fields, 9, what=what),
        to_ns=unsigned(fields, 10, what=what),
        ending=ending,
        figures=_figures(fields, what),
    )


def _figures(fields: dict[int, Value], what: str) -> Figures:
    """Reads the components; those that this version does not know are left out."""
    found: Figures = {}
    for key, component in BY_KEY.items():
        values = fields.get(key)
        if not isinstance(values, dict):
            raise BadReceipt(f"{what}: it has no {component.name}", code="MX1602")
        for field in component.fields:
            value = values.get(field.key)
            fits = isinstance(value, str) if field.kind == "text" else _is_unsigned(value)
            if not fits:
                raise BadReceipt(
                    f"{what}: no {field.name} among its {component.name}", code="MX1602"
                )
        # Further fields and components are of a later registry: kept if they are figures.
        found[key] = {k: cast("int | str", v) for k, v in values.items() if _is_figure(v)}
    for key, values in fields.items():
        if key >= FIRST_COMPONENT and key not in BY_KEY and isinstance(values, dict):
            found[key] = {k: cast("int | str", v) for k, v in values.items() if _is_figure(v)}
    return found


def check_sums(receipt: Receipt, *, what: str) -> None:
    """Checks that a receipt's own sums hold.

    Raises:
        BadReceipt: MX1600 when one does not.
    """
    paid_in = sum(receipt.credits(name) for name in PAID_IN)
    paid_out = sum(receipt.credits(name) for name in PAID_OUT)
    if paid_in != paid_out:
        raise BadReceipt(f"{what}: it was given {paid_in} credits and accounts for {paid_out}")
    burned, uncollected = receipt.credits("burned"), receipt.energy("uncollected_uj")
    if receipt.energy("energy_uj") != burned + uncollected:
        raise BadReceipt(
            f"{what}: metered {receipt.energy('energy_uj')} uJ, burned {burned}, "
            f"uncollected {uncollected}"
        )
    if receipt.credits("escrow") + receipt.credits("bond") > receipt.credits("balance"):
        raise BadReceipt(f"{what}: its escrow and bond exceed its balance")
    if receipt.to_ns < receipt.from_ns:
        raise BadReceipt(f"{what}: it ends before it begins")
    if receipt.ending is not None and receipt.credits("balance"):
        raise BadReceipt(f"{what}: it ended with {receipt.credits('balance')} credits left")


def check_grows(before: Receipt, after: Receipt, *, what: str) -> None:
    """Checks that nothing that only grows went down between two receipts of one process.

    Raises:
        BadReceipt: MX1600 when something did, or the process changed.
    """
    if before.identity != after.identity:
        raise BadReceipt(f"{what}: its module, account or engine is not that of the one before")
    if before.to_ns != after.from_ns:
        raise BadReceipt(f"{what}: it begins at {after.from_ns} ns, not at {before.to_ns}")
    for component in BY_KEY.values():
        for field in component.fields:
            if field.kind != "grows":
                continue
            earlier, later = (r.figure(component.key, field.key) for r in (before, after))
            if later < earlier:
                raise BadReceipt(f"{what}: {field.name} went from {earlier} to {later}")


def check_version(value: Value, *, what: str) -> None:
    """Checks key 0 of a receipt or statement.

    Raises:
        BadReceipt: MX1602 when it is no number, MX1603 when it is not `VERSION`.
    """
    if not _is_unsigned(value):
        raise BadReceipt(f"{what}: it has no version", code="MX1602")
    if value != VERSION:
        raise BadReceipt(
            f"{what}: it is of version {value}, this Maxwell knows {VERSION}",
            code="MX1603",
            hint="verify it with the version of Maxwell that wrote it, or a later one",
        )


def _is_unsigned(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_figure(value: Value) -> bool:
    return isinstance(value, str) or _is_unsigned(value)


def unsigned(fields: Mapping[int, Value], key: int, *, what: str) -> int:
    """Returns an unsigned integer of a map.

    Raises:
        BadReceipt: MX1602 when there is none.
    """
    value = fields.get(key)
    if not _is_unsigned(value):
        raise BadReceipt(f"{what}: key {key} is no unsigned integer", code="MX1602")
    return cast("int", value)


def text(fields: Mapping[int, Value], key: int, *, what: str) -> str:
    """Returns a text of a map.

    Raises:
        BadReceipt: MX1602 when there is none.
    """
    value = fields.get(key)
    if not isinstance(value, str):
        raise BadReceipt(f"{what}: key {key} is no text", code="MX1602")
    return value


def byte_string(fields: Mapping[int, Value], key: int, *, what: str, size: int) -> bytes:
    """Returns a byte string of a size out of a map.

    Raises:
        BadReceipt: MX1602 when there is none.
    """
    value = fields.get(key)
    if not isinstance(value, bytes) or len(value) != size:
        raise BadReceipt(f"{what}: key {key} is no string of {size} bytes", code="MX1602")
    return value
