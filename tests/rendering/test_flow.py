"""Flow where its mesh ends, tears or folds."""

import numpy as np

from facemotion.rendering.flow import continued, creases, untorn


def test_flow_fades_to_what_is_given_beyond():
    flow = np.zeros((80, 80, 2), np.float32)
    known = np.zeros((80, 80), bool)
    known[30:50, 30:50] = True
    flow[known] = (4, 0)
    filled = continued(flow, known, known, 8.0, full=8.0, beyond=np.zeros_like(flow))
    assert (filled[known] == (4, 0)).all()
    assert np.abs(filled[:8]).max() < 0.2
    assert 0.5 < filled[40, 53, 0] < 4


def test_a_jump_of_the_flow_is_halved_and_smooth_flow_is_left():
    flow = np.zeros((60, 60, 2), np.float32)
    flow[:, :, 0] = 0.1 * np.arange(60)
    assert np.array_equal(untorn(flow), flow)
    flow[:, 30:] += 6
    assert np.abs(np.diff(untorn(flow), axis=1)).max() < 0.5 * 6.1


def test_creases_lie_where_places_jump_and_nowhere_else():
    at = np.dstack(np.meshgrid(np.arange(40), np.arange(40))).astype(np.float32)
    assert creases(at, 3.5) is None
    at[20:, :, 1] += 12
    found = creases(at, 3.5)
    assert found[19].min() > 0.9
    assert not found[:10].any()
    assert not found[30:].any()
