"""A vectorised model of the same control, for 10,000 and 100,000 nodes.

The plant is the simulator's own; price, guard, machine, offers and moves are the cores' rules on
arrays, every 500 ms. What it leaves out: packets (information has an age between 0.5 and 5.5 s
instead), signatures, membership, liars, and the network's faults. The spread of a zone alarm
is counted with the shipped distress planes up to 10,000 nodes, on arrays above.
`tests/heat/test_vector.py` compares it with the cores at 100 nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from maxwell.errors import ConfigError
from maxwell.heat.admission import MODEL_MARGIN_K
from maxwell.heat.guard import BRAKE_K, FALL_MAX, LOOK_AHEAD_S, RELEASE_K, RISE_PER_S
from maxwell.heat.node import ACTING_DELAY_S, LOCKOUT_MS, MIGRATION_J
from maxwell.heat.offers import FREEZE_REST_S
from maxwell.heat.price import mean_share
from maxwell.heat.sim.metrics import HeatReport
from maxwell.heat.sim.spread import ROUNDS_MAX, spread_alarm
from maxwell.heat.stability import loop_gain_per_s, margins
from maxwell.heat.thermal import Plant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maxwell.heat.sim.engine import SimConfig

SUPPORTED: Final = frozenset({"steady", "fan-death", "ten-percent", "overload", "gossip-off"})
POLICIES: Final = frozenset({"ours", "ticketed", "no-discount", "guard-only", "forced-only"})
TICK_S: Final = 0.1
CONTROL_TICKS: Final = 5
DT: Final = TICK_S * CONTROL_TICKS
DRAWS: Final = 8
ASK_AFTER_S: Final = 2.0
"""After so long in distress a process that fits no offer asks for itself."""
HISTORY: Final = 11
"""Half-second steps of 0.5 to 5.5 s of age."""
MOVE_STEPS: Final = 1
SPREAD_CORES_MAX: Final = 10_000
OK, DISTRESS, ASLEEP = 0, 1, 2


class VectorModel:
    """The arrays of one run."""

    def __init__(self, config: SimConfig) -> None:
        if config.scenario.name not in SUPPORTED or config.policy.name not in POLICIES:
            raise ConfigError(
                f"the vectorised model has no {config.scenario.name!r} under "
                f"{config.policy.name!r}",
                code="MX1006",
                hint=f"scenarios: {', '.join(sorted(SUPPORTED))}; policies: "
                f"{', '.join(sorted(POLICIES))}; or --model cores",
            )
        self.config = config
        n = config.nodes
        self.rng = np.random.Generator(np.random.PCG64(config.seed))
        model = config.plant
        self.plant = Plant(n, model, self.rng)
        self.plant.supply_c = self.plant.supply_c + config.scenario.supply_k
        self._make_processes(n)
        self.plant.load_w = self._loads()
        self.plant.settle(600)
        self.t_f = self.plant.t_die_c.copy()
        self.power_f = self.plant.power_w.copy()
        self.sink = self.t_f - config.settings.die_resistance_k_per_w * self.power_f
        self.slope = np.zeros(n)
        self.resistance = (self.t_f - self.plant.inlet_c) / self.power_f
        self.fault_s = np.zeros(n)
        self.ln_price = np.zeros(n)
        self.state = np.zeros(n, dtype=np.int8)
        self.entered_s = np.zeros(n)
        self.tokens = np.full(n, config.settings.token_w_max)
        self.reserved = np.zeros(n)
        self.headroom = np.zeros(n)
        self.guard_t = self.t_f.copy()
        self.guard_slope = np.zeros(n)
        self.prices = np.zeros((HISTORY, n))
        self.rooms = np.zeros((HISTORY, n))
        self.offers: dict[int, list[list[float]]] = {}
        self.moves = self.forced = self.frozen = self.refusals = 0
        self.now_s = 0.0
        self.h_mean = 0.5
        self.h = np.full(n, 0.5)
        """Relative heat of each node, predicted."""

    def _make_processes(self, n: int) -> None:
        config, rng = self.config, self.rng
        count = int(config.scenario.utilisation * config.plant.dynamic_w_max * n / 24.9)
        self.watts = np.round(np.clip(rng.lognormal(np.log(22), 0.5, count), 5, 70))
        self.ln_value = np.maximum(rng.normal(1.2, 0.5, count), 0.5)
        # The less loaded of two, in rounds, as admission would have done.
        self.home = np.zeros(count, dtype=np.int64)
        loads = np.zeros(n)
        for start in range(0, count, max(1, n // 8)):
            chunk = slice(start, min(count, start + max(1, n // 8)))
            pair = rng.integers(0, n, (2, chunk.stop - chunk.start))
            lower: NDArray[np.bool_] = loads[pair[0]] <= loads[pair[1]]
            better = np.empty(len(lower), dtype=np.int64)
            better[lower] = pair[0][lower]
            better[~lower] = pair[1][~lower]
            full = loads[better] > 200
            better[full] = np.argsort(loads)[: int(full.sum())]
            self.home[chunk] = better
            np.add.at(loads, better, self.watts[chunk])
        self.running = np.ones(count, dtype=bool)
        self.cold = np.zeros(count, dtype=bool)
        self.since = np.full(count, -60.0)
        self.target = np.full(count, -1, dtype=np.int64)
        self.asked_s = np.zeros(count)

    def _loads(self) -> NDArray[np.float64]:
        on = self.running
        sums = np.bincount(self.home[on], self.watts[on], minlength=self.config.nodes)
        return sums.astype(np.float64)

    # --- control ----------------------------------------------------------------------------

    def control(self) -> None:
        """Half a second of all nodes' control."""
        s, plant = self.config.settings, self.plant
        die, power, inlet = plant.read()
        self.power_f += (power - self.power_f) * DT / (2.4 + DT)
        self.t_f += (die - self.t_f) * DT / (s.filter_s + DT)
        sink = die - s.die_resistance_k_per_w * self.power_f
        before = self.sink.copy()
        self.sink += (sink - self.sink) * DT / (s.filter_s + DT)
        self.slope += ((self.sink - before) / DT - self.slope) * DT / (s.slope_filter_s + DT)
        self.inlet = inlet
        t_hat = self.t_f + s.lead_s * self.slope
        h = np.clip((t_hat - s.reference_c) / (s.trip_c - s.reference_c), 0, 2)
        self.h = h
        self.h_mean = float(np.mean(np.sort(h)[len(h) // 4 : len(h) - len(h) // 4]))
        share = mean_share(s, self.config.nodes)
        reference = share * self.h_mean + (1 - share) * s.nominal_h
        over = np.maximum(h - s.barrier_start, 0) / (1 - s.barrier_start)
        target = s.barrier_gain * over**2 + s.kappa * (h - reference)
        change = np.clip(target - self.ln_price, -s.slew_down_per_s * DT, s.slew_up_per_s * DT)
        self.ln_price += change
        self._learn(inlet)
        load = plant.load_w
        margin = s.trip_c - s.absorber_margin_k - MODEL_MARGIN_K - plant.inlet_c
        used = np.maximum(self.power_f, s.idle_w + load)
        self.headroom = np.clip(
            np.minimum(margin / self.resistance - used, s.dynamic_w_max - load), 0, None
        )
        self.headroom[self.state != OK] = 0
        refill = s.token_refill_per_s * self.headroom * DT
        self.tokens = np.minimum(s.token_w_max, self.tokens + refill)
        self.prices = np.roll(self.prices, 1, axis=0)
        self.rooms = np.roll(self.rooms, 1, axis=0)
        self.prices[0] = self.ln_price
        self.rooms[0] = self.headroom - self.reserved
        self._machines()
        self._arrive()
        if self.config.policy.market and not self.config.scenario.gossip_off:
            self._market()
        self._evacuate()
        self._rebid()
        plant.load_w = self._loads()

    def _learn(self, inlet: NDArray[np.float64]) -> None:
        s = self.config.settings
        rise = np.maximum(self.t_f - inlet, 0.1)
        steady = (np.abs(self.slope) < 0.05) & (self.power_f > 20)
        measured = np.clip(rise / np.maximum(self.power_f, 1), 0.02, 4)
        self.resistance = np.where(
            steady, self.resistance + (measured - self.resistance) * DT / 30, self.resistance
        )
        net = np.maximum(self.power_f - s.capacity_j_per_k * self.slope, rise / 4)
        self.momentary = rise / net
        failing = (self.momentary > s.fault_resistance_ratio * self.resistance) & (
            inlet + self.momentary * self.power_f > s.trip_c
        )
        self.fault_s = np.where(failing, self.fault_s + DT, 0)

    def _machines(self) -> None:
        s = self.config.settings
        ok = self.state == OK
        hot = self.t_f > s.trip_c - s.distress_below_trip_k
        fan = self.fault_s >= s.fault_confirm_s
        eta = (s.trip_c - self.t_f) / np.maximum(self.slope, 1e-3)
        rising = (
            (self.t_f > s.distress_floor_c)
            & (self.slope > s.distress_slope_k_per_s)
            & (eta < s.distress_horizon_s)
        )
        for i in np.flatnonzero(ok & (hot | fan | rising)):
            self.state[i] = DISTRESS
            self.entered_s[i] = self.now_s
            self.resistance[i] = max(self.resistance[i], self.momentary[i])
            self._ask_offers(int(i))

    def _ask_offers(self, i: int) -> None:
        """Sixteen of the 120 that a distress reaches offer room, the cheapest first."""
        s, policy = self.config.settings, self.config.policy
        if self.config.scenario.gossip_off or not policy.distress:
            self.offers[i] = []
            return
        n = self.config.nodes
        reached = self.rng.choice(n, min(n - 1, 120), replace=False)
        chance = s.offers_wanted / max(1, len(reached) - 1)
        reached = reached[self.rng.random(len(reached)) < chance]
        if policy.priced:
            reached = reached[np.argsort(self.ln_price[reached], kind="stable")]
        offers: list[list[float]] = []
        for j in reached:
            room = float(int(min(
                s.offer_headroom_ratio * (self.headroom[j] - self.reserved[j]), s.offer_w_max
            )))  # fmt: skip
            if j != i and self.state[j] == OK and room >= 5:
                self.reserved[j] += room
                offers.append([float(j), room])
        self.offers[i] = offers

    def _arrive(self) -> None:
        """Moves of the last step arrive."""
        done = np.flatnonzero(self.target >= 0)
        for p in done:
            j = int(self.target[p])
            self.target[p] = -1
            if self.state[j] == OK:
                self.home[p] = j
                self.running[p] = True
                self.cold[p] = False
                self.since[p] = self.now_s
            else:
                self.cold[p] = True

    def _leave(self, p: int, j: int) -> None:
        self.running[p] = False
        self.target[p] = j

    def _pairs(self, movers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The cheaper of two nodes with room, as each mover remembers them; -1 for none."""
        n, rng = self.config.nodes, self.rng
        pick = rng.integers(0, n, (2, len(movers)))
        age = rng.integers(0, HISTORY, (2, len(movers)))
        price = self.prices[age, pick].copy()
        room = self.rooms[age, pick] >= self.watts[movers]
        price[~room | (pick == self.home[movers]) | (self.state[pick] != OK)] = np.inf
        best = np.argmin(price, axis=0)
        columns = np.arange(len(movers))
        self._seen = price[best, columns]
        return np.where(np.isfinite(self._seen), pick[best, columns], -1)

    def _admit(self, p: int, j: int) -> bool:
        watts = float(self.watts[p])
        if self.tokens[j] <= 0 or self.headroom[j] - self.reserved[j] < watts:
            self.refusals += 1
            return False
        self.tokens[j] -= watts
        self.headroom[j] -= watts
        return True

    def redecide(self) -> NDArray[np.float64]:
        """T_re of each node, s."""
        s = self.config.settings
        delay = ACTING_DELAY_S + 2.5
        gain = 2 * self.plant.load_w * s.kappa * s.resistance_k_per_w / (s.trip_c - s.reference_c)
        wanted = gain * delay / (s.loop_gain * s.softness_ln)
        return np.clip(wanted, s.redecide_s_min, s.redecide_s_max)

    def _market(self) -> None:
        """Each node that decides lets the process go that saves most on one of two nodes."""
        s, n = self.config.settings, self.config.nodes
        ready = self.running & (self.since <= self.now_s - s.residence_s)
        ready &= self.state[self.home] == OK
        chance = DT / self.redecide()
        draws = np.flatnonzero(ready & (self.rng.random(len(self.home)) < chance[self.home]))
        if not len(draws):
            return
        deciders = np.unique(self.home[draws])
        slot = np.full(n, -1)
        slot[deciders] = np.arange(len(deciders))
        own = np.flatnonzero(ready & (slot[self.home] >= 0))
        at = slot[self.home[own]]
        least = np.full(len(deciders), np.inf)
        np.minimum.at(least, at, self.watts[own])
        pick = self.rng.integers(0, n, (2, len(deciders)))
        age = self.rng.integers(0, HISTORY, (2, len(deciders)))
        # A view shows who is open and has room; here pairs are drawn anew until they are.
        for _ in range(DRAWS):
            closed = (pick == deciders) | (self.state[pick] != OK)
            closed |= self.rooms[age, pick] < least
            if not closed.any():
                break
            pick[closed] = self.rng.integers(0, n, int(closed.sum()))
        closed = (pick == deciders) | (self.state[pick] != OK)
        price, room = self.prices[age, pick], self.rooms[age, pick]
        base = self.ln_price[self.home[own]] - s.hysteresis_ln
        base -= MIGRATION_J / (self.watts[own] * 60)
        gain = np.empty((2, len(own)))
        for k in (0, 1):
            gain[k] = base - price[k, at] - self._own_effect(own, pick[k, at])
            gain[k, closed[k, at] | (room[k, at] < self.watts[own])] = -np.inf
        side = np.argmax(gain, axis=0)
        columns = np.arange(len(own))
        gained = gain[side, columns]
        # The last of each node in the order of what is saved.
        order = np.lexsort((gained * self.watts[own], at))
        best = order[np.flatnonzero(np.diff(at[order], append=-1))]
        go = best[self.rng.random(len(best)) < gained[best] / s.softness_ln]
        for p, j in zip(own[go], pick[side[go], at[go]], strict=True):
            if self._admit(int(p), int(j)):
                self._leave(int(p), int(j))
                self.moves += self.now_s >= self.config.scenario.settle_s / 2

    def _own_effect(self, movers: NDArray[np.int64], to: NDArray[np.int64]) -> NDArray[np.float64]:
        """By how much each mover raises the price of where it goes; as `HeatNode._own_effect`."""
        s = self.config.settings
        h = self.h[to]
        rise = self.resistance[to] * self.watts[movers] / (s.trip_c - s.reference_c)
        width = 1 - s.barrier_start
        before = np.maximum(h - s.barrier_start, 0) / width
        after = np.maximum(h + rise - s.barrier_start, 0) / width
        return s.barrier_gain * (after**2 - before**2) + s.believed_kappa * rise

    def _evacuate(self) -> None:
        s, policy = self.config.settings, self.config.policy
        for i in np.flatnonzero(self.state == DISTRESS):
            own = np.flatnonzero((self.home == i) & self.running)
            own = own[np.argsort(-self.ln_value[own], kind="stable")]
            since = self.now_s - self.entered_s[i]
            budget = max(1, int(s.leave_per_s * DT * len(own)))
            if since >= 0.5:
                for p in own:
                    if budget == 0:
                        break
                    for offer in self.offers[int(i)]:
                        if offer[1] >= self.watts[p] and (
                            not policy.priced
                            or self.ln_value[p]
                            >= self.ln_price[int(offer[0])] - s.offer_discount_ln
                        ):
                            offer[1] -= float(self.watts[p])
                            self.reserved[int(offer[0])] -= self.watts[p]
                            self._leave(int(p), int(offer[0]))
                            self.forced += 1
                            budget -= 1
                            break
            left = own[self.running[own]]
            if since > ASK_AFTER_S and policy.distress and not self.config.scenario.gossip_off:
                self._ask_others(left)
                left = left[self.running[left]]
            if since >= FREEZE_REST_S or self.t_f[i] > s.trip_c - 1.5:
                self.running[left] = False
                self.cold[left] = True
                self.frozen += len(left)
                left = left[:0]
            if not len(left):
                self.state[i] = ASLEEP
                self.plant.asleep[i] = True
                for j, room in self.offers.pop(int(i), []):
                    self.reserved[int(j)] = max(0.0, self.reserved[int(j)] - room)

    def _ask_others(self, left: NDArray[np.int64]) -> None:
        """What fits no offer asks the cheaper of two nodes with room, every two seconds.

        A view shows who has room; here pairs are drawn anew until one has.
        """
        asking = left[self.asked_s[left] <= self.now_s]
        for _ in range(DRAWS):
            if not len(asking):
                return
            to = self._pairs(asking)
            found = to >= 0
            self.asked_s[asking[found]] = self.now_s + LOCKOUT_MS / 1_000
            pays = (self.ln_value[asking] >= self._seen) | (not self.config.policy.priced)
            for p, j in zip(asking[found & pays], to[found & pays], strict=True):
                if self._admit(int(p), int(j)):
                    self._leave(int(p), int(j))
                    self.forced += 1
            asking = asking[~found]

    def _rebid(self) -> None:
        """One frozen process in ten asks each half second, as every five seconds each does."""
        if self.config.scenario.gossip_off:
            return
        asking = np.flatnonzero(self.cold & (self.target < 0))
        asking = asking[self.rng.random(len(asking)) < DT / self.config.settings.rebid_s]
        if not len(asking):
            return
        for p, j in zip(asking, self._pairs(asking), strict=True):
            if j >= 0 and self._admit(int(p), int(j)):
                self.target[p] = j

    def guard(self) -> None:
        """A tenth of a second of the fast loop, from the true temperature and its noise."""
        plant, s = self.plant, self.config.settings
        if not self.config.policy.guard:
            return
        before = self.guard_t.copy()
        self.guard_t += (plant.t_die_c - self.guard_t) * TICK_S / (0.4 + TICK_S)
        slope = (self.guard_t - before) / TICK_S
        self.guard_slope += (slope - self.guard_slope) * TICK_S / (1 + TICK_S)
        over = self.guard_t + LOOK_AHEAD_S * np.maximum(self.guard_slope, 0)
        over -= s.trip_c - BRAKE_K
        fall = np.minimum(FALL_MAX, 0.06 * over)
        braked = np.minimum(plant.cap_w, plant.load_w) * (1 - fall)
        rise = np.minimum(s.dynamic_w_max, plant.cap_w + RISE_PER_S * TICK_S * s.dynamic_w_max)
        cool = self.guard_t < s.trip_c - RELEASE_K
        plant.cap_w = np.where(over > 0, braked, np.where(cool, rise, plant.cap_w))


def run_vector(config: SimConfig) -> HeatReport:
    """Runs the model and returns the figures that it has.

    Raises:
        ConfigError: MX1006 for scenarios and policies that it does not have.
    """
    model = VectorModel(config)
    plant, scenario, s = model.plant, config.scenario, config.settings
    n = config.nodes
    settle = scenario.settle_s
    peak = np.full(n, -np.inf)
    above = 0.0
    failing = np.zeros(0, dtype=np.int64)
    load_at = np.zeros(0)
    shed = np.zeros(0)
    loads: list[NDArray[np.float64]] = []
    value = value_all = work = work_all = overhead = spatial = 0.0
    rate = np.exp(model.ln_value) * model.watts
    for tick in range(int(scenario.duration_s / TICK_S)):
        model.now_s = now = tick * TICK_S
        if tick == int(settle / TICK_S):
            spatial = float(plant.t_die_c.std())
            peak[:] = -np.inf
            if scenario.fails:
                failing = np.argsort(-plant.load_w, kind="stable")[
                    : max(1, round(scenario.fail_ratio * n))
                ]
                plant.fan_dead[failing] = True
                load_at = plant.load_w[failing].copy()
                shed = np.full(len(failing), np.inf)
        model.guard()
        if tick % CONTROL_TICKS == 0:
            model.control()
        plant.step(TICK_S)
        np.maximum(peak, plant.t_die_c, out=peak)
        above += TICK_S * float((plant.t_die_c > s.trip_c).sum())
        if now >= settle:
            ratio = plant.delivered_ratio()
            on = model.running
            value += TICK_S * float((rate[on] * ratio[model.home[on]]).sum())
            value_all += TICK_S * float(rate.sum())
            work += TICK_S * float(plant.dynamic_w.sum())
            work_all += TICK_S * float(model.watts.sum())
            overhead += TICK_S * (float(plant.fan_w.sum()) + plant.cooling_w())
            if len(failing):
                done = (plant.load_w[failing] <= 0.1 * load_at) & ~np.isfinite(shed)
                shed[done] = now - settle + TICK_S
        if tick % 10 == 0 and settle / 2 <= now < settle:
            loads.append(plant.load_w.copy())
    others = np.ones(n, dtype=bool)
    others[failing] = False
    entered = model.entered_s[failing] - settle
    all_shed = bool(len(failing)) and bool(np.isfinite(shed).all())
    redecide = float(model.redecide().mean())
    gain = loop_gain_per_s(
        movable_w=float(plant.load_w.mean()), kappa=s.kappa,
        resistance_k_per_w=float(model.resistance[others].mean()),
        span_k=s.trip_c - s.reference_c, redecide_s=redecide, softness_ln=s.softness_ln,
    )  # fmt: skip
    delay = ACTING_DELAY_S + 2.5
    loop = margins(gain, delay)
    minutes = (scenario.duration_s - settle / 2) / 60
    return HeatReport(
        nodes=n, scenario=scenario.name, policy=config.policy.name, seed=config.seed,
        model="vector", utilisation=scenario.utilisation, processes=len(model.watts),
        simulated_s=scenario.duration_s, trip_c=s.trip_c,
        peak_failing_c=_r(peak[failing].max() if len(failing) else peak.max()),
        peak_absorber_c=_r(peak[others].max()), peak_liar_c=None,
        node_seconds_above_trip=_r(above),
        shed90_after_fault_s=_r(shed.max()) if all_shed else None,
        shed90_after_distress_s=_r((shed - entered).max()) if all_shed else None,
        distress_after_fault_s=_r(entered.max()) if len(failing) else None,
        informed16_s=None,
        informed99_rounds=None if scenario.gossip_off else rounds_of_alarm(n, config.seed),
        moves_per_process_min=_r(model.moves / len(model.watts) / minutes, 4),
        evacuations=model.forced, bounced=0, refusals=model.refusals,
        frozen_distress=model.frozen, frozen_price=0, frozen_at_end=int(model.cold.sum()),
        value_kept_ratio=_r(value / max(value_all, 1e-9), 6),
        work_kept_ratio=_r(work / max(work_all, 1e-9), 6),
        load_sd_w=_r(np.array(loads).std(axis=0).mean() if len(loads) > 1 else 0.0),
        spatial_sd_k=_r(spatial), spectral_peak_ratio=None, bytes_per_node_s=None,
        bytes_per_node_s_steady=None, entry_age_p50_s=None, entry_age_p99_s=None,
        in_degree_min=None, in_degree_mean=None, view_entries_max=None,
        fan_and_cooling_j_per_work=_r(overhead / max(work, 1.0), 5),
        honest_price_shift_max=None, quarantined_liars=None, quarantined_honest=None,
        doubted_honest=None,
        feed_over_capacity_s=None, loop_gain_per_s=_r(gain, 4), loop_delay_s=delay,
        phase_margin_deg=_r(loop.phase_margin_deg), gain_margin=_r(loop.gain_margin),
    )  # fmt: skip


def rounds_of_alarm(nodes: int, seed: int) -> int | None:
    """Rounds until 99 % know of a zone alarm: with the cores up to 10,000 nodes, else on arrays."""
    if nodes <= SPREAD_CORES_MAX:
        return spread_alarm(nodes, seed).rounds99
    rng = np.random.Generator(np.random.PCG64(seed))
    informed = np.zeros(nodes, dtype=bool)
    left = np.full(nodes, 18)
    informed[0] = True
    for done in range(1, ROUNDS_MAX + 1):
        senders = np.flatnonzero(informed & (left > 0))
        left[senders] -= 3
        informed[rng.integers(0, nodes, 3 * len(senders))] = True
        if informed.mean() >= 0.99:
            return done
    return None


def _r(value: float | np.floating, digits: int = 3) -> float:
    return round(float(value), digits)
