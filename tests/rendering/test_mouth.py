"""The inside of a mouth, in the cases that no photograph at hand shows."""

import numpy as np
import pytest

from facemotion.rendering.mouth import as_coarse, nearest_middle


@pytest.mark.parametrize("from_middle", [[0.5, 0.5], [0.9], [1.0, 0.5, 0.0, 0.5, 1.0]])
def test_every_mouth_has_a_middle(from_middle):
    chosen = nearest_middle(np.array([from_middle]))
    assert chosen.any()
    assert not chosen[np.array([from_middle]) > max(0.3, min(from_middle))].any()


def test_teeth_are_drawn_no_finer_than_the_photo_s_pixels():
    """Every fourth pixel of fine lines would be all light or all dark."""
    lines = np.tile(np.array([0.2, 1.0], np.float32), (40, 40))
    assert np.array_equal(as_coarse(lines, 0.8), lines)
    assert np.ptp(as_coarse(lines, 4.0)[:, 8:-8:4]) < 0.02 < 0.1 < abs(lines[:, 8::4].mean() - lines.mean())
