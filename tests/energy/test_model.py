"""The model: integers, a documented constant where the machine must not matter, honest words."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.energy import EnergyModel
from maxwell.energy.model import fold_alpha_pj_per_fuel
from maxwell.errors import EnergyError


def test_deterministic_is_a_constant() -> None:
    model = EnergyModel.deterministic(cells=2)
    assert (model.alpha_pj_per_fuel, model.beta_pj_per_ns) == (100, 0)
    assert model.alpha_deterministic_pj_per_fuel == 100
    assert model.picoseconds_per_fuel == 20
    assert (model.core_power_mw, model.idle_power_mw) == (5_000, 2_000)
    assert model.provenance == "simulated"
    # A quantum of 800,000 fuel is 16 us of a 5 W core, and a switch one microsecond of it.
    assert model.slice_pj(fuel=800_000, ns=123) == 80_000_000 + 5_000_000
    assert EnergyModel.deterministic(10_000, 500).idle_power_mw == 500


def test_modelled_is_power_times_time() -> None:
    model = EnergyModel.modelled(switch_ns=700, picoseconds_per_fuel=90)
    assert (model.alpha_pj_per_fuel, model.beta_pj_per_ns) == (0, 5_000)
    assert (model.gamma_pj_per_byte, model.delta_pj_per_call) == (0, 0)
    assert model.switch_pj == 3_500_000
    assert model.provenance == "modelled"
    assert model.relative_interval_ppm == 400_000
    assert "assumed, not measured" in model.source
    assert "given" in EnergyModel.modelled(4_000).source
    assert model.slice_pj(fuel=10**9, ns=10**9, bytes_=5, calls=7) == 5 * 10**12 + 3_500_000
    # Deterministic charges do not depend on what this machine's calibration found.
    assert model.alpha_deterministic_pj_per_fuel == 100


@given(cpu_ns=st.integers(0, 10**15), core=st.integers(1, 10**6))
def test_cpu_energy_is_power_times_time(cpu_ns: int, core: int) -> None:
    model = EnergyModel.modelled(core)
    uj = model.cpu_energy_uj(cpu_ns)
    assert uj * 10**6 <= core * cpu_ns < (uj + 1) * 10**6
    assert model.interval_uj(uj) * 10**6 >= uj * 400_000


@given(alpha=st.integers(0, 10**6), beta=st.integers(0, 10**6), ps=st.integers(0, 10**4))
def test_folding_is_within_a_picojoule(alpha: int, beta: int, ps: int) -> None:
    folded = fold_alpha_pj_per_fuel(
        alpha_pj_per_fuel=alpha, beta_pj_per_ns=beta, picoseconds_per_fuel=ps
    )
    assert 0 <= (alpha * 1_000 + beta * ps) - folded * 1_000 < 1_000


@pytest.mark.parametrize(
    "change",
    [
        {"alpha_pj_per_fuel": -1},
        {"beta_pj_per_ns": 0, "alpha_pj_per_fuel": 0},
        {"core_power_mw": 10_000_001},
        {"idle_power_mw": 10**8},
        {"switch_pj": 2**53},
    ],
)
def test_absurd_models_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(EnergyError) as caught:
        msgspec.structs.replace(EnergyModel.modelled(), **change)
    assert caught.value.code == "MX1400"


def test_a_model_can_be_written_and_read() -> None:
    model = EnergyModel.modelled()
    assert msgspec.json.decode(msgspec.json.encode(model), type=EnergyModel) == model
