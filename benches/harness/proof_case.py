"""Measures one case of the proof benches in a process of its own, so that its memory is its own.

`python -m harness.proof_case CASE MODE COUNT` with two threads prints what proving costs, at 100
bits or `--security 128`; `--one-thread` what verifying and running again cost on one core, and
where they cross.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness import REPOSITORY
from harness.fast_run import FastRun
from harness.onnx_cases import Case, case_named
from maxwell.errors import ProofError
from maxwell.proofs import Model, load_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.proofs import Network, Proof

MODES: Final = ("plain", "zk")
ONE_THREAD: Final = dict.fromkeys(
    ("RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"
)
TARGETS: Final[dict[str, tuple[float, float, float | None]]] = {
    "a_dense64": (8, 2, 190_000),
    "b_dense256_relu": (12, 2.5, 270_000),
    "c_mlp_784_128_64_10": (25, 5, 350_000),
    "c16_mlp_784_128_64_10_b16": (40, 6, None),
    "e_conv_1x28x28_4f5s2": (15, 2.5, None),
    "e_conv_8x16x16_16f3": (20, 3, None),
    "d_dense1024": (25, 4, 550_000),
    "d_matmul256": (150, 4, None),
    "d_ffn_768_3072": (40, 5, 850_000),
    "d_matmul512": (600, 6, None),
}
"""Promised with hiding: prove ms, verify ms, proof bytes. Without it proofs are 100 kB smaller."""

HIDING_BYTES: Final = 100_000

BATCH_MAX: Final = 4_096
CELLS_MAX: Final = 1 << 22
"""Largest tensor of a batch that is still proved here; more takes minutes."""

NARROWINGS: Final = 4


def in_child(
    case: str, mode: str, count: int, *, one_thread: bool = False, security: int = 100
) -> dict[str, Any]:
    """Runs this module in a child; `{"missing": reason}` when the prover lacks the mode."""
    command = [sys.executable, "-m", "harness.proof_case", case, mode, str(count)]
    command += ["--security", str(security)]
    environment = dict(os.environ)
    if one_thread:
        command.append("--one-thread")
        environment |= ONE_THREAD
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment,
        cwd=REPOSITORY / "benches",
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-2_000:])
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def imported(case: Case) -> Network:
    """Imports a case as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{case.name}.onnx"
        path.write_bytes(case.onnx())
        return load_onnx(path)


def best_ms(work: Callable[[], object], *, seconds: float = 0.25, least: int = 3) -> float:
    """Returns the shortest of several runs."""
    took: list[float] = []
    until = time.perf_counter() + seconds
    while len(took) < least or (time.perf_counter() < until and len(took) < 200):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took) * 1e3


def proving(case: Case, mode: str, count: int, security: int) -> dict[str, Any]:
    """Registers once, proves and verifies several times."""
    network = imported(case)
    x = case.inputs(case.input[0])
    start, cpu = time.perf_counter(), time.process_time()
    model = Model(network, hiding=mode == "zk", security=security)
    setup = time.perf_counter() - start, time.process_time() - cpu
    proves: list[tuple[float, float]] = []
    verifies: list[float] = []
    proof: Proof | None = None
    for _ in range(count):
        start, cpu = time.perf_counter(), time.process_time()
        proof = model.prove(x)
        proves.append((time.perf_counter() - start, time.process_time() - cpu))
        start = time.perf_counter()
        proof.verify(model)
        verifies.append(time.perf_counter() - start)
        assert np.array_equal(proof.result, network.run(x))
    assert proof is not None
    return {
        "setup_ms": setup[0] * 1e3,
        "setup_cpu_ms": setup[1] * 1e3,
        "key_bytes": len(model.header),
        "prove_ms": min(wall for wall, _ in proves) * 1e3,
        "cpu_ms": min(cpu for _, cpu in proves) * 1e3,
        "verify_ms": min(verifies) * 1e3,
        "proof_bytes": len(proof.proof),
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


class Crossing:
    """Verifying against running again, by batch, on one core."""

    def __init__(self, case: Case, mode: str) -> None:
        self.case, self.mode = case, mode
        self.network = imported(case)
        self.model = Model(self.network, hiding=mode == "zk")
        self.measured: dict[int, tuple[float, float]] = {}

    def at(self, batch: int) -> tuple[float, float]:
        """Returns milliseconds of verifying and of running again, for a batch."""
        if batch not in self.measured:
            real = self.case.inputs(batch)
            x = self.network.to_ints(real)
            # A hiding commitment may be opened a few times only: a model for each proof.
            model = self.model if self.mode == "plain" else Model(self.network, hiding=True)
            proof = model.prove(real)
            fast = FastRun(self.network.proof_model, x)
            rerun = min(best_ms(lambda: fast.run(x)), best_ms(lambda: model.run_ints(x)))
            self.measured[batch] = best_ms(lambda: proof.verify(model)), rerun
        return self.measured[batch]

    def limit(self) -> int:
        """Returns the largest batch that is tried."""
        cells = max(int(np.prod(shape)) for shape in self.network.proof_model.shapes())
        return max(1, min(BATCH_MAX, CELLS_MAX // cells))

    def solve(self) -> None:
        """Measures batches near the one from which verifying is cheaper.

        Steps along the line through the last two measured batches until verifying is cheaper, then
        narrows the bracket by the same line.
        """
        limit = self.limit()
        low, high = 1, min(limit, 16)
        if self._gain(low) > 0:
            return
        while self._gain(high) <= 0:
            if high == limit:
                return
            slope = (self._gain(high) - self._gain(low)) / (high - low)
            guess = high - self._gain(high) / slope if slope > 0 else 8 * high
            low, high = high, min(limit, max(2 * high, ceil(min(guess, 8 * high))))
        for _ in range(NARROWINGS):
            if high <= 1.2 * low:
                break
            share = -self._gain(low) / (self._gain(high) - self._gain(low))
            guess = min(high - 1, max(low + 1, ceil(low + 1.05 * share * (high - low))))
            low, high = (low, guess) if self._gain(guess) > 0 else (guess, high)

    def _gain(self, batch: int) -> float:
        """Returns how many milliseconds verifying saves."""
        verify, rerun = self.at(batch)
        return rerun - verify


def crossing(case: Case, mode: str) -> dict[str, Any]:
    """Measures the ratio at the case's own batch, and the batch where it falls below one."""
    found = Crossing(case, mode)
    verify, rerun = found.at(case.input[0])
    found.solve()
    cheaper = [batch for batch, (v, r) in found.measured.items() if v < r]
    return {
        "verify_one_ms": verify,
        "rerun_ms": rerun,
        "rerun_ratio": verify / rerun,
        "breakeven_batch": min(cheaper, default=None),
        "measured": {
            batch: [round(value, 4) for value in values]
            for batch, values in sorted(found.measured.items())
        },
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("count", type=int)
    parser.add_argument("--one-thread", action="store_true")
    parser.add_argument("--security", type=int, default=100)
    options = parser.parse_args()
    case = case_named(options.case)
    try:
        if options.one_thread:
            figures = crossing(case, options.mode)
        else:
            figures = proving(case, options.mode, options.count, options.security)
    except ProofError as error:
        if error.code != "MX1708":
            raise
        figures = {"missing": error.message}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
