"""Calibration: a grid for every tensor that the ONNX file leaves in real numbers.

Symmetric, per tensor, from the values that sample inputs produce: either the largest magnitude or a
percentile of the magnitudes (which clips rare outliers and spends the steps on the rest). The
samples run through the flow in real arithmetic, before any rounding of ours; grids that the file
brings along are kept and do round. Weights need no samples: `lower` rounds them per channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.flow import AddPart, ConvPart, DensePart, Flow, PoolPart, SamePart, Step
from maxwell.proofs.quantise import (
    GRID_MAX,
    GRID_MIN,
    Clamp,
    Curve,
    Fn,
    Grid,
    Snap,
    apply,
    apply_all,
    own_step,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maxwell.proofs.model import Pair, Quad
    from maxwell.proofs.quantise import Floats

FINE_STEPS: Final = 1_023
"""Steps from 0 to the largest magnitude before a curve: four times finer than int8 and more."""

SAMPLES_DEFAULT: Final = 64
SEED_DEFAULT: Final = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How real numbers become integers."""

    method: Literal["minmax", "percentile"] = "minmax"
    percentile: float = 99.99
    """Of the magnitudes, for the method of that name."""
    activation_bits: int = 8
    weight_bits: int = 8
    per_channel: bool = True
    """One scale per output channel of the weights, or one per tensor."""

    def __post_init__(self) -> None:
        """Refuses what makes no sense.

        Raises:
            ProofError: MX1703.
        """
        if not (2 <= self.activation_bits <= 12 and 2 <= self.weight_bits <= 12):
            raise ProofError(
                f"bits {self.activation_bits} and {self.weight_bits}: 2 to 12", code="MX1703"
            )
        if self.method not in ("minmax", "percentile") or not 50 <= self.percentile <= 100:
            raise ProofError(
                f"calibration {self.method!r} at {self.percentile}: minmax, or a percentile of 50 "
                "to 100",
                code="MX1703",
            )


def needs_samples(flow: Flow) -> bool:
    """Says whether the file leaves any tensor without a grid."""
    return flow.input_grid is None or any(
        step.grid is None or _needs_fine_step(step) for step in flow.steps
    )


def standard_samples(flow: Flow) -> Floats:
    """Returns the inputs that stand in for real ones: standard normal, always the same."""
    rng = np.random.default_rng(SEED_DEFAULT)
    return rng.standard_normal((SAMPLES_DEFAULT, *flow.input_shape))


def calibrate(flow: Flow, samples: NDArray[np.floating], options: Options) -> None:
    """Gives a grid to every tensor of a flow that has none.

    Args:
        flow: is changed.
        samples: `(count, *input_shape)`, real inputs like those to come.
        options: how a grid follows from values.

    Raises:
        ProofError: MX1705 for samples of another shape, or that are not finite numbers.
    """
    own = flow.input_shape
    if samples.ndim < 2 or len(samples) < 1 or samples[0].size != int(np.prod(own)):
        raise ProofError(
            f"calibration data of shape {samples.shape}: the model takes (count, "
            f"{', '.join(map(str, own))})",
            code="MX1705",
        )
    real = samples.astype(np.float64).reshape(len(samples), *own)
    if not bool(np.isfinite(real).all()):
        raise ProofError("calibration data holds a NaN or an infinity", code="MX1705")
    if flow.input_grid is None:
        flow.input_grid = _grid(real, options)
    else:
        real = apply(Snap(flow.input_grid), real)
    tensors = [real]
    for step in flow.steps:
        before = linear(step, tensors)
        if _needs_fine_step(step):
            magnitude = _magnitude(before, options) or 1.0
            step.fine_step = min(max(magnitude / FINE_STEPS, GRID_MIN), GRID_MAX)
        after = apply_all(step.fns, before)
        if step.grid is None:
            try:
                step.fns.append(Snap(_grid(after, options)))
            except ProofError as error:
                raise ProofError(
                    f"{step.where}: {error.message}", code=error.code, hint=error.hint
                ) from error
        tensors.append(after)


def run_real(flow: Flow, x: NDArray[np.floating]) -> Floats:
    """Runs a flow in real numbers, with the rounding that its chains contain."""
    real = x.astype(np.float64).reshape(len(x), *flow.input_shape)
    tensors = [real if flow.input_grid is None else apply(Snap(flow.input_grid), real)]
    for step in flow.steps:
        tensors.append(apply_all(step.fns, linear(step, tensors)))
    return tensors[-1].reshape(len(x), *flow.output_shape)


def linear(step: Step, tensors: Sequence[Floats]) -> Floats:
    """Returns what a step's linear part makes of real tensors, bias included."""
    x, part = tensors[step.reads[0]], step.part
    bias = np.zeros(1) if step.bias is None else step.bias.real()
    if isinstance(part, DensePart):
        assert step.weights is not None
        return x.reshape(*x.shape[: 1 + part.row_axes], -1) @ step.weights.real() + bias
    if isinstance(part, ConvPart):
        assert step.weights is not None
        weights = step.weights.real()
        views = _views(x, (weights.shape[2], weights.shape[3]), part.strides, part.pads)
        return np.einsum("nchwij,ocij->nohw", views, weights, optimize=True) + bias[:, None, None]
    if isinstance(part, PoolPart):
        return _views(x, part.kernel, part.strides, part.pads).mean(axis=(-2, -1))
    if isinstance(part, AddPart):
        return x + tensors[step.reads[1]]
    assert isinstance(part, SamePart)
    return x


def _views(x: Floats, kernel: Pair, strides: Pair, pads: Quad) -> Floats:
    top, left, bottom, right = pads
    wide = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    views = np.lib.stride_tricks.sliding_window_view(wide, kernel, axis=(2, 3))
    return views[:, :, :: strides[0], :: strides[1]]


def _needs_fine_step(step: Step) -> bool:
    """Says whether a curve follows a linear part, so that a step of our own is rounded to."""
    if isinstance(step.part, SamePart) or step.fine_step is not None:
        return False
    return own_step(step.fns) is None and _has_curve(step.fns)


def _has_curve(fns: Sequence[Fn]) -> bool:
    first = next((fn for fn in fns if not isinstance(fn, Clamp)), None)
    return isinstance(first, Curve)


def _grid(real: Floats, options: Options) -> Grid:
    return Grid.symmetric(_magnitude(real, options), options.activation_bits)


def _magnitude(real: Floats, options: Options) -> float:
    magnitudes = np.abs(real)
    top = float(magnitudes.max())
    if options.method == "percentile":
        # A tensor that is nearly always zero would get the grid of its zeroes.
        return float(np.percentile(magnitudes, options.percentile)) or top
    return top
