"""The energy model of a node: what a unit of work costs, in whole picojoules.

A slice's energy is ``α·fuel + β·ns + γ·bytes + δ·calls`` plus one switch. Every coefficient is a
non-negative integer; a remainder below one microjoule is carried in the purse by the kernel, so
that rounding neither adds nor loses energy.

Useful identity: one milliwatt for one nanosecond is one picojoule. A core that draws 5 W while
busy therefore costs β = 5,000 pJ per nanosecond.

**Without a sensor** the model is an assumption, and says so (`provenance = "modelled"`): 5 W per
busy core above idle, 1 W of idle power per cell. The class of the source is the minimum and
maximum watts per vCPU of Cloud Carbon Footprint (from SPECpower_ssj2008 results) and of Teads'
turbostress measurements, whose server processors lie between about 0.5 W and 4 W at minimum and
3 W and 10 W at maximum per vCPU. These are averages over machines, not a measurement of this one:
the interval is ±40 %, and no model of ours claims less than ±20 %.

**CPU time alone knows nothing about instructions.** Where energy is itself modelled as power times
CPU time, the least-squares fit returns β = core power and α = γ = δ = 0, whatever the kernels do.
Only a counter (RAPL) can separate α from β; see `maxwell.energy.calibrate`.

**Deterministic mode** must not depend on this machine. There β is folded into α with a documented
constant rate of 50 fuel per nanosecond (a plain operator costs 8 fuel, a folded one 2; the sample
kernels run at 26 to 110 fuel per nanosecond here), written as 20 picoseconds per fuel.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from maxwell.errors import EnergyError

Provenance = Literal["wall", "silicon", "host", "modelled", "simulated"]
"""Where joules come from: a power supply, a counter in the processor, the hypervisor's host, a
model of this machine, or a simulation that belongs to no machine."""

CORE_POWER_MW_DEFAULT: Final = 5_000
IDLE_POWER_PER_CELL_MW_DEFAULT: Final = 1_000
SWITCH_NS_DEFAULT: Final = 1_000
"""The cost of entering and leaving a guest, as time: about one microsecond (contract 2)."""

PICOSECONDS_PER_FUEL_DETERMINISTIC: Final = 20
"""50 fuel a nanosecond."""

MODELLED_INTERVAL_PPM: Final = 400_000
"""±40 %: what a power per core that was not measured on this machine is good for."""
INTERVAL_PPM_MIN: Final = 200_000
"""±20 %: no model claims less, however well it fits its own calibration."""

POWER_MW_MAX: Final = 10_000_000
"""10 kW a node: beyond it a figure is a mistake of unit, not a machine."""


class EnergyModel(msgspec.Struct, frozen=True, kw_only=True):
    """What work costs on this node. All integers; see the module for their meaning."""

    alpha_pj_per_fuel: int
    beta_pj_per_ns: int
    gamma_pj_per_byte: int
    """Per byte that crosses a host call."""
    delta_pj_per_call: int
    switch_pj: int
    """Added to each slice."""
    alpha_deterministic_pj_per_fuel: int
    """α with β folded in, for deterministic mode."""
    picoseconds_per_fuel: int
    """Time of one unit of fuel: measured, or the constant of deterministic mode."""
    core_power_mw: int
    """Power of one busy core above idle."""
    idle_power_mw: int
    """Power of the node (all its cells) when nothing runs."""
    relative_interval_ppm: int
    """Half-width of the interval around any energy this model gives, relative to it."""
    provenance: Provenance
    source: str
    """One sentence: where the figures come from."""

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            EnergyError: MX1400 when a figure is negative, absurd or missing.
        """
        for name in (
            "alpha_pj_per_fuel",
            "beta_pj_per_ns",
            "gamma_pj_per_byte",
            "delta_pj_per_call",
            "switch_pj",
            "alpha_deterministic_pj_per_fuel",
            "picoseconds_per_fuel",
            "core_power_mw",
            "idle_power_mw",
            "relative_interval_ppm",
        ):
            value: int = getattr(self, name)
            if not 0 <= value < 2**53:
                raise EnergyError(f"energy model: {name} out of range: {value}")
        if self.alpha_pj_per_fuel == 0 and self.beta_pj_per_ns == 0:
            raise EnergyError(
                "energy model: fuel and time both cost nothing",
                hint="set core_power above zero",
            )
        if self.core_power_mw > POWER_MW_MAX or self.idle_power_mw > POWER_MW_MAX:
            raise EnergyError(
                f"energy model: power beyond {POWER_MW_MAX} mW: core {self.core_power_mw}, "
                f"idle {self.idle_power_mw}",
                hint="check the unit",
            )

    @classmethod
    def deterministic(
        cls,
        core_power_mw: int | None = None,
        idle_power_mw: int | None = None,
        *,
        cells: int = 1,
    ) -> EnergyModel:
        """Returns the model of deterministic mode: the same on every machine.

        Time costs nothing (β = 0), and so do bytes and calls, whose fuel is charged already; fuel
        costs what a busy core draws in its 20 ps. With the default 5 W that is 100 pJ per fuel,
        80 µJ for a quantum of 800,000 fuel.

        Args:
            core_power_mw: power of a busy core in milliwatts; 5,000 when None.
            idle_power_mw: idle power of the node in milliwatts; 1,000 per cell when None.
            cells: number of cells, for the default of `idle_power_mw`.

        Raises:
            EnergyError: MX1400 when a power is out of range.
        """
        core = CORE_POWER_MW_DEFAULT if core_power_mw is None else core_power_mw
        idle = IDLE_POWER_PER_CELL_MW_DEFAULT * cells if idle_power_mw is None else idle_power_mw
        alpha = fold_alpha_pj_per_fuel(
            alpha_pj_per_fuel=0,
            beta_pj_per_ns=core,
            picoseconds_per_fuel=PICOSECONDS_PER_FUEL_DETERMINISTIC,
        )
        return cls(
            alpha_pj_per_fuel=alpha,
            beta_pj_per_ns=0,
            gamma_pj_per_byte=0,
            delta_pj_per_call=0,
            switch_pj=core * SWITCH_NS_DEFAULT,
            alpha_deterministic_pj_per_fuel=alpha,
            picoseconds_per_fuel=PICOSECONDS_PER_FUEL_DETERMINISTIC,
            core_power_mw=core,
            idle_power_mw=idle,
            relative_interval_ppm=MODELLED_INTERVAL_PPM,
            provenance="simulated",
            source=(
                f"deterministic mode: {core} mW per busy core at a constant "
                f"{PICOSECONDS_PER_FUEL_DETERMINISTIC} ps per fuel, on no machine in particular"
            ),
        )

    @classmethod
    def modelled(
        cls,
        core_power_mw: int | None = None,
        idle_power_mw: int | None = None,
        *,
        cells: int = 1,
        switch_ns: int = SWITCH_NS_DEFAULT,
        picoseconds_per_fuel: int = PICOSECONDS_PER_FUEL_DETERMINISTIC,
    ) -> EnergyModel:
        """Returns the model of a machine without a sensor: power per core times CPU time.

        Args:
            core_power_mw: power of a busy core above idle in milliwatts; 5,000 when None.
            idle_power_mw: idle power of the node in milliwatts; 1,000 per cell when None.
            cells: number of cells, for the default of `idle_power_mw`.
            switch_ns: measured time of a switch, in nanoseconds.
            picoseconds_per_fuel: measured time of one unit of fuel.

        Raises:
            EnergyError: MX1400 when a figure is out of range.
        """
        core = CORE_POWER_MW_DEFAULT if core_power_mw is None else core_power_mw
        idle = IDLE_POWER_PER_CELL_MW_DEFAULT * cells if idle_power_mw is None else idle_power_mw
        figures = "given" if core_power_mw is not None else "assumed, not measured"
        return cls(
            alpha_pj_per_fuel=0,
            beta_pj_per_ns=core,
            gamma_pj_per_byte=0,
            delta_pj_per_call=0,
            switch_pj=core * switch_ns,
            alpha_deterministic_pj_per_fuel=fold_alpha_pj_per_fuel(
                alpha_pj_per_fuel=0,
                beta_pj_per_ns=core,
                picoseconds_per_fuel=PICOSECONDS_PER_FUEL_DETERMINISTIC,
            ),
            picoseconds_per_fuel=picoseconds_per_fuel,
            core_power_mw=core,
            idle_power_mw=idle,
            relative_interval_ppm=MODELLED_INTERVAL_PPM,
            provenance="modelled",
            source=(
                f"no energy counter readable: {core} mW per busy core ({figures}) times CPU time, "
                f"{idle} mW idle"
            ),
        )

    def slice_pj(self, *, fuel: int, ns: int, bytes_: int = 0, calls: int = 0) -> int:
        """Returns the energy of one slice in picojoules, its switch included. Exact."""
        assert min(fuel, ns, bytes_, calls) >= 0
        return (
            self.alpha_pj_per_fuel * fuel
            + self.beta_pj_per_ns * ns
            + self.gamma_pj_per_byte * bytes_
            + self.delta_pj_per_call * calls
            + self.switch_pj
        )

    def cpu_energy_uj(self, cpu_ns: int) -> int:
        """Returns what `cpu_ns` of CPU time outside any slice cost, in µJ, rounded down."""
        assert cpu_ns >= 0
        return self.core_power_mw * cpu_ns // 1_000_000

    def interval_uj(self, energy_uj: int) -> int:
        """Returns the half-width of the interval around an energy, in µJ, rounded up."""
        return -(-abs(energy_uj) * self.relative_interval_ppm // 1_000_000)


def fold_alpha_pj_per_fuel(
    *, alpha_pj_per_fuel: int, beta_pj_per_ns: int, picoseconds_per_fuel: int
) -> int:
    """Returns α with β folded in: what a unit of fuel costs when its time is a constant.

    Rounded down, so that the error is below 1 pJ per fuel (none at the defaults).
    """
    assert min(alpha_pj_per_fuel, beta_pj_per_ns, picoseconds_per_fuel) >= 0
    return alpha_pj_per_fuel + beta_pj_per_ns * picoseconds_per_fuel // 1_000
