"""Attributes of ONNX nodes: typed, with ONNX's defaults, and what windows they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from maxwell.proofs.flow import refuse
from maxwell.proofs.model import windows

if TYPE_CHECKING:
    from maxwell.proofs.model import Pair, Quad, Shape
    from maxwell.proofs.onnx_file import Node


def int_of(node: Node, key: str, default: int) -> int:
    """Returns an integer attribute, or its default."""
    value = node.attributes.get(key, default)
    if not isinstance(value, int):
        raise refuse(node.where, f"the attribute {key!r} must be an integer", code="MX1703")
    return value


def float_of(node: Node, key: str, default: float) -> float:
    """Returns a number, or its default."""
    value = node.attributes.get(key, default)
    if not isinstance(value, int | float):
        raise refuse(node.where, f"the attribute {key!r} must be a number", code="MX1703")
    return float(value)


def text_of(node: Node, key: str, default: str) -> str:
    """Returns a text, or its default."""
    value = node.attributes.get(key, default)
    if not isinstance(value, str):
        raise refuse(node.where, f"the attribute {key!r} must be a text", code="MX1703")
    return value


def ints_of(node: Node, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """Returns a list of as many integers as the default has."""
    value = node.attributes.get(key, default)
    if not isinstance(value, tuple) or len(cast("tuple[object, ...]", value)) != len(default):
        raise refuse(node.where, f"{key} must be {len(default)} integers", code="MX1703")
    return cast("tuple[int, ...]", value)


def window_of(node: Node, image: Shape, kernel: Pair) -> tuple[Pair, Quad]:
    """Returns strides and pads; defaults are ones and zeroes, `auto_pad` is worked out."""
    if ints_of(node, "dilations", (1, 1)) != (1, 1):
        raise refuse(node.where, f"dilations = {node.attributes['dilations']}", "only 1 is proved")
    strides = cast("Pair", ints_of(node, "strides", (1, 1)))
    if min(strides) < 1:
        raise refuse(node.where, f"strides = {strides}", code="MX1703")
    mode = text_of(node, "auto_pad", "NOTSET")
    if mode == "NOTSET":
        return strides, cast("Quad", ints_of(node, "pads", (0, 0, 0, 0)))
    if mode == "VALID":
        return strides, (0, 0, 0, 0)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise refuse(node.where, f"auto_pad = {mode!r}", code="MX1703")
    before: list[int] = []
    after: list[int] = []
    for size, k, stride in zip(image[1:], kernel, strides, strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + k - size)
        low = missing // 2 if mode == "SAME_UPPER" else -(-missing // 2)
        before.append(low)
        after.append(missing - low)
    return strides, (before[0], before[1], after[0], after[1])


def window_count(node: Node, image: Shape, kernel: Pair, strides: Pair, pads: Quad) -> Pair:
    """Returns how many windows fit down and across; MX1703 when none does."""
    try:
        return windows(image, kernel, strides, pads)
    except ValueError as error:
        raise refuse(node.where, str(error), code="MX1703") from error
