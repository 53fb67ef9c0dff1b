"""Speech to measure by, and steps from frame to frame."""

import numpy as np
import pytest

from facemotion.evaluation.performances import frame_steps, read_back, speech
from facemotion.evaluation.unit_scores import indices


def test_speech_is_smooth_closes_lips_on_m_and_is_drawn_by_its_seed():
    spoken = speech(seconds=10, fps=30, seed=1)
    units = spoken.performance.units
    assert units.shape == (300, 52)
    assert units.min() >= 0
    assert units.max() <= 1
    assert np.abs(np.diff(units, axis=0)).max() < 0.5
    assert 10 < spoken.closed.sum() < 100
    assert not units[spoken.closed][:, indices("jawOpen")].any()
    assert (units[spoken.closed][:, indices("mouthPress")] > 0.3).all()
    assert np.array_equal(speech(seconds=10, fps=30, seed=1).performance.units, units)
    assert not np.array_equal(speech(seconds=10, fps=30, seed=2).performance.units, units)


def test_steps_are_of_the_pixels_within_the_outline():
    frames = [np.full((20, 20, 3), value, np.uint8) for value in (100, 101, 105)]
    frames[1][0] = 255
    outline = np.array([[5, 5], [15, 5], [15, 15], [5, 15]])
    assert frame_steps(frames, outline) == pytest.approx([1, 4])
    assert len(frame_steps(frames[:1], outline)) == 0


def test_units_read_back_are_those_that_were_asked_to_change():
    asked = np.zeros((5, 52))
    asked[:, indices("jawOpen")] = np.arange(5)[:, None] / 5
    asked[:, indices("mouthPucker")] = 0.3
    assert read_back(asked, 0.5 * asked) == {"jawOpen": pytest.approx(1)}
