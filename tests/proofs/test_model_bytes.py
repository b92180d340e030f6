"""Goal: a proof model's two forms are those of the normative page. Method: bytes written out by
hand for a model with one operation of each kind; round trips; every key missing or added."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import pytest

from maxwell.errors import ProofError
from maxwell.proofs.model import (
    Add,
    AvgPool,
    Conv2d,
    Dense,
    Lookup,
    ProofModel,
    Requant,
    Table,
    op_macs,
)
from proofs.random_models import random_model

EVERY = ProofModel(
    (1, 4, 4),
    (-127, 127),
    (Table(-2, (-1, 0, 0, 0, 1)), Table(0, (5,))),
    (
        Conv2d(0, 2, (3, 3), (1, 2), (1, 0, 1, 1), (7, -7), Requant((3, 4), 24, 0)),
        AvgPool(1, (2, 2), (2, 1), (0, 0, 0, 0), Requant((16_384,), 16, 0)),
        Add(2, 2, (3, -5), Requant((1,), 8, 0)),
        Lookup(3, Requant((256,), 8, 1)),
        Dense(4, 0, 3, (0, 0, 0), Requant((1,), 40, 0)),
    ),
    (
        np.arange(18, dtype=np.int16).reshape(2, 1, 3, 3),
        None,
        None,
        None,
        np.arange(12, dtype=np.int16).reshape(4, 3),
    ),
)

BYTES = bytes.fromhex(
    "4d514d31"  # MQM1
    "03 01000000 04000000 04000000 81ff 7f00"  # input: rank 3, 1×4×4, −127 … 127
    "02000000"  # two tables
    "feffffff 05000000 ffff 0000 0000 0000 0100"
    "00000000 01000000 0500"
    "05000000"  # five operations
    "02 00000000 02000000 03000000 03000000 01000000 02000000"
    "01000000 00000000 01000000 01000000 02000000 03000000 04000000 18 00000000"
    "04 01000000 02000000 02000000 02000000 01000000"
    "00000000 00000000 00000000 00000000 01000000 00400000 10 00000000"
    "03 02000000 02000000 03000000 fbffffff 01000000 01000000 08 00000000"
    "05 03000000 01000000 00010000 08 01000000"
    "01 04000000 00000000 03000000 01000000 01000000 28 00000000"
)


def test_the_canonical_bytes_are_those_of_the_page() -> None:
    assert EVERY.architecture() == BYTES


def test_shapes_and_multiplications() -> None:
    assert EVERY.shapes() == ((1, 4, 4), (2, 4, 2), (2, 2, 1), (2, 2, 1), (2, 2, 1), (3,))
    assert [op_macs(EVERY, index) for index in range(5)] == [16 * 9, 0, 0, 0, 12]
    assert EVERY.macs() == 16 * 9 + 12


def test_the_json_form_is_that_of_the_page() -> None:
    data: Any = json.loads(EVERY.to_json())
    assert data["format"] == "maxwell-model/1"
    assert data["input"] == {"shape": [1, 4, 4], "lo": -127, "hi": 127}
    assert data["tables"][0] == {"q_lo": -2, "values": [-1, 0, 0, 0, 1]}
    assert data["ops"][0] == {
        "op": "conv2d", "input": 0, "o": 2, "kernel": [3, 3], "strides": [1, 2],
        "pads": [1, 0, 1, 1], "weight_offset": 0, "bias": [7, -7], "multipliers": [3, 4],
        "shift": 24, "table": 0,
    }  # fmt: skip
    assert data["ops"][3] == {
        "op": "table", "input": 3, "multipliers": [256], "shift": 8, "table": 1,
    }  # fmt: skip
    assert data["ops"][4]["weight_offset"] == 18
    weights = [*range(18), *range(12)]
    assert EVERY.weight_bytes() == np.asarray(weights, "<i2").tobytes()


@pytest.mark.parametrize("seed", range(40))
def test_the_json_form_round_trips(seed: int) -> None:
    model = random_model(seed)
    again = ProofModel.from_json(model.to_json(), model.weight_bytes())
    assert again.architecture() == model.architecture()
    assert again.weight_bytes() == model.weight_bytes()
    assert [getattr(op, "bias", ()) for op in again.ops] == [
        getattr(op, "bias", ()) for op in model.ops
    ]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the way to every object in it."""
    is_object = isinstance(value, dict)
    found: list[tuple[Any, ...]] = [path] if is_object else []
    entries: Any = cast(Any, value).items() if is_object else enumerate(value)
    for key, one in entries:
        if isinstance(one, dict | list):
            found += _paths(one, (*path, key))
    return found


def test_missing_and_unknown_keys_are_errors() -> None:
    tried = 0
    for path in _paths(json.loads(EVERY.to_json())):
        for key in ("unknown", *_at(json.loads(EVERY.to_json()), path)):
            data = json.loads(EVERY.to_json())
            fields = _at(data, path)
            if key in fields:
                del fields[key]
            else:
                fields[key] = 1
            with pytest.raises(ProofError) as caught:
                ProofModel.from_json(json.dumps(data), EVERY.weight_bytes())
            assert caught.value.code == "MX1703"
            tried += 1
    assert tried > 40


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '{"format": "maxwell-model/1"}', "[" * 100_000, '{"format": 1e999}']
)
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(ProofError, match="not a proof model"):
        ProofModel.from_json(text, b"")


@pytest.mark.parametrize("change", [-2, -1, 1, 2])
def test_weights_of_another_size_are_refused(change: int) -> None:
    data = EVERY.weight_bytes()
    data = data[:change] if change < 0 else data + bytes(change)
    with pytest.raises(ProofError):
        ProofModel.from_json(EVERY.to_json(), data)
