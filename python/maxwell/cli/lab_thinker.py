"""`maxwell lab thinker-vs-miner`: who earns by inference, who pretends, who burns for nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from maxwell.cli.console import print_data, print_note
from maxwell.cli.logging_setup import start_logging
from maxwell.cli.settings import Settings, common_options
from maxwell.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from maxwell.lab.thinking import ThinkerVsMiner

TIERS: Final = ("T0", "T3")


@click.command("thinker-vs-miner")
@click.option("--seeds", default="1", show_default=True, metavar="S,S,…", help="One run for each.")
@click.option(
    "--tier",
    type=click.Choice(TIERS),
    default="T3",
    show_default=True,
    help="How the sponsor believes: the host's own run, or a proof.",
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 600),
    default=60,
    show_default=True,
    help="How long a run lasts at most.",
)
@click.option("--cells", type=click.IntRange(1, 8), default=1, show_default=True, metavar="N")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where figures.json, purses.svg and table.md are written.",
)
@click.option("--json", is_flag=True, help="Print the figures as JSON.")
@common_options
@click.pass_obj
def command(
    settings: Settings,
    *,
    seeds: str,
    tier: str,
    seconds: int,
    cells: int,
    out: Path | None,
    json: bool,
) -> int:
    """Five guests with the same endowment, and a sponsor that pays for inferences that verify.

    One thinks honestly, one hands its first answer in again and again, one runs a smaller network
    than is ordered, one loops, one mines. Real cells, real proofs, real verification.
    """
    from maxwell.lab.thinking import thinker_vs_miner

    start_logging(settings)
    words = [word.strip() for word in seeds.split(",") if word.strip()]
    if not words or not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(
            f"--seeds: not a list of numbers: {seeds!r}", code="MX1006", hint="such as 1,2,3"
        )

    def on_run(seed: int) -> None:
        if not settings.quiet:
            print_note(f"seed {seed}")

    found = thinker_vs_miner(
        seeds=[int(word) for word in words], tier=tier, seconds=seconds, cells=cells, on_run=on_run
    )
    if out is not None:
        _save(out, found)
    if json:
        sys.stdout.write(_json_text(found))
    else:
        print_data(table(found))
        print_data("")
        print_data(
            f"joules are {found.provenance} (±{found.relative_interval_ppm / 1e6:.0%}); claims "
            f"are of tier {found.tier}"
        )
    return 0 if all(run.conservation_ok for run in found.runs) else 125


def rows(found: ThinkerVsMiner) -> list[tuple[str, ...]]:
    """Returns the table's cells, a row a guest and seed."""
    from maxwell.observe.text import joules, seconds

    return [
        (
            str(run.seed),
            guest.kind,
            guest.outcome.replace("_", " "),
            seconds(guest.lived_ns / 1e9),
            joules(guest.energy_uj),
            joules(guest.inference_uj),
            joules(guest.proof_uj),
            joules(guest.earned_credits),
            f"{guest.claims_paid:,}",
            f"{guest.claims_refused:,}",
            joules(guest.returned_credits),
        )
        for run in found.runs
        for guest in run.guests
    ]


TITLES: Final = (
    "seed", "guest", "outcome", "lived", "energy", "inferences", "proofs", "earned", "paid",
    "refused", "left",
)  # fmt: skip


def table(found: ThinkerVsMiner) -> Table:
    """Makes the table for a terminal."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for title in TITLES:
        left = title in {"seed", "guest", "outcome"}
        made.add_column(title, justify="left" if left else "right", no_wrap=True)
    for row in rows(found):
        made.add_row(*row)
    return made


def markdown(found: ThinkerVsMiner) -> str:
    """Writes the table for the documentation."""
    lines = [TITLES, tuple("---" for _ in TITLES), *rows(found)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _save(folder: Path, found: ThinkerVsMiner) -> None:
    from maxwell.lab.thinking_figure import figure_svg

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "figures.json").write_text(_json_text(found), encoding="utf-8")
        (folder / "table.md").write_text(markdown(found), encoding="utf-8")
        (folder / "purses.svg").write_bytes(figure_svg(found))
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror}",
            code="MX1002",
            hint="give a folder that you may write to",
        ) from error


def _json_text(found: ThinkerVsMiner) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(found.to_json()), indent=2).decode() + "\n"
