import numpy as np
import pytest

from facemotion.expressions.smoothing import OneEuroFilter


def smoothed(values: np.ndarray, *, fps: float = 30, **settings) -> np.ndarray:
    smooth = OneEuroFilter(**settings)
    return np.stack([smooth(frame / fps, value) for frame, value in enumerate(values)])


def test_constants_and_the_first_value_pass_as_they_are():
    np.testing.assert_array_equal(smoothed(np.full((20, 3), 0.3)), np.full((20, 3), 0.3))
    assert OneEuroFilter()(5.0, np.array([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_without_beta_it_is_a_low_pass_of_its_cutoff():
    """The step response of a first-order low-pass reaches 1 - 1/e after 1 / (2 pi cutoff)."""
    values = np.r_[np.zeros(1), np.ones(2000)]
    response = smoothed(values, fps=1000, min_cutoff_hz=2.0)
    reached_s = int(np.argmax(response > 1 - 1 / np.e)) / 1000
    assert reached_s == pytest.approx(1 / (2 * np.pi * 2), rel=0.03)


def test_noise_at_rest_is_calmed_and_fast_movement_hardly_lags():
    random = np.random.default_rng(0)
    rest = 0.5 + 0.01 * random.standard_normal(600)
    settings = {"min_cutoff_hz": 1.0, "beta": 5.0}
    assert smoothed(rest, **settings)[60:].std() < 0.5 * rest[60:].std()
    blink = np.zeros(60)
    blink[30:36] = 0.6, 1, 1, 0.7, 0.4, 0.1
    assert smoothed(blink, **settings).max() > 0.85
    assert smoothed(blink, min_cutoff_hz=1.0).max() < 0.6


def test_every_entry_is_smoothed_by_itself():
    random = np.random.default_rng(1)
    values = random.standard_normal((50, 2, 3))
    together = smoothed(values, beta=0.3)
    np.testing.assert_allclose(together[:, 1, 2], smoothed(values[:, 1, 2], beta=0.3))


def test_uneven_times_count():
    smooth, even = OneEuroFilter(), OneEuroFilter()
    smooth(0.0, np.zeros(1)), even(0.0, np.zeros(1))
    assert smooth(1.0, np.ones(1))[0] > even(0.01, np.ones(1))[0]


def test_after_a_reset_the_next_value_passes_as_it_is():
    smooth = OneEuroFilter()
    smooth(0.0, np.zeros(1))
    smooth.reset()
    assert smooth(0.0, np.ones(1)) == 1


def test_time_must_advance():
    smooth = OneEuroFilter()
    smooth(1.0, np.zeros(1))
    with pytest.raises(ValueError, match="does not advance"):
        smooth(1.0, np.zeros(1))
