"""Runs EZKL on one ONNX file, for comparison; started by `proofs_vs_ezkl.py` with EZKL's Python.

EZKL is not a dependency of Maxwell and has no licence: `make bench-ezkl` installs it from PyPI into
an environment of its own. Each phase is a process of its own, so that its peak memory is its own;
the structured reference string is made by EZKL's test function, which is not secure.

Reference strings are kept in the cache folder, and so are circuit and keys of a model whose keys
are small enough, with what making them cost: then setup is not measured again, and says so.

`python ezkl_side.py MODEL.onnx FOLDER CACHE` prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SCALE: Final = 7
"""Fixed-point bits of inputs and weights; EZKL's default, and near the 7 bits of int8."""

PHASE_S_MAX: Final = 900
PHASE_BYTES_MAX: Final = 20 * 2**30

KEYS_KEPT_MAX: Final = 3 * 2**30
KEPT: Final = ("settings.json", "circuit", "vk", "pk")


class Side:
    """The phases of EZKL on one model."""

    def __init__(self, model: Path, folder: Path, cache: Path) -> None:
        self.model = str(model)
        self.folder = folder
        self.cache = cache
        self.ezkl: Any = None

    def at(self, name: str) -> str:
        """Returns a path in the folder."""
        return str(self.folder / name)

    def logrows(self) -> int:
        """Returns the logarithm of the circuit's rows."""
        settings = json.loads((self.folder / "settings.json").read_text(encoding="utf-8"))
        return int(settings["run_args"]["logrows"])

    def prepare(self) -> dict[str, object]:
        """Chooses the circuit and compiles it."""
        arguments = self.ezkl.PyRunArgs()
        arguments.input_visibility = arguments.output_visibility = "public"
        arguments.param_visibility = "fixed"
        arguments.input_scale = arguments.param_scale = SCALE
        self.ezkl.gen_settings(self.model, self.at("settings.json"), py_run_args=arguments)
        self.ezkl.calibrate_settings(
            self.at("input.json"), self.model, self.at("settings.json"), "resources", scales=[SCALE]
        )
        self.ezkl.compile_circuit(self.model, self.at("circuit"), self.at("settings.json"))
        return {"logrows": self.logrows()}

    def srs(self) -> Path:
        """Returns where the reference string for this many rows is."""
        return self.cache / f"kzg-{self.logrows()}.srs"

    def reference_string(self) -> dict[str, object]:
        """Makes the structured reference string; kept for models of equal size."""
        made = self.srs()
        kept = made.exists()
        if not kept:
            part = made.with_suffix(".part")
            self.ezkl.gen_srs(str(part), self.logrows())
            part.rename(made)
        return {"srs_bytes": made.stat().st_size, "kept": kept}

    def setup(self) -> dict[str, object]:
        """Makes the keys."""
        srs = str(self.srs())
        self.ezkl.setup(self.at("circuit"), self.at("vk"), self.at("pk"), srs)
        return {f"{k}_bytes": (self.folder / k).stat().st_size for k in ("pk", "vk")}

    def witness(self) -> dict[str, object]:
        """Runs the circuit."""
        self.ezkl.gen_witness(self.at("input.json"), self.at("circuit"), self.at("witness.json"))
        return {}

    def prove(self) -> dict[str, object]:
        """Proves once."""
        srs = str(self.srs())
        self.ezkl.prove(
            self.at("witness.json"), self.at("circuit"), self.at("pk"), self.at("proof.json"), srs
        )
        proof = json.loads((self.folder / "proof.json").read_text(encoding="utf-8"))["proof"]
        size = len(bytes.fromhex(proof[2:])) if isinstance(proof, str) else len(proof)
        return {"proof_bytes": size}

    def verify(self) -> dict[str, object]:
        """Verifies three times; the fastest counts."""
        srs = str(self.srs())
        took: list[float] = []
        for _ in range(3):
            start = time.perf_counter()
            done = self.ezkl.verify(
                self.at("proof.json"), self.at("settings.json"), self.at("vk"), srs
            )
            took.append(time.perf_counter() - start)
            assert done
        return {"wall_s": min(took)}

    def phases(self) -> dict[str, Callable[[], dict[str, object]]]:
        """Returns the phases in their order."""
        return {
            "prepare": self.prepare,
            "reference_string": self.reference_string,
            "setup": self.setup,
            "witness": self.witness,
            "prove": self.prove,
            "verify": self.verify,
        }


def run_phase(side: Side, phase: str) -> None:
    """Runs one phase in this process and prints what it cost."""
    side.ezkl = import_module("ezkl")
    start, cpu = time.perf_counter(), time.process_time()
    result = side.phases()[phase]()
    result.setdefault("wall_s", time.perf_counter() - start)
    result["cpu_s"] = time.process_time() - cpu
    result["rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print("\n" + json.dumps(result), flush=True)


def limit() -> None:
    """Bounds a phase's memory; runs in the child before it starts."""
    resource.setrlimit(resource.RLIMIT_DATA, (PHASE_BYTES_MAX, PHASE_BYTES_MAX))


class Kept:
    """Circuit and keys of one model in the cache folder, with what making them cost."""

    PHASES: Final = ("prepare", "reference_string", "setup")

    def __init__(self, side: Side, version: str) -> None:
        digest = hashlib.sha256(f"{version} {SCALE} ".encode() + Path(side.model).read_bytes())
        digest.update((side.folder / "input.json").read_bytes())
        self.folder = side.cache / "keys" / digest.hexdigest()[:24]
        self.side = side

    def take(self) -> dict[str, object]:
        """Links what is kept into the working folder; returns its figures, or nothing."""
        figures = self.folder / "figures.json"
        if not figures.exists():
            return {}
        for name in KEPT:
            (self.side.folder / name).symlink_to(self.folder / name)
        found: dict[str, dict[str, object]] = json.loads(figures.read_text(encoding="utf-8"))
        return {phase: {**what, "kept": True} for phase, what in found.items()}

    def put(self, results: dict[str, object]) -> None:
        """Moves circuit and keys into the cache and links them, unless they are too large."""
        if (self.side.folder / "pk").stat().st_size > KEYS_KEPT_MAX:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.move(self.side.folder / name, self.folder / name)
            (self.side.folder / name).symlink_to(self.folder / name)
        figures = {phase: results[phase] for phase in self.PHASES}
        (self.folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


def main() -> None:
    """Runs all phases, each in a child."""
    model, folder, cache = (Path(word).resolve() for word in sys.argv[1:4])
    side = Side(model, folder, cache)
    if len(sys.argv) > 4:
        run_phase(side, sys.argv[4])
        return
    cache.mkdir(parents=True, exist_ok=True)
    kept = Kept(side, metadata.version("ezkl"))
    results = kept.take()
    for phase in side.phases():
        if phase in results:
            continue
        command = [sys.executable, __file__, str(model), str(folder), str(cache), phase]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PHASE_S_MAX, check=True,
                preexec_fn=limit, env={**os.environ, "HOME": str(folder)},
            )  # fmt: skip
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            results["failed"] = f"{phase}: {error}"
            sys.stderr.write(str(getattr(error, "stderr", ""))[-2_000:])
            break
        results[phase] = json.loads(done.stdout.splitlines()[-1])
        if phase == "setup":
            kept.put(results)
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
