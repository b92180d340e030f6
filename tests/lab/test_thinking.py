"""Goal: of five guests with one endowment, only who thinks is paid, and who burns for nothing dies.

Method: the experiment itself, in virtual time; and its command line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from maxwell.cli.lab_thinker import markdown
from maxwell.errors import ConfigError
from maxwell.lab.thinking import KINDS, ThinkerVsMiner, thinker_vs_miner
from maxwell.lab.thinking_figure import figure_svg
from support.guests import REPOSITORY

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def found() -> ThinkerVsMiner:
    return thinker_vs_miner(seeds=[1], seconds=8, deterministic=True)


def test_only_who_thinks_is_paid_and_who_burns_for_nothing_dies(found: ThinkerVsMiner) -> None:
    for run in found.runs:
        assert run.conservation_ok
        guests = {guest.kind: guest for guest in run.guests}
        assert tuple(guests) == KINDS
        thinker = guests["thinker"]
        assert thinker.outcome == "survived"
        assert thinker.claims_refused == 0
        assert thinker.earned_credits > thinker.energy_uj, "it earns more than it burns"
        assert thinker.returned_credits > thinker.funds_credits
        assert (guests["replayer"].claims_paid, guests["substituter"].claims_paid) == (1, 0)
        assert guests["substituter"].earned_credits == 0
        for cheat in ("replayer", "substituter"):
            assert set(guests[cheat].refusals) == {"MX1712"}
            assert guests[cheat].claims_refused == sum(guests[cheat].refusals.values()) > 3
            assert guests[cheat].returned_credits < guests[cheat].funds_credits
        for burner in ("looper", "miner"):
            assert guests[burner].outcome == "bankrupt"
            assert (guests[burner].earned_credits, guests[burner].proof_uj) == (0, 0)


def test_the_same_seed_finds_the_same(found: ThinkerVsMiner) -> None:
    again = thinker_vs_miner(seeds=[1], seconds=8, deterministic=True)
    assert again.runs[0] == found.runs[0]


def test_what_is_found_is_written_down(found: ThinkerVsMiner) -> None:
    plain = json.loads(json.dumps(found.to_json()))
    reference = REPOSITORY / "docs/reference/thinker-vs-miner.schema.json"
    figures = REPOSITORY / "docs/experiments/thinker-vs-miner/figures.json"
    schema: Any = jsonschema.Draft202012Validator(json.loads(reference.read_text()))
    schema.validate(plain)
    schema.validate(json.loads(figures.read_text()))
    assert plain["runs"][0]["guests"][0]["earned_credits"].isdigit()
    assert markdown(found).count("\n") == 2 + len(KINDS)
    assert figure_svg(found) == figure_svg(found)


def test_the_packages_models_are_the_examples() -> None:
    for path in (REPOSITORY / "python/maxwell/lab/digits").iterdir():
        example: Path = REPOSITORY / "examples/models" / path.name
        assert path.read_bytes() == example.read_bytes()


@pytest.mark.parametrize("keys", [{"tier": "T1"}, {"seeds": []}, {"seconds": 0}])
def test_an_impossible_experiment_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        thinker_vs_miner(**{"seeds": [1], **keys})  # pyright: ignore[reportArgumentType]
    assert caught.value.code == "MX1006"
