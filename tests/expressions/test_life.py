import numpy as np
import pytest

from facemotion.errors import UsageError
from facemotion.expressions.dynamics import perform
from facemotion.expressions.life import GAZE_RANGE_DEG, LEVELS, add_life, blink_times
from facemotion.expressions.performance import Performance
from facemotion.expressions.units import UNIT_INDEX, units_in

LEFT_LID, RIGHT_LID = UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]
GAZE = list(units_in("gaze"))


def still(frames: int, own: np.ndarray | None = None) -> Performance:
    return Performance(np.repeat((np.zeros(52, np.float32) if own is None else own)[None], frames, axis=0))


def alive(frames: int, *, level: str = "full", fps: float = 25, seed: int = 0, **settings) -> Performance:
    return add_life(still(frames, settings.pop("own", None)), level=level, fps=fps, seed=seed, **settings)


def gaze_deg(performance: Performance, eye: str) -> np.ndarray:
    """(T, 2) to the person's left and up."""
    units = {name: performance.units[:, UNIT_INDEX[f"eyeLook{name}{eye}"]] for name in ("In", "Out", "Up", "Down")}
    sideways = units["Out"] - units["In"] if eye == "Left" else units["In"] - units["Out"]
    return GAZE_RANGE_DEG * np.stack([sideways, units["Up"] - units["Down"]], axis=1)


def test_off_changes_nothing():
    performance = still(50)
    assert add_life(performance, level="off", fps=25, seed=1) is performance
    with pytest.raises(UsageError):
        add_life(performance, level="loud", fps=25, seed=1)


@pytest.mark.parametrize("level", ["subtle", "full"])
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("frames", [2, 10, 32, 100, 500])
def test_frame_0_is_the_photo_and_no_two_frames_are_the_same(level, loop, frames):
    own = np.zeros(52, np.float32)
    own[[UNIT_INDEX["eyeLookInLeft"], UNIT_INDEX["eyeLookOutLeft"], LEFT_LID]] = 0.1, 0.05, 0.12
    for seed in range(5):
        performance = alive(frames, level=level, loop=loop, seed=seed, own=own)
        np.testing.assert_array_equal(performance.units[0], own)
        assert performance.head[0].tolist() == [0, 0, 0]
        changes = np.abs(np.diff(np.hstack([performance.units, performance.head]), axis=0)).max(axis=1)
        assert changes.min() > 0
        assert performance.units.min() >= 0 and performance.units.max() <= 1.5


@pytest.mark.parametrize("frames", [50, 100, 250])
def test_loops_have_no_seam(frames):
    for seed in range(10):
        performance = alive(frames, loop=True, seed=seed)
        np.testing.assert_array_equal(performance.units[-1][GAZE], performance.units[0][GAZE])
        assert performance.units[-1, LEFT_LID] < 0.1
        steps = np.abs(np.diff(performance.head, axis=0)).max(axis=1)
        assert np.abs(performance.head[0] - performance.head[-1]).max() < 0.6 * np.median(steps)


def test_people_blink_about_fifteen_times_a_minute_and_differ():
    counts = np.array([len(blink_times(600, fps=25, source=np.random.default_rng(seed))) / 10 for seed in range(60)])
    assert 12.5 < counts.mean() < 17 and counts.std() > 2
    assert counts.min() > 6 and counts.max() < 24


def test_blinks_are_apart_whole_and_as_long_as_blinks_are():
    for fps in (15, 24, 25, 29.97, 30, 60):
        blinks = blink_times(300, fps=fps, source=np.random.default_rng(1))
        starts, ends = [blink.start_s for blink in blinks], [blink.end_s for blink in blinks]
        assert starts[0] > 0 and ends[-1] <= 300
        assert min(np.array(starts[1:]) - np.array(ends[:-1])) >= 1.0 - 1e-9
        waits = np.array(starts[1:]) - np.array(ends[:-1])
        assert waits.std() > 0.5 * (waits.mean() - 1)
        time_s = np.arange(int(300 * fps)) / fps
        for blink in blinks:
            closure = blink.closure(time_s)
            assert closure.max() == pytest.approx(1, abs=1e-9), "closed between frames only"
            assert 0.15 <= blink.end_s - blink.start_s <= 0.4
            assert blink.closing_s < blink.opening_s


def test_short_clips_blink_at_most_once_and_idle_loops_at_least_once():
    assert all(len(blink_times(0.3, fps=25, source=np.random.default_rng(seed))) == 0 for seed in range(50))
    blinks = [len(blink_times(1.28, fps=25, source=np.random.default_rng(seed))) for seed in range(200)]
    assert max(blinks) == 1 and 0.05 < np.mean(blinks) < 0.5
    for seed in range(50):
        assert blink_times(3, fps=25, source=np.random.default_rng(seed), needs_one=True)


@pytest.mark.parametrize("level", ["subtle", "full"])
def test_a_living_clip_of_three_seconds_blinks(level):
    for seed in range(30):
        assert alive(75, level=level, seed=seed).units[:, LEFT_LID].max() > 0.99


def test_both_lids_close_over_wide_eyes():
    own = np.zeros(52, np.float32)
    own[UNIT_INDEX["eyeWideLeft"]] = own[UNIT_INDEX["eyeWideRight"]] = 0.8
    performance = alive(500, seed=2, own=own)
    shut = performance.units[:, LEFT_LID] > 0.99
    assert shut.any()
    np.testing.assert_array_equal(performance.units[:, LEFT_LID], performance.units[:, RIGHT_LID])
    assert performance.units[shut][:, UNIT_INDEX["eyeWideLeft"]].max() < 0.02


def test_nobody_blinks_with_closed_eyes_or_while_winking():
    own = np.zeros(52, np.float32)
    own[LEFT_LID] = own[RIGHT_LID] = 0.9
    for seed in range(5):
        assert (alive(500, seed=seed, own=own).units[:, LEFT_LID] == np.float32(0.9)).all()
        wink, alone = (
            perform(({"wink-left": 1.0},), frames=60, fps=25, shape="pulse", life=life, seed=seed).units
            for life in ("full", "off")
        )
        assert wink[alone[:, LEFT_LID] > 0.5, RIGHT_LID].max() == 0


def test_eyes_jump_together_between_fixations_and_stay_near():
    for level, most in (("subtle", 3), ("full", 8)):
        performance = alive(2000, level=level, seed=3)
        left, right = gaze_deg(performance, "Left"), gaze_deg(performance, "Right")
        np.testing.assert_allclose(left, right, atol=1e-4)
        size = np.hypot(*left.T)
        assert size.max() <= most + 1e-3 and size.max() > most / 3
        assert (left[0] == 0).all()
        moving = np.abs(np.diff(left, axis=0)).max(axis=1) > 1e-6
        assert 0.02 < moving.mean() < 0.15, "fixations are long and saccades short"
        assert left[:, 0].std() > left[:, 1].std()


def test_gaze_starts_from_where_the_photo_looks():
    own = np.zeros(52, np.float32)
    own[UNIT_INDEX["eyeLookInLeft"]] = own[UNIT_INDEX["eyeLookOutRight"]] = 0.5
    left = gaze_deg(alive(1000, own=own, seed=1), "Left")
    assert left[0, 0] == pytest.approx(-15)
    assert -24 < left[:, 0].min() < left[:, 0].max() < -6


def test_the_head_sways_by_a_few_degrees_smoothly():
    sways = np.concatenate([alive(500, seed=seed).head for seed in range(20)])
    assert 1 < sways[:, 0].std() < 4 and np.abs(sways).max() < 12
    subtle = np.concatenate([alive(500, level="subtle", seed=seed).head for seed in range(20)])
    assert np.abs(subtle).max() < 4 and subtle.std() < 0.5 * sways.std()
    assert np.abs(np.diff(alive(500, seed=1).head, axis=0)).max() < 0.5  # degrees from frame to frame


def test_life_adds_to_the_heads_own_turn():
    turned = Performance(np.zeros((40, 52), np.float32), np.full((40, 3), 5, np.float32))
    with_life = add_life(turned, level="subtle", fps=25, seed=1)
    np.testing.assert_allclose(with_life.head - 5, alive(40, level="subtle", seed=1).head, atol=1e-5)


def test_everything_comes_from_the_seed():
    first, again, other = (alive(200, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.units, again.units)
    np.testing.assert_array_equal(first.head, again.head)
    assert np.abs(first.head - other.head).max() > 0.1


def test_levels_grow():
    assert list(LEVELS) == ["off", "subtle", "full"]
