"""The policies that `maxwell lab heat --policy` compares, ours and the others.

All run the same cores on the same plant and network. "Guard" is the local safety: the fast inner
loop, freezing to snapshots and suspending an empty host. The hardware's own throttle and
emergency shutdown belong to the plant and are always there.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from maxwell.errors import ConfigError, choices_hint


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What a node does; every switch is one thing."""

    name: str
    about: str
    market: bool = True
    """Processes re-decide at their own times and move to cheaper nodes."""
    predicted: bool = True
    """The price looks ahead; otherwise it is that of the current temperature."""
    herd: bool = False
    """Everybody goes to the cheapest node in view, without softness or hysteresis."""
    distress: bool = True
    """Distress, offers and forced evacuation."""
    priced: bool = True
    """Offers carry a price; evacuees take the cheapest that they can pay."""
    discount: Literal["none", "ticket", "public"] = "none"
    push_sum: bool = False
    """h̄ is a push-sum mean of all nodes instead of a trimmed mean of the view."""
    guard: bool = True


_ALL: Final = (
    Policy(name="ours", about="ticketed discount, best of two on predicted temperature",
           discount="ticket"),
    Policy(name="no-market", about="nothing moves; the hardware throttles", market=False,
           distress=False, priced=False, guard=False),
    Policy(name="cheapest-first", about="everybody to the cheapest node in view", herd=True,
           distress=False, guard=False),
    Policy(name="current-temperature", about="as ours, price on current temperature",
           predicted=False, discount="ticket"),
    Policy(name="public-discount", about="as ours, helpers cut their public price",
           discount="public"),
    Policy(name="push-sum", about="as ours, mean heat by push-sum", push_sum=True,
           discount="ticket"),
    Policy(name="no-discount", about="as ours, offers at the posted price", discount="none"),
    Policy(name="ticketed", about="as ours, by name for the ablation", discount="ticket"),
    Policy(name="forced-only", about="no price at all: forced evacuation only", market=False,
           priced=False),
    Policy(name="price-only", about="price only: no distress, local guard on", distress=False),
    Policy(name="price-only-unguarded", about="price only, without the local guard",
           distress=False, guard=False),
    Policy(name="guard-only", about="no gossip of any use: local guard alone", market=False,
           distress=False, priced=False),
)  # fmt: skip

POLICIES: Final[dict[str, Policy]] = {policy.name: policy for policy in _ALL}
ABLATION: Final = ("no-discount", "ticketed", "public-discount", "forced-only", "price-only")


def policy_named(name: str) -> Policy:
    """Returns a policy.

    Raises:
        ConfigError: MX1001 when there is none of this name.
    """
    policy = POLICIES.get(name)
    if policy is None:
        raise ConfigError(
            f"unknown policy: {name!r}", code="MX1001", hint=choices_hint(name, POLICIES)
        )
    return policy
