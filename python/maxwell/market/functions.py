"""Importing a sponsor's Python function by `python:module:function`.

A module that lies in the fleet file's folder is loaded from there, whatever else bears its name;
its own imports of neighbours work while it loads. Any other module is imported as usual.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from maxwell.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path
    from types import ModuleType


def split_reference(reference: str, *, what: str) -> tuple[str, str]:
    """Returns module and function of `python:module:function`.

    Raises:
        ConfigError: MX1012 when it is not of this form.
    """
    parts = reference.split(":")
    if (
        len(parts) != 3
        or parts[0] != "python"
        or not all(name.isidentifier() for name in parts[1].split("."))
        or not parts[2].isidentifier()
    ):
        raise ConfigError(
            f"{what}: not a reference to a function: {reference[:120]!r}",
            code="MX1012",
            hint="write python:module:function, such as python:checks:is_prime",
        )
    return parts[1], parts[2]


def import_function(reference: str, *, what: str, base_dir: Path | None) -> Callable[[str], object]:
    """Imports the function that `python:module:function` names.

    Raises:
        ConfigError: MX1012 when the module cannot be imported or has no such function.
    """
    module_name, function_name = split_reference(reference, what=what)
    try:
        module = _import(module_name, base_dir)
    except Exception as error:
        # Importing runs the sponsor's code, which may raise anything.
        raise ConfigError(
            f"{what}: cannot import {module_name!r}: {type(error).__name__}: {error}",
            code="MX1012",
            hint=f"put {module_name}.py beside the fleet file, or install its package",
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ConfigError(
            f"{what}: {module_name!r} has no function {function_name!r}",
            code="MX1012",
            hint="the function takes one line as text and returns True or False",
        )
    return cast("Callable[[str], object]", function)


def _import(name: str, base_dir: Path | None) -> ModuleType:
    if base_dir is None:
        return importlib.import_module(name)
    stem = base_dir.joinpath(*name.split("."))
    for file in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
        if file.is_file():
            with _importable(base_dir):
                return _load(file, name)
    with _importable(base_dir):
        return importlib.import_module(name)


def _load(file: Path, name: str) -> ModuleType:
    """Loads a file under a name of its own, so that two fleets' modules do not meet."""
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]
    own = f"maxwell_resolver_{digest}_{name.replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(own, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python module: {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own]
        raise
    return module


@contextmanager
def _importable(folder: Path) -> Generator[None]:
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
