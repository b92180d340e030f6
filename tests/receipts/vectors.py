"""Writes `vectors/receipts.json`: `PYTHONPATH=python:tests python -m receipts.vectors`.

The key is the fixed one of `made_up`; nothing else may ever be signed with it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from maxwell.token.cbor import encode
from maxwell.token.single import find_receipt
from maxwell.token.store import read_items
from receipts.made_up import SEED, signer, write_run

FILE: Final = Path(__file__).resolve().parents[2] / "vectors" / "receipts.json"


def tampered(data: bytes) -> dict[str, tuple[bytes, str]]:
    """Returns edits of a receipt file, each with the code that it must be refused with."""
    items: list[list[Any]] = [[item.statement, item.receipts] for item in read_items(data, what="")]

    def joined(made: list[list[Any]]) -> bytes:
        return b"".join(encode(item) for item in made)

    def with_receipts(number: int, receipts: list[bytes]) -> bytes:
        made: list[list[Any]] = [list(item) for item in items]
        made[number][1] = receipts
        return joined(made)

    a, b, c = items[2][1]
    flipped = bytearray(b)
    flipped[-1] ^= 1
    return {
        "bit of a receipt flipped": (with_receipts(2, [a, bytes(flipped), c]), "MX1606"),
        "receipt dropped": (with_receipts(2, [a, c]), "MX1606"),
        "receipts in another order": (with_receipts(2, [b, a, c]), "MX1606"),
        "receipt repeated": (with_receipts(2, [a, b, c, c]), "MX1606"),
        "batch dropped": (joined([*items[:2], *items[3:]]), "MX1608"),
        "batches in another order": (joined([*items[:2], items[3], items[2]]), "MX1608"),
        "batch repeated": (joined([*items[:3], items[2], *items[3:]]), "MX1608"),
        "opening repeated": (joined([items[0], *items]), "MX1608"),
        "cut within a batch": (data[:-5], "MX1610"),
        "byte after the end": (data + b"\x01", "MX1602"),
        "empty": (b"", "MX1610"),
    }


def vectors() -> dict[str, object]:
    """Returns the vectors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        book = write_run(path)
        data = (path / "receipts.cbor").read_bytes()
        summary = (path / "summary.cbor").read_bytes()
        receipt, single = find_receipt(data, "p2", 1, what="")
    return {
        "about": "docs/reference/receipts.md; bytes are hexadecimal. The key is public: test only.",
        "private_key": SEED.hex(),
        "public_key": signer().public_key.hex(),
        "run_id": book.run_id.hex(),
        "receipts_cbor": data.hex(),
        "summary_cbor": summary.hex(),
        "single": {
            "process": receipt.identity.name,
            "number": receipt.number,
            "bytes": single.hex(),
        },
        "refused": [
            {"what": what, "receipts_cbor": edited.hex(), "code": code}
            for what, (edited, code) in tampered(data).items()
        ],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
