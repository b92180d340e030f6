"""Packages of the extra `proofs`, imported when they are first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from maxwell.errors import ProofError


def optional(name: str) -> Any:  # noqa: ANN401 – a module, whose names are the callers' matter
    """Imports a module of a package that only proofs need.

    Raises:
        ProofError: MX1710 when it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ProofError(
            f"the package {name.partition('.')[0]} is not installed",
            code="MX1710",
            hint="pip install 'maxwell-hypervisor[proofs]'",
        ) from error
