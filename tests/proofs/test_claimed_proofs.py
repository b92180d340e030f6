"""Goal: a claim of tier T3 is paid only with a proof of the very inference that it claims. Method:
a process that holds true proofs of other inputs, outputs and claims, and tries to be paid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from maxwell.errors import ProofError
from maxwell.proofs import Model, Network, Payments, Proof, SignedClaim, Tier, backend
from maxwell.proofs.claims import Claim, commit_tensor
from maxwell.proofs.quantise import Grid
from proofs.random_models import random_input, random_model
from proofs.test_claims import BUYER_NONCE, ORDER, PROCESS, claim

pytestmark = pytest.mark.skipif(not backend.available(), reason="no prover in this module")


@pytest.fixture(scope="module")
def model() -> Model:
    proof_model = next(
        m for m in map(random_model, range(40)) if any(w is not None for w in m.weights)
    )
    lo, hi = proof_model.input_range
    grid = Grid(1.0, 0, lo, hi)
    shape = proof_model.output_shape
    return Model(Network("m", proof_model, ("a",) * 9, grid, grid, shape, "", ""))


def inputs(model: Model, seed: int) -> Any:
    return random_input(model.network.proof_model, np.random.default_rng(seed), 2)


def claim_of(model: Model, x: Any, y: Any) -> Claim:
    return claim(
        model_digest=bytes.fromhex(model.digest),
        input_commitment=commit_tensor(b"in", x, BUYER_NONCE),
        output_commitment=commit_tensor(b"out", y, BUYER_NONCE),
        tier="T3",
    )


def honest(model: Model, seed: int) -> tuple[Claim, Proof]:
    x = inputs(model, seed)
    y = model.prove(x).output_ints
    made = claim_of(model, x, y)
    return made, model.prove(x, context=made.digest())


def _hidden(header: bytes) -> bytes:
    return header[:4] + b"\x02" + header[5:]


def test_the_proof_of_the_claim_is_paid_once(model: Model) -> None:
    made, proof = honest(model, 1)
    order = replace(
        ORDER,
        model_digest=made.model_digest,
        input_commitment=made.input_commitment,
        tier=Tier.SUCCINCT,
    )
    payments = Payments()
    signed = SignedClaim.sign(made, PROCESS)
    assert payments.accept(signed, order, epoch=5, verify=proof.verify_claim) == made
    with pytest.raises(ProofError, match="paid already"):
        payments.accept(signed, order, epoch=5, verify=proof.verify_claim)


def test_a_true_proof_of_something_else_is_refused(model: Model) -> None:
    made, proof = honest(model, 1)
    _, other = honest(model, 2)
    # Bound to the claim, and about an input that was easier.
    swapped = model.prove(inputs(model, 2), context=made.digest())
    lie = claim_of(model, inputs(model, 1), proof.output_ints ^ 1)
    lying = model.prove(inputs(model, 1), context=lie.digest())
    cases = {
        "another input": (made, swapped),
        "another output": (lie, lying),
        "another claim's": (made, other),
        "the bare inference": (made, model.prove(inputs(model, 1))),
        "one of two": (made, model.prove(inputs(model, 1)[:1], context=made.digest())),
        "one that pretends to hide": (made, replace(proof, header=_hidden(proof.header))),
        "a changed output": (made, replace(proof, output=swapped.output)),
    }
    for what, (asked, given) in cases.items():
        with pytest.raises(ProofError) as caught:
            given.verify_claim(asked)
        assert caught.value.code in {"MX1706", "MX1712"}, what
    proof.verify_claim(made)


def test_notebooks_show_models_and_proofs(model: Model) -> None:
    _, proof = honest(model, 1)
    for shown in (model._repr_html_(), proof._repr_html_()):  # pyright: ignore[reportPrivateUsage]
        assert model.digest in shown
        assert "<script" not in shown
