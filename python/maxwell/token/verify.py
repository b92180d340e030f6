"""Verifying a receipt file: signatures, batches, trees, chains and sums, from the bytes alone.

The first violation ends it, and its message names the batch, the process and the receipt. What was
signed is checked before what it says: a figure that was changed after the run is a change, and a
figure that was signed false is a false figure.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import BadReceipt
from maxwell.token.cose import check_sign1, read_sign1
from maxwell.token.key import text_of
from maxwell.token.merkle import leaf_hash, root_of
from maxwell.token.receipt import Receipt, check_grows, check_sums, decode_receipt
from maxwell.token.statements import Batch, Opening, read_batch, read_opening
from maxwell.token.store import Item, read_items

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WHAT: Final = "receipts.cbor"
_NS: Final = 1_000_000_000


class Chain(msgspec.Struct, kw_only=True):
    """The receipts of one process, as far as they were read."""

    last: Receipt
    count: int
    head: bytes

    @property
    def name(self) -> str:
        """Name of the process."""
        return self.last.identity.name


class Verified(msgspec.Struct, kw_only=True):
    """A receipt file that verifies."""

    opening: Opening
    run_id: bytes
    last: bytes
    """SHA-256 of the last statement."""
    batches: int = 0
    receipts: int = 0
    t_ns: int = 0
    """Of the last batch."""
    chains: dict[int, Chain] = {}


class Verifier:
    """Reads a receipt file item by item.

    Args:
        key: the public key that the run must be signed with; None takes the one in the file.
        heads: last hash by process, as a summary gives them; only to name a changed receipt.
        what: the file, for messages.
    """

    def __init__(
        self,
        *,
        key: bytes | None = None,
        heads: Mapping[int, bytes] | None = None,
        what: str = WHAT,
    ) -> None:
        self._key = key
        self._heads = heads or {}
        self._what = what
        self.state: Verified | None = None
        """What verifies so far; None before the opening."""

    def read(self, data: bytes | memoryview) -> Verified:
        """Verifies a whole file; `state` says how far it got when this raises.

        Raises:
            BadReceipt: the first violation.
        """
        for item in read_items(data, what=self._what):
            if self.state is None:
                self.state = self._open(item)
            else:
                self._batch(self.state, item, data)
        if self.state is None:
            raise BadReceipt(f"{self._what}: it is empty", code="MX1610")
        return self.state

    def _open(self, item: Item) -> Verified:
        what = f"{self._what}: the opening"
        if item.receipts:
            raise BadReceipt(f"{what} holds receipts", code="MX1602")
        opening, run_id = verify_opening(item.statement, key=self._key, what=what)
        return Verified(opening=opening, run_id=run_id, last=run_id)

    def _batch(self, state: Verified, item: Item, data: bytes | memoryview) -> None:
        what = f"{self._what}: batch {state.batches}"
        statement = read_sign1(item.statement, what=what)
        batch = _read_batch(statement.payload, what, state)
        check_sign1(statement, state.opening.public_key, what=what)
        if batch.run_id != state.run_id:
            raise BadReceipt(
                f"{what} is of run {batch.run_id.hex()[:16]}, "
                f"the file of {state.run_id.hex()[:16]}",
                code="MX1609",
            )
        if batch.number != state.batches or batch.previous != state.last:
            raise BadReceipt(
                f"{what} is missing: batch {batch.number} stands in its place"
                if batch.number != state.batches
                else f"{what} does not follow the statement before it",
                code="MX1608",
            )
        if batch.t_ns < state.t_ns:
            raise BadReceipt(f"{what}: it was signed before the one before it")
        what = f"{what} (until {batch.t_ns / _NS:g} s)"
        leaves = [leaf_hash(receipt) for receipt in item.receipts]
        if len(leaves) != batch.size or root_of(leaves) != batch.root:
            why = self._find_change(state, batch, item, leaves, data)
            raise BadReceipt(f"{what}: {why}", code="MX1606")
        for index, (receipt, leaf) in enumerate(zip(item.receipts, leaves, strict=True)):
            self._receipt(state, receipt, leaf, f"{what}: receipt {index}")
        state.last = sha256(item.statement).digest()
        state.batches += 1
        state.receipts += batch.size
        state.t_ns = batch.t_ns

    def _receipt(self, state: Verified, data: bytes, leaf: bytes, what: str) -> None:
        receipt = decode_receipt(data, what=what)
        identity = receipt.identity
        what = name_of(receipt)
        chain = state.chains.get(identity.process)
        why = _break_in(chain, receipt, state.run_id)
        if why is not None:
            raise BadReceipt(f"{self._what}: {what}: {why}", code="MX1607")
        check_sums(receipt, what=what)
        opening = state.opening
        if (identity.engine, identity.price_table) != (opening.engine, opening.price_table):
            raise BadReceipt(f"{what}: its engine or price table is not the run's")
        if chain is not None:
            check_grows(chain.last, receipt, what=what)
        state.chains[identity.process] = Chain(last=receipt, count=receipt.number + 1, head=leaf)

    def _find_change(
        self,
        state: Verified,
        batch: Batch,
        item: Item,
        leaves: Sequence[bytes],
        data: bytes | memoryview,
    ) -> str:
        """Says what differs between a batch's receipts and those that were signed."""
        counted = f"{len(leaves)} receipts where {batch.size} were signed"
        known = {process: (c.count, c.head) for process, c in state.chains.items()}
        found: dict[int, tuple[str, bytes]] = {}
        for index, (raw, leaf) in enumerate(zip(item.receipts, leaves, strict=True)):
            try:
                receipt = decode_receipt(raw, what=f"receipt {index}")
                check_sums(receipt, what=name_of(receipt))
            except BadReceipt as error:
                return f"not what was signed: {error.message}"
            process = receipt.identity.process
            count, head = known.get(process, (0, state.run_id))
            if receipt.number != count or receipt.previous != head:
                why = f"{name_of(receipt)} does not follow number {count - 1} of its process"
                if receipt.number < count:
                    why = f"{name_of(receipt)} is there twice"
                return f"not what was signed: {why}" + (
                    f" ({counted})" if len(leaves) != batch.size else ""
                )
            known[process] = (count + 1, leaf)
            found[process] = (name_of(receipt), leaf)
        if len(leaves) != batch.size:
            absent = sorted(
                chain.name
                for process, chain in state.chains.items()
                if process not in found and chain.last.ending is None
            )
            listed = f"; none of {', '.join(map(repr, absent[:5]))}" if absent else ""
            return f"{counted}{listed}"
        following = self._following(item, data)
        for process, (name, leaf) in found.items():
            expected = following.get(process)
            if expected is not None and expected != leaf:
                return f"{name} was changed: what follows it was made after another one"
        unknown = [name for process, (name, _) in found.items() if process not in following]
        if not unknown:
            return "its receipts are in another order than was signed"
        return f"one of its receipts was changed or moved: {', '.join(unknown[:5])}"

    def _following(self, item: Item, data: bytes | memoryview) -> dict[int, bytes]:
        """Returns by process the hash that the next receipt, or the summary, has of the last."""
        following: dict[int, bytes] = {}
        try:
            for later in read_items(data, what=self._what):
                if later.offset <= item.offset:
                    continue
                for raw in later.receipts:
                    receipt = decode_receipt(raw, what="")
                    following.setdefault(receipt.identity.process, receipt.previous)
        except BadReceipt:
            # What comes later is damaged too; the first violation is the one to name.
            pass
        for process, head in self._heads.items():
            following.setdefault(process, head)
        return following


def _read_batch(payload: bytes, what: str, state: Verified) -> Batch:
    try:
        return read_batch(payload, what=what)
    except BadReceipt as error:
        if sha256(payload).digest() == sha256(state.opening.encoded()).digest():
            raise BadReceipt(f"{what} is the opening again", code="MX1608") from error
        raise


def _break_in(chain: Chain | None, receipt: Receipt, run_id: bytes) -> str | None:
    """Says how a receipt fails to follow the one before it; None when it does."""
    count = 0 if chain is None else chain.count
    if receipt.number > count:
        return f"number {count} is missing"
    if receipt.number < count:
        return "it is there twice"
    if receipt.previous != (run_id if chain is None else chain.head):
        return "it does not follow the receipt before it"
    if chain is not None and chain.last.ending is not None:
        return f"its process had ended ({chain.last.ending})"
    return None


def name_of(receipt: Receipt) -> str:
    """Names a receipt for people."""
    return f"receipt {receipt.number} of {receipt.identity.name!r}"


def verify_opening(statement: bytes, *, key: bytes | None, what: str) -> tuple[Opening, bytes]:
    """Verifies the opening of a run; returns it and the run's id.

    Raises:
        BadReceipt: MX1605 when it is of another key than `key`, MX1604 when its signature is false,
            MX1602 or MX1603.
    """
    signed = read_sign1(statement, what=what)
    opening = read_opening(signed.payload, what=what)
    if key is not None and opening.public_key != key:
        raise BadReceipt(
            f"the run was signed with {text_of(opening.public_key)}, not {text_of(key)}",
            code="MX1605",
            hint="`maxwell explain MX1605` says what that can mean",
        )
    check_sign1(signed, opening.public_key, what=what)
    return opening, sha256(statement).digest()


def process_named(chains: Iterable[Chain], name: str) -> list[Chain]:
    """Returns the chains of a process: one, or more when it was moved before it started."""
    return [chain for chain in chains if chain.name == name]
