"""Experiments: what the market is worth, measured against schedulers that know no value.

`scientist_vs_leech` runs the same guests under the market and under each baseline and compares
verified results per joule; `leech_sweep` repeats it over numbers of leeches and seeds. Every side
runs real guests on this machine; nothing here is a simulation or a formula.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from maxwell.lab.experiment import scientist_vs_leech
    from maxwell.lab.plan import Kind, Plan
    from maxwell.lab.result import Experiment, GuestResult, Side
    from maxwell.lab.sweep import Sweep, leech_sweep

_HOMES: Final = {
    "scientist_vs_leech": "maxwell.lab.experiment",
    "Kind": "maxwell.lab.plan",
    "Plan": "maxwell.lab.plan",
    "Experiment": "maxwell.lab.result",
    "GuestResult": "maxwell.lab.result",
    "Side": "maxwell.lab.result",
    "Sweep": "maxwell.lab.sweep",
    "leech_sweep": "maxwell.lab.sweep",
}

__all__ = [
    "Experiment",
    "GuestResult",
    "Kind",
    "Plan",
    "Side",
    "Sweep",
    "leech_sweep",
    "scientist_vs_leech",
]


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
