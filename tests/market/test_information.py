"""The arithmetic of information: integers that stay within a stated error of the real logarithms.

Method: oracles that share nothing with the code. Logarithms in decimal arithmetic of 60 digits,
probabilities in fractions, the density of primes by counting them.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from maxwell.market.information import (
    FLOOR,
    ONE,
    PublicBelief,
    bits_q32,
    clip,
    gain_credits,
    log2_q32,
    loss_credits,
    prime_prior,
    stake_credits,
)
from maxwell.market.primes import is_prime

probabilities = st.integers(FLOOR, ONE - FLOOR)


def exact_log2(number: int) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        return Decimal(number).ln() / Decimal(2).ln()


@given(st.integers(1, ONE - 1))
@example(1)
@example(3)
@example(ONE - 1)
def test_a_logarithm_is_never_above_and_less_than_its_bound_below(number: int) -> None:
    with localcontext() as context:
        context.prec = 60
        error = exact_log2(number) - Decimal(log2_q32(number)) / ONE
        bound = Decimal(1) / ONE + Decimal(1) / 2**61
        # The oracle itself is good to 1e-57.
        assert Decimal("-1e-50") < error < bound


@given(own=probabilities, public=probabilities, kappa=st.integers(1, 10**9))
def test_no_outcome_costs_more_than_its_stake(own: int, public: int, kappa: int) -> None:
    bits = bits_q32(own, public)
    assert abs(bits) < 16 * ONE
    assert loss_credits(kappa, bits) <= stake_credits(kappa)
    assert gain_credits(kappa, bits) * loss_credits(kappa, bits) == 0
    assert gain_credits(kappa, bits) - loss_credits(kappa, bits) <= kappa * Fraction(bits, ONE)


@given(st.lists(st.binary(min_size=1, max_size=4), max_size=60), st.sampled_from([2, 4, 256]))
def test_the_public_belief_is_the_mixed_estimator(parts: list[bytes], outcomes: int) -> None:
    belief, seen = PublicBelief(outcomes), Counter[int]()
    for symbol in b"".join(parts):
        outcome = symbol % outcomes
        total = sum(seen.values())
        estimate = Fraction(2 * seen[outcome] + 1, 2 * total + outcomes)
        floor = Fraction(1, 1 << 16)
        exact = floor + (1 - outcomes * floor) * estimate
        assert 0 <= exact * ONE - belief.probability(outcome) < 1
        belief.see(outcome)
        seen[outcome] += 1
    assert sum(belief.probability(outcome) for outcome in range(outcomes)) <= ONE


def test_the_prior_of_primes_is_their_density() -> None:
    """Among 20,000 numbers the expected count under the prior is near the count."""
    numbers = range(1_000_000, 1_020_000)
    expected = sum(prime_prior(n) for n in numbers) / ONE
    found = sum(is_prime(n) for n in numbers)
    assert abs(expected - found) < 0.05 * found
    assert prime_prior(2) == ONE - FLOOR
    assert prime_prior(10**24) == int(Decimal(ONE) / Decimal(10**24).ln())


@given(st.integers(-5, ONE + 5))
def test_clipping_keeps_both_sides(probability: int) -> None:
    clipped = clip(probability)
    assert FLOOR <= clipped <= ONE - FLOOR
    assert FLOOR <= ONE - clipped <= ONE - FLOOR
