"""Fleets whose processes think: the digits network, its buyer, and guests for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from maxwell.node.view import NodeView
from maxwell.proofs import Network, load_onnx
from support.fleets import Run, Table, process, run
from support.guests import REPOSITORY, wasm

MLP: Final = REPOSITORY / "examples/models/digits_mlp.onnx"
CNN: Final = MLP.with_name("digits_cnn.onnx")
IMAGES: Final = REPOSITORY / "examples/models/digits_test.npz"
MACS: Final = 4_928
PAYS: Final = 20_000_000
"""Credits for a million multiplications."""
CELLS: Final = 64

IMPORTS: Final = """
  (import "maxwell" "order" (func $order (param i32 i32 i32) (result i32)))
  (import "maxwell" "infer"
    (func $infer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "maxwell" "deliver" (func $deliver (param i32 i32 i32 i32 i32) (result i32)))
  (import "maxwell" "sleep" (func $sleep (param i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 10)
  (func $check (param $n i32)
    (if (i32.lt_s (local.get $n) (i32.const 0))
      (then (call $exit (i32.sub (i32.const 0) (local.get $n))))))
"""
"""`$check` exits with the errno of a call that failed."""

TAKE: Final = "(call $check (call $order (i32.const 0) (i32.const 4096) (i32.const 8192)))"
"""Takes an order to 4096; its number is the first word, its input begins at 4096 + 96."""
RUN: Final = (
    "(call $infer (i32.const 0) (i32.const 6) (i32.load (i32.const 4100))"
    " (i32.load (i32.const 4096)) (i32.const 4192) (i32.load (i32.const 4108))"
    " (i32.const 65536) (i32.const 400000))"
)
"""Runs `digits` on the order's input, in the order's tier; the answer is at 65536."""


def guest(code: str, data: str = "", locals_: str = "(local $n i32)") -> bytes:
    """Assembles a guest; the name `digits` is at 0, `other` at 16."""
    return wasm(
        f'(module {IMPORTS} (data (i32.const 0) "digits") (data (i32.const 16) "other") {data}'
        f' (func (export "_start") {locals_} {code}))'
    )


@cache
def network() -> Network:
    """The model, as the node imports it."""
    return load_onnx(MLP)


def inputs(count: int, *, at: int = 0) -> NDArray[np.int16]:
    """The buyer's inputs in the model's integers, `(count, 64)`."""
    with np.load(IMAGES) as arrays:
        images = arrays["images"]
    return network().to_ints(images[at : at + count])


def think(
    processes: Sequence[Table],
    *,
    tier: str = "T0",
    batch: int = 4,
    rows: int = 8,
    reward: Mapping[str, object] | None = None,
    folder: Path,
    escrow: str = "30 J",
    other: bool = False,
    model: Mapping[str, object] | None = None,
    on_view: Callable[[NodeView], None] | None = None,
    **node: Any,
) -> Run:
    """Runs processes that may work for the reward `digits`; the run's folder is audited.

    Another model, `other`, is there if it is asked for; `model` is what `digits` is instead of the
    plain network.
    """
    np.save(folder / "x.npy", inputs(rows))
    keys: dict[str, Any] = {"duration": "10 s", **node}
    return run(
        processes,
        base=folder,
        out=folder / "run",
        models=[
            model or {"name": "digits", "onnx": os.fspath(MLP)},
            *([{"name": "other", "onnx": os.fspath(CNN)}] if other else []),
        ],
        sponsors=[{"name": "school", "escrow": escrow}],
        rewards=[
            {
                "sponsor": "school",
                "name": "digits",
                "resolver": "proof",
                "model": "digits",
                "inputs": "x.npy",
                "tier": tier,
                "batch": batch,
                "pays": f"{PAYS} uJ",
                **(reward or {}),
            }
        ],
        on_view=on_view,
        **keys,
    )


def thinker(name: str, module: str = "samples:thinker.wasm", **keys: object) -> dict[str, object]:
    """Writes the table of a process that works for the reward."""
    given = {"args": ["digits"], "rewards": ["digits"], "funds": "4 J", "memory_max": "2 MiB"}
    return process(name, module, **{**given, **keys})
