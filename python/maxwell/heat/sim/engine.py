"""The event loop of the simulator: the shipped cores, a plant, a network, a clock of its own.

Everything is a function of (nodes, scenario, seed, policy): one heap of events ordered by time
and by order of creation, one generator of random numbers per node and one for the plant. The
trace is one line an event; its hash is part of the result.
"""

from __future__ import annotations

import gc
import hashlib
from heapq import heappop, heappush
from math import exp
from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from maxwell.heat.entry import entry_hash
from maxwell.heat.node import HeatNode
from maxwell.heat.policy import Policy
from maxwell.heat.records import Alarm as AlarmSaid
from maxwell.heat.records import Distress as DistressSaid
from maxwell.heat.records import Freeze, Hosted, Move, Reading, Suspend, Thaw, Wake
from maxwell.heat.settings import HeatSettings
from maxwell.heat.signing import StandInKeys, StandInSigner
from maxwell.heat.sim.liar import LyingNode
from maxwell.heat.sim.metrics import Metrics
from maxwell.heat.sim.network import Network
from maxwell.heat.sim.scenarios import Scenario
from maxwell.heat.sim.workload import Workload
from maxwell.heat.thermal import Plant, PlantModel, band_matrix_row
from maxwell.heat.wire import Kind

if TYPE_CHECKING:
    from maxwell.heat.entry import Entry, State
    from maxwell.heat.records import Decision

TICK_MS: Final = 100
READINGS_PER_S: Final = 2
TICKS_PER_READING: Final = 1_000 // TICK_MS // READINGS_PER_S
LINK_MIB_PER_S: Final = 1_100.0
"""A 10 Gb/s network card."""
MOVE_MIN_MS: Final = 100
SQUARE_HALF_MS: Final = 20_000
GUARD_WINDOW_K: Final = 12.0
"""Further below trip than this a guard at full cap does nothing, and is not called."""
PACKET, TIMER, ARRIVAL = 0, 1, 2


class SimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is a function of."""

    nodes: int
    scenario: Scenario
    policy: Policy
    seed: int = 1
    settings: HeatSettings = HeatSettings()
    plant: PlantModel = PlantModel()
    keep_trace: bool = False
    keep_series: bool = False


class Simulation:
    """One run.

    Args:
        config: see `SimConfig`.
    """

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        scenario, count = config.scenario, config.nodes
        self.now_ms = 0
        self._order = 0
        self._events: list[tuple[int, int, int, int, object]] = []
        seed = f"maxwell-heat/{config.seed}"
        self.rng = Random(f"{seed}/world")  # noqa: S311
        model = msgspec.structs.replace(
            config.plant, supply_c=config.plant.supply_c + scenario.supply_k
        )
        self.plant = Plant(
            count,
            model,
            np.random.Generator(np.random.PCG64(config.seed)),
            chassis=scenario.chassis,
        )
        self.rack = min(20, max(2, count // 5))
        self.workload = Workload(count, scenario.utilisation, model.dynamic_w_max, self.rng)
        self.network = Network(scenario, count, Random(f"{seed}/network"))  # noqa: S311
        self.value_w = np.zeros(count)
        self.value_all_w = sum(self.workload.value_rate(p.process) for p in self.workload.processes)
        self.watts_all = sum(p.watts for p in self.workload.processes)
        self._numbers = [entry_hash(f"{seed}/{i}".encode()) for i in range(count)]
        self.index = {number: i for i, number in enumerate(self._numbers)}
        self.liars = self._choose_liars()
        self.nodes = self._make_nodes(seed)
        self.failing: list[int] = []
        self.metrics = Metrics(self)
        self.trace: list[str] = []
        self._digest = hashlib.sha256()
        self._link_free_ms = [0] * count
        self._where: dict[int, tuple[str, int]] = {}
        self._square: list[int] = []
        self._square_high = False
        self._place()
        self.plant.settle()

    # --- building ---------------------------------------------------------------------------

    def _choose_liars(self) -> frozenset[int]:
        ratio = self.config.scenario.liars
        if not ratio:
            return frozenset()
        count = max(1, round(ratio * self.config.nodes))
        return frozenset(self.rng.sample(range(self.config.nodes), count))

    def _make_nodes(self, seed: str) -> list[HeatNode]:
        config, count = self.config, self.config.nodes
        keys = StandInKeys(hashlib.sha256(seed.encode()).digest())
        rows = band_matrix_row(count)
        nodes: list[HeatNode] = []
        good: dict[bytes, tuple[bytes, Entry]] = {}
        for i, number in enumerate(self._numbers):
            rng = Random(f"{seed}/node/{i}")  # noqa: S311
            seeds = [self._numbers[j] for j in rng.sample(range(count), min(8, count)) if j != i]
            kind = LyingNode if i in self.liars else HeatNode
            node = kind(
                StandInSigner(keys, number),
                keys,
                rng,
                zone=i // self.rack,
                boot=1,
                near=tuple(self._numbers[j] for j in rows[i]),
                seeds=tuple(seeds),
                nodes=count,
                settings=config.settings,
                policy=config.policy,
            )
            node.plane.good = good
            if config.scenario.liars:
                node.outlets = self._outlet
            if isinstance(node, LyingNode):
                node.victim = self._numbers[min(set(range(count)) - self.liars)]
            nodes.append(node)
        return nodes

    def _outlet(self, number: int) -> float | None:
        """A metered outlet, true within a percent."""
        return float(self.plant.power_w[self.index[number]])

    def _place(self) -> None:
        workload = self.workload
        for process, node in zip(workload.processes, workload.node_of, strict=True):
            self.nodes[node].add(0, process)
            process.since_ms = -60_000
            self._run_on(process, node)

    # --- bookkeeping of processes -----------------------------------------------------------

    def _run_on(self, process: Hosted, node: int) -> None:
        self.plant.load_w[node] += process.watts
        self.value_w[node] += self.workload.value_rate(process.process)
        self._where[process.process] = ("running", node)

    def _stop_on(self, process: Hosted, node: int, state: str) -> None:
        assert self._where[process.process] == ("running", node), "a process runs in one place"
        self.plant.load_w[node] -= process.watts
        self.value_w[node] -= self.workload.value_rate(process.process)
        self._where[process.process] = (state, node)

    def check_conservation(self) -> None:
        """Asserts that each process is in exactly one place, and that the sums agree."""
        loads = [0.0] * self.config.nodes
        for process in self.workload.processes:
            state, node = self._where[process.process]
            assert state in ("running", "frozen", "moving"), state
            assert process.process in self.nodes[node].hosted, "a process has one home"
            if state == "running":
                loads[node] += process.watts
        homes = sum(len(node.hosted) for node in self.nodes)
        assert homes == len(self.workload.processes), "no process is in two places"
        assert np.allclose(loads, self.plant.load_w, atol=1e-6), "loads add up"

    # --- events -----------------------------------------------------------------------------

    def push(self, at_ms: int, kind: int, node: int, payload: object) -> None:
        """Queues an event."""
        self._order += 1
        heappush(self._events, (at_ms, self._order, kind, node, payload))

    def log(self, node: int, what: str) -> None:
        """Adds a line to the trace."""
        line = f"{self.now_ms} {node} {what}\n"
        self._digest.update(line.encode())
        if self.config.keep_trace:
            self.trace.append(line)

    @property
    def trace_sha256(self) -> str:
        """Hash of the trace so far."""
        return self._digest.hexdigest()

    def _drain(self, i: int) -> None:
        """Carries out what a node said."""
        out = self.nodes[i].out
        if out.packets:
            index, network, now, events = self.index, self.network, self.now_ms, self._events
            order = self._order
            for to, data in out.packets:
                target = index.get(to)
                if target is None:
                    continue
                for at in network.arrivals(now, i, target, len(data)):
                    order += 1
                    heappush(events, (at, order, PACKET, target, data))
            self._order = order
            out.packets.clear()
        if out.timers:
            for timer in out.timers:
                self.push(timer.due_ms, TIMER, i, timer)
            out.timers.clear()
        if out.decisions:
            decisions = list(out.decisions)
            out.decisions.clear()
            for decision in decisions:
                self._carry_out(i, decision)

    def _carry_out(self, i: int, decision: Decision) -> None:
        node = self.nodes[i]
        if isinstance(decision, Move):
            self._start_move(i, decision)
        elif isinstance(decision, Freeze):
            process = node.hosted[decision.process]
            self._stop_on(process, i, "frozen")
            self.metrics.frozen(decision.why)
            self.log(i, f"freeze {decision.process} {decision.why}")
        elif isinstance(decision, Thaw):
            process = node.hosted[decision.process]
            self._run_on(process, i)
            self.log(i, f"thaw {decision.process}")
        elif isinstance(decision, Suspend):
            self.plant.asleep[i] = True
            self.log(i, "suspend")
        elif isinstance(decision, Wake):
            self.plant.asleep[i] = False
            self.log(i, "wake")
        elif isinstance(decision, DistressSaid):
            self.metrics.distress(i, node.boot, node._seq)  # pyright: ignore[reportPrivateUsage]
            self.log(i, f"distress {decision.reason} {decision.wanted_w:.0f}")
        else:
            assert isinstance(decision, AlarmSaid)
            if decision.own:
                self.log(i, f"alarm {decision.zone}")

    def _start_move(self, i: int, move: Move) -> None:
        """Stops the process, and sends its snapshot over the node's one network card."""
        process = self.nodes[i].hosted[move.process]
        if self._where[move.process][0] == "running":
            self._stop_on(process, i, "moving")
        else:
            self._where[move.process] = ("moving", i)
        start = max(self.now_ms, self._link_free_ms[i])
        mib = self.workload.memory_mib[move.process - 1]
        done = start + MOVE_MIN_MS + int(mib / LINK_MIB_PER_S * 1_000)
        self._link_free_ms[i] = done
        self.metrics.move(i, self.index[move.target], forced=move.forced)
        self.log(i, f"move {move.process} {self.index[move.target]} {int(move.forced)}")
        self.push(done, ARRIVAL, i, move)

    def _arrive(self, i: int, move: Move) -> None:
        target = self.index[move.target]
        source_node, target_node = self.nodes[i], self.nodes[target]
        process = source_node.hosted[move.process]
        reachable = not (self.network.off or i in self.network.dead or target in self.network.dead)
        if reachable and target_node.arrive(source_node.node, move.deal, process.watts):
            source_node.remove(move.process)
            process.frozen = False
            target_node.add(self.now_ms, process)
            self._run_on(process, target)
            self.log(target, f"arrive {move.process} {i}")
        else:
            self._where[move.process] = ("frozen", i)
            source_node.bounced(self.now_ms, move.process)
            self.metrics.bounced += 1
            self.log(i, f"bounce {move.process} {target}")

    def _events_until(self, limit_ms: int) -> None:
        events, nodes = self._events, self.nodes
        while events and events[0][0] < limit_ms:
            at, _, kind, i, payload = heappop(events)
            self.now_ms = at
            node = nodes[i]
            if kind == PACKET:
                data: bytes = payload  # type: ignore[assignment]
                node.on_packet(at, data)
                if data[1] == Kind.DISTRESS:
                    self.metrics.heard(i, node)
            elif kind == TIMER:
                node.on_timer(at, payload.kind, payload.argument)  # type: ignore[attr-defined]
            else:
                self._arrive(i, payload)  # type: ignore[arg-type]
            self._drain(i)

    # --- time -------------------------------------------------------------------------------

    def run(self) -> Simulation:
        """Runs the scenario to its end."""
        # Reference counts free everything here; scanning a large heap for cycles finds nothing.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._run()
        finally:
            if collecting:
                gc.enable()
        return self

    def _run(self) -> None:
        for i, node in enumerate(self.nodes):
            node.start(0)
            self._drain(i)
        ticks = self.config.scenario.duration_s * 1_000 // TICK_MS
        for tick in range(ticks):
            self._tick(tick)
        self.check_conservation()
        self.metrics.finish()
        if not self.network.off:
            self.metrics.drill()

    def _tick(self, tick: int) -> None:
        start = tick * TICK_MS
        self.now_ms = start
        self._happens(start)
        self._events_until(start + 1)
        self.now_ms = start
        plant = self.plant
        die, power, inlet = plant.read()
        self._guards(start, die)
        for i in range(tick % TICKS_PER_READING, self.config.nodes, TICKS_PER_READING):
            node = self.nodes[i]
            watts = float(power[i])
            node.on_reading(start, Reading(float(die[i]), watts, float(inlet[i]), watts))
            if node.out.decisions or node.out.packets or node.out.timers:
                self._drain(i)
        if tick % 10 == 0:
            self._deliveries(start)
        self._events_until(start + TICK_MS)
        plant.step(TICK_MS / 1_000)
        self.metrics.tick(start, TICK_MS / 1_000)

    def _guards(self, now_ms: int, die: np.ndarray) -> None:
        """Runs the fast loop of the nodes that may need it, and takes over the caps of all."""
        plant = self.plant
        if not self.config.policy.guard:
            return
        low = plant.cap_w < plant.model.dynamic_w_max
        near = die > plant.model.trip_c - GUARD_WINDOW_K
        for i in np.flatnonzero(low | near):
            node = self.nodes[i]
            node.guard.step(now_ms, float(die[i]), float(plant.load_w[i]))
            plant.cap_w[i] = node.cap_w()

    def _deliveries(self, now_ms: int) -> None:
        """Accounts compare what they paid for with what they got."""
        ratio = self.plant.delivered_ratio()
        for i in np.flatnonzero(ratio < 0.9):
            node = self.nodes[i]
            for process in node.hosted.values():
                if not process.frozen and not process.moving:
                    node.delivered(now_ms, process.process, float(ratio[i]))

    def _happens(self, now_ms: int) -> None:
        """What the scenario does to the plant, the feed and the processes."""
        scenario = self.config.scenario
        fault_ms = scenario.settle_s * 1_000
        if now_ms == fault_ms:
            self._fault()
        if scenario.inlet_k and fault_ms <= now_ms < fault_ms + 120_000:
            step = scenario.inlet_k * TICK_MS / 120_000
            racks = max(1, round(0.1 * self.config.nodes / self.rack))
            self.plant.supply_c[: racks * self.rack] += step
        if scenario.square_wave and now_ms >= fault_ms and now_ms % SQUARE_HALF_MS == 0:
            self._toggle()

    def _fault(self) -> None:
        scenario, plant, count = self.config.scenario, self.plant, self.config.nodes
        by_load = sorted(range(count), key=lambda i: (-plant.load_w[i], i))
        by_load = [i for i in by_load if i not in self.liars]
        if scenario.fails:
            failing = by_load[: max(1, round(scenario.fail_ratio * count))]
            plant.fan_dead[failing] = True
            self._failed(failing)
        if scenario.dead_relays:
            alive = [i for i in range(count) if i not in self.failing]
            dead = self.rng.sample(alive, max(1, round(scenario.dead_relays * count)))
            self.network.dead = frozenset(dead)
        if scenario.surge:
            chassis = range(0, count - scenario.chassis + 1, 4 * scenario.chassis)
            self._failed([c + self.rng.randrange(scenario.chassis) for c in chassis])
            for i in self.failing:
                self._scale(i, 1.5)
        if scenario.derate:
            rack = self.rng.randrange(max(1, count // self.rack))
            members = list(range(rack * self.rack, min(count, (rack + 1) * self.rack)))
            share = (1 - scenario.derate) * float(plant.power_w[members].mean())
            self._failed(members)
            self.metrics.feed_limit_w = share * len(members)
            for i in members:
                self.nodes[i].set_feed_limit(self.now_ms, share)
                plant.cap_w[i] = self.nodes[i].cap_w()
                self._drain(i)

    def _failed(self, failing: list[int]) -> None:
        self.failing = failing
        self.metrics.fault(failing)
        self.log(-1, f"fault {failing}")

    def _scale(self, i: int, ratio: float) -> None:
        """Changes the power of the processes that run on a node."""
        for process in self.nodes[i].hosted.values():
            if self._where[process.process] == ("running", i):
                self._set_watts(process, i, round(process.watts * ratio))

    def _set_watts(self, process: Hosted, i: int, watts: float) -> None:
        change = exp(process.ln_value) * (watts - process.watts)
        self.value_w[i] += change
        self.value_all_w += change
        self.watts_all += watts - process.watts
        self.plant.load_w[i] += watts - process.watts
        process.watts = float(watts)

    def _toggle(self) -> None:
        """A fifth of the processes switch between 40 and 160 % of their power."""
        if not self._square:
            self._square = list(range(1, len(self.workload.processes) + 1, 5))
            ratio = 1.6
        else:
            ratio = 0.25 if self._square_high else 4.0
        self._square_high = ratio > 1
        for number in self._square:
            process = self.workload.processes[number - 1]
            state, i = self._where[number]
            watts = max(1.0, float(round(process.watts * ratio)))
            if state == "running":
                self._set_watts(process, i, watts)
            else:
                self.value_all_w += exp(process.ln_value) * (watts - process.watts)
                self.watts_all += watts - process.watts
                process.watts = watts

    def states(self) -> list[State]:
        """Returns every node's state."""
        return [node.machine.state for node in self.nodes]
