"""Maps from scores to strengths: fitted to known distortions, kept monotone, written and read."""

import json

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES
from facemotion.faces.landmarker import calibration
from facemotion.faces.landmarker.calibration import (
    IDENTITY,
    Calibration,
    UnitMap,
    cross_talk,
    cross_talk_table,
    fit_calibration,
    shipped_calibration,
)

SMILE, LIP, JAW, PUFF = (UNIT_INDEX[name] for name in ("mouthSmileLeft", "mouthUpperUpLeft", "jawOpen", "cheekPuff"))


@pytest.fixture(scope="module")
def measured():
    """600 pictures of 12 people: smiles saturate, the upper lip leaks into them, jaws are exact, puffs unseen."""
    rng = np.random.default_rng(0)
    strengths = np.zeros((600, 52))
    for unit in (SMILE, LIP, JAW, PUFF):
        shows = rng.random(600) < 0.5
        strengths[shows, unit] = rng.random(np.count_nonzero(shows))
    scores = np.zeros((600, 52))
    scores[:, SMILE] = np.clip(1 - np.exp(-4 * np.maximum(strengths[:, SMILE] - 0.1, 0)), 0, 1)
    scores[:, SMILE] = np.clip(scores[:, SMILE] + 0.2 * strengths[:, LIP] + rng.normal(0, 0.02, 600), 0, 1)
    scores[:, LIP] = np.clip(strengths[:, LIP] + rng.normal(0, 0.05, 600), 0, 1)
    scores[:, JAW] = strengths[:, JAW]
    scores[:, PUFF] = rng.random(600) * 0.1
    return scores, strengths, np.repeat(np.arange(12), 50)


def test_fitted_maps_bring_scores_near_to_the_strengths(measured):
    scores, strengths, _ = measured
    fitted = fit_calibration(scores, strengths).strengths(scores)
    assert fitted.shape == (600, 52) and fitted.dtype == np.float32
    shows = strengths[:, SMILE] > 0.1
    before, after = (np.abs(values - strengths)[shows, SMILE].mean() for values in (scores, fitted))
    assert after < 0.6 * before
    assert np.abs(fitted - strengths)[:, JAW].mean() < 0.02
    assert fitted[:, PUFF].std() < 0.1, "a score that says nothing becomes the mean"


def test_maps_never_fall_and_have_few_knots(measured):
    fit = fit_calibration(*measured[:2])
    for unit in fit.maps:
        assert np.all(np.diff(unit.strengths) >= 0) and len(unit.scores) <= calibration.MOST_KNOTS
        assert unit.strengths[0] >= 0 and unit.strengths[-1] <= 1
    assert fit.maps[UNIT_INDEX["noseSneerLeft"]] == IDENTITY, "no picture shows it"


def test_a_noisy_unit_is_still_monotone():
    rng = np.random.default_rng(1)
    strengths = np.zeros((200, 52))
    strengths[:, JAW] = rng.random(200)
    scores = rng.random((200, 52))
    assert np.all(np.diff(fit_calibration(scores, strengths).maps[JAW].strengths) >= 0)


def test_cross_talk_finds_the_leak(measured):
    scores, strengths, _ = measured
    leaks = cross_talk(scores, strengths)
    assert leaks[JAW, JAW] == pytest.approx(1, abs=0.01)
    assert 0.1 < leaks[LIP, SMILE] < 0.25 and abs(leaks[JAW, SMILE]) < 0.03
    assert not leaks[UNIT_INDEX["noseSneerLeft"]].any()


def test_the_table_says_what_is_seen_and_what_leaks(measured):
    rows = {line.split(" | ")[0].strip("| "): line for line in cross_talk_table(*measured).splitlines()[2:]}
    assert list(rows) == list(UNIT_NAMES)
    assert rows["jawOpen"].endswith("| yes |") and rows["cheekPuff"].endswith("| no |")
    assert "mouthUpperUpLeft +0." in rows["mouthSmileLeft"]
    assert rows["noseSneerLeft"].endswith("not in the pictures |")


def test_people_are_held_out():
    """Two people whose scores mean opposite things: maps of the one are wrong for the other."""
    rng = np.random.default_rng(2)
    strengths = np.zeros((400, 52))
    strengths[:, JAW] = rng.random(400)
    scores, people = strengths.copy(), np.repeat([0, 1], 200)
    scores[:200, JAW] = strengths[:200, JAW] ** 4
    held_out = calibration.held_out_strengths(scores, strengths, people)
    seen = fit_calibration(scores, strengths).strengths(scores)
    assert np.abs(held_out - strengths)[:, JAW].mean() > np.abs(seen - strengths)[:, JAW].mean() + 0.05


def test_written_maps_are_read_back(measured, tmp_path):
    fit = fit_calibration(*measured[:2])
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


def test_the_calibration_of_the_package_is_sound():
    maps = shipped_calibration()
    assert len(maps.maps) == 52
    assert np.isfinite(maps.strengths(np.linspace(0, 1, 52))).all()


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
