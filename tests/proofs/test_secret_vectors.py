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
from maxwell.proofs.model import ProofModel
from maxwell.proofs.secret_vectors import PRIMES, SecretVectors, sums_of
from proofs.random_models import random_input, random_model


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
@pytest.mark.parametrize("step", [1, -1, PRIMES[0], -PRIMES[1], PRIMES[0] * PRIMES[1], -(2**62)])
def test_one_wrong_cell_is_refused(wide: bool, step: int) -> None:
    for seed, (model, x) in enumerate(cases(wide)):
        sums = [block.copy() for block in sums_of(model, x)]
        block = sums[seed % len(sums)]
        cell = seed % block.size
        block.flat[cell] = np.int64(int(block.flat[cell]) + step)
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
    model, _ = cases(False)[0]
    made = [SecretVectors(model) for _ in range(2)]
    drawn = [s._secrets for s in made]  # pyright: ignore[reportPrivateUsage]
    first, second = (next(entry for entry in one if entry)[0].r for one in drawn)
    assert not np.array_equal(first, second)
