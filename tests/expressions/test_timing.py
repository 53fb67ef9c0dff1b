import itertools

import pytest

from facemotion.errors import UsageError
from facemotion.expressions.timing import CURVES, SHAPES, control_track, frame_count

SMILE, NEUTRAL, SURPRISE = {"smile": 1.0}, {}, {"surprise": 1.0}
KNOWN = ("smile", "surprise")


def smiles(**settings) -> list[float]:
    return [control[0] for control in control_track((SMILE,), known=KNOWN, **settings)]


def test_onset_runs_evenly_from_the_photo_to_the_peak():
    assert smiles(frames=5) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_pulse_comes_back_and_holds_the_peak():
    track = smiles(frames=26, shape="pulse")
    assert track[0] == track[-1] == 0
    assert track == pytest.approx(track[::-1])
    assert sum(a == pytest.approx(1) for a in track) >= 5


def test_loop_has_no_seam():
    track = smiles(frames=8, shape="loop")
    assert track == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_curve_and_shape_starts_at_the_photo_stays_in_range_and_moves_without_jumps(curve, shape):
    track = smiles(frames=100, curve=curve, shape=shape)
    assert track[0] == 0
    assert max(track) == pytest.approx(1, abs=0.03)
    assert all(0 <= a <= 1 + 1e-9 for a in track)
    assert max(abs(b - a) for a, b in itertools.pairwise(track)) < 0.1


def test_ease_is_slow_at_both_ends_and_snap_fast_at_first():
    linear, ease, snap = (smiles(frames=11, curve=curve) for curve in ("linear", "ease", "snap"))
    assert ease[1] < linear[1] < snap[1]
    assert ease[-2] > linear[-2]


def test_steps_follow_one_another():
    track = control_track((SMILE, NEUTRAL, SURPRISE), frames=7, known=KNOWN)
    assert track == [(0, 0), (0.5, 0), (1, 0), (0.5, 0), (0, 0), (0, 0.5), (0, 1)]
    assert control_track((SMILE, SURPRISE), frames=5, known=KNOWN)[3] == (0.5, 0.5)


def test_intensity_scales_and_a_single_frame_is_the_peak():
    assert smiles(frames=1) == [1]
    assert smiles(frames=1, intensity=1.5, shape="pulse") == [1.5]
    assert smiles(frames=3, intensity=0.5) == pytest.approx([0, 0.25, 0.5])


@pytest.mark.parametrize(
    "settings",
    [
        {"frames": 0},
        {"frames": 3, "intensity": 1.6},
        {"frames": 3, "intensity": -0.1},
        {"frames": 3, "intensity": float("nan")},
        {"frames": 3, "shape": "zigzag"},
        {"frames": 3, "curve": "wobbly"},
    ],
)
def test_senseless_timing_is_refused(settings):
    with pytest.raises(UsageError):
        smiles(**settings)


def test_weight_times_intensity_stays_in_the_trained_range():
    with pytest.raises(UsageError, match="out of range"):
        control_track(({"smile": 1.2},), frames=3, intensity=1.4, known=KNOWN)


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
