"""Proving the same ONNX files with Maxwell and, where it is installed, with EZKL.

Goal: setup, prove and verify time, proof and key bytes, peak memory and CPU seconds of both, on one
machine in one run, with what each leaves out. Not: which of the two is right for a purpose.

Method: every case is an ONNX file of float weights (`harness/onnx_cases.py`). Ours: imported with
64 standard-normal inputs as calibration, in a process of its own; the best of several proofs, each
verified and compared with the reference. EZKL: `harness/ezkl_side.py`, one process a phase. Times
are wall, CPU time beside them.

What is left out: EZKL computes in fixed point with 7 fractional bits and keeps wider values between
layers, ours in int8 with exact requantisation, so that outputs differ. With these settings EZKL
hides nothing either (input and output public, weights fixed in the circuit); its keys, which it
needs, are counted, its reference string is not. Ours needs neither string nor proving key; the
header is what its verifier needs. In the mode "zk" weights are hidden, input and output public.

`python benches/proofs_vs_ezkl.py [--smoke] [--case NAME]… [--ezkl PYTHON]`
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness import REPOSITORY, emit, emit_machine, note
from harness.onnx_cases import CASES, Case, case_named
from maxwell.errors import ProofError
from maxwell.proofs import Model, ProofModel, backend, load_onnx
from maxwell.proofs.model import Dense, Requant, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROOFS: Final = 5
EZKL_CANNOT: Final = {"d_ffn_768_3072", "d_ffn_768_3072_768", "d_matmul512"}
"""Cases that do not fit 24 GiB with EZKL 23."""

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
"""Promised in mode zk: prove ms, verify ms, proof bytes."""


def ours(case: Case, *, hiding: bool, count: int) -> dict[str, float]:
    """Measures our side; runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{case.name}.onnx"
        path.write_bytes(case.onnx())
        network = load_onnx(path)
    x = case.inputs(case.input[0])
    start, cpu = time.perf_counter(), time.process_time()
    model = Model(network, hiding=hiding)
    figures = {
        "setup_ms": (time.perf_counter() - start) * 1e3,
        "setup_cpu_ms": (time.process_time() - cpu) * 1e3,
        "key_bytes": float(len(model.header)),
    }
    proves: list[tuple[float, float]] = []
    verifies: list[float] = []
    # Hidden weights are registered for 15 proofs.
    for _ in range(min(count, 15)):
        start, cpu = time.perf_counter(), time.process_time()
        proof = model.prove(x)
        proves.append((time.perf_counter() - start, time.process_time() - cpu))
        start = time.perf_counter()
        proof.verify(model)
        verifies.append(time.perf_counter() - start)
        figures["proof_bytes"] = float(len(proof.proof))
        assert np.array_equal(proof.result, network.run(x))
    best = min(proves)
    return figures | {
        "prove_ms": best[0] * 1e3,
        "prove_cpu_ms": best[1] * 1e3,
        "verify_ms": min(verifies) * 1e3,
        "rerun_ms": rerun_ms(case, x),
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
    }


def rerun_ms(case: Case, x: NDArray[np.float32]) -> float:
    """Returns what running the float model again costs with onnxruntime, on one thread."""
    import onnxruntime

    ort: Any = onnxruntime
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    session = ort.InferenceSession(case.onnx(), settings)
    took: list[float] = []
    for _ in range(20):
        start = time.perf_counter()
        session.run(None, {"x": x})
        took.append(time.perf_counter() - start)
    return min(took) * 1e3


def in_child(case: Case, *, hiding: bool, count: int) -> dict[str, float]:
    """Runs `ours` in a process of its own."""
    command = [sys.executable, __file__, "--child", case.name, "--count", str(count)]
    if hiding:
        command.append("--zk")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2_000:])
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def ezkl(python: Path, case: Case, folder: Path) -> dict[str, Any] | None:
    """Runs EZKL on a case; None when it cannot."""
    if case.name in EZKL_CANNOT:
        return None
    own = folder / case.name
    own.mkdir()
    model = own / "model.onnx"
    model.write_bytes(case.onnx())
    x = case.inputs(case.input[0]).reshape(-1)
    (own / "input.json").write_text(json.dumps({"input_data": [x.tolist()]}))
    side = REPOSITORY / "benches" / "harness" / "ezkl_side.py"
    done = subprocess.run(
        [python, side, model, own], capture_output=True, text=True, check=False
    )  # fmt: skip
    sys.stderr.write(done.stderr)
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "failed" in results:
        note(f"ezkl: {case.name}: {results['failed']}")
        return None
    return results


def report(case: Case, mode: str, figures: dict[str, float], peer: dict[str, Any] | None) -> None:
    """Prints the lines of one case and mode."""
    target = TARGETS.get(case.name, (None, None, None)) if mode == "zk" else (None, None, None)
    theirs = _peer_figures(peer)
    for key, unit, limit in (
        ("setup_ms", "ms", None),
        ("prove_ms", "ms", target[0]),
        ("prove_cpu_ms", "ms", None),
        ("verify_ms", "ms", target[1]),
        ("proof_bytes", "bytes", target[2]),
        ("key_bytes", "bytes", None),
        ("rss_bytes", "bytes", None),
    ):
        emit(
            f"proofs.{case.name}.{mode}.{key}",
            figures[key],
            unit,
            target=limit,
            peer="ezkl" if key in theirs else None,
            peer_value=theirs.get(key),
        )
    emit(
        f"proofs.{case.name}.{mode}.verify_over_rerun",
        figures["verify_ms"] / figures["rerun_ms"],
        "ratio",
        peer="onnxruntime float32, one thread, ms",
        peer_value=figures["rerun_ms"],
        more={"batch": case.input[0]},
    )
    if theirs:
        emit(
            f"proofs.{case.name}.{mode}.times_faster_than_ezkl",
            theirs["prove_ms"] / figures["prove_ms"],
            "ratio",
        )


def _peer_figures(peer: dict[str, Any] | None) -> dict[str, float]:
    """Returns EZKL's figures under our names."""
    if peer is None:
        return {}
    prove, setup = peer["prove"], peer["setup"]
    return {
        "setup_ms": setup["wall_s"] * 1e3,
        "prove_ms": (prove["wall_s"] + peer["witness"]["wall_s"]) * 1e3,
        "prove_cpu_ms": (prove["cpu_s"] + peer["witness"]["cpu_s"]) * 1e3,
        "verify_ms": peer["verify"]["wall_s"] * 1e3,
        "proof_bytes": prove["proof_bytes"],
        "key_bytes": setup["pk_bytes"] + setup["vk_bytes"],
        "rss_bytes": max(prove["rss_bytes"], setup["rss_bytes"]),
    }


def modes() -> tuple[str, ...]:
    """Returns the modes that this installation's prover has."""
    small = np.ones((1, 1), np.int16)
    op = Dense(0, 0, 1, (0,), Requant((256,), 8, 0))
    table = Table(-1, (-1, 0, 1))
    try:
        model = ProofModel((1,), (-1, 1), (table,), (op,), (small,))
        backend.register(model, seed=bytes(32), openings=3)
    except ProofError as error:
        note(error.message)
        return ("plain",)
    return ("plain", "zk")


def parse() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="one small case, for tests")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--ezkl", type=Path, metavar="PYTHON", help="interpreter that has ezkl")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=PROOFS, help=argparse.SUPPRESS)
    parser.add_argument("--zk", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measures every case in both modes."""
    options = parse()
    if options.child:
        figures = ours(case_named(options.child), hiding=options.zk, count=options.count)
        print(json.dumps(figures))
        return
    emit_machine()
    names = options.case or [case.name for case in CASES[: 1 if options.smoke else None]]
    chosen = modes()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            case = case_named(name)
            peer = None
            if options.ezkl is not None:
                note(f"proofs: {name}: ezkl")
                peer = ezkl(options.ezkl, case, Path(folder))
            for mode in chosen:
                note(f"proofs: {name}: {mode}")
                count = 1 if options.smoke else options.count
                report(case, mode, in_child(case, hiding=mode == "zk", count=count), peer)


if __name__ == "__main__":
    main()
