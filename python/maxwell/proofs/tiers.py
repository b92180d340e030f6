"""How an inference is believed: four tiers, the cheapest that fits."""

from __future__ import annotations

from enum import Enum


class Tier(Enum):
    """Who is convinced, by what, at what cost, and of what not.

    No tier says that the input was worth anything, that the answer was used, or which cycles
    computed it. Costs are those of the design's measurements on two cores; the tier that a claim
    names is signed with it.
    """

    HOST = "T0"
    """The node ran the model itself, on behalf of the process. Costs nothing more than the run.
    Convinces whoever trusts the node, and nobody else: there is nothing to check."""

    SECRET_VECTOR = "T1"  # noqa: S105 – not a password
    """The process ran it; the node, or an auditor, checks each product against secret random
    vectors it prepared (Freivalds), in microseconds. Wrong sums pass with probability 2^-64 a row.
    Convinces only the holder of the secret, who also sees every activation in the clear; the secret
    must be changed after a refusal, since a refusal tells something about it."""

    SUCCINCT = "T3"
    """A proof that anyone checks without running the model. Computing it costs tens to thousands of
    times the inference, least for large layers. Weights, input and output are not hidden by it:
    treat all three as public."""

    ZERO_KNOWLEDGE = "T4"
    """As T3, and the proof tells nothing about weights and activations beyond the outputs, while
    its re-use budget lasts. Output, the input unless it is hidden too, architecture, shapes,
    tables, multipliers, shifts, and how long proving took, are not hidden; whoever sees
    enough outputs can still learn about weights from them."""

    @property
    def has_proof(self) -> bool:
        """Whether a proof goes with a claim of this tier."""
        return self in {Tier.SUCCINCT, Tier.ZERO_KNOWLEDGE}


# T2 (commit, then spot checks against a stake) needs escrowed stakes and comes with the ledger.
