"""Goal: an experiment's plan is a function of its seed, and its sponsor pays work and not guessing.

Method: plain objects, no process and no clock.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.errors import ConfigError
from maxwell.lab import Plan
from maxwell.lab.plan import CORES_MAX, FIRST, KINDS, LEECHES_MAX, OFFSETS, SPAN
from maxwell.lab.sponsor import LIST_NAME, PATIENCE, Sponsor
from maxwell.market.primes import is_prime

PLAN = Plan(leeches=1, seed=1, cores=1)


@given(seed=st.integers(0, 2**64 - 1), leeches=st.integers(0, 12), cores=st.integers(1, 8))
def test_every_core_has_one_scientist_and_its_leeches(seed: int, leeches: int, cores: int) -> None:
    guests = Plan(leeches=leeches, seed=seed, cores=cores).guests()
    assert len({guest.name for guest in guests}) == len(guests) == cores * (leeches + 1)
    for lane in range(cores):
        own = [guest for guest in guests if guest.lane == lane]
        assert Counter(guest.is_parasite for guest in own) == {False: 1} | (
            {True: leeches} if leeches else {}
        )
    kinds = Counter(guest.kind for guest in guests if guest.is_parasite)
    # In turns: no kind is more than one round ahead on any core.
    assert max(kinds.values(), default=0) - min((kinds[k] for k in KINDS), default=0) <= cores


@given(seed=st.integers(0, 2**64 - 1))
def test_ranges_do_not_overlap_and_cost_about_the_same(seed: int) -> None:
    plan = Plan(leeches=0, seed=seed, cores=8)
    ranges = [tuple(map(int, guest.args)) for guest in plan.guests()]
    assert ranges[0][0] == plan.first
    assert ranges[-1][1] == plan.last + 1
    for (_, end), (start, _) in pairwise(ranges):
        assert end == start
    # Trial division costs the square root: at most a fifth more than at the cheapest.
    assert FIRST <= plan.first <= FIRST + OFFSETS * CORES_MAX * SPAN
    assert math.isqrt(plan.last) < 1.2 * math.isqrt(FIRST)


def test_equal_seeds_give_equal_plans_and_others_do_not() -> None:
    one, same, other = (Plan(leeches=3, seed=seed).guests() for seed in (7, 7, 8))
    assert one == same != other


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("leeches", -1, "MX1006"),
        ("leeches", LEECHES_MAX + 1, "MX1006"),
        ("seed", -1, "MX1006"),
        ("seed", 2**64, "MX1006"),
        ("cores", 0, "MX1006"),
        ("cores", 10_000, "MX1006"),
        ("joules_per_core", 0.0, "MX1006"),
        ("joules_per_core", math.nan, "MX1006"),
        ("joules_per_core", math.inf, "MX1006"),
        ("others_joules_per_core", -3.0, "MX1006"),
        ("kind", "bank", "MX1001"),
        ("scientists_bid", "all", "MX1001"),
    ],
)
def test_nonsense_is_refused_with_a_hint(field: str, value: object, code: str) -> None:
    changes = cast("dict[str, Any]", {field: value})
    with pytest.raises(ConfigError) as caught:
        msgspec.structs.replace(PLAN, **changes).check()
    assert caught.value.code == code
    assert caught.value.hint


def primes_from(start: int, count: int) -> list[int]:
    found: list[int] = []
    n = start
    while len(found) < count:
        if is_prime(n):
            found.append(n)
        n += 1
    return found


def test_a_result_is_paid_once_and_published(tmp_path: Path) -> None:
    primes = primes_from(PLAN.first, 3)
    with Sponsor(PLAN, tmp_path) as sponsor:
        assert all(sponsor.judge("scientist", str(prime)).accepted for prime in primes)
        assert not sponsor.judge("copier", str(primes[0])).accepted
        assert not sponsor.judge("copier", str(primes[0] + 1)).accepted
        assert not sponsor.judge("copier", "2").accepted
        assert sponsor.paid == {"scientist": primes}
        assert sponsor.results == 3
        assert sponsor.wrong == {"copier": 3}
    published = (tmp_path / LIST_NAME).read_text().split()
    assert [int(line) for line in published] == primes


def test_who_guesses_is_soon_not_heard(tmp_path: Path) -> None:
    """A guesser of random odd numbers would live by its luck; here it is soon turned away."""
    guesses = range(PLAN.first | 1, PLAN.first + 2_000, 2)
    lucky = [n for n in guesses if is_prime(n)]
    with Sponsor(PLAN, tmp_path) as patient, Sponsor(PLAN, tmp_path, patience=None) as endless:
        for guess in guesses:
            patient.judge("guesser", str(guess))
            endless.judge("guesser", str(guess))
        assert endless.results == len(lucky)
        assert patient.wrong["guesser"] == PATIENCE + 1 + patient.results
        assert patient.results < len(lucky) / 5
        # Its silence is not for sale: a right answer is not heard either.
        last = primes_from(PLAN.first + 2_001, 1)[0]
        assert not patient.judge("guesser", str(last)).accepted
        assert patient.judge("scientist", str(last)).accepted
