"""Multipliers that round as ONNX's quantised operators do, for every sum that can occur.

QLinearConv and QLinearMatMul round `float32(acc) · ratio` half to even, in single precision; a
proof model rounds `acc · m / 2^s` half up, exactly. Both are step functions of acc, and equal when
they step at the same sums: for each output value k the smallest sum T_k that reaches it has to be
the same, which bounds m from both sides,

    T_k · m + 2^(s-1) ≥ k · 2^s   and   (T_k − 1) · m + 2^(s-1) < k · 2^s.

`fit` intersects these intervals. Where they have no common point no multiplier is exact: that takes
two sums whose products lie on a tie, or so near one that single precision puts them there, and that
round in opposite directions. The multiplier then is the one that breaks the fewest of them; each
broken one moves one step by one sum. Our own method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.model import MULTIPLIER_MAX, SHIFTS
from maxwell.proofs.quantise import multipliers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EXACT_BITS: Final = 16
"""Where nothing has to be matched, what a multiplier of a file's own scales has at least."""

STEPS_MAX: Final = 1 << 12
"""Output values that are matched one by one; int16 outputs have more, and get the nearest."""

_NEAR: Final = 8
"""Single precision moves a step by at most this many sums, and one in 2^22 of them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Multipliers with one shift."""

    multipliers: tuple[int, ...]
    shift: int
    broken: int
    """Steps, over all channels, that are not where ONNX has them; 0 is bit-exact."""


def onnx_rounds(acc: NDArray[np.int64], ratio: np.float32) -> NDArray[np.float32]:
    """Returns what ONNX's quantised operators make of sums, before zero point and saturation."""
    return np.rint(acc.astype(np.float32) * ratio)


def steps(ratio: np.float32, span: tuple[int, int], bound: int) -> NDArray[np.int64]:
    """Returns T_k for each k from `span[0] + 1` to `span[1]`: the smallest acc that rounds to k.

    Beyond ±`bound`, where no sum lies, values are only near.
    """
    k = np.arange(span[0] + 1, span[1] + 1, dtype=np.float64)
    with np.errstate(all="ignore"):
        guess = np.clip((k - 0.5) / np.float64(ratio), -2.0 * bound - 2, 2.0 * bound + 2)
    near = _NEAR + (bound >> 22)
    low = np.floor(guess).astype(np.int64) - near
    high = low + 2 * near
    while bool((low + 1 < high).any()):
        middle = (low + high) >> 1
        reached = onnx_rounds(middle, ratio) >= k
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return high


def _intervals(
    ratio: np.float32, span: tuple[int, int], bound: int, shift: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the least and the largest multiplier for each step."""
    at = steps(ratio, span, bound)
    k = np.arange(span[0] + 1, span[1] + 1, dtype=np.int64)
    # (2k − 1) · 2^(s-1): below 2^53 for k within 2^12 and s up to 40.
    target = (2 * k - 1) << (shift - 1)
    least = np.ones_like(k)
    most = np.full_like(k, MULTIPLIER_MAX)
    above = (k > 0) & (at > 0) & (at <= bound)
    least[above] = -(-target[above] // at[above])
    before = np.minimum(at - 1, bound)
    below = (k > 0) & (before > 0)
    most[below] = -(-target[below] // before[below]) - 1
    under = np.minimum(1 - at, bound)  # |acc| just under the step, for k ≤ 0
    above = (k <= 0) & (under > 0) & (1 - at <= bound)
    least[above] = np.maximum(1, -target[above] // under[above] + 1)
    below = (k <= 0) & (at < 0) & (-at <= bound)
    most[below] = -target[below] // -at[below]
    return least, most


def _best(ratio: np.float32, span: tuple[int, int], bound: int, shift: int) -> tuple[int, int]:
    """Returns the multiplier of one channel and how many steps it breaks."""
    least, most = _intervals(ratio, span, bound, shift)
    nearest = max(1, round(float(ratio) * 2.0**shift))
    low, high = int(least.max(initial=1)), int(most.min(initial=MULTIPLIER_MAX))
    if low <= high:
        return min(max(nearest, low), high), 0
    # The point in most intervals is an end of one; of several the one nearest to the real ratio.
    ends = np.unique(np.concatenate([least, most, [nearest]]))
    ends = ends[(ends >= 1) & (ends <= MULTIPLIER_MAX)]
    inside = np.searchsorted(np.sort(least), ends, side="right")
    inside -= np.searchsorted(np.sort(most), ends, side="left")
    most_inside = int(inside.max())
    ends = ends[inside == most_inside]
    return int(ends[np.argmin(np.abs(ends - nearest))]), len(least) - most_inside


def fit(ratios: Sequence[float], bounds: Sequence[int], span: tuple[int, int]) -> Fit:
    """Chooses multipliers and a shift that round as ONNX does.

    Args:
        ratios: real multiplier of each channel, positive, a single-precision number.
        bounds: largest |acc| of each channel; 0 marks a dead one.
        span: the smallest and largest output, without zero point; beyond it both saturate.

    Returns:
        The smallest shift with which no step is broken, else the one with which the fewest are.

    Raises:
        ProofError: MX1704 as `quantise.multipliers`.
    """
    nearest, shift = multipliers(ratios, bounds, bits=EXACT_BITS)
    if span[1] - span[0] > STEPS_MAX:
        nearest, shift = multipliers(ratios, bounds, bits=24)
        return Fit(nearest, shift, span[1] - span[0])
    best: Fit | None = None
    for shift in (s for s in SHIFTS if s >= shift):
        chosen = _with_shift(ratios, bounds, span, shift)
        if chosen is not None and (best is None or chosen.broken < best.broken):
            best = chosen
        if chosen is None or chosen.broken == 0:
            break
    if best is None:
        raise ProofError("no multiplier and shift fit", code="MX1704")
    return best


def _with_shift(
    ratios: Sequence[float], bounds: Sequence[int], span: tuple[int, int], shift: int
) -> Fit | None:
    """Returns the best multipliers for one shift; None when one of them does not fit."""
    chosen: list[int] = []
    broken = 0
    for ratio, bound in zip(ratios, bounds, strict=True):
        if bound == 0:
            chosen.append(1)
            continue
        if not 1 <= round(ratio * 2.0**shift) <= MULTIPLIER_MAX:
            return None
        value, wrong = _best(np.float32(ratio), span, bound, shift)
        if bound * value + (1 << (shift - 1)) >= 1 << 62:
            return None
        chosen.append(value)
        broken += wrong
    return Fit(tuple(chosen), shift, broken)
