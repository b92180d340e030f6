"""A run's receipts without a run: a fixed key, a few processes, figures that grow."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from maxwell.token.book import ReceiptBook, Totals
from maxwell.token.cose import Signer
from maxwell.token.receipt import Identity
from maxwell.token.statements import Opening
from maxwell.token.store import ReceiptFile

SEED = bytes(range(32))
S = 1_000_000_000
ENGINE = "wasmtime 0.0.0"


def signer(seed: bytes = SEED) -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(seed))


def opening(made: Signer, *, nonce: bytes = bytes(16)) -> Opening:
    return Opening(
        public_key=made.public_key,
        seed=7,
        fleet_hash=sha256(b"fleet").digest(),
        engine=ENGINE,
        price_table=1,
        maxwell="0.1.0",
        deterministic=True,
        epoch_ns=S,
        nonce=nonce,
    )


def identity(process: int) -> Identity:
    return Identity(
        engine=ENGINE,
        price_table=1,
        process=process,
        name=f"p{process}",
        account=f"a{process}",
        module_digest=sha256(b"module").digest(),
    )


@dataclass
class Life:
    """A process whose money is conserved."""

    leased: int
    spent: list[int] = field(default_factory=lambda: [0, 0, 0, 0, 0])
    """Admission, burned, premium, rent, tax."""
    returned: int = 0

    def spend(self, amounts: list[int]) -> None:
        for index, amount in enumerate(amounts):
            self.spent[index] += min(amount, self.leased - sum(self.spent))

    def figures(self, *, ending: bool = False) -> dict[int, dict[int, int | str]]:
        left = self.leased - sum(self.spent)
        self.returned = left if ending else 0
        balance = 0 if ending else left
        admission, burned, premium, rent, tax = self.spent
        meters = [burned * 10, burned * 3, 4, 5, burned // 100, 9, 65536, 65536, 0]
        money = [self.leased, 0, 0, admission, burned, premium, rent, tax, 0, self.returned]
        money += [balance, balance // 3, balance // 4, 0, 0, 0, 0]
        return {
            16: dict(enumerate(meters, 1)),
            17: dict(enumerate(money, 1)),
            18: {1: burned, 2: 0, 3: burned * 2 // 5, 4: "simulated"},
            19: {1: 1_500_000, 2: 1_000_000},
            20: {0: tax * 2048 if ending else 0, 1: 0, 2: 0},
            21: dict.fromkeys(range(1, 6), 0),
            22: {1: 0},
            23: dict.fromkeys(range(1, 7), 0),
        }


def write_run(
    path: Path, *, processes: int = 3, epochs: int = 4, seed: int = 1, key: bytes = SEED,
    nonce: bytes = bytes(16), report: bytes = b"{}",
) -> ReceiptBook:  # fmt: skip
    """Writes a receipt file and a summary as a run would; the last process ends early."""
    draw = random.Random(seed)
    path.mkdir(parents=True, exist_ok=True)
    made = signer(key)
    file = ReceiptFile(path / "receipts.cbor")
    book = ReceiptBook(file, made, opening(made, nonce=nonce))
    lives = {process: Life(10_000 * process) for process in range(1, processes + 1)}
    for epoch in range(1, epochs + 1):
        for process, life in lives.items():
            early = process == processes and epoch > 1
            if early and life.returned:
                continue
            if not book.knows(process):
                book.introduce(identity(process), 0)
                life.spend([7, 0, 0, 0, 0])
            life.spend([0, draw.randrange(900), draw.randrange(90), draw.randrange(50), 1])
            ends = early or epoch == epochs
            book.add(
                process,
                epoch * S - (1 if early else 0),
                life.figures(ending=ends),
                ending=("bankrupt" if early else "finished") if ends else None,
            )
        book.seal(epoch * S)
    file.close()
    sums = {index: sum(life.spent[index] for life in lives.values()) for index in range(5)}
    leased = sum(life.leased for life in lives.values())
    burned = sums[1]
    totals = Totals(
        credits={
            "minted": leased,
            "held": leased - sum(sums.values()),
            "leased": 0,
            "escrowed": 0,
            "burned": burned,
            "commons": sums[0] + sums[2] + sums[3] + sums[4],
            "expired": 0,
            "income": 0,
        },
        energy={
            "metered": burned + 5,
            "processes": burned,
            "idle": 7,
            "system": 0,
            "unattributed": -2,
            "uncollected": 0,
            "interval": 3,
        },
        provenance="simulated",
        conserved=True,
        interrupted=False,
        ended_ns=epochs * S,
    )
    summary = book.summary(totals, report_hash=sha256(report).digest(), events_hash=None)
    (path / "summary.cbor").write_bytes(summary)
    return book
