"""The examples in the docstrings of configuration, money and energy are true."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import pytest

MODULES = [
    "maxwell.units",
    "maxwell.config.single",
    "maxwell.lab.result",
    "maxwell.lab.sweep",
    "maxwell.market.primes",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "maxwell.config",
        "maxwell.config.records",
        "maxwell.market",
        "maxwell.market.rewards",
        "maxwell.market.resolvers",
        "maxwell.market.mint",
        "maxwell.energy",
        "maxwell.energy.sources",
        "maxwell.modules",
    ],
)
def test_each_module_imports_first(name: str) -> None:
    """Goal: configuration and rewards know each other, and either may be imported first."""
    result = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert result.returncode == 0, result.stderr
