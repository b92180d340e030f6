"""Reading an ONNX file into plain records, whatever the file claims.

A file may come from anyone, so nothing in it is believed before it is checked: sizes are compared
with the bytes that are there before anything is allocated, data outside the file is refused, names
must be made before they are used (which excludes cycles). This is the one module that imports
`onnx`; the rest of the package sees numpy arrays and the records below.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs.extras import optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

FILE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Protocol buffers end at 2 GiB; 256 MiB hold 64 M weights of a float model."""

NODES_MAX: Final = 4_096
DIMS_MAX: Final = 8
CELLS_MAX: Final = 1 << 26
"""Cells of one tensor: 64 Mi, half a gigabyte in the widest type the importer computes in."""

OPSET_MIN: Final = 7
OPSET_MAX: Final = 26
"""Versions whose changes to the operators below have been read."""

_FLOAT, _UINT8, _INT8, _UINT16, _INT16, _INT32, _INT64, _DOUBLE = 1, 2, 3, 4, 5, 6, 7, 11
_DTYPES: Final = {
    _FLOAT: np.dtype("<f4"),
    _UINT8: np.dtype("u1"),
    _INT8: np.dtype("i1"),
    _UINT16: np.dtype("<u2"),
    _INT16: np.dtype("<i2"),
    _INT32: np.dtype("<i4"),
    _INT64: np.dtype("<i8"),
    _DOUBLE: np.dtype("<f8"),
}
"""The element types that a quantised or float network is made of."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a graph; an omitted optional input is an empty name."""

    op: str
    name: str
    """The node's own name, or its first output's when it has none."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def where(self) -> str:
        """Names the node in an error: `node 'conv1' (Conv)`."""
        return f"node {self.name!r} ({self.op})"


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the whole graph."""

    name: str
    shape: tuple[int | None, ...]
    """None where the file leaves the size open."""
    dtype: np.dtype[np.generic]


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """A checked graph with one input and one output that are not constants."""

    name: str
    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[np.generic]]
    input: Port
    output: Port


def read_onnx(path: Path) -> OnnxGraph:
    """Reads and checks a file.

    Raises:
        ProofError: MX1701 when it cannot be read or is not ONNX, MX1702 for an operator of a domain
            that is not ONNX's own, MX1703 for a malformed graph or a size beyond a limit, MX1709
            when it asks for data outside the file.
    """
    return parse_onnx(read_bytes(path), name=path.stem)


def read_bytes(path: Path) -> bytes:
    """Returns a file's bytes, if it is a file of a size that we read.

    Raises:
        ProofError: MX1701.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ProofError(f"not a file: {path}", code="MX1701")
        if size > FILE_BYTES_MAX:
            raise ProofError(
                f"{path}: {size:,} bytes, more than {FILE_BYTES_MAX:,}",
                code="MX1701",
                hint="split the model, or quantise its weights to int8 in the file",
            )
        return path.read_bytes()
    except OSError as error:
        raise ProofError(
            f"cannot read {path}: {error.strerror or error}",
            code="MX1701",
            hint="name an .onnx file that exists",
        ) from error


def parse_onnx(data: bytes, *, name: str = "model") -> OnnxGraph:
    """Parses the bytes of a file; the rest as `read_onnx`."""
    model: ModelProto = optional("onnx").ModelProto()
    try:
        model.ParseFromString(data)
    # The parser's exceptions differ between its implementations; none may pass as our bug.
    except Exception as error:
        raise ProofError(
            f"{name}: not an ONNX file, or one that was cut short: {error}",
            code="MX1701",
            hint="export the model again; `onnx.checker` says more about a damaged one",
        ) from error
    if not model.HasField("graph") or not model.graph.node:
        raise ProofError(f"{name}: no graph in the file", code="MX1701", hint="is it ONNX?")
    _refuse_extras(model, name)
    return _graph(model.graph, _opset(model, name), name)


def _opset(model: ModelProto, name: str) -> int:
    """Returns the version of ONNX's own operators."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1 or not OPSET_MIN <= versions[0] <= OPSET_MAX:
        raise ProofError(
            f"{name}: operator set {versions or 'missing'}, known are {OPSET_MIN} to {OPSET_MAX}",
            code="MX1703",
            hint="export with opset 13 or later",
        )
    return versions[0]


def _refuse_extras(model: ModelProto, name: str) -> None:
    """Refuses what a plain graph does not have."""
    if model.functions:
        raise ProofError(
            f"{name}: the file defines functions of its own: {model.functions[0].name!r}",
            code="MX1702",
            hint="inline them with onnx.inliner before importing",
        )
    graph = model.graph
    if graph.sparse_initializer:
        raise ProofError(f"{name}: sparse initializers are not supported", code="MX1702")
    if len(graph.node) > NODES_MAX:
        raise ProofError(f"{name}: {len(graph.node)} nodes, at most {NODES_MAX}", code="MX1703")


def _graph(graph: GraphProto, opset: int, name: str) -> OnnxGraph:
    constants = {tensor.name: _tensor(tensor, "initializer") for tensor in graph.initializer}
    if len(constants) != len(graph.initializer):
        raise ProofError(f"{name}: two initializers bear one name", code="MX1703")
    nodes: list[Node] = []
    for index, proto in enumerate(graph.node):
        node = _node(proto, index)
        if node.op == "Constant":
            constants[node.outputs[0]] = _constant(node)
        else:
            nodes.append(node)
    inputs = [_port(entry) for entry in graph.input if entry.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ProofError(
            f"{name}: {len(inputs)} inputs and {len(graph.output)} outputs, one of each is proved",
            code="MX1703",
            hint="cut the model so that it has one input and one output",
        )
    _check_order(nodes, constants, inputs[0].name, graph.output[0].name, name)
    return OnnxGraph(name, opset, tuple(nodes), constants, inputs[0], _port(graph.output[0]))


def _check_order(
    nodes: Iterable[Node], constants: Mapping[str, object], source: str, sink: str, name: str
) -> None:
    """Checks that every tensor is made once and before it is used, so that there is no cycle."""
    made = {source, *constants}
    if source in constants:
        raise ProofError(f"{name}: the input {source!r} is a constant too", code="MX1703")
    for node in nodes:
        for used in node.inputs:
            if used and used not in made:
                raise ProofError(
                    f"{node.where}: its input {used!r} is not made by any earlier node",
                    code="MX1703",
                    hint="the graph has a cycle or is not in topological order",
                )
        for output in filter(None, node.outputs):
            if output in made:
                raise ProofError(f"{node.where}: {output!r} is made twice", code="MX1703")
            made.add(output)
    if sink not in made:
        raise ProofError(f"{name}: no node makes the output {sink!r}", code="MX1703")


def _node(proto: NodeProto, index: int) -> Node:
    outputs = tuple(proto.output)
    name = proto.name or (outputs[0] if outputs else f"#{index}")
    node = Node(proto.op_type, name, tuple(proto.input), outputs)
    if proto.domain not in ("", "ai.onnx"):
        raise ProofError(
            f"{node.where}: operator of the domain {proto.domain!r} is not supported",
            code="MX1702",
            hint="only ONNX's own operators can be proved",
        )
    if not outputs or not outputs[0]:
        raise ProofError(f"{node.where}: makes no output", code="MX1703")
    attributes = {entry.name: _attribute(entry, node) for entry in proto.attribute}
    if len(attributes) != len(proto.attribute):
        raise ProofError(f"{node.where}: an attribute is given twice", code="MX1703")
    return Node(node.op, name, node.inputs, outputs, attributes)


def _attribute(proto: AttributeProto, node: Node) -> object:
    """Returns an attribute's value; graphs and lists of tensors are refused."""
    kind = proto.type
    if kind == proto.FLOAT:
        return float(proto.f)
    if kind == proto.INT:
        return int(proto.i)
    if kind == proto.STRING:
        return proto.s.decode("utf-8", "replace")
    if kind == proto.TENSOR:
        return _tensor(proto.t, node.where)
    if kind == proto.FLOATS:
        return tuple(float(value) for value in proto.floats)
    if kind == proto.INTS:
        return tuple(int(value) for value in proto.ints)
    raise ProofError(
        f"{node.where}: the attribute {proto.name!r} is of a kind that is not supported",
        code="MX1702",
        hint="control flow (If, Loop, Scan) cannot be proved",
    )


def _constant(node: Node) -> NDArray[np.generic]:
    """Returns the value of a Constant node."""
    for key, value in node.attributes.items():
        if key == "value" and isinstance(value, np.ndarray):
            return cast("NDArray[np.generic]", value)
        if key in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if key in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    raise ProofError(f"{node.where}: a constant without numbers", code="MX1702")


def _port(info: ValueInfoProto) -> Port:
    kind = info.type.tensor_type
    dtype = _DTYPES.get(kind.elem_type)
    if dtype is None:
        raise ProofError(
            f"{info.name!r}: element type {kind.elem_type} is not supported",
            code="MX1702",
            hint="float32, int8, uint8, int16 and uint16 are",
        )
    dims = kind.shape.dim
    sizes = tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in dims)
    _check_shape(tuple(1 if size is None else size for size in sizes), repr(info.name))
    return Port(info.name, sizes, dtype)


def _check_shape(shape: tuple[int, ...], what: str) -> int:
    """Returns the number of cells, or refuses a shape that is absurd."""
    cells = prod(shape)
    if len(shape) > DIMS_MAX or any(size < 0 for size in shape) or cells > CELLS_MAX:
        raise ProofError(
            f"{what}: shape {_shown(shape)} is beyond {DIMS_MAX} axes or {CELLS_MAX:,} cells",
            code="MX1703",
        )
    return cells


def _shown(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape[:12]) + ("×…" if len(shape) > 12 else "")


def _tensor(proto: TensorProto, what: str) -> NDArray[np.generic]:
    """Returns a tensor's cells after comparing its shape with the bytes that are there."""
    label = f"{what} {proto.name!r}" if proto.name else what
    if proto.data_location == proto.EXTERNAL or proto.external_data:
        where = next((e.value for e in proto.external_data if e.key == "location"), "elsewhere")
        raise ProofError(
            f"{label}: its data is in another file: {where!r}",
            code="MX1709",
            hint="save the model with its weights inside: onnx.save(m, path)",
        )
    dtype = _DTYPES.get(proto.data_type)
    if dtype is None:
        raise ProofError(
            f"{label}: element type {proto.data_type} is not supported",
            code="MX1702",
            hint="float32, double, int8, uint8, int16, uint16, int32 and int64 are",
        )
    shape = tuple(int(size) for size in proto.dims)
    cells = _check_shape(shape, label)
    if proto.raw_data:
        have = len(proto.raw_data)
        if have != cells * dtype.itemsize:
            raise _wrong_size(label, shape, f"{have:,} bytes")
        flat: NDArray[np.generic] = np.frombuffer(proto.raw_data, dtype)
    else:
        values = _typed_values(proto)
        if len(values) != cells:
            raise _wrong_size(label, shape, f"{len(values):,} cells")
        # Cell by cell, without a list of Python numbers, which takes 32 bytes a cell.
        flat = np.fromiter(values, np.float64 if dtype.kind == "f" else np.int64, cells)
        if dtype.kind != "f" and cells:
            limits = np.iinfo(dtype.name)
            if int(flat.min()) < limits.min or int(flat.max()) > limits.max:
                raise ProofError(f"{label}: a cell is beyond its type {dtype}", code="MX1703")
        flat = flat.astype(dtype)
    if dtype.kind == "f" and not bool(np.isfinite(flat).all()):
        raise ProofError(f"{label}: holds a NaN or an infinity", code="MX1703")
    return flat.reshape(shape)


def _typed_values(proto: TensorProto) -> Sequence[int] | Sequence[float]:
    if proto.data_type == _FLOAT:
        return proto.float_data
    if proto.data_type == _DOUBLE:
        return proto.double_data
    return proto.int64_data if proto.data_type == _INT64 else proto.int32_data


def _wrong_size(label: str, shape: tuple[int, ...], have: str) -> ProofError:
    return ProofError(
        f"{label}: claims {_shown(shape) or 'one'} cells, and the file holds {have}",
        code="MX1703",
        hint="the file is damaged or made to mislead",
    )
