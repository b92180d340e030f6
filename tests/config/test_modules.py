"""Module references: paths, files of distributions, samples; and what is said when they fail."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from maxwell.errors import ModuleError
from maxwell.modules import resolve_folder, resolve_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with one installed distribution, as pip leaves it."""
    folder = tmp_path / "site"
    info = folder / "yowasp_demo-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: yowasp-demo\nVersion: 1.0\n")
    files = ["demo/place.wasm", "demo/a/tool.wasm", "demo/b/tool.wasm", "demo/gone.wasm"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    for name in files[:-1]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0asm")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


def refused(ref: str, base: Path, environ: dict[str, str] | None = None) -> ModuleError:
    with pytest.raises(ModuleError) as caught:
        resolve_module(ref, base, environ=environ or {"MAXWELL_CACHE_DIR": str(base / "cache")})
    assert caught.value.exit_code == 127
    return caught.value


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "leech.wasm").write_bytes(b"\0asm")
    assert resolve_module("leech.wasm", tmp_path) == tmp_path / "leech.wasm"
    assert resolve_module(str(tmp_path / "leech.wasm"), tmp_path / "x") == tmp_path / "leech.wasm"
    error = refused("leach.wasm", tmp_path)
    assert (error.code, error.hint) == ("MX1101", "did you mean 'leech.wasm'?")
    assert "is a folder" in refused(".", tmp_path).message
    assert "there is no folder" in str(refused("no/x.wasm", tmp_path).hint)


def test_a_package_is_found_under_any_spelling(site: Path) -> None:
    for package in ("yowasp-demo", "yowasp_demo", "YoWASP.Demo"):
        found = resolve_module(f"pypi:{package}/place.wasm", site)
        assert found == site / "demo/place.wasm"


def test_the_end_of_a_path_must_be_unique(site: Path) -> None:
    assert resolve_module("pypi:yowasp-demo/a/tool.wasm", site) == site / "demo/a/tool.wasm"
    error = refused("pypi:yowasp-demo/tool.wasm", site)
    assert error.code == "MX1103"
    assert error.hint == "give more of the path: demo/a/tool.wasm, demo/b/tool.wasm"
    assert "2 files" in error.message


def test_a_package_without_the_file(site: Path) -> None:
    error = refused("pypi:yowasp-demo/plaice.wasm", site)
    assert (error.code, error.hint) == ("MX1103", "did you mean 'place.wasm'?")
    assert "reinstall" in str(refused("pypi:yowasp-demo/gone.wasm", site).hint)


def test_a_missing_package(tmp_path: Path) -> None:
    error = refused("pypi:no-such-thing/x.wasm", tmp_path)
    assert error.code == "MX1102"
    assert error.hint is not None
    assert error.hint.startswith("pip install no-such-thing, or put it at ")
    cached = tmp_path / "cache/pypi/no-such-thing/x.wasm"
    assert str(cached) in error.hint
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"\0asm")
    environ = {"MAXWELL_CACHE_DIR": str(tmp_path / "cache")}
    assert resolve_module("pypi:No_Such.Thing/x.wasm", tmp_path, environ=environ) == cached


@pytest.mark.parametrize(
    "ref",
    [
        "", "pypi:", "pypi:x", "pypi:x/", "pypi:/x.wasm", "pypi:x/../y.wasm", "pypi:x//etc/passwd",
        "pypi:-x/y.wasm", "http:x", "a\0b", "cache:", "cache:/etc", "cache:a/../../b",
    ],
)  # fmt: skip
def test_malformed(ref: str, tmp_path: Path) -> None:
    error = refused(ref, tmp_path)
    assert error.code == "MX1100"
    assert error.hint


def test_samples(tmp_path: Path) -> None:
    error = refused("samples:no-such-sample.wasm", tmp_path)
    assert error.code == "MX1104"
    assert error.hint
    assert refused("samples:../units.py", tmp_path).code == "MX1104"
    assert refused("samples:", tmp_path).code == "MX1104"
    try:
        found = resolve_module("samples:hello.wasm", tmp_path)
    except ModuleError:
        pytest.skip("samples are not built")
    assert found.read_bytes()[:4] == b"\0asm"


def test_the_cache_folder(tmp_path: Path) -> None:
    environ = {"MAXWELL_CACHE_DIR": str(tmp_path)}
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/python.wasm").write_bytes(b"\0asm")
    found = resolve_module("cache:fleet/python.wasm", tmp_path / "x", environ=environ)
    assert found == tmp_path / "fleet/python.wasm"
    assert refused("cache:fleet/pyhton.wasm", tmp_path, environ).hint is not None
    assert resolve_folder("cache:fleet", tmp_path / "x", environ=environ) == tmp_path / "fleet"
    with pytest.raises(ModuleError, match="no such folder") as caught:
        resolve_folder("cache:gone", tmp_path, environ=environ)
    assert "MAXWELL_CACHE_DIR" in str(caught.value.hint)


def test_a_folder_of_a_package(site: Path) -> None:
    assert resolve_folder("pypi:yowasp-demo/a", site) == site / "demo/a"
    assert resolve_folder("pypi:yowasp-demo/demo", site) == site / "demo"
    with pytest.raises(ModuleError, match="no folder 'share'") as caught:
        resolve_folder("pypi:yowasp-demo/share", site)
    assert caught.value.code == "MX1103"
    with pytest.raises(ModuleError) as caught:
        resolve_folder("pypi:no-such-thing/share", site)
    assert caught.value.code == "MX1102"
