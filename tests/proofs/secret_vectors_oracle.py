"""The oracle of the secret-vector check: the same idea in numpy, with other primes.

Arithmetic is modulo primes below 2^31, so that int64 is exact: |x| ≤ 2^15 times 2^31, over sums of
at most 2^16, stays below 2^62. A wrong sum differs from the true one by less than the product of
the primes, so that it differs modulo one of them; each has two vectors, and a wrong row passes with
probability at most 2^-61.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIMES: Final = (2**31 - 1, 2**31 - 19)


class Oracle:
    """Secret vectors for one matrix `[K, N]`."""

    def __init__(self, matrix: NDArray[np.int64], bias: NDArray[np.int64], seed: int) -> None:
        assert matrix.shape[0] <= 1 << 16
        rng = np.random.default_rng(seed)
        self._secrets = [_Secret(prime, matrix, bias, rng) for prime in PRIMES]

    def holds(self, rows: NDArray[np.int64], sums: NDArray[np.int64]) -> bool:
        """Says whether `sums` are the products of `rows`, for all rows."""
        return all(secret.holds(rows, sums) for secret in self._secrets)


class _Secret:
    """Vectors for one operation, modulo one prime."""

    def __init__(
        self,
        prime: int,
        matrix: NDArray[np.int64],
        bias: NDArray[np.int64],
        seed: np.random.Generator,
    ) -> None:
        self.prime = prime
        self.r = seed.integers(0, prime, (matrix.shape[1], 2), dtype=np.int64)
        # Column by column: a product below 2^31 · 2^15, summed over channels one at a time.
        projected = np.zeros((matrix.shape[0], 2), np.int64)
        for channel in range(matrix.shape[1]):
            projected = (projected + matrix[:, channel : channel + 1] * self.r[channel]) % prime
        self.projected = projected
        self.bias = (bias[:, np.newaxis] % prime * self.r % prime).sum(axis=0) % prime

    def holds(self, rows: NDArray[np.int64], sums: NDArray[np.int64]) -> bool:
        """Says whether `sums` are the products of `rows`, for all rows."""
        want = (rows @ self.projected + self.bias) % self.prime
        reduced = sums % self.prime
        have = np.stack(
            [(reduced * self.r[:, index] % self.prime).sum(axis=1) for index in range(2)], axis=1
        )
        return bool(np.array_equal(want, have % self.prime))
