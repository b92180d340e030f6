"""What crosses a guest's memory: orders, answers and deliveries, all little-endian.

`guests/sdk/inference.h` is the guest's side.

- order: u32 number, u32 tier (0, 1, 3, 4), u32 batch, u32 bytes of input, u64 credits it pays,
  u64 ns until it expires, 32 bytes of the model's digest, 32 bytes of the buyer's nonce, the input;
- answer to `infer`, and what `deliver` takes at every tier but T1: u32 bytes of output, u32 bytes
  of the claim, u32 bytes of the proof, u32 zero, then the three;
- `deliver` at tier T1 takes the sums as i64; its answer is u64 credits paid, then the output.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.proofs.claims import CLAIM_BYTES_MAX
from maxwell.proofs.tiers import Tier

if TYPE_CHECKING:
    from maxwell.market.orders import Issued

_ORDER: Final = struct.Struct("<IIIIQQ32s32s")
ORDER_HEAD_BYTES: Final = _ORDER.size
_ANSWER: Final = struct.Struct("<IIII")
_PAID: Final = struct.Struct("<Q")
PROOF_BYTES_MAX: Final = 2 << 20
CALL_BYTES_MAX: Final = 16 << 20
"""Of an input, an order, an answer or a delivery: each crosses pipes whole, in frames of 64 MiB."""
"""A longer proof cannot be delivered; the largest of the documented cases has 0.9 MB."""
TIER_NUMBERS: Final = {
    Tier.HOST: 0,
    Tier.SECRET_VECTOR: 1,
    Tier.SUCCINCT: 3,
    Tier.ZERO_KNOWLEDGE: 4,
}


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A claim with what goes with it."""

    output: bytes
    claim: bytes
    proof: bytes


def pack_order(issued: Issued, *, left_ns: int) -> bytes:
    """Returns an order as its process reads it."""
    return (
        _ORDER.pack(
            issued.number,
            TIER_NUMBERS[issued.tier],
            issued.batch,
            len(issued.input),
            issued.price_credits,
            left_ns,
            issued.order.model_digest,
            issued.order.buyer_nonce,
        )
        + issued.input
    )


def pack_answer(*, output: bytes, claim: bytes, proof: bytes) -> bytes:
    """Returns the answer to `infer`."""
    return _ANSWER.pack(len(output), len(claim), len(proof), 0) + output + claim + proof


def parse_delivery(data: bytes) -> Delivered | None:
    """Takes apart what a guest delivers; None when it is not of this form."""
    if len(data) < _ANSWER.size:
        return None
    output, claim, proof, zero = _ANSWER.unpack_from(data)
    if zero or claim > CLAIM_BYTES_MAX or proof > PROOF_BYTES_MAX:
        return None
    if len(data) != _ANSWER.size + output + claim + proof:
        return None
    begin = _ANSWER.size
    return Delivered(
        output=data[begin : begin + output],
        claim=data[begin + output : begin + output + claim],
        proof=data[begin + output + claim :],
    )


def pack_paid(credits: int, output: bytes) -> bytes:
    """Returns the answer to `deliver`."""
    return _PAID.pack(credits) + output


def delivery_bytes_max(*, output_cells: int, sums: int, batch: int) -> int:
    """Returns the longest delivery of a batch."""
    claim = _ANSWER.size + 2 * output_cells * batch + CLAIM_BYTES_MAX + PROOF_BYTES_MAX
    return max(claim, 8 * sums * batch)
