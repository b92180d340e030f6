"""What a model's work costs, from its shapes alone.

Before anything runs, `RESERVE_FACTOR` times these figures leave the guest's purse; what was metered
is charged, and the rest comes back. In deterministic mode, where no clock may be read, they are
what is charged. They were measured on one core of an AMD EPYC (Zen 4) with the digits models
and rounded up; `report.json` has what a run really took.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.proofs.tiers import Tier

if TYPE_CHECKING:
    from maxwell.proofs.model import ProofModel

RESERVE_FACTOR: Final = 4
"""Of what shapes say, set apart before a run: caches are cold, and machines differ."""
FUEL_PER_MAC: Final = 8
"""A multiplication with its addition counts like one plain instruction of a guest."""

_RUN_FIXED_NS: Final = 200_000
_RUN_NS_PER_KMAC: Final = 2_000
_PROVE_FIXED_NS: Final = 10_000_000
_PROVE_NS_PER_CELL: Final = 1_500
_PROVE_NS_PER_MAC: Final = 8
_CHECK_FIXED_NS: Final = 1_000_000
"""Two signatures, a canonical encoding, two commitments of small tensors."""
_COMMIT_NS_PER_CELL: Final = 10
"""Ranges and SHA-256 of an input's and an output's cells."""
_VERIFY_FIXED_NS: Final = 1_500_000
_VERIFY_NS_PER_CELL: Final = 100
_AUDIT_NS_PER_CELL: Final = 200
_SECRET_FIXED_NS: Final = 2_000_000
_SECRET_NS_PER_WEIGHT: Final = 20
"""A refusal spends the secret, and the same job makes another from all weights."""
REFUSAL_NS: Final = 100_000
"""CPU time of the node to read a delivery that it refuses by itself, and to tell of it."""


class Shapes(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a model that its costs follow from, of one inference."""

    macs: int
    weights: int
    input_cells: int
    output_cells: int
    activations: int
    """Cells of all tensors, input included."""
    sums: int
    """Cells of all sums of products: what a process hands over at tier T1."""

    @classmethod
    def of(cls, model: ProofModel) -> Shapes:
        """Returns the sizes of a model."""
        shapes = model.shapes()
        weighted = zip(shapes[1:], model.weights, strict=True)
        return cls(
            macs=model.macs(),
            weights=sum(weights.size for weights in model.weights if weights is not None),
            input_cells=prod(model.input_shape),
            output_cells=prod(model.output_shape),
            activations=sum(prod(shape) for shape in shapes),
            sums=sum(prod(shape) for shape, weights in weighted if weights is not None),
        )

    def run_ns(self, batch: int) -> int:
        """CPU time of a run."""
        fixed_ns = _RUN_FIXED_NS + self._commit_ns(batch)
        return fixed_ns + _RUN_NS_PER_KMAC * self.macs * batch // 1_000

    def prove_ns(self, batch: int) -> int:
        """CPU time of a proof."""
        each = _PROVE_NS_PER_CELL * self.activations + _PROVE_NS_PER_MAC * self.macs
        # Weights are opened whatever the batch.
        return _PROVE_FIXED_NS + _PROVE_NS_PER_MAC * self.macs + each * batch

    def check_ns(self, tier: Tier, batch: int, *, is_refused: bool = True) -> int:
        """CPU time of checking a claim with what its tier needs.

        Args:
            tier: of the claim.
            batch: inputs.
            is_refused: whether sums of tier T1 are, or may be, refused: that spends the secret.
        """
        fixed_ns = _CHECK_FIXED_NS + self._commit_ns(batch)
        if tier is Tier.SECRET_VECTOR:
            secret_ns = _SECRET_FIXED_NS + _SECRET_NS_PER_WEIGHT * self.weights if is_refused else 0
            audit_ns = _AUDIT_NS_PER_CELL * (self.activations + self.sums) * batch
            return fixed_ns + secret_ns + audit_ns
        if tier.has_proof:
            cells = (self.input_cells + self.output_cells) * batch
            return fixed_ns + _VERIFY_FIXED_NS + _VERIFY_NS_PER_CELL * cells
        return fixed_ns

    def _commit_ns(self, batch: int) -> int:
        return _COMMIT_NS_PER_CELL * (self.input_cells + self.output_cells) * batch

    def infer_ns(self, tier: Tier, batch: int) -> int:
        """CPU time of a run with its proof, if its tier has one."""
        return self.run_ns(batch) + (self.prove_ns(batch) if tier.has_proof else 0)
