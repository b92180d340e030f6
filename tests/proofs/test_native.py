"""Goal: the native prover computes what the reference computes, and its header holds our canonical
bytes. Method: random models with corner values through both; honest proofs accepted, any other
output, input, batch or context refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from maxwell.errors import ProofError
from maxwell.proofs import backend, semantics
from proofs.random_models import random_input, random_model

needs_prover = pytest.mark.skipif(not backend.available(), reason="no prover in this module")


@needs_prover
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("block", range(5))
def test_the_prover_agrees_with_the_reference(block: int, wide: bool) -> None:
    for seed in range(block * 12, block * 12 + 12):
        model = random_model(seed, wide=wide)
        if all(w is None for w in model.weights):
            continue  # below
        x = random_input(model, np.random.default_rng(seed), 2)
        registered = backend.register(model)
        assert registered.header.endswith(model.architecture()), seed
        assert backend.digest(registered.header) == registered.digest
        y, proof = backend.prove(registered, x, model.output_shape, b"context")
        assert np.array_equal(y, semantics.run(model, x)), seed
        check(registered.header, x, y, proof)
        wrong = y.copy()
        wrong.flat[seed % y.size] ^= 1
        with pytest.raises(ProofError) as caught:
            check(registered.header, x, wrong, proof)
        assert caught.value.code == "MX1706"


@needs_prover
@pytest.mark.parametrize(
    "count", [400, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_layers_agree_with_numpy(count: int) -> None:
    """Single layers of every kind, int8 and all of int16, corners among weights and inputs.

    Each runs natively and in numpy, cell by cell; one in twenty is proved and verified as well, and
    refused with one cell changed.
    """
    kinds: Counter[str] = Counter()
    for seed in range(count):
        model = random_model(seed, wide=seed % 2 == 1, operations=1)
        x = random_input(model, np.random.default_rng(seed), 1 + seed % 3)
        registered = backend.register(model)
        want = semantics.run(model, x)
        assert np.array_equal(backend.run(registered, x, model.output_shape), want), seed
        kinds[type(model.ops[0]).__name__] += 1
        if seed % 20:
            continue
        y, proof = backend.prove(registered, x, model.output_shape, b"context")
        assert np.array_equal(y, want), seed
        check(registered.header, x, y, proof)
        y = y.copy()
        y.flat[seed % y.size] ^= 1
        with pytest.raises(ProofError):
            check(registered.header, x, y, proof)
    assert kinds.total() == count
    assert min(kinds.values()) > count // 20
    assert len(kinds) == 5


@needs_prover
def test_models_without_weights_are_proved_or_refused() -> None:
    """Tables, sums and pools alone: nothing to commit to, and no reason to fall over."""
    model = next(m for m in map(random_model, range(100)) if all(w is None for w in m.weights))
    x = random_input(model, np.random.default_rng(0), 2)
    try:
        registered = backend.register(model)
    except ProofError as error:
        assert error.code == "MX1703"  # noqa: PT017 – either way is allowed
        return
    y, proof = backend.prove(registered, x, model.output_shape, b"context")
    assert np.array_equal(y, semantics.run(model, x))
    check(registered.header, x, y, proof)


def check(
    header: bytes, x: np.ndarray, y: np.ndarray, proof: bytes, *, context: bytes = b"context"
) -> None:
    backend.verify(
        header,
        x=backend.to_bytes(x),
        y=backend.to_bytes(y),
        batch=len(x),
        context=context,
        proof=proof,
    )


@needs_prover
def test_what_a_proof_is_about_cannot_be_exchanged() -> None:
    model, other = [
        m for m in map(random_model, range(40)) if any(w is not None for w in m.weights)
    ][:2]
    x = random_input(model, np.random.default_rng(3), 2)
    registered = backend.register(model)
    y, proof = backend.prove(registered, x, model.output_shape, b"context")
    check(registered.header, x, y, proof)
    changed = x.copy()
    changed.flat[0] ^= 1
    tries = [
        lambda: check(registered.header, changed, y, proof),
        lambda: check(registered.header, x, y, proof, context=b"another"),
        lambda: check(registered.header, x[:1], y[:1], proof),
        lambda: check(registered.header, x, y, proof[:-1]),
        lambda: check(registered.header, x, y, proof + b"\0"),
        lambda: check(backend.register(other).header, x, y, proof),
    ]
    for attempt in tries:
        with pytest.raises(ProofError) as caught:
            attempt()
        assert caught.value.code == "MX1706"


@pytest.mark.skipif(backend.available(), reason="this module has a prover")
def test_without_a_prover_the_error_says_so() -> None:
    with pytest.raises(ProofError) as caught:
        backend.register(random_model(0))
    assert caught.value.code == "MX1708"
    assert caught.value.hint
