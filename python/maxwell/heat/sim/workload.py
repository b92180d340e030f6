"""The processes of a simulated cluster: powers, values, sizes, first placement."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Final

from maxwell.heat.records import Hosted

if TYPE_CHECKING:
    from random import Random

WATTS_MEDIAN: Final = 22.0
WATTS_SIGMA: Final = 0.5
WATTS_MIN, WATTS_MAX = 5.0, 70.0
LN_VALUE_MEAN: Final = 1.2
LN_VALUE_SIGMA: Final = 0.5
LN_VALUE_MIN: Final = 0.5
"""Nobody runs who cannot pay 1.65 times the cost."""
MEMORY_MIB_MEDIAN: Final = 128.0
PLACE_W_MAX: Final = 240.0


class Workload:
    """All processes, and on which node each was placed first.

    Args:
        nodes: how many nodes.
        utilisation: wanted mean load over the dynamic power of all.
        dynamic_w_max: of one node.
        rng: injected randomness.
    """

    def __init__(self, nodes: int, utilisation: float, dynamic_w_max: float, rng: Random) -> None:
        self.processes: list[Hosted] = []
        self.memory_mib: list[float] = []
        self.node_of: list[int] = []
        loads = [0.0] * nodes
        target_w = utilisation * dynamic_w_max * nodes
        total_w = 0.0
        while True:
            watts = min(
                WATTS_MAX, max(WATTS_MIN, rng.lognormvariate(0, WATTS_SIGMA) * WATTS_MEDIAN)
            )
            watts = float(round(watts))
            if total_w + watts > target_w:
                break
            # As admission would have done: the less loaded of two.
            first, second = rng.randrange(nodes), rng.randrange(nodes)
            node = first if loads[first] <= loads[second] else second
            if loads[node] + watts > PLACE_W_MAX:
                node = min(range(nodes), key=loads.__getitem__)
                if loads[node] + watts > PLACE_W_MAX:
                    break
            ln_value = max(LN_VALUE_MIN, rng.gauss(LN_VALUE_MEAN, LN_VALUE_SIGMA))
            number = len(self.processes) + 1
            self.processes.append(Hosted(number, watts, ln_value, 0))
            self.memory_mib.append(rng.lognormvariate(0, 0.8) * MEMORY_MIB_MEDIAN)
            self.node_of.append(node)
            loads[node] += watts
            total_w += watts

    def value_rate(self, number: int) -> float:
        """Value of a process's work, credits per microjoule times watts."""
        process = self.processes[number - 1]
        return exp(process.ln_value) * process.watts
