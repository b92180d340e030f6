"""A running node for Prometheus: a text file that a collector picks up, rewritten once a second."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from maxwell.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from maxwell.node.view import HeatView, NodeView, ProcessView

EVERY_NS: Final = 1_000_000_000
_J: Final = 1e6
_PROCESS: Final = {
    "energy_joules_total": "energy_uj",
    "inference_joules_total": "inference_uj",
    "proof_joules_total": "proof_uj",
    "paid_credits_total": "paid_credits",
    "earned_credits_total": "earned_credits",
    "results_total": "results",
}
"""Figures of a process, in joules where their fields are in microjoules."""


def prometheus_lines(view: NodeView) -> list[str]:
    """Returns a node and its processes in the text format of Prometheus.

    Joules are counters, and so are results; proofs have their joules beside those of the inferences
    that they are about, and their ratio for the whole node.
    """
    split = view.energy
    lines = ["# TYPE maxwell_energy_joules_total counter"]
    lines += [
        f'maxwell_energy_joules_total{{part="{part}"}} {getattr(split, part) / _J:.6f}'
        for part in ("processes", "idle", "system")
    ]
    lines += ["# TYPE maxwell_price_ratio gauge", f"maxwell_price_ratio {view.price_ppm / 1e6:.6f}"]
    lines += ["# TYPE maxwell_power_watts gauge", f"maxwell_power_watts {view.power_mw / 1e3:.3f}"]
    if view.heat is not None:
        lines += _heat_lines(view.heat)
    for name, field in _PROCESS.items():
        lines.append(f"# TYPE maxwell_process_{name} counter")
        lines += [
            f'maxwell_process_{name}{{process="{_label(process)}"}} {_value(process, field)}'
            for process in view.processes
        ]
    inference_uj = sum(process.inference_uj for process in view.processes)
    if inference_uj:
        proof_uj = sum(process.proof_uj for process in view.processes)
        lines.append("# TYPE maxwell_proof_inference_ratio gauge")
        lines.append(f"maxwell_proof_inference_ratio {proof_uj / inference_uj:.6g}")
    return lines


def _heat_lines(heat: HeatView) -> list[str]:
    """A temperature that nobody measured has another label, so that no alarm takes it for one."""
    source = "simulated" if heat.simulated else "sensor"
    lines: list[str] = []
    for name, value in (("temperature", heat.temperature_mc), ("predicted", heat.predicted_mc)):
        if value is not None:
            metric = f"maxwell_heat_{name}_celsius"
            lines.append(f"# TYPE {metric} gauge")
            lines.append(f'{metric}{{source="{source}"}} {value / 1e3:.3f}')
    for name, value in (("reserve", heat.reserve_ppm), ("mint_cap", heat.cap_ppm)):
        metric = f"maxwell_heat_{name}_ratio"
        lines += [f"# TYPE {metric} gauge", f'{metric}{{source="{source}"}} {value / 1e6:.6f}']
    return lines


def _value(process: ProcessView, field: str) -> str:
    figure: int = getattr(process, field)
    return f"{figure / _J:.6f}" if field.endswith("_uj") else str(figure)


def _label(process: ProcessView) -> str:
    """Writes a name as a label's value; names have no other characters that need it."""
    return process.name.replace("\\", "\\\\").replace('"', '\\"')


class PrometheusFile:
    """A file that holds the last second of a run, whole at any moment.

    Args:
        path: in an existing folder.

    Raises:
        ConfigError: MX1000 when it cannot be written; nothing later raises because of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_ns = 0
        try:
            self._write("")
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}: {error.strerror}", hint="name a file in a folder of yours"
            ) from error

    def on_view(self, view: NodeView) -> None:
        """Writes the file if a second has passed, or all have ended."""
        over = all(process.outcome is not None for process in view.processes)
        if view.elapsed_ns < self._next_ns and not over:
            return
        self._next_ns = view.elapsed_ns + EVERY_NS
        # What watches a run must not end it.
        with suppress(OSError):
            self._write("\n".join(prometheus_lines(view)) + "\n")

    def _write(self, text: str) -> None:
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)
