"""Proofs as files and objects: made from a model and an input, checked against a digest.

A proof file carries everything that it is about, the model's header included, so that it can be
checked on a machine that never saw the model: the header must hash to the digest that the
verifier asks for. Whoever verifies chooses that digest; a file's own word for it is worth nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from maxwell.errors import ProofError
from maxwell.proofs import backend, proof_file, semantics
from maxwell.proofs.claims import commit_tensor
from maxwell.proofs.hidden import (
    Hidden,
    check_lineage,
    decode_lineage,
    encode_lineage,
    first_header,
    has_room,
)
from maxwell.proofs.importer import Network, load_onnx
from maxwell.proofs.input_opening import InputOpening
from maxwell.proofs.model import BATCH_MAX, VALUE_MAX, VALUE_MIN
from maxwell.proofs.openings import (
    TOTAL_DEFAULT,
    kept_for_refreshes,
    opened_before,
    proofs_left,
)
from maxwell.proofs.profiles import SECURITY_DEFAULT, check_security, hides, profile_of
from maxwell.proofs.store import ModelStore
from maxwell.proofs.tiers import Tier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maxwell.proofs.calibrate import Options
    from maxwell.proofs.claims import Claim
    from maxwell.proofs.hidden import Lineage


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
                opened=opened_before(hidden.openings),
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
    def openings(self) -> int:
        """How often a commitment to hidden weights may be opened; 0 when nothing is hidden."""
        return 0 if self._hidden is None else self._hidden.openings.total

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
        if not has_room(old.lineage, self.header):
            raise ProofError(
                f"the weights were committed to {len(old.lineage) + 1:,} times, with "
                f"{len(encode_lineage(old.lineage)):,} bytes of proof of it, and no verifier "
                "follows more",
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

    def prove(
        self, x: NDArray[np.generic], *, context: bytes = b"", hide_input: bool = False
    ) -> Proof:
        """Runs the model on an input and proves the result.

        Args:
            x: one input or a batch, see `Network.to_ints`.
            context: what the proof shall be bound to, such as `Claim.digest()`.
            hide_input: whether the proof shall have a commitment in the input's place; its
                `opening` is then the secret that shows whose input that is.

        Raises:
            ProofError: MX1705 for an input that does not fit, MX1716 when hidden weights have no
                opening left for it, MX1717 when the model cannot hide its input.
        """
        return self.prove_ints(self.network.to_ints(x), context=context, hide_input=hide_input)

    def prove_ints(
        self, ints: NDArray[np.int16], *, context: bytes = b"", hide_input: bool = False
    ) -> Proof:
        """The same of the model's own integers, `(batch, *input_shape)`."""
        model = self.network.proof_model
        lineage: Lineage = ()
        if hide_input:
            self.check_hides_input()
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
        if hide_input:
            made = backend.prove_hidden_input(registered, ints, context)
            return Proof(
                header=registered.header,
                input=b"",
                output=made.output,
                batch=len(ints),
                context=context,
                proof=made.proof,
                lineage=encode_lineage(lineage),
                input_commitment=made.commitment,
                opening=InputOpening(commitment=made.commitment, batch=len(ints), seed=made.seed),
                network=self.network,
            )
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

    def check_hides_input(self) -> None:
        """Checks that proofs of this model can hide their input.

        Raises:
            ProofError: MX1717.
        """
        if not self.hiding:
            raise ProofError(
                "a model that hides nothing hides no input",
                code="MX1717",
                hint="hide its weights as well: zk=True, or `maxwell model register --zk m.onnx`",
            )
        lo, hi = self.network.proof_model.input_range
        if not lo <= 0 <= hi:
            raise ProofError(
                f"inputs of {lo} to {hi} cannot be hidden: zero, which pads them, is none of them",
                code="MX1717",
                hint="quantise the model anew, with a range that has zero in it",
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
        input_commitment: what stands for a hidden input, 32 bytes; empty for one that is shown.
        opening: the secret behind it, where the proof was made; not part of the file.
        network: scales and names, where they are known; not part of the file.
    """

    header: bytes
    input: bytes
    output: bytes
    batch: int
    context: bytes
    proof: bytes
    lineage: bytes = b""
    input_commitment: bytes = b""
    opening: InputOpening | None = field(default=None, repr=False)
    network: Network | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, object]:
        """What is pickled and copied: a hiding proof without the network, which has the weights.

        And without the secret of its input.
        """
        state: dict[str, object] = dict(self.__dict__)
        if self.hiding:
            state["network"] = state["opening"] = None
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
    def hides_input(self) -> bool:
        """Whether a commitment stands for the input."""
        return bool(self.input_commitment)

    @property
    def input_ints(self) -> NDArray[np.int16]:
        """The input, `(batch, cells)`.

        Raises:
            ProofError: MX1717 when the proof hides it.
        """
        if self.hides_input:
            raise ProofError(
                "the proof does not have its input, which it hides",
                code="MX1717",
                hint="`check_input` compares it with an input, given the opening",
            )
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
        if self.hides_input:
            backend.verify_hidden_input(
                self.header,
                commitment=self.input_commitment,
                y=self.output,
                batch=self.batch,
                context=context,
                proof=self.proof,
            )
            return
        backend.verify(
            self.header,
            x=self.input,
            y=self.output,
            batch=self.batch,
            context=context,
            proof=self.proof,
        )

    def check_input(self, x: NDArray[np.generic], opening: InputOpening | None = None) -> None:
        """Checks that the proof is about an input; it says nothing about the proof itself.

        Args:
            x: the input: real numbers where the network is known, else the model's integers.
            opening: of a hidden input, the secret that it was committed to with.

        Raises:
            ProofError: MX1706 when it is another input, or the opening another proof's; MX1717 when
                the input is hidden and no opening is given; MX1705 when it is no input.
        """
        self._check_ints(self._to_ints(x), opening)

    def _to_ints(self, x: NDArray[np.generic]) -> NDArray[np.int16]:
        if self.network is not None:
            return self.network.to_ints(x)
        fits = x.dtype.kind in "iu" and x.size > 0 and x.size % self.batch == 0
        if not fits or int(x.min()) < VALUE_MIN or int(x.max()) > VALUE_MAX:
            raise ProofError(
                f"input of {x.dtype}, {x.shape}: the scales of this proof's model are not known "
                "here, and these are no integers of it",
                code="MX1705",
                hint="register the model, or give the integers that are proved",
            )
        return x.reshape(self.batch, -1).astype(np.int16)

    def _check_ints(self, ints: NDArray[np.int16], opening: InputOpening | None) -> None:
        given = backend.to_bytes(ints)
        if not self.hides_input:
            if given != self.input:
                raise ProofError("the proof is about another input", code="MX1706")
            return
        if opening is None:
            raise ProofError(
                "the proof hides its input: its opening is needed to compare it with one",
                code="MX1717",
                hint="whoever made the proof has it; `maxwell prove --hide-input` wrote it to a "
                "file beside the proof",
            )
        if (opening.commitment, opening.batch) != (self.input_commitment, self.batch):
            raise ProofError("the opening belongs to another proof", code="MX1706")
        found = backend.commit_input(self.header, given, batch=self.batch, seed=opening.seed)
        if found != self.input_commitment:
            raise ProofError("the proof is about another input", code="MX1706")

    def verify_claim(
        self,
        claim: Claim,
        *,
        x: NDArray[np.generic] | None = None,
        opening: InputOpening | None = None,
    ) -> None:
        """Checks that this proof is the one that a claim promises: pass it to `Payments.accept`.

        The claim's digest as context is not enough: it says which claim the proof was made for, and
        not that the proof is about the input and output that the claim commits to. A claim commits
        to its input with the buyer's salt, a proof that hides its input with its maker's: that both
        are of one input is seen by who has the input and the opening, and by nobody else.

        Args:
            claim: what is claimed.
            x: the input, of a proof that hides it.
            opening: likewise.

        Raises:
            ProofError: MX1712 when model, input, output, batch or tier differ, MX1706 when the
                proof does not hold or was made for another claim, MX1717 when its input is hidden
                and not given with its opening.
        """
        tier = Tier.ZERO_KNOWLEDGE if self.hiding else Tier.SUCCINCT
        nonce = claim.buyer_nonce
        if self.hides_input:
            if x is None or opening is None:
                raise ProofError(
                    "the proof hides its input: that it is the claim's input is not to be seen",
                    code="MX1717",
                    hint="give the input and its opening, or ask for a proof that shows the input",
                )
            ints = self._to_ints(x)
            self._check_ints(ints, opening)
        else:
            ints = self.input_ints
        wanted = {
            "model": (bytes.fromhex(self.digest), claim.model_digest),
            "batch": (self.batch, claim.batch),
            "input": (commit_tensor(b"in", ints, nonce), claim.input_commitment),
            "output": (commit_tensor(b"out", self.output_ints, nonce), claim.output_commitment),
            "tier": (tier.value, claim.tier),
        }
        for what, (have, want) in wanted.items():
            if have != want:
                raise ProofError(f"proof of another {what} than the claim's", code="MX1712")
        self.verify(self.digest, context=claim.digest())

    def save(self, path: str | Path) -> None:
        """Writes the proof to a file, in canonical CBOR."""
        data = proof_file.encode(self.__dict__)
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
        values = proof_file.read(Path(path))
        proof = cls(**(cast("dict[str, Any]", {"input": b""} | values)))
        if proof.hides_input and not proof.hiding:
            why = "a hidden input of a model that hides nothing"
            raise proof_file.malformed(Path(path), why)
        where = ModelStore() if store is None else store
        if backend.available() and proof.digest in where.digests():
            return replace(proof, network=where.load(proof.digest))
        return proof

    def _repr_html_(self) -> str:
        """Shows the proof in a notebook."""
        rows = [
            ("model", self.network.name if self.network else "not in the local store"),
            ("digest", self.digest),
            ("inferences", f"{self.batch:,}"),
            ("proof", f"{len(self.proof):,} bytes"),
            ("weights hidden", "yes" if self.hiding else "no"),
            ("security", f"{self.security} bits"),
            ("input", f"hidden: {self.input_commitment.hex()}" if self.hides_input else "shown"),
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
    hide_input: bool = False,
) -> Proof:
    """Runs a model on an input and proves the result.

    Args:
        model: an ONNX file, or a model that is imported or registered already.
        x: one input or a batch, in real numbers or the model's integers.
        context: what the proof shall be bound to.
        zk: whether to hide weights and activations; a registered model has decided that already.
        security: 100 or 128 bits; likewise.
        hide_input: whether to hide the input as well; only a model that hides its weights can.

    Returns:
        The proof, whose `result` is the output and whose `verify` checks it.
    """
    if isinstance(model, str | Path):
        model = load_onnx(model)
    if isinstance(model, Network):
        model = Model(model, hiding=zk, security=security)
    return model.prove(x, context=context, hide_input=hide_input)


def _html(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(key)}</th><td>{escape(value)}</td></tr>"
        for key, value in rows
    )
    return f"<table>{cells}</table>"
