"""Information in integers: logarithms, probabilities and public beliefs in units of 2^-32.

The kernel scores streams as it feeds them (`crates/kernel/src/questions`); the same arithmetic
stands here for predicates, which the parent resolves, and for whoever checks a run afterwards from
its events and must not need the kernel for it. docs/decisions/0012-information.md has the rules.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Context, Decimal
from functools import lru_cache
from typing import Final

FRACTION_BITS: Final = 32
ONE: Final = 1 << FRACTION_BITS
"""Probability one, and one bit."""
FLOOR: Final = 1 << 16
"""The least probability that counts: 2^-16."""
SYMBOL_BITS_MAX: Final = 16
"""What one outcome can win or lose at most."""
BLOCK_SYMBOLS: Final = 256
"""Symbols of a block, over which bits are summed, settled and paid."""

_MANTISSA_BITS: Final = 63
_LOGARITHMS: Final = Context(prec=40, rounding=ROUND_FLOOR)


@lru_cache(maxsize=1 << 16)
def log2_q32(number: int) -> int:
    """Returns log2 of a number from 1 to 2^32 - 1 in units of 2^-32, rounded down.

    Digit by digit: each squaring of the mantissa gives one more binary digit. Never above the
    logarithm, and less than 2^-32 + 2^-61 below it; powers of two are exact. The kernel does the
    same operations on the same widths, so that both give equal integers.

    >>> log2_q32(1 << 20) == 20 << 32, log2_q32(3)
    (True, 6807362105)
    """
    assert 1 <= number < ONE, number
    exponent = number.bit_length() - 1
    mantissa = number << (_MANTISSA_BITS - exponent)
    fraction = 0
    for _ in range(FRACTION_BITS):
        square = mantissa * mantissa >> _MANTISSA_BITS
        digit = square >> (_MANTISSA_BITS + 1)
        mantissa = square >> digit
        fraction = fraction << 1 | digit
    return exponent << FRACTION_BITS | fraction


def bits_q32(own: int, public: int) -> int:
    """Returns what an outcome is worth: log2 of the ratio of two probabilities, in 2^-32 bit."""
    return log2_q32(own) - log2_q32(public)


def gain_credits(kappa: int, bits: int) -> int:
    """Returns what positive bits earn at kappa credits a bit, rounded down; 0 for negative ones.

    >>> gain_credits(20, ONE // 2), gain_credits(20, -ONE)
    (10, 0)
    """
    return kappa * bits // ONE if bits > 0 else 0


def loss_credits(kappa: int, bits: int) -> int:
    """Returns what negative bits cost at kappa credits a bit, rounded up; 0 for positive ones.

    >>> loss_credits(20, -1), loss_credits(20, -ONE)
    (1, 20)
    """
    return -(kappa * bits // ONE) if bits < 0 else 0


def stake_credits(kappa: int) -> int:
    """Returns the stake of one outcome: what it can lose at most (contract 12)."""
    return SYMBOL_BITS_MAX * kappa


def clip(probability: int) -> int:
    """Returns a probability of two outcomes, within 2^-16 and 1 - 2^-16, in units of 2^-32.

    >>> clip(0), clip(ONE) == ONE - FLOOR
    (65536, True)
    """
    return max(FLOOR, min(ONE - FLOOR, probability))


def prime_prior(number: int) -> int:
    """Returns the public belief that a number is prime: 1 / ln n, clipped, rounded down.

    The density of primes near n (prime number theorem). Computed with 40 decimal digits, so that it
    does not depend on the machine.

    >>> prime_prior(1_000_003) / ONE
    0.0723822...
    """
    if number < 3:
        return clip(ONE if number == 2 else 0)
    inverse = _LOGARITHMS.divide(Decimal(ONE), _LOGARITHMS.ln(Decimal(number)))
    return clip(int(inverse))


class PublicBelief:
    """The public belief of a stream: an adaptive model of order 0 over an alphabet.

    After N symbols, symbol s of n has `2^16 + (2^32 - n 2^16) (2 count(s) + 1) // (2 N + n)`: the
    estimator of Krichevsky and Trofimov (1981), mixed with the uniform so that none is below 2^-16.

    Args:
        outcomes: symbols of the alphabet, 2 to 256.
    """

    def __init__(self, outcomes: int) -> None:
        self._counts = [0] * outcomes
        self._total = 0

    def probability(self, outcome: int) -> int:
        """Returns the probability of an outcome in units of 2^-32."""
        outcomes = len(self._counts)
        room = ONE - outcomes * FLOOR
        return FLOOR + room * (2 * self._counts[outcome] + 1) // (2 * self._total + outcomes)

    def see(self, outcome: int) -> None:
        """Counts an outcome that was revealed."""
        self._counts[outcome] += 1
        self._total += 1
