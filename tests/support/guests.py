"""Small guests, written as WebAssembly text where they are used, and the hostile set."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, cast

import wasmtime

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SAMPLES: Final = REPOSITORY / "python/maxwell/samples"

IMPORTS: Final = """
  (import "maxwell" "balance" (func $balance (result i64)))
  (import "maxwell" "price" (func $price (result i64)))
  (import "maxwell" "bid" (func $bid (param i64) (result i32)))
  (import "maxwell" "urgency" (func $urgency (param i32) (result i32)))
  (import "maxwell" "report" (func $report (param i32 i32) (result i32)))
  (import "maxwell" "sleep" (func $sleep (param i64) (result i32)))
  (import "maxwell" "discard" (func $discard (param i32 i32) (result i32)))
  (import "maxwell" "transfer" (func $transfer (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
"""

SLEEP_FOREVER: Final = "(loop $on (drop (call $sleep (i64.const 1000000000))) (br $on))"
SPIN_FOREVER: Final = "(loop $on (br $on))"


@cache
def wasm(text: str) -> bytes:
    """Assembles a whole module."""
    return bytes(wasmtime.wat2wasm(text))


def program(code: str, data: str = "", locals_: str = "") -> bytes:
    """Assembles a `_start` of `code` with the imports of the `maxwell` module at hand."""
    return wasm(f'(module {IMPORTS} {data} (func (export "_start") {locals_} {code}))')


def write(folder: Path, name: str, content: bytes) -> str:
    """Puts a module into a folder and returns its path."""
    path = folder / f"{name}.wasm"
    path.write_bytes(content)
    return str(path)


@cache
def hostile_set() -> ModuleType:
    """Loads `tests/security/guests/build.py`."""
    path = REPOSITORY / "tests/security/guests/build.py"
    spec = importlib.util.spec_from_file_location("hostile_guests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def hostile_names() -> list[str]:
    """Lists the attacks."""
    return cast("list[str]", hostile_set().names())


def hostile_expected(name: str) -> frozenset[str]:
    """Returns the outcomes of an attack that count as a good defence."""
    return cast("dict[str, frozenset[str]]", hostile_set().EXPECTED)[name]


@cache
def hostile(name: str) -> bytes:
    """Builds an attack."""
    return cast("bytes", hostile_set().build(name))
