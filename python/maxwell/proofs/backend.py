"""The seam to the native prover: the only module that calls `maxwell._native` for proofs.

Everything crosses as bytes and plain integers: the model's JSON form, weights as int16, inputs and
outputs as little-endian int16 with the batch first. The native module's failures come as a kind
and a message; here they become errors with codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, Protocol, cast

import numpy as np

import maxwell._native as native
from maxwell.errors import InternalError, ProofError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from maxwell.proofs.model import ProofModel

CODES: Final = {
    "invalid_model": "MX1703",
    "invalid_data": "MX1705",
    "rejected": "MX1706",
    "budget_spent": "MX1716",
}
"""What each kind of native failure is to a user."""


HINTS: Final = {
    "MX1706": "do not use its output; ask for the proof again",
    "MX1716": "nothing is left to make new randomness with; register the model again with --zk",
}


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

    def run(self, input: bytes, *, batch: int = 1) -> bytes:  # noqa: A002 – the native name
        """Runs the model without a proof."""
        ...

    def prove(
        self,
        input: bytes,  # noqa: A002 – the native name
        *,
        context: bytes,
        batch: int = 1,
    ) -> tuple[bytes, bytes]:
        """Returns a proof and the output that it is about."""
        ...

    def link(self, newer: Registered) -> bytes:
        """Returns a proof that another registration is of the same weights."""
        ...


class HiddenProof(NamedTuple):
    """A proof that hides its input, as the native module returns it."""

    proof: bytes
    output: bytes
    commitment: bytes
    """32 bytes that stand for the input."""
    seed: bytes
    """Secret: what the commitment was made with."""


class SecretVector(Protocol):
    """The secret of one matrix of weights, kept by whoever checks its products."""

    def holds(self, rows: bytes, sums: bytes) -> bool:
        """Says whether int64 `sums`, bias included, are the products of int16 `rows`."""
        ...


class _Native(Protocol):
    """What the native module offers for proofs."""

    ProofFailure: type[Exception]
    ProofModel: Callable[..., Registered]
    SecretVector: Callable[[bytes, bytes, bytes], SecretVector]

    def proof_verify(
        self,
        header: bytes,
        proof: bytes,
        *,
        input: bytes,  # noqa: A002 – the native name
        output: bytes,
        context: bytes,
        batch: int = 1,
    ) -> None: ...
    def proof_digest(self, header: bytes) -> bytes: ...
    def proof_verify_link(self, old: bytes, new: bytes, proof: bytes) -> None: ...
    def proof_prove_hidden_input(
        self,
        model: Registered,
        input: bytes,  # noqa: A002 – the native name
        *,
        context: bytes,
        batch: int = 1,
    ) -> tuple[bytes, bytes, bytes, bytes]: ...
    def proof_verify_hidden_input(
        self,
        header: bytes,
        proof: bytes,
        *,
        commitment: bytes,
        output: bytes,
        context: bytes,
        batch: int = 1,
    ) -> None: ...
    def proof_commit_input(
        self,
        header: bytes,
        input: bytes,  # noqa: A002 – the native name
        *,
        seed: bytes,
        batch: int = 1,
    ) -> bytes: ...


def available() -> bool:
    """Says whether this installation can prove."""
    return hasattr(native, "ProofModel")


def _functions() -> _Native:
    if not available():
        raise ProofError(
            "this installation has no prover",
            code="MX1708",
            hint="rebuild the native module with `make native`",
        )
    return cast(_Native, native)


def _raise(error: Exception) -> NoReturn:
    """Raises what a native failure is to a user."""
    kind, message = (*error.args, "", "")[:2]
    code = CODES.get(str(kind))
    if code is None:
        raise InternalError(str(message) or str(error)) from error
    raise ProofError(str(message), code=code, hint=HINTS.get(code)) from error


def register(
    model: ProofModel,
    *,
    seed: bytes | None = None,
    openings: int = 0,
    opened: int = 0,
    security: int = 100,
) -> Registered:
    """Commits to a model's weights: once per model, a few ms per 10,000 weights.

    Args:
        model: what to commit to.
        seed: 32 fresh secret bytes if proofs shall hide the weights.
        openings: how often they may then be opened.
        opened: how often they were opened before, under the same seed.
        security: 100 or 128 bits.

    Raises:
        ProofError: MX1703 for a model that is not allowed, MX1708 without a prover.
    """
    functions = _functions()
    try:
        return functions.ProofModel(
            model.to_json(),
            model.weight_bytes(),
            seed=seed,
            openings=openings,
            opened=opened,
            security=security,
        )
    except functions.ProofFailure as error:
        _raise(error)


def run(
    model: Registered, x: NDArray[np.int16], output_shape: tuple[int, ...]
) -> NDArray[np.int16]:
    """Runs a model on integers, `(batch, *input_shape)`, without proving.

    Raises:
        ProofError: MX1705 for an input that does not fit.
    """
    functions = _functions()
    try:
        y = model.run(to_bytes(x), batch=len(x))
    except functions.ProofFailure as error:
        _raise(error)
    return np.frombuffer(y, "<i2").reshape(len(x), *output_shape)


def link(old: Registered, new: Registered) -> bytes:
    """Proves that two registrations are of the same weights; spends an opening of both.

    Raises:
        ProofError: MX1716 when one has no opening left.
    """
    functions = _functions()
    try:
        return old.link(new)
    except functions.ProofFailure as error:
        _raise(error)


def verify_link(old: bytes, new: bytes, proof: bytes) -> None:
    """Checks that two headers are of the same weights.

    Raises:
        ProofError: MX1706 when that is not proved.
    """
    functions = _functions()
    try:
        functions.proof_verify_link(old, new, proof)
    except functions.ProofFailure as error:
        raise ProofError(str(error.args[-1]), code="MX1706") from error


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

    Raises:
        ProofError: MX1705 for an input that does not fit, MX1716 when hidden weights have no
            opening left. Whoever keeps the count has counted before.
    """
    functions = _functions()
    try:
        proof, y = model.prove(to_bytes(x), context=context, batch=len(x))
    except functions.ProofFailure as error:
        _raise(error)
    return np.frombuffer(y, "<i2").reshape(len(x), *output_shape), proof


def verify(header: bytes, *, x: bytes, y: bytes, batch: int, context: bytes, proof: bytes) -> None:
    """Checks a proof against everything that it is about.

    Raises:
        ProofError: MX1706 when it does not hold; also when header, input or output are no such.
    """
    functions = _functions()
    try:
        functions.proof_verify(header, proof, input=x, output=y, context=context, batch=batch)
    except functions.ProofFailure as error:
        if error.args[:1] in {("invalid_model",), ("invalid_data",)}:
            raise ProofError(str(error.args[-1]), code="MX1706") from error
        _raise(error)


def prove_hidden_input(model: Registered, x: NDArray[np.int16], context: bytes) -> HiddenProof:
    """Runs a model that hides its weights on integers and proves it without telling the integers.

    Args:
        model: what `register` returned.
        x: `(batch, *input_shape)`.
        context: what the proof is bound to.

    Raises:
        ProofError: as `prove`; MX1705 also for a model that hides nothing.
    """
    functions = _functions()
    try:
        made = functions.proof_prove_hidden_input(model, to_bytes(x), context=context, batch=len(x))
    except functions.ProofFailure as error:
        _raise(error)
    return HiddenProof(*made)


def verify_hidden_input(
    header: bytes, *, commitment: bytes, y: bytes, batch: int, context: bytes, proof: bytes
) -> None:
    """Checks a proof whose input is hidden behind a commitment.

    Raises:
        ProofError: MX1706 when it does not hold; also when header, commitment or output are no
            such, or the model hides nothing.
    """
    functions = _functions()
    try:
        functions.proof_verify_hidden_input(
            header, proof, commitment=commitment, output=y, context=context, batch=batch
        )
    except functions.ProofFailure as error:
        if error.args[:1] in {("invalid_model",), ("invalid_data",)}:
            raise ProofError(str(error.args[-1]), code="MX1706") from error
        _raise(error)


def commit_input(header: bytes, x: bytes, *, batch: int, seed: bytes) -> bytes:
    """Returns the commitment to an input under a seed, as a proof that hides it shows it.

    Raises:
        ProofError: MX1706 when header, input or seed are no such, or the model hides nothing.
    """
    functions = _functions()
    try:
        return functions.proof_commit_input(header, x, seed=seed, batch=batch)
    except functions.ProofFailure as error:
        if error.args[:1] in {("invalid_model",), ("invalid_data",)}:
            raise ProofError(str(error.args[-1]), code="MX1706") from error
        _raise(error)


def digest(header: bytes) -> bytes:
    """Returns the digest of the model that a header describes.

    Raises:
        ProofError: MX1706 when it is none.
    """
    functions = _functions()
    try:
        return functions.proof_digest(header)
    except functions.ProofFailure as error:
        raise ProofError(str(error.args[-1]), code="MX1706") from error


def secret_vector(matrix: NDArray[np.int16], bias: tuple[int, ...], seed: bytes) -> SecretVector:
    """Prepares the check of `x · matrix + bias` against a secret drawn from 32 random bytes.

    Raises:
        ProofError: MX1708 without a prover.
    """
    sums = np.asarray(bias, "<i8").tobytes()
    return _functions().SecretVector(to_bytes(matrix), sums, seed)


def to_bytes(ints: NDArray[np.int16]) -> bytes:
    """Returns a tensor as it crosses the boundary."""
    return np.ascontiguousarray(ints, "<i2").tobytes()
