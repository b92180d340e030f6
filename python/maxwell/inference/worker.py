"""The prover: `python -m maxwell.inference.worker FD BYTES FOLDER DIGEST...`, one for each node.

It runs models, proves and checks in a process of its own, outside every cell's slice: its CPU time
is what the work cost, and what goes wrong in it does not reach the node: its memory is limited, so
that not even the machine's is used up. It ends with its pipe.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from maxwell.errors import MaxwellError, ProofError
from maxwell.inference.desk import Desk
from maxwell.inference.jobs import Done, Job, receive, send
from maxwell.proofs import backend, semantics
from maxwell.proofs.claims import SignedClaim, check_order, commit_tensor
from maxwell.proofs.proof import Model
from maxwell.proofs.secret_vectors import SecretVectors, sums_of
from maxwell.proofs.store import ModelStore
from maxwell.proofs.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maxwell.proofs.claims import Claim
    from maxwell.proofs.importer import Network
    from maxwell.proofs.proof import Proof

HEADERS_KEPT: Final = 4
"""Commitments of a hiding model whose proofs are still taken; an order expires long before."""


class _Served:
    """A model, ready."""

    def __init__(self, store: ModelStore, digest: str) -> None:
        self._store = store
        self.model = Model.stored(digest, store)
        self.network: Network = self.model.network
        self._secret = SecretVectors(self.network.proof_model)

    def tensor(self, data: bytes, batch: int) -> NDArray[np.int16]:
        """Returns an input in its shape; MX1705 when it does not fit or is out of range."""
        shape = self.network.proof_model.input_shape
        if len(data) != 2 * batch * prod(shape):
            raise ProofError(f"{len(data)} bytes of input for a batch of {batch}", code="MX1705")
        x = np.frombuffer(data, "<i2").reshape(batch, *shape).astype(np.int16)
        return semantics.check_input(self.network.proof_model, x)

    def sums(self, data: bytes, batch: int) -> list[NDArray[np.int64]]:
        """Cuts what a process handed over into its tensors."""
        model = self.network.proof_model
        weighted = zip(model.shapes()[1:], model.weights, strict=True)
        shapes = [(batch, *shape) for shape, weights in weighted if weights is not None]
        if len(data) != 8 * sum(prod(shape) for shape in shapes):
            raise ProofError(f"{len(data)} bytes of sums for a batch of {batch}", code="MX1706")
        flat = np.frombuffer(data, "<i8").astype(np.int64)
        ends = np.cumsum([prod(shape) for shape in shapes])
        parts = np.split(flat, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def prove(self, x: NDArray[np.int16], context: bytes) -> Proof:
        """Proves a run; a hiding model whose openings are spent gets new randomness first."""
        try:
            return self._proved(x, context)
        except ProofError as error:
            if error.code not in {"MX1715", "MX1716"}:
                raise
            # `maxwell model refresh` beside this run may have made another commitment.
            newest = Model.stored(self.model.digest, self._store)
            if newest.header == self.model.header:
                raise
            self.model = newest
        return self._proved(x, context)

    def _proved(self, x: NDArray[np.int16], context: bytes) -> Proof:
        if self.model.proofs_left == 0:
            self.model.refresh(keep_last=True)
        return self.model.prove_ints(x, context=context)

    def verify(self, *, x: bytes, y: bytes, batch: int, context: bytes, proof: bytes) -> None:
        """Checks a proof under the current commitment, or one shortly before it; MX1706."""
        headers = self.model.headers[:HEADERS_KEPT]
        for header in headers:
            try:
                backend.verify(header, x=x, y=y, batch=batch, context=context, proof=proof)
            except ProofError:
                if header == headers[-1]:
                    raise
            else:
                return

    def audit(self, x: NDArray[np.int16], sums: Sequence[NDArray[np.int64]]) -> NDArray[np.int16]:
        """Checks sums against a secret; a refusal spends it, and pays for the next one."""
        try:
            return self._secret.audit(x, sums)
        except ProofError:
            self._secret = SecretVectors(self.network.proof_model)
            raise


class Worker:
    """Does jobs.

    Args:
        store: where the models are.
        digests: the models.
    """

    def __init__(self, store: ModelStore, digests: Sequence[str]) -> None:
        self._models = {digest: _Served(store, digest) for digest in digests}

    def warm(self) -> None:
        """Does all that is done for the first time, so that no guest pays for it."""
        for served in self._models.values():
            model = served.network.proof_model
            x = np.zeros((1, *model.input_shape), np.int16)
            served.model.run_ints(x)
            served.audit(x, sums_of(model, x))
            # Openings of hidden weights are for those who pay.
            spare = served.model
            if spare.hiding:
                spare = Model(served.network, hiding=True, security=spare.security)
            spare.prove_ints(x).verify(spare)
            made = _claim_of_nobody(bytes.fromhex(served.model.digest))
            SignedClaim.decode(made.encode()).check()

    def do(self, job: Job) -> Done:
        """Does a job; whatever goes wrong is its answer."""
        begin_ns = time.process_time_ns()
        try:
            done = self._do(job, self._models[job.digest])
        except MaxwellError as error:
            done = Done(cpu_ns=0, code=error.code, why=error.message[:300])
        except MemoryError as error:
            done = Done(cpu_ns=0, code="MX1732", why=f"no memory for it: {error}"[:300])
        except Exception as error:
            # A bug in one inference must not end those of others.
            done = Done(cpu_ns=0, code="MX1900", why=f"{type(error).__name__}: {error}"[:300])
        return msgspec.structs.replace(done, cpu_ns=time.process_time_ns() - begin_ns)

    def _do(self, job: Job, served: _Served) -> Done:
        x = served.tensor(job.input, job.batch)
        if job.kind == "check":
            _check(job, served)
            return Done(cpu_ns=0)
        if job.kind == "prove":
            made = served.prove(x, job.context)
            return Done(cpu_ns=0, output=made.output, proof=made.proof)
        if job.kind == "audit":
            y = served.audit(x, served.sums(job.sums, job.batch))
        else:
            y = served.model.run_ints(x).reshape(job.batch, -1)
        return Done(
            cpu_ns=0,
            output=backend.to_bytes(y),
            input_commitment=commit_tensor(b"in", x, job.buyer_nonce),
            output_commitment=commit_tensor(b"out", y, job.buyer_nonce),
        )


def _claim_of_nobody(model_digest: bytes) -> SignedClaim:
    """Makes a claim with keys that are thrown away."""
    desk = Desk(Ed25519PrivateKey.generate(), entropy=lambda _: os.urandom(32), interval_ppm=0)
    _, signed = desk.claim(
        0,
        tier=Tier.HOST,
        nonce=bytes(32),
        buyer_nonce=bytes(32),
        model_digest=model_digest,
        batch=1,
        commitments=(bytes(32), bytes(32)),
        slice_id=0,
        epoch=0,
        expires_epoch=0,
        fuel=0,
        energy_uj=0,
        price_ppm=0,
        payee=bytes(32),
    )
    return signed


def _check(job: Job, served: _Served) -> None:
    """Checks a claim's form and signatures, that it is what was ordered, its output, its proof."""
    claim: Claim = SignedClaim.decode(job.claim).check()
    assert job.order is not None
    check_order(claim, job.order)
    cells = prod(served.network.proof_model.output_shape)
    if len(job.output) != 2 * job.batch * cells:
        raise ProofError("an output of another size than the model's", code="MX1712")
    y = np.frombuffer(job.output, "<i2").reshape(job.batch, -1)
    if commit_tensor(b"out", y, claim.buyer_nonce) != claim.output_commitment:
        raise ProofError("another output than the claim's", code="MX1712")
    if Tier(claim.tier).has_proof:
        served.verify(
            x=job.input,
            y=job.output,
            batch=job.batch,
            context=claim.digest(),
            proof=job.proof,
        )


def main(arguments: list[str]) -> int:
    """Serves the node on the descriptor that it named; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, memory_bytes, folder, *digests = arguments
    # What it writes to, not what it maps: numpy and the prover map more than they ever touch.
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_bytes), int(memory_bytes)))
    decoder = msgspec.msgpack.Decoder(Job)
    with socket.socket(fileno=int(descriptor)) as pipe:
        worker = Worker(ModelStore(Path(folder)), digests)
        worker.warm()
        while True:
            try:
                job = receive(pipe, decoder)
            except (OSError, ValueError):
                return 0
            send(pipe, worker.do(job))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
