"""Claims of a run: the node signs what its meter says, and signs for each process with its key.

A guest has no key of its own to hold: its memory is anybody's who writes its program. The node
keeps one for each process and signs what it ran, or audited, for this process and nothing else, so
that a claim in a guest's hands can be kept, lost or handed in, and not made.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from maxwell.proofs.claims import (
    SEMANTICS,
    VERSION,
    Claim,
    MeterStatement,
    SignedClaim,
    process_id,
    sign_meter,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.proofs.tiers import Tier

NO_BUYER: Final = bytes(32)
"""The buyer's nonce of a claim that nobody ordered."""


class Desk:
    """Makes claims.

    Args:
        node_key: the node's.
        entropy: returns 32 bytes for a purpose; secret and unpredictable, except in deterministic
            mode.
        interval_ppm: half-width of the interval around metered energy.
    """

    def __init__(
        self,
        node_key: Ed25519PrivateKey,
        *,
        entropy: Callable[[str], bytes],
        interval_ppm: int,
    ) -> None:
        self._node_key = node_key
        self.node_key: Final = node_key.public_key().public_bytes_raw()
        self.cluster_id: Final = hashlib.sha256(
            b"maxwell cluster of one node v1\0" + self.node_key
        ).digest()
        self._entropy = entropy
        self._interval_ppm = interval_ppm
        self._keys: dict[int, Ed25519PrivateKey] = {}

    def process_id(self, pid: int) -> bytes:
        """Returns the id of a process, the hash of its key."""
        return process_id(self._key(pid).public_key().public_bytes_raw())

    def claim(
        self,
        pid: int,
        *,
        tier: Tier,
        nonce: bytes,
        buyer_nonce: bytes,
        model_digest: bytes,
        batch: int,
        commitments: tuple[bytes, bytes],
        slice_id: int,
        epoch: int,
        expires_epoch: int,
        fuel: int,
        energy_uj: int,
        price_ppm: int,
        payee: bytes,
    ) -> tuple[Claim, SignedClaim]:
        """Makes and signs a claim.

        Args:
            pid: of the process.
            tier: how it is to be believed.
            nonce: issued before the run.
            buyer_nonce: of the order, or `NO_BUYER`.
            model_digest: what ran.
            batch: on how many inputs.
            commitments: to input and output.
            slice_id: the process's slices when it asked.
            epoch: now.
            expires_epoch: last one in which it may be paid.
            fuel: multiplications as fuel.
            energy_uj: metered.
            price_ppm: credits a multiplication, in ppm.
            payee: id of the account.
        """
        key = self._key(pid)
        half_uj = -(-energy_uj * self._interval_ppm // 1_000_000)
        statement = MeterStatement(
            process_id=self.process_id(pid),
            slice_id=slice_id,
            epoch=epoch,
            nonce=nonce,
            fuel=fuel,
            energy_lo_uj=max(0, energy_uj - half_uj),
            energy_hi_uj=energy_uj + half_uj,
        )
        meter, signature = sign_meter(statement, self._node_key)
        claim = Claim(
            version=VERSION,
            cluster_id=self.cluster_id,
            node_key=self.node_key,
            process_key=key.public_key().public_bytes_raw(),
            meter=meter,
            meter_signature=signature,
            buyer_nonce=buyer_nonce,
            model_digest=model_digest,
            semantics=SEMANTICS,
            batch=batch,
            input_commitment=commitments[0],
            output_commitment=commitments[1],
            price_ppm=price_ppm,
            payee=payee,
            tier=tier.value,
            expires_epoch=expires_epoch,
        )
        return claim, SignedClaim.sign(claim, key)

    def _key(self, pid: int) -> Ed25519PrivateKey:
        known = self._keys.get(pid)
        if known is None:
            seed = self._entropy(f"process key {pid}")
            known = self._keys[pid] = Ed25519PrivateKey.from_private_bytes(seed)
        return known
