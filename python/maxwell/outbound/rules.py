"""What the operator allows: rules by URL, their prices, and what a cell takes in advance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maxwell.outbound.message import ANSWER_HEAD_BYTES_MAX, Request, parse_target
from maxwell.outbound.refused import EACCES, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from maxwell.config.records import RequestConfig


def matches(rule: RequestConfig, request: Request) -> bool:
    """Whether a rule allows a request: the same place, a path at or below the rule's, a method."""
    allowed, target = parse_target(rule.url), request.target
    place = (target.scheme, target.host, target.port) == (
        allowed.scheme,
        allowed.host,
        allowed.port,
    )
    path, prefix = target.path.partition("?")[0], allowed.path
    below = path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")
    return place and below and request.method in rule.methods


def find_rule(rules: Iterable[RequestConfig], request: Request) -> RequestConfig:
    """Returns the first rule that allows a request.

    Raises:
        Refused: EACCES when none does.
    """
    for rule in rules:
        if matches(rule, request):
            return rule
    raise Refused(EACCES, f"no rule allows {request.method} {request.target.shown}")


def price_credits(rule: RequestConfig, bytes_moved: int) -> int:
    """Returns what a request costs that moved so many bytes both ways: 1 KiB begun is one."""
    return rule.price_credits + -(-bytes_moved // 1024) * rule.price_per_kib_credits


def terms(rules: Sequence[RequestConfig]) -> dict[str, int] | None:
    """Returns what a cell takes in advance for any of `rules`; None without a rule."""
    if not rules:
        return None
    return {
        "credits_per_request": max(rule.price_credits for rule in rules),
        "credits_per_kib": max(rule.price_per_kib_credits for rule in rules),
        "request_bytes_max": max(rule.request_bytes_max for rule in rules),
        "answer_bytes_max": max(rule.answer_bytes_max for rule in rules) + ANSWER_HEAD_BYTES_MAX,
        "timeout_ns": max(rule.timeout_ns for rule in rules),
    }
