"""Proofs as files and objects: made from a model and an input, checked against a digest.

A proof file carries everything that it is about, the model's header included, so that it can be
checked on a machine that never saw the model: the header must hash to the digest that the
verifier asks for. Whoever verifies chooses that digest; a file's own word for it is worth nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs import backend, semantics
from maxwell.proofs.claims import commit_tensor
from maxwell.proofs.extras import optional
from maxwell.proofs.hidden import (
    LINEAGE_MAX,
    Hidden,
    check_lineage,
    decode_lineage,
    encode_lineage,
    first_header,
)
from maxwell.proofs.importer import Network, load_onnx
from maxwell.proofs.model import BATCH_MAX
from maxwell.proofs.openings import TOTAL_DEFAULT, kept_for_refreshes, proofs_left
from maxwell.proofs.profiles import SECURITY_DEFAULT, check_security, hides, profile_of
from maxwell.proofs.store import ModelStore
from maxwell.proofs.tiers import Tier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maxwell.proofs.calibrate import Options
    from maxwell.proofs.claims import Claim
    from maxwell.proofs.hidden import Lineage

FORMAT: Final = "maxwell-proof/1"
FILE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Header, input, output and proof; the largest of the documented cases is below 2 MiB."""


class Model:
    """A network that is registered: its weights are committed to, so that it has a digest.

    Args:
        network: what to register.
        hiding: whether proofs shall tell nothing about weights and activations (tier T4). Such a
            model has a secret and a limited number of proofs; `save` keeps both.
        openings: how often hidden weights may be opened; two are kept for refreshes.
        security: 100 or 128 bits: a false statement is proved once in 2^security at most. The
            digest is another for each.

    Raises:
        ProofError: MX1708 when this installation has no prover, MX1703 for another security.
    """

    def __init__(
        self,
        network: Network,
        *,
        hiding: bool = False,
        openings: int = TOTAL_DEFAULT,
        security: int = SECURITY_DEFAULT,
    ) -> None:
        check_security(security)
        self._become(network, Hidden.new(openings) if hiding else None, security)

    def _become(self, network: Network, hidden: Hidden | None, security: int) -> None:
        self.network = network
        self.security = security
        self._hidden = hidden
        self._store: ModelStore | None = None
        # Count and commitment change together.
        self._lock = threading.RLock()
        self._registered = (
            backend.register(network.proof_model, security=security)
            if hidden is None
            else backend.register(
                network.proof_model,
                seed=hidden.seed,
                openings=hidden.openings.total,
                security=security,
            )
        )

    @classmethod
    def from_onnx(
        cls,
        path: str | Path,
        *,
        calibration: NDArray[np.floating] | None = None,
        options: Options | None = None,
        hiding: bool = False,
        openings: int = TOTAL_DEFAULT,
        security: int = SECURITY_DEFAULT,
    ) -> Model:
        """Imports an ONNX file (`maxwell.proofs.load_onnx`) and registers it."""
        check_security(security)
        network = load_onnx(path, calibration=calibration, options=options)
        return cls(network, hiding=hiding, openings=openings, security=security)

    @classmethod
    def stored(cls, digest: str, store: ModelStore | None = None) -> Model:
        """Returns a model of the local store, with its secret and its count if it hides.

        Raises:
            ProofError: MX1707 when it is not there, MX1715 when it does not fit its digest.
        """
        where = ModelStore() if store is None else store
        model = cls.__new__(cls)
        hides = where.about(digest).hiding
        hidden, header = Hidden.load(where.folder / digest) if hides else (None, b"")
        model._become(where.load(digest), hidden, where.security(digest))
        model._store = where
        if model.digest != digest or (hides and model.header != header):
            raise ProofError(
                f"model {digest[:16]}… of the store has other weights than its digest says",
                code="MX1715",
                hint="remove its folder and register the model again",
            )
        return model

    @property
    def hiding(self) -> bool:
        """Whether proofs tell nothing about the weights."""
        return self._hidden is not None

    @property
    def proofs_left(self) -> int | None:
        """How many proofs can be made before a refresh; None when nothing is hidden."""
        return None if self._hidden is None else proofs_left(self._hidden.openings)

    @property
    def digest(self) -> str:
        """D_M in hexadecimal: what a proof is checked against. Survives a refresh."""
        lineage = () if self._hidden is None else self._hidden.lineage
        return backend.digest(first_header(lineage, self.header)).hex()

    @property
    def header(self) -> bytes:
        """What a verifier needs of the model's current commitment."""
        return self._registered.header

    @property
    def headers(self) -> tuple[bytes, ...]:
        """Those of all its commitments, the current one first."""
        lineage = () if self._hidden is None else self._hidden.lineage
        return (self.header, *(header for header, _ in reversed(lineage)))

    def save(self, store: ModelStore | None = None) -> Path:
        """Puts the model into the local store; a hiding one with its secret, for this user only.

        Raises:
            ProofError: MX1715 when the folder cannot be written, and when a hiding model is in
                another store already, or was refreshed before it was saved: its openings are
                counted in one place, from its first commitment on.
        """
        where = ModelStore() if store is None else store
        with self._lock:
            if self._hidden is not None:
                if (
                    self._store is not None
                    and self._store.folder.resolve() != where.folder.resolve()
                ):
                    raise ProofError(
                        f"the model is in {self._store.folder}, and a second count of its openings "
                        "could give its weights away",
                        code="MX1715",
                        hint="register the ONNX file there, which makes another digest",
                    )
                if self._store is None and self._hidden.lineage:
                    raise ProofError(
                        "the model was refreshed before it was saved",
                        code="MX1715",
                        hint="save a hiding model first",
                    )
            folder = where.add(
                self.network, self.header, self.digest, hiding=self.hiding, hidden=self._hidden
            )
            if self._hidden is not None and self._store is None:
                self._hidden, _ = Hidden.load(folder)
                self._store = where
            return folder

    def refresh(self, *, keep_last: bool = False) -> None:
        """Commits to the weights again, with new randomness, under the same digest.

        Spends an opening of the old commitment and one of the new, for the proof that both are of
        the same weights. A refresh that fails has spent the former.

        Args:
            keep_last: whether to refuse rather than spend the last opening; for whoever refreshes
                unasked, so that a disk that stays full does not cost the model.

        Raises:
            ProofError: MX1700 when nothing is hidden, MX1716 when the old commitment has no opening
                left or was refreshed too often, MX1715 when the store cannot be written or another
                process refreshed.
        """
        with self._lock:
            self._refresh(keep_last=keep_last)

    def _refresh(self, *, keep_last: bool) -> None:
        old = self._hidden
        if old is None:
            raise ProofError("a model that hides nothing needs no refresh")
        if len(old.lineage) >= LINEAGE_MAX - 1:
            raise ProofError(
                f"the weights were committed to {len(old.lineage) + 1:,} times, "
                "and no verifier follows more",
                code="MX1716",
                hint="register the model again with --zk; --openings N makes refreshes rarer",
            )
        total = old.openings.total
        new = Hidden.new(total)
        registered = backend.register(
            self.network.proof_model, seed=new.seed, openings=total, security=self.security
        )
        old.openings.spend(reserve=kept_for_refreshes(total) - 1 if keep_last else 0)
        new.openings.spend(reserve=0)
        link = backend.link(self._registered, registered)
        new = replace(new, lineage=(*old.lineage, (self.header, link)))
        if self._store is not None:
            folder = self._store.folder / self.digest
            try:
                new = new.save(folder, registered.header)
            except OSError as error:
                raise ProofError(
                    f"cannot write the refreshed commitment into {folder}: "
                    f"{error.strerror or error}",
                    code="MX1715",
                    hint="if another process has refreshed it, just go on",
                ) from error
        self._hidden, self._registered = new, registered

    def run_ints(self, x: NDArray[np.int16]) -> NDArray[np.int16]:
        """Runs the model natively, without a proof: integers in and out, batch first.

        Raises:
            ProofError: MX1705 for an input that does not fit.
        """
        return backend.run(self._registered, x, self.network.proof_model.output_shape)

    def prove(self, x: NDArray[np.generic], *, context: bytes = b"") -> Proof:
        """Runs the model on an input and proves the result.

        Args:
            x: one input or a batch, see `Network.to_ints`.
            context: what the proof shall be bound to, such as `Claim.digest()`.

        Raises:
            ProofError: MX1705 for an input that does not fit, MX1716 when hidden weights have no
                opening left for it.
        """
        return self.prove_ints(self.network.to_ints(x), context=context)

    def prove_ints(self, ints: NDArray[np.int16], *, context: bytes = b"") -> Proof:
        """The same of the model's own integers, `(batch, *input_shape)`."""
        model = self.network.proof_model
        lineage: Lineage = ()
        if not 1 <= len(ints) <= BATCH_MAX:
            raise ProofError(f"a batch of {len(ints)}; 1 to {BATCH_MAX} are proved", code="MX1705")
        semantics.check_input(model, ints)
        with self._lock:
            if self._hidden is not None:
                # Before anything is shown: a proof that fails afterwards has cost an opening.
                openings = self._hidden.openings
                openings.spend(reserve=kept_for_refreshes(openings.total))
                lineage = self._hidden.lineage
            registered = self._registered
        y, data = backend.prove(registered, ints, model.output_shape, context)
        return Proof(
            header=registered.header,
            input=backend.to_bytes(ints),
            output=backend.to_bytes(y),
            batch=len(ints),
            context=context,
            proof=data,
            lineage=encode_lineage(lineage),
            network=self.network,
        )

    def _repr_html_(self) -> str:
        """Shows the model in a notebook."""
        model = self.network.proof_model
        rows = [
            ("model", self.network.name),
            ("digest", self.digest),
            ("input", f"{model.input_shape} in {model.input_range}"),
            ("output", f"{self.network.output_shape}"),
            ("multiplications", f"{model.macs():,}"),
            ("weights hidden", f"{self.proofs_left} proofs left" if self.hiding else "no"),
            ("security", f"{self.security} bits"),
            ("scales from", self.network.calibration),
        ]
        return _html(rows)


@dataclass(frozen=True, eq=False, kw_only=True)
class Proof:
    """An inference with its proof.

    Attributes:
        header: of the model, see `Model.header`.
        input: integers as little-endian int16, batch first.
        output: likewise.
        batch: inferences that are proved at once.
        context: what the proof is bound to.
        proof: the proof itself.
        lineage: earlier headers of a model that was refreshed, with the proofs that its weights
            stayed the same (`maxwell.proofs.hidden`).
        network: scales and names, where they are known; not part of the file.
    """

    header: bytes
    input: bytes
    output: bytes
    batch: int
    context: bytes
    proof: bytes
    lineage: bytes = b""
    network: Network | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, object]:
        """What is pickled and copied: a hiding proof without its network, which has the weights."""
        state: dict[str, object] = dict(self.__dict__)
        if self.hiding:
            state["network"] = None
        return state

    @cached_property
    def digest(self) -> str:
        """Digest of the model that the proof is about, computed from its first header.

        Only `verify` says whether the proof's own header is of the same weights.
        """
        return backend.digest(first_header(decode_lineage(self.lineage), self.header)).hex()

    @property
    def hiding(self) -> bool:
        """Whether it hides the weights: the header says so, to which the digest holds it."""
        return hides(self.header)

    @property
    def security(self) -> int:
        """Bits: a false statement is accepted once in 2^security at most; likewise."""
        return profile_of(self.header).security

    @property
    def input_ints(self) -> NDArray[np.int16]:
        """The input, `(batch, cells)`."""
        return np.frombuffer(self.input, "<i2").reshape(self.batch, -1)

    @property
    def output_ints(self) -> NDArray[np.int16]:
        """The output, `(batch, cells)`."""
        return np.frombuffer(self.output, "<i2").reshape(self.batch, -1)

    @property
    def result(self) -> NDArray[np.float32]:
        """The output in real numbers, as the ONNX model would give it; needs the network.

        Raises:
            ProofError: MX1707 when the scales are not known here.
        """
        if self.network is None:
            raise ProofError(
                "the scales of this proof's model are not known here",
                code="MX1707",
                hint="register the model, or use `output_ints`",
            )
        return self.network.to_real(self.output_ints)

    def verify(self, model: str | Model, *, context: bytes = b"") -> None:
        """Checks the proof; returns if it holds.

        Args:
            model: the digest that you expect, in hexadecimal, or the model.
            context: what the proof must be bound to.

        Raises:
            ProofError: MX1706 when it does not hold, or is about another model or context.
        """
        expected = model.digest if isinstance(model, Model) else model.lower()
        if expected != self.digest:
            raise ProofError(
                f"the proof is about model {self.digest[:16]}…, not {expected[:16]}…",
                code="MX1706",
            )
        if context != self.context:
            raise ProofError("the proof is bound to another context", code="MX1706")
        check_lineage(decode_lineage(self.lineage), self.header)
        backend.verify(
            self.header,
            x=self.input,
            y=self.output,
            batch=self.batch,
            context=context,
            proof=self.proof,
        )

    def verify_claim(self, claim: Claim) -> None:
        """Checks that this proof is the one that a claim promises: pass it to `Payments.accept`.

        The claim's digest as context is not enough: it says which claim the proof was made for, and
        not that the proof is about the input and output that the claim commits to.

        Raises:
            ProofError: MX1712 when model, input, output, batch or tier differ, MX1706 when the
                proof does not hold or was made for another claim.
        """
        tier = Tier.ZERO_KNOWLEDGE if self.hiding else Tier.SUCCINCT
        nonce = claim.buyer_nonce
        wanted = {
            "model": (bytes.fromhex(self.digest), claim.model_digest),
            "batch": (self.batch, claim.batch),
            "input": (commit_tensor(b"in", self.input_ints, nonce), claim.input_commitment),
            "output": (commit_tensor(b"out", self.output_ints, nonce), claim.output_commitment),
            "tier": (tier.value, claim.tier),
        }
        for what, (have, want) in wanted.items():
            if have != want:
                raise ProofError(f"proof of another {what} than the claim's", code="MX1712")
        self.verify(self.digest, context=claim.digest())

    def save(self, path: str | Path) -> None:
        """Writes the proof to a file, in canonical CBOR."""
        data = optional("cbor2").dumps(self._values() | {"format": FORMAT}, canonical=True)
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise ProofError(
                f"cannot write {path}: {error.strerror or error}",
                code="MX1700",
                hint="name another file with -o",
            ) from error

    @classmethod
    def load(cls, path: str | Path, store: ModelStore | None = None) -> Proof:
        """Reads a proof from a file that may come from anyone.

        Args:
            path: the file.
            store: where scales and names are looked up; the local store when None.

        Raises:
            ProofError: MX1706 when it is malformed.
        """
        proof = _read(Path(path))
        where = ModelStore() if store is None else store
        if backend.available() and proof.digest in where.digests():
            return replace(proof, network=where.load(proof.digest))
        return proof

    def _values(self) -> dict[str, object]:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "network"}
        if not self.lineage:
            del values["lineage"]
        return values

    def _repr_html_(self) -> str:
        """Shows the proof in a notebook."""
        rows = [
            ("model", self.network.name if self.network else "not in the local store"),
            ("digest", self.digest),
            ("inferences", f"{self.batch:,}"),
            ("proof", f"{len(self.proof):,} bytes"),
            ("weights hidden", "yes" if self.hiding else "no"),
            ("security", f"{self.security} bits"),
            ("output", np.array2string(self.output_ints, threshold=20)),
        ]
        return _html(rows)


def prove(
    model: str | Path | Model | Network,
    x: NDArray[np.generic],
    *,
    context: bytes = b"",
    zk: bool = False,
    security: int = SECURITY_DEFAULT,
) -> Proof:
    """Runs a model on an input and proves the result.

    Args:
        model: an ONNX file, or a model that is imported or registered already.
        x: one input or a batch, in real numbers or the model's integers.
        context: what the proof shall be bound to.
        zk: whether to hide weights and activations; a registered model has decided that already.
        security: 100 or 128 bits; likewise.

    Returns:
        The proof, whose `result` is the output and whose `verify` checks it.
    """
    if isinstance(model, str | Path):
        model = load_onnx(model)
    if isinstance(model, Network):
        model = Model(model, hiding=zk, security=security)
    return model.prove(x, context=context)


def _read(path: Path) -> Proof:
    """Reads a proof file; types, sizes and the encoding are checked."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ProofError(f"{path}: more than {FILE_BYTES_MAX:,} bytes", code="MX1706")
        data = path.read_bytes()
    except OSError as error:
        raise ProofError(
            f"cannot read {path}: {error.strerror or error}",
            code="MX1706",
            hint="name a file that `maxwell prove` wrote",
        ) from error
    cbor2 = optional("cbor2")
    try:
        decoded: object = cbor2.loads(data)
    # The decoder's exceptions vary with what is wrong; none may pass as a bug of ours.
    except Exception as error:
        raise _malformed(path, "not CBOR, or cut short") from error
    if not isinstance(decoded, dict):
        raise _malformed(path, "not a map")
    values = cast("dict[str, object]", decoded)
    kinds = {f.name: f.type for f in fields(Proof) if f.name != "network"}
    if values.get("lineage") is None:
        del kinds["lineage"]
    if values.keys() != {*kinds, "format"} or values.pop("format") != FORMAT:
        raise _malformed(path, f"not of format {FORMAT}")
    for name, kind in kinds.items():
        if type(values[name]).__name__ != kind:
            raise _malformed(path, f"{name} is not of type {kind}")
    if cbor2.dumps(values | {"format": FORMAT}, canonical=True) != data:
        raise _malformed(path, "not in canonical form")
    if values.get("lineage") == b"":
        raise _malformed(path, "an empty lineage")
    proof = Proof(**cast("dict[str, Any]", values))
    sizes = len(proof.input), len(proof.output)
    if proof.batch < 1 or any(size == 0 or size % (2 * proof.batch) for size in sizes):
        raise _malformed(path, f"sizes do not fit a batch of {proof.batch}")
    return proof


def _malformed(path: Path, why: str) -> ProofError:
    return ProofError(
        f"{path} is no proof: {why}", code="MX1706", hint="it may be damaged or made to mislead"
    )


def _html(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(key)}</th><td>{escape(value)}</td></tr>"
        for key, value in rows
    )
    return f"<table>{cells}</table>"
