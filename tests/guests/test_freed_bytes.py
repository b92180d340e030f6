"""Goal: the counted allocator of a guest sees what an instrumented native allocator sees.

Method: the same C sources natively, with malloc and its kin wrapped by the linker, and as a guest
whose module is rewritten as admission does it; the sums may differ by 1 %.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from maxwell._native import measure
from support.guests import REPOSITORY, SAMPLES

pytestmark = pytest.mark.native

BENCH = REPOSITORY / "benches" / "erasure"
WRAPPED = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free"
OTHERS = REPOSITORY / "build" / "guests"
TOLERANCE = 0.01


def native(binary: Path, arguments: list[str]) -> tuple[str, int]:
    """Runs a counting program; returns what it printed and how many bytes it freed."""
    done = subprocess.run(
        [str(binary), *arguments], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout, int(done.stderr.split()[-1])


@pytest.mark.parametrize(
    ("name", "folder", "arguments"),
    [("churner", SAMPLES, ["20", "1000"]), ("churn", OTHERS, ["20000"])],
)
def test_own_guests(name: str, folder: Path, arguments: list[str], tmp_path: Path) -> None:
    module = folder / f"{name}.wasm"
    if not module.is_file():
        build = [sys.executable, str(REPOSITORY / "guests" / "build.py"), name]
        subprocess.run(build, check=True, timeout=600)
    sources = [str(REPOSITORY / "guests" / f"{name}.c"), str(BENCH / "counting_allocator.c")]
    include = str(REPOSITORY / "guests" / "sdk")
    binary = tmp_path / name
    command = ["cc", "-O1", "-std=gnu11", "-I", include, WRAPPED, *sources, "-o", str(binary)]
    subprocess.run(command, check=True, timeout=60)
    printed, freed = native(binary, arguments)
    [guest] = measure(module.read_bytes(), args=[name, *arguments], counted=True)
    assert guest.stdout.decode() == printed, "the same work"
    assert freed > 100_000
    assert guest.freed_bytes == pytest.approx(freed, rel=TOLERANCE)
    [plain] = measure(module.read_bytes(), args=[name, *arguments])
    assert (plain.freed_bytes, plain.stdout) == (0, guest.stdout)


@pytest.mark.slow
def test_lua_from_debian_sources() -> None:
    folder = REPOSITORY / "build" / "lua"
    if not (folder / "lua32").is_file():
        path = REPOSITORY / "tools" / "prepare_lua.py"
        spec = importlib.util.spec_from_file_location("prepare_lua", path)
        assert spec is not None
        assert spec.loader is not None
        prepare = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(prepare)
        assert prepare.main([]) == 0, "Debian's sources of Lua must be reachable once"
    printed, freed = native(folder / "lua32", [str(BENCH / "workload.lua"), "1"])
    [guest] = measure(
        (folder / "lua.wasm").read_bytes(),
        args=["lua", "/bench/workload.lua", "1"],
        dirs=[("/bench", BENCH, True)],
        counted=True,
    )
    assert guest.completed, guest.stderr
    assert guest.stdout.decode() == printed, "the same work"
    assert freed > 1_000_000
    assert guest.freed_bytes == pytest.approx(freed, rel=TOLERANCE)
