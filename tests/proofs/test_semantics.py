"""Goal: the numpy reference computes what the normative page says. Method: a cell-by-cell oracle
in Python's integers on random models with corner values; hand-made cases at the edges of the
bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from maxwell.errors import ProofError
from maxwell.proofs import semantics
from maxwell.proofs.bounds import FIELD_BOUND, check
from maxwell.proofs.model import Add, Dense, Lookup, ProofModel, Requant, Table
from proofs.naive import run_one
from proofs.random_models import random_input, random_model

IDENTITY = Table(-200, tuple(range(-200, 201)))


def lookup(multiplier: int, shift: int, table: Table = IDENTITY) -> ProofModel:
    """A model of one cell and one table."""
    op = Lookup(0, Requant((multiplier,), shift, 0))
    return ProofModel((1,), (-100, 100), (table,), (op,), (None,))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("block", range(10))
def test_the_reference_agrees_with_the_oracle(block: int, wide: bool) -> None:
    for seed in range(block * 15, block * 15 + 15):
        model = random_model(seed, wide=wide)
        x = random_input(model, np.random.default_rng(seed), 2)
        tensors = semantics.trace(model, x)
        for row in range(len(x)):
            for have, want in zip(tensors, run_one(model, x[row]), strict=True):
                assert {k: int(have[row][k]) for k in want} == want, seed


@pytest.mark.parametrize(
    ("x", "q"),
    [(-5, -2), (-3, -1), (-1, 0), (0, 0), (1, 1), (3, 2), (5, 3), (-4, -2), (4, 2), (-100, -50)],
)
def test_halves_round_up_also_below_zero(x: int, q: int) -> None:
    """A multiplier of 128 at shift 8 is one half: −2.5 becomes −2, not −3 and not −2 by parity."""
    out = semantics.run(lookup(128, 8), np.asarray([[x]]))
    assert out.tolist() == [[q]]


def test_the_corner_of_int8_does_not_saturate_before_the_sum() -> None:
    w = np.full((2, 1), -128, np.int16)
    table = Table(-33_000, tuple(int(v) for v in np.clip(np.arange(-33_000, 32_536), -128, 127)))
    model = ProofModel(
        (2,), (-128, 127), (table,), (Dense(0, 0, 1, (0,), Requant((256,), 8, 0)),), (w,)
    )
    # The sum is exactly 2^15: in range of the accumulator, clamped once, at the end.
    with pytest.raises(ProofError, match=r"q can reach -32,768 to 32,768") as caught:
        semantics.run(model, np.full((1, 2), -128))
    assert caught.value.code == "MX1704"
    covered = replace(model, ops=(Dense(0, 0, 1, (0,), Requant((128,), 8, 0)),))
    assert semantics.run(covered, np.full((1, 2), -128)).tolist() == [[127]]


def test_sums_beyond_double_precision_are_exact() -> None:
    """Goal: the int64 path. Method: |acc| around 2^60, where doubles are 256 apart."""
    k = 4
    w = np.full((k, 1), 32_767, np.int16)
    bias = 2**53
    big = ProofModel(
        (k,),
        (-32_768, 32_767),
        (Table(-(2**15), tuple(range(-(2**15), 2**15))),),
        (Dense(0, 0, 1, (bias,), Requant((1,), 40, 0)),),
        (w,),
    )
    x = np.asarray([[32_767, -32_768, 1, 3]])
    acc = sum(int(v) * 32_767 for v in x[0]) + bias
    assert semantics.run(big, x).tolist() == [[(acc + 2**39) // 2**40]]


def test_a_product_at_the_bound_is_refused_and_below_it_is_not() -> None:
    def at(m_a: int, m: int) -> ProofModel:
        op = Add(0, 0, (m_a, m_a), Requant((m,), 40, 0))
        reach = (2 * 100 * m_a * m + 2**39) >> 40
        table = Table(-min(reach, 32_700), (0,) * (2 * min(reach, 32_700) + 1))
        return ProofModel((1,), (-100, 100), (table,), (op,), (None,))

    m_a, m = 2**31 - 1, 2**24
    with pytest.raises(ProofError, match=r"not below 2\^62") as caught:
        check(at(m_a, m))
    assert caught.value.code == "MX1704"
    (bound,) = check(at(m_a // 150_000, m))
    assert 0 < bound.product_max < FIELD_BOUND


@pytest.mark.parametrize("side", ["low", "high"])
def test_a_table_that_misses_one_reachable_value_is_refused(side: str) -> None:
    full = Table(-100, tuple(range(-100, 101)))
    check(lookup(256, 8, full))
    short = Table(-99, full.values[1:]) if side == "low" else Table(-100, full.values[:-1])
    with pytest.raises(ProofError, match="its table covers") as caught:
        check(lookup(256, 8, short), ["node 'relu1' (Relu)"])
    assert "node 'relu1' (Relu)" in caught.value.message
    assert caught.value.code == "MX1704"


@pytest.mark.parametrize(
    ("x", "what"),
    [
        (np.zeros((1, 2), np.int64), "shape"),
        (np.zeros(1, np.int64), "shape"),
        (np.zeros((0, 1), np.int64), "batch of 0"),
        (np.zeros((4_097, 1), np.int64), "batch of 4097"),
        (np.asarray([[101]]), "reaches from 101"),
        (np.asarray([[-101]]), "reaches from -101"),
        (np.asarray([[1.0]]), "integers are proved"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x: np.ndarray, what: str) -> None:
    with pytest.raises(ProofError, match=what) as caught:
        semantics.run(lookup(256, 8), x)
    assert caught.value.code == "MX1705"


def test_malformed_models_are_refused() -> None:
    good = lookup(256, 8)
    op = good.ops[0]
    broken = {
        "no operation": replace(good, ops=(), weights=()),
        "shift 12 is none": lookup(256, 12),
        "multipliers must be": lookup(0, 8),
        "no table 3": replace(good, ops=(replace(op, requant=Requant((256,), 8, 3)),)),
        "no tensor 1 yet": replace(good, ops=(replace(op, input=1),)),
        "1 to 4 positive": replace(good, input_shape=(0,)),
        "not within int16": replace(good, input_range=(-40_000, 5)),
        "bias is not 2 values": ProofModel(
            (1,),
            (0, 1),
            (IDENTITY,),
            (Dense(0, 0, 2, (0,), Requant((1,), 8, 0)),),
            (np.ones((1, 2), np.int16),),
        ),
        "read by no operation": replace(good, ops=(op, op), weights=(None, None)),
        "at most 64": replace(
            good, ops=tuple(replace(op, input=i) for i in range(65)), weights=(None,) * 65
        ),
    }
    for what, model in broken.items():
        with pytest.raises(ProofError, match=what) as caught:
            check(model)
        assert caught.value.code == "MX1703"
