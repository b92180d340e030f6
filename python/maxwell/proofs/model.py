"""A proof model: the records that docs/reference/proof-model.md describes, and their bytes.

The page fixes what a model computes; `semantics` computes it, `bounds` refuses what could wrap, and
the native prover reads the JSON form made here. Weights are kept beside the records in one array,
as they travel: values of int16, blocks back to back in the order of the operations.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import numpy as np

from maxwell.errors import ProofError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

FORMAT: Final = "maxwell-model/1"
SHIFTS: Final = (8, 16, 24, 32, 40)
VALUE_MIN: Final = -32_768
VALUE_MAX: Final = 32_767
MULTIPLIER_MAX: Final = 2**32 - 1
SCALE_MAX: Final = 2**31 - 1
BIAS_MAX: Final = 2**53

OPS_MAX: Final = 64
TABLES_MAX: Final = 64
TABLE_LEN_MAX: Final = 65_536
TABLE_VALUES_MAX: Final = 1 << 18
WEIGHTS_MAX: Final = 1 << 26
CELLS_MAX: Final = 1 << 24
"""Cells of one padded tensor with its batch."""
BATCH_MAX: Final = 4_096
KERNEL_MAX: Final = 64
STRIDE_MAX: Final = 64

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]
Quad: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Table:
    """What a requantised value becomes: `values[q - q_lo]`."""

    q_lo: int
    values: tuple[int, ...]

    @property
    def q_hi(self) -> int:
        """The largest q with an entry."""
        return self.q_lo + len(self.values) - 1

    @property
    def span(self) -> Pair:
        """Smallest and largest value of the whole table: the range of what it makes."""
        return min(self.values), max(self.values)


@dataclass(frozen=True, slots=True)
class Requant:
    """How an accumulator becomes a value: `table[(acc · m + 2^(s-1)) >> s]`."""

    multipliers: tuple[int, ...]
    """One, or one per output channel of `Dense` and `Conv2d`."""
    shift: int
    table: int
    """Number of the table."""


@dataclass(frozen=True, slots=True)
class Dense:
    """`Σ_k x[row, k] · w[k, n] + bias[n]`; the first `row_axes` axes of the input are rows."""

    input: int
    row_axes: int
    n: int
    bias: tuple[int, ...]
    requant: Requant


@dataclass(frozen=True, slots=True)
class Conv2d:
    """Cross-correlation of `[C, H, W]` with `[O, C, KH, KW]`; zeroes outside."""

    input: int
    o: int
    kernel: Pair
    strides: Pair
    pads: Quad
    """Top, left, bottom, right."""
    bias: tuple[int, ...]
    requant: Requant


@dataclass(frozen=True, slots=True)
class Add:
    """`m_a · a + m_b · b`, cell by cell."""

    input: int
    other: int
    scales: Pair
    requant: Requant


@dataclass(frozen=True, slots=True)
class AvgPool:
    """The sum over a window of `[C, H, W]`; zeroes outside; the divisor is in the multiplier."""

    input: int
    kernel: Pair
    strides: Pair
    pads: Quad
    requant: Requant


@dataclass(frozen=True, slots=True)
class Lookup:
    """A table, cell by cell: the operation `table` of the page."""

    input: int
    requant: Requant


Op: TypeAlias = Dense | Conv2d | Add | AvgPool | Lookup

NAMES: Final[Mapping[type[Op], str]] = {
    Dense: "dense",
    Conv2d: "conv2d",
    Add: "add",
    AvgPool: "avg_pool",
    Lookup: "table",
}


@dataclass(frozen=True, slots=True, eq=False)
class ProofModel:
    """A model whose execution can be proved.

    The constructor takes what it is given; `bounds.check` says whether it is allowed.
    """

    input_shape: Shape
    input_range: Pair
    """Smallest and largest value of an input cell."""
    tables: tuple[Table, ...]
    ops: tuple[Op, ...]
    weights: tuple[NDArray[np.int16] | None, ...]
    """One entry an operation: `[K, N]`, `[O, C, KH, KW]`, or None."""

    def shapes(self) -> tuple[Shape, ...]:
        """Returns the shape of every tensor, the input's first, without the batch.

        Raises:
            ProofError: MX1703 when an operation does not fit the tensor it reads.
        """
        shapes = [self.input_shape]
        for index, (op, weights) in enumerate(zip(self.ops, self.weights, strict=True)):
            for read in reads(op):
                if not 0 <= read <= index:
                    raise ProofError(f"operation {index}: no tensor {read} yet", code="MX1703")
            try:
                shapes.append(_output_shape(op, shapes, weights))
            except ValueError as error:
                raise ProofError(
                    f"operation {index} ({NAMES[type(op)]}): {error}", code="MX1703"
                ) from error
        return tuple(shapes)

    def ranges(self) -> tuple[Pair, ...]:
        """Returns the smallest and largest value of every tensor."""
        return (self.input_range, *(self.tables[op.requant.table].span for op in self.ops))

    @property
    def output_shape(self) -> Shape:
        """Shape of the last tensor, without the batch."""
        return self.shapes()[-1]

    def macs(self) -> int:
        """Multiplications of weights with activations in one inference."""
        return sum(op_macs(self, index) for index in range(len(self.ops)))

    def weight_bytes(self) -> bytes:
        """Returns all weights as little-endian int16, in the order of the operations."""
        blocks = [np.ascontiguousarray(w, "<i2").tobytes() for w in self.weights if w is not None]
        return b"".join(blocks)

    def to_json(self) -> str:
        """Returns the JSON form, weights apart (`weight_bytes`)."""
        offset = 0
        ops: list[dict[str, object]] = []
        for op, weights in zip(self.ops, self.weights, strict=True):
            ops.append(_op_json(op, offset))
            offset += 0 if weights is None else weights.size
        lo, hi = self.input_range
        return json.dumps(
            {
                "format": FORMAT,
                "input": {"shape": list(self.input_shape), "lo": lo, "hi": hi},
                "tables": [{"q_lo": t.q_lo, "values": list(t.values)} for t in self.tables],
                "ops": ops,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str, weight_bytes: bytes) -> ProofModel:
        """Reads the JSON form; unknown and missing keys are errors.

        Raises:
            ProofError: MX1703 when it is malformed or the weights have another size.
        """
        try:
            return _from_json(cls, text, weight_bytes)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProofError(
                f"not a proof model: {type(error).__name__}: {error}", code="MX1703"
            ) from error

    def architecture(self) -> bytes:
        """Returns the canonical bytes: all but weights and biases."""
        lo, hi = self.input_range
        parts = [b"MQM1", _dims(self.input_shape), struct.pack("<hh", lo, hi)]
        parts.append(struct.pack("<I", len(self.tables)))
        for table in self.tables:
            parts.append(struct.pack("<iI", table.q_lo, len(table.values)))
            parts.append(np.asarray(table.values, "<i2").tobytes())
        parts.append(struct.pack("<I", len(self.ops)))
        for op in self.ops:
            requant = op.requant
            parts.append(_op_bytes(op))
            parts.append(struct.pack("<I", len(requant.multipliers)))
            parts.append(np.asarray(requant.multipliers, "<u4").tobytes())
            parts.append(struct.pack("<BI", requant.shift, requant.table))
        return b"".join(parts)


def reads(op: Op) -> tuple[int, ...]:
    """Returns the tensors that an operation reads."""
    return (op.input, op.other) if isinstance(op, Add) else (op.input,)


def op_macs(model: ProofModel, index: int) -> int:
    """Returns the multiplications of one operation: outputs times length of the sum."""
    op, weights = model.ops[index], model.weights[index]
    if weights is None:
        return 0
    cells = prod(model.shapes()[index + 1])
    channels = weights.shape[1] if isinstance(op, Dense) else weights.shape[0]
    return cells * (weights.size // channels)


def _output_shape(op: Op, shapes: list[Shape], weights: NDArray[np.int16] | None) -> Shape:
    shape = shapes[op.input]
    if isinstance(op, Dense):
        k = prod(shape[op.row_axes :])
        if not 0 <= op.row_axes < len(shape) or weights is None or weights.shape != (k, op.n):
            have = None if weights is None else weights.shape
            raise ValueError(f"weights {have} do not fit {shape} with {op.row_axes} row axes")
        return (*shape[: op.row_axes], op.n)
    if isinstance(op, Conv2d):
        if len(shape) != 3 or weights is None or weights.shape != (op.o, shape[0], *op.kernel):
            have = None if weights is None else weights.shape
            raise ValueError(f"weights {have} and kernel {op.kernel} do not fit {shape}")
        return (op.o, *windows(shape, op.kernel, op.strides, op.pads))
    if weights is not None:
        raise ValueError("has no weights")
    if isinstance(op, AvgPool):
        if len(shape) != 3:
            raise ValueError(f"needs [C, H, W], got {shape}")
        return (shape[0], *windows(shape, op.kernel, op.strides, op.pads))
    if isinstance(op, Add) and shapes[op.other] != shape:
        raise ValueError(f"cannot add {shapes[op.other]} to {shape}")
    return shape


def windows(shape: Shape, kernel: Pair, strides: Pair, pads: Quad) -> Pair:
    """Returns how many windows fit down and across.

    Raises:
        ValueError: the kernel does not fit, or a pad is not smaller than the kernel.
    """
    (_, height, width), (kh, kw), (sh, sw) = shape, kernel, strides
    top, left, bottom, right = pads
    if min(kh, kw, sh, sw) < 1 or max(kh, kw) > KERNEL_MAX or max(sh, sw) > STRIDE_MAX:
        raise ValueError(f"kernel {kernel} or strides {strides} out of range")
    if not (0 <= top < kh and 0 <= bottom < kh and 0 <= left < kw and 0 <= right < kw):
        raise ValueError(f"pads {pads} must be smaller than the kernel {kernel}")
    oh, ow = (height + top + bottom - kh) // sh + 1, (width + left + right - kw) // sw + 1
    if height + top + bottom < kh or width + left + right < kw:
        raise ValueError(f"kernel {kernel} is larger than the padded image {height}×{width}")
    return oh, ow


_KINDS: Final[Mapping[type[Op], int]] = {Dense: 1, Conv2d: 2, Add: 3, AvgPool: 4, Lookup: 5}


def _dims(shape: Shape) -> bytes:
    return struct.pack(f"<B{len(shape)}I", len(shape), *shape)


def _op_bytes(op: Op) -> bytes:
    head = struct.pack("<BI", _KINDS[type(op)], op.input)
    if isinstance(op, Dense):
        return head + struct.pack("<II", op.row_axes, op.n)
    if isinstance(op, Conv2d):
        return head + struct.pack("<9I", op.o, *op.kernel, *op.strides, *op.pads)
    if isinstance(op, Add):
        return head + struct.pack("<Iii", op.other, *op.scales)
    if isinstance(op, AvgPool):
        return head + struct.pack("<8I", *op.kernel, *op.strides, *op.pads)
    return head


def _op_json(op: Op, offset: int) -> dict[str, object]:
    fields: dict[str, object] = {"op": NAMES[type(op)], "input": op.input}
    if isinstance(op, Dense):
        fields |= {"row_axes": op.row_axes, "n": op.n}
    elif isinstance(op, Conv2d):
        fields |= {"o": op.o}
    elif isinstance(op, Add):
        fields |= {"other": op.other, "scales": list(op.scales)}
    if isinstance(op, Conv2d | AvgPool):
        fields |= {
            "kernel": list(op.kernel),
            "strides": list(op.strides),
            "pads": list(op.pads),
        }
    if isinstance(op, Dense | Conv2d):
        fields |= {"weight_offset": offset, "bias": list(op.bias)}
    requant = op.requant
    return fields | {
        "multipliers": list(requant.multipliers),
        "shift": requant.shift,
        "table": requant.table,
    }


def _from_json(cls: type[ProofModel], text: str, weight_bytes: bytes) -> ProofModel:
    top = _fields(json.loads(text), {"format", "input", "tables", "ops"})
    if top["format"] != FORMAT:
        raise ValueError(f"format {top['format']!r}, expected {FORMAT!r}")
    given = _fields(top["input"], {"shape", "lo", "hi"})
    flat = np.frombuffer(weight_bytes, "<i2")
    shapes: list[Shape] = [_ints(given["shape"])]
    tables = [_fields(entry, {"q_lo", "values"}) for entry in _list(top["tables"])]
    ops: list[Op] = []
    blocks: list[NDArray[np.int16] | None] = []
    offset = 0
    for entry in _list(top["ops"]):
        op, weight_offset = _op_from_json(entry)
        block = None
        if isinstance(op, Dense | Conv2d):
            size = _weight_shape(op, shapes)
            if weight_offset != offset or offset + prod(size) > flat.size:
                raise ValueError(f"weights of operation {len(ops)} are not where it says")
            block = flat[offset : offset + prod(size)].reshape(size)
            offset += prod(size)
        shapes.append(_output_shape(op, shapes, block))
        ops.append(op)
        blocks.append(block)
    if offset != flat.size:
        raise ValueError(f"{flat.size - offset} weights are left over")
    return cls(
        shapes[0],
        (_int(given["lo"]), _int(given["hi"])),
        tuple(Table(_int(entry["q_lo"]), _ints(entry["values"])) for entry in tables),
        tuple(ops),
        tuple(blocks),
    )


def _weight_shape(op: Dense | Conv2d, shapes: list[Shape]) -> Shape:
    if not 0 <= op.input < len(shapes):
        raise ValueError(f"no tensor {op.input} yet")
    shape = shapes[op.input]
    if isinstance(op, Dense):
        return prod(shape[op.row_axes :]), op.n
    return op.o, shape[0], *op.kernel


_REQUANT: Final = frozenset({"op", "input", "multipliers", "shift", "table"})
_LINEAR: Final = frozenset({"weight_offset", "bias"})
_WINDOW: Final = frozenset({"kernel", "strides", "pads"})
_KEYS: Final = {
    "dense": _REQUANT | _LINEAR | {"row_axes", "n"},
    "conv2d": _REQUANT | _LINEAR | _WINDOW | {"o"},
    "add": _REQUANT | {"other", "scales"},
    "avg_pool": _REQUANT | _WINDOW,
    "table": _REQUANT,
}


def _has_op(entry: object) -> bool:
    return isinstance(entry, dict) and "op" in entry


def _op_from_json(entry: object) -> tuple[Op, int]:
    kind = cast("dict[str, object]", entry)["op"] if _has_op(entry) else None
    if not isinstance(kind, str) or kind not in _KEYS:
        raise ValueError(f"no operation {kind!r}")
    one = _fields(entry, _KEYS[kind])
    requant = Requant(_ints(one["multipliers"]), _int(one["shift"]), _int(one["table"]))
    source = _int(one["input"])
    offset = _int(one["weight_offset"]) if "weight_offset" in one else 0
    make: dict[str, Callable[[], Op]] = {
        "dense": lambda: Dense(
            source, _int(one["row_axes"]), _int(one["n"]), _ints(one["bias"]), requant
        ),
        "conv2d": lambda: Conv2d(
            source, _int(one["o"]), *_window(one), bias=_ints(one["bias"]), requant=requant
        ),
        "add": lambda: Add(
            source, _int(one["other"]), cast("Pair", _ints(one["scales"], 2)), requant
        ),
        "avg_pool": lambda: AvgPool(source, *_window(one), requant=requant),
        "table": lambda: Lookup(source, requant),
    }
    return make[kind](), offset


def _window(one: Mapping[str, object]) -> tuple[Pair, Pair, Quad]:
    return (
        cast("Pair", _ints(one["kernel"], 2)),
        cast("Pair", _ints(one["strides"], 2)),
        cast("Quad", _ints(one["pads"], 4)),
    )


def _fields(value: object, keys: set[str] | frozenset[str]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object with {', '.join(sorted(keys))}")
    fields = cast("dict[str, object]", value)
    if fields.keys() != keys:
        raise ValueError(f"keys {sorted(fields.keys() ^ keys)} are missing or unknown")
    return fields


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("expected a list")
    return cast("list[object]", value)


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, got {value!r}")
    return value


def _ints(value: object, count: int | None = None) -> tuple[int, ...]:
    values = tuple(_int(entry) for entry in _list(value))
    if count is not None and len(values) != count:
        raise ValueError(f"expected {count} integers, got {len(values)}")
    return values
