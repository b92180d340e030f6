"""How often our integers equal onnxruntime's: the share of equal cells, of cells one unit apart.

Goal: what a user who knows a model's quantised outputs from onnxruntime gets from us. Not: accuracy
against the float model, which is the quantiser's matter (`tests/proofs/test_digits.py` has that).

Method: each network is quantised by onnxruntime's own static quantiser (QDQ, int8, per channel),
from 128 calibration inputs. The file then runs on 10^4 random inputs with onnxruntime, its
optimiser on as by default, and as integers by our reference after import. Differences come from
ties (we round half up, it rounds half to even, after sums in floating point that may miss the tie:
a mean of four integers is halfway in one case of four), from multipliers of 13 bits and more where
it has 24, and, in networks, from such differences in earlier layers.

`python benches/onnx_agreement.py [--smoke]`
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import onnxruntime
import onnxruntime.quantization as quantization

from harness import REPOSITORY, emit, note, parse_options
from harness.onnx_cases import CASES, Case
from maxwell.proofs import Network, load_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float32]"

INPUTS = 10_000
CALIBRATION = 128
CHUNK_CELLS = 1 << 22
ort = cast(Any, onnxruntime)  # its types are incomplete


def quantised(source: bytes, samples: Floats, folder: Path, input_name: str) -> Path:
    """Returns the file that onnxruntime's quantiser writes."""
    quantiser = cast(Any, quantization)

    class Samples(quantiser.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(samples)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self.left, None)
            return None if sample is None else {input_name: sample[np.newaxis]}

    given, made = folder / "float.onnx", folder / "quantised.onnx"
    given.write_bytes(source)
    quantiser.quantize_static(
        str(given),
        str(made),
        Samples(),
        quant_format=quantiser.QuantFormat.QDQ,
        activation_type=quantiser.QuantType.QInt8,
        weight_type=quantiser.QuantType.QInt8,
        per_channel=True,
    )
    return made


def differences(path: Path, network: Network, x: Floats) -> NDArray[np.int16]:
    """Returns |ours − theirs| of every output cell, in units of the output's scale."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), settings)
    name = session.get_inputs()[0].name
    # Windows of a convolution are unfolded in double precision: 8 bytes a multiplication.
    cells = max(1, network.proof_model.macs() // 4)
    chunk = max(64, min(4_096, CHUNK_CELLS // cells))
    parts: list[Any] = []
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk]
        theirs = session.run(None, {name: part})[0]
        units = (network.run(part) - theirs) / np.float32(network.output_grid.scale)
        parts.append(np.abs(np.rint(units)).astype(np.int16))
    return np.concatenate([part.reshape(-1) for part in parts])


def measure(name: str, source: bytes, samples: Floats, x: Floats, input_name: str = "x") -> None:
    """Measures one network and prints its lines."""
    note(f"onnx agreement: {name}")
    with tempfile.TemporaryDirectory() as folder:
        path = quantised(source, samples, Path(folder), input_name)
        network = load_onnx(path)
        off = differences(path, network, x)
    more = {
        "equal": round(float((off == 0).mean()), 6),
        "within_one": round(float((off <= 1).mean()), 6),
        "largest": int(off.max()),
        "inputs": len(x),
        "cells": off.size,
    }
    emit(
        f"onnx_agreement.{name}.unequal",
        float((off > 0).mean()),
        "share of cells",
        peer="beyond one unit",
        peer_value=float((off > 1).mean()),
        more=more,
    )


def digits(name: str, inputs: int) -> None:
    """Measures one of the trained models, on random pixels."""
    folder = REPOSITORY / "examples" / "models"
    samples = np.load(folder / "digits_calibration.npy").astype(np.float32)
    shape = (1, 8, 8) if name.endswith("cnn") else (64,)
    pixels = np.random.default_rng(0).integers(0, 17, (inputs, *shape)) / np.float32(16)
    source = (folder / f"{name}.onnx").read_bytes()
    samples = samples.reshape(-1, *shape)
    measure(name, source, samples, pixels.astype(np.float32), "image")


def main() -> None:
    """Measures the trained models, then every case of the table."""
    options = parse_options(__doc__ or "")
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser advises on every call
    inputs = 100 if options.smoke else INPUTS
    for name in ("digits_mlp", "digits_cnn"):
        digits(name, inputs)
    cases: tuple[Case, ...] = CASES[:1] if options.smoke else CASES
    for case in cases:
        samples = case.inputs(CALIBRATION, seed=1)
        measure(case.name, case.onnx(open_batch=True), samples, case.inputs(inputs))


if __name__ == "__main__":
    main()
