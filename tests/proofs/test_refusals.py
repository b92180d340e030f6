"""Goal: what cannot be proved is refused by name, with its node, and nothing is guessed. Method:
one small model for each operator, option and shape that is outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from maxwell.errors import ProofError
from maxwell.proofs.importer import from_graph
from maxwell.proofs.onnx_file import parse_onnx
from maxwell.proofs.operators import HANDLERS
from proofs.onnx_models import Recipe

RNG = np.random.default_rng(0)


def weights(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def refused(data: bytes) -> ProofError:
    with pytest.raises(ProofError) as caught:
        from_graph(parse_onnx(data, name="g"))
    assert caught.value.code in {"MX1702", "MX1703", "MX1704"}
    return caught.value


OTHERS = """
Softmax MaxPool BatchNormalization LayerNormalization Mul Sub Div Erf Exp Identity LeakyRelu
Transpose Concat Slice Gather ReduceMean Pad Resize Dropout Squeeze ConvTranspose LSTM
MatMulInteger ConvInteger DynamicQuantizeLinear Sqrt Abs Cast Shape Elu HardSigmoid
"""


@pytest.mark.parametrize("op", OTHERS.split())
def test_other_operators_are_refused_by_name(op: str) -> None:
    assert op not in HANDLERS
    error = refused(Recipe(["N", 4]).node(op, "x", to="odd").node("Relu", "odd").bytes())
    assert error.code == "MX1702"
    assert f"node 'n_odd' ({op})" in error.message
    assert error.hint


def image(**attributes: Any) -> Recipe:
    recipe = Recipe(["N", 2, 6, 6]).constant("k", weights(4, 2, 3, 3))
    return recipe.node("Conv", "x", "k", **attributes)


CASES: dict[str, tuple[Callable[[], Recipe], str]] = {
    "groups": (
        lambda: Recipe(["N", 2, 6, 6]).constant("k", weights(2, 1, 3, 3)).node(
            "Conv", "x", "k", group=2
        ),
        "group = 2",
    ),
    "dilations": (lambda: image(dilations=[2, 2]), "dilations"),
    "kernel_shape": (lambda: image(kernel_shape=[5, 5]), "kernel_shape"),
    "strides": (lambda: image(strides=[0, 1]), "strides"),
    "strides of one axis": (lambda: image(strides=[1]), "strides must be 2 integers"),
    "auto_pad": (lambda: image(auto_pad="ODD"), "auto_pad"),
    "pads beyond the kernel": (lambda: image(pads=[3, 0, 0, 0]), "smaller than the kernel"),
    "negative pads": (lambda: image(pads=[-1, 0, 0, 0]), "smaller than the kernel"),
    "1-D convolution": (
        lambda: Recipe(["N", 2, 6]).constant("k", weights(4, 2, 3)).node("Conv", "x", "k"),
        "weights of 3 axes",
    ),
    "a kernel larger than the image": (
        lambda: Recipe(["N", 1, 2, 2]).constant("k", weights(1, 1, 3, 3)).node("Conv", "x", "k"),
        "larger than the padded image",
    ),
    "channels": (
        lambda: Recipe(["N", 3, 6, 6]).constant("k", weights(4, 2, 3, 3)).node("Conv", "x", "k"),
        "2 channels in the weights, 3 in the input",
    ),
    "transA": (
        lambda: Recipe(["N", 4]).constant("w", weights(4, 3)).node("Gemm", "x", "w", transA=1),
        "transA",
    ),
    "two activations": (lambda: Recipe(["N", 4]).node("MatMul", "x", "x"), "two activations"),
    "a constant on the left": (
        lambda: Recipe(["N", 4]).constant("w", weights(4, 4)).node("MatMul", "w", "x"),
        "must be a constant",
    ),
    "a matrix that does not fit": (
        lambda: Recipe(["N", 4]).constant("w", weights(5, 3)).node("Gemm", "x", "w"),
        "weights 5×3 do not fit",
    ),
    "a bias that does not fit": (
        lambda: Recipe(["N", 4])
        .constant("w", weights(4, 3))
        .constant("b", weights(2))
        .node("Gemm", "x", "w", "b"),
        "bias of shape (2,)",
    ),
    "a constant added to an activation": (
        lambda: Recipe(["N", 4]).constant("c", weights(4)).node("Add", "x", "c"),
        "adds a constant",
    ),
    "broadcasting": (
        lambda: Recipe(["N", 4, 4])
        .constant("w", weights(4, 1))
        .node("MatMul", "x", "w", to="m")
        .node("Add", "x", "m"),
        "adds (4, 1) to (4, 4)",
    ),
    "a reshape of the batch": (
        lambda: Recipe([2, 4]).constant("to", np.asarray([8], np.int64)).node(
            "Reshape", "x", "to", to="y"
        ),
        "reshapes [N, 4] to [8]",
    ),
    "a flatten of the batch": (
        lambda: Recipe([2, 4]).node("Flatten", "x", axis=0), "mixes the batch"
    ),
    "a reshape in the middle": (
        lambda: Recipe(["N", 1, 4, 4])
        .constant("k", weights(2, 1, 3, 3))
        .constant("to", np.asarray([0, 1, 4, 2], np.int64))
        .constant("k2", weights(1, 1, 2, 2))
        .node("Conv", "x", "k", to="c")
        .node("Reshape", "c", "to", to="r")
        .node("Conv", "r", "k2"),
        "reshaped to (1, 4, 2)",
    ),
    "pads that do not count": (
        lambda: Recipe(["N", 1, 4, 4]).node(
            "AveragePool", "x", kernel_shape=[2, 2], pads=[1, 1, 0, 0]
        ),
        "count_include_pad = 0",
    ),
    "ceil_mode": (
        lambda: Recipe(["N", 1, 5, 5]).node(
            "AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1
        ),
        "ceil_mode",
    ),
    "a clip that is empty": (
        lambda: Recipe(["N", 4])
        .constant("lo", np.float32(2))
        .constant("hi", np.float32(1))
        .node("Clip", "x", "lo", "hi"),
        "clips to 2.0",
    ),
    "Gelu of another kind": (lambda: Recipe(["N", 4]).node("Gelu", "x", approximate="x"), "Gelu"),
    "a wrong attribute type": (lambda: image(group="two"), "'group' must be an integer"),
    "scales per channel of an activation": (
        lambda: Recipe(["N", 4])
        .constant("s", np.ones(4, np.float32))
        .constant("z", np.zeros(4, np.int8))
        .node("QuantizeLinear", "x", "s", "z"),
        "4 zero points",
    ),
    "a scale of zero": (
        lambda: Recipe(["N", 4]).grid("x", 0.0, 0).rounded("x", "x", "y"), "scale 0.0"
    ),
    "uint16 around zero": (
        lambda: Recipe(["N", 4], opset=21).grid("x", 0.1, 0, "uint16").rounded("x", "x", "y"),
        "beyond int16",
    ),
    "another grid than the one it was rounded to": (
        lambda: Recipe(["N", 4])
        .grid("a", 0.1, 0)
        .grid("b", 0.2, 0)
        .node("QuantizeLinear", "x", "a_s", "a_z", to="q")
        .node("DequantizeLinear", "q", "b_s", "b_z"),
        "what was not rounded so",
    ),
    "a dead node": (
        lambda: Recipe(["N", 4])
        .constant("w", weights(4, 3))
        .node("Relu", "x")
        .node("Gemm", "x", "w", to="dead"),
        "not used by the output",
    ),
    "no batch axis": (lambda: Recipe([4]).node("Relu", "x"), "no batch axis"),
    "an open size": (lambda: Recipe(["N", "M"]).node("Relu", "x"), "only the first axis"),
    "old operators": (lambda: Recipe(["N", 4], opset=6).node("Relu", "x"), "operator set"),
    "an int16 output that the bound exceeds": (
        lambda: Recipe(["N", 512])
        .constant("w", np.full((512, 2), 127, np.int8))
        .grid("w", 0.01, 0)
        .grid("x", 0.01, 0)
        .grid("y", 0.0001, 0, "int16")
        .rounded("x", "x", "xr")
        .node("DequantizeLinear", "w", "w_s", "w_z", to="wr")
        .node("MatMul", "xr", "wr", to="m")
        .rounded("m", "y", "y"),
        "q can reach",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_options_and_shapes_are_refused(case: str) -> None:
    make, what = CASES[case]
    recipe = make()
    error = refused(recipe.bytes(recipe.nodes[-1].output[0] if case != "a dead node" else "y"))
    assert what in error.message


def test_a_graph_within_a_node_is_refused() -> None:
    then = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["t"])],
        "then",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
    )
    recipe = Recipe(["N", 4]).constant("c", np.asarray(True).astype(np.int8))
    recipe.node("If", "c", to="y", then_branch=then, else_branch=then)
    error = refused(recipe.bytes())
    assert "node 'n_y' (If)" in error.message
    assert error.code == "MX1702"


def test_a_domain_of_others_is_refused() -> None:
    recipe = Recipe(["N", 4])
    recipe.nodes.append(helper.make_node("Relu", ["x"], ["y"], name="a", domain="com.example"))
    error = refused(recipe.bytes())
    assert "node 'a' (Relu)" in error.message
    assert "com.example" in error.message


def test_two_outputs_are_refused() -> None:
    recipe = Recipe(["N", 4]).node("Relu", "x")
    model = recipe.model()
    model.graph.output.append(model.graph.output[0])
    assert "2 outputs" in refused(model.SerializeToString()).message


def test_near_misses_are_hinted() -> None:
    assert refused(Recipe(["N", 4]).node("Relu6", "x").bytes()).hint == "did you mean 'Relu'?"
