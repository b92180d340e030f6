"""Scales, zero points and the elementwise functions that tables are made of.

Real numbers meet integers here and nowhere else: a real value is `scale · n` for the integer `n` of
a proof model, and ONNX's stored value is `n + zero`. Rounding to a grid is ONNX's (half to even, in
single precision), so that a table equals the ONNX function at every point of its domain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.model import MULTIPLIER_MAX, SHIFTS, VALUE_MAX, VALUE_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"

MULTIPLIER_BITS: Final = 13
"""A multiplier of 2^13 is within 2^-14 of its real ratio: 0.008 of a unit at q = 127."""


GRID_MIN: Final = 2.0**-60
GRID_MAX: Final = 2.0**60
"""Products of two scales then stay within single precision; smaller values count as zero."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The integers that a real tensor is rounded to."""

    scale: float
    """Real value of one unit; a positive single-precision number."""
    zero: int
    """ONNX's zero point: the stored value of 0.0."""
    lo: int
    hi: int
    """Smallest and largest stored value."""

    @classmethod
    def symmetric(cls, absmax: float, bits: int = 8) -> Grid:
        """Returns the grid without zero point that reaches ±`absmax` with `bits` bits.

        Raises:
            ProofError: MX1704 for magnitudes that no scale in `GRID_MAX` covers.
        """
        top = 2 ** (bits - 1) - 1
        if not absmax / top <= GRID_MAX:
            raise ProofError(
                f"values reach ±{absmax:.3g}, beyond any scale",
                code="MX1704",
                hint="weights or inputs of this size are a mistake in the model",
            )
        # All zeroes: any scale will do, and one unit is as good as any.
        scale = float(np.float32(absmax / top)) if absmax > 0 else 1.0
        return cls(max(scale, GRID_MIN), 0, -top, top)

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest integer after taking the zero point off."""
        return self.lo - self.zero, self.hi - self.zero

    def to_ints(self, real: NDArray[np.floating]) -> NDArray[np.int16]:
        """Rounds real values as ONNX's QuantizeLinear does; saturates.

        Returns:
            Integers without zero point, within `range`.
        """
        steps = np.rint(real.astype(np.float32) / np.float32(self.scale)).astype(np.float64)
        return np.clip(steps, *self.range).astype(np.int16)

    def to_real(self, ints: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the real values of integers without zero point."""
        return ints.astype(np.float32) * np.float32(self.scale)


def grid_of(dtype: np.dtype[np.generic], scale: NDArray[np.generic], zero: int, where: str) -> Grid:
    """Returns the grid of a quantised ONNX tensor.

    Raises:
        ProofError: MX1702 for a type or a per-channel scale that an activation cannot have, MX1703
            for a scale that is not positive, MX1704 when the values do not fit int16.
    """
    if scale.size != 1:
        raise ProofError(
            f"{where}: an activation with {scale.size} scales", code="MX1702",
            hint="quantise activations per tensor; weights may be per channel",
        )  # fmt: skip
    if dtype.name not in ("int8", "uint8", "int16", "uint16"):
        raise ProofError(f"{where}: quantised to {dtype}", code="MX1702", hint="use int8 or int16")
    value = float(scale.reshape(())[()])
    if not value > 0:
        raise ProofError(f"{where}: scale {value} is not positive", code="MX1703")
    if not GRID_MIN <= value <= GRID_MAX:
        raise ProofError(f"{where}: scale {value:.3g} is absurd", code="MX1704")
    limits = np.iinfo(dtype.name)
    grid = Grid(value, zero, int(limits.min), int(limits.max))
    lo, hi = grid.range
    if lo < VALUE_MIN or hi > VALUE_MAX:
        raise ProofError(
            f"{where}: values without zero point reach from {lo} to {hi}, beyond int16",
            code="MX1704",
            hint="use int8, or int16 with zero point 0",
        )
    return grid


@dataclass(frozen=True, slots=True)
class Snap:
    """Rounds to a grid and saturates: QuantizeLinear, then DequantizeLinear."""

    grid: Grid


@dataclass(frozen=True, slots=True)
class Clamp:
    """Clip; Relu is `Clamp(0, inf)`."""

    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A named smooth function."""

    name: str


Fn: TypeAlias = Snap | Clamp | Curve

_erf = np.frompyfunc(math.erf, 1, 1)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def gelu(x: Floats) -> Floats:
    """X · Φ(x), with the exact normal distribution function (ONNX opset 20, approximate none)."""
    normal = np.asarray(_erf(x / math.sqrt(2.0)), np.float64)
    return 0.5 * x * (1.0 + normal)


def gelu_tanh(x: Floats) -> Floats:
    """The tanh approximation of Gelu (ONNX opset 20, approximate "tanh")."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


CURVES: Final = {"Sigmoid": sigmoid, "Tanh": np.tanh, "Gelu": gelu, "Gelu(tanh)": gelu_tanh}


def apply(fn: Fn, real: Floats) -> Floats:
    """Applies one function to real values."""
    if isinstance(fn, Snap):
        return fn.grid.to_ints(real).astype(np.float64) * fn.grid.scale
    if isinstance(fn, Clamp):
        return np.clip(real, fn.lo, fn.hi)
    return CURVES[fn.name](real)


def apply_all(fns: Sequence[Fn], real: Floats) -> Floats:
    """Applies functions one after the other."""
    for fn in fns:
        real = apply(fn, real)
    return real


def table_values(fns: Sequence[Fn], step: float, q: NDArray[np.int64]) -> NDArray[np.int16]:
    """Returns what a chain of functions makes of `q · step`; the last one must be a `Snap`.

    A chain that begins with a `Snap` to a grid of this very step, or with clamps before one, sees
    real values that lie on the grid, so that its rounding changes nothing.
    """
    last = fns[-1]
    assert isinstance(last, Snap), "BUG: a chain without a grid at its end"
    real = apply_all(fns[:-1], q.astype(np.float64) * step)
    return last.grid.to_ints(real)


def own_step(fns: Sequence[Fn]) -> float | None:
    """Returns the step at which a chain may round first, or None when a curve comes before.

    Clamping commutes with rounding to a grid, so that clamps before the first `Snap` do not matter.
    """
    for fn in fns:
        if isinstance(fn, Snap):
            return fn.grid.scale
        if isinstance(fn, Curve):
            return None
    return None


def multipliers(
    ratios: Sequence[float], bounds: Sequence[int], *, bits: int = MULTIPLIER_BITS
) -> tuple[tuple[int, ...], int]:
    """Chooses multipliers and a shift near the real ratios.

    The shift is the smallest with which every multiplier of a live channel has `bits` bits, since
    every 8 bits of it cost one more look-up; never so large that a product could reach 2^62.

    Args:
        ratios: real multiplier of each channel, positive.
        bounds: largest |acc| of each channel; 0 marks a dead one.
        bits: precision that is asked for.

    Returns:
        Multipliers, one per ratio, and the shift.

    Raises:
        ProofError: MX1704 when no shift gives every live channel a multiplier of at least 2.
    """
    assert len(ratios) == len(bounds)
    if not all(b == 0 or (r > 0 and math.isfinite(r)) for r, b in zip(ratios, bounds, strict=True)):
        raise ProofError(
            "scales of input, weights and output are too far apart",
            code="MX1704",
            hint="a scale of the file, or a weight, is a mistake",
        )
    live = [(r, b) for r, b in zip(ratios, bounds, strict=True) if b > 0] or [(ratios[0], 0)]
    fits: list[int] = []
    for shift in SHIFTS:
        values = [_nearest(ratio, shift) for ratio, _ in live]
        half = 1 << (shift - 1)
        reach = max(m * b for m, (_, b) in zip(values, live, strict=True)) + half
        if max(values) > MULTIPLIER_MAX or reach >= 1 << 62:
            break
        fits.append(shift)
        if min(values) >= 1 << bits:
            break
    if not fits or min(_nearest(ratio, fits[-1]) for ratio, _ in live) < 2:
        low, high = min(r for r, _ in live), max(r for r, _ in live)
        raise ProofError(
            f"no multiplier and shift fit: the scales ask for ratios from {low:.3g} to {high:.3g}",
            code="MX1704",
            hint="the scales of input, weights and output differ too much",
        )
    shift = fits[-1]
    return tuple(
        max(1, _nearest(r, shift)) if b > 0 else 1 for r, b in zip(ratios, bounds, strict=True)
    ), shift


def _nearest(ratio: float, shift: int) -> int:
    return round(math.ldexp(ratio, shift))
