"""Goal: the hostile set is what it says: complete, reproducible, and valid where it should be.

Method: each attack is built; stock Wasmtime says whether it is a valid module. Running them
under Maxwell is the business of `tests/security`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import wasmtime

REPOSITORY = Path(__file__).resolve().parents[2]


def load(path: str) -> ModuleType:
    name = "under_test_hostile_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


hostile = load("tests/security/guests/build.py")
inspect_wasm = load("tools/inspect_wasm.py")

MALFORMED = {"component", "empty", "not_wasm", "truncated", "wrong_version"}
SWITCHED_OFF = {"memory64"}
LARGE = {"giant_custom_section", "giant_data"}


def test_every_attack_has_its_expected_outcomes() -> None:
    assert hostile.names() == sorted(hostile.EXPECTED)


def test_every_written_attack_says_what_it_does() -> None:
    for name in set(hostile.names()) - hostile.GENERATED.keys():
        assert hostile.source(name).startswith(";; ")


@pytest.mark.parametrize("name", sorted(set(hostile.names()) - LARGE))
def test_attack_is_reproducible_and_valid_exactly_when_it_should_be(name: str) -> None:
    data = hostile.build(name)
    assert data == hostile.build(name)
    config = wasmtime.Config()
    config.wasm_exceptions = True
    config.wasm_memory64 = False
    config.shared_memory = False
    try:
        wasmtime.Module.validate(wasmtime.Engine(config), data)
        valid = True
    except wasmtime.WasmtimeError:
        valid = False
    assert valid == (name not in MALFORMED | SWITCHED_OFF)


def test_generated_sizes_are_the_ones_asked_for() -> None:
    assert inspect_wasm.inspect(hostile.functions(1000)).functions == 1000
    assert inspect_wasm.inspect(hostile.giant_function(100_000)).body_bytes_max > 99_000
    assert inspect_wasm.inspect(hostile.many_globals(1000)).globals == 1000
    assert inspect_wasm.inspect(hostile.many_locals(1000)).locals_max == 1000
    assert inspect_wasm.inspect(hostile.giant_data(1 << 20)).data_bytes > 1 << 20


def test_unknown_attack_is_an_error() -> None:
    with pytest.raises(KeyError):
        hostile.build("kindness")


def test_inspection_refuses_what_is_malformed() -> None:
    for name in ("empty", "not_wasm", "truncated"):
        with pytest.raises(inspect_wasm.MalformedModule):
            inspect_wasm.inspect(hostile.build(name))
