"""The networks that proofs are measured on, as ONNX files: layers and nets with random weights.

Names, shapes and operators are those of the design's table of cases, so that figures of other
systems on the same shapes can stand beside ours. Weights have variance 1 / fan-in; the seed of a
case is its name's. All are float32; each prover quantises in its own way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

OPSET: Final = 13


@dataclass(frozen=True)
class Layer:
    """One linear layer with its activation."""

    kind: str
    """`Gemm`, `MatMul` or `Conv`."""
    weights: tuple[int, ...]
    """`(K, N)` or `(O, C, KH, KW)`."""
    relu: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Case:
    """A network."""

    name: str
    input: tuple[int, ...]
    """With the batch first."""
    layers: tuple[Layer, ...]

    @property
    def seed(self) -> int:
        """A number that only the name decides."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "little")

    def inputs(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Returns `count` standard-normal inputs, without the batch that the file fixes."""
        rng = np.random.default_rng(self.seed + 1 + seed)
        return rng.standard_normal((count, *self.input[1:])).astype(np.float32)

    def onnx(self, *, open_batch: bool = False) -> bytes:
        """Returns the ONNX file; `open_batch` leaves the first axis open."""
        rng = np.random.default_rng(self.seed)
        nodes: list[Any] = []
        constants: list[Any] = []
        name = "x"
        for index, layer in enumerate(self.layers):
            fan_in = layer.weights[0] if layer.kind != "Conv" else int(np.prod(layer.weights[1:]))
            w = rng.standard_normal(layer.weights) / np.sqrt(fan_in)
            constants.append(numpy_helper.from_array(w.astype(np.float32), f"w{index}"))
            inputs = [name, f"w{index}"]
            if layer.kind != "MatMul":
                outputs = layer.weights[1] if layer.kind == "Gemm" else layer.weights[0]
                b = rng.standard_normal(outputs) * 0.1
                constants.append(numpy_helper.from_array(b.astype(np.float32), f"b{index}"))
                inputs.append(f"b{index}")
            last = index == len(self.layers) - 1
            name = "y" if last and not layer.relu else f"linear{index}"
            node = helper.make_node(layer.kind, inputs, [name], **layer.attributes)
            node.name = name
            nodes.append(node)
            if layer.relu:
                made = "y" if last else f"relu{index}"
                nodes.append(helper.make_node("Relu", [name], [made], name=made))
                name = made
        batch: Any = "N" if open_batch else self.input[0]
        graph = helper.make_graph(
            nodes,
            self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *self.input[1:]])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        return model.SerializeToString()


def _mlp(name: str, sizes: tuple[int, ...], *, batch: int = 1, last_relu: bool = False) -> Case:
    count = len(sizes) - 1
    layers = tuple(
        Layer("Gemm", (sizes[i], sizes[i + 1]), relu=last_relu or i < count - 1)
        for i in range(count)
    )
    return Case(name, (batch, sizes[0]), layers)


def _conv(
    name: str, image: tuple[int, ...], weights: tuple[int, ...], **attributes: list[int]
) -> Case:
    layer = Layer("Conv", weights, relu=True, attributes=attributes)
    return Case(name, (1, *image), (layer,))


CASES: Final = (
    _mlp("a_dense64", (64, 64)),
    _mlp("b_dense256_relu", (256, 256), last_relu=True),
    _mlp("c_mlp_784_128_64_10", (784, 128, 64, 10)),
    _mlp("c16_mlp_784_128_64_10_b16", (784, 128, 64, 10), batch=16),
    _conv("e_conv_1x28x28_4f5s2", (1, 28, 28), (4, 1, 5, 5), kernel_shape=[5, 5], strides=[2, 2]),
    _conv(
        "e_conv_8x16x16_16f3", (8, 16, 16), (16, 8, 3, 3),
        kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1],
    ),
    _mlp("d_dense512", (512, 512)),
    _mlp("d_dense1024", (1024, 1024)),
    _mlp("d_ffn_768_3072", (768, 3072), last_relu=True),
    _mlp("d_ffn_768_3072_768", (768, 3072, 768)),
    *(
        Case(f"d_matmul{n}", (n, n), (Layer("MatMul", (n, n)),))
        for n in (64, 128, 256, 512)
    ),
)  # fmt: skip
"""In the order of their cost."""


def case_named(name: str) -> Case:
    """Returns a case by its name."""
    return next(case for case in CASES if case.name == name)
