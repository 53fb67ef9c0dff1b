"""The inside of a mouth, in the cases that no photograph at hand shows."""

import numpy as np
import pytest

from facemotion.rendering.mouth import nearest_middle


@pytest.mark.parametrize("from_middle", [[0.5, 0.5], [0.9], [1.0, 0.5, 0.0, 0.5, 1.0]])
def test_every_mouth_has_a_middle(from_middle):
    chosen = nearest_middle(np.array([from_middle]))
    assert chosen.any()
    assert not chosen[np.array([from_middle]) > max(0.3, min(from_middle))].any()
