"""Proving and verifying the promised layers and networks, and verifying against running again.

Goal: for each case wall time of proving and verifying, CPU time, proof bytes; verify time over that
of running again; the batch from which verifying is the cheaper one. Not: other provers, which
`proofs_vs_ezkl.py` has, or kernels, which the Rust bench of the crate has.

Method: the ONNX files of `harness/onnx_cases.py`, imported as a user would, best of several proofs,
each verified and its output compared with the reference. `prove_ms`, `verify_ms` and `cpu_ms` (of
proving) are on all cores, in a process of their own. Running again is the fastest integer run that
we have, exact products through BLAS or the native forward pass, whichever is quicker; both it and
verifying run on one thread for `rerun_ratio` and `breakeven_batch`. A matrix product of n rows is a
batch of n. The break-even batch is solved from measured batches and measured itself; null means
that no measured batch is one.

At 128 bits (`proofs128.…`) three cases are measured, in the same run and beside their 100 bits.

`python benches/proofs.py [--smoke] [--profile plain|zk] [--security 100|128] [--case NAME]…`
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from harness import emit, emit_machine, note
from harness.proof_case import HIDING_BYTES, MODES, TARGETS, in_child

if TYPE_CHECKING:
    from collections.abc import Mapping

PROOFS: Final = 7

CASES_128: Final = ("a_dense64", "c_mlp_784_128_64_10", "d_dense1024")
"""What is measured at 128 bits too."""

RERUN_RATIO_MAX: Final = {"d_matmul512": 1.0}


def report(case: str, mode: str, figures: Mapping[str, Any], one: Mapping[str, Any]) -> None:
    """Prints the lines of one case and mode."""
    name = f"proofs.{case}" if mode == "plain" else f"proofs.{case}.{mode}"
    prove, verify, size = TARGETS[case]
    if size is not None and mode == "plain":
        size -= HIDING_BYTES
    lines = (
        ("prove_ms", "ms", prove),
        ("verify_ms", "ms", verify),
        ("proof_bytes", "bytes", size),
        ("cpu_ms", "ms", None),
        ("rss_bytes", "bytes", None),
    )
    for key, unit, target in lines:
        emit(f"{name}.{key}", figures[key], unit, target=target)
    emit(
        f"{name}.rerun_ratio",
        one["rerun_ratio"],
        "ratio",
        target=RERUN_RATIO_MAX.get(case),
        peer="running again, one thread, ms",
        peer_value=one["rerun_ms"],
        more={"verify_one_thread_ms": round(one["verify_one_ms"], 4)},
    )
    emit(
        f"{name}.breakeven_batch",
        one["breakeven_batch"],
        "inferences",
        more={"measured_verify_and_rerun_ms": one["measured"]},
    )


def report_128(case: str, mode: str, figures: Mapping[str, Any], beside: Mapping[str, Any]) -> None:
    """Prints the lines of one case and mode at 128 bits, beside the same at 100."""
    name = f"proofs128.{case}" if mode == "plain" else f"proofs128.{case}.{mode}"
    units = {"prove_ms": "ms", "verify_ms": "ms", "proof_bytes": "bytes", "cpu_ms": "ms"}
    for key, unit in (*units.items(), ("rss_bytes", "bytes")):
        emit(
            f"{name}.{key}",
            figures[key],
            unit,
            peer="the same at 100 bits",
            peer_value=beside[key],
        )


def parse() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="one small case, for tests")
    parser.add_argument("--profile", choices=MODES, help="one of the profiles, not all")
    parser.add_argument("--security", type=int, choices=(100, 128), help="one of both")
    parser.add_argument("--case", action="append", choices=list(TARGETS))
    return parser.parse_args()


def main() -> None:
    """Measures every case in each profile that this build has."""
    options = parse()
    emit_machine()
    cases = options.case or list(TARGETS)[: 1 if options.smoke else None]
    for mode in (options.profile,) if options.profile else MODES:
        for case in cases:
            note(f"proofs: {case}: {mode}")
            count = 1 if options.smoke else PROOFS
            figures = in_child(case, mode, count)
            if "missing" in figures:
                note(f"proofs: profile {mode} is skipped: {figures['missing']}")
                break
            if options.security != 128:
                report(case, mode, figures, in_child(case, mode, 1, one_thread=True))
            if options.security == 128 or (options.security is None and case in CASES_128):
                report_128(case, mode, in_child(case, mode, count, security=128), figures)


if __name__ == "__main__":
    main()
