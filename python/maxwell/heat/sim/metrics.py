"""What a run is judged by; each figure's definition is its docstring in `HeatReport`."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from maxwell.heat.entry import State
from maxwell.heat.gossip import trimmed_mean
from maxwell.heat.node import MEAN_TURNS
from maxwell.heat.price import mean_share
from maxwell.heat.settings import DISTRESS_TICK_MS, FRESH_MIN

if TYPE_CHECKING:
    from maxwell.heat.node import HeatNode
    from maxwell.heat.sim.engine import Simulation

DRILL_ROUNDS_MAX: Final = 40
ABSORBERS: Final = 16
SPECTRUM_S_MIN: Final = 600


class HeatReport(msgspec.Struct, kw_only=True):
    """The result of `maxwell lab heat --json`; null where a scenario has no such figure."""

    schema: str = "maxwell.heat/1"
    nodes: int
    scenario: str
    policy: str
    seed: int
    model: str = "cores"
    """Whether the shipped cores ran, or the vectorised model of them."""
    utilisation: float
    processes: int
    simulated_s: int
    trip_c: float
    peak_failing_c: float
    """Hottest true die of the nodes that fail, after the fault; of all where none fails."""
    peak_absorber_c: float
    """Hottest true die of the other honest nodes, after settling."""
    peak_liar_c: float | None
    node_seconds_above_trip: float
    """Of honest nodes, over the whole run."""
    shed90_after_fault_s: float | None
    """From the fault until the last failing node has shed 90 % of its load; null for never."""
    shed90_after_distress_s: float | None
    """The longest time of a failing node from its own distress to the same."""
    distress_after_fault_s: float | None
    informed16_s: float | None
    """From the first distress until 16 other nodes (or all) know of it."""
    informed99_rounds: int | None
    """Rounds of 200 ms until 99 % of the reachable nodes know of an alarm: a drill at the end."""
    moves_per_process_min: float
    """Voluntary moves per process and minute, after settling."""
    evacuations: int
    bounced: int
    refusals: int
    frozen_distress: int
    frozen_price: int
    frozen_at_end: int
    value_kept_ratio: float
    """Value of the work done after the fault over that of all processes at full speed."""
    work_kept_ratio: float
    load_sd_w: float
    """Standard deviation over time of a node's load, mean of the nodes, before the fault."""
    spatial_sd_k: float
    """Standard deviation over the nodes of the temperature just before the fault."""
    spectral_peak_ratio: float | None
    """Largest line between 10 and 300 s over the local noise floor; runs of 600 s and more."""
    bytes_per_node_s: float | None
    """All planes, sealing and UDP included, mean over the run."""
    bytes_per_node_s_steady: float | None
    """The same before the fault."""
    entry_age_p50_s: float | None
    entry_age_p99_s: float | None
    """True age of the entries in views."""
    in_degree_min: int | None
    in_degree_mean: float | None
    view_entries_max: int | None
    fan_and_cooling_j_per_work: float
    """Joules of fans and cooling per joule of work delivered, after the fault."""
    fan_and_cooling_j_per_work_without_gossip: float | None = None
    """The same scenario and seed with the local guard alone."""
    work_kept_ratio_without_gossip: float | None = None
    honest_price_shift_max: float | None
    """Largest relative change of an honest node's price target that the lies caused."""
    quarantined_liars: int | None
    quarantined_honest: int | None
    doubted_honest: int | None
    """Honest nodes that at least one honest node doubts: the liars slander one."""
    feed_over_capacity_s: float | None
    loop_gain_per_s: float
    loop_delay_s: float
    phase_margin_deg: float
    gain_margin: float
    trace_sha256: str = ""


class Metrics:
    """Collects while the simulation runs."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        count = sim.config.nodes
        self.bounced = 0
        self.moves = 0
        self.forced = 0
        self._frozen = {"distress": 0, "price": 0}
        self.feed_limit_w: float | None = None
        self._feed_over_s = 0.0
        self._peak = np.full(count, -np.inf)
        self._above_s = np.zeros(count)
        self._failing = np.zeros(count, dtype=bool)
        self._liars = np.zeros(count, dtype=bool)
        self._liars[list(sim.liars)] = True
        self._load_at_fault: dict[int, float] = {}
        self._distress_ms: dict[int, int] = {}
        self._shed_ms: dict[int, int] = {}
        self._first: tuple[int, int, int] | None = None
        self._first_ms = 0
        self._informed: set[int] = set()
        self._informed16_ms: int | None = None
        self._fault_ms = sim.config.scenario.settle_s * 1_000
        self._value = self._value_all = self._work = self._work_all = 0.0
        self._overhead_j = 0.0
        self._loads: list[np.ndarray] = []
        self._ages: list[float] = []
        self._in_degrees: list[int] = []
        self._view_max = 0
        self._spatial = 0.0
        self._steady_bytes = 0
        self._shift = 0.0
        self._lies: dict[int, float] = {}
        self._lie_turns: dict[int, int] = {}
        self._delays: list[float] = []
        self._moves_at_settle = 0
        self.informed_rounds: int | None = None
        self.series: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]] = []
        self.moves_shown: list[tuple[float, int, int, bool]] = []
        """When, s; from where, to where; whether forced."""

    # --- told by the engine -----------------------------------------------------------------

    def move(self, source: int, target: int, *, forced: bool) -> None:
        """A move begins."""
        if forced:
            self.forced += 1
        elif self._sim.now_ms >= self._settled_ms:
            self.moves += 1
        self.moves_shown.append((self._sim.now_ms / 1_000, source, target, forced))

    def frozen(self, why: str) -> None:
        """A process is frozen."""
        self._frozen[why] += 1

    @property
    def _settled_ms(self) -> int:
        return self._fault_ms // 2

    def fault(self, failing: list[int]) -> None:
        """The fault happens to these nodes."""
        self._failing[failing] = True
        for i in failing:
            self._load_at_fault[i] = float(self._sim.plant.load_w[i])
        self._peak[:] = -np.inf
        self._spatial = float(np.std(self._sim.plant.t_die_c))
        self._steady_bytes = self._sim.network.bytes_sent

    def distress(self, i: int, boot: int, seq: int) -> None:
        """A node goes into distress; its entry is `seq`."""
        now = self._sim.now_ms
        self._distress_ms.setdefault(i, now)
        if self._first is None and self._sim.config.policy.distress:
            self._first = (self._sim.nodes[i].node, boot, seq)
            self._first_ms = now

    def heard(self, i: int, node: HeatNode) -> None:
        """A node took a packet of the distress plane in."""
        if self._first is None or self._informed16_ms is not None:
            return
        if node.rumours.knows(*self._first):
            self._informed.add(i)
            wanted = min(ABSORBERS, self._sim.config.nodes - 1 - len(self._sim.network.dead))
            if len(self._informed) >= wanted:
                self._informed16_ms = self._sim.now_ms

    def tick(self, now_ms: int, dt_s: float) -> None:
        """A tenth of a second is over."""
        sim, plant = self._sim, self._sim.plant
        t = plant.t_die_c
        np.maximum(self._peak, t, out=self._peak)
        self._above_s += dt_s * (t > plant.model.trip_c)
        if now_ms >= self._fault_ms:
            ratio = plant.delivered_ratio()
            self._value += dt_s * float((ratio * sim.value_w).sum())
            self._value_all += dt_s * sim.value_all_w
            self._work += dt_s * float(plant.dynamic_w.sum())
            self._work_all += dt_s * sim.watts_all
            self._overhead_j += dt_s * (float(plant.fan_w.sum()) + plant.cooling_w())
            for i, load in self._load_at_fault.items():
                if i not in self._shed_ms and plant.load_w[i] <= 0.1 * load:
                    self._shed_ms[i] = now_ms + 100
            if self.feed_limit_w is not None:
                total = float(plant.power_w[self._failing].sum() - plant.fan_w[self._failing].sum())
                # A breaker forgives seconds; two per cent are the meter's error.
                self._feed_over_s += dt_s * (total > 1.02 * self.feed_limit_w)
        if now_ms % 1_000 == 0:
            self._second(now_ms)

    def _second(self, now_ms: int) -> None:
        sim = self._sim
        if sim.liars:
            self._watch_lies(now_ms)
        if self._settled_ms <= now_ms < self._end_of_steady_ms():
            self._loads.append(sim.plant.load_w.copy())
        if now_ms >= self._settled_ms and now_ms % 10_000 == 0:
            self._sample(now_ms)
        if sim.config.keep_series:
            prices = np.array([node.posted_ln_price(now_ms) for node in sim.nodes])
            self.series.append(
                (now_ms / 1_000, sim.plant.t_die_c.copy(), prices, sim.plant.load_w.copy())
            )

    def _end_of_steady_ms(self) -> int:
        scenario = self._sim.config.scenario
        quiet = not scenario.fails and scenario.name == "steady"
        return scenario.duration_s * 1_000 if quiet else self._fault_ms

    def _sample(self, now_ms: int) -> None:
        """Ages, in-degrees, delay, and the effect of lies; every ten seconds."""
        sim = self._sim
        degree = [0] * sim.config.nodes
        dead = sim.network.dead
        for i, node in enumerate(sim.nodes):
            if i in dead:
                continue
            table = node.plane.table
            self._view_max = max(self._view_max, len(table))
            for number, known in table.items():
                entry = known.entry
                degree[sim.index[number]] += 1
                self._ages.append(now_ms - (entry.t_ms_low | entry.t_ms_high << 32))
        self._in_degrees += [d for i, d in enumerate(degree) if i not in dead]
        self._delays.append(float(np.mean([node.delay_s for node in sim.nodes])))

    def _watch_lies(self, now_ms: int) -> None:
        """Follows each honest node's mean heat with the lies and without them, as it averages."""
        sim = self._sim
        for i, node in enumerate(sim.nodes):
            if i in sim.liars or i in sim.network.dead:
                continue
            small = len(node.plane.table) < FRESH_MIN
            self._lie_turns[i] = 1 if small else min(self._lie_turns.get(i, 0) + 1, MEAN_TURNS)
            before = self._lies.get(i, 0.0)
            self._lies[i] = before + (self._lie_effect(node) - before) / self._lie_turns[i]
            if now_ms >= self._settled_ms:
                # What the price takes of it, as in `HeatNode.reference_heat`.
                effect = abs(self._lies[i]) * mean_share(node.settings, node.nodes)
                self._shift = max(self._shift, exp(node.settings.kappa * effect) - 1)

    def _lie_effect(self, node: HeatNode) -> float:
        """Mean heat of a view with the lies less that with the truth."""
        sim, settings = self._sim, node.settings
        span = settings.trip_c - settings.reference_c
        told: list[float] = []
        true: list[float] = []
        for number, known in node.plane.table.items():
            if node.quarantine.holds(sim.now_ms, number):
                continue
            h = min(max((known.entry.t_hat_cc / 100 - settings.reference_c) / span, 0.0), 2.0)
            told.append(h)
            i = sim.index[number]
            if i in sim.liars:
                estimate = sim.nodes[i].estimate
                h = min(max((estimate.t_hat_c - settings.reference_c) / span, 0.0), 2.0)
            true.append(h)
        a, b = trimmed_mean(told, settings.trim), trimmed_mean(true, settings.trim)
        return 0.0 if a is None or b is None else a - b

    # --- the end ----------------------------------------------------------------------------

    def finish(self) -> None:
        """Fixes what the drill must not change."""
        self._total_bytes = self._sim.network.bytes_sent

    def drill(self) -> None:
        """Raises a zone alarm and counts rounds of 200 ms until 99 % know of it."""
        sim = self._sim
        start_ms = sim.config.scenario.duration_s * 1_000
        alive = [i for i in range(sim.config.nodes) if i not in sim.network.dead]
        calm = [i for i in alive if sim.nodes[i].machine.state in (State.OK, State.WARM)]
        quiet = [i for i in calm if not sim.nodes[i].zone_alarmed(start_ms)]
        origin = (quiet or calm or alive)[0]
        node = sim.nodes[origin]
        sim.now_ms = start_ms
        before = node._seq  # pyright: ignore[reportPrivateUsage]
        node.raise_alarm(start_ms)
        key = (node.node, node.boot, before + 1)
        sim._drain(origin)  # pyright: ignore[reportPrivateUsage]
        wanted = 0.99 * len(alive)
        for done in range(1, DRILL_ROUNDS_MAX + 1):
            sim._events_until(start_ms + done * DISTRESS_TICK_MS)  # pyright: ignore[reportPrivateUsage]
            informed = 1 + sum(sim.nodes[i].rumours.knows(*key) for i in alive)
            if informed >= wanted:
                self.informed_rounds = done
                return

    def _load_sd(self) -> float:
        if len(self._loads) < 2:
            return 0.0
        loads = np.array(self._loads)
        return float(loads.std(axis=0).mean())

    def _spectral_peak(self) -> float | None:
        """Power spectrum of the nodes' loads, mean of all nodes, against its own local median."""
        if len(self._loads) < SPECTRUM_S_MIN:
            return None
        loads = np.array(self._loads)
        loads = loads - loads.mean(axis=0)
        window = np.hanning(len(loads))[:, None]
        power = (np.abs(np.fft.rfft(loads * window, axis=0)) ** 2).mean(axis=1)
        frequency = np.fft.rfftfreq(len(loads), d=1.0)
        worst = 0.0
        for k in np.flatnonzero((frequency >= 1 / 300) & (frequency <= 1 / 10)):
            # The floor falls with frequency: compare with half an octave on both sides.
            near = (frequency > frequency[k] / 1.42) & (frequency < frequency[k] * 1.42)
            worst = max(worst, float(power[k] / np.median(power[near])))
        return worst

    def report(self) -> HeatReport:
        """Returns the figures."""
        from maxwell.heat.stability import loop_gain_per_s, margins

        sim, settings = self._sim, self._sim.config.settings
        scenario, plant = sim.config.scenario, sim.plant
        honest = ~self._liars
        failing = self._failing & honest
        others = honest & ~self._failing
        minutes = (scenario.duration_s * 1_000 - self._settled_ms) / 60_000
        processes = len(sim.workload.processes)
        shed = [self._shed_ms[i] for i in self._load_at_fault if i in self._shed_ms]
        all_shed = bool(self._load_at_fault) and len(shed) == len(self._load_at_fault)
        after = [
            self._shed_ms[i] - at
            for i, at in self._distress_ms.items()
            if i in self._load_at_fault and i in self._shed_ms
        ]
        distressed = [at for i, at in self._distress_ms.items() if i in self._load_at_fault]
        delay = float(np.mean(self._delays)) if self._delays else 0.0
        load = float(plant.load_w.mean())
        gain = self._gain(load, delay, loop_gain_per_s)
        loop = margins(gain, max(delay, 0.1))
        frozen_now = sum(p.frozen for node in sim.nodes for p in node.hosted.values())
        ages = np.array(self._ages) / 1_000 if self._ages else np.zeros(1)
        sheds = scenario.fails
        liars = sim.liars
        return HeatReport(
            nodes=sim.config.nodes,
            scenario=scenario.name,
            policy=sim.config.policy.name,
            seed=sim.config.seed,
            utilisation=scenario.utilisation,
            processes=processes,
            simulated_s=scenario.duration_s,
            trip_c=settings.trip_c,
            peak_failing_c=_r(self._peak[failing].max() if failing.any() else self._peak.max()),
            peak_absorber_c=_r(self._peak[others].max() if others.any() else self._peak.max()),
            peak_liar_c=_r(self._peak[self._liars].max()) if liars else None,
            node_seconds_above_trip=_r(self._above_s[honest].sum()),
            shed90_after_fault_s=_r((max(shed) - self._fault_ms) / 1_000)
            if sheds and all_shed
            else None,
            shed90_after_distress_s=_r(max(after) / 1_000)
            if sheds and after and all_shed
            else None,
            distress_after_fault_s=_r((max(distressed) - self._fault_ms) / 1_000)
            if distressed
            else None,
            informed16_s=None
            if self._informed16_ms is None
            else _r((self._informed16_ms - self._first_ms) / 1_000),
            informed99_rounds=self.informed_rounds,
            moves_per_process_min=_r(self.moves / max(processes, 1) / minutes, 4),
            evacuations=self.forced,
            bounced=self.bounced,
            refusals=sum(node.counters.refusals for node in sim.nodes),
            frozen_distress=self._frozen["distress"],
            frozen_price=self._frozen["price"],
            frozen_at_end=frozen_now,
            value_kept_ratio=_r(self._value / self._value_all, 6) if self._value_all else 1.0,
            work_kept_ratio=_r(self._work_ratio(), 6),
            load_sd_w=_r(self._load_sd()),
            spatial_sd_k=_r(self._spatial or float(np.std(plant.t_die_c))),
            spectral_peak_ratio=_maybe(self._spectral_peak()),
            bytes_per_node_s=_r(self._total_bytes / sim.config.nodes / scenario.duration_s),
            bytes_per_node_s_steady=_r(
                (self._steady_bytes or self._total_bytes)
                / sim.config.nodes
                / (scenario.settle_s if self._steady_bytes else scenario.duration_s)
            ),
            entry_age_p50_s=_r(np.percentile(ages, 50)),
            entry_age_p99_s=_r(np.percentile(ages, 99)),
            in_degree_min=min(self._in_degrees, default=0),
            in_degree_mean=_r(np.mean(self._in_degrees) if self._in_degrees else 0.0),
            view_entries_max=self._view_max,
            fan_and_cooling_j_per_work=_r(self._overhead_j / max(self._work, 1.0), 5),
            honest_price_shift_max=_r(self._shift, 4) if liars else None,
            quarantined_liars=self._quarantined(lying=True) if liars else None,
            quarantined_honest=self._quarantined(lying=False) if liars else None,
            doubted_honest=self._quarantined(lying=False, doubt=True) if liars else None,
            feed_over_capacity_s=None if self.feed_limit_w is None else _r(self._feed_over_s),
            loop_gain_per_s=_r(gain, 4),
            loop_delay_s=_r(delay),
            phase_margin_deg=_r(loop.phase_margin_deg),
            gain_margin=_r(loop.gain_margin),
            trace_sha256=sim.trace_sha256,
        )

    def _gain(self, load_w: float, delay_s: float, gain: object) -> float:
        from maxwell.heat.price import redecide_s
        from maxwell.heat.stability import loop_gain_per_s

        del gain
        sim, settings = self._sim, self._sim.config.settings
        # A dead fan's resistance belongs to no loop: nothing moves there any more.
        nodes = [n for n, fails in zip(sim.nodes, self._failing, strict=True) if not fails]
        resistance = float(np.mean([n.estimate.resistance_k_per_w for n in nodes or sim.nodes]))
        return loop_gain_per_s(
            movable_w=load_w,
            kappa=settings.kappa,
            resistance_k_per_w=resistance,
            span_k=settings.trip_c - settings.reference_c,
            redecide_s=redecide_s(settings, load_w, delay_s),
            softness_ln=settings.softness_ln,
        )

    def _work_ratio(self) -> float:
        return self._work / max(self._work_all, 1e-9)

    def _quarantined(self, *, lying: bool, doubt: bool = False) -> int:
        """How many nodes are in quarantine with, or doubted by, at least one honest node."""
        sim = self._sim
        now = sim.config.scenario.duration_s * 1_000
        return sum(
            any(
                (other.quarantine.doubts if doubt else other.quarantine.holds)(now, node.node)
                for j, other in enumerate(sim.nodes)
                if j not in sim.liars
            )
            for i, node in enumerate(sim.nodes)
            if (i in sim.liars) == lying
        )


def _r(value: float | np.floating, digits: int = 3) -> float:
    return round(float(value), digits)


def _maybe(value: float | None) -> float | None:
    return None if value is None else _r(value)
