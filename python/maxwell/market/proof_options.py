"""The options of `[[reward]]` tables that pay for inferences: `resolver = "proof"`.

Checked when a fleet file is read; the inputs are read when the run begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import ConfigError, choices_hint
from maxwell.units import parse_duration_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

PROOF_RESOLVER: Final = "proof"
TIERS: Final = ("T0", "T1", "T3", "T4")
BATCH_MAX: Final = 1_024
"""Inputs of one order, and of one call of a guest."""
ROUNDS_MAX: Final = 1 << 20
_KNOWN: Final = ("model", "inputs", "array", "tier", "batch", "rounds", "expires")
_EXPIRES_NS: Final = 30_000_000_000


class ProofOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a sponsor orders."""

    model: str
    """Name of a `[[model]]`."""
    inputs: str
    """A `.npy` or `.npz` file, relative to the fleet file: the sponsor's inputs, batch first."""
    array: str = ""
    """Which array of an `.npz` file."""
    tier: str = "T0"
    batch: int = 1
    """Inputs of one order."""
    rounds: int = 1
    """How often each input is ordered, each time with another nonce; once at tier T1."""
    expires_ns: int = _EXPIRES_NS
    """An order that is not delivered in this time is handed to somebody else."""


def is_proof(resolver: str) -> bool:
    """Returns whether a reward pays for inferences that verify."""
    return resolver == PROOF_RESOLVER


def parse_proof(options: Mapping[str, object], *, what: str) -> ProofOptions:
    """Checks the options of a reward that pays for inferences.

    Args:
        options: the reward's own keys.
        what: the reward's name for messages.

    Raises:
        ConfigError: MX1001 for an unknown option, MX1012 for one that does not fit, MX1005 and
            MX1006 for a duration.
    """
    if "hide_input" in options:
        raise ConfigError(
            f"{what}: an order's input is hidden from nobody who pays for it",
            code="MX1012",
            hint="the sponsor gives the input and compares the claim with it; drop hide_input "
            "(`maxwell prove --hide-input` is for proofs that others see)",
        )
    for key in options:
        if key not in _KNOWN:
            raise ConfigError(
                f"{what}: unknown option {key!r}", code="MX1001", hint=choices_hint(key, _KNOWN)
            )
    tier = options.get("tier", "T0")
    if tier not in TIERS:
        raise _bad(what, "tier", tier, f"one of {', '.join(TIERS)}")
    expires = options.get("expires")
    expires_ns = _EXPIRES_NS
    if expires is not None:
        if not isinstance(expires, str | int | float):
            raise _bad(what, "expires", expires, 'such as expires = "10 s"')
        expires_ns = parse_duration_ns(expires, what=f"{what}: expires")
        if expires_ns < 1_000_000_000:
            raise _bad(what, "expires", expires, 'at least "1 s": an answer takes an epoch')
    rounds = _integer(options, "rounds", 1, ROUNDS_MAX, what)
    if rounds > 1 and tier == "T1":
        # Sums depend on no nonce: those of the first round would be paid in every other.
        raise _bad(what, "rounds", rounds, "1 at tier T1, which cannot tell a replay; or T0 or T3")
    return ProofOptions(
        model=_text(options, "model", 'the name of a [[model]], such as model = "digits"', what),
        inputs=_text(options, "inputs", 'a file of inputs, such as inputs = "x.npy"', what),
        array=_text(options, "array", "", what) if "array" in options else "",
        tier=str(tier),
        batch=_integer(options, "batch", 1, BATCH_MAX, what),
        rounds=rounds,
        expires_ns=expires_ns,
    )


def _text(options: Mapping[str, object], key: str, hint: str, what: str) -> str:
    value = options.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"{what}: option {key!r} is missing", code="MX1012", hint=hint)
    return value


def _integer(options: Mapping[str, object], key: str, default: int, most: int, what: str) -> int:
    value = options.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _bad(what, key, value, f"an integer from 1 to {most:,}")
    return value


def _bad(what: str, key: str, value: object, hint: str | None) -> ConfigError:
    return ConfigError(f"{what}: {key}: {str(value)[:64]!r}", code="MX1012", hint=hint)
