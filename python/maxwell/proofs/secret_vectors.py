"""Tier T1: checking products against secret random vectors, without multiplying matrices again.

Freivalds (1977): to check A = X·W, compare A·r with X·(W·r) for a random r. The auditor prepares
W·r once, so that a check costs one pass over X and A instead of a product (as Slalom does, Tramèr
and Boneh 2019). Whoever computes the sums must not know r, and learns nothing of it but "accepted";
after a refusal it has learnt something, and the secret is spent.

The comparison is native, modulo p = 2^64 − 2^32 + 1, without the GIL; a wrong row passes with
probability at most 2^-63.9. Here is what surrounds it: shapes, windows, requantisation.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs import backend, semantics
from maxwell.proofs.bounds import accumulator_bounds, check
from maxwell.proofs.model import NAMES, Conv2d, Dense, ProofModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from maxwell.proofs.model import Op


class SecretVectors:
    """An auditor's secret for one model; keep it away from whoever computes.

    Args:
        model: the model; it is checked.
        entropy: returns random bytes; the operating system's unless a test
            replays. 32 for each product.

    Raises:
        ProofError: what `bounds.check` refuses; MX1708 without the native module's prover.
    """

    def __init__(
        self, model: ProofModel, *, entropy: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        check(model)
        self._model = model
        self._spent = False
        self._bounds: list[NDArray[np.int64]] = []
        self._secrets: list[backend.SecretVector | None] = []
        ranges = model.ranges()
        for op, weights in zip(model.ops, model.weights, strict=True):
            bounds = accumulator_bounds(op, ranges, weights)
            self._bounds.append(np.asarray(bounds, np.int64))
            if weights is None:
                self._secrets.append(None)
                continue
            assert isinstance(op, Dense | Conv2d)
            matrix = weights if isinstance(op, Dense) else weights.reshape(len(weights), -1).T
            self._secrets.append(backend.secret_vector(matrix, op.bias, entropy(32)))

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
            secret = self._secrets[index]
            if secret is not None:
                acc = given.pop(0)
                self._check(index, op, secret, tensors, acc)
            else:
                acc = semantics.accumulate(op, tensors, None, double=False)
            table = self._model.tables[op.requant.table]
            axis = semantics.channel_axis(op)
            tensors.append(semantics.requantise(acc, op.requant, table, axis))
        return tensors[-1]

    def _check(
        self,
        index: int,
        op: Op,
        secret: backend.SecretVector,
        tensors: Sequence[NDArray[np.int16]],
        acc: NDArray[np.int64],
    ) -> None:
        """Refuses sums that are not the products, and spends the secret with it."""
        x = tensors[op.input]
        shape = (len(x), *self._model.shapes()[index + 1])
        if acc.dtype != np.int64 or acc.shape != shape:
            raise ProofError(f"sums of {acc.dtype} {acc.shape}, not int64 {shape}", code="MX1706")
        rows, columns = x, acc
        if isinstance(op, Conv2d):
            rows, columns = semantics.patches(x, op), np.moveaxis(acc, 1, -1)
        bounds = self._bounds[index]
        # -2^63 has no absolute value in int64: both ends are compared.
        in_range = bool(((columns <= bounds) & (columns >= -bounds)).all())
        if not in_range or not secret.holds(backend.to_bytes(rows), _to_bytes(columns)):
            self._spent = True
            raise ProofError(
                f"operation {index} ({NAMES[type(op)]}): the sums are not the product",
                code="MX1706",
                hint="prepare new vectors before auditing again",
            )


def _to_bytes(sums: NDArray[np.int64]) -> bytes:
    return np.ascontiguousarray(sums, "<i8").tobytes()


def sums_of(model: ProofModel, x: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Returns what an honest process hands over: the accumulators of `dense` and `conv2d`."""
    tensors = semantics.trace(model, x)
    return [
        semantics.accumulate(op, tensors[: index + 1], weights, double=False)
        for index, (op, weights) in enumerate(zip(model.ops, model.weights, strict=True))
        if weights is not None
    ]
