"""Maps from scores to strengths: fitted to known distortions, kept monotone, written and read."""

import json

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.expressions.units import MIRROR, UNIT_INDEX, UNIT_NAMES, words_for
from facemotion.faces.landmarker import calibration
from facemotion.faces.landmarker.calibration import (
    IDENTITY,
    Calibration,
    UnitMap,
    cross_talk,
    fit_calibration,
    quality_table,
    shipped_calibration,
)

SMILE, LIP, JAW, PUFF = (UNIT_INDEX[name] for name in ("mouthSmileLeft", "mouthUpperUpLeft", "jawOpen", "cheekPuff"))


@pytest.fixture(scope="module")
def measured():
    """600 pictures of 12 people: smiles saturate, the upper lip leaks into them, jaws are exact, puffs unseen."""
    rng = np.random.default_rng(0)
    strengths = np.zeros((600, 52))
    for unit in (SMILE, MIRROR[SMILE], LIP, MIRROR[LIP], JAW, PUFF):
        shows = rng.random(600) < 0.5
        strengths[shows, unit] = rng.random(np.count_nonzero(shows))
    scores = np.zeros((600, 52))
    for smile, lip in ((SMILE, LIP), (MIRROR[SMILE], MIRROR[LIP])):
        scores[:, smile] = np.clip(1 - np.exp(-4 * np.maximum(strengths[:, smile] - 0.1, 0)), 0, 1)
        scores[:, smile] = np.clip(scores[:, smile] + 0.2 * strengths[:, lip] + rng.normal(0, 0.02, 600), 0, 1)
        scores[:, lip] = np.clip(strengths[:, lip] + rng.normal(0, 0.05, 600), 0, 1)
    scores[:, JAW] = strengths[:, JAW]
    scores[:, PUFF] = rng.random(600) * 0.1
    return scores, strengths, np.repeat(np.arange(12), 50)


def test_fitted_maps_bring_scores_near_to_the_strengths(measured):
    scores, strengths, people = measured
    fitted = fit_calibration(scores, strengths, people).strengths(scores)
    assert fitted.shape == (600, 52) and fitted.dtype == np.float32
    shows = strengths[:, SMILE] > 0.1
    before, after = (np.abs(values - strengths)[shows, SMILE].mean() for values in (scores, fitted))
    assert after < 0.6 * before
    assert np.abs(fitted - strengths)[:, JAW].mean() < 0.02
    assert fitted[:, SMILE].max() <= 1


def test_a_score_that_says_nothing_becomes_nothing():
    rng = np.random.default_rng(3)
    strengths, scores = np.zeros((600, 52)), np.zeros((600, 52))
    strengths[:300, JAW], scores[:, JAW] = 0.4, rng.uniform(0.3, 0.5, 600)
    unit = fit_calibration(scores, strengths, np.repeat(np.arange(12), 50)).maps[JAW]
    assert unit != IDENTITY and max(unit.strengths) < 0.2, "a face at rest that scores 0.4 is at rest"


def test_faces_at_rest_read_zero(measured):
    """Squints score 0.4 on everybody."""
    scores, strengths, people = (values.copy() for values in measured)
    scores[:, JAW] = 0.4 + 0.5 * strengths[:, JAW]
    fit = fit_calibration(scores, strengths, people)
    at_rest = np.full(52, 0.4, np.float32)
    assert fit.strengths(at_rest)[JAW] < 0.01
    assert fit.strengths(at_rest + 0.25)[JAW] == pytest.approx(0.5, abs=0.1)


def test_a_map_that_would_do_harm_is_left_out():
    """Scores that are right already."""
    rng = np.random.default_rng(4)
    strengths = np.zeros((600, 52))
    shows = rng.random(600) < 0.5
    strengths[shows, JAW] = rng.random(np.count_nonzero(shows))
    exact = fit_calibration(strengths, strengths, np.repeat(np.arange(12), 50))
    assert exact.maps[JAW] == IDENTITY


def test_a_face_in_the_mirror_reads_the_same(measured):
    fit = fit_calibration(*measured)
    scores = np.random.default_rng(5).random(52)
    np.testing.assert_array_equal(fit.strengths(scores[list(MIRROR)]), fit.strengths(scores)[list(MIRROR)])


def test_maps_never_fall_and_have_few_knots(measured):
    fit = fit_calibration(*measured)
    for unit in fit.maps:
        assert np.all(np.diff(unit.strengths) >= 0) and len(unit.scores) <= calibration.MOST_KNOTS
        assert unit.strengths[0] >= 0 and unit.strengths[-1] <= 1
    assert fit.maps[UNIT_INDEX["noseSneerLeft"]] == IDENTITY, "no picture shows it"


def test_a_noisy_unit_is_still_monotone():
    rng = np.random.default_rng(1)
    strengths = np.zeros((200, 52))
    strengths[:, JAW] = rng.random(200)
    scores = rng.random((200, 52))
    fit = fit_calibration(scores, strengths, np.repeat(np.arange(10), 20))
    assert np.all(np.diff(fit.maps[JAW].strengths) >= 0)


def test_cross_talk_finds_the_leak(measured):
    scores, strengths, _ = measured
    leaks = cross_talk(scores, strengths)
    assert leaks[JAW, JAW] == pytest.approx(1, abs=0.01)
    assert 0.1 < leaks[LIP, SMILE] < 0.25 and abs(leaks[JAW, SMILE]) < 0.03
    assert not leaks[UNIT_INDEX["noseSneerLeft"]].any()


def test_the_table_says_what_is_seen_and_what_leaks(measured):
    scores, strengths, _ = measured
    table = quality_table(scores, scores, strengths)
    rows = {line.split(" | ")[0].strip("| "): line for line in table.splitlines()[2:]}
    assert list(rows) == list(words_for(UNIT_NAMES))
    assert rows["jawOpen"].endswith("| yes |") and rows["cheekPuff"].endswith("| no |")
    assert "mouthUpperUp +0." in rows["mouthSmile"]
    assert rows["noseSneer"].endswith("not in the pictures |")


def test_two_units_that_always_show_together_do_not_leak():
    strengths = np.zeros((100, 52))
    strengths[:, [JAW, PUFF]] = np.linspace(0, 1, 100)[:, None]
    leaks = cross_talk(strengths, strengths)
    assert leaks[JAW, JAW] == pytest.approx(1) and leaks[JAW, PUFF] == 0


def test_people_are_held_out():
    """Two people whose scores mean opposite things: maps of the one are wrong for the other."""
    rng = np.random.default_rng(2)
    strengths = np.zeros((400, 52))
    strengths[:, JAW] = rng.random(400)
    scores, people = strengths.copy(), np.repeat([0, 1], 200)
    scores[:200, JAW] = strengths[:200, JAW] ** 4
    held_out = calibration.held_out_strengths(scores, strengths, people)
    seen = fit_calibration(scores, strengths, people).strengths(scores)
    assert np.abs(held_out - strengths)[:, JAW].mean() > np.abs(seen - strengths)[:, JAW].mean() + 0.05


def test_written_maps_are_read_back(measured, tmp_path):
    fit = fit_calibration(*measured)
    fit.write(tmp_path / "maps.json", note="a test")
    back = Calibration.read(tmp_path / "maps.json")
    scores = measured[0]
    assert np.abs(back.strengths(scores) - fit.strengths(scores)).max() < 0.001
    assert "noseSneerLeft" not in json.loads((tmp_path / "maps.json").read_text())["units"]


def test_the_command_writes_maps_and_table(measured, tmp_path):
    np.savez(tmp_path / "m.npz", **dict(zip(("scores", "strengths", "people"), measured, strict=True)))
    calibration.main([str(tmp_path / "m.npz"), str(tmp_path / "o.json"), "--table", str(tmp_path / "t.md")])
    assert Calibration.read(tmp_path / "o.json").maps[SMILE] != IDENTITY
    assert "600 pictures of 12 people" in (tmp_path / "o.json").read_text()
    assert (tmp_path / "t.md").read_text().startswith("| unit |")


def test_units_that_are_left_out_keep_their_scores(measured, tmp_path):
    np.savez(tmp_path / "m.npz", **dict(zip(("scores", "strengths", "people"), measured, strict=True)))
    calibration.main([str(tmp_path / "m.npz"), str(tmp_path / "o.json"), "--leave-out", "mouthSmile"])
    fit = Calibration.read(tmp_path / "o.json")
    assert fit.maps[SMILE] == IDENTITY and fit.maps[MIRROR[SMILE]] == IDENTITY


def test_the_table_is_measured_on_other_people(measured, tmp_path):
    names = ("scores", "strengths", "people")
    np.savez(tmp_path / "m.npz", **dict(zip(names, measured, strict=True)))
    np.savez(tmp_path / "others.npz", **{name: values[:60] for name, values in zip(names, measured, strict=True)})
    words = [str(tmp_path / name) for name in ("m.npz", "o.json", "others.npz", "t.md")]
    calibration.main([*words[:2], "--held-out", words[2], "--table", words[3]])
    shown = Calibration.read(tmp_path / "o.json").strengths(measured[0][:60])
    assert (tmp_path / "t.md").read_text() == quality_table(measured[0][:60], shown, measured[1][:60])


def test_the_calibration_of_the_package_is_sound():
    maps = shipped_calibration()
    assert len(maps.maps) == 52
    strengths = maps.strengths(np.linspace(0, 1, 101)[:, None] * np.ones(52))
    assert strengths.min() == 0 and strengths.max() <= 1 and np.diff(strengths, axis=0).min() >= 0
    np.testing.assert_array_equal(strengths, strengths[:, list(MIRROR)])


def test_the_package_reads_closed_lids_as_closed_and_eyes_at_rest_as_open():
    """Scores of lids are 0.5 on rendered closed ones and 0.1 at rest; squints are 0.3 on everybody at rest."""
    blink, squint = UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeSquintLeft"]
    for score, low, high in ((0.5, 0.6, 0.9), (0.1, 0, 0.02)):
        assert low <= shipped_calibration().strengths(np.full(52, score))[blink] <= high
    assert shipped_calibration().strengths(np.full(52, 0.3))[squint] < 0.05


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "no json",
        '{"units": {"smirk": {"scores": [0, 1], "strengths": [0, 1]}}}',
        '{"units": {"jawOpen": {"scores": [0, 1], "strengths": [1, 0]}}}',
        '{"units": {"jawOpen": {"scores": [0, 0.5], "strengths": [0, 1]}}}',
        '{"units": {"jawOpen": {"scores": [0, 1]}}}',
    ],
)
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "maps.json").write_text(text)
    with pytest.raises(InputError, match=r"maps\.json"):
        Calibration.read(tmp_path / "maps.json")


def test_knots_are_checked():
    with pytest.raises(ValueError, match="knots"):
        UnitMap((0.0,), (0.0,))


@pytest.mark.parametrize("arrays", [{"scores": np.zeros((3, 52))}, {"scores": np.zeros((3, 9))}])
def test_measured_arrays_are_checked(tmp_path, arrays):
    np.savez(tmp_path / "m.npz", **({"strengths": np.zeros((3, 9)), "people": np.zeros(3)} | arrays))
    with pytest.raises(InputError, match=r"m\.npz"):
        calibration.read_measured(tmp_path / "m.npz")
