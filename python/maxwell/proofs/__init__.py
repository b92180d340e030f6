"""Proof of inference: this model on this input gave this output, and anyone can check it.

    from maxwell.proofs import prove

    proof = prove("digits_mlp.onnx", images)
    proof.verify(digest)
    print(proof.result.argmax(axis=1))

A model is an ONNX file, float or quantised, whose operators are all known; it is turned into exact
integer arithmetic first, and that is what is proved. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maxwell.lazy import lazy_names

if TYPE_CHECKING:
    from maxwell.proofs.calibrate import Options
    from maxwell.proofs.claims import Claim, MeterStatement, Order, Payments, SignedClaim
    from maxwell.proofs.importer import Network, load_onnx
    from maxwell.proofs.input_opening import InputOpening
    from maxwell.proofs.model import ProofModel
    from maxwell.proofs.proof import Model, Proof, prove
    from maxwell.proofs.secret_vectors import SecretVectors
    from maxwell.proofs.store import ModelStore
    from maxwell.proofs.tiers import Tier

_HOMES: Final = {
    "maxwell.proofs.calibrate": ("Options",),
    "maxwell.proofs.claims": ("Claim", "MeterStatement", "Order", "Payments", "SignedClaim"),
    "maxwell.proofs.importer": ("Network", "load_onnx"),
    "maxwell.proofs.input_opening": ("InputOpening",),
    "maxwell.proofs.model": ("ProofModel",),
    "maxwell.proofs.proof": ("Model", "Proof", "prove"),
    "maxwell.proofs.secret_vectors": ("SecretVectors",),
    "maxwell.proofs.store": ("ModelStore",),
    "maxwell.proofs.tiers": ("Tier",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = [
    "Claim",
    "InputOpening",
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
