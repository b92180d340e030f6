"""Trains the two example models on scikit-learn's digits, in numpy, and writes them as ONNX.

`python tools/train_digits.py [--out examples/models]` makes again, from a fixed seed:

- `digits_mlp.onnx`: 64 → 48 → 32 → 10, ReLU; `digits_cnn.onnx`: two 3×3 convolutions with ReLU and
  2×2 average pooling, then 10 outputs. Inputs are 8×8 pixels, divided by 16. Weights are float32.
- `digits_mlp_int8.onnx`: the MLP as onnxruntime's own static quantiser writes it (QDQ, int8).
- `digits_calibration.npy`: 128 training images; `digits_test.npz`: the 360 images that no training
  saw, with their labels.

The data set has 1,797 images (UCI "Optical Recognition of Handwritten Digits", CC BY 4.0, bundled
with scikit-learn). Needs scikit-learn, onnx and onnxruntime; the models are checked in, so that
nothing else needs scikit-learn.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Floats: TypeAlias = Any
"""Arrays of float64; numpy's types say less than the shapes in the docstrings do."""

SEED: Final = 20_261_124
TEST_IMAGES: Final = 360
CALIBRATION_IMAGES: Final = 128
EPOCHS: Final = 200
BATCH: Final = 32
RATE: Final = 2e-3
DECAY: Final = 1e-4


def load() -> tuple[Floats, Floats, Floats, Floats]:
    """Returns training images, labels, test images, labels; images are `(n, 64)` in 0 … 1."""
    digits = cast(Any, import_module("sklearn.datasets")).load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    x, y = digits.data[order] / 16.0, digits.target[order]
    return x[TEST_IMAGES:], y[TEST_IMAGES:], x[:TEST_IMAGES], y[:TEST_IMAGES]


def scaled(rng: np.random.Generator, *shape: int) -> Floats:
    """Draws weights with variance 2 / fan-in (He and others 2015, for ReLU)."""
    fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
    return rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)


# --- the two networks: forward with what backward needs, and backward ---------------------------


def mlp_forward(p: Sequence[Floats], x: Floats) -> tuple[Floats, list[Floats]]:
    """Returns logits and the input of every layer."""
    kept: list[Floats] = []
    for index in range(0, len(p), 2):
        kept.append(x)
        x = x @ p[index] + p[index + 1]
        if index + 2 < len(p):
            x = np.maximum(x, 0)
    return x, kept


def mlp_backward(p: Sequence[Floats], kept: Sequence[Floats], grad: Floats) -> list[Floats]:
    """Returns the gradient of every parameter."""
    grads: list[Floats] = []
    for index in range(len(p) - 2, -1, -2):
        x = kept[index // 2]
        grads[:0] = [x.T @ grad, grad.sum(0)]
        grad = (grad @ p[index].T) * (x > 0)
    return grads


def patches(x: Floats) -> Floats:
    """Returns 3×3 windows with a border of zeroes: `(n, H, W, C · 9)`."""
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    views = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(2, 3))
    return views.transpose(0, 2, 3, 1, 4, 5).reshape(x.shape[0], *x.shape[2:], -1)


def unpatch(grad: Floats, shape: tuple[int, ...]) -> Floats:
    """Adds the gradients of windows up: the transpose of `patches`."""
    n, c, height, width = shape
    wide = np.zeros((n, c, height + 2, width + 2))
    parts = grad.reshape(n, height, width, c, 3, 3)
    for i in range(3):
        for j in range(3):
            wide[:, :, i : i + height, j : j + width] += parts[..., i, j].transpose(0, 3, 1, 2)
    return wide[:, :, 1:-1, 1:-1]


def cnn_forward(p: Sequence[Floats], x: Floats) -> tuple[Floats, list[Floats]]:
    """Returns logits and what backward needs: windows, rectified maps, their shapes."""
    kept: list[Floats] = []
    x = x.reshape(-1, 1, 8, 8)
    for index in (0, 2):
        columns = patches(x)
        made = columns @ p[index].reshape(len(p[index]), -1).T + p[index + 1]
        maps = np.maximum(made, 0).transpose(0, 3, 1, 2)
        kept += [x, columns, maps]
        n, c, h, w = maps.shape
        x = maps.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))
    flat = x.reshape(len(x), -1)
    kept.append(flat)
    return flat @ p[4] + p[5], kept


def cnn_backward(p: Sequence[Floats], kept: Sequence[Floats], grad: Floats) -> list[Floats]:
    """Returns the gradient of every parameter."""
    grads = [kept[6].T @ grad, grad.sum(0)]
    grad = grad @ p[4].T
    for index in (2, 0):
        x, columns, maps = kept[index // 2 * 3 : index // 2 * 3 + 3]
        n, c, h, w = maps.shape
        pooled = grad.reshape(n, c, h // 2, w // 2)
        grad = np.repeat(np.repeat(pooled, 2, axis=2), 2, axis=3) / 4 * (maps > 0)
        flat = grad.transpose(0, 2, 3, 1).reshape(-1, c)
        rows = columns.reshape(len(flat), -1)
        grads[:0] = [(flat.T @ rows).reshape(p[index].shape), flat.sum(0)]
        if index:
            grad = unpatch(flat @ p[index].reshape(c, -1), x.shape)
    return grads


def train(
    params: list[Floats],
    forward: Callable[..., tuple[Floats, list[Floats]]],
    backward: Callable[..., list[Floats]],
    x: Floats,
    y: Floats,
    seed: int,
) -> list[Floats]:
    """Adam (Kingma and Ba 2015) on softmax cross-entropy, weight decay, a falling rate."""
    rng = np.random.default_rng(seed)
    first = [np.zeros_like(p) for p in params]
    second = [np.zeros_like(p) for p in params]
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * (1 - epoch / EPOCHS)
        order = rng.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            logits, kept = forward(params, x[chosen])
            odds = np.exp(logits - logits.max(1, keepdims=True))
            grad = odds / odds.sum(1, keepdims=True)
            grad[np.arange(BATCH), y[chosen]] -= 1
            step += 1
            for index, g in enumerate(backward(params, kept, grad / BATCH)):
                first[index] = 0.9 * first[index] + 0.1 * g
                second[index] = 0.999 * second[index] + 0.001 * g * g
                mean = first[index] / (1 - 0.9**step)
                spread = second[index] / (1 - 0.999**step)
                params[index] = params[index] - rate * (
                    mean / (np.sqrt(spread) + 1e-8) + DECAY * params[index]
                )
    return params


# --- ONNX -----------------------------------------------------------------------------------------


def save(path: Path, nodes: list[Any], params: dict[str, Floats], shape: list[Any]) -> None:
    """Writes a float model whose batch is open."""
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in params.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    cast(Any, onnx.checker).check_model(model)
    path.write_bytes(model.SerializeToString())


def save_mlp(path: Path, p: Sequence[Floats]) -> None:
    """Writes the MLP."""
    nodes: list[Any] = []
    params: dict[str, Floats] = {}
    name = "image"
    for index in range(len(p) // 2):
        params |= {f"w{index}": p[2 * index], f"b{index}": p[2 * index + 1]}
        last = 2 * index + 2 == len(p)
        made = "logits" if last else f"h{index}"
        inputs = [name, f"w{index}", f"b{index}"]
        nodes.append(helper.make_node("Gemm", inputs, [made], name=f"dense{index}"))
        if not last:
            nodes.append(helper.make_node("Relu", [made], [f"r{index}"], name=f"relu{index}"))
        name = f"r{index}"
    save(path, nodes, params, [64])


def save_cnn(path: Path, p: Sequence[Floats]) -> None:
    """Writes the CNN; no strides on the convolutions, which ONNX makes optional."""
    params: dict[str, Floats] = dict(zip(("k0", "b0", "k1", "b1", "w", "b"), p, strict=True))
    nodes: list[Any] = []
    name = "image"
    for index in range(2):
        inputs = [name, f"k{index}", f"b{index}"]
        nodes += [
            helper.make_node("Conv", inputs, [f"c{index}"], name=f"conv{index}", pads=[1] * 4),
            helper.make_node("Relu", [f"c{index}"], [f"r{index}"], name=f"relu{index}"),
            helper.make_node(
                "AveragePool", [f"r{index}"], [f"p{index}"], name=f"pool{index}",
                kernel_shape=[2, 2], strides=[2, 2],
            ),
        ]  # fmt: skip
        name = f"p{index}"
    nodes.append(helper.make_node("Flatten", [name], ["flat"], name="flatten"))
    nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], name="dense"))
    save(path, nodes, params, [1, 8, 8])


def quantise_with_onnxruntime(source: Path, target: Path, images: Floats) -> None:
    """Writes the model as onnxruntime's static quantiser makes it."""
    quantisation = cast(Any, import_module("onnxruntime.quantization"))

    class Images(quantisation.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(images.astype(np.float32))

        def get_next(self) -> dict[str, Floats] | None:
            image = next(self.left, None)
            return None if image is None else {"image": image[None]}

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "quantised.onnx"
        quantisation.quantize_static(
            str(source),
            str(made),
            Images(),
            quant_format=quantisation.QuantFormat.QDQ,
            activation_type=quantisation.QuantType.QInt8,
            weight_type=quantisation.QuantType.QInt8,
            per_channel=True,
        )
        target.write_bytes(made.read_bytes())


def main() -> None:
    """Trains both and writes all files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("examples/models"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    x, y, test_x, test_y = load()
    rng = np.random.default_rng(SEED)
    sizes = (64, 48, 32, 10)
    mlp: list[Floats] = []
    for k, n in pairwise(sizes):
        mlp += [scaled(rng, k, n), np.zeros(n)]
    cnn = [
        scaled(rng, 8, 1, 3, 3), np.zeros(8), scaled(rng, 16, 8, 3, 3), np.zeros(16),
        scaled(rng, 64, 10), np.zeros(10),
    ]  # fmt: skip
    for name, params, forward, backward, write in (
        ("mlp", mlp, mlp_forward, mlp_backward, save_mlp),
        ("cnn", cnn, cnn_forward, cnn_backward, save_cnn),
    ):
        trained = train(params, forward, backward, x, y, SEED)
        right = float((forward(trained, test_x)[0].argmax(1) == test_y).mean())
        print(f"{name}: {right:.4f} of the {len(test_y)} test images")
        write(out / f"digits_{name}.onnx", trained)
    quantise_with_onnxruntime(
        out / "digits_mlp.onnx", out / "digits_mlp_int8.onnx", x[:CALIBRATION_IMAGES]
    )
    np.save(out / "digits_calibration.npy", x[:CALIBRATION_IMAGES].astype(np.float16))
    np.savez_compressed(
        out / "digits_test.npz",
        images=(test_x * 16).astype(np.uint8),
        labels=test_y.astype(np.uint8),
    )


if __name__ == "__main__":
    main()
