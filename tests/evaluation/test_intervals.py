"""Intervals against values worked out elsewhere."""

import pytest

from facemotion.evaluation.intervals import wilson


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
