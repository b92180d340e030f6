"""Goal: no guest reaches the parent: not by its names, output or results, nor by being run in it.

Method: guests that behave until they are looked at, through the command line, with a hang guard.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.guests import wasm
from support.program import assert_no_inside_view, maxwell, report_of

pytestmark = pytest.mark.native

SHY = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func $now (result i64)
    (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 8))) (i64.load (i32.const 8)))
  (func (export "_start")
    (local $start i64) (local $i i32)
    (local.set $start (call $now))
    (loop $work
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $work (i32.lt_u (local.get $i) (i32.const 10000000))))
    (if (i64.eq (call $now) (local.get $start))
      (then (loop $forever (br $forever))))
    (drop (call $now))))"""
"""Ends after some work, except where no time passes: it then never ends and never calls out."""


def test_a_guest_that_hangs_whoever_runs_it_without_a_meter(tmp_path: Path) -> None:
    (tmp_path / "shy.wasm").write_bytes(wasm(SHY))
    done = maxwell("run", "shy.wasm", "--out", "run", cwd=tmp_path, timeout_s=40)
    assert done.code == 0, done.err
    assert_no_inside_view(done.err)
    assert report_of(tmp_path / "run")["conservation_ok"] is True
