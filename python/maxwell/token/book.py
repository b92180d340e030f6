"""The book of receipts: a chain per process, a batch per settlement epoch, a summary at the end.

Cost, measured with `benches/receipts.py`: about 20 µs a receipt and 100 µs a batch (a signature
and a write). At most `RECEIPTS_PER_S` receipts a second are made on average: larger fleets have
longer epochs, so that receipts stay below 0.1 % of one core. docs/decisions/0011 has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.token.merkle import leaf_hash, root_of
from maxwell.token.receipt import encode_receipt
from maxwell.token.registry import CREDITS
from maxwell.token.statements import Batch, Head, Summary
from maxwell.token.store import BATCH_RECEIPTS_MAX

if TYPE_CHECKING:
    from maxwell.token.cose import Signer
    from maxwell.token.receipt import Identity
    from maxwell.token.statements import Opening
    from maxwell.token.store import ReceiptFile

EPOCH_NS: Final = 1_000_000_000
"""Least length of a settlement epoch."""
RECEIPTS_PER_S: Final = 32
"""Above so many processes epochs grow: 1,000 processes have one of 32 s."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger and the node's meter say at the end of a run."""

    credits: dict[str, int]
    energy: dict[str, int]
    provenance: str
    conserved: bool
    interrupted: bool
    ended_ns: int


class _Chain(msgspec.Struct):
    identity: bytes
    head: bytes
    count: int = 0
    to_ns: int = 0
    credits: Mapping[int, int | str] = {}


class ReceiptBook:
    """Makes the receipts of one run. Deterministic, given the key and the opening.

    Args:
        file: where batches go.
        signer: the node's.
        opening: of the run.
    """

    def __init__(self, file: ReceiptFile, signer: Signer, opening: Opening) -> None:
        self._file = file
        self._signer = signer
        self._opening = opening
        statement = signer.sign(opening.encoded())
        self.run_id: Final = sha256(statement).digest()
        self._last = self.run_id
        self._chains: dict[int, _Chain] = {}
        self._pending: list[bytes] = []
        self._leaves: list[bytes] = []
        self._batches = 0
        self._receipts = 0
        self._epoch_ns = 0
        file.append(statement, ())

    def is_due(self, t_ns: int, processes: int) -> bool:
        """Tells whether a settlement epoch is over, and begins the next one if so.

        Args:
            t_ns: the run's clock.
            processes: number of those that live.
        """
        if t_ns < self._epoch_ns + EPOCH_NS * max(1, -(-processes // RECEIPTS_PER_S)):
            return False
        self._epoch_ns = t_ns - t_ns % EPOCH_NS
        return True

    def knows(self, process: int) -> bool:
        """Tells whether a process has been introduced."""
        return process in self._chains

    def introduce(self, identity: Identity, born_ns: int) -> None:
        """Begins the chain of a process."""
        chain = _Chain(identity.encoded(), self.run_id, to_ns=born_ns)
        self._chains[identity.process] = chain

    def add(
        self,
        process: int,
        t_ns: int,
        figures: Mapping[int, Mapping[int, int | str]],
        *,
        ending: str | None = None,
    ) -> None:
        """Makes the next receipt of a process; it is signed by the next `seal`.

        Args:
            process: introduced before.
            t_ns: the run's clock.
            figures: by component and field, in ascending order.
            ending: how it ended, in its last receipt.
        """
        chain = self._chains[process]
        to_ns = max(t_ns, chain.to_ns)
        receipt = encode_receipt(
            chain.identity,
            number=chain.count,
            previous=chain.head,
            from_ns=chain.to_ns,
            to_ns=to_ns,
            ending=ending,
            figures=figures,
        )
        chain.head = leaf_hash(receipt)
        chain.count += 1
        chain.to_ns = to_ns
        chain.credits = figures[CREDITS.key]
        self._pending.append(receipt)
        self._leaves.append(chain.head)
        if len(self._pending) >= BATCH_RECEIPTS_MAX:
            self.seal(t_ns)

    def seal(self, t_ns: int) -> None:
        """Signs what was added since the last call, and writes it."""
        if not self._pending:
            return
        batch = Batch(
            run_id=self.run_id,
            number=self._batches,
            previous=self._last,
            t_ns=t_ns,
            size=len(self._pending),
            root=root_of(self._leaves),
        )
        statement = self._signer.sign(batch.encoded())
        self._last = sha256(statement).digest()
        self._batches += 1
        self._receipts += len(self._pending)
        self._file.append(statement, self._pending)
        self._pending, self._leaves = [], []

    def summary(self, totals: Totals, *, report_hash: bytes, events_hash: bytes | None) -> bytes:
        """Returns the signed summary; call after the last `seal`."""
        sums = {field.key: 0 for field in CREDITS.fields}
        for chain in self._chains.values():
            for key in sums:
                value = chain.credits.get(key, 0)
                sums[key] += value if isinstance(value, int) else 0
        summary = Summary(
            run_id=self.run_id,
            public_key=self._signer.public_key,
            seed=self._opening.seed,
            fleet_hash=self._opening.fleet_hash,
            batches=self._batches,
            last=self._last,
            receipts=self._receipts,
            heads=tuple(
                Head(process, chain.count, chain.head)
                for process, chain in sorted(self._chains.items())
            ),
            credits=totals.credits,
            energy=totals.energy,
            provenance=totals.provenance,
            sums=sums,
            conserved=totals.conserved,
            interrupted=totals.interrupted,
            ended_ns=totals.ended_ns,
            lost_batches=self._file.lost,
            report_hash=report_hash,
            events_hash=events_hash,
        )
        return self._signer.sign(summary.encoded())
