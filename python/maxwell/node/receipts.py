"""The receipts of a run: what the ledger and the slots say of each process, signed.

This is where the node meets `maxwell.token`: figures are read from the ledger's statement and the
slot, never from the report.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell._native import ENGINE_VERSION, PRICE_TABLE_VERSION
from maxwell.token.book import EPOCH_NS, ReceiptBook
from maxwell.token.key import node_signer
from maxwell.token.receipt import Identity
from maxwell.token.registry import (
    CREDITS,
    ENERGY,
    ERASURE,
    INFERENCE,
    INFORMATION,
    METERS,
    OUTBOUND,
    PRICES,
)
from maxwell.token.statements import NONCE_BYTES, Opening
from maxwell.token.store import ReceiptFile
from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maxwell._native import Slot
    from maxwell.config import FleetConfig
    from maxwell.energy import NodeReading
    from maxwell.market.ledger import Ledger, Statement
    from maxwell.node.entry import Entry
    from maxwell.observe.folder import RunFolder
    from maxwell.token.book import Totals

MOVED: Final = "moved"
"""How a chain ends whose process was given back by its cell and begins again elsewhere."""
_NS: Final = 1_000_000_000


class Receipts:
    """Writes the receipts of one run into its folder.

    Args:
        folder: of the run.

    Raises:
        ConfigError: MX1601 when the node's key cannot be had, MX1000 when the file cannot be made.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._signer = node_signer()
        self._file = ReceiptFile(folder.receipts)
        self._book: ReceiptBook | None = None
        self._totals: Totals | None = None

    def open(self, fleet: FleetConfig) -> None:
        """Signs the opening; call when the run begins."""
        deterministic = fleet.node.deterministic
        opening = Opening(
            public_key=self._signer.public_key,
            seed=fleet.node.seed,
            fleet_hash=fleet_hash(fleet),
            engine=ENGINE_VERSION,
            price_table=PRICE_TABLE_VERSION,
            maxwell=__version__,
            deterministic=deterministic,
            epoch_ns=EPOCH_NS,
            nonce=bytes(NONCE_BYTES) if deterministic else os.urandom(NONCE_BYTES),
        )
        self._book = ReceiptBook(self._file, self._signer, opening)

    def epoch(
        self,
        t_ns: int,
        entries: list[Entry],
        slots: Mapping[int, Slot],
        ledger: Ledger,
        reading: NodeReading,
    ) -> None:
        """Makes the receipts of a settlement epoch when one is over; call after `settle`.

        Args:
            t_ns: the run's clock.
            entries: those that live.
            slots: theirs, as they were settled.
            ledger: the run's.
            reading: of the node's meter.
        """
        book = self._book
        if book is None or not book.is_due(t_ns, len(entries)):
            return
        for entry in entries:
            self._add(entry, t_ns, slots[entry.pid], ledger, reading, None)
        book.seal(t_ns)

    def end(
        self,
        t_ns: int,
        entry: Entry,
        slot: Slot,
        ledger: Ledger,
        reading: NodeReading,
        ending: str,
    ) -> None:
        """Makes the last receipt of a process, after its lease was closed."""
        self._add(entry, t_ns, slot, ledger, reading, ending)

    def finish(self, totals: Totals) -> None:
        """Signs the last batch."""
        if self._book is not None:
            self._book.seal(totals.ended_ns)
        self._totals = totals

    def close(self) -> str | None:
        """Closes the file; returns a warning when it is incomplete."""
        self._file.close()
        return self._file.warning()

    def write_summary(self, report: bytes) -> str | None:
        """Signs the summary over a report's text and the events; returns a warning if it cannot."""
        if self._book is None or self._totals is None:
            return None
        summary = self._book.summary(
            self._totals,
            report_hash=sha256(report).digest(),
            events_hash=file_hash(self._folder),
        )
        path = self._folder.summary
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_bytes(summary)
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            return f"{path.name} was not written: {error.strerror}"
        return None

    def _add(
        self,
        entry: Entry,
        t_ns: int,
        slot: Slot,
        ledger: Ledger,
        reading: NodeReading,
        ending: str | None,
    ) -> None:
        book = self._book
        if book is None:
            return
        if not book.knows(entry.pid):
            book.introduce(_identity(entry), min(t_ns, slot.born_ns))
        figures = _figures(slot, ledger.statement(entry.pid), reading, entry)
        book.add(entry.pid, t_ns, figures, ending=ending)


def _identity(entry: Entry) -> Identity:
    return Identity(
        engine=ENGINE_VERSION,
        price_table=PRICE_TABLE_VERSION,
        process=entry.pid,
        name=entry.name,
        account=entry.config.account,
        module_digest=bytes.fromhex(entry.admitted.digest.removeprefix("sha256:")),
    )


def _figures(
    slot: Slot, books: Statement, reading: NodeReading, entry: Entry
) -> dict[int, dict[int, int | str]]:
    """Lays the figures out by `maxwell.token.registry`, whose order and keys these are."""
    metered = reading.metered_uj
    interval = (
        -(-(slot.energy_uj + entry.host_uj) * reading.interval_uj // metered) if metered else 0
    )
    return {
        METERS.key: {
            1: slot.fuel,
            2: slot.cpu_ns,
            3: slot.bytes,
            4: slot.calls,
            5: slot.slices,
            6: slot.memory_byte_ns // _NS,
            7: slot.memory_bytes,
            8: slot.memory_bytes_max,
            9: entry.results,
        },
        CREDITS.key: {
            1: books.leased,
            2: books.rewards,
            3: books.received,
            4: books.admission,
            5: books.burned,
            6: books.premium,
            7: books.rent,
            8: books.tax,
            9: books.sent,
            10: books.returned,
            11: books.balance,
            12: slot.escrow if books.balance else 0,
            13: slot.bond if books.balance else 0,
            14: slot.rent_unpaid,
            15: books.requests,
            16: books.stakes_lost,
            17: slot.tax_unpaid,
        },
        ENERGY.key: {
            1: slot.energy_uj + entry.host_uj,
            2: slot.uncollected_uj + entry.inference_uncollected_uj,
            3: interval,
            4: reading.provenance,
        },
        PRICES.key: {1: slot.bid_ppm, 2: slot.price_ppm},
        ERASURE.key: {
            0: slot.erased_bits,
            1: 8 * slot.freed_bytes,
            2: 8 * slot.discarded_bytes,
        },
        INFORMATION.key: {
            1: max(0, entry.bits_q32),
            2: max(0, -entry.bits_q32),
            3: entry.beliefs,
            4: entry.beliefs_refused,
            5: entry.information_credits,
        },
        OUTBOUND.key: {1: entry.requests},
        INFERENCE.key: {
            1: entry.inferences,
            2: entry.macs,
            3: entry.inference_uj,
            4: entry.proof_uj,
            5: entry.claims_paid,
            6: entry.claims_refused,
        },
    }


def fleet_hash(fleet: FleetConfig) -> bytes:
    """Returns the SHA-256 of a fleet as it was checked, without the places of its files.

    The JSON of the configuration with sorted keys, without `base_dir` and the host's side of
    folders. Two copies of one fleet file in two folders have the same hash.
    """
    plain = msgspec.to_builtins(fleet, enc_hook=str)
    del plain["base_dir"]
    for process in plain["processes"]:
        for folder in process["dirs"]:
            del folder["host"]
    return sha256(msgspec.json.encode(plain, order="sorted")).digest()


def file_hash(folder: RunFolder) -> bytes | None:
    """Returns the SHA-256 of the events file; None when there is no regular file to read."""
    if not folder.events.is_file():
        return None
    digest = sha256()
    try:
        with folder.events.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return None
    return digest.digest()
