"""The three statements that a node signs: a run's opening, a batch of receipts, the summary.

Each payload is a map with unsigned keys: 0 is the version, 1 the kind, so that no statement can
stand for one of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import BadReceipt
from maxwell.token.cbor import Encodable, Value, decode, encode
from maxwell.token.cose import KEY_BYTES
from maxwell.token.receipt import (
    HASH_BYTES,
    VERSION,
    byte_string,
    check_version,
    text,
    unsigned,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENING: Final = 1
BATCH: Final = 2
SUMMARY: Final = 3
_KINDS: Final = {OPENING: "opening", BATCH: "batch", SUMMARY: "summary"}

CREDIT_KEYS: Final = {
    1: "minted",
    2: "held",
    3: "leased",
    4: "escrowed",
    5: "burned",
    6: "commons",
    7: "expired",
    8: "income",
}
"""`income`: basic income that was paid out of the commons."""
ENERGY_KEYS: Final = {
    1: "metered",
    2: "processes",
    3: "idle",
    4: "system",
    5: "unattributed",
    6: "uncollected",
    7: "interval",
}
NONCE_BYTES: Final = 16


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says of itself before it begins; the SHA-256 of its statement is the run's id."""

    public_key: bytes
    seed: int
    fleet_hash: bytes
    engine: str
    price_table: int
    maxwell: str
    """Version of Maxwell."""
    deterministic: bool
    epoch_ns: int
    """Least length of a settlement epoch."""
    nonce: bytes
    """Random, so that no two runs share an id; zeros in deterministic mode."""

    def encoded(self) -> bytes:
        """Returns the payload."""
        return encode(
            {
                0: VERSION,
                1: OPENING,
                2: self.public_key,
                3: self.seed,
                4: self.fleet_hash,
                5: self.engine,
                6: self.price_table,
                7: self.maxwell,
                8: self.deterministic,
                9: self.epoch_ns,
                10: self.nonce,
            }
        )


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The receipts of one settlement epoch, by the root of their tree."""

    run_id: bytes
    number: int
    """From 0."""
    previous: bytes
    """SHA-256 of the statement before: the last batch, or the opening."""
    t_ns: int
    size: int
    """Number of receipts."""
    root: bytes

    def encoded(self) -> bytes:
        """Returns the payload."""
        return encode(
            {
                0: VERSION,
                1: BATCH,
                2: self.run_id,
                3: self.number,
                4: self.previous,
                5: self.t_ns,
                6: self.size,
                7: self.root,
            }
        )


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The end of one process's chain."""

    process: int
    count: int
    """Receipts."""
    hash: bytes
    """Leaf hash of the last one."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to: it binds every receipt, the report and the events."""

    run_id: bytes
    public_key: bytes
    seed: int
    fleet_hash: bytes
    batches: int
    last: bytes
    """SHA-256 of the last statement of the receipt file."""
    receipts: int
    heads: tuple[Head, ...]
    """By process, ascending."""
    credits: dict[str, int]
    energy: dict[str, int]
    provenance: str
    sums: dict[int, int]
    """Sums over the last receipts of all processes, by the keys of the component `credits`."""
    conserved: bool
    interrupted: bool
    ended_ns: int
    lost_batches: int
    """Batches that could not be written to the file, such as on a full disk; they count above."""
    report_hash: bytes
    events_hash: bytes | None
    """None when the run kept no events."""

    def encoded(self) -> bytes:
        """Returns the payload."""
        heads: list[Encodable] = [[h.process, h.count, h.hash] for h in self.heads]
        return encode(
            {
                0: VERSION,
                1: SUMMARY,
                2: self.run_id,
                3: self.public_key,
                4: self.seed,
                5: self.fleet_hash,
                6: self.batches,
                7: self.last,
                8: self.receipts,
                9: heads,
                10: {key: self.credits[name] for key, name in CREDIT_KEYS.items()},
                11: {key: self.energy[name] for key, name in ENERGY_KEYS.items()},
                12: self.provenance,
                13: dict(sorted(self.sums.items())),
                14: self.conserved,
                15: self.interrupted,
                16: self.ended_ns,
                17: self.lost_batches,
                18: self.report_hash,
                19: self.events_hash,
            }
        )


def read_opening(payload: bytes, *, what: str) -> Opening:
    """Reads the payload of an opening.

    Raises:
        BadReceipt: MX1602 or MX1603.
    """
    fields = _fields(payload, OPENING, what)
    return Opening(
        public_key=byte_string(fields, 2, what=what, size=KEY_BYTES),
        seed=unsigned(fields, 3, what=what),
        fleet_hash=byte_string(fields, 4, what=what, size=HASH_BYTES),
        engine=text(fields, 5, what=what),
        price_table=unsigned(fields, 6, what=what),
        maxwell=text(fields, 7, what=what),
        deterministic=_flag(fields, 8, what),
        epoch_ns=unsigned(fields, 9, what=what),
        nonce=byte_string(fields, 10, what=what, size=NONCE_BYTES),
    )


def read_batch(payload: bytes, *, what: str) -> Batch:
    """Reads the payload of a batch.

    Raises:
        BadReceipt: MX1602 or MX1603.
    """
    fields = _fields(payload, BATCH, what)
    return Batch(
        run_id=byte_string(fields, 2, what=what, size=HASH_BYTES),
        number=unsigned(fields, 3, what=what),
        previous=byte_string(fields, 4, what=what, size=HASH_BYTES),
        t_ns=unsigned(fields, 5, what=what),
        size=unsigned(fields, 6, what=what),
        root=byte_string(fields, 7, what=what, size=HASH_BYTES),
    )


def read_summary(payload: bytes, *, what: str) -> Summary:
    """Reads the payload of a summary.

    Raises:
        BadReceipt: MX1602 or MX1603.
    """
    fields = _fields(payload, SUMMARY, what)
    events = fields.get(19)
    return Summary(
        run_id=byte_string(fields, 2, what=what, size=HASH_BYTES),
        public_key=byte_string(fields, 3, what=what, size=KEY_BYTES),
        seed=unsigned(fields, 4, what=what),
        fleet_hash=byte_string(fields, 5, what=what, size=HASH_BYTES),
        batches=unsigned(fields, 6, what=what),
        last=byte_string(fields, 7, what=what, size=HASH_BYTES),
        receipts=unsigned(fields, 8, what=what),
        heads=_heads(fields.get(9), what),
        credits=_named(fields, 10, CREDIT_KEYS, what),
        energy=_named(fields, 11, ENERGY_KEYS, what),
        provenance=text(fields, 12, what=what),
        sums=_sums(fields, 13, what),
        conserved=_flag(fields, 14, what),
        interrupted=_flag(fields, 15, what),
        ended_ns=unsigned(fields, 16, what=what),
        lost_batches=unsigned(fields, 17, what=what),
        report_hash=byte_string(fields, 18, what=what, size=HASH_BYTES),
        events_hash=(
            None if events is None else byte_string(fields, 19, what=what, size=HASH_BYTES)
        ),
    )


def _fields(payload: bytes, kind: int, what: str) -> dict[int, Value]:
    fields = decode(payload, what=what)
    if not isinstance(fields, dict):
        raise BadReceipt(f"{what}: not a statement", code="MX1602")
    check_version(fields.get(0), what=what)
    found = fields.get(1)
    if found != kind or isinstance(found, bool):
        name = _KINDS.get(found, "unknown") if isinstance(found, int) else "unknown"
        raise BadReceipt(f"{what}: of kind {name}, not {_KINDS[kind]}", code="MX1602")
    return fields


def _flag(fields: Mapping[int, Value], key: int, what: str) -> bool:
    value = fields.get(key)
    if not isinstance(value, bool):
        raise BadReceipt(f"{what}: key {key} is neither true nor false", code="MX1602")
    return value


def _heads(value: Value, what: str) -> tuple[Head, ...]:
    found: list[Head] = []
    for entry in value if isinstance(value, list) else [None]:
        try:
            found.append(msgspec.convert(entry, Head))
        except msgspec.ValidationError as error:
            raise BadReceipt(f"{what}: key 9 is no list of heads", code="MX1602") from error
    return tuple(found)


def _integers(fields: Mapping[int, Value], key: int, what: str) -> dict[int, int]:
    values = fields.get(key)
    found: dict[int, int] = {}
    for name, value in values.items() if isinstance(values, dict) else [(0, None)]:
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadReceipt(f"{what}: key {key} is no map of integers", code="MX1602")
        found[name] = value
    return found


def _sums(fields: Mapping[int, Value], key: int, what: str) -> dict[int, int]:
    values = _integers(fields, key, what)
    if min(values.values(), default=0) < 0:
        raise BadReceipt(f"{what}: key {key} has a negative sum", code="MX1602")
    return values


def _named(
    fields: Mapping[int, Value], key: int, names: Mapping[int, str], what: str
) -> dict[str, int]:
    values = _integers(fields, key, what)
    for number, name in names.items():
        if number not in values:
            raise BadReceipt(f"{what}: key {key} has no {name}", code="MX1602")
    return {name: values[number] for number, name in names.items()}
