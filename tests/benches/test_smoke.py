"""Goal: the benchmarks keep running and keep their output format. Method: each is run as short as
it can be; its lines are checked, its figures are not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from maxwell.proofs import backend

REPOSITORY = Path(__file__).resolve().parents[2]
BENCHES = sorted((REPOSITORY / "benches").glob("*.py"))
KEYS = {"bench", "value", "unit", "target", "peer", "peer_value", "ok"}


def test_there_is_a_bench_for_every_promise() -> None:
    names = ["erasure", "heat_cost", "information", "market_cost", "metering", "onnx_agreement"]
    names += ["proofs", "proofs_vs_ezkl", "receipts", "scientist_vs_leech", "secret_vectors"]
    names += ["wakeup"]
    assert [path.stem for path in BENCHES] == names


@pytest.mark.native
@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_bench_runs_and_prints_result_lines(path: Path) -> None:
    if path.stem in ("proofs", "proofs_vs_ezkl", "secret_vectors") and not backend.available():
        pytest.skip("no prover in this module")
    done = subprocess.run(
        [sys.executable, str(path), "--smoke"], capture_output=True, text=True, timeout=55
    )
    assert done.returncode == 0, done.stderr
    machine, *results = [json.loads(line) for line in done.stdout.splitlines()]
    assert machine["bench"] == "machine"
    assert machine["cores"] >= 1
    assert results
    for result in results:
        assert result.keys() >= KEYS, result
        if not result["bench"].endswith(".breakeven_batch"):  # there need not be one
            assert isinstance(result["value"], int | float)
        assert isinstance(result["ok"], bool)
        assert result["target"] is not None or result["ok"], "report-only lines are always ok"
    names = [result["bench"] for result in results]
    assert len(names) == len(set(names)), "each figure has one name"
