"""From an ONNX file to a model that can be proved, with all that is needed to use it.

`load_onnx` reads, builds, calibrates, lowers and checks, in that order, and keeps what the proof
model itself does not know: names, scales, and how the ONNX file sees input and output.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs import semantics
from maxwell.proofs.bounds import Bound, check
from maxwell.proofs.calibrate import (
    SAMPLES_DEFAULT,
    Options,
    calibrate,
    needs_samples,
    standard_samples,
)
from maxwell.proofs.lower import lower
from maxwell.proofs.onnx_file import OnnxGraph, parse_onnx, read_bytes
from maxwell.proofs.operators import build
from maxwell.proofs.quantise import MULTIPLIER_BITS, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maxwell.proofs.model import ProofModel, Shape

STANDARD: Final = f"{SAMPLES_DEFAULT} standard-normal inputs"
FROM_FILE: Final = "the file's own scales"


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A proof model with its scales and names.

    Attributes:
        name: the file's name without its ending.
        proof_model: what is proved, in integers.
        operations: what each operation came from, such as `node 'conv1' (Conv)`.
        input_grid: the integers that a real input is rounded to.
        output_grid: what an output integer is worth.
        output_shape: of one output as the ONNX file sees it, without the batch.
        source_sha256: of the ONNX file, in hexadecimal.
        calibration: where the scales of activations come from, for people.
        inexact_steps: per operation, how many steps of its output are not at the very sum where
            ONNX's integer operator has them. 0 is bit-exact for every input; None was not compared;
            empty when the model comes from the store.
    """

    name: str
    proof_model: ProofModel
    operations: tuple[str, ...]
    input_grid: Grid
    output_grid: Grid
    output_shape: Shape
    source_sha256: str
    calibration: str
    inexact_steps: tuple[int | None, ...] = ()

    def to_ints(self, x: NDArray[np.generic]) -> NDArray[np.int16]:
        """Returns an input in the integers that are proved.

        Args:
            x: one input or a batch of them, in the shape of the ONNX file or any other that keeps
                the order of its cells. Real numbers are rounded to the input's grid and saturate;
                integers are taken as ONNX's stored values and may not be out of range.

        Returns:
            `(batch, *input_shape)`.

        Raises:
            ProofError: MX1705 when it does not fit.
        """
        own = self.proof_model.input_shape
        cells = prod(own)
        if x.shape == own or (x.ndim == 1 and x.size == cells):
            x = x[np.newaxis]
        if x.ndim < 2 or not len(x) or prod(x.shape[1:]) != cells:
            raise ProofError(
                f"input of shape {x.shape}: the model takes (batch, {', '.join(map(str, own))})",
                code="MX1705",
                hint="reshape it; one input may go without its batch axis",
            )
        shaped = x.reshape(len(x), *own)
        if shaped.dtype.kind == "f":
            real = shaped.astype(np.float64)
            if not bool(np.isfinite(real).all()):
                raise ProofError("input holds a NaN or an infinity", code="MX1705")
            return self.input_grid.to_ints(real)
        if shaped.dtype.kind not in "iu":
            raise ProofError(f"input of type {x.dtype}: numbers are proved", code="MX1705")
        stored = shaped.astype(object if shaped.dtype == np.uint64 else np.int64)
        lo, hi = self.input_grid.lo, self.input_grid.hi
        if int(stored.min()) < lo or int(stored.max()) > hi:
            raise ProofError(
                f"input of integers reaches from {int(stored.min())} to {int(stored.max())}: the "
                f"model takes {lo} to {hi}",
                code="MX1705",
                hint="give real numbers (float32) to have them rounded to the model's grid",
            )
        return (stored.astype(np.int64) - self.input_grid.zero).astype(np.int16)

    def to_real(self, y: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the real values of output integers, `(batch, *output_shape)`."""
        return self.output_grid.to_real(y.reshape(len(y), *self.output_shape))

    def run(self, x: NDArray[np.generic]) -> NDArray[np.float32]:
        """Runs the reference semantics on real inputs; exactly what a proof would show."""
        return self.to_real(semantics.run(self.proof_model, self.to_ints(x)))

    def bounds(self) -> list[Bound]:
        """Returns the static bound of each operation."""
        return check(self.proof_model, self.operations)


def load_onnx(
    path: str | Path,
    *,
    calibration: NDArray[np.floating] | None = None,
    options: Options | None = None,
    multiplier_bits: int | None = None,
) -> Network:
    """Reads an ONNX file and makes a model of it that can be proved.

    Args:
        path: the file.
        calibration: `(count, …)` real inputs like those to come, for the tensors that the file
            leaves in real numbers. Without it standard-normal numbers stand in, which
            `Network.calibration` says.
        options: how real numbers become integers.
        multiplier_bits: least precision of a multiplier; more is slower to prove. Left out, a file
            that brings all its scales is rounded as ONNX does, and one that does not has 13.

    Raises:
        ProofError: MX1701 to MX1705, MX1709, MX1710, see `maxwell explain`.
    """
    data = read_bytes(Path(path))
    return from_graph(
        parse_onnx(data, name=Path(path).stem),
        source_sha256=hashlib.sha256(data).hexdigest(),
        calibration=calibration,
        options=options,
        multiplier_bits=multiplier_bits,
    )


def from_graph(
    graph: OnnxGraph,
    *,
    source_sha256: str = "",
    calibration: NDArray[np.floating] | None = None,
    options: Options | None = None,
    multiplier_bits: int | None = None,
) -> Network:
    """Makes a model of a graph that was read; the rest as `load_onnx`."""
    chosen = Options() if options is None else options
    flow = build(graph)
    origin = FROM_FILE
    bits = multiplier_bits
    if needs_samples(flow):
        origin = STANDARD if calibration is None else f"{len(calibration):,} given inputs"
        if chosen.method == "percentile":
            origin += f", {chosen.percentile:g} % of magnitudes"
        calibrate(flow, standard_samples(flow) if calibration is None else calibration, chosen)
        bits = MULTIPLIER_BITS if bits is None else bits
    lowered = lower(flow, chosen, multiplier_bits=bits)
    check(lowered.model, lowered.operations)
    assert flow.input_grid is not None
    return Network(
        graph.name,
        lowered.model,
        lowered.operations,
        flow.input_grid,
        flow.grid_of(len(flow.steps)),
        flow.output_shape,
        source_sha256,
        origin,
        lowered.inexact_steps,
    )
