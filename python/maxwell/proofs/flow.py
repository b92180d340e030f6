"""A network between ONNX and a proof model: linear steps, each with the functions that follow it.

An ONNX graph says "convolve, rectify, round to this grid" in three to eight nodes; a proof model
says it in one operation with one table. `flow` holds the form in between, in real numbers: a step
is one linear part with a chain of elementwise functions. `operators` makes steps of nodes,
`calibrate` gives a grid to what has none, `lower` makes operations of steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.quantise import Fn, Grid, Snap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maxwell.proofs.model import Pair, Quad, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A constant as integers with scales, or as real numbers that still have none."""

    values: NDArray[np.generic]
    """Integers (int64, without zero point) when `scale` is given, real numbers (float64) if not."""
    scale: NDArray[np.float64] | None = None
    """One value, or one per index of `axis`."""
    axis: int = 0

    def real(self) -> NDArray[np.float64]:
        """Returns the real numbers."""
        values = self.values.astype(np.float64)
        if self.scale is None:
            return values
        if self.scale.size == 1:
            return values * float(self.scale.reshape(-1)[0])
        shape = [1] * values.ndim
        shape[self.axis] = self.scale.size
        return values * self.scale.reshape(shape)

    def transposed(self) -> Weights:
        """Returns a matrix with its axes exchanged."""
        assert self.values.ndim == 2
        return Weights(self.values.T, self.scale, 1 - self.axis)

    def times(self, factor: float) -> Weights:
        """Returns the constant times a positive or negative real factor."""
        if factor == 1.0:
            return self
        if self.scale is None or factor <= 0:
            return Weights(self.real() * factor)
        return Weights(self.values, self.scale * factor, self.axis)


@dataclass(frozen=True, slots=True)
class DensePart:
    """A product with a matrix `[K, N]`."""

    row_axes: int


@dataclass(frozen=True, slots=True)
class ConvPart:
    """A convolution with `[O, C, KH, KW]`."""

    strides: Pair
    pads: Quad


@dataclass(frozen=True, slots=True)
class PoolPart:
    """A mean over windows."""

    kernel: Pair
    strides: Pair
    pads: Quad


@dataclass(frozen=True, slots=True)
class AddPart:
    """A sum of two tensors."""


@dataclass(frozen=True, slots=True)
class SamePart:
    """Nothing linear: functions alone."""


Part: TypeAlias = DensePart | ConvPart | PoolPart | AddPart | SamePart


@dataclass(slots=True)
class Step:
    """One operation to be: a linear part, then functions. Tensor `i + 1` of step `i`."""

    part: Part
    where: str
    """The ONNX node it came from, for messages."""
    reads: tuple[int, ...]
    """Numbers of the tensors that it reads; 0 is the input."""
    shape: Shape
    """Of its output, without the batch."""
    weights: Weights | None = None
    bias: Weights | None = None
    fns: list[Fn] = field(default_factory=list[Fn])
    fine_step: float | None = None
    """Where to round before a curve, when the chain begins with one; set by calibration."""

    @property
    def grid(self) -> Grid | None:
        """The grid of the output, once it has one."""
        last = self.fns[-1] if self.fns else None
        return last.grid if isinstance(last, Snap) else None


@dataclass(frozen=True, slots=True)
class Ref:
    """What an ONNX name stands for: a tensor, seen in some shape."""

    tensor: int
    shape: Shape
    """As ONNX sees it, without the batch."""
    sole: bool = True
    """Whether this is the only way to the tensor, so that what follows may be merged into it."""


@dataclass(slots=True)
class Flow:
    """A whole network."""

    name: str
    input_shape: Shape
    file_batch: int | None
    """The batch that the ONNX file fixes, if it does."""
    input_grid: Grid | None = None
    steps: list[Step] = field(default_factory=list[Step])
    output_shape: Shape = ()
    """As ONNX sees it, without the batch."""

    def shape_of(self, tensor: int) -> Shape:
        """Returns a tensor's own shape."""
        return self.input_shape if tensor == 0 else self.steps[tensor - 1].shape

    def grid_of(self, tensor: int) -> Grid:
        """Returns a tensor's grid; calibration has given one to each."""
        grid = self.input_grid if tensor == 0 else self.steps[tensor - 1].grid
        assert grid is not None, f"BUG: tensor {tensor} has no grid"
        return grid

    def add(self, step: Step) -> Ref:
        """Appends a step and returns its output."""
        self.steps.append(step)
        return Ref(len(self.steps), step.shape)


def refuse(where: str, what: str, hint: str | None = None, code: str = "MX1702") -> ProofError:
    """Makes the error for a node that cannot be proved."""
    return ProofError(f"{where}: {what}", code=code, hint=hint)
