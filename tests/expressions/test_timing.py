import itertools

import pytest

from facemotion.errors import UsageError
from facemotion.expressions.timing import CURVES, SHAPES, check_choice, control_between, frame_count, turning_points


def track(peaks, *, frames: int, shape: str = "onset", curve: str = "linear") -> list[tuple[float, ...]]:
    """One control per frame through peaks, as a script runs through its steps."""
    if frames == 1:
        return [peaks[-1]]
    keys = turning_points(peaks, shape)
    last = frames if shape == "loop" else frames - 1
    return [control_between(keys, keys[-1][0] * index / last, CURVES[curve]) for index in range(frames)]


def smiles(**settings) -> list[float]:
    return [control[0] for control in track([(1.0,)], **settings)]


def test_onset_runs_evenly_from_the_photo_to_the_peak():
    assert smiles(frames=5) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_pulse_comes_back_and_holds_the_peak():
    levels = smiles(frames=26, shape="pulse")
    assert levels[0] == levels[-1] == 0
    assert levels == pytest.approx(levels[::-1])
    assert sum(a == pytest.approx(1) for a in levels) >= 5


def test_loop_has_no_seam():
    levels = smiles(frames=8, shape="loop")
    assert levels == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_curve_and_shape_starts_at_the_photo_stays_in_range_and_moves_without_jumps(curve, shape):
    levels = smiles(frames=100, curve=curve, shape=shape)
    assert levels[0] == 0
    assert max(levels) == pytest.approx(1, abs=0.03)
    assert all(0 <= a <= 1 + 1e-9 for a in levels)
    assert max(abs(b - a) for a, b in itertools.pairwise(levels)) < 0.1


def test_ease_is_slow_at_both_ends_and_snap_fast_at_first():
    linear, ease, snap = (smiles(frames=11, curve=curve) for curve in ("linear", "ease", "snap"))
    assert ease[1] < linear[1] < snap[1]
    assert ease[-2] > linear[-2]


def test_steps_follow_one_another():
    smile, neutral, surprise = (1.0, 0.0), (0.0, 0.0), (0.0, 1.0)
    seven = [(0, 0), (0.5, 0), (1, 0), (0.5, 0), (0, 0), (0, 0.5), (0, 1)]
    assert track([smile, neutral, surprise], frames=7) == seven
    assert track([smile, surprise], frames=5)[3] == (0.5, 0.5)


def test_a_word_that_is_no_choice_is_refused():
    check_choice("curve", "ease", tuple(CURVES))
    with pytest.raises(UsageError, match="'wobbly' is no curve"):
        check_choice("curve", "wobbly", tuple(CURVES))


def test_length_is_given_in_frames_or_in_seconds():
    assert frame_count(frames=None, seconds=None, fps=25) == 32
    assert frame_count(frames=7, seconds=None, fps=25) == 7
    assert frame_count(frames=None, seconds=2, fps=29.97) == 60
    assert frame_count(frames=None, seconds=0.001, fps=25) == 1
    for wrong in ({"frames": 7, "seconds": 2, "fps": 25}, {"frames": None, "seconds": 0, "fps": 25}):
        with pytest.raises(UsageError):
            frame_count(**wrong)
    for seconds in (float("inf"), float("nan"), -1, 1e9, 4001):
        with pytest.raises(UsageError):
            frame_count(frames=None, seconds=seconds, fps=25)
    for fps in (0, -1, 0.0004, 0.99, 1000, float("nan"), float("inf")):
        with pytest.raises(UsageError):
            frame_count(frames=1, seconds=None, fps=fps)
