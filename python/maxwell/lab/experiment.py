"""Scientist versus leech: the same guests under each scheduler, one after the other."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from maxwell.errors import ConfigError, LabError, choices_hint
from maxwell.lab.plan import FUNDS_UJ, PAYS_OVER_COST
from maxwell.lab.result import BASELINE, OURS, Experiment, Side, SideName
from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from maxwell.energy import EnergyModel
    from maxwell.lab.plan import Plan

SIDES: Final[tuple[SideName, ...]] = (
    "market",
    "metered",
    "unmetered",
    "quota",
    "stride",
    "allowance",
)
"""What runs by default."""
SIDES_ALL: Final[tuple[SideName, ...]] = get_args(SideName)
SOLO_JOULES: Final = 1.0
"""Of the run that sets the price of a result: about 200 results."""


def scientist_vs_leech(
    plan: Plan,
    *,
    sides: Sequence[SideName] = SIDES,
    on_side: Callable[[str], None] | None = None,
    on_joules: Callable[[str, int, int], None] | None = None,
) -> Experiment:
    """Runs an experiment: each side in turn, to the same joules.

    Args:
        plan: what runs.
        sides: which schedulers; the market and the metered baseline are needed for the ratio.
        on_side: called with the name of a side before it runs.
        on_joules: called with a side, its joules so far and its target, both in µJ.

    Returns:
        What was found; with `interrupted` and the sides that were finished after Ctrl-C.

    Raises:
        ConfigError: the plan or a side makes no sense.
        LabError: MX1950 when the stock engine is not installed, MX1951 when a process failed.
        MaxwellError: the market's run failed.
    """
    plan.check()
    chosen = list(dict.fromkeys(sides))
    for side in chosen:
        if side not in SIDES_ALL:
            raise ConfigError(
                f"lab: unknown side: {side!r}", code="MX1001", hint=choices_hint(side, SIDES_ALL)
            )
    require_engine()
    from maxwell.config.records import NodeConfig
    from maxwell.node.power import energy_model

    model = energy_model(NodeConfig(cells=plan.cores), cells=plan.cores)
    done: dict[str, Side] = {}
    solo_uj, interrupted = 0, False
    try:
        _say(on_side, "solo")
        solo_uj = solo_cost(plan, model)
        for side in chosen:
            _say(on_side, side)
            of_side = plan if side in (OURS, BASELINE) else _other(plan)
            done[side] = run_side(
                side,
                of_side,
                model,
                pays_credits=PAYS_OVER_COST * solo_uj,
                on_joules=on_joules,
            )
    except KeyboardInterrupt:
        interrupted = True
    return Experiment(
        version=__version__,
        leeches=plan.leeches,
        seed=plan.seed,
        kind=plan.kind,
        cores=plan.cores,
        target_uj=plan.target_uj,
        others_target_uj=plan.others_target_uj,
        core_power_mw=model.core_power_mw,
        provenance="modelled",
        source=f"CPU time by the operating system times {model.core_power_mw} mW per busy core; "
        f"the core power: {model.source}",
        relative_interval_ppm=model.relative_interval_ppm,
        solo_uj_per_result=solo_uj,
        pays_credits=PAYS_OVER_COST * solo_uj,
        engines=_engines(),
        sides=done,
        interrupted=interrupted,
    )


def _other(plan: Plan) -> Plan:
    """The plan of a side beside the market and the metered baseline."""
    given = plan.others_joules_per_core
    joules = plan.joules_per_core if given is None else given
    return msgspec.structs.replace(plan, joules_per_core=joules)


def run_side(
    side: SideName,
    plan: Plan,
    model: EnergyModel,
    *,
    pays_credits: int,
    on_joules: Callable[[str, int, int], None] | None = None,
    patience: int | None = -1,
    keep: dict[str, list[int]] | None = None,
) -> Side:
    """Runs one side.

    Args:
        side: which.
        plan: what runs.
        model: what a second of CPU time costs.
        pays_credits: for each result, in the market.
        on_joules: as of `scientist_vs_leech`.
        patience: of the sponsor; -1 for its own default, None for none at all.
        keep: takes the paid primes by guest, where they are wanted.
    """
    from maxwell.lab.sponsor import PATIENCE, Sponsor
    from maxwell.node.place import Workplace

    def show(joules_uj: int) -> None:
        if on_joules is not None:
            on_joules(side, joules_uj, plan.target_uj)

    limit = PATIENCE if patience == -1 else patience
    with Workplace() as place:
        folder = place.folder / "published"
        folder.mkdir()
        with Sponsor(plan, folder, patience=limit) as sponsor:
            if side in ("market", "equal-bids"):
                from maxwell.lab.market import run_market

                result = run_market(
                    side,
                    plan,
                    model=model,
                    sponsor=sponsor,
                    folder=folder,
                    pays_credits=pays_credits,
                    on_joules=show,
                )
            else:
                result = _run_baseline(side, plan, model, sponsor, folder, show)
            if keep is not None:
                names = {n: g.name for n, g in enumerate(plan.guests(), start=1)}
                keep.update(
                    {
                        names[who] if isinstance(who, int) else who: primes
                        for who, primes in sponsor.paid.items()
                    }
                )
            return result


def _run_baseline(
    side: SideName,
    plan: Plan,
    model: EnergyModel,
    sponsor: object,
    folder: Path,
    show: Callable[[int], None],
) -> Side:
    from maxwell.lab.baseline import Baseline
    from maxwell.lab.schedulers import Allowance, FairShare, Scheduler, Stride, quota
    from maxwell.lab.sponsor import Sponsor

    assert isinstance(sponsor, Sponsor)
    scheduler: Scheduler
    match side:
        case "quota":
            scheduler = quota()
        case "stride":
            scheduler = Stride()
        case "allowance":
            scheduler = Allowance(FUNDS_UJ * 1_000_000 // model.core_power_mw)
        case _:
            scheduler = FairShare()
    baseline = Baseline(
        side,
        plan,
        model=model,
        sponsor=sponsor,
        scheduler=scheduler,
        metered=side != "unmetered",
        folder=folder,
    )
    return baseline.run(show)


def solo_cost(plan: Plan, model: EnergyModel) -> int:
    """Returns the µJ of one result of a scientist alone, on the metered baseline.

    Raises:
        LabError: MX1951 when no result came.
    """
    alone = msgspec.structs.replace(plan, leeches=0, cores=1, joules_per_core=SOLO_JOULES)
    side = run_side(BASELINE, alone, model, pays_credits=0)
    if not side.results:
        raise LabError(
            "lab: a scientist alone found nothing",
            code="MX1951",
            hint="this machine is too slow for this experiment, or far too busy",
        )
    return -(-side.energy_uj // side.results)


def require_engine() -> None:
    """Checks that the stock engine is installed.

    Raises:
        LabError: MX1950.
    """
    if importlib.util.find_spec("wasmtime") is None:
        raise LabError(
            "lab: the baselines need the Python package wasmtime, which is not installed",
            code="MX1950",
            hint='install it with `pip install "maxwell-hypervisor[lab]"`',
        )


def _engines() -> dict[str, str]:
    """Names the engines of both sides."""
    from importlib.metadata import version

    from maxwell._native import ENGINE_VERSION

    return {OURS: ENGINE_VERSION, "baselines": f"wasmtime {version('wasmtime')} (PyPI)"}


def _say(on_side: Callable[[str], None] | None, side: str) -> None:
    if on_side is not None:
        on_side(side)
