"""Maxwell, the thermodynamic hypervisor: processes pay for joules, and slices are auctioned.

    import maxwell

    with maxwell.Hypervisor(budget="60 J") as hv:
        agent = hv.spawn("agent.wasm", funds="5 J", urgency=0.7)
        report = hv.run()

Names are loaded when they are first used, so that `import maxwell` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from maxwell.lazy import lazy_names
from maxwell.version import __version__

if TYPE_CHECKING:
    from maxwell.config import FleetConfig, load_fleet
    from maxwell.errors import (
        AuctionError,
        BadReceipt,
        ConfigError,
        EnergyError,
        GuestBankrupt,
        GuestError,
        GuestOutOfMemory,
        GuestTrapped,
        InsufficientEnergy,
        InternalError,
        LedgerError,
        MaxwellError,
        ModuleError,
        ProofError,
    )
    from maxwell.hypervisor import Hypervisor, Process, run_fleet
    from maxwell.node.record import CellRecord, ProcessRecord, RunRecord
    from maxwell.node.view import NodeView, ProcessView
    from maxwell.observe.report import Report

_HOMES: Final = {
    "maxwell.config": ("FleetConfig", "load_fleet"),
    "maxwell.errors": (
        "AuctionError",
        "BadReceipt",
        "ConfigError",
        "EnergyError",
        "GuestBankrupt",
        "GuestError",
        "GuestOutOfMemory",
        "GuestTrapped",
        "InsufficientEnergy",
        "InternalError",
        "LedgerError",
        "MaxwellError",
        "ModuleError",
        "ProofError",
    ),
    "maxwell.hypervisor": ("Hypervisor", "Process", "run_fleet"),
    "maxwell.node.record": ("CellRecord", "ProcessRecord", "RunRecord"),
    "maxwell.node.view": ("NodeView", "ProcessView"),
    "maxwell.observe.report": ("Report",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, also=("__version__",))

__all__ = [
    "AuctionError",
    "BadReceipt",
    "CellRecord",
    "ConfigError",
    "EnergyError",
    "FleetConfig",
    "GuestBankrupt",
    "GuestError",
    "GuestOutOfMemory",
    "GuestTrapped",
    "Hypervisor",
    "InsufficientEnergy",
    "InternalError",
    "LedgerError",
    "MaxwellError",
    "ModuleError",
    "NodeView",
    "Process",
    "ProcessRecord",
    "ProcessView",
    "ProofError",
    "Report",
    "RunRecord",
    "__version__",
    "load_fleet",
    "run_fleet",
]
