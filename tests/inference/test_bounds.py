"""Goal: nothing that a guest or a model sends is more than the node and its pipes bear."""

from __future__ import annotations

import msgspec
import pytest

from inference.fleet import network
from maxwell.errors import ProofError
from maxwell.inference.costs import Shapes
from maxwell.inference.layout import CALL_BYTES_MAX
from maxwell.inference.models import RunModel
from maxwell.node.cells import batches_of
from maxwell.node.inference import CALL_NS_MAX, batch_max
from maxwell.node.wire import FRAME_BYTES_MAX, Message, encode_frame
from maxwell.proofs.claims import SignedClaim
from maxwell.proofs.extras import optional
from maxwell.proofs.tiers import Tier


@pytest.mark.parametrize(
    "key", [1 << 15_000, (1, 2), 1.5, None], ids=["huge", "pair", "real", "none"]
)
def test_a_claim_with_an_absurd_key_is_malformed(key: object) -> None:
    """Python refuses to print such a number, with an error that nobody caught."""
    data = optional("cbor2").dumps({key: 1})
    with pytest.raises(ProofError) as refused:
        SignedClaim.decode(data)
    assert refused.value.code == "MX1711"


def test_an_absurd_number_in_a_claim_is_malformed() -> None:
    data = optional("cbor2").dumps({"claim": 1 << 14_000, "signature": b""})
    with pytest.raises(ProofError) as refused:
        SignedClaim.decode(data)
    assert refused.value.code == "MX1711"


def test_frames_hold_any_mix_of_answers() -> None:
    sizes = [7 << 20, CALL_BYTES_MAX, 1, CALL_BYTES_MAX, 8 << 20, 8 << 20]
    messages: list[Message] = [{"data": bytes(size)} for size in sizes]
    batches = list(batches_of(messages))
    assert [len(m["data"]) for batch in batches for m in batch if isinstance(m["data"], bytes)] == (
        sizes
    )
    assert all(len(encode_frame(batch)) < FRAME_BYTES_MAX for batch in batches)


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        ({"input_cells": 65_536}, CALL_BYTES_MAX // 131_072),
        ({"output_cells": 1 << 20}, CALL_BYTES_MAX // (1 << 21)),
        ({"input_cells": 1 << 24}, 0),
        ({"macs": 1 << 40}, 0),
    ],
)
def test_batches_are_bounded_by_pipes_and_prover(changes: dict[str, int], bound: int) -> None:
    shapes = msgspec.structs.replace(Shapes.of(network().proof_model), **changes)
    model = RunModel(
        name="m", digest="0" * 64, hiding=False, batch_max=512, shapes=shapes, network=network()
    )
    assert batch_max(model) == bound
    assert bound == 0 or shapes.infer_ns(Tier.SUCCINCT, bound) <= CALL_NS_MAX
