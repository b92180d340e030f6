"""The simulator runs the shipped cores: determinism, conservation, and what it must show."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from maxwell.errors import ConfigError
from maxwell.heat.sim.engine import SimConfig, Simulation
from maxwell.heat.sim.metrics import HeatReport
from maxwell.heat.sim.run import run_config, sim_config
from maxwell.heat.sim.scenarios import SCENARIOS
from maxwell.heat.sim.targets import TIGHT, rounds_limit
from maxwell.heat.sim.vector import run_vector

KEYS_OF_THE_ISSUE = (
    "peak_failing_c", "peak_absorber_c", "trip_c", "node_seconds_above_trip",
    "shed90_after_fault_s", "shed90_after_distress_s", "informed99_rounds",
    "moves_per_process_min", "load_sd_w", "bytes_per_node_s", "entry_age_p99_s", "in_degree_min",
    "fan_and_cooling_j_per_work",
)  # fmt: skip


def run(scenario: str, *, nodes: int = 10, seed: int = 1, policy: str = "ours") -> HeatReport:
    return run_config(sim_config(nodes=nodes, scenario=scenario, policy=policy, seed=seed))[0]


def check(report: HeatReport) -> None:
    """What every scenario in which something fails must show."""
    slack = 1.0 if report.scenario in TIGHT else 0.0
    assert report.peak_failing_c <= report.trip_c + slack
    assert report.node_seconds_above_trip == 0 or slack
    if SCENARIOS[report.scenario].fails:
        assert report.shed90_after_fault_s is not None
        assert report.shed90_after_fault_s <= 45
        assert report.shed90_after_distress_s is not None
        assert report.shed90_after_distress_s <= 12
    if report.scenario not in TIGHT:
        assert report.peak_absorber_c <= report.trip_c - 8
    if report.scenario == "gossip-off":
        return
    lossy = report.scenario == "fan-death-lossy"
    assert report.informed99_rounds is not None
    assert report.informed99_rounds <= rounds_limit(report.nodes, lossy=lossy)
    assert report.bytes_per_node_s is not None
    assert report.bytes_per_node_s <= 3_400
    if SCENARIOS[report.scenario].twin:
        # Gossip saves fan and cooling energy.
        other = report.fan_and_cooling_j_per_work_without_gossip
        assert other is not None
        assert report.fan_and_cooling_j_per_work < other
    if report.feed_over_capacity_s is not None:
        assert report.feed_over_capacity_s == 0
    assert report.entry_age_p99_s is not None
    if report.scenario != "partition":
        assert report.entry_age_p99_s <= 6
        assert report.in_degree_min is not None
        assert report.in_degree_min >= min(8, report.nodes - 2)


def test_the_same_seed_gives_the_same_trace_byte_for_byte() -> None:
    config = sim_config(nodes=10, scenario="fan-death", policy="ours", seed=4, keep_trace=True)
    first, second = Simulation(config).run(), Simulation(config).run()
    assert "".join(first.trace) == "".join(second.trace)
    assert "distress" in "".join(first.trace)
    assert msgspec.json.encode(first.metrics.report()) == msgspec.json.encode(
        second.metrics.report()
    )
    other = Simulation(msgspec.structs.replace(config, seed=5)).run()
    assert other.trace != first.trace


@pytest.mark.parametrize("scenario", sorted(set(SCENARIOS) - {"steady"}))
def test_every_scenario_at_ten_nodes(scenario: str) -> None:
    report = run(scenario, seed=2)
    check(report)
    data = msgspec.to_builtins(report)
    assert set(KEYS_OF_THE_ISSUE) <= set(data)


def test_without_market_and_guard_the_node_burns() -> None:
    report = run("fan-death", policy="no-market", seed=2)
    assert report.node_seconds_above_trip > 10
    assert report.shed90_after_fault_s is None


@pytest.mark.parametrize("nodes", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_the_vectorised_model_agrees_with_the_cores(nodes: int) -> None:
    config = sim_config(nodes=nodes, scenario="fan-death", policy="ours", seed=1, duration_s=110)
    vector = run_vector(config)
    cores, _ = run_config(config)
    assert vector.peak_failing_c == pytest.approx(cores.peak_failing_c, abs=4)
    assert vector.peak_absorber_c == pytest.approx(cores.peak_absorber_c, abs=3)
    assert vector.shed90_after_fault_s == pytest.approx(cores.shed90_after_fault_s or 0, abs=6)
    assert vector.value_kept_ratio == pytest.approx(cores.value_kept_ratio, abs=0.01)
    assert vector.moves_per_process_min == pytest.approx(cores.moves_per_process_min, abs=0.05)
    assert vector.spatial_sd_k == pytest.approx(cores.spatial_sd_k, abs=0.7)


@pytest.mark.slow
def test_the_vectorised_model_agrees_closely_in_the_mean_of_seeds() -> None:
    # Equal seeds place processes differently in the two, so that one run says little.
    names = ("peak_failing_c", "peak_absorber_c", "shed90_after_fault_s", "spatial_sd_k")
    means: list[list[float]] = []
    models: tuple[Callable[[SimConfig], HeatReport], ...] = (run_vector, lambda c: run_config(c)[0])
    for model in models:
        sums = dict.fromkeys(names, 0.0)
        for seed in range(1, 9):
            config = sim_config(
                nodes=20, scenario="fan-death", policy="ours", seed=seed, duration_s=110
            )
            report = model(config)
            for name in names:
                sums[name] += float(getattr(report, name)) / 8
        means.append(list(sums.values()))
    for vector, cores, within in zip(*means, (2.0, 1.5, 2.0, 0.4), strict=True):
        assert vector == pytest.approx(cores, abs=within)


def test_unknown_names_and_numbers_out_of_range_are_errors() -> None:
    with pytest.raises(ConfigError, match="fandeath"):
        sim_config(nodes=10, scenario="fandeath", policy="ours", seed=1)
    with pytest.raises(ConfigError, match="policy"):
        sim_config(nodes=10, scenario="fan-death", policy="mine", seed=1)
    with pytest.raises(ConfigError, match="out of range"):
        sim_config(nodes=1, scenario="fan-death", policy="ours", seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", sorted(set(SCENARIOS) - {"steady"}))
@pytest.mark.parametrize(("nodes", "seeds"), [(10, 20), (25, 6), (100, 3)])
def test_every_scenario_over_seeds(scenario: str, nodes: int, seeds: int) -> None:
    for seed in range(1, seeds + 1):
        check(run(scenario, nodes=nodes, seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "seed"), [("fan-death", 1), ("fan-death-lossy", 2)])
def test_a_thousand_nodes(scenario: str, seed: int) -> None:
    report = run(scenario, nodes=1_000, seed=seed)
    check(report)
    assert report.informed16_s is not None
    assert report.informed16_s <= 0.6


def test_a_tenth_of_liars_cannot_remove_the_node_that_they_slander() -> None:
    report = run("liars", nodes=30, seed=7)
    assert report.doubted_honest == 1
    assert report.quarantined_honest == 0
    assert report.quarantined_liars


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "seeds"), [(10, 20), (60, 5), (100, 3)])
def test_liars_move_no_honest_price(nodes: int, seeds: int) -> None:
    for seed in range(1, seeds + 1):
        report = run("liars", nodes=nodes, seed=seed)
        assert report.honest_price_shift_max is not None
        assert report.honest_price_shift_max <= 0.05
        assert report.quarantined_honest == 0
        assert report.peak_absorber_c <= report.trip_c - 8


@pytest.mark.slow
def test_the_steady_state_is_quiet_and_a_higher_gain_is_not() -> None:
    def steady(gain: float, seed: int = 1) -> HeatReport:
        config = sim_config(nodes=60, scenario="steady", policy="ours", seed=seed, gain=gain)
        return run_config(config)[0]

    for seed in (1, 103, 106):
        quiet = steady(1.0, seed)
        assert quiet.moves_per_process_min <= 0.1
        assert quiet.load_sd_w <= 10
        assert quiet.spectral_peak_ratio is not None
        assert quiet.spectral_peak_ratio <= 3
    quiet, loud = steady(1.0), steady(6.0)
    assert quiet.gain_margin > 2 > 1 > loud.gain_margin
    assert loud.load_sd_w > 2 * quiet.load_sd_w
