"""The seam to the native prover: the only module that calls `maxwell._native` for proofs.

Everything crosses as bytes and plain integers: the model's JSON form, weights as int16, inputs and
outputs as little-endian int16 with the batch first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

import maxwell._native as native
from maxwell.errors import ProofError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maxwell.proofs.model import ProofModel


class Registered(Protocol):
    """A model whose weights are committed to; made by the native module, kept in memory."""

    @property
    def digest(self) -> bytes:
        """The 32 bytes that stand for the model, D_M."""
        ...

    @property
    def header(self) -> bytes:
        """What a verifier holds: profile, weight root and architecture."""
        ...


class _Native(Protocol):
    """The functions that the native module offers."""

    def proof_register(self, model_json: str, weights: bytes, hiding: bool) -> Registered: ...
    def proof_prove(
        self, model: Registered, x: bytes, batch: int, context: bytes
    ) -> tuple[bytes, bytes]: ...
    def proof_verify(
        self, header: bytes, x: bytes, y: bytes, batch: int, context: bytes, proof: bytes
    ) -> None: ...
    def proof_digest(self, header: bytes) -> bytes: ...


def available() -> bool:
    """Says whether this installation can prove."""
    return hasattr(native, "proof_register")


def _functions() -> _Native:
    if not available():
        raise ProofError(
            "this installation has no prover",
            code="MX1608",
            hint="rebuild the native module with `make native`",
        )
    return cast(_Native, native)


def register(model: ProofModel, *, hiding: bool) -> Registered:
    """Commits to a model's weights: once per model, a few ms per 10,000 weights.

    Raises:
        ProofError: MX1603 or MX1604 for a model that is not allowed, MX1608 without a prover.
    """
    return _functions().proof_register(model.to_json(), model.weight_bytes(), hiding)


def prove(
    model: Registered, x: NDArray[np.int16], output_shape: tuple[int, ...], context: bytes
) -> tuple[NDArray[np.int16], bytes]:
    """Runs a model on integers and proves it.

    Args:
        model: what `register` returned.
        x: `(batch, *input_shape)`.
        output_shape: of the model, without the batch.
        context: what the proof is bound to, such as the digest of a claim.

    Returns:
        `(batch, *output_shape)` and the proof.
    """
    y, proof = _functions().proof_prove(model, to_bytes(x), len(x), context)
    return np.frombuffer(y, "<i2").reshape(len(x), *output_shape), proof


def verify(header: bytes, *, x: bytes, y: bytes, batch: int, context: bytes, proof: bytes) -> None:
    """Checks a proof against everything that it is about.

    Raises:
        ProofError: MX1606 when it does not hold.
    """
    _functions().proof_verify(header, x, y, batch, context, proof)


def digest(header: bytes) -> bytes:
    """Returns the digest of the model that a header describes."""
    return _functions().proof_digest(header)


def to_bytes(ints: NDArray[np.int16]) -> bytes:
    """Returns a tensor as it crosses the boundary."""
    return np.ascontiguousarray(ints, "<i2").tobytes()
