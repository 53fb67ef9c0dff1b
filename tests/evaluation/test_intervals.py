"""Intervals against values worked out elsewhere."""

import numpy as np
import pytest

from facemotion.evaluation.intervals import bootstrap_mean, paired_difference, wilson


@pytest.mark.parametrize(  # Newcombe 1998, table I, method 3
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_the_one_in_the_books(hits, n, low, high):
    share = wilson(hits, n)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)
    assert share.mean == pytest.approx(hits / n)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_no_share_of_nothing(hits, n):
    with pytest.raises(ValueError, match="no share"):
        wilson(hits, n)


def test_bootstrap_of_equal_values_is_a_point():
    estimate = bootstrap_mean([2.0] * 6, list("aabbcc"), seed=0)
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == (2, 2, 2, 6)


def test_bootstrap_interval_has_the_width_of_the_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    estimate = bootstrap_mean(values, [str(i) for i in range(400)], seed=1)
    half = 1.96 * values.std() / 20
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.1)


def test_bootstrap_resamples_people_and_not_clips():
    people = np.random.default_rng(0).normal(size=20)
    clips, groups = np.repeat(people, 50), [str(i) for i in range(20) for _ in range(50)]
    by_person = bootstrap_mean(clips, groups, seed=0)
    by_clip = bootstrap_mean(clips, [str(i) for i in range(1000)], seed=0)
    assert by_person.high - by_person.low > 5 * (by_clip.high - by_clip.low)


def test_bootstrap_is_deterministic_and_needs_values():
    values, groups = [1.0, 2.0, 5.0], ["a", "b", "c"]
    assert bootstrap_mean(values, groups, seed=3) == bootstrap_mean(values, groups, seed=3)
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean([], [], seed=0)


def test_paired_difference_sees_what_unpaired_means_hide():
    random = np.random.default_rng(0)
    base = random.normal(0, 10, 50)
    better = base + 0.5 + random.normal(0, 0.1, 50)
    groups = [str(i) for i in range(50)]
    difference = paired_difference(better, base, groups, seed=0)
    assert difference.low < 0.5 < difference.high
    assert difference.low > 0
    with pytest.raises(ValueError, match="equally many"):
        paired_difference([1.0], [], ["a"], seed=0)
