"""Goal: the names that the package offers exist, and importing it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import maxwell.proofs
from maxwell.errors import ProofError
from maxwell.proofs import SignedClaim


def test_every_public_name_loads() -> None:
    for name in maxwell.proofs.__all__:
        assert getattr(maxwell.proofs, name).__doc__
    assert sorted(maxwell.proofs.__all__) == dir(maxwell.proofs)


def test_importing_the_package_loads_no_numpy() -> None:
    code = "import sys, maxwell.proofs; assert not {'numpy', 'onnx', 'cbor2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", ["onnx", "cbor2"])
def test_without_the_extra_the_error_names_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of None in `sys.modules` is what Python takes for "not installed"."""
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x08")
    with pytest.raises(ProofError) as caught:
        maxwell.proofs.load_onnx(path) if package == "onnx" else SignedClaim.decode(b"")
    assert caught.value.code == "MX1710"
    assert package in caught.value.message
    assert caught.value.hint == "pip install 'maxwell-hypervisor[proofs]'"
