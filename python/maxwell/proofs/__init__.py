"""Proof of inference: this model on this input gave this output, and anyone can check it.

    from maxwell.proofs import prove

    proof = prove("digits_mlp.onnx", images)
    proof.verify(digest)
    print(proof.result.argmax(axis=1))

A model is an ONNX file, float or quantised, whose operators are all known; it is turned into exact
integer arithmetic first, and that is what is proved. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from maxwell.proofs.calibrate import Options
    from maxwell.proofs.claims import Claim, MeterStatement, Order, Payments, SignedClaim
    from maxwell.proofs.importer import Network, load_onnx
    from maxwell.proofs.model import ProofModel
    from maxwell.proofs.proof import Model, Proof, prove
    from maxwell.proofs.secret_vectors import SecretVectors
    from maxwell.proofs.store import ModelStore
    from maxwell.proofs.tiers import Tier

_HOMES: Final = {
    "maxwell.proofs.calibrate": ("Options",),
    "maxwell.proofs.claims": ("Claim", "MeterStatement", "Order", "Payments", "SignedClaim"),
    "maxwell.proofs.importer": ("Network", "load_onnx"),
    "maxwell.proofs.model": ("ProofModel",),
    "maxwell.proofs.proof": ("Model", "Proof", "prove"),
    "maxwell.proofs.secret_vectors": ("SecretVectors",),
    "maxwell.proofs.store": ("ModelStore",),
    "maxwell.proofs.tiers": ("Tier",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Claim",
    "MeterStatement",
    "Model",
    "ModelStore",
    "Network",
    "Options",
    "Order",
    "Payments",
    "Proof",
    "ProofModel",
    "SecretVectors",
    "SignedClaim",
    "Tier",
    "load_onnx",
    "prove",
]


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
