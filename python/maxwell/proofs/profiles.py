"""Security profiles: what a header says of its proofs, one byte that the digest is over.

The error is provable, of the whole proof and of all its commitments together; the budget is in
docs/concepts/proof-of-inference.md. The native prover refuses profiles that it does not know.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from maxwell.errors import ProofError

PROFILE_AT: Final = 4
"""Where a header has its profile, after `MQH1`."""

SECURITIES: Final = (100, 128)
"""Bits that a model can be registered for: a false statement is accepted once in 2^bits at most."""

SECURITY_DEFAULT: Final = 100


class Profile(NamedTuple):
    """What proofs under a header are worth, and whether they hide."""

    hiding: bool
    security: int
    """In bits."""

    def __str__(self) -> str:
        """Such as `hiding, 128 bits`."""
        return f"{'hiding' if self.hiding else 'plain'}, {self.security} bits"


_PROFILES: Final = {
    1: Profile(hiding=False, security=100),
    2: Profile(hiding=True, security=100),
    3: Profile(hiding=False, security=128),
    4: Profile(hiding=True, security=128),
}


def profile_of(header: bytes) -> Profile:
    """Returns the profile of a header that may come from anyone.

    Raises:
        ProofError: MX1706 when it has none that is known.
    """
    profile = _PROFILES.get(next(iter(header[PROFILE_AT : PROFILE_AT + 1]), 0))
    if profile is None:
        raise ProofError("the header names no security profile that is known here", code="MX1706")
    return profile


def hides(header: bytes) -> bool:
    """Says whether proofs under a header hide the weights; one that is unknown counts as hiding."""
    profile = _PROFILES.get(next(iter(header[PROFILE_AT : PROFILE_AT + 1]), 0))
    return profile is None or profile.hiding


def check_security(security: int) -> None:
    """Refuses bits that are not offered.

    Raises:
        ProofError: MX1703.
    """
    if security not in SECURITIES:
        offered = " or ".join(map(str, SECURITIES))
        raise ProofError(
            f"{security!r} bits of security are not offered",
            code="MX1703",
            hint=f"choose {offered}; more bits make longer proofs",
        )
