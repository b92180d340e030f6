"""The hostile set: every attack on the hypervisor, by name, as the bytes of a module.

Small attacks are the `.wat` files beside this one; those that are large by nature are generated
here, and malformed ones are cut out of good ones. A test asks `names()` for all of them,
`build(name)` for the bytes, and `EXPECTED[name]` for the outcomes that count as a good defence.
Run as a program, it writes the modules named, or all, to a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import wasmtime

HERE = Path(__file__).resolve().parent

REFUSED = frozenset({"refused"})
"""Admission must turn the module away, before it costs more than reading it."""

TRAPPED = frozenset({"trapped"})

ENDLESS = frozenset({"bankrupt", "deadline", "killed"})
"""The guest never ends by itself: its purse, its deadline or an operator ends it."""

CONTAINED = ENDLESS | {"trapped", "out_of_memory"}
"""Endless, or stopped earlier by a limit."""

FINISHED = frozenset({"finished"})

EXPECTED: dict[str, frozenset[str]] = {
    "atomic_wait": TRAPPED | REFUSED,
    "bad_indirect_call": TRAPPED,
    "bad_pointers": FINISHED,
    "bid_extremes": ENDLESS,
    "bulk_chain": CONTAINED | REFUSED,
    "component": REFUSED,
    "deep_nesting": REFUSED | FINISHED,
    "deep_recursion": TRAPPED,
    "discard_flood": CONTAINED,
    "divide_by_zero": TRAPPED,
    "empty": REFUSED,
    "empty_loop": ENDLESS,
    "exception_hoard": CONTAINED,
    "exception_storm": CONTAINED,
    "functions_100000": REFUSED | FINISHED,
    "giant_br_table": REFUSED | FINISHED,
    "giant_custom_section": REFUSED | FINISHED,
    "giant_data": REFUSED | FINISHED,
    "giant_function": REFUSED | ENDLESS,
    "host_call_flood": ENDLESS,
    "huge_memory_minimum": REFUSED,
    "huge_table_minimum": REFUSED,
    "infinite_recursion": TRAPPED,
    "iovec_griefing": ENDLESS,
    "long_names": REFUSED | FINISHED,
    "many_data_segments": REFUSED | FINISHED,
    "many_exports": REFUSED | FINISHED,
    "many_globals": REFUSED | FINISHED,
    "many_imports": REFUSED | FINISHED,
    "many_locals": REFUSED | FINISHED,
    "many_memories": REFUSED,
    "many_types": REFUSED | FINISHED,
    "memory64": REFUSED,
    "memory_copy": CONTAINED,
    "memory_fill": CONTAINED,
    "memory_grow_loop": CONTAINED,
    "memory_grow_touch": CONTAINED,
    "no_entry": REFUSED,
    "no_memory": REFUSED | FINISHED,
    "not_wasm": REFUSED,
    "out_of_bounds": TRAPPED,
    "random_flood": ENDLESS,
    "report_flood": ENDLESS,
    "report_repeat": ENDLESS,
    "shared_memory": REFUSED,
    "sleep_extremes": ENDLESS,
    "start_loop": ENDLESS | REFUSED,
    "start_trap": TRAPPED | REFUSED,
    "table_fill": CONTAINED,
    "table_grow_loop": CONTAINED,
    "tiny_slices": ENDLESS,
    "transfer_theft": FINISHED,
    "truncated": REFUSED,
    "unknown_import": REFUSED,
    "unreachable": TRAPPED,
    "wrong_entry": REFUSED,
    "wrong_signature": REFUSED,
    "wrong_version": REFUSED,
}
"""For each attack, the outcomes of which one must come about. All else is a hole."""

MAGIC = b"\0asm"
VERSION = b"\1\0\0\0"
I32, I64, EMPTY_BLOCK = b"\x7f", b"\x7e", b"\x40"
END = b"\x0b"


def unsigned(value: int) -> bytes:
    """Encodes an unsigned LEB128 integer."""
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        encoded.append(low | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def vector(items: Iterable[bytes]) -> bytes:
    """Encodes a vector: its length, then its items."""
    listed = list(items)
    return unsigned(len(listed)) + b"".join(listed)


def text(value: str) -> bytes:
    """Encodes a name."""
    data = value.encode()
    return unsigned(len(data)) + data


def section(identifier: int, content: bytes) -> bytes:
    """Encodes one section."""
    return bytes([identifier]) + unsigned(len(content)) + content


def body(code: bytes, local_groups: Iterable[bytes] = ()) -> bytes:
    """Encodes one function body; `code` has no final `end`."""
    whole = vector(local_groups) + code + END
    return unsigned(len(whole)) + whole


def module(
    bodies: list[bytes],
    *,
    types: Iterable[bytes] = (b"\x60\0\0",),
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
    exports: Iterable[bytes] = (),
    start_index: int = 0,
    memory_pages: int = 1,
) -> bytes:
    """Assembles a module whose functions all have type 0 and of which one is `_start`.

    `before` holds imports, `between` globals, and `after` what follows the code (data, custom).
    """
    exported = [text("_start") + b"\0" + unsigned(start_index), text("memory") + b"\2\0", *exports]
    return b"".join([
        MAGIC, VERSION, section(1, vector(types)), before,
        section(3, vector([b"\0"] * len(bodies))),
        section(5, vector([b"\0" + unsigned(memory_pages)])),
        between, section(7, vector(exported)), section(10, vector(bodies)), after,
    ])  # fmt: skip


def functions(count: int = 100_000) -> bytes:
    """Has `count` functions: time and memory of compilation, not of running."""
    return module([body(b"\x01")] * count)


def giant_function(code_bytes: int = 1 << 20) -> bytes:
    """Has a loop-free function of dependent 64-bit divisions, the slowest code a byte.

    `_start` calls it for ever. Fuel is looked at on entry only, so the time of one call adds
    to the bound on how late a guest is stopped.
    """
    # local 1 := local 1 / local 0, where local 0 is 1, but read from memory, so that no compiler
    # can know: `local.get 1; local.get 0; i64.div_u; local.set 1`.
    step = b"\x20\x01\x20\x00\x80\x21\x01"
    one = b"\x41\x00\x29\x03\x00\x42\x01\x84\x21\x00"
    slow = one + b"\x42\x7f\x21\x01" + step * (code_bytes // len(step))
    forever = b"\x03" + EMPTY_BLOCK + b"\x10\x01\x0c\x00" + END
    return module([body(forever), body(slow, [b"\x02" + I64])])


def bulk_chain(fills: int = 10_000, memory_pages: int = 4096) -> bytes:
    """Has a loop-free function of `fills` bulk fills of the whole memory, 256 MiB each.

    If bulk operations did not look at fuel themselves, one call would run for minutes.
    """
    step = b"\x41\x00\x41\x01\x41" + _signed(memory_pages << 16) + b"\xfc\x0b\x00"
    return module([body(step * fills)], memory_pages=memory_pages)


def _signed(value: int) -> bytes:
    """Encodes a signed LEB128 integer."""
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        done = (value == 0 and not low & 0x40) or (value == -1 and low & 0x40)
        encoded.append(low | (0 if done else 0x80))
        if done:
            return bytes(encoded)


def giant_data(data_bytes: int = 64 << 20) -> bytes:
    """Has one data segment of 64 MiB: the price of admission is by the byte."""
    segment = b"\0\x41\0" + END + unsigned(data_bytes) + b"\xa5" * data_bytes
    pages = -(-data_bytes // 65536)
    return module([body(b"")], after=section(11, vector([segment])), memory_pages=pages)


def many_data_segments(count: int = 100_000) -> bytes:
    """Has `count` data segments of one byte."""
    segment = b"\0\x41\0" + END + b"\1\xa5"
    return module([body(b"")], after=section(11, vector([segment] * count)))


def many_globals(count: int = 100_000) -> bytes:
    """Has `count` mutable globals, each of which needs a slot in every instance."""
    return module([body(b"")], between=section(6, vector([I64 + b"\1\x42\0" + END] * count)))


def many_locals(count: int = 50_000) -> bytes:
    """Has one function with `count` locals: stack space for a single frame."""
    return module([body(b"", [unsigned(count) + I64])])


def many_types(count: int = 100_000) -> bytes:
    """Has `count` function types."""
    kinds = (I32, I64, b"\x7d", b"\x7c")
    types = [b"\x60\0\0"]
    for index in range(count - 1):
        digits = [kinds[(index >> (2 * place)) & 3] for place in range(9)]
        types.append(b"\x60" + vector(digits) + b"\0")
    return module([body(b"")], types=types)


def many_imports(count: int = 10_000) -> bytes:
    """Imports the same host function `count` times."""
    entry = text("maxwell") + text("balance") + b"\0\1"
    before = section(2, vector([entry] * count))
    return module(
        [body(b"")], types=[b"\x60\0\0", b"\x60\0\1" + I64], before=before, start_index=count
    )


def many_exports(count: int = 100_000) -> bytes:
    """Exports its one function under `count` names."""
    return module([body(b"")], exports=(text(f"e{index}") + b"\0\0" for index in range(count)))


def long_names(name_bytes: int = 50_000, count: int = 100) -> bytes:
    """Exports its one function under `count` names of 50 kB, with control characters."""
    return module(
        [body(b"")],
        exports=(text(f"{index}\x1b[2J" + "n" * name_bytes) + b"\0\0" for index in range(count)),
    )


def giant_custom_section(data_bytes: int = 64 << 20) -> bytes:
    """Carries 64 MiB of padding that no engine reads."""
    return module([body(b"")], after=section(0, text("padding") + bytes(data_bytes)))


def deep_nesting(depth: int = 50_000) -> bytes:
    """Nests `depth` blocks: recursion in parsers and compilers."""
    return module([body((b"\x02" + EMPTY_BLOCK) * depth + END * depth)])


def giant_br_table(targets: int = 65_000) -> bytes:
    """Has one branch table of `targets` entries."""
    table = b"\x41\0\x0e" + vector([b"\0"] * targets) + b"\0"
    return module([body(b"\x02" + EMPTY_BLOCK + table + END)])


GENERATED: dict[str, Callable[[], bytes]] = {
    "bulk_chain": bulk_chain,
    "deep_nesting": deep_nesting,
    "functions_100000": functions,
    "giant_br_table": giant_br_table,
    "giant_custom_section": giant_custom_section,
    "giant_data": giant_data,
    "giant_function": giant_function,
    "long_names": long_names,
    "many_data_segments": many_data_segments,
    "many_exports": many_exports,
    "many_globals": many_globals,
    "many_imports": many_imports,
    "many_locals": many_locals,
    "many_types": many_types,
    "component": lambda: MAGIC + b"\x0d\0\1\0",
    "empty": lambda: b"",
    "not_wasm": lambda: b"\x7fELF\x02\x01\x01\0" + bytes(56),
    "truncated": lambda: functions(1_000)[:-500],
    "wrong_version": lambda: MAGIC + b"\2\0\0\0",
}
"""Attacks that are made by program, each with its default size."""


def names() -> list[str]:
    """Lists every attack in name order."""
    return sorted({path.stem for path in HERE.glob("*.wat")} | GENERATED.keys())


def source(name: str) -> str:
    """Returns the text of a hand-written attack, with its comment.

    Raises:
        KeyError: No attack of that name is written by hand.
    """
    path = HERE / f"{name}.wat"
    if not path.is_file():
        raise KeyError(name)
    return path.read_text(encoding="utf-8")


def build(name: str) -> bytes:
    """Returns the bytes of the attack `name`, equal on every call.

    Raises:
        KeyError: There is no attack of that name.
    """
    if name in GENERATED:
        return GENERATED[name]()
    return bytes(wasmtime.wat2wasm(source(name)))


def main(arguments: list[str] | None = None) -> int:
    """Writes modules to a folder: `build.py FOLDER [NAME ...]`."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        sys.stderr.write("usage: build.py FOLDER [NAME ...]\n")
        return 2
    folder = Path(given[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name in given[1:] or names():
        (folder / f"{name}.wasm").write_bytes(build(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
