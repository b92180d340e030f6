"""Goal: an auditor with secret vectors accepts true sums and refuses all others. Method: random
models; one cell off by one, by a prime, by both primes' product; sums that fit another input."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numpy as np
import pytest

from maxwell.errors import ProofError
from maxwell.proofs import semantics
from maxwell.proofs.backend import secret_vector, to_bytes
from maxwell.proofs.model import ProofModel
from maxwell.proofs.secret_vectors import SecretVectors, sums_of
from proofs.random_models import random_input, random_model
from proofs.secret_vectors_oracle import PRIMES, Oracle

P = 2**64 - 2**32 + 1


def auditor(model: ProofModel, seed: int = 0) -> SecretVectors:
    """A secret that the test can replay."""
    return SecretVectors(
        model, entropy=lambda size: hashlib.sha256(bytes([seed % 256])).digest()[:size]
    )


@cache
def cases(wide: bool) -> list[tuple[ProofModel, Any]]:
    """Models with at least one product, and an input for each."""
    models = [random_model(seed, wide=wide) for seed in range(36)]
    return [
        (model, random_input(model, np.random.default_rng(seed), 2))
        for seed, model in enumerate(models)
        if any(w is not None for w in model.weights)
    ]


@pytest.mark.parametrize("wide", [False, True])
def test_true_sums_lead_to_the_reference_s_output(wide: bool) -> None:
    chosen = cases(wide)
    assert len(chosen) > 15
    for model, x in chosen:
        out = auditor(model).audit(x, sums_of(model, x))
        assert np.array_equal(out, semantics.run(model, x))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("step", [1, -1, PRIMES[0], 2**32 - 1, -(2**46), -(2**62), -P])
def test_one_wrong_cell_is_refused(wide: bool, step: int) -> None:
    for seed, (model, x) in enumerate(cases(wide)):
        sums = [block.copy() for block in sums_of(model, x)]
        block = sums[seed % len(sums)]
        cell = seed % block.size
        # p itself does not fit int64: modulo 2^64 it is another wrong sum.
        wrong = (int(block.flat[cell]) + step + 2**63) % 2**64 - 2**63
        block.flat[cell] = np.int64(wrong)
        with pytest.raises(ProofError, match="not the product") as caught:
            auditor(model, seed).audit(x, sums)
        assert caught.value.code == "MX1706"


def test_exchanged_cells_and_inputs_are_refused() -> None:
    refusals = 0
    for seed, (model, x) in enumerate(cases(False)):
        other = random_input(model, np.random.default_rng(seed + 1_000), 2)
        sums = sums_of(model, other)
        if all(np.array_equal(a, b) for a, b in zip(sums, sums_of(model, x), strict=True)):
            continue
        with pytest.raises(ProofError):
            auditor(model, seed).audit(x, sums)
        refusals += 1
    assert refusals > 12


def test_a_secret_is_spent_by_a_refusal() -> None:
    model, x = cases(False)[0]
    secret = auditor(model)
    true = sums_of(model, x)
    secret.audit(x, true)
    wrong = [block + 1 for block in true]
    with pytest.raises(ProofError, match="not the product"):
        secret.audit(x, wrong)
    with pytest.raises(ProofError, match="used in a refusal") as caught:
        secret.audit(x, true)
    assert caught.value.hint


def test_malformed_sums_are_refused() -> None:
    model, x = cases(False)[0]
    true = sums_of(model, x)
    malformed: tuple[list[Any], ...] = (
        [],
        [*true, true[0]],
        [b.astype(np.float64) for b in true],
        [b[:1] for b in true],
    )
    for wrong in malformed:
        with pytest.raises(ProofError) as caught:
            auditor(model).audit(x, wrong)
        assert caught.value.code == "MX1706"


def test_secrets_differ() -> None:
    """The operating system's bytes are asked for, once for each product, and never twice."""
    model, _ = cases(False)[0]
    drawn: list[bytes] = []

    def draw(size: int) -> bytes:
        drawn.append(hashlib.sha256(bytes([len(drawn)])).digest()[:size])
        return drawn[-1]

    SecretVectors(model, entropy=draw)
    assert [len(seed) for seed in drawn] == [32] * sum(w is not None for w in model.weights)


@pytest.mark.parametrize("magnitude", [2**7, 2**20, 2**45, 2**47, 2**60])
def test_the_native_check_agrees_with_the_oracle(magnitude: int) -> None:
    """Random matrices, biases of any size, right sums and sums off in one cell; several rows."""
    rng = np.random.default_rng(magnitude)
    for seed in range(60):
        rows, k, n = (int(v) for v in rng.integers(1, (4, 40, 30)))
        weights = rng.integers(-32_768, 32_768, (k, n)).astype(np.int16)
        x = rng.choice([-32_768, 32_767, 0, 5, -77], (rows, k)).astype(np.int16)
        bias = rng.integers(-magnitude, magnitude, n)
        sums = x.astype(np.int64) @ weights.astype(np.int64) + bias
        native = secret_vector(weights, tuple(bias.tolist()), rng.bytes(32))
        oracle = Oracle(weights.astype(np.int64), bias, seed)
        wrong = sums.copy()
        wrong.flat[seed % sums.size] += int(rng.choice([1, -1, 2**32, -(2**50)]))
        for given, expected in ((sums, True), (wrong, False)):
            assert native.holds(to_bytes(x), given.tobytes()) is expected
            assert oracle.holds(x.astype(np.int64), given) is expected
        for short in (sums.tobytes()[:-8], sums.tobytes() + bytes(8), b""):
            assert not native.holds(to_bytes(x), short)
