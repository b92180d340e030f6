"""UDP on asyncio: seals packets, keeps the directory, drives one node by the real clock.

One datagram carries one sealed packet of at most 1,164 bytes, below any MTU of 1,280. Losses are
left to the planes. `loss` drops arriving packets, for experiments on loopback.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, cast

from maxwell.heat.directory import RECORD, RECORDS_MAX, WHO, Directory, pack_address
from maxwell.heat.wire import HEADER_BYTES, Kind, header_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.heat.directory import Address
    from maxwell.heat.node import HeatNode
    from maxwell.heat.records import Decision, Timer
    from maxwell.heat.seal import Seal

HELLO_S: Final = 1.0
HELLO_VIEW: Final = 3
"""A node introduces itself to its seeds while fewer nodes are in view."""
WHO_INTERVAL_MS: Final = 500


class UdpHeat(asyncio.DatagramProtocol):
    """One node on a UDP socket.

    Args:
        node: its core.
        public_key: its Ed25519 key, 32 bytes.
        seal: seals with the cluster key.
        directory: keys and addresses.
        seeds: addresses to introduce itself to.
        on_decision: called with each decision.
        loss: share of arriving packets to drop.
        rng: decides which.
    """

    def __init__(
        self,
        node: HeatNode,
        public_key: bytes,
        seal: Seal,
        directory: Directory,
        *,
        seeds: tuple[Address, ...] = (),
        on_decision: Callable[[Decision], None] | None = None,
        on_other: Callable[[int, int, bytes], None] | None = None,
        loss: float = 0.0,
        rng: random.Random | None = None,
    ) -> None:
        self.node = node
        self._public_key = public_key
        self._seal = seal
        self.directory = directory
        self._seeds = seeds
        self._on_decision = on_decision
        self._on_other = on_other
        self._loss = loss
        self._rng = rng or random.Random(node.node)  # noqa: S311
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.TimerHandle] = set()
        self._asked_ms = -WHO_INTERVAL_MS
        self._start_ns = time.monotonic_ns()
        self.dropped = 0
        self.no_address = 0
        self.node.on_unknown = self._ask_who

    def now_ms(self) -> int:
        """Milliseconds since the start, monotonic."""
        return (time.monotonic_ns() - self._start_ns) // 1_000_000

    # --- asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: the node starts."""
        # What asyncio makes is not of the class that it documents.
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.node.start(self.now_ms())
        self.drain()
        self._hello()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed: nothing more is due."""
        del exc
        self._transport = None
        for handle in self._tasks:
            handle.cancel()
        self._tasks.clear()

    def error_received(self, exc: Exception) -> None:
        """A peer is not there; the planes do without it."""
        del exc

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Opens a datagram and gives it to the node."""
        if self._loss and self._rng.random() < self._loss:
            self.dropped += 1
            return
        opened = self._seal.open(data)
        if opened is None:
            return
        header = header_of(opened.data)
        # An accusation is passed on as its author signed it; all else is its sender's own.
        foreign = header is not None and header.sender != opened.sender
        if header is None or (foreign and header.kind != Kind.WITNESS):
            self.node.counters.malformed += 1
            return
        sender = opened.sender
        self.directory.seen_at(sender, (addr[0], addr[1]))
        if header.kind == Kind.WHO:
            self._answer_who(sender, opened.data)
        elif header.kind == Kind.KEY:
            self._learn(sender, opened.data, header.flags)
        elif header.kind in (Kind.HANDOVER, Kind.TAKEN):
            if self._on_other is not None and self.node.verify_signed(header, opened.data):
                self._on_other(header.kind, sender, opened.data)
        else:
            self.node.on_packet(self.now_ms(), opened.data)
        self.drain()

    # --- the node's outputs -----------------------------------------------------------------

    def drain(self) -> None:
        """Sends packets, sets timers, passes decisions on."""
        out = self.node.out
        packets, timers, decisions = list(out.packets), list(out.timers), list(out.decisions)
        out.clear()
        for to, data in packets:
            address = self.directory.address(to)
            if address is None:
                self.no_address += 1
            else:
                self._send(address, data)
        for timer in timers:
            self._set(timer)
        for decision in decisions:
            if self._on_decision is not None:
                self._on_decision(decision)

    def _send(self, address: Address, data: bytes) -> None:
        if self._transport is not None:
            self._transport.sendto(self._seal.seal(data), address)

    def _set(self, timer: Timer) -> None:
        loop = asyncio.get_running_loop()
        delay_s = max(0.0, (timer.due_ms - self.now_ms()) / 1_000)

        def due() -> None:
            self._tasks.discard(handle)
            self.node.on_timer(self.now_ms(), timer.kind, timer.argument)
            self.drain()

        handle = loop.call_later(delay_s, due)
        self._tasks.add(handle)

    # --- introductions ----------------------------------------------------------------------

    def _own_record(self) -> bytes:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        packed, port = pack_address((host, port))
        return RECORD.pack(self._public_key, packed, port)

    def _hello(self) -> None:
        """Introduces this node to its seeds while it knows few others."""
        if self._transport is None:
            return
        if len(self.node.plane.table) < HELLO_VIEW:
            data = self.node.packet(Kind.KEY, self._own_record(), 1, flags=1)
            for address in self._seeds:
                self._send(address, data)
        handle = asyncio.get_running_loop().call_later(HELLO_S, self._hello)
        self._tasks.add(handle)

    def _learn(self, sender: int, data: bytes, wants_answer: int) -> None:
        """Takes records in; answers an introduction with the own record and some others."""
        nodes = self.directory.learn(data[HEADER_BYTES:])
        if nodes is None:
            self.node.counters.malformed += 1
            return
        self.node.add_seeds(nodes)
        address = self.directory.address(sender)
        if wants_answer == 1 and address is not None:
            records = [self._own_record()]
            known = [n for n in self.directory.known() if n not in (sender, self.node.node)]
            for other in self._rng.sample(known, min(RECORDS_MAX - 1, len(known))):
                record = self.directory.record(other)
                if record is not None:
                    records.append(record)
            self._send(address, self.node.packet(Kind.KEY, b"".join(records), len(records)))

    def _ask_who(self, sender: int, nodes: list[int]) -> None:
        """Asks the sender of entries for the keys of their subjects."""
        now = self.now_ms()
        address = self.directory.address(sender)
        if address is None or now - self._asked_ms < WHO_INTERVAL_MS:
            return
        self._asked_ms = now
        payload = b"".join(WHO.pack(node) for node in nodes[:RECORDS_MAX])
        self._send(address, self.node.packet(Kind.WHO, payload, len(payload) // WHO.size))

    def _answer_who(self, sender: int, data: bytes) -> None:
        payload = data[HEADER_BYTES:]
        if not payload or len(payload) % WHO.size or len(payload) > RECORDS_MAX * WHO.size:
            self.node.counters.malformed += 1
            return
        records: list[bytes] = []
        for at in range(0, len(payload), WHO.size):
            (wanted,) = WHO.unpack_from(payload, at)
            record = self._own_record() if wanted == self.node.node else None
            record = record or self.directory.record(wanted)
            if record is not None:
                records.append(record)
        address = self.directory.address(sender)
        if records and address is not None:
            self._send(address, self.node.packet(Kind.KEY, b"".join(records), len(records)))
