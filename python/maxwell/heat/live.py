"""A heat node on a real socket with a simulated plant and workload: `maxwell heat node`.

The plant is one server of `maxwell.heat.thermal` stepped by the real clock; its processes are
numbers with watts. A move hands the number over in a signed packet that the target confirms; the
cluster's mechanics will move real processes through the same decisions.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from maxwell.errors import HeatError
from maxwell.heat.directory import Address, Directory
from maxwell.heat.entry import State
from maxwell.heat.node import HeatNode
from maxwell.heat.policy import policy_named
from maxwell.heat.records import Distress, Freeze, Hosted, Move, Reading, Suspend, Thaw, Wake
from maxwell.heat.seal import Seal
from maxwell.heat.settings import GUARD_PERIOD_MS, READING_PERIOD_MS
from maxwell.heat.signing import Ed25519Signer, KeyRing
from maxwell.heat.thermal import Plant, PlantModel
from maxwell.heat.transport.udp import UdpHeat
from maxwell.heat.wire import DEAL, HEADER_BYTES, Deal, Kind

if TYPE_CHECKING:
    from maxwell.heat.records import Decision

STEP_S: Final = 0.1
HANDOVER_TRIES: Final = 6
HANDOVER_MS: Final = 300
TAKEN_MAX: Final = 4_096


class LiveConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What `maxwell heat node` is told."""

    bind: Address
    cluster_key: bytes
    identity: bytes
    boot: int = 1
    seeds: tuple[Address, ...] = ()
    zone: int = 0
    nodes: int = 1
    policy: str = "ours"
    load_w: float = 160.0
    fan_dies_after_s: float | None = None
    loss: float = 0.0
    status: Path | None = None
    """File that is replaced each second with the node's view."""
    speed: float = 1.0
    """The plant runs this much faster than the clock."""


def read_secret(path: Path, what: str) -> bytes:
    """Reads 32 bytes in hexadecimal from a file.

    Raises:
        HeatError: MX1802 when it is not that.
    """
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise HeatError(
            f"cannot read the {what}: {path}",
            code="MX1802",
            hint="64 hexadecimal digits; make one with `openssl rand -hex 32`",
        ) from error
    if len(secret) != 32:
        raise HeatError(
            f"the {what} has {len(secret)} bytes, not 32: {path}",
            code="MX1802",
            hint="64 hexadecimal digits; make one with `openssl rand -hex 32`",
        )
    return secret


class LiveNode:
    """One node, its plant and its workload.

    Args:
        config: see `LiveConfig`.
    """

    def __init__(self, config: LiveConfig) -> None:
        self.config = config
        signer = Ed25519Signer(config.identity)
        keys = KeyRing()
        keys.add(signer.public_key)
        rng = random.Random(config.identity)  # noqa: S311
        self.node = HeatNode(
            signer, keys, rng, zone=config.zone, boot=config.boot, nodes=config.nodes,
            policy=policy_named(config.policy),
        )  # fmt: skip
        seed = int.from_bytes(config.identity[:8], "little")
        self.plant = Plant(1, PlantModel(), np.random.Generator(np.random.PCG64(seed)))
        self.udp = UdpHeat(
            self.node,
            signer.public_key,
            Seal(config.cluster_key, signer.node, config.boot),
            Directory(keys),
            seeds=config.seeds,
            on_decision=self._decide,
            on_other=self._handed,
            loss=config.loss,
            rng=rng,
        )
        self.events: list[str] = []
        self._stepped_ms = 0
        self._moving: dict[int, tuple[Move, int]] = {}
        self._taken: dict[int, None] = {}
        self._rng = rng
        self._fill(rng)

    def _fill(self, rng: random.Random) -> None:
        """Makes processes of about 22 W until the load is reached."""
        number = self.node.node & 0xFFFFFFFF
        left = self.config.load_w
        while left >= 5:
            watts = float(min(left, max(5, round(rng.lognormvariate(0, 0.5) * 22))))
            number = (number * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
            self.node.add(0, Hosted(number, watts, max(0.5, rng.gauss(1.2, 0.5)), -60_000))
            left -= watts
        self.plant.load_w[0] = self.node.load_w()
        self.plant.settle()

    # --- running ----------------------------------------------------------------------------

    async def run(self, duration_s: float | None = None) -> None:
        """Serves until the duration is over, or for ever.

        Raises:
            HeatError: MX1801 when the address cannot be used.
        """
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: self.udp, local_addr=self.config.bind
            )
        except OSError as error:
            raise HeatError(
                f"cannot listen on {self.config.bind[0]}:{self.config.bind[1]}: {error.strerror}",
                code="MX1801",
                hint="another node may have the port; choose another with --bind",
            ) from error
        try:
            await self._serve(duration_s)
        finally:
            transport.close()

    async def _serve(self, duration_s: float | None) -> None:
        due_ms = self.udp.now_ms()
        tick = 0
        while duration_s is None or self.udp.now_ms() < duration_s * 1_000:
            self._tick(tick)
            tick += 1
            due_ms += GUARD_PERIOD_MS
            await asyncio.sleep(max(0.0, (due_ms - self.udp.now_ms()) / 1_000))

    def _tick(self, tick: int) -> None:
        """A tenth of a second: plant, guard, reading, hand-overs, status."""
        plant, node, now = self.plant, self.node, self.udp.now_ms()
        dies = self.config.fan_dies_after_s
        if dies is not None and now >= dies * 1_000 and not plant.fan_dead[0]:
            plant.fan_dead[0] = True
            self._log("the fan died")
        plant.load_w[0] = node.load_w()
        plant.asleep[0] = node.asleep
        elapsed_s = (now - self._stepped_ms) / 1_000 * self.config.speed
        self._stepped_ms = now
        for _ in range(steps := max(1, round(elapsed_s / STEP_S))):
            plant.step(elapsed_s / steps)
        die, power, inlet = plant.read()
        node.guard.step(now, float(die[0]), node.load_w())
        plant.cap_w[0] = node.cap_w()
        if tick % (READING_PERIOD_MS // GUARD_PERIOD_MS) == 0:
            watts = float(power[0])
            node.on_reading(now, Reading(float(die[0]), watts, float(inlet[0]), watts))
            self._retry(now)
            self.udp.drain()
        if tick % 10 == 0 and self.config.status is not None:
            self._write_status(self.config.status, now)

    def _log(self, what: str) -> None:
        self.events.append(f"{self.udp.now_ms()} {what}")
        del self.events[:-200]

    # --- decisions --------------------------------------------------------------------------

    def _decide(self, decision: Decision) -> None:
        if isinstance(decision, Move):
            self._moving[decision.process] = (decision, 0)
            self._hand_over(decision)
        elif isinstance(decision, Distress):
            self._log(f"distress {decision.reason} {decision.wanted_w:.0f}")
        elif isinstance(decision, Freeze | Thaw):
            self._log(f"{type(decision).__name__.lower()} {decision.process}")
        elif isinstance(decision, Suspend | Wake):
            self._log(type(decision).__name__.lower())

    def _hand_over(self, move: Move) -> None:
        process = self.node.hosted.get(move.process)
        if process is not None:
            milli = round(process.ln_value * 1_000)
            payload = DEAL.pack(move.target, move.process, int(process.watts), milli, move.deal)
            self.node.send_signed(move.target, Kind.HANDOVER, payload)

    def _retry(self, now_ms: int) -> None:
        """Repeats hand-overs that were not confirmed; gives up after a while."""
        for number, (move, tries) in list(self._moving.items()):
            if tries >= HANDOVER_TRIES:
                del self._moving[number]
                self.node.bounced(now_ms, number)
                self._log(f"bounce {number}")
            else:
                self._moving[number] = (move, tries + 1)
                if tries:
                    self._hand_over(move)

    def _handed(self, kind: int, sender: int, data: bytes) -> None:
        """A hand-over or its confirmation."""
        deal = Deal._make(DEAL.unpack_from(data, HEADER_BYTES))
        if deal.other != self.node.node:
            return
        now = self.udp.now_ms()
        if kind == Kind.TAKEN:
            if self._moving.pop(deal.process, None) is not None:
                if deal.deal:
                    self.node.remove(deal.process)
                    self._log(f"moved {deal.process}")
                else:
                    self.node.bounced(now, deal.process)
            return
        taken = deal.process in self._taken
        if not taken and self.node.arrive(sender, deal.deal, deal.watts):
            self.node.add(now, Hosted(deal.process, deal.watts, deal.ln_price_milli / 1_000, now))
            self._taken[deal.process] = None
            if len(self._taken) > TAKEN_MAX:
                del self._taken[next(iter(self._taken))]
            taken = True
            self._log(f"took {deal.process} {deal.watts}")
        payload = DEAL.pack(sender, deal.process, deal.watts, 0, int(taken))
        self.node.send_signed(sender, Kind.TAKEN, payload)

    # --- what is shown ----------------------------------------------------------------------

    def status(self, now_ms: int) -> dict[str, object]:
        """Returns the node's view with ages, its figures and counters."""
        node = self.node
        rows = [
            {
                "node": f"{known.node:016x}",
                "state": State(known.entry.state).name.lower(),
                "zone": known.entry.zone,
                "t_c": known.entry.t_cc / 100,
                "t_hat_c": known.entry.t_hat_cc / 100,
                "power_w": known.entry.power_w,
                "headroom_w": known.entry.headroom_w,
                "ln_price": min(known.entry.ln_price, 32.767),
                "age_s": (now_ms - known.birth_ms) / 1_000,
            }
            for known in sorted(node.plane.table.values(), key=lambda k: k.node)
        ]
        return {
            "schema": "maxwell.heat.status/1",
            "node": f"{node.node:016x}",
            "state": node.machine.state.name.lower(),
            "reason": node.machine.reason,
            "uptime_s": now_ms / 1_000,
            "figures": dict(node.gauges(now_ms)),
            "counters": msgspec.structs.asdict(node.counters),
            "true_c": float(self.plant.t_die_c[0]),
            "offers": [
                {"node": f"{o.node:016x}", "watts": o.offered_w, "ln_price": o.ln_price}
                for o in node.book.offers
            ],
            "events": list(self.events),
            "view": rows,
        }

    def _write_status(self, path: Path, now_ms: int) -> None:
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.status(now_ms)), encoding="utf-8")
        os.replace(draft, path)
