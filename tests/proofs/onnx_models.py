"""Small ONNX models, made as the tests need them, and the oracle that runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from maxwell.proofs.calibrate import Options
from maxwell.proofs.importer import Network, from_graph
from maxwell.proofs.onnx_file import parse_onnx

Array = Any
ort = cast(Any, onnxruntime)  # its types are incomplete


@dataclass
class Recipe:
    """A model under construction: nodes in order, constants by name."""

    shape: list[Any]
    """Of the input `x`, batch first."""
    nodes: list[NodeProto] = field(default_factory=list[NodeProto])
    constants: dict[str, Array] = field(default_factory=dict[str, Array])
    opset: int = 20
    dtype: int = TensorProto.FLOAT
    output_dtype: int = TensorProto.FLOAT

    def node(self, op: str, *inputs: str, to: str = "y", **attributes: Any) -> Recipe:
        """Appends a node that makes `to`, and is called `n_TO`."""
        self.nodes.append(helper.make_node(op, list(inputs), [to], name=f"n_{to}", **attributes))
        return self

    def constant(self, name: str, values: Array) -> Recipe:
        """Adds a constant."""
        self.constants[name] = np.asarray(values)
        return self

    def grid(self, name: str, scale: float, zero: int, dtype: str = "int8") -> Recipe:
        """Adds a scale `NAME_s` and a zero point `NAME_z`."""
        self.constant(f"{name}_s", np.float32(scale))
        return self.constant(f"{name}_z", np.asarray(zero, dtype))

    def rounded(self, source: str, grid: str, to: str) -> Recipe:
        """Appends QuantizeLinear and DequantizeLinear."""
        self.node("QuantizeLinear", source, f"{grid}_s", f"{grid}_z", to=f"{to}_q")
        return self.node("DequantizeLinear", f"{to}_q", f"{grid}_s", f"{grid}_z", to=to)

    def model(self, output: str = "y") -> Any:
        """Returns the model, unchecked: some are meant to be wrong."""
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", self.dtype, self.shape)],
            [helper.make_tensor_value_info(output, self.output_dtype, None)],
            [numpy_helper.from_array(v, k) for k, v in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 9
        return model

    def bytes(self, output: str = "y") -> bytes:
        """Returns the file."""
        return cast(bytes, self.model(output).SerializeToString())

    def network(self, *, bits: int | None = None, samples: Array = None, **options: Any) -> Network:
        """Imports the model."""
        return from_graph(
            parse_onnx(self.bytes(), name="g"),
            calibration=samples,
            options=Options(**options),
            multiplier_bits=bits,
        )

    def oracle(self, x: Array, *, optimised: bool = True) -> Array:
        """Runs the model with onnxruntime; its optimiser may fuse and drop roundings."""
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.log_severity_level = 3
        if not optimised:
            settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(self.bytes(), settings)
        return session.run(None, {"x": x})[0]


def random_ints(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "int8") -> Array:
    """Draws integers over the whole range of a type; a tenth of them are its corners."""
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max + 1, shape, dtype=np.int64)
    corners = rng.choice([limits.min, limits.max, 0], shape)
    return np.where(rng.random(shape) < 0.1, corners, values).astype(dtype)
