"""Reads the shape of WebAssembly modules: what admission limits are about. Standard library only.

Usage: `python tools/inspect_wasm.py MODULE.wasm ...` prints one JSON object a module: sizes,
number of functions, largest body, tables, memories, globals, segments, imports, exports and the
features that the toolchain declared. A module is read by sections; code is not decoded, so even
70 MB takes well under a second.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

SECTIONS = {
    1: "type", 2: "import", 3: "function", 4: "table", 5: "memory", 6: "global", 7: "export",
    8: "start", 9: "element", 10: "code", 11: "data", 12: "data_count", 13: "tag",
}  # fmt: skip

KINDS = ("function", "table", "memory", "global", "tag")


class MalformedModule(Exception):
    """The bytes are not a WebAssembly 1.0 core module."""


@dataclass
class Limits:
    """Limits of one table (elements) or memory (64-KiB pages); `maximum` None is unbounded."""

    minimum: int
    maximum: int | None


@dataclass
class Shape:
    """What one module is made of. Counts of functions and so on exclude imports."""

    module: str
    module_bytes: int
    types: int = 0
    functions: int = 0
    functions_imported: int = 0
    globals: int = 0
    tags: int = 0
    exports: int = 0
    code_bytes: int = 0
    body_bytes_max: int = 0
    body_index_max: int = -1
    locals_max: int = 0
    bodies_over_64_kib: int = 0
    data_segments: int = 0
    data_bytes: int = 0
    element_segments: int = 0
    has_start: bool = False
    tables: list[Limits] = field(default_factory=list[Limits])
    memories: list[Limits] = field(default_factory=list[Limits])
    features: list[str] = field(default_factory=list[str])
    imports: list[str] = field(default_factory=list[str])
    results_max: int = 0


class Reader:
    """A cursor over bytes with the primitive encodings of the binary format."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        """Reads one byte."""
        value = self.data[self.at]
        self.at += 1
        return value

    def unsigned(self) -> int:
        """Reads an unsigned LEB128 integer."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 70:
                raise MalformedModule("integer too long")

    def raw(self, length: int) -> memoryview:
        """Reads `length` bytes."""
        if self.at + length > len(self.data):
            raise MalformedModule("truncated")
        self.at += length
        return self.data[self.at - length : self.at]

    def name(self) -> str:
        """Reads a name."""
        return bytes(self.raw(self.unsigned())).decode("utf-8", "replace")

    def limits(self) -> Limits:
        """Reads the limits of a table or a memory."""
        flags = self.byte()
        minimum = self.unsigned()
        maximum = self.unsigned() if flags & 1 else None
        if flags & 8:
            self.unsigned()
        return Limits(minimum, maximum)

    def reference_type(self) -> None:
        """Skips a value or reference type."""
        if self.byte() in (0x63, 0x64):
            self.unsigned()


def _import_section(reader: Reader, shape: Shape) -> None:
    for _ in range(reader.unsigned()):
        module, name = reader.name(), reader.name()
        kind = reader.byte()
        shape.imports.append(
            f"{module}.{name}" if kind == 0 else f"{module}.{name} ({KINDS[kind]})"
        )
        if kind == 0:
            reader.unsigned()
            shape.functions_imported += 1
        elif kind == 1:
            reader.reference_type()
            shape.tables.append(reader.limits())
        elif kind == 2:
            shape.memories.append(reader.limits())
        elif kind == 3:
            reader.reference_type()
            reader.byte()
        else:
            reader.byte()
            reader.unsigned()


def _type_section(reader: Reader, shape: Shape) -> None:
    shape.types = reader.unsigned()
    for _ in range(shape.types):
        if reader.byte() != 0x60:
            return  # Types of the GC proposal: counted, not read.
        for _parameter in range(reader.unsigned()):
            reader.reference_type()
        results = reader.unsigned()
        shape.results_max = max(shape.results_max, results)
        for _result in range(results):
            reader.reference_type()


def _code_section(reader: Reader, shape: Shape) -> None:
    for index in range(reader.unsigned()):
        size = reader.unsigned()
        shape.code_bytes += size
        shape.bodies_over_64_kib += size > 65536
        if size > shape.body_bytes_max:
            shape.body_bytes_max, shape.body_index_max = size, index
        end = reader.at + size
        declared = 0
        for _ in range(reader.unsigned()):
            declared += reader.unsigned()
            reader.reference_type()
        shape.locals_max = max(shape.locals_max, declared)
        reader.at = end


def _data_section(reader: Reader, shape: Shape) -> None:
    shape.data_segments = reader.unsigned()
    shape.data_bytes = len(reader.data) - reader.at


def _table_section(reader: Reader, shape: Shape) -> None:
    for _ in range(reader.unsigned()):
        if reader.data[reader.at] == 0x40:
            return  # A table with an initial value: not read.
        reader.reference_type()
        shape.tables.append(reader.limits())


def _custom_section(reader: Reader, shape: Shape) -> None:
    if reader.name() == "target_features":
        for _ in range(reader.unsigned()):
            sign = chr(reader.byte())
            shape.features.append(sign + reader.name())


def inspect(data: bytes, name: str = "") -> Shape:
    """Reads the shape of the module in `data`.

    Raises:
        MalformedModule: `data` is not a core module, or ends early.
    """
    if data[:8] != b"\0asm\x01\0\0\0":
        raise MalformedModule("not a WebAssembly core module")
    shape = Shape(module=name, module_bytes=len(data))
    reader = Reader(memoryview(data))
    reader.at = 8
    readers = {"type": _type_section, "import": _import_section, "table": _table_section,
               "code": _code_section, "data": _data_section}  # fmt: skip
    try:
        while reader.at < len(data):
            identifier = reader.byte()
            section = Reader(reader.raw(reader.unsigned()))
            kind = SECTIONS.get(identifier, "custom")
            if identifier == 0:
                _custom_section(section, shape)
            elif kind in readers:
                readers[kind](section, shape)
            elif kind == "memory":
                shape.memories += [section.limits() for _ in range(section.unsigned())]
            elif kind == "function":
                shape.functions = section.unsigned()
            elif kind == "global":
                shape.globals = section.unsigned()
            elif kind == "export":
                shape.exports = section.unsigned()
            elif kind == "element":
                shape.element_segments = section.unsigned()
            elif kind == "tag":
                shape.tags = section.unsigned()
            elif kind == "start":
                shape.has_start = True
    except IndexError as error:
        raise MalformedModule("truncated") from error
    return shape


def main(arguments: list[str] | None = None) -> int:
    """Prints the shape of each module named; returns 1 when one is malformed."""
    paths = sys.argv[1:] if arguments is None else arguments
    if not paths:
        sys.stderr.write("usage: inspect_wasm.py MODULE.wasm ...\n")
        return 2
    bad = 0
    for path in paths:
        try:
            shape = inspect(Path(path).read_bytes(), Path(path).name)
        except (MalformedModule, OSError) as error:
            sys.stderr.write(f"error: {path}: {error}\n")
            bad = 1
            continue
        sys.stdout.write(json.dumps(asdict(shape)) + "\n")
    return bad


if __name__ == "__main__":
    sys.exit(main())
