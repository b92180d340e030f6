"""Proving the same ONNX files with Maxwell and, where it is installed, with EZKL.

Goal: setup, prove and verify time, proof and key bytes, peak memory and CPU seconds of both, on one
machine in one run, with what each leaves out. Not: which of the two is right for a purpose.

Method: every case is an ONNX file of float weights (`harness/onnx_cases.py`). Ours: imported with
64 standard-normal inputs as calibration, in a process of its own; the best of several proofs, each
verified and compared with the reference. EZKL: `harness/ezkl_side.py`, one process a phase, once.
Times are wall, CPU time beside them; EZKL's proving includes its witness.

What is left out: see `LEFT_OUT`, which is printed with the table.

`python benches/proofs_vs_ezkl.py [--smoke] [--case NAME]… [--profile plain|zk] [--ezkl PYTHON]
[--cache FOLDER] [--out RESULT.json]`; the table is the last thing on stderr, and
`docs/images/draw_proofs.py RESULT.json` draws it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from harness import REPOSITORY, emit, emit_machine, note
from harness.onnx_cases import CASES, Case, case_named
from harness.proof_case import HIDING_BYTES, MODES, TARGETS, in_child

PROOFS: Final = 5
EZKL_CANNOT: Final = {"d_ffn_768_3072", "d_ffn_768_3072_768", "d_matmul512"}
"""Cases that do not fit 24 GiB with EZKL 23."""

TIMES_FASTER_MIN: Final = 500

LEFT_OUT: Final = (
    "EZKL computes in fixed point with 7 fractional bits and keeps wider values between "
    "layers; ours is int8 with exact requantisation, so that outputs differ.",
    "EZKL, these settings: input and output public, weights fixed in the circuit, so that its "
    "verifying key is the commitment to the model; its reference string is a test one, is not "
    "counted, and in earnest needs a trusted set-up.",
    "Ours, plain: input and output public, and a proof tells something of weights and activations. "
    "Ours, zk: weights and activations hidden, input and output public. No set-up, no proving key; "
    "the header is what a verifier needs.",
    "EZKL has smaller proofs, verification on a chain, and more operators.",
)

COLUMNS: Final = (
    ("setup_ms", "setup ms"),
    ("prove_ms", "prove ms"),
    ("verify_ms", "verify ms"),
    ("proof_bytes", "proof B"),
    ("key_bytes", "key B"),
    ("rss_bytes", "peak MiB"),
    ("cpu_ms", "prove CPU s"),
)


def cache_folder() -> Path:
    """Returns where reference strings and keys are kept between runs and clones."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "maxwell" / "ezkl"


def ezkl(python: Path, case: Case, folder: Path, cache: Path) -> dict[str, Any] | None:
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
        [python, side, model, own, cache], capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stderr)
    if done.returncode:
        raise SystemExit(f"ezkl: {case.name}: exit code {done.returncode}")
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "failed" in results:
        note(f"ezkl: {case.name}: {results['failed']}")
        return None
    return _figures(results)


def _figures(peer: dict[str, Any]) -> dict[str, Any]:
    """Returns EZKL's figures under our names."""
    prove, setup, witness = peer["prove"], peer["setup"], peer["witness"]
    return {
        "setup_ms": setup["wall_s"] * 1e3,
        "prove_ms": (prove["wall_s"] + witness["wall_s"]) * 1e3,
        "cpu_ms": (prove["cpu_s"] + witness["cpu_s"]) * 1e3,
        "verify_ms": peer["verify"]["wall_s"] * 1e3,
        "proof_bytes": prove["proof_bytes"],
        "key_bytes": setup["pk_bytes"] + setup["vk_bytes"],
        "rss_bytes": max(prove["rss_bytes"], setup["rss_bytes"]),
        "setup_kept": bool(setup.get("kept", False)),
    }


def report(case: Case, mode: str, figures: dict[str, Any], peer: dict[str, Any] | None) -> None:
    """Prints the lines of one case and mode."""
    prove, verify, size = TARGETS.get(case.name, (None, None, None))
    if size is not None and mode == "plain":
        size -= HIDING_BYTES
    targets = {"prove_ms": prove, "verify_ms": verify, "proof_bytes": size}
    for key, _ in COLUMNS:
        emit(
            f"proofs.beside_ezkl.{case.name}.{mode}.{key}",
            figures[key],
            key.rpartition("_")[2],
            target=targets.get(key),
            peer=None if peer is None else "ezkl",
            peer_value=None if peer is None else peer[key],
        )
    if peer is not None:
        times = peer["prove_ms"] / figures["prove_ms"]
        emit(
            f"proofs.beside_ezkl.{case.name}.{mode}.share_of_ezkl",
            1 / times,
            "ratio",
            target=1 / TIMES_FASTER_MIN,
            more={"times_faster": round(times), "setup_kept": peer["setup_kept"]},
        )


def table(results: list[dict[str, Any]]) -> str:
    """Returns all results as text."""
    head = ["case", "prover", *(title for _, title in COLUMNS), "prove, times"]
    rows = [head]
    for result in results:
        peer = result["ezkl"]
        if peer is not None:
            kept = "ezkl (setup kept)" if peer["setup_kept"] else "ezkl"
            rows.append([result["case"], kept, *_cells(peer), ""])
        for mode, figures in result["ours"].items():
            times = "" if peer is None else f"{peer['prove_ms'] / figures['prove_ms']:,.0f}"
            rows.append([result["case"], f"ours, {mode}", *_cells(figures), times])
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, "", *LEFT_OUT])


def _cells(figures: dict[str, Any]) -> list[str]:
    divisors = {"rss_bytes": 2**20, "cpu_ms": 1e3}
    values = [figures[key] / divisors.get(key, 1) for key, _ in COLUMNS]
    return [f"{value:,.3g}" if value < 1_000 else f"{value:,.0f}" for value in values]


def parse() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="one small case, for tests")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--profile", choices=MODES, help="one of our profiles, not all")
    parser.add_argument("--ezkl", type=Path, metavar="PYTHON", help="interpreter that has ezkl")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="EZKL's strings, keys")
    parser.add_argument("--out", type=Path, help="all results as JSON, for the picture")
    return parser.parse_args()


def main() -> None:
    """Measures every case with both."""
    options = parse()
    emit_machine()
    names = options.case or list(TARGETS)[: 1 if options.smoke else None]
    modes = [options.profile] if options.profile else list(MODES)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            case = case_named(name)
            ours: dict[str, Any] = {}
            for mode in tuple(modes):
                note(f"proofs: {name}: {mode}")
                figures = in_child(name, mode, 1 if options.smoke else PROOFS)
                if "missing" in figures:
                    note(f"proofs: profile {mode} is skipped: {figures['missing']}")
                    modes.remove(mode)
                    continue
                ours[mode] = figures
            peer = None
            if options.ezkl is not None:
                note(f"proofs: {name}: ezkl")
                peer = ezkl(options.ezkl, case, Path(folder), options.cache)
            for mode, figures in ours.items():
                report(case, mode, figures, peer)
            results.append({"case": name, "ours": ours, "ezkl": peer})
            if options.out is not None:
                text = json.dumps({"left_out": LEFT_OUT, "results": results}, indent=1)
                options.out.write_text(text + "\n", encoding="utf-8")
    sys.stderr.write(table(results) + "\n")


if __name__ == "__main__":
    main()
