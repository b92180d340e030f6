"""What the market is worth: verified results per joule beside the metered fair scheduler.

Goal: how much of the ceiling N + 1 the market reaches with N leeches per scientist, and what it
costs with none; not: the other baselines (`make lab`). A value is the part of the ceiling that is
lost, 1 - ratio / (N + 1), which is to stay below a tenth; `ratio` is in the line too.

`python benches/scientist_vs_leech.py [--smoke]`
"""

from __future__ import annotations

from harness import emit, note, parse_options
from maxwell.lab import Plan, scientist_vs_leech

LOST_MAX = 0.1
"""0.9 · (N + 1) at the least."""
PARASITES_MAX = 0.1


def main() -> None:
    """Measures four numbers of leeches."""
    options = parse_options(__doc__ or "")
    for leeches in (1,) if options.smoke else (0, 1, 3, 10):
        plan = Plan(leeches=leeches, seed=1)
        if options.smoke:
            plan = Plan(leeches=leeches, seed=1, cores=1, joules_per_core=0.6)
        note(f"scientist_vs_leech: {leeches} leeches per scientist")
        found = scientist_vs_leech(plan, sides=("market", "metered"))
        ratio = found.results_per_joule_ratio
        assert ratio is not None
        market, metered = found.sides["market"], found.sides["metered"]
        emit(
            f"lab_ceiling_lost_{leeches}",
            1 - ratio / found.ceiling,
            "share",
            # Without leeches the figure is the market's cost: report only.
            target=LOST_MAX if leeches and not options.smoke else None,
            peer=metered.scheduler,
            peer_value=1 - 1 / found.ceiling,
            more={"ratio": round(ratio, 4), "outcomes": market.outcomes},
        )
        if leeches == 1:
            emit(
                "lab_parasites_share_1",
                market.parasite_share,
                "share",
                target=None if options.smoke else PARASITES_MAX,
                peer=metered.scheduler,
                peer_value=metered.parasite_share,
            )


if __name__ == "__main__":
    main()
