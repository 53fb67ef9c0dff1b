import numpy as np
import pytest

from facemotion.errors import UsageError
from facemotion.expressions.blends import parse_expressions, unit_targets
from facemotion.expressions.dynamics import ENVELOPES, SHAPES, level_names, minimum_jerk, morph_levels, perform
from facemotion.expressions.recipes import Recipes
from facemotion.expressions.timing import CURVES
from facemotion.expressions.units import UNIT_INDEX, units_in
from tests.expressions.test_timing import track

SMILE, JAW = UNIT_INDEX["mouthSmileLeft"], UNIT_INDEX["jawOpen"]
LEFT_LID, RIGHT_LID = UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]


@pytest.fixture
def smiling() -> np.ndarray:
    """Units of a photo that smiles."""
    own = np.zeros(52, np.float32)
    for name, value in (
        ("mouthSmileLeft", 0.41),
        ("mouthSmileRight", 0.37),
        ("cheekSquintLeft", 0.2),
        ("jawOpen", 0.1),
    ):
        own[UNIT_INDEX[name]] = value
    return own


def units_of(text: str, **settings) -> np.ndarray:
    return perform(parse_expressions(text), **{"fps": 25, **settings}).units


def lasts_s(values: np.ndarray, fps: float, *, above: float) -> float:
    """How long a signal stays above a value, between frames by linear interpolation."""
    fine = np.interp(np.arange(0, len(values) - 1, 0.01), np.arange(len(values)), values)
    return float((fine > above).sum()) * 0.01 / fps


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("shape", ["onset", "pulse", "loop"])
@pytest.mark.parametrize("frames", [1, 2, 7, 32])
def test_the_curves_are_todays_for_every_unit(curve, shape, frames, smiling):
    today = np.array(track([(1.0,)], frames=frames, shape=shape, curve=curve))
    units = units_of("disgust", frames=frames, shape=shape, curve=curve, own=smiling)
    target = unit_targets({"disgust": 1.0})
    np.testing.assert_allclose(units, smiling + today * (target - smiling), atol=1e-6)


@pytest.mark.parametrize("curve", ENVELOPES)
@pytest.mark.parametrize("shape", ["onset", "pulse", "loop"])
@pytest.mark.parametrize(
    "text", ["smile", "smile,neutral,surprise", "blink", "wink-left+browInnerUp:0.4", "photo,fear"]
)
@pytest.mark.parametrize("frames", [2, 8, 32, 250])
def test_every_clip_starts_with_the_photo_and_moves_without_jumps(curve, shape, text, frames, smiling):
    units = units_of(text, frames=frames, shape=shape, curve=curve, own=smiling, seed=5)
    assert units.shape == (frames, 52) and units.dtype == np.float32
    assert np.isfinite(units).all() and units.min() >= 0 and units.max() <= 1.5
    np.testing.assert_array_equal(units[0], smiling)
    if shape == "pulse" and curve == "natural":
        np.testing.assert_array_equal(units[-1], smiling)
    if frames == 250 and "blink" not in text and "wink" not in text:
        assert np.abs(np.diff(units, axis=0)).max() < 0.3


def test_an_onset_ends_at_the_peak_and_leaves_the_photos_smile(smiling):
    for text in ("sadness", "neutral", "anger", "blink", "smile,surprise"):
        units = units_of(text, frames=32, own=smiling)
        steps = parse_expressions(text)
        target = unit_targets(steps[-1])
        if text == "blink":
            target = np.maximum(target, smiling)
        np.testing.assert_allclose(units[-1], target, atol=0.05)


def test_relative_adds_to_what_the_photo_shows(smiling):
    units = units_of("sadness", frames=32, own=smiling, relative=True, curve="linear")
    np.testing.assert_allclose(units[-1], smiling + unit_targets({"sadness": 1.0}), atol=1e-6)
    np.testing.assert_array_equal(
        units_of("neutral", frames=5, own=smiling, relative=True, curve="linear"), np.repeat(smiling[None], 5, axis=0)
    )


def test_the_word_photo_comes_back_to_the_photo(smiling):
    units = units_of("surprise,photo", frames=76, own=smiling, seed=1)
    np.testing.assert_array_equal(units[-1], smiling)
    assert np.abs(units[30] - smiling).max() > 0.5


def test_a_longer_clip_holds_longer_and_moves_as_fast():
    short, long = (units_of("smile", frames=frames, shape="pulse")[:, SMILE] for frames in (75, 250))
    assert np.diff(short).max() == pytest.approx(np.diff(long).max(), rel=0.1)
    held = [int((track > 0.9 * track.max()).sum()) for track in (short, long)]
    assert held[1] > held[0] + 140


def test_the_release_is_slower_than_the_onset_and_of_another_form():
    for text in ("smile", "surprise", "sadness", "anger"):
        track = units_of(text, frames=100, shape="pulse")
        moving = track[:, track.max(axis=0).argmax()]
        assert np.diff(moving).max() > 1.2 * -np.diff(moving).min()


def test_strength_makes_it_faster_not_longer():
    weak, strong = (units_of(f"smile:{weight}", frames=50)[:, SMILE] / weight for weight in (0.3, 1))
    np.testing.assert_allclose(weak, strong, atol=1e-5)


def test_the_peak_overshoots_by_a_few_percent_and_wanders():
    track = units_of("smile", frames=150, seed=4)
    target = unit_targets({"smile": 1.0}, seed=4)
    ratio = track[:, SMILE].max() / target[SMILE]
    assert 1.01 < ratio < 1.1
    held = track[60:]
    assert np.abs(held[:, SMILE] / target[SMILE] - 1).max() < 0.06
    assert held[:, SMILE].std() > 0.003
    assert np.abs(np.diff(held, axis=0)).max(axis=1).min() > 0, "two frames of the hold are the same"


def test_a_face_held_neutral_wanders_as_well_unless_it_is_the_photo(smiling):
    held = units_of("neutral", frames=150, own=smiling, seed=4)[60:]
    assert np.abs(np.diff(held, axis=0)).max(axis=1).min() > 0
    assert held.max() < 0.03
    still = units_of("neutral", frames=20)
    assert not still.any()


def test_brows_and_eyes_start_before_the_mouth():
    for text in ("surprise", "fear", "anger", "sadness"):
        track = units_of(text, frames=400, fps=100)
        started = {
            index: int(np.argmax(track[:, index] > 0.3 * track[-1, index]))
            for group in ("brows", "eyes", "mouth", "jaw")
            for index in units_in(group)
            if track[-1, index] > 0.15
        }
        upper = max(start for index, start in started.items() if index in units_in("brows"))
        lower = min(start for index, start in started.items() if index in (*units_in("mouth"), *units_in("jaw")))
        assert upper < lower, text


def test_left_and_right_are_some_hundredths_of_a_second_apart_but_not_the_lids():
    def start(track: np.ndarray) -> float:
        return float(np.interp(0.5, track[: track.argmax()] / track.max(), np.arange(track.argmax())))

    lags = []
    for seed in range(30):
        track = units_of("smile-teeth", frames=50, seed=seed)
        lags.append(start(track[:, UNIT_INDEX["mouthSmileLeft"]]) - start(track[:, UNIT_INDEX["mouthSmileRight"]]))
    assert 0.1 < np.std(lags) < 1.3 and np.abs(lags).max() <= 1.3 + 0.1  # frames of 40 ms
    blink = units_of("blink", frames=50, shape="pulse", seed=3)
    np.testing.assert_array_equal(blink[:, LEFT_LID], blink[:, RIGHT_LID])


@pytest.mark.parametrize("frames", [12, 32, 75, 250, 1000])
@pytest.mark.parametrize("fps", [15, 25, 60])
@pytest.mark.parametrize("shape", ["pulse", "loop"])
def test_a_blink_takes_as_long_as_blinks_do_however_long_the_clip_is(frames, fps, shape):
    if frames / fps < 0.5:
        pytest.skip("shorter than a blink and the time around it")
    lid = units_of("blink", frames=frames, fps=fps, shape=shape, seed=2)[:, LEFT_LID]
    assert lid.max() == 1
    assert 0.1 < lasts_s(lid, fps, above=0.5) < 0.3
    assert 0.15 < lasts_s(lid, fps, above=0.05) < 0.4


def test_a_blink_leaves_the_mouth_alone(smiling):
    units = units_of("blink", frames=40, shape="pulse", own=smiling)
    others = [index for index in range(52) if index not in (LEFT_LID, RIGHT_LID)]
    np.testing.assert_array_equal(units[:, others], np.repeat(smiling[None, others], 40, axis=0))
    units = units_of("smile,blink,surprise", frames=100, shape="pulse")
    shut = int(units[:, LEFT_LID].argmax())
    assert units[shut, SMILE] > 0.7
    assert units_of("surprise,blink", frames=50)[-1, UNIT_INDEX["eyeWideLeft"]] == 0


def test_a_loop_has_no_seam(smiling):
    for text in ("smile", "blink", "smile,surprise"):
        units = units_of(text, frames=60, shape="loop", own=smiling, seed=3)
        seam = np.abs(units[0] - units[-1]).max()
        steps = np.abs(np.diff(units, axis=0)).max(axis=1)
        assert seam <= np.median(steps[steps > 1e-6])


def test_an_idle_clip_holds_still_but_for_life(smiling):
    assert (units_of("photo", frames=20, shape="idle", own=smiling) == smiling).all()
    still = perform((), frames=20, fps=25, own=smiling, shape="idle").units
    assert (still == smiling).all()
    target = unit_targets({"smile": 1.0}, seed=1)
    np.testing.assert_array_equal(units_of("smile", frames=20, shape="idle", own=smiling, seed=1)[7], target)


def test_a_single_frame_is_the_peak(smiling):
    one = perform(parse_expressions("smile,surprise"), frames=1, fps=25, own=smiling, life="full", seed=9)
    np.testing.assert_array_equal(one.units[0], unit_targets({"surprise": 1.0}, seed=9))


def test_the_same_seed_is_the_same_clip_and_another_seed_another():
    first, again, other = (units_of("smile", frames=40, shape="pulse", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.02
    np.testing.assert_array_equal(*(units_of("smile", frames=40, seed=seed, variation=0)[-1:] * 0 for seed in (1, 2)))


def test_the_head_turns_along_and_comes_back():
    for curve in ENVELOPES:
        performance = perform(
            parse_expressions("smile"), frames=60, fps=25, shape="pulse", curve=curve, head=(6.0, -3.0, 2.0)
        )
        assert performance.head is not None
        assert performance.head[0].tolist() == performance.head[-1].tolist() == [0, 0, 0]
        np.testing.assert_allclose(performance.head[30], [6, -3, 2], atol=0.3 if curve == "natural" else 0.01)
    assert perform(parse_expressions("smile"), frames=60, fps=25).head is None


def test_intensity_and_recipes_of_the_user_count(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"expressions": {"slow": {"units": {"jawOpen": 0.5}, "timing": {"onset_s": 3}}}}')
    recipes = Recipes.load(path)
    steps = parse_expressions("slow", recipes=recipes)
    track = perform(steps, frames=101, fps=25, intensity=1.5, recipes=recipes).units[:, JAW]
    assert track[-1] == pytest.approx(0.75, abs=0.04)
    assert 0.3 < track[40] / 0.75 < 0.7


@pytest.mark.parametrize(
    "settings",
    [
        {"frames": 0},
        {"frames": 3, "shape": "zigzag"},
        {"frames": 3, "curve": "wobbly"},
        {"frames": 3, "life": "loud"},
        {"frames": 3, "intensity": 1.6},
        {"frames": 3, "intensity": float("nan")},
    ],
)
def test_senseless_requests_are_refused(settings):
    with pytest.raises(UsageError):
        units_of("smile", **settings)


def test_shapes_are_the_documented_ones():
    assert SHAPES == ("onset", "pulse", "loop", "idle") and ENVELOPES == ("natural", "linear", "ease", "snap")


def test_minimum_jerk_starts_and_ends_at_rest():
    run = np.linspace(0, 1, 101)
    progress = minimum_jerk(run)
    assert progress[0] == 0 and progress[-1] == 1 and progress[50] == pytest.approx(0.5)
    assert (np.diff(progress) > 0).all() and np.diff(progress)[[0, -1]].max() < 1e-3


def test_levels_run_from_the_photo_to_the_peak_in_equal_steps(smiling):
    target = unit_targets({"fear": 1.0})
    stills = morph_levels(target, own=smiling, levels=11).units
    np.testing.assert_array_equal(stills[0], smiling)
    np.testing.assert_array_equal(stills[-1], target)
    np.testing.assert_allclose(np.diff(stills, axis=0), np.repeat((target - smiling)[None] / 10, 10, axis=0), atol=1e-6)
    assert level_names("fear", 11)[:2] == ["fear-000", "fear-010"] and level_names("fear", 11)[-1] == "fear-100"
    assert level_names("smile0.5", 9)[1] == "smile0.5-012.5" and len(set(level_names("x", 301))) == 301
    with pytest.raises(UsageError):
        morph_levels(target, own=smiling, levels=1)
