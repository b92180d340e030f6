"""Quality: bounded, earned by settled bits only, and worth no new name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maxwell.market.information import ONE
from maxwell.market.quality import (
    QUALITY_NEW_PPM,
    QUALITY_ONE_PPM,
    QUALITY_PPM_MAX,
    QUALITY_PPM_MIN,
    WINDOW_UJ,
    Quality,
)

REFERENCE = 10_000


def settled(rate: int, *, joules: int = 3, reference: int = REFERENCE) -> Quality:
    """An account that gained `rate` bits a joule in steps of 50 mJ."""
    quality = Quality(reference)
    for step in range(1, joules * 20 + 1):
        quality.settle(bits_q32=rate * ONE * step // 20, energy_uj=50_000 * step)
    return quality


def test_a_newcomer_has_half_and_keeps_it_without_joules() -> None:
    quality = Quality(REFERENCE)
    assert quality.ppm == QUALITY_NEW_PPM
    assert not quality.settle(bits_q32=0, energy_uj=0)
    assert quality.ppm == QUALITY_NEW_PPM


def test_the_reference_is_about_one_and_the_root_squashes() -> None:
    assert 0.95 * QUALITY_ONE_PPM < settled(REFERENCE).ppm < QUALITY_ONE_PPM
    four = settled(4 * REFERENCE).ppm
    assert 1.8 * QUALITY_ONE_PPM < four < 2 * QUALITY_ONE_PPM
    assert settled(10**7).ppm == QUALITY_PPM_MAX
    assert settled(0).ppm < QUALITY_NEW_PPM
    assert settled(-(10**6)).ppm == settled(0).ppm


def test_joules_forget_and_time_does_not() -> None:
    quality = settled(4 * REFERENCE)
    good, bits = quality.ppm, 12 * REFERENCE * ONE
    for _ in range(100):
        assert not quality.settle(bits_q32=bits, energy_uj=3_000_000), "time alone changes nothing"
    for step in range(1, 80):
        quality.settle(bits_q32=bits, energy_uj=3_000_000 + 50_000 * step)
    assert quality.ppm < QUALITY_NEW_PPM < good
    assert abs(quality.ppm - settled(0, joules=4).ppm) <= 2_000


@given(
    steps=st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, WINDOW_UJ)), max_size=80),
    reference=st.integers(1, 10**12),
)
def test_quality_is_bounded(steps: list[tuple[int, int]], reference: int) -> None:
    quality, bits, energy = Quality(reference), 0, 0
    for gained, used in steps:
        bits, energy = bits + gained * ONE, energy + used
        before = quality.ppm
        assert quality.settle(bits_q32=bits, energy_uj=energy) == (quality.ppm != before)
        assert QUALITY_PPM_MIN <= quality.ppm <= QUALITY_PPM_MAX


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_more_bits_are_never_worth_less(rate: int, more: int) -> None:
    assert settled(rate, joules=1).ppm <= settled(rate + more, joules=1).ppm
