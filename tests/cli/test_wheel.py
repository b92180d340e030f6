"""The wheel: built here, installed into a fresh environment without Rust, run offline.

Method: what `make wheel` does, into a folder of the test's own; then a new virtual environment with
the pinned versions of what the wheel needs, a PATH without cargo, and, where the system lets us, a
network namespace with nothing in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cli.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.native]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built now."""
    out = tmp_path_factory.mktemp("dist")
    maturin = Path(sys.executable).parent / "maturin"
    subprocess.run(
        [maturin, "build", "--release", "--locked", "--out", out], cwd=REPOSITORY, check=True
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_is_abi3_and_carries_all_it_needs(wheel: Path) -> None:
    assert wheel.name.startswith("maxwell_hypervisor-")
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "maxwell/_native.abi3.so",
        "maxwell/_native.pyi",
        "maxwell/py.typed",
        "maxwell/cli/demo.toml",
        *(f"maxwell/samples/{name}.wasm" for name in ("hello", "scientist", "leech", "hog")),
    ):
        assert needed in names
    assert not [name for name in names if "test" in name or name.endswith((".rs", ".c"))]


def test_a_fresh_environment_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pins = REPOSITORY / "requirements/dev.txt"
    constraints = tmp_path / "constraints.txt"
    lines = pins.read_text().splitlines()
    constraints.write_text("\n".join(line for line in lines if "[" not in line))
    subprocess.run(
        [environment / "bin/pip", "install", "--quiet", "--constraint", constraints, wheel],
        check=True,
    )
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MAXWELL_CACHE_DIR": str(tmp_path)}
    assert shutil.which("cargo", path=clean["PATH"]) is None
    isolated = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
    for arguments in (["--version"], ["doctor"], ["demo", "--out", "run"]):
        done = subprocess.run(
            [*isolated, environment / "bin/maxwell", *arguments],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert (tmp_path / "run/report.json").exists()
