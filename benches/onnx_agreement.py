"""How often our integers equal onnxruntime's: the share of equal cells, of cells one unit apart.

Goal: what a user who knows a model's quantised outputs from onnxruntime gets from us. Not: accuracy
against the float model, which is the quantiser's matter (`tests/proofs/test_digits.py` has that).

Method: each network is quantised by onnxruntime's own static quantiser (QDQ, int8, per channel),
from 128 calibration inputs. The file then runs on 10^4 random inputs with onnxruntime, its
optimiser on as by default, and as integers by our reference after import. For networks each
operation is also compared by itself, on integers of onnxruntime's as inputs. The peer is
onnxruntime against itself: the same file with its optimiser off, which multiplies in floating
point instead of integers.

What differs: an average pool sums rounded products, so that a mean halfway between two integers
(one in four, of four) falls to either side, not even as a function of the sum; products differ in
the few sums per million that single precision moves onto a tie (`maxwell.proofs.rounding`); and
in networks, such cells spread.

`python benches/onnx_agreement.py [--smoke]`
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import onnx
import onnxruntime
import onnxruntime.quantization as quantization

from harness import REPOSITORY, emit, note, parse_options
from harness.onnx_cases import CASES, Case
from maxwell.proofs import Network, load_onnx, semantics
from maxwell.proofs.bounds import accumulator_bounds

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


class Session:
    """onnxruntime on a quantised file, one thread."""

    def __init__(self, model: bytes, *, optimised: bool = True) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.log_severity_level = 3
        if not optimised:
            settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = ort.InferenceSession(model, settings)
        self._name = self._session.get_inputs()[0].name

    def run(self, x: NDArray[Any]) -> list[Any]:
        """Returns all outputs."""
        return self._session.run(None, {self._name: x})


def rounded_outputs(model: onnx.ModelProto, nodes: list[str]) -> list[str]:
    """Returns, for each node, the name of the integers that its result is rounded to."""
    by_input = {name: node for node in model.graph.node for name in node.input[:1]}
    by_name = {node.name: node for node in model.graph.node}
    found: list[str] = []
    for name in nodes:
        node = by_name[name]
        while node.op_type != "QuantizeLinear":
            node = by_input[node.output[0]]
        found.append(node.output[0])
    return found


def exposed(model: onnx.ModelProto, names: list[str]) -> bytes:
    """Returns the file with these tensors as outputs."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    del other.graph.output[:]
    for name in names:
        other.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return other.SerializeToString()


def alone(model: onnx.ModelProto, given: str, wanted: str, like: NDArray[np.integer]) -> bytes:
    """Returns the part of a file between two of its integer tensors, which its engine can fuse."""
    needed, nodes = {wanted}, list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        if given not in node.output and needed.intersection(node.output):
            nodes.insert(0, node)
            needed.update(name for name in node.input if name != given)
    dtype = onnx.helper.np_dtype_to_tensor_dtype(like.dtype)
    graph = onnx.helper.make_graph(
        nodes,
        "alone",
        [onnx.helper.make_tensor_value_info(given, dtype, ["N", *like.shape[1:]])],
        [onnx.helper.make_empty_tensor_value_info(wanted)],
        [constant for constant in model.graph.initializer if constant.name in needed],
    )
    other = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    other.ir_version = model.ir_version
    return other.SerializeToString()


def by_operation(source: bytes, network: Network, x: Floats) -> list[tuple[str, int, int]]:
    """Compares each operation by itself: its kind, cells that differ, and cells.

    Inputs are onnxruntime's integers; it then runs the one operation, fused as it likes.
    """
    onnx_model = onnx.load_from_string(source)
    first = next(node for node in onnx_model.graph.node if node.op_type == "QuantizeLinear")
    nodes = [where.split("'")[1] for where in network.operations]
    names = [first.output[0], *rounded_outputs(onnx_model, nodes)]
    stored = Session(exposed(onnx_model, names)).run(x)
    zeros = {n.output[0]: n.input[2] for n in onnx_model.graph.node if len(n.input) > 2}
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in onnx_model.graph.initializer}
    model = network.proof_model
    results: list[tuple[str, int, int]] = []
    for index, op in enumerate(model.ops):
        given, weights = stored[op.input], model.weights[index]
        session = Session(alone(onnx_model, names[op.input], names[index + 1], given))
        double = max(accumulator_bounds(op, model.ranges(), weights)) < 1 << 53
        table, axis = model.tables[op.requant.table], semantics.channel_axis(op)
        unequal = cells = 0
        for part in np.array_split(given, max(1, len(given) // 1_000)):
            want = session.run(part)[0].astype(np.int64) - int(constants[zeros[names[index + 1]]])
            ints = part.astype(np.int64) - int(constants[zeros[names[op.input]]])
            # Only the tensor that is read is needed; networks with sums are not compared here.
            tensors = [ints.astype(np.int16)] * (index + 1)
            acc = semantics.accumulate(op, tensors, weights, double=double)
            have = semantics.requantise(acc, op.requant, table, axis)
            unequal += int((have.reshape(-1) != want.reshape(-1)).sum())
            cells += have.size
        results.append((type(op).__name__.lower(), unequal, cells))
    return results


def differences(source: bytes, network: Network, x: Floats) -> tuple[NDArray[np.int16], float]:
    """Returns |ours − theirs| of every output cell, in units of the output's scale.

    Beside it the share of cells in which onnxruntime without its optimiser differs from itself.
    """
    sessions = Session(source), Session(source, optimised=False)
    # Windows of a convolution are unfolded in double precision: 8 bytes a multiplication.
    cells = max(1, network.proof_model.macs() // 4)
    chunk = max(64, min(4_096, CHUNK_CELLS // cells))
    parts: list[Any] = []
    apart = 0
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk]
        theirs, plain = (session.run(part)[0] for session in sessions)
        units = (network.run(part) - theirs) / np.float32(network.output_grid.scale)
        parts.append(np.abs(np.rint(units)).astype(np.int16))
        apart += int((theirs != plain).sum())
    off = np.concatenate([part.reshape(-1) for part in parts])
    return off, apart / off.size


def measure(name: str, source: bytes, samples: Floats, x: Floats, input_name: str = "x") -> None:
    """Measures one network and prints its lines."""
    note(f"onnx agreement: {name}")
    with tempfile.TemporaryDirectory() as folder:
        path = quantised(source, samples, Path(folder), input_name)
        network = load_onnx(path)
        made = path.read_bytes()
    off, itself = differences(made, network, x)
    more = {
        "equal": round(float((off == 0).mean()), 6),
        "within_one": round(float((off <= 1).mean()), 6),
        "largest": int(off.max()),
        "inputs": len(x),
        "cells": off.size,
        "inexact_steps": network.inexact_steps,
    }
    emit(
        f"onnx_agreement.{name}.unequal",
        float((off > 0).mean()),
        "share of cells",
        peer="onnxruntime, optimiser off",
        peer_value=itself,
        more=more,
    )
    if len(network.operations) == 1:
        return
    for index, (kind, unequal, cells) in enumerate(by_operation(made, network, x)):
        emit(
            f"onnx_agreement.{name}.{index}_{kind}.unequal",
            unequal / cells,
            "share of cells",
            more={"cells": cells, "unequal": unequal},
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
