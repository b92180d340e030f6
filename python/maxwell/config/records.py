"""The typed form of a fleet file: frozen records, integers with their unit in the name.

`maxwell.config.parse` makes them from TOML and checks them; a program may also build them itself
and call `maxwell.config.check_fleet`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

FUNDS_UJ_DEFAULT: Final = 20_000_000
"""20 J: what the simulated economies of the example fleet survived on."""
MEMORY_MAX_BYTES_DEFAULT: Final = 512 << 20
URGENCY_MILLIS_DEFAULT: Final = 500
TEMPERATURE_LOG2_DEFAULT: Final = 2
"""T = 2^-2 = 1/4."""
RESERVE_PPM_DEFAULT: Final = 1_000_000
"""Cost price: one credit a microjoule."""
QUANTUM_FUEL_DEFAULT: Final = 800_000
SLICE_QUANTA_DEFAULT: Final = 10
HORIZON_DIVISOR: Final = 4
"""The default horizon is the fleet's mean opening purse over this."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the node itself is told: its size, its cap and its rules."""

    cells: int = 1
    """Worker processes, each pinned to one core."""
    power_mw: int | None = None
    """Power cap; excludes `budget_uj`."""
    budget_uj: int | None = None
    """Energy minted once; excludes `power_mw`."""
    duration_ns: int | None = None
    """End of the run; None runs until nothing is left to run."""
    seed: int = 0
    temperature_log2: int = TEMPERATURE_LOG2_DEFAULT
    """Temperature of the auction, T = 2^-n."""
    deterministic: bool = False
    reserve_ppm: int = RESERVE_PPM_DEFAULT
    """Lowest accepted price, credits per microjoule in ppm."""
    core_power_mw: int | None = None
    """Power of a busy core above idle; None lets calibration decide."""
    idle_power_mw: int | None = None
    """Idle power of the whole node; None lets calibration decide."""
    quantum_fuel: int = QUANTUM_FUEL_DEFAULT
    slice_quanta: int = SLICE_QUANTA_DEFAULT
    quality_bits_per_joule: int | None = None
    """Bits per joule of quality one; None leaves every quality at one (contract 6)."""


SIMULATED: Final = "simulated"
"""No sensor at all: a model of a part that the node's own metered power heats."""


class HeatConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Which temperature the node's prices and power cap follow; degrees Celsius."""

    sensor: str
    """`auto`, a file, a folder as under `/sys/class`, or `simulated`."""
    trip_c: int = 90
    """The guard keeps below this."""
    reference_c: int = 45
    """Where relative heat is zero."""
    inlet_c: int = 25
    peak_c: int = 100
    """Where a simulated part would settle at the node's full power."""

    @property
    def simulated(self) -> bool:
        """Whether the temperature is computed from the metered power and not measured."""
        return self.sensor == SIMULATED


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays."""

    name: str
    funds_uj: int
    """Opening funds; 1 µJ is one credit."""
    income_share_ppm: int = 0
    """Part of the power minted each epoch that this account receives."""


class SponsorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays for results."""

    name: str
    escrow_uj: int


class RewardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a sponsor pays for."""

    sponsor: str
    name: str
    resolver: str
    """`prime`, `regex`, `python:module:function`, `stream`, `predicate` or `proof`."""
    pays_credits: int
    """Credits per result; per bit for `stream` and `predicate`; per million multiplications for
    `proof`."""
    options: dict[str, object] = {}
    """The resolver's own keys, checked by `maxwell.market.resolvers`."""


class RequestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Which outbound requests the operator makes for processes, and at which price."""

    name: str
    url: str
    """Requests go to this place, and to this path or below it."""
    methods: tuple[str, ...] = ("GET", "POST")
    price_credits: int = 0
    """Credits of each request that left."""
    price_per_kib_credits: int = 0
    """Credits of each KiB begun, both ways together."""
    timeout_ns: int = 30_000_000_000
    request_bytes_max: int = 64 << 10
    answer_bytes_max: int = 256 << 10
    local: bool = False
    """Whether this machine's own and private addresses are allowed."""
    secret_headers: tuple[tuple[str, str], ...] = ()
    """Headers that the guest never sees, and the environment variables that hold their values."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the host runs for guests."""

    name: str
    onnx: str = ""
    """A file, relative to the fleet file."""
    digest: str = ""
    """Without a file: a model of the local store; with one: what it must be."""
    calibration: str = ""
    """A `.npy` file of real inputs, for scales that the ONNX file leaves open."""
    batch_max: int = 64
    """Inputs of one call."""
    hiding: bool = False
    """Whether its proofs hide its weights."""
    security: int = 100
    """Bits of its proofs."""


class DirConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the host that a guest sees."""

    guest: str
    """Absolute path inside the guest."""
    host: Path
    read_only: bool = False


class ProcessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One process. After parsing `count` is 1: copies have become processes of their own."""

    name: str
    account: str
    module: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    dirs: tuple[DirConfig, ...] = ()
    funds_uj: int = FUNDS_UJ_DEFAULT
    """Opening purse, leased from the account."""
    urgency_millis: int = URGENCY_MILLIS_DEFAULT
    """0..1000; the proxy bids urgency × purse / horizon."""
    bid_ppm: int | None = None
    """An explicit bid instead of the proxy's."""
    horizon_uj: int | None = None
    """Own consumption that the purse is spread over; None is `FleetConfig.horizon_default_uj`."""
    rewards: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    """Names of the request rules it may use."""
    models: tuple[str, ...] = ()
    """Names of the models it may have run, besides those of its rewards."""
    memory_max_bytes: int = MEMORY_MAX_BYTES_DEFAULT
    count: int = 1
    start_after_ns: int = 0
    deadline_ns: int | None = None
    """After its start; the process then ends with `deadline`."""
    top_up: bool = False
    """Whether the account's basic income goes on into the purse."""


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A whole fleet."""

    node: NodeConfig
    accounts: tuple[AccountConfig, ...]
    sponsors: tuple[SponsorConfig, ...] = ()
    rewards: tuple[RewardConfig, ...] = ()
    requests: tuple[RequestConfig, ...] = ()
    models: tuple[ModelConfig, ...] = ()
    heat: HeatConfig | None = None
    processes: tuple[ProcessConfig, ...]
    base_dir: Path
    """Folder that relative paths start from: the fleet file's."""

    @property
    def opening_uj(self) -> int:
        """Opening funds of all accounts."""
        return sum(account.funds_uj for account in self.accounts)

    @property
    def escrows_uj(self) -> int:
        """Escrows of all sponsors."""
        return sum(sponsor.escrow_uj for sponsor in self.sponsors)

    @property
    def horizon_default_uj(self) -> int:
        """A quarter of the mean opening purse, at least 1 µJ (contract 8)."""
        if not self.processes:
            return 1
        total = sum(process.funds_uj for process in self.processes)
        return max(1, total // (HORIZON_DIVISOR * len(self.processes)))

    @property
    def income_shares_ppm(self) -> dict[str, int]:
        """Income shares of the accounts that have one."""
        return {a.name: a.income_share_ppm for a in self.accounts if a.income_share_ppm}
