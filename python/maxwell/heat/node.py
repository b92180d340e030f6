"""One node's thermal control, sans I/O: planes, price, distress, moves.

`step(now, input)` takes a packet, a timer or a reading and returns packets, timers and decisions.
No clock, no socket, no global randomness: the simulator and `maxwell heat node` run this code.

Cost at 1 Hz with 48 entries in view: `benches/heat_cost.py`.
"""

from __future__ import annotations

from math import ceil, inf, isfinite
from typing import TYPE_CHECKING, Final

from maxwell.heat.admission import Admission
from maxwell.heat.counters import HeatCounters
from maxwell.heat.distress import DistressPlane, Rumour
from maxwell.heat.entry import (
    LN_PRICE_CLOSED,
    Entry,
    State,
    entry_hash,
    make_entry,
    relative_heat,
)
from maxwell.heat.gossip import HeatPlane, Known, trimmed_mean
from maxwell.heat.guard import Guard
from maxwell.heat.machine import DistressMachine
from maxwell.heat.membership import Membership, Swim
from maxwell.heat.offers import Offer, OfferBook, by_value, freeze_count, leaving_now
from maxwell.heat.policy import POLICIES, Policy
from maxwell.heat.price import PriceLaw, mean_share, own_effect_ln, redecide_s, target_ln_price
from maxwell.heat.records import (
    Alarm,
    Distress,
    Freeze,
    Hosted,
    Move,
    Outputs,
    Packet,
    Reading,
    Suspend,
    Thaw,
    Timer,
    TimerKind,
    Wake,
)
from maxwell.heat.sensor import ThermalEstimate
from maxwell.heat.settings import (
    DISTRESS_TICK_MS,
    FRESH_MIN,
    HEAT_JITTER,
    HEAT_PERIOD_MS,
    HeatSettings,
)
from maxwell.heat.signing import Verdict
from maxwell.heat.trust import OutletWitness, PushSum, Quarantine
from maxwell.heat.wire import (
    DEAL,
    HEADER,
    HEADER_BYTES,
    SHARE,
    SIGNATURE_BYTES,
    SIGNED_KINDS,
    VERSION,
    WITNESS,
    Deal,
    Header,
    Kind,
    header_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from maxwell.heat.signing import Signer, Verifier

ASK_TIMEOUT_MS: Final = 2_000
LOCKOUT_MS: Final = 2_000
ALARM_TTL_MS: Final = 60_000
OFFER_DELAY_MS: Final = 400
MIGRATION_J: Final = 30.0
"""Energy of a move, which a gain must earn back within a minute."""
UNPAID_MS: Final = 10_000
"""A process whose value is below the price for so long is frozen."""
REBIDS_PER_TURN: Final = 4
PROCESSES_MAX: Final = 4_096
DELAY_FILTER: Final = 0.05
MEAN_TURNS: Final = 60
"""Seconds over which the mean heat of the view is averaged."""
SEEDS_MAX: Final = 16
ACCUSATIONS_MAX: Final = 64
ACCUSING: Final = 2
"""Nodes that an accusation is told to in a second."""
ACCUSING_BURST: Final = 32
"""A token bucket: on average one such packet a second, 0.17 kB/s, so that slander costs no more
traffic however many slander."""
KNOCK: Final = 1 / 16
"""Chance, each second, of a message of one entry to a node of the first hour."""
HEAT: Final = int(Kind.HEAT)
"""Nine packets of ten; a plain number compares faster."""
WATCH_TURNS: Final = 3
"""The probed nodes follow the view every so many probes."""
ACTING_DELAY_S: Final = 2.5
"""Filter, slew and move, which add to the age of the entries in the loop's delay."""


class HeatNode:
    """The thermal control of one node.

    Args:
        signer: signs as this node.
        verifier: checks everybody's signatures.
        rng: injected randomness; the same seed gives the same node.
        zone: the cooling or feed zone that it is in.
        boot: persisted counter of its starts.
        near: its thermal neighbours, nearest first, at most 16.
        seeds: nodes to speak to before any view is known.
        nodes: how many nodes the cluster has, for numbers of copies.
        settings, policy: constants and switches.
        membership: the failure detector; SWIM over the view when None.
    """

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        rng: Random,
        *,
        zone: int,
        boot: int,
        near: tuple[int, ...] = (),
        seeds: tuple[int, ...] = (),
        nodes: int = 1,
        settings: HeatSettings | None = None,
        policy: Policy | None = None,
        membership: Membership | None = None,
    ) -> None:
        self.settings = settings or HeatSettings()
        self.policy = policy or POLICIES["ours"]
        self.node = signer.node
        self.zone = zone
        self.boot = boot
        self._signer = signer
        self._verifier = verifier
        self._rng = rng
        self._seeds = seeds
        self._seq = 0
        self._packet_seq = 0
        self._prev = 0
        self.counters = HeatCounters()
        self.plane = HeatPlane(self.node, zone, near, verifier, rng, self.counters)
        self.rumours = DistressPlane(
            self.node,
            verifier,
            rng,
            self.counters,
            interval_ms=int(self.settings.distress_interval_s * 1_000),
        )
        self.rumours.nodes = nodes
        self.nodes = nodes
        self.membership: Membership = membership or Swim(self.node, rng)
        self.estimate = ThermalEstimate(self.settings, self.counters)
        self.law = PriceLaw(self.settings)
        self.guard = Guard(self.settings.trip_c, self.settings.dynamic_w_max)
        self.admission = Admission(self.settings)
        self.machine = DistressMachine(self.settings)
        self.book = OfferBook()
        self.quarantine = Quarantine()
        self.witness = OutletWitness()
        self.push_sum = PushSum()
        self.hosted: dict[int, Hosted] = {}
        self.asleep = False
        self.limit_w = inf
        """Share of the feed, if the feed lost capacity."""
        self.h_mean: float | None = None
        """Trimmed mean heat of the views of half a minute; None while nobody is in view."""
        self._mean_turns = 0
        self.delay_s = ACTING_DELAY_S + 2.5
        self.meter_w = 0.0
        self._headroom_w = 0.0
        self._public_cut_until_ms = 0
        self._leave_budget = 0.0
        self._leaving = 0
        self._pending: dict[int, int] = {}
        self._offers_due: set[int] = set()
        self._asking: dict[int, Entry] = {}
        self._distressed: dict[int, int] = {}
        self._alarms: dict[int, int] = {}
        self._distress_ticking = False
        self._membership_turn = 0
        self._accusations: list[bytes] = []
        self._accusing_credit = ACCUSING_BURST
        self.outlets: Callable[[int], float | None] | None = None
        """Reads a neighbour's metered outlet, where there is one."""
        self.on_unknown: Callable[[int, list[int]], None] | None = None
        """Called with a sender and the nodes whose keys it is to be asked for."""
        self.out = Outputs()

    # --- the one entrance -------------------------------------------------------------------

    def step(self, now_ms: int, event: Packet | Timer | Reading) -> Outputs:
        """Takes one input and returns what is to be done; the caller clears the outputs."""
        if isinstance(event, Packet):
            self.on_packet(now_ms, event.data)
        elif isinstance(event, Timer):
            self.on_timer(now_ms, event.kind, event.argument)
        else:
            self.on_reading(now_ms, event)
        return self.out

    def start(self, now_ms: int) -> Outputs:
        """Sets the first timers, at random phases."""
        phase = self._rng.random
        for kind, period_ms in (
            (TimerKind.HEAT, HEAT_PERIOD_MS),
            (TimerKind.MEMBERSHIP, 2_000),
            (TimerKind.REBID, int(self.settings.rebid_s * 1_000)),
        ):
            self.out.timers.append(Timer(now_ms + int(phase() * period_ms), kind))
        self._next_decision(now_ms)
        return self.out

    # --- processes: the host tells ----------------------------------------------------------

    def add(self, now_ms: int, process: Hosted) -> None:
        """A process runs here now."""
        assert len(self.hosted) < PROCESSES_MAX, "a node has a bounded number of processes"
        process.since_ms = now_ms
        process.moving = False
        process.unpaid_ms = 0
        self.hosted[process.process] = process

    def remove(self, process: int) -> None:
        """A process ended, or has arrived elsewhere."""
        self.hosted.pop(process, None)

    def bounced(self, now_ms: int, process: int) -> None:
        """A move failed: the snapshot is here, frozen, until the process finds a place."""
        hosted = self.hosted.get(process)
        if hosted is not None:
            hosted.moving = False
            hosted.frozen = True
            hosted.asked_ms = now_ms + LOCKOUT_MS

    def arrive(self, source: int, deal: int, watts: float) -> bool:
        """Whether a process that comes under a promise may start here."""
        if self.asleep or self.machine.state in (State.DISTRESS, State.ASLEEP):
            return False
        if not self.admission.arrive(source, deal, watts):
            return False
        self.counters.offers_taken += 1
        return True

    def load_w(self) -> float:
        """Power of the processes that run here, at full speed."""
        return sum([p.watts for p in self.hosted.values() if not p.frozen and not p.moving])

    def set_feed_limit(self, now_ms: int, limit_w: float) -> None:
        """The feed lost capacity (or got it back): the node may draw `limit_w` watts in all.

        What is above the share leaves as in distress; the cap holds at once.
        """
        self.limit_w = limit_w
        if self.policy.distress and self._excess_w() > 0:
            self._enter(now_ms, State.DRAINING, "feed")

    def cap_w(self) -> float:
        """Returns the cap of dynamic power, W: the lower of guard and feed."""
        if not self.policy.guard:
            return self.settings.dynamic_w_max
        return max(0.0, min(self.guard.cap_w, self.limit_w - self.settings.idle_w))

    def _excess_w(self) -> float:
        if self.limit_w == inf:
            return 0.0
        return self.load_w() - (self.limit_w - self.settings.idle_w)

    # --- readings ---------------------------------------------------------------------------

    def on_reading(self, now_ms: int, reading: Reading) -> None:
        """Updates estimate, price and state."""
        settings, estimate = self.settings, self.estimate
        dt = estimate.update(now_ms, reading.t_c, reading.power_w, reading.inlet_c)
        if isfinite(reading.meter_w):
            self.meter_w = reading.meter_w
        t_c = estimate.t_hat_c if self.policy.predicted else estimate.t_c
        h = (t_c - settings.reference_c) / (settings.trip_c - settings.reference_c)
        h = 0.0 if h < 0 else min(h, 2.0)
        if self.policy.push_sum:
            self.push_sum.contribute(h)
            self.h_mean = self.push_sum.mean()
        self.law.step(dt, h, self.reference_heat(h))
        load_w = self.load_w()
        self._headroom_w = self.admission.headroom_w(
            inlet_c=estimate.inlet_c,
            resistance_k_per_w=estimate.resistance_k_per_w,
            power_w=estimate.power_w,
            load_w=load_w,
        )
        if self.limit_w != inf:
            room = self.limit_w - settings.idle_w - load_w
            self._headroom_w = max(0.0, min(self._headroom_w, room))
        self.admission.step(now_ms, self._headroom_w)
        self.plane.expire(now_ms)
        self._states(now_ms, dt, h, load_w)
        if self.policy.priced and self.policy.guard:
            self._price_out(now_ms)

    def reference_heat(self, h: float) -> float:
        """Returns the heat at which the relative term is zero; the own `h` while alone.

        Half of it is what others say, less in small clusters; the rest is a constant. Between two
        nodes that see the same mean the reference cancels, so that it moves no work; but what a
        lie moves of it is halved.
        """
        if self.h_mean is None:
            return h
        share = mean_share(self.settings, self.nodes)
        return share * self.h_mean + (1 - share) * self.settings.nominal_h

    def _states(self, now_ms: int, dt_s: float, h: float, load_w: float) -> None:
        """Moves the state machine on."""
        machine, estimate = self.machine, self.estimate
        state = machine.state
        if state in (State.OK, State.WARM):
            if self.policy.distress or self.policy.guard:
                reason = machine.why_distress(estimate)
                # Without the distress plane only the local emergency is left.
                if reason and (self.policy.distress or reason == "hot"):
                    self._enter(now_ms, State.DISTRESS, reason)
                    return
            machine.state = State.WARM if h > self.settings.barrier_start else State.OK
            if self.admission.ramp < 1.0:
                self.admission.ramp = machine.ramp(now_ms)
        elif state == State.DRAINING:
            reason = machine.why_distress(estimate)
            if reason and reason != "feed":
                self._enter(now_ms, State.DISTRESS, reason)
            elif self._excess_w() <= 0:
                machine.enter(now_ms, State.OK, "drained")
                self.admission.closed = False
                self._release_offers()
            else:
                self._evacuate(now_ms, dt_s)
        elif state == State.DISTRESS:
            self._evacuate(now_ms, dt_s)
            self._maybe_suspend(now_ms, load_w)
        elif machine.cooled(now_ms, estimate):
            machine.come_back(now_ms)
            self.admission.closed = False
            self.admission.ramp = machine.ramp(now_ms)
            self.asleep = False
            self.guard.cap_w = self.settings.dynamic_w_max
            self.out.decisions.append(Wake())

    def _enter(self, now_ms: int, state: State, reason: str) -> None:
        """Goes into distress: the gate closes, and the network hears of it."""
        if reason == "fan":
            self.estimate.learn_fault()
        self.machine.enter(now_ms, state, reason)
        self.admission.closed = True
        self._leave_budget = 1.0
        self._leaving = sum(not p.frozen for p in self.hosted.values())
        wanted_w = self.load_w() if state == State.DISTRESS else self._excess_w()
        self.out.decisions.append(Distress(reason, wanted_w))
        if not self.policy.distress:
            return
        wire = self._own_entry(now_ms)
        if self.rumours.start(now_ms, wire, self.estimate.time_to_trip_s()):
            self._distressed[self.node] = now_ms
            self._maybe_alarm(now_ms)
            self._tick_distress(now_ms)

    def _evacuate(self, now_ms: int, dt_s: float) -> None:
        """Sends processes to offers, highest value first, and freezes what finds no place."""
        settings, policy = self.settings, self.policy
        running = by_value(p for p in self.hosted.values() if not p.frozen and not p.moving)
        if not running:
            return
        partial = self.machine.state == State.DRAINING
        excess_w = self._excess_w() if partial else inf
        since_s = (now_ms - self.machine.entered_ms) / 1_000
        placed = 0
        if policy.distress:
            self.book.expire(now_ms)
            self._leave_budget = leaving_now(self._leave_budget, self._leaving, dt_s, settings)
            for process in running if not partial else reversed(running):
                if self._leave_budget < 1 or excess_w <= 0:
                    break
                offer = self.book.take(process, priced=policy.priced, now_ms=now_ms)
                if offer is None:
                    if since_s > 2.0 and process.asked_ms <= now_ms:
                        self._ask_best(now_ms, process)
                    continue
                self._leave_budget -= 1
                placed += 1
                excess_w -= process.watts
                process.moving = True
                self.out.decisions.append(
                    Move(process.process, offer.node, offer.deal, forced=True)
                )
        if partial or not policy.guard:
            return
        left = [p for p in running if not p.moving]
        count = freeze_count(
            settings,
            in_distress_s=since_s,
            time_to_trip_s=self.estimate.time_to_trip_s(),
            t_c=self.estimate.t_c,
            usable_offers=placed > 0,
            processes=len(left),
            dt_s=dt_s,
        )
        for process in left[len(left) - count :]:
            self._freeze(process, "distress")

    def _freeze(self, process: Hosted, why: str) -> None:
        process.frozen = True
        process.asked_ms = 0
        self.out.decisions.append(Freeze(process.process, why))

    def _maybe_suspend(self, now_ms: int, load_w: float) -> None:
        """An empty host is put to sleep: idle power alone would take it above trip."""
        if load_w >= self.settings.suspend_load_w or not self.policy.guard:
            return
        if any(p.moving for p in self.hosted.values()):
            return
        self.machine.enter(now_ms, State.ASLEEP, "empty")
        self.asleep = True
        self.out.decisions.append(Suspend())
        self._release_offers()

    def _release_offers(self) -> None:
        for offer in self.book.release():
            if offer.left_w >= 1:
                self._deal(Kind.REFUSE, offer.node, 0, offer.left_w, 0.0, offer.deal)

    def _price_out(self, now_ms: int) -> None:
        """Freezes the least valuable process that has not paid its price for ten seconds."""
        if self.machine.state not in (State.OK, State.WARM):
            return
        ln_price = self.law.ln_price
        worst: Hosted | None = None
        for process in self.hosted.values():
            if process.frozen or process.moving:
                continue
            if process.ln_value >= ln_price:
                process.unpaid_ms = 0
            elif process.unpaid_ms == 0:
                process.unpaid_ms = now_ms
            elif now_ms - process.unpaid_ms >= UNPAID_MS and (
                worst is None or process.ln_value < worst.ln_value
            ):
                worst = process
        if worst is not None:
            self._freeze(worst, "price")

    # --- what the node says -----------------------------------------------------------------

    def posted_ln_price(self, now_ms: int) -> float:
        """Returns the public price, natural logarithm over cost; infinite when closed."""
        if self.admission.closed or self.asleep:
            return inf
        cut = self.settings.offer_discount_ln if now_ms < self._public_cut_until_ms else 0.0
        return self.law.ln_price - cut

    def figures(self, now_ms: int) -> dict[str, float]:
        """Returns what the node's next entry claims; a simulated liar overrides this."""
        state = self.machine.state
        wanted_w = 0.0
        if state == State.DISTRESS:
            wanted_w = self.load_w()
        elif state == State.DRAINING:
            wanted_w = max(0.0, self._excess_w())
        free_w = max(0.0, self._headroom_w - self.admission.reserved_w())
        return {
            "t_c": self.estimate.t_c,
            "t_hat_c": self.estimate.t_hat_c,
            "t_in_c": self.estimate.inlet_c,
            "power_w": self.estimate.power_w,
            "meter_w": self.meter_w,
            "headroom_w": 0.0 if self.admission.closed else free_w,
            "ln_price": self.posted_ln_price(now_ms),
            "resistance_k_per_w": self.estimate.resistance_k_per_w,
            "wanted_w": wanted_w,
            "offer_w": self.admission.reserved_w(),
        }

    def _own_entry(self, now_ms: int, state: State | None = None) -> bytes:
        """Signs the next entry: 118 bytes."""
        self._seq += 1
        entry = make_entry(
            state=self.machine.state if state is None else state,
            zone=self.zone,
            node=self.node,
            boot=self.boot,
            seq=self._seq,
            t_ms=now_ms,
            prev=self._prev,
            **self.figures(now_ms),
        )
        body = entry.pack()
        self._prev = entry_hash(body)
        return body + self._signer.sign(body)

    def packet(self, kind: Kind, payload: bytes, count: int, *, flags: int = 0) -> bytes:
        """Puts this node's header before a payload."""
        self._packet_seq = (self._packet_seq + 1) & 0xFFFFFFFF
        return (
            HEADER.pack(
                VERSION, kind, count, flags, self.node, self.boot, self._packet_seq, self.nodes
            )
            + payload
        )

    def _send(self, to: int, kind: Kind, payload: bytes, count: int = 1) -> None:
        data = self.packet(kind, payload, count)
        if kind in SIGNED_KINDS:
            data += self._signer.sign(data)
        counters = self.counters
        counters.packets_out += 1
        counters.bytes_out += len(data)
        self.out.packets.append((to, data))

    def _deal(
        self, kind: Kind, to: int, process: int, watts: float, ln_price: float, deal: int
    ) -> None:
        milli = max(-32_768, min(32_766, round(ln_price * 1_000)))
        self._send(to, kind, DEAL.pack(to, process, min(ceil(watts), 65_535), milli, deal))

    def send_signed(self, to: int, kind: Kind, payload: bytes) -> None:
        """Sends a packet of a signed kind in this node's name."""
        assert kind in SIGNED_KINDS, "only signed kinds"
        self._send(to, kind, payload)

    def add_seeds(self, nodes: list[int]) -> None:
        """Remembers nodes to speak to while nobody is in view; at most sixteen."""
        for node in nodes:
            if node != self.node and node not in self._seeds:
                self._seeds = (*self._seeds, node)[-SEEDS_MAX:]

    # --- timers -----------------------------------------------------------------------------

    def on_timer(self, now_ms: int, kind: TimerKind, argument: int = 0) -> None:
        """Does what is due."""
        if kind == TimerKind.HEAT:
            self._tick_heat(now_ms)
        elif kind == TimerKind.DISTRESS:
            self._distress_ticking = False
            self._tick_distress(now_ms)
        elif kind == TimerKind.MEMBERSHIP:
            self._tick_membership(now_ms)
        elif kind == TimerKind.DECIDE:
            self._decide(now_ms)
            self._next_decision(now_ms)
        elif kind == TimerKind.OFFER:
            self._offer(now_ms, argument)
        else:
            self._rebid(now_ms)
            self.out.timers.append(
                Timer(now_ms + int(self.settings.rebid_s * 1_000), TimerKind.REBID)
            )

    def _tick_heat(self, now_ms: int) -> None:
        """The heat message of this second."""
        jitter = 1 + HEAT_JITTER * (2 * self._rng.random() - 1)
        self.out.timers.append(Timer(now_ms + int(HEAT_PERIOD_MS * jitter), TimerKind.HEAT))
        own = self._own_entry(now_ms)
        plane = self.plane
        messages = plane.messages(now_ms, own)
        for to, payload, count in messages:
            self._send(to, Kind.HEAT, payload, count)
        lonely = len(messages) < min(len(self._seeds), 3)
        if lonely or (self._seeds and self._rng.random() < KNOCK):
            # Nobody in view yet: knock at the seeds; and now and then later, so that the halves
            # of a healed partition find each other.
            payload = own + b"\0\0"
            for to in self._rng.sample(self._seeds, min(3 if lonely else 1, len(self._seeds))):
                self._send(to, Kind.HEAT, payload, 1)
        for proof in plane.proofs:
            for to, _, _ in messages:
                self._send(to, Kind.PROOF, proof)
        plane.proofs.clear()
        if self.policy.push_sum:
            if plane.table:
                to = self._rng.choice(list(plane.table))
                self._send(to, Kind.SHARE, SHARE.pack(*self.push_sum.halve()))
        else:
            self._mean_heat(now_ms)
        if self.outlets is not None:
            self._watch_outlets(now_ms, self.outlets)
        self._spread_accusation()

    def _mean_heat(self, now_ms: int) -> None:
        """Recomputes h̄ of the view, and the age of what it is made of."""
        settings = self.settings
        known = list(self.plane.table.values())
        if self.counters.quarantined:
            known = [k for k in known if not self.quarantine.holds(now_ms, k.node)]
        # The mean is trimmed, so that clipping it is clipping the values.
        mean = trimmed_mean([k.entry.t_hat_cc for k in known], settings.trim)
        if mean is None:
            self.h_mean = None
            return
        h = (mean / 100 - settings.reference_c) / (settings.trip_c - settings.reference_c)
        h = min(max(h, 0.0), 2.0)
        # A view has by chance more liars than the cluster; several views have not.
        small = self.h_mean is None or len(known) < FRESH_MIN
        self._mean_turns = 1 if small else min(self._mean_turns + 1, MEAN_TURNS)
        before = h if self.h_mean is None else self.h_mean
        self.h_mean = before + (h - before) / self._mean_turns
        age_s = now_ms / 1_000 - sum([k.birth_ms for k in known]) / len(known) / 1_000
        self.delay_s += (ACTING_DELAY_S + age_s - self.delay_s) * DELAY_FILTER

    def _tick_distress(self, now_ms: int) -> None:
        """Sends rumours, and again in 200 ms while there are any."""
        plane = self.rumours
        if not plane.busy:
            return
        peers = list(self.plane.table) or list(self._seeds)
        for to, payload, count in plane.tick(now_ms, peers):
            self._send(to, Kind.DISTRESS, payload, count)
        if plane.busy and not self._distress_ticking:
            self._distress_ticking = True
            self.out.timers.append(Timer(now_ms + DISTRESS_TICK_MS, TimerKind.DISTRESS))

    def _tick_membership(self, now_ms: int) -> None:
        membership = self.membership
        self._membership_turn += 1
        if self._membership_turn % WATCH_TURNS == 1:
            membership.watch(self.plane.table)
        for to, kind, payload in membership.tick(now_ms):
            self._send(to, Kind(kind), payload)
        due = max(membership.next_ms(now_ms), now_ms + 50)
        self.out.timers.append(Timer(due, TimerKind.MEMBERSHIP))

    def _watch_outlets(self, now_ms: int, outlets: Callable[[int], float | None]) -> None:
        """Compares what neighbours claim with their metered outlets, and accuses."""
        for node in self.plane.near:
            known = self.plane.table.get(node)
            outlet_w = None if known is None else outlets(node)
            if known is None or outlet_w is None or now_ms - known.birth_ms > 2_500:
                continue
            if self.witness.check(node, known.seq, known.entry.meter_w, outlet_w):
                excess = min(65_535, int(abs(outlet_w - known.entry.meter_w)))
                # Seen by this node itself: what others hear of it makes them doubt, no more.
                self.counters.quarantined += self.quarantine.convict(now_ms, node)
                self._tell_accusation(WITNESS.pack(node, excess))

    def _tell_accusation(self, payload: bytes) -> None:
        """Signs an accusation and queues it: one of the queue is told each second."""
        data = self.packet(Kind.WITNESS, payload, 1)
        self._pass_on(data + self._signer.sign(data))

    def _pass_on(self, data: bytes) -> None:
        if len(self._accusations) < ACCUSATIONS_MAX:
            self._accusations.append(data)

    def _spread_accusation(self) -> None:
        """Accusations travel as they were signed, so that relays cannot make them up."""
        self._accusing_credit = min(self._accusing_credit + 1, ACCUSING_BURST)
        if not self._accusations or not self.plane.table:
            return
        data = self._accusations.pop(0)
        peers = list(self.plane.table)
        chosen = self._rng.sample(peers, min(ACCUSING, self._accusing_credit, len(peers)))
        self._accusing_credit -= len(chosen)
        for to in chosen:
            self.counters.packets_out += 1
            self.counters.bytes_out += len(data)
            self.out.packets.append((to, data))

    def _accuse(self, now_ms: int, accuser: int, accused: int) -> None:
        if accused != self.node and self.quarantine.accuse(now_ms, accuser, accused):
            self.counters.doubted += 1

    # --- packets ----------------------------------------------------------------------------

    def on_packet(self, now_ms: int, data: bytes) -> None:
        """Takes a packet in; nothing that it can contain raises."""
        counters = self.counters
        counters.packets_in += 1
        header = header_of(data)
        if header is None:
            counters.malformed += 1
            return
        kind, sender, plane = header.kind, header.sender, self.plane
        if sender == self.node or plane.banned(sender):
            counters.banned += 1
        elif kind == HEAT:
            plane.receive(now_ms, data, header.entries)
            if plane.unknown:
                if self.on_unknown is not None:
                    self.on_unknown(sender, plane.unknown)
                plane.unknown.clear()
        elif kind == Kind.DISTRESS:
            for rumour in self.rumours.receive(now_ms, data, header.entries):
                self._heard(now_ms, rumour)
            self._tick_soon(now_ms)
        elif Kind.PING <= kind <= Kind.ACK:
            answers = self.membership.receive(now_ms, kind, sender, data)
            if answers is None:
                counters.malformed += 1
            else:
                for to, answer, payload in answers:
                    self._send(to, Kind(answer), payload)
        elif kind in SIGNED_KINDS:
            self._on_signed(now_ms, header, data)
        elif kind == Kind.SHARE:
            self._on_share(data)
        elif kind == Kind.PROOF:
            self.plane.receive_proof(data[HEADER_BYTES:])
        else:
            counters.malformed += 1

    def _tick_soon(self, now_ms: int) -> None:
        if self.rumours.busy and not self._distress_ticking:
            self._distress_ticking = True
            self.out.timers.append(Timer(now_ms + DISTRESS_TICK_MS, TimerKind.DISTRESS))

    def _on_share(self, data: bytes) -> None:
        if len(data) != HEADER_BYTES + SHARE.size:
            self.counters.malformed += 1
            return
        total, weight = SHARE.unpack_from(data, HEADER_BYTES)
        if isfinite(total) and isfinite(weight) and weight >= 0:
            self.push_sum.receive(total, weight)
        else:
            self.counters.malformed += 1

    def _on_signed(self, now_ms: int, header: Header, data: bytes) -> None:
        """OFFER, RESERVE, GRANT, REFUSE and WITNESS: signed by their sender."""
        if not self.verify_signed(header, data):
            return
        if header.kind == Kind.WITNESS:
            accused, _ = WITNESS.unpack_from(data, HEADER_BYTES)
            if self.quarantine.news(now_ms, header.sender, accused):
                self._accuse(now_ms, header.sender, accused)
                self._pass_on(data)
            return
        deal = Deal._make(DEAL.unpack_from(data, HEADER_BYTES))
        if deal.other != self.node:
            self.counters.malformed += 1
        elif header.kind == Kind.OFFER:
            self._on_offer(now_ms, header.sender, deal)
        elif header.kind == Kind.RESERVE:
            self._on_reserve(now_ms, header.sender, deal)
        elif header.kind == Kind.GRANT:
            self._on_grant(now_ms, header.sender, deal)
        elif header.kind == Kind.REFUSE:
            self._on_refuse(now_ms, header.sender, deal)

    def verify_signed(self, header: Header, data: bytes) -> bool:
        """Whether a packet of a signed kind has its size and its sender's signature; counts."""
        size = WITNESS.size if header.kind == Kind.WITNESS else DEAL.size
        if len(data) != HEADER_BYTES + size + SIGNATURE_BYTES:
            self.counters.malformed += 1
            return False
        body = data[:-SIGNATURE_BYTES]
        verdict = self._verifier.verify(header.sender, body, data[-SIGNATURE_BYTES:])
        if verdict == Verdict.GOOD:
            return True
        if verdict == Verdict.UNKNOWN:
            self.counters.unknown_key += 1
            if self.on_unknown is not None:
                self.on_unknown(header.sender, [header.sender])
        else:
            self.counters.forged += 1
        return False

    # --- distress of others -----------------------------------------------------------------

    def _heard(self, now_ms: int, rumour: Rumour) -> None:
        """A node is dying, or a zone is: maybe offer room."""
        entry = rumour.entry
        if rumour.alarm:
            self._alarm(now_ms, entry.zone, own=False)
        else:
            known = self.plane.table.get(entry.node)
            if known is not None and (entry.boot, entry.seq) > (known.boot, known.seq):
                self.plane.keep(rumour.birth_ms, rumour.wire, entry, known)
            if entry.zone == self.zone:
                self._distressed[entry.node] = now_ms
                self._maybe_alarm(now_ms)
        if not self.policy.distress or entry.wanted_w == 0 or entry.node in self._offers_due:
            return
        if self.admission.closed or self._alarms.get(self.zone, 0) > now_ms:
            return
        informed = self.nodes if rumour.alarm else min(self.nodes, self.settings.informed_max)
        if self._rng.random() >= self.settings.offers_wanted / max(1.0, informed - 1):
            return
        # The cool answer first: the delay grows with the own price.
        share = self._rng.random()
        if self.policy.priced:
            share = min(max(self.law.ln_price + 0.5, 0.0), 2.0) / 2
        delay_ms = int(OFFER_DELAY_MS * share + 50 * self._rng.random())
        if len(self._asking) < 64:
            self._asking[entry.node] = entry
            self._offers_due.add(entry.node)
            self.out.timers.append(Timer(now_ms + delay_ms, TimerKind.OFFER, entry.node))

    def _maybe_alarm(self, now_ms: int) -> None:
        """Raises a zone alarm when this node and two others of its zone are in distress."""
        if self.machine.state not in (State.DISTRESS, State.DRAINING):
            return
        for node in [n for n, at in self._distressed.items() if now_ms - at > ALARM_TTL_MS]:
            del self._distressed[node]
        members = len(self._distressed)
        if members >= self.settings.alarm_members and self._alarms.get(self.zone, 0) <= now_ms:
            self.raise_alarm(now_ms)

    def zone_alarmed(self, now_ms: int) -> bool:
        """Whether an alarm of this node's zone is in force."""
        return self._alarms.get(self.zone, 0) > now_ms

    def raise_alarm(self, now_ms: int) -> None:
        """Tells the whole cluster that this node's zone is failing."""
        if self.rumours.start(now_ms, self._own_entry(now_ms, State.ALARM), 0.0):
            self._alarm(now_ms, self.zone, own=True)
            self._tick_distress(now_ms)

    def _alarm(self, now_ms: int, zone: int, *, own: bool) -> None:
        if len(self._alarms) >= 64:
            del self._alarms[next(iter(self._alarms))]
        self._alarms[zone] = now_ms + ALARM_TTL_MS
        self.out.decisions.append(Alarm(zone, own))

    def _offer(self, now_ms: int, node: int) -> None:
        """Reserves room for a dying node and tells it."""
        self._offers_due.discard(node)
        self._asking.pop(node, None)
        settings = self.settings
        if self.admission.closed or self.quarantine.holds(now_ms, node):
            return
        watts = self._offerable_w()
        if watts < settings.suspend_load_w:
            return
        ttl_ms = int(settings.offer_ttl_s * 1_000)
        deal = self.admission.promise(node, watts, now_ms + ttl_ms)
        if deal is None:
            return
        ln_price = self.law.ln_price
        if self.policy.discount == "public":
            self._public_cut_until_ms = now_ms + ttl_ms
        if self.policy.discount != "none":
            ln_price -= settings.offer_discount_ln
        self.counters.offers_made += 1
        self._deal(Kind.OFFER, node, 0, watts, ln_price, deal)

    def _offerable_w(self) -> float:
        """Returns the watts of the next offer; a simulated liar overrides this."""
        settings = self.settings
        free_w = self._headroom_w - self.admission.reserved_w()
        return int(min(settings.offer_headroom_ratio * free_w, settings.offer_w_max))

    def _on_offer(self, now_ms: int, sender: int, deal: Deal) -> None:
        evacuating = self.machine.state in (State.DISTRESS, State.DRAINING)
        if not evacuating or self.quarantine.holds(now_ms, sender):
            self._deal(Kind.REFUSE, sender, 0, deal.watts, 0.0, deal.deal)
            return
        ttl_ms = int(self.settings.offer_ttl_s * 1_000) - 1_000
        ln_price = deal.ln_price_milli / 1_000 if self.policy.priced else 0.0
        if self.policy.priced and self.quarantine.doubts(now_ms, sender):
            ln_price = max(ln_price, self._average_ln_price())
        self.book.add(Offer(sender, deal.deal, deal.watts, ln_price, now_ms + ttl_ms))

    # --- moves ------------------------------------------------------------------------------

    def _next_decision(self, now_ms: int) -> None:
        """Sets the time of the next re-decision: Poisson, each process once in T_re."""
        count = max(1, sum(not p.frozen for p in self.hosted.values()))
        mean_s = redecide_s(self.settings, self.load_w(), self.delay_s) / count
        wait_ms = int(self._rng.expovariate(1 / mean_s) * 1_000) + 1
        self.out.timers.append(Timer(now_ms + min(wait_ms, 120_000), TimerKind.DECIDE))

    def _decide(self, now_ms: int) -> None:
        """One process asks itself whether it were better off elsewhere."""
        if not self.policy.market or self.machine.state not in (State.OK, State.WARM):
            return
        oldest_ms = now_ms - int(self.settings.residence_s * 1_000)
        ready = [
            p
            for p in self.hosted.values()
            if not p.frozen and not p.moving and p.asked_ms <= now_ms and p.since_ms <= oldest_ms
        ]
        if not ready:
            return
        if self.policy.herd:
            process = ready[int(self._rng.random() * len(ready))]
            target = self._choose(now_ms, process)
            if target is None or self._gain(now_ms, process, target) <= 0:
                return
            self._ask(now_ms, process, target.entry.node)
            return
        found = self._best_move(now_ms, ready)
        if found is not None and self._rng.random() < found[0] / self.settings.softness_ln:
            self._ask(now_ms, found[1], found[2].entry.node)

    def _gain(self, now_ms: int, process: Hosted, target: Known) -> float:
        """Returns by how much the posted price is lower there, as a logarithm."""
        gain = self.law.ln_price - self._price_at(now_ms, process, target)
        if process.avoid.get(self.node, 0) > now_ms:
            gain += self.settings.penalty_ln
        return gain

    def _best_move(self, now_ms: int, ready: list[Hosted]) -> tuple[float, Hosted, Known] | None:
        """Returns which process saves most on one of two random nodes, its gain, and where.

        The gain is after hysteresis, the energy of the move and the process's own effect on the
        price there; what is saved is that times the watts.
        """
        least_w = min([p.watts for p in ready])
        candidates = self._candidates(now_ms, least_w)
        if len(candidates) > 2:
            candidates = self._rng.sample(candidates, 2)
        most = 0.0
        found: tuple[float, Hosted, Known] | None = None
        for target in candidates:
            for process in ready:
                watts = process.watts
                if target.entry.headroom_w < watts:
                    continue
                gain = self._gain(now_ms, process, target)
                gain -= self.settings.hysteresis_ln + MIGRATION_J / (max(watts, 1.0) * 60)
                if gain <= 0:
                    continue
                gain -= self._own_effect(watts, target.entry)
                if gain * watts > most:
                    most = gain * watts
                    found = gain, process, target
        return found

    def _price_at(self, now_ms: int, process: Hosted, known: Known) -> float:
        ln_price = known.entry.ln_price
        if self.counters.doubted and self.quarantine.doubts(now_ms, known.node):
            ln_price = max(ln_price, self._average_ln_price())
        penalty = process.avoid.get(known.node, 0) > now_ms
        return ln_price + (self.settings.penalty_ln if penalty else 0.0)

    def _own_effect(self, watts: float, entry: Entry) -> float:
        """Returns how much a process that comes raises the target's price, for itself as well.

        Without it large processes overshoot: the place they leave is then the cheaper one, and
        somebody comes back. A resistance below half the own is not believed.
        """
        settings = self.settings
        span_k = settings.trip_c - settings.reference_c
        resistance = max(entry.resistance / 10_000, self.estimate.resistance_k_per_w / 2)
        h = relative_heat(entry.t_hat_cc, settings.reference_c, settings.trip_c)
        return own_effect_ln(settings, h, resistance * watts / span_k)

    def _average_ln_price(self) -> float:
        """Price target of a node of the view's mean heat: the least that a doubted one looks."""
        h_mean = self.h_mean or 0.0
        return target_ln_price(self.settings, h_mean, self.reference_heat(h_mean))

    def _candidates(self, now_ms: int, watts: float) -> list[Known]:
        """Returns the nodes in view that are open, not avoided, and have room for `watts`."""
        alarms, quarantine = self._alarms, self.quarantine
        candidates = [
            k
            for k in self.plane.values()
            if k.entry.state <= State.WARM
            and k.entry.ln_price_milli != LN_PRICE_CLOSED
            and (self.policy.herd or k.entry.headroom_w >= watts)
        ]
        if alarms:
            candidates = [k for k in candidates if alarms.get(k.entry.zone, 0) <= now_ms]
        return [k for k in candidates if not quarantine.holds(now_ms, k.node)]

    def _choose(self, now_ms: int, process: Hosted) -> Known | None:
        """Returns the cheaper of two random nodes with room; the herd, the cheapest of all."""
        candidates = self._candidates(now_ms, process.watts)
        if not candidates:
            return None
        if not self.policy.herd and len(candidates) > 2:
            candidates = self._rng.sample(candidates, 2)
        if not self.policy.priced:
            return candidates[0]
        return min(candidates, key=lambda k: (self._price_at(now_ms, process, k), k.entry.node))

    def _ask_best(self, now_ms: int, process: Hosted) -> None:
        """Asks the better of two nodes for room, whatever it costs here."""
        target = self._choose(now_ms, process)
        if target is not None and (
            not self.policy.priced or process.ln_value >= self._price_at(now_ms, process, target)
        ):
            self._ask(now_ms, process, target.entry.node)

    def _ask(self, now_ms: int, process: Hosted, target: int) -> None:
        process.asked_ms = now_ms + ASK_TIMEOUT_MS
        self.counters.reserves += 1
        self._deal(Kind.RESERVE, target, process.process, process.watts, process.ln_value, 0)

    def _on_reserve(self, now_ms: int, sender: int, deal: Deal) -> None:
        free_w = self._headroom_w - self.admission.reserved_w()
        number = self._grant(now_ms, sender, deal.watts, free_w)
        kind = Kind.REFUSE if number is None else Kind.GRANT
        self._deal(kind, sender, deal.process, deal.watts, self.law.ln_price, number or 0)

    def _grant(self, now_ms: int, sender: int, watts: float, free_w: float) -> int | None:
        """Answers a request for room; a simulated liar overrides this."""
        if self.asleep:
            return None
        return self.admission.request(now_ms, sender, watts, free_w)

    def _on_grant(self, now_ms: int, sender: int, deal: Deal) -> None:
        process = self.hosted.get(deal.process)
        if process is None or process.moving or process.asked_ms < now_ms - ASK_TIMEOUT_MS:
            self._deal(Kind.REFUSE, sender, 0, deal.watts, 0.0, deal.deal)
            return
        process.moving = True
        process.asked_ms = 0
        forced = process.frozen or self.machine.state in (State.DISTRESS, State.DRAINING)
        self.out.decisions.append(Move(process.process, sender, deal.deal, forced=forced))

    def _on_refuse(self, now_ms: int, sender: int, deal: Deal) -> None:
        if deal.process == 0:
            self.admission.release(sender, deal.deal, deal.watts)
            return
        process = self.hosted.get(deal.process)
        if process is not None and not process.moving:
            self.counters.refusals += 1
            process.asked_ms = now_ms + LOCKOUT_MS

    def _rebid(self, now_ms: int) -> None:
        """Frozen processes look for a place, here or elsewhere, the most valuable first."""
        frozen = [
            p for p in self.hosted.values() if p.frozen and not p.moving and p.asked_ms <= now_ms
        ]
        if not frozen:
            return
        here = self.machine.state in (State.OK, State.WARM) and not self.guard.braking
        free_w = self._headroom_w - self.admission.reserved_w()
        for process in by_value(frozen)[:REBIDS_PER_TURN]:
            affordable = not self.policy.priced or process.ln_value >= self.law.ln_price + 0.1
            if here and affordable and process.watts <= free_w:
                free_w -= process.watts
                process.frozen = False
                process.since_ms = now_ms
                process.unpaid_ms = 0
                self.out.decisions.append(Thaw(process.process))
            elif self.policy.market or self.policy.distress:
                self._ask_best(now_ms, process)

    # --- delivered work ---------------------------------------------------------------------

    def delivered(self, now_ms: int, process: int, ratio: float) -> None:
        """The process's account compares what it paid for with what it got here.

        Less than 90 % costs this node two natural logarithms of price with it, for a minute.
        """
        hosted = self.hosted.get(process)
        if hosted is None or ratio >= 0.9:
            return
        if self.node not in hosted.avoid and len(hosted.avoid) >= 4:
            del hosted.avoid[next(iter(hosted.avoid))]
        hosted.avoid[self.node] = now_ms + int(self.settings.penalty_s * 1_000)

    # --- what is shown ----------------------------------------------------------------------

    def gauges(self, now_ms: int) -> Mapping[str, float]:
        """Returns the figures of `maxwell heat` and of Prometheus."""
        price = self.posted_ln_price(now_ms)
        return {
            "temperature_celsius": self.estimate.t_c,
            "predicted_celsius": self.estimate.t_hat_c,
            "inlet_celsius": self.estimate.inlet_c,
            "power_watts": self.estimate.power_w,
            "headroom_watts": self._headroom_w,
            "load_watts": self.load_w(),
            "cap_watts": self.cap_w(),
            "ln_price": price if isfinite(price) else LN_PRICE_CLOSED / 1_000,
            "view_entries": float(len(self.plane.table)),
            "state": float(self.machine.state),
        }
