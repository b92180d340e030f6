"""The thermal model: a ladder of terms, each with its source, vectorised over nodes.

1. Two-node RC. C_die dT/dt = P − (T_die − T_sink)/R_die; C_sink dT/dt = (T_die − T_sink)/R_die −
   (T_sink − T_in)/R_sink. Heat sink and die lumps as in standard compact server models (Erden,
   Khalifa, Schmidt 2014; Pardey et al., ASHRAE 2015); a heat sink's time constant is 30 to 90 s,
   a die's 1 to 10 s.
2. Recirculation: T_in = T_sup + D·P with D = (K − AᵀK)⁻¹ − K⁻¹, K = diag(ρ·f·c_p) (Tang, Gupta,
   Varsamopoulos, TPDS 2008). Our default D is a band of ±3 neighbours that sums to 16 mK/W.
3. Cooling: CoP(T_sup) = 0.0068 T² + 0.0008 T + 0.458 (Moore et al., USENIX ATC 2005; chilled
   water). The formula was quoted from memory of the paper.
4. Leakage 0.4 W/K above 65 °C; fan power ∝ speed³, airflow ∝ speed (fan laws), convection
   ∝ airflow^0.8 (turbulent flow, Dittus–Boelter exponent).
5. Throttling by the hardware at trip + 3 K to 40 % of dynamic power with 3 K hysteresis, shutdown
   at trip + 15 K.
6. Sensor: 1 K steps and 0.3 K noise on the die, 0.5 K and 0.3 K on the inlet, 1 % on power.
7. Inlet limits: ASHRAE TC 9.9 recommends 18 to 27 °C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats = "NDArray[np.float64]"
AIR_J_PER_M3_K: Final = 1.19 * 1_005
"""ρ·c_p of air at about 23 °C."""
BAND: Final = (0.004, 0.0025, 0.0015)
"""D to the first, second and third neighbour on each side, K/W."""


class PlantModel(msgspec.Struct, frozen=True, kw_only=True):
    """Constants of one kind of server; see the ladder above."""

    trip_c: float = 90.0
    idle_w: float = 100.0
    suspend_w: float = 10.0
    dynamic_w_max: float = 250.0
    die_r_k_per_w: float = 0.04
    die_c_j_per_k: float = 60.0
    sink_r_k_per_w: float = 0.12
    sink_c_j_per_k: float = 315.0
    leakage_w_per_k: float = 0.4
    leakage_from_c: float = 65.0
    fan_w_max: float = 35.0
    fan_nominal: float = 0.7
    fan_min: float = 0.35
    fan_slew_per_s: float = 0.05
    throttle_above_trip_k: float = 3.0
    throttle_hysteresis_k: float = 3.0
    throttle_ratio: float = 0.4
    shutdown_above_trip_k: float = 15.0
    dead_fan_resistance_ratio: float = 5.0
    supply_c: float = 22.0
    aisle_k: float = 3.0
    sensor_step_k: float = 1.0
    sensor_noise_k: float = 0.3


def cooling_cop(supply_c: float) -> float:
    """Returns the coefficient of performance of a chilled-water plant (term 3).

    >>> round(cooling_cop(22.0), 2)
    3.77
    """
    return 0.0068 * supply_c**2 + 0.0008 * supply_c + 0.458


def recirculation_matrix(
    interference: NDArray[np.float64], flow_m3_per_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns D of term 2, K/W.

    Args:
        interference: (n, n) A[i, j], the share of node i's exhaust that node j takes in.
        flow_m3_per_s: (n,) airflow of each node.
    """
    k = np.diag(AIR_J_PER_M3_K * flow_m3_per_s)
    return np.linalg.inv(k - interference.T @ k) - np.linalg.inv(k)


def band_matrix_row(nodes: int) -> list[dict[int, float]]:
    """Returns, for each node, its thermal neighbours and their D, nearest first."""
    rows: list[dict[int, float]] = []
    for i in range(nodes):
        row: dict[int, float] = {}
        for distance, value in enumerate(BAND, start=1):
            for j in (i - distance, i + distance):
                if 0 <= j < nodes:
                    row[j] = value
        rows.append(row)
    return rows


class Plant:
    """The servers of a simulated row, stepped together.

    Args:
        nodes: how many.
        model: constants.
        rng: sensor noise.
        chassis: nodes per shared fan wall; 1 for fans of their own.
    """

    def __init__(
        self, nodes: int, model: PlantModel, rng: np.random.Generator, *, chassis: int = 1
    ) -> None:
        self.model = model
        self.nodes = nodes
        self._rng = rng
        self._chassis = chassis
        full = np.full
        self.load_w = np.zeros(nodes)
        self.cap_w = full(nodes, model.dynamic_w_max)
        self.asleep = np.zeros(nodes, dtype=bool)
        self.off = np.zeros(nodes, dtype=bool)
        self.throttled = np.zeros(nodes, dtype=bool)
        self.fan_dead = np.zeros(nodes, dtype=bool)
        self.fan_ratio = np.ones(nodes)
        """Resistance of the sink over that of a healthy fan, for weak fans."""
        position = np.arange(nodes) / max(nodes, 1)
        self.supply_c = model.supply_c + model.aisle_k * np.sin(2 * np.pi * position)
        self.fan = full(nodes, model.fan_nominal)
        self.t_sink_c = full(nodes, 50.0)
        self.t_die_c = full(nodes, 60.0)
        self.inlet_c = self.supply_c.copy()
        self.power_w = full(nodes, model.idle_w)
        self.dynamic_w = np.zeros(nodes)
        self.fan_w = np.zeros(nodes)
        self._group = np.arange(nodes) // chassis
        self._groups = int(self._group[-1]) + 1

    def step(self, dt_s: float) -> None:
        """Advances all nodes by explicit Euler; stable for dt below two seconds."""
        m = self.model
        t = self.t_die_c
        hot = t > m.trip_c + m.throttle_above_trip_k
        cool = t < m.trip_c + m.throttle_above_trip_k - m.throttle_hysteresis_k
        self.throttled = (self.throttled | hot) & ~cool
        self.off |= t > m.trip_c + m.shutdown_above_trip_k
        dynamic = np.minimum(self.load_w, self.cap_w)
        dynamic = np.where(
            self.throttled, np.minimum(dynamic, m.throttle_ratio * m.dynamic_w_max), dynamic
        )
        dynamic = np.minimum(dynamic, m.dynamic_w_max)
        awake = ~(self.asleep | self.off)
        self.dynamic_w = np.where(awake, dynamic, 0.0)
        leakage = m.leakage_w_per_k * np.maximum(t - m.leakage_from_c, 0.0)
        base = np.where(awake, m.idle_w + leakage, m.suspend_w)
        base = np.where(self.off, 0.0, base)
        self._fans(dt_s, awake)
        heat = base + self.dynamic_w
        self.power_w = heat + self.fan_w
        self.inlet_c = self.supply_c + self._recirculated(self.power_w)
        resistance = m.sink_r_k_per_w * (self._air() / m.fan_nominal) ** -0.8 * self.fan_ratio
        resistance = np.where(
            self.fan_dead, m.sink_r_k_per_w * m.dead_fan_resistance_ratio, resistance
        )
        flow = (t - self.t_sink_c) / m.die_r_k_per_w
        self.t_die_c = t + dt_s * (heat - flow) / m.die_c_j_per_k
        out = (self.t_sink_c - self.inlet_c) / resistance
        self.t_sink_c = self.t_sink_c + dt_s * (flow - out) / m.sink_c_j_per_k

    def _wanted(self) -> NDArray[np.float64]:
        """The fan speed that each node's controller asks for, 0 to 1."""
        wanted = self.model.fan_nominal + 0.03 * (self.t_die_c - 68.0)
        return np.clip(wanted, self.model.fan_min, 1.0)

    def _fans(self, dt_s: float, awake: NDArray[np.bool_]) -> None:
        m = self.model
        wanted = np.where(awake, self._wanted(), m.fan_min)
        if self._chassis > 1:
            # A shared wall of fans follows its hottest node.
            top = np.zeros(self._groups)
            np.maximum.at(top, self._group, wanted)
            wanted = top[self._group]
        change = np.clip(wanted - self.fan, -m.fan_slew_per_s * dt_s, m.fan_slew_per_s * dt_s)
        self.fan = self.fan + change
        self.fan_w = np.where(self.fan_dead | self.off, 0.0, m.fan_w_max * self.fan**3)

    def _air(self) -> NDArray[np.float64]:
        """Airflow through each node; in a chassis the one that pulls more takes it from others."""
        if self._chassis == 1:
            return self.fan
        wanted = self._wanted()
        total = np.bincount(self._group, wanted)
        size = np.bincount(self._group)
        mean = (total / size)[self._group]
        return np.maximum(self.fan * np.sqrt(wanted / mean), 0.1)

    def _recirculated(self, power_w: NDArray[np.float64]) -> NDArray[np.float64]:
        rise = np.zeros(self.nodes)
        for distance, value in enumerate(BAND, start=1):
            if distance < self.nodes:
                rise[distance:] += value * power_w[:-distance]
                rise[:-distance] += value * power_w[distance:]
        return rise

    def settle(self, seconds: float = 900.0) -> None:
        """Runs to the steady state."""
        for _ in range(int(seconds)):
            self.step(1.0)

    def read(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Returns what the sensors say: die, power, inlet."""
        m = self.model
        noise = self._rng.standard_normal((3, self.nodes))
        die = np.rint((self.t_die_c + m.sensor_noise_k * noise[0]) / m.sensor_step_k)
        inlet = np.rint((self.inlet_c + m.sensor_noise_k * noise[1]) * 2) / 2
        return die * m.sensor_step_k, self.power_w * (1 + 0.01 * noise[2]), inlet

    def delivered_ratio(self) -> NDArray[np.float64]:
        """Returns the share of the wanted work that each node does, 0 to 1."""
        safe = np.maximum(self.load_w, 1e-9)
        return np.where(self.load_w > 1e-9, np.minimum(self.dynamic_w / safe, 1.0), 1.0)

    def cooling_w(self) -> float:
        """Returns the power of the cooling plant for all heat of the row."""
        return float(self.power_w.sum()) / cooling_cop(float(self.supply_c.mean()))
