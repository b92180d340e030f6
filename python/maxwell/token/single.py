"""A receipt on its own: with what is needed to verify it without the rest of the run's file.

The file is one item: `["maxwell.receipt", opening, batch, index, path, receipt]`. The batch is
signed, and the path leads from the receipt to the root that the batch names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import BadReceipt, ConfigError
from maxwell.token.cbor import Value, decode, encode
from maxwell.token.cose import check_sign1, read_sign1
from maxwell.token.merkle import leaf_hash, path_of, root_from_path
from maxwell.token.receipt import HASH_BYTES, Receipt, check_sums, decode_receipt
from maxwell.token.statements import Batch, Opening, read_batch
from maxwell.token.store import read_items
from maxwell.token.verify import verify_opening

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = "maxwell.receipt"
PATH_MAX: Final = 32
"""2^32 receipts in a batch."""


class Single(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt that verifies on its own."""

    opening: Opening
    batch: Batch
    receipt: Receipt


def receipts_in(data: bytes | memoryview, *, what: str) -> Iterator[tuple[Receipt, bytes]]:
    """Yields the receipts of a file, each with its standalone form; verifies nothing.

    Raises:
        BadReceipt: MX1602, MX1603 or MX1610.
    """
    opening = b""
    for item in read_items(data, what=what):
        opening = opening or item.statement
        leaves = [leaf_hash(raw) for raw in item.receipts]
        for index, raw in enumerate(item.receipts):
            receipt = decode_receipt(raw, what=f"{what}: receipt {index} at byte {item.offset}")
            path = path_of(leaves, index)
            yield receipt, encode([MARK, opening, item.statement, index, path, raw])


def find_receipt(
    data: bytes | memoryview, process: str, number: int | None, *, what: str
) -> tuple[Receipt, bytes]:
    """Returns a receipt of a process and its standalone form.

    Args:
        data: a receipt file.
        process: name.
        number: place in its chain; the last one when None.
        what: the file, for messages.

    Raises:
        ConfigError: MX1001 when there is no such receipt.
        BadReceipt: the file cannot be read.
    """
    found: tuple[Receipt, bytes] | None = None
    for receipt, single in receipts_in(data, what=what):
        if receipt.identity.name == process and number in (None, receipt.number):
            found = receipt, single
    if found is None:
        which = "receipt" if number is None else f"receipt {number}"
        raise ConfigError(
            f"no {which} of process {process!r} in {what}",
            code="MX1001",
            hint="`maxwell receipt show FILE` lists the processes",
        )
    return found


def is_single(data: bytes) -> bool:
    """Tells whether a file is a receipt on its own rather than a receipt file."""
    return data[:17].endswith(MARK.encode())


def verify_single(data: bytes, *, key: bytes | None, what: str) -> Single:
    """Verifies a receipt on its own.

    Raises:
        BadReceipt: the first violation.
    """
    value = decode(data, what=what)
    fields: list[Value] = value if isinstance(value, list) else []
    if len(fields) != 6 or fields[0] != MARK:
        raise BadReceipt(f"{what}: not a receipt", code="MX1602")
    _, opening_, batch_, index, path_, raw = fields
    path = [entry for entry in path_ if _is_hash(entry)] if isinstance(path_, list) else None
    if (
        not isinstance(opening_, bytes)
        or not isinstance(batch_, bytes)
        or not isinstance(index, int)
        or isinstance(index, bool)
        or path is None
        or not isinstance(path_, list)
        or len(path) != len(path_)
        or len(path) > PATH_MAX
        or not isinstance(raw, bytes)
    ):
        raise BadReceipt(f"{what}: not a receipt with its path", code="MX1602")
    opening, run_id = verify_opening(opening_, key=key, what=f"{what}: the opening")
    signed = read_sign1(batch_, what=f"{what}: the batch")
    batch = read_batch(signed.payload, what=f"{what}: the batch")
    check_sign1(signed, opening.public_key, what=f"{what}: the batch")
    if batch.run_id != run_id:
        raise BadReceipt(f"{what}: its batch is of another run than its opening", code="MX1609")
    hashes = [entry for entry in path if isinstance(entry, bytes)]
    if root_from_path(leaf_hash(raw), index, batch.size, hashes) != batch.root:
        raise BadReceipt(
            f"{what}: it is not receipt {index} of batch {batch.number}", code="MX1606"
        )
    receipt = decode_receipt(raw, what=what)
    check_sums(receipt, what=what)
    return Single(opening=opening, batch=batch, receipt=receipt)


def _is_hash(value: Value) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES
