"""A second verifier, written from docs/reference/receipts.md alone: it shares no code with Maxwell.

It answers yes or no. What it has of others is SHA-256, Ed25519 and nothing else; CBOR is decoded
here.
"""

# pyright: basic
# What is decoded has no types before it is checked.
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Rejected(Exception):
    """It does not verify."""


def need(condition: object, why: str) -> None:
    if not condition:
        raise Rejected(why)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


class Cbor:
    """Decodes, and writes what it decoded again: equal bytes mean deterministic encoding."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        need(self.at + n <= len(self.data), "ends early")
        self.at += n
        return self.data[self.at - n : self.at]

    def any(self, depth: int = 0) -> Any:
        need(depth <= 6, "deep")
        first = self.take(1)[0]
        kind, info = first >> 5, first & 31
        need(info < 28, "indefinite or reserved")
        n = info if info < 24 else int.from_bytes(self.take(2 ** (info - 24)), "big")
        if kind < 2:
            return n if kind == 0 else -1 - n
        if kind == 2:
            return self.take(n)
        if kind == 3:
            try:
                return self.take(n).decode()
            except UnicodeDecodeError as error:
                raise Rejected("no text") from error
        if kind == 4:
            need(n <= len(self.data), "long")
            return [self.any(depth + 1) for _ in range(n)]
        if kind == 5:
            need(n <= len(self.data), "long")
            pairs = [(self.any(depth + 1), self.any(depth + 1)) for _ in range(n)]
            need(all(type(k) is int and k >= 0 for k, _ in pairs), "keys")
            return dict(pairs)
        if kind == 6:
            need(n == 18, "tag")
            return ("sign1", self.any(depth + 1))
        need(first in (0xF4, 0xF5, 0xF6), "simple")
        return {0xF4: False, 0xF5: True, 0xF6: None}[first]


def again(value: Any) -> bytes:
    """Encodes deterministically."""

    def head(kind: int, n: int) -> bytes:
        for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if n < 24:
                return bytes([kind << 5 | n])
            if n < 256**width:
                return bytes([kind << 5 | info]) + n.to_bytes(width, "big")
        raise Rejected("large")

    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, tuple):
        return head(6, 18) + again(value[1])
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(again, value))
    keys = sorted(value, key=again)
    return head(5, len(value)) + b"".join(again(k) + again(value[k]) for k in keys)


def whole(data: bytes) -> Any:
    cbor = Cbor(data)
    value = cbor.any()
    need(cbor.at == len(data) and again(value) == data, "not deterministic CBOR")
    return value


def items(data: bytes) -> list[Any]:
    found: list[Any] = []
    cbor = Cbor(data)
    while cbor.at < len(data):
        start = cbor.at
        value = cbor.any()
        need(again(value) == data[start : cbor.at], "not deterministic CBOR")
        found.append(value)
    return found


def statement(data: bytes, key: bytes | None, kind: int) -> Any:
    """Verifies a statement under a key; of an opening, under the one that it names."""
    value = whole(data)
    need(isinstance(value, tuple) and len(value[1]) == 4, "no COSE_Sign1")
    protected, unprotected, payload, signature = value[1]
    need(isinstance(payload, bytes) and isinstance(signature, bytes), "parts")
    need(unprotected == {}, "unprotected")
    fields = whole(payload)
    need(isinstance(fields, dict) and fields.get(0) == 1 and fields.get(1) == kind, "kind")
    if key is None:
        key = fields.get(2)
    assert isinstance(key, bytes)
    need(protected == again({1: -8, 4: sha(key)[:8]}), "protected")
    signed = again(["Signature1", protected, b"", payload])
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError) as error:
        raise Rejected("signature") from error
    return fields


def root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, as it is written: recursive, split at the largest power of two."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha(b"\1", root(leaves[:k]), root(leaves[k:]))


def check_receipt(r: Any) -> None:
    need(isinstance(r, dict) and r.get(0) == 1, "version")
    for part in range(16, 23):
        need(isinstance(r.get(part), dict), "components")
    try:
        c, e = r[17], r[18]
        need(sum(c[k] for k in (1, 2, 3)) == sum(c[k] for k in (*range(4, 12), 15, 16)), "credits")
        need(c[12] + c[13] <= c[11], "escrow")
        need(e[1] == e[2] + c[5], "energy")
        need(r[9] <= r[10], "interval")
        need(11 not in r or c[11] == 0, "ended with credits")
    except (KeyError, TypeError) as error:
        raise Rejected("structure") from error


PLACES = {
    "minted": 1, "held": 2, "leased": 3, "escrowed": 4, "burned": 5, "commons": 6, "expired": 7,
}  # fmt: skip
NOW = {(16, 7), (17, 11), (17, 12), (17, 13), (18, 3), (18, 4), (19, 1), (19, 2), (21, 1), (21, 2)}


def verify_file(data: bytes, key: bytes | None = None) -> tuple[Any, dict[int, list[Any]], Any]:
    """Verifies a receipt file; returns the opening, the receipts by process, and what remains."""
    read = items(data)
    need(read and all(isinstance(i, list) and len(i) == 2 for i in read), "items")
    first, none = read[0]
    need(none == [], "opening")
    opening = statement(first, None, 1)
    need(key in (None, opening[2]), "key")
    run = last = sha(first)
    chains: dict[int, list[Any]] = {}
    heads: dict[int, bytes] = {}
    before_ns = 0
    for number, (signed, receipts) in enumerate(read[1:]):
        batch = statement(signed, opening[2], 2)
        need((batch[2], batch[3], batch[4]) == (run, number, last), "batch")
        need(batch[5] >= before_ns, "time")
        leaves = [sha(b"\0", r) for r in receipts]
        need(len(leaves) == batch[6] and leaves and root(leaves) == batch[7], "tree")
        for raw, leaf in zip(receipts, leaves, strict=True):
            r = whole(raw)
            check_receipt(r)
            chain = chains.setdefault(r[3], [])
            need((r[7], r[8]) == (len(chain), heads.get(r[3], run)), "chain")
            need((r[1], r[2]) == (opening[5], opening[6]), "engine")
            if chain:
                b = chain[-1]
                need(11 not in b and b[10] == r[9], "after the end")
                need(all(b[k] == r[k] for k in range(1, 7)), "identity")
                for part in range(16, 23):
                    for k, v in b[part].items():
                        need((part, k) in NOW or v <= r[part][k], "shrinks")
            chain.append(r)
            heads[r[3]] = leaf
        last, before_ns = sha(signed), batch[5]
    return opening, chains, (run, last, heads, len(read) - 1)


def verify_folder(folder: Path, key: bytes | None = None) -> None:
    """Verifies a run's folder."""
    opening, chains, (run, last, heads, batches) = verify_file(
        (folder / "receipts.cbor").read_bytes(), key
    )
    s = statement((folder / "summary.cbor").read_bytes(), opening[2], 3)
    need(s[2] == run and s[3] == opening[2], "run")
    need((s[4], s[5]) == (opening[3], opening[4]), "seed")
    need((s[6], s[7], s[8]) == (batches, last, sum(map(len, chains.values()))), "counts")
    need(s[9] == [[p, len(chains[p]), heads[p]] for p in sorted(chains)], "heads")
    ends = [chain[-1] for chain in chains.values()]
    need(all(11 in r for r in ends), "endings")
    need(s[13] == {k: sum(r[17][k] for r in ends) for k in range(1, 18)}, "sums")
    c, e, t = s[10], s[11], s[13]
    need(c[1] == sum(c[k] for k in range(2, 8)), "minted")
    need(c[5] == t[5] and c[6] == t[4] + t[6] + t[7] + t[8] + t[15] - c[8], "burned, commons")
    need(c[3] == t[11] and t[9] == t[3], "leased, sent")
    need(e[1] == e[2] + e[3] + e[4] + e[5], "metered")
    need(e[2] == c[5] + e[6] == sum(r[18][1] for r in ends), "processes")
    need(s[14] is True and s[17] == 0, "says so itself")
    report = (folder / "report.json").read_bytes()
    need(s[18] == sha(report), "report")
    for name, value in json.loads(report)["credits"].items():
        need(int(value) == c[PLACES[name]], name)
    events = folder / "events.jsonl"
    need(s[19] == (sha(events.read_bytes()) if events.exists() else None), "events")


def verify_single(data: bytes, key: bytes | None = None) -> Any:
    """Verifies a receipt on its own; returns it."""
    value = whole(data)
    need(isinstance(value, list) and len(value) == 6 and value[0] == "maxwell.receipt", "mark")
    _, first, signed, index, path, raw = value
    opening = statement(first, None, 1)
    need(key in (None, opening[2]), "key")
    batch = statement(signed, opening[2], 2)
    need(batch[2] == sha(first), "run")
    # RFC 9162, section 2.1.3.2.
    need(isinstance(index, int) and 0 <= index < batch[6], "index")
    fn, sn, r = index, batch[6] - 1, sha(b"\0", raw)
    for p in path:
        need(sn != 0, "path")
        if fn & 1 or fn == sn:
            r = sha(b"\1", p, r)
            if not fn & 1:
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
        else:
            r = sha(b"\1", r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and r == batch[7], "root")
    receipt = whole(raw)
    check_receipt(receipt)
    return receipt
