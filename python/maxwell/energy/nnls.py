"""Non-negative least squares for a handful of coefficients, exactly.

Minimises |A·x − b|² over x ≥ 0 (C. Lawson and R. Hanson, "Solving Least Squares Problems", ch.
23). With at most five columns we try every support: each of the 2^n subsets of columns gives the
unconstrained solution on that subset, and among those without a negative entry the one with the
least residual is the answer (the optimum is the unconstrained optimum of its own support). Rational
arithmetic, so that the result does not depend on the order of rows or on the processor.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS_MAX: Final = 5
"""2^5 systems of at most 5 unknowns: well under a millisecond a fit."""


def nnls(rows: Sequence[Sequence[int]], targets: Sequence[int]) -> tuple[Fraction, ...]:
    """Returns the x ≥ 0 that minimises Σ (rows·x − targets)². Exact, deterministic.

    Of equally good solutions the one with the smallest support, leftmost first, is returned.

    Args:
        rows: (m, n) integers, n ≤ 5.
        targets: (m,) integers.
    """
    assert rows
    assert len(rows) == len(targets)
    width = len(rows[0])
    assert width <= COLUMNS_MAX
    assert all(len(row) == width for row in rows)
    gram = [
        [Fraction(sum(row[i] * row[j] for row in rows)) for j in range(width)] for i in range(width)
    ]
    moment = [
        Fraction(sum(row[i] * t for row, t in zip(rows, targets, strict=True)))
        for i in range(width)
    ]
    best = (Fraction(0),) * width
    best_value = Fraction(0)  # |A·x|² − 2·x·Aᵀb: the residual less |b|², which is constant
    for size in range(1, width + 1):
        for support in combinations(range(width), size):
            solution = _solve(
                [[gram[i][j] for j in support] for i in support], [moment[i] for i in support]
            )
            if solution is None or min(solution) < 0:
                continue
            # At a stationary point x·G·x = x·m, so that the value is −x·m.
            value = -sum(
                (x * moment[i] for x, i in zip(solution, support, strict=True)), Fraction(0)
            )
            if value < best_value:
                full = [Fraction(0)] * width
                for x, i in zip(solution, support, strict=True):
                    full[i] = x
                best, best_value = tuple(full), value
    assert min(best, default=Fraction(0)) >= 0
    return best


def _solve(matrix: list[list[Fraction]], vector: list[Fraction]) -> list[Fraction] | None:
    """Solves a small linear system by Gauss–Jordan elimination; None when it is singular."""
    n = len(vector)
    system = [[*row, value] for row, value in zip(matrix, vector, strict=True)]
    for column in range(n):
        pivot = next((r for r in range(column, n) if system[r][column]), None)
        if pivot is None:
            return None
        system[column], system[pivot] = system[pivot], system[column]
        scale = system[column][column]
        system[column] = [value / scale for value in system[column]]
        for r in range(n):
            factor = system[r][column]
            if r != column and factor:
                system[r] = [a - factor * b for a, b in zip(system[r], system[column], strict=True)]
    return [row[n] for row in system]
