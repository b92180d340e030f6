"""Goal: the native prover from Python. Honest proofs convince, others do not, nothing panics.

The network is small enough to be run by hand in plain integers; the Rust tests hold the rest.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from maxwell import _native as native

WEIGHTS = (3, -7, 11, 2, -128, 127)
BIAS = (100, -100)
MULTIPLIER = 21
X = (5, -127, 127)
CONTEXT = b"process 7, nonce 1"


def model_json(**changes: Any) -> str:
    op = {
        "op": "dense",
        "input": 0,
        "row_axes": 0,
        "n": 2,
        "weight_offset": 0,
        "bias": list(BIAS),
        "multipliers": [MULTIPLIER],
        "shift": 16,
        "table": 0,
    }
    table = {"q_lo": -20, "values": [max(-9, min(9, q)) for q in range(-20, 21)]}
    model = {
        "format": "maxwell-model/1",
        "input": {"shape": [3], "lo": -127, "hi": 127},
        "tables": [table],
        "ops": [op | changes],
    }
    return json.dumps(model)


def ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


@pytest.fixture(scope="module")
def model() -> native.ProofModel:
    return native.ProofModel(model_json(), ints(*WEIGHTS))


def by_hand() -> bytes:
    outputs: list[int] = []
    for n in range(2):
        acc = sum(X[k] * WEIGHTS[2 * k + n] for k in range(3)) + BIAS[n]
        q = (acc * MULTIPLIER + (1 << 15)) >> 16
        outputs.append(max(-9, min(9, q)))
    return ints(*outputs)


def test_a_proof_convinces(model: native.ProofModel) -> None:
    proof, output = model.prove(ints(*X), context=CONTEXT)
    assert output == by_hand() == model.run(ints(*X))
    assert native.proof_digest(model.header) == model.digest
    assert model.macs == 6
    native.proof_verify(model.header, proof, input=ints(*X), output=output, context=CONTEXT)


def test_a_batch_is_one_proof(model: native.ProofModel) -> None:
    x = ints(*X, 0, 0, 0, *X)
    proof, output = model.prove(x, context=CONTEXT, batch=3)
    assert output[:4] == output[8:] == by_hand()
    native.proof_verify(model.header, proof, input=x, output=output, context=CONTEXT, batch=3)


@pytest.mark.parametrize("what", ["output", "input", "context", "proof", "empty"])
def test_anything_else_is_rejected(model: native.ProofModel, what: str) -> None:
    proof, output = model.prove(ints(*X), context=CONTEXT)
    x, context = ints(*X), CONTEXT
    if what == "output":
        output = bytes([output[0] ^ 1]) + output[1:]
    elif what == "input":
        x = bytes([x[0] ^ 1]) + x[1:]
    elif what == "context":
        context = b"process 8, nonce 1"
    elif what == "proof":
        proof = proof[:-1] + bytes([proof[-1] ^ 1])
    else:
        proof = b""
    with pytest.raises(native.ProofFailure) as caught:
        native.proof_verify(model.header, proof, input=x, output=output, context=context)
    assert caught.value.args[0] == "rejected"


def test_other_weights_are_another_model(model: native.ProofModel) -> None:
    other = native.ProofModel(model_json(), ints(*WEIGHTS[:-1], 126))
    assert other.digest != model.digest
    proof, output = other.prove(ints(*X), context=CONTEXT)
    with pytest.raises(native.ProofFailure, match="rejected"):
        native.proof_verify(model.header, proof, input=ints(*X), output=output, context=CONTEXT)


@pytest.mark.parametrize(
    "changes",
    [{"shift": 12}, {"multipliers": [1 << 20]}, {"table": 3}, {"input": 1}, {"extra": 0}],
)
def test_models_are_refused_with_a_reason(changes: dict[str, Any]) -> None:
    with pytest.raises(native.ProofFailure) as caught:
        native.ProofModel(model_json(**changes), ints(*WEIGHTS))
    assert caught.value.args[0] == "invalid_model"


@pytest.mark.parametrize("x", [b"", b"\0", ints(1, 2), ints(1, 2, 128)])
def test_inputs_are_refused(model: native.ProofModel, x: bytes) -> None:
    with pytest.raises(native.ProofFailure) as caught:
        model.prove(x, context=CONTEXT)
    assert caught.value.args[0] == "invalid_data"


@pytest.mark.parametrize("header", [b"", b"MQH1", b"x" * 100])
def test_a_header_that_is_none(header: bytes) -> None:
    with pytest.raises(native.ProofFailure) as caught:
        native.proof_digest(header)
    assert caught.value.args[0] == "invalid_model"
