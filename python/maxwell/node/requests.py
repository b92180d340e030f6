"""Outbound requests in a run: money set apart, the broker, and what is told of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from maxwell.errors import ConfigError
from maxwell.node.entry import Entry
from maxwell.outbound.broker import Answer
from maxwell.outbound.message import VALUE
from maxwell.outbound.rules import terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from maxwell.config import FleetConfig, RequestConfig
    from maxwell.node.economy import Economy
    from maxwell.outbound.broker import Broker


class _Open(msgspec.Struct, frozen=True):
    """A request that the broker has."""

    entry: Entry
    held_credits: int
    price_unanswered: int
    """What it costs when nobody waits for its answer any more."""


class Settled(msgspec.Struct, frozen=True):
    """An answered request, its money booked."""

    entry: Entry
    answer: Answer
    refund_credits: int
    """Credits that the purse must be told of."""


class Requests:
    """The outbound requests of one run.

    Args:
        fleet: checked; without a process that may make requests, nothing is started.
        economy: books the money.
        environ: where the values of secret headers come from.

    Raises:
        ConfigError: MX1016 when a secret header's variable is not set.
    """

    def __init__(
        self, fleet: FleetConfig, economy: Economy, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._economy = economy
        self._rules = {rule.name: rule for rule in fleet.requests}
        self._open: dict[tuple[int, int], _Open] = {}
        self._broker: Broker | None = None
        granted = {name for process in fleet.processes for name in process.requests}
        if granted:
            from maxwell.outbound.broker import Broker

            self._broker = Broker(_secrets([self._rules[name] for name in granted], environ))

    @property
    def broker(self) -> Broker | None:
        """What to wait on, if anything may be asked."""
        return self._broker

    def terms(self, entry: Entry) -> dict[str, int] | None:
        """Returns what the process's cell takes in advance."""
        return terms(self._granted(entry))

    def ask(self, entry: Entry, number: int, credits: int, data: bytes) -> None:
        """Sets the price in advance apart and hands the request to the broker.

        The caller has settled the process's slot. Whoever died meanwhile gets everything back.
        """
        assert self._broker is not None
        rules = self._granted(entry)
        self._economy.ledger.hold_request(entry.pid, credits)
        agreed = terms(rules)
        assert agreed is not None
        kib = -(-len(data) // 1024)
        unanswered = agreed["credits_per_request"] + kib * agreed["credits_per_kib"]
        key = (entry.pid, number)
        self._open[key] = _Open(entry, credits, min(credits, unanswered))
        self._broker.ask(entry.pid, number, rules, data)

    def take(self) -> list[Settled]:
        """Books the requests that were answered since the last call."""
        settled: list[Settled] = []
        for answer in self._broker.take() if self._broker is not None else ():
            is_open = self._open.pop((answer.pid, answer.id), None)
            if is_open is None:
                continue  # Its process is no more.
            price = min(answer.credits, is_open.held_credits)
            settled.append(Settled(is_open.entry, answer, self._settle(is_open, price)))
        return settled

    def abandon(self, entry: Entry) -> int:
        """Settles what a process that ends still waited for, before its lease is closed.

        It left, so it costs what it would have cost with an empty answer.

        Returns:
            Credits that came back into the lease.
        """
        keys = [key for key in self._open if key[0] == entry.pid]
        return sum(
            self._settle(self._open[key], self._open.pop(key).price_unanswered) for key in keys
        )

    def _settle(self, is_open: _Open, price: int) -> int:
        entry = is_open.entry
        entry.requests += 1
        entry.request_credits += price
        self._economy.ledger.settle_request(entry.pid, is_open.held_credits, price)
        return is_open.held_credits - price

    def _granted(self, entry: Entry) -> list[RequestConfig]:
        return [self._rules[name] for name in entry.config.requests]


def _secrets(rules: Iterable[RequestConfig], environ: Mapping[str, str]) -> dict[str, str]:
    secrets: dict[str, str] = {}
    for rule in rules:
        for header, variable in rule.secret_headers:
            value = environ.get(variable)
            if value is None:
                raise ConfigError(
                    f"request {rule.name!r}: the header {header} needs the environment variable "
                    f"{variable}, which is not set",
                    code="MX1016",
                    hint=f"export {variable}=... before the run; guests never see it",
                )
            if not VALUE.fullmatch(value.strip()):
                raise ConfigError(
                    f"request {rule.name!r}: the value of {variable} for the header {header} has "
                    "characters that no header can hold",
                    code="MX1016",
                    hint="one line of printable text; a newline at its end is dropped",
                )
            secrets[variable] = value.strip()
    return secrets
