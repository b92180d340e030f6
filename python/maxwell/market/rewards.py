"""Rewards: paying guests, from a sponsor's escrow, for results that the host has verified.

Each distinct result is paid once, to the process that reported it first. A reward is open while
its sponsor's escrow holds anything; the last payment is what is left. In deterministic mode the
outcome depends on the order of calls only. Otherwise lines wait when judging them takes long
(`maxwell.market.judging`), and a `regex` search is given up after its time limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from maxwell.config.records import RewardConfig
from maxwell.errors import ConfigError, InternalError, choices_hint
from maxwell.market.judging import JudgingQueue
from maxwell.market.ledger import ProcessId
from maxwell.market.lines import LineJoiner, decode_line
from maxwell.market.resolvers import LINE_BYTES_MAX, Resolver, build_resolver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from maxwell.market.ledger import Ledger
    from maxwell.market.resolvers import Stream

REFUSALS_MAX: Final = 1_024
"""Refusals kept between two calls of `take_refusals`: 1,024 lines of 4 KiB are 4 MiB."""


_BEHIND: Final = "its earlier lines still wait to be judged, and this one did not fit"


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """A result that was paid."""

    process: ProcessId
    reward: str
    sponsor: str
    credits: int
    """What was paid: the reward's price, or what the escrow still held."""
    line: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A result that was not paid, and why."""

    process: ProcessId
    reward: str
    line: str
    why: str


class _Reward(msgspec.Struct, frozen=True):
    config: RewardConfig
    resolver: Resolver


class RewardBook:
    """The rewards of a fleet, who works for them, and what was paid.

    Args:
        rewards: the fleet's rewards.
        ledger: pays; the sponsors are open there.
        base_dir: folder that `python:` modules may lie in; the fleet file's.
        resolvers: resolvers by reward name, in place of what the configuration names; for programs
            that hand in a function of their own (`CallableResolver`).
        deterministic: judge everything at once, however long it takes (`maxwell.market.judging`).

    Raises:
        ConfigError: MX1012 when a resolver cannot be made.
    """

    def __init__(
        self,
        rewards: Iterable[RewardConfig],
        ledger: Ledger,
        *,
        base_dir: Path | None = None,
        resolvers: Mapping[str, Resolver] | None = None,
        deterministic: bool = False,
    ) -> None:
        own = resolvers or {}
        self._ledger = ledger
        self._rewards: dict[str, _Reward] = {}
        for config in rewards:
            resolver = own.get(config.name) or build_resolver(
                config.resolver,
                config.options,
                what=f"reward {config.name!r}",
                base_dir=base_dir,
                deterministic=deterministic,
            )
            ledger.sponsor_balance(config.sponsor)  # the sponsor must exist
            self._rewards[config.name] = _Reward(config, resolver)
        self._subscriptions: dict[ProcessId, tuple[_Reward, ...]] = {}
        self._joiners: dict[tuple[ProcessId, Stream], LineJoiner] = {}
        self._results: dict[ProcessId, int] = {}
        self._earned: dict[ProcessId, int] = {}
        self._refusals: list[Refusal] = []
        self._refusals_lost = 0
        self._gaps: set[tuple[ProcessId, Stream]] = set()
        """Streams whose last chunk was dropped."""
        self._payouts: dict[ProcessId, list[Payout]] = {}
        self._queue = JudgingQueue(self._judge, bounded=not deterministic)

    def subscribe(self, process: ProcessId, reward_names: Sequence[str]) -> None:
        """Lets a process work for rewards; their order is the order of judgement.

        Raises:
            ConfigError: MX1008 when there is no such reward.
        """
        for name in reward_names:
            if name not in self._rewards:
                raise ConfigError(
                    f"process {process!r}: no reward {name!r}",
                    code="MX1008",
                    hint=choices_hint(name, self._rewards),
                )
        self._subscriptions[process] = tuple(self._rewards[n] for n in dict.fromkeys(reward_names))

    def on_report(self, process: ProcessId, line: bytes) -> list[Payout]:
        """Judges a line that a guest handed in through `maxwell.report`, and pays it.

        Returns:
            What was paid now, at most one payout a reward a line, those of earlier lines included;
            refusals are in `take_refusals`. A line whose turn has not come is judged by `epoch`.
        """
        text = decode_line(line[: LINE_BYTES_MAX + 1].removesuffix(b"\n").removesuffix(b"\r"))
        if len(line) > LINE_BYTES_MAX + 1:
            self._refuse_all(process, "report", text[:80], f"longer than {LINE_BYTES_MAX} bytes")
        elif not self._queue.add(process, "report", len(line), iter((text,))):
            self._refuse_all(process, "report", text[:80], _BEHIND)
        return self._take_payouts(process)

    def on_output(
        self, process: ProcessId, stream: Literal["stdout", "stderr"], data: bytes
    ) -> list[Payout]:
        """Judges the lines that a chunk of output completes, and pays them.

        Lines may be split over chunks at any byte. A line of more than 4 KiB cannot pay.
        """
        if not self._listens(process, stream):
            return []
        joiner = self._joiners.setdefault((process, stream), LineJoiner())
        lines = joiner.cut(data, after_gap=(process, stream) in self._gaps)
        if self._queue.add(process, stream, len(data), lines):
            self._gaps.discard((process, stream))
        else:
            self._gaps.add((process, stream))
            self._refuse_all(process, stream, "", _BEHIND)
        return self._take_payouts(process)

    def epoch(self) -> dict[ProcessId, list[Payout]]:
        """Judges lines that waited for their turn; call once an epoch.

        Returns:
            What was paid, by process.
        """
        self._queue.epoch()
        return {process: self._take_payouts(process) for process in list(self._payouts)}

    def finish(self, process: ProcessId) -> list[Payout]:
        """Judges last lines without a line end. Call once, before the process's lease is closed."""
        left = self._queue.finish(process)
        if left:
            self._refuse_all(process, None, "", f"it ended before its last lines: {left} chunks")
        for stream in ("stdout", "stderr"):
            joiner = self._joiners.pop((process, stream), None)
            if joiner is not None and not left:
                for line in joiner.finish():
                    self._judge(process, stream, line)
        return self._take_payouts(process)

    def is_open(self, process: ProcessId) -> bool:
        """Returns whether any reward of the process can still pay."""
        return any(self._can_pay(reward) for reward in self._subscriptions.get(process, ()))

    def results(self, process: ProcessId) -> int:
        """Returns how many results of the process were paid."""
        return self._results.get(process, 0)

    def earned(self, process: ProcessId) -> int:
        """Returns the credits that the process was paid."""
        return self._earned.get(process, 0)

    def take_refusals(self) -> list[Refusal]:
        """Returns the refusals since the last call, the first 1,024 of them."""
        taken, self._refusals = self._refusals, []
        return taken

    @property
    def refusals_lost(self) -> int:
        """Refusals that were not kept, ever."""
        return self._refusals_lost

    def _listens(self, process: ProcessId, stream: Stream) -> bool:
        return any(stream in r.resolver.streams for r in self._subscriptions.get(process, ()))

    def _can_pay(self, reward: _Reward) -> bool:
        return self._ledger.free_balance(reward.config.sponsor) > 0

    def _take_payouts(self, process: ProcessId) -> list[Payout]:
        return self._payouts.pop(process, [])

    def _judge(self, process: ProcessId, stream: Stream, line: str) -> None:
        for reward in self._subscriptions.get(process, ()):
            if stream not in reward.resolver.streams:
                continue
            # Escrow and lease come first: a result is remembered as paid only when it can be.
            if not self._ledger.is_leased(process):
                self._refuse(process, reward, line, "the process is dead")
                continue
            if not self._can_pay(reward):
                if stream == "report":
                    self._refuse(process, reward, line, "the sponsor's escrow is empty")
                continue
            verdict = reward.resolver.judge(process, line)
            if verdict.accepted:
                self._payouts.setdefault(process, []).append(self._pay(process, reward, line))
            elif not verdict.silent:
                self._refuse(process, reward, line, verdict.why)

    def _refuse_all(self, process: ProcessId, stream: Stream | None, line: str, why: str) -> None:
        for reward in self._subscriptions.get(process, ()):
            if stream is None or stream in reward.resolver.streams:
                self._refuse(process, reward, line, why)

    def _pay(self, process: ProcessId, reward: _Reward, line: str) -> Payout:
        config = reward.config
        paid = self._ledger.reward(process, config.sponsor, config.pays_credits)
        if not 0 < paid <= config.pays_credits:
            raise InternalError(
                f"reward {config.name!r} pays {config.pays_credits} credits, {paid} were paid",
                code="MX1302",
            )
        self._results[process] = self._results.get(process, 0) + 1
        self._earned[process] = self._earned.get(process, 0) + paid
        return Payout(
            process=process, reward=config.name, sponsor=config.sponsor, credits=paid, line=line
        )

    def _refuse(self, process: ProcessId, reward: _Reward, line: str, why: str) -> None:
        if len(self._refusals) >= REFUSALS_MAX:
            self._refusals_lost += 1
            return
        self._refusals.append(
            Refusal(process=process, reward=reward.config.name, line=line, why=why)
        )
