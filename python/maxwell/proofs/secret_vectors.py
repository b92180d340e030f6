"""Tier T1: checking products against secret random vectors, without multiplying matrices again.

Freivalds (1977): to check A = X·W, compare A·r with X·(W·r) for a random r. The auditor prepares
W·r once, so that a check costs one pass over X and A instead of a product (as Slalom does, Tramèr
and Boneh 2019). Whoever computes the sums must not know r, and learns nothing of it but "accepted";
after a refusal it has learnt something, and the secret is spent.

Arithmetic is modulo primes below 2^31, so that numpy's int64 is exact: |x| ≤ 2^15 times 2^31, over
sums of at most 2^16, stays below 2^62. A wrong sum differs from the true one by less than the
product of the primes in use, so that it differs modulo one of them; each has two vectors, and a
wrong row passes with probability at most 2^-61.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs import semantics
from maxwell.proofs.bounds import accumulator_bounds, check
from maxwell.proofs.model import NAMES, Conv2d, Dense, ProofModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from maxwell.proofs.model import Op

PRIMES: Final = (2**31 - 1, 2**31 - 19)
SUM_MAX: Final = 1 << 16
"""Longest sum of a product that int64 holds."""


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


class SecretVectors:
    """An auditor's secret for one model; keep it away from whoever computes.

    Args:
        model: the model; it is checked.
        entropy: returns random bytes; the operating system's unless a test replays.

    Raises:
        ProofError: MX1703 for a sum longer than 2^16, or what `bounds.check` refuses.
    """

    def __init__(
        self, model: ProofModel, *, entropy: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        check(model)
        self._model = model
        self._spent = False
        self._bounds: list[NDArray[np.int64]] = []
        self._secrets: list[tuple[_Secret, ...]] = []
        ranges = model.ranges()
        seed = np.random.Generator(np.random.Philox(int.from_bytes(entropy(16), "little")))
        for index, (op, weights) in enumerate(zip(model.ops, model.weights, strict=True)):
            bounds = accumulator_bounds(op, ranges, weights)
            self._bounds.append(np.asarray(bounds, np.int64))
            if weights is None:
                self._secrets.append(())
                continue
            matrix = weights.astype(np.int64)
            matrix = matrix if isinstance(op, Dense) else matrix.reshape(len(matrix), -1).T
            if matrix.shape[0] > SUM_MAX:
                raise ProofError(
                    f"operation {index}: sums of {matrix.shape[0]:,}, at most {SUM_MAX:,}",
                    code="MX1703",
                )
            assert isinstance(op, Dense | Conv2d)
            bias = np.asarray(op.bias, np.int64)
            # Two sums within the bound are apart by at most twice the bound.
            primes = PRIMES[:1] if 2 * max(bounds) < PRIMES[0] else PRIMES
            assert 2 * max(bounds) < PRIMES[0] * PRIMES[1]
            self._secrets.append(tuple(_Secret(p, matrix, bias, seed) for p in primes))

    def audit(self, x: NDArray[np.integer], sums: Sequence[NDArray[np.int64]]) -> NDArray[np.int16]:
        """Checks an inference and returns its output; never multiplies by weights.

        Args:
            x: `(batch, *input_shape)`, the model's integers.
            sums: what the process computed: the accumulators of each `dense` and `conv2d`, bias
                included, in their order and of their output's shape.

        Returns:
            `(batch, *output_shape)`: the output that these sums lead to.

        Raises:
            ProofError: MX1705 for an input that does not fit, MX1706 for wrong sums, and whenever
                the secret is spent.
        """
        if self._spent:
            raise ProofError(
                "this secret was used in a refusal",
                code="MX1706",
                hint="prepare new vectors before auditing again",
            )
        tensors = [semantics.check_input(self._model, x)]
        given = list(sums)
        if len(given) != sum(1 for w in self._model.weights if w is not None):
            raise ProofError(f"{len(given)} blocks of sums", code="MX1706")
        for index, op in enumerate(self._model.ops):
            if self._secrets[index]:
                acc = given.pop(0)
                self._check(index, op, tensors, acc)
            else:
                acc = semantics.accumulate(op, tensors, None, double=False)
            table = self._model.tables[op.requant.table]
            axis = semantics.channel_axis(op)
            tensors.append(semantics.requantise(acc, op.requant, table, axis))
        return tensors[-1]

    def _check(
        self, index: int, op: Op, tensors: Sequence[NDArray[np.int16]], acc: NDArray[np.int64]
    ) -> None:
        """Refuses sums that are not the products, and spends the secret with it."""
        x = tensors[op.input]
        assert isinstance(op, Dense | Conv2d)
        shape = (len(x), *self._model.shapes()[index + 1])
        if acc.dtype != np.int64 or acc.shape != shape:
            raise ProofError(f"sums of {acc.dtype} {acc.shape}, not int64 {shape}", code="MX1706")
        if isinstance(op, Dense):
            rows, columns = x.reshape(*x.shape[: 1 + op.row_axes], -1), acc
        else:
            rows, columns = semantics.patches(x, op), np.moveaxis(acc, 1, -1)
        bounds = self._bounds[index]
        flat = columns.reshape(-1, columns.shape[-1])
        wide = rows.reshape(-1, rows.shape[-1]).astype(np.int64)
        # -2^63 has no absolute value in int64: both ends are compared.
        in_range = bool(((flat <= bounds) & (flat >= -bounds)).all())
        if not in_range or not all(secret.holds(wide, flat) for secret in self._secrets[index]):
            self._spent = True
            raise ProofError(
                f"operation {index} ({NAMES[type(op)]}): the sums are not the product",
                code="MX1706",
                hint="prepare new vectors before auditing again",
            )


def sums_of(model: ProofModel, x: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Returns what an honest process hands over: the accumulators of `dense` and `conv2d`."""
    tensors = semantics.trace(model, x)
    return [
        semantics.accumulate(op, tensors[: index + 1], weights, double=False)
        for index, (op, weights) in enumerate(zip(model.ops, model.weights, strict=True))
        if weights is not None
    ]
