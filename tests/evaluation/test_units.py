"""Units asked against units read: the numbers by hand, and a real run on a photo that everybody may use."""

import json
import math
from functools import partial

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.errors import InputError, MissingFileError
from facemotion.evaluation import landmark_units, unit_readings, units
from facemotion.evaluation.regions import laid_on
from facemotion.evaluation.unit_readings import INSTRUMENTS, TRACK_FRAMES, TRACK_MOST, TRACK_UNITS, random_track
from facemotion.evaluation.unit_scores import (
    LEVELS,
    WORDS,
    Excess,
    Instrument,
    correlation,
    excess,
    indices,
    target,
    unit_score,
)
from facemotion.evaluation.units import (
    ANGLES_DEG,
    BackgroundScore,
    Neutralised,
    Similarity,
    UnitsReport,
    changed_share,
    face_similarities,
    find_subjects,
    head_score,
)
from facemotion.evaluation.units_report import summary_lines, units_report_text, write_units_report
from facemotion.expressions.units import UNIT_INDEX
from facemotion.faces.ibug68 import FROM_FACE_MESH
from tests.conftest import draw_photo, face_at, measured_as


def changes(word: str, gains: list[float]) -> np.ndarray:
    """(people, levels, 52) readings of one unit that are exactly ``gain`` times what was asked."""
    read = np.zeros((len(gains), len(LEVELS), 52))
    read[:, :, indices(word)] = (np.array(gains)[:, None] * np.array(LEVELS))[..., None]
    return read


def test_a_unit_read_exactly_as_asked():
    score = unit_score("mouthSmile", changes("mouthSmile", [1, 1]))
    assert score.gain == pytest.approx(1)
    assert score.read == pytest.approx((0.4, 0.8))
    assert score.correlation == pytest.approx(1)
    assert (score.cross_talk, score.monotone, score.people) == (0, 1, 2)


def test_gain_is_a_slope_and_people_who_differ_lower_the_correlation():
    score = unit_score("jawOpen", changes("jawOpen", [0.5, 1.5]))
    assert score.gain == pytest.approx(1)
    assert score.correlation == pytest.approx(0.8 / math.sqrt(0.8 * 1.4))


def test_other_units_are_cross_talk_and_both_sides_of_the_word_are_not():
    read = changes("mouthSmile", [1, 1])
    read[:, LEVELS.index(0.8), UNIT_INDEX["cheekPuff"]] = -0.5
    score = unit_score("mouthSmile", read)
    assert score.cross_talk == pytest.approx(0.5 / 50 / 2)
    assert score.other == "cheekPuff"
    assert score.other_change == pytest.approx(0.5)


def test_what_an_instrument_leaks_itself_is_no_excess_of_frames():
    strongest = LEVELS.index(0.8)
    frames, alone = (changes("mouthSmile", [1, 1]) for _ in range(2))
    pucker, frown = UNIT_INDEX["mouthPucker"], UNIT_INDEX["mouthFrownLeft"]
    alone[:, strongest, pucker], frames[:, strongest, pucker] = 0.4, 0.3
    assert excess("mouthSmile", frames, alone).change == 0
    frames[:, strongest, frown], alone[:, strongest, frown] = -0.2, 0.1
    assert excess("mouthSmile", frames, alone) == Excess("mouthFrownLeft", pytest.approx(-0.2))
    frames[:, strongest, pucker] = 0.7
    assert excess("mouthSmile", frames, alone) == Excess("mouthPucker", pytest.approx(0.3))
    frames[0] = math.nan
    assert excess("mouthSmile", frames, alone).change == pytest.approx(0.3)


def test_monotone_counts_people_whose_reading_never_falls_beyond_the_eyes_noise():
    read = changes("jawOpen", [1, 1, 1, 1])
    jaw = UNIT_INDEX["jawOpen"]
    read[0, 3, jaw] = read[0, 2, jaw] - 0.005
    read[1, 3, jaw] = read[1, 2, jaw] - 0.05
    read[2, 0, jaw] = -0.05
    assert unit_score("jawOpen", read).monotone == 0.5


def test_frames_that_were_not_read_are_left_out_not_counted_as_zero():
    read = changes("jawOpen", [1, 1])
    read[1] = math.nan
    score = unit_score("jawOpen", read)
    assert (score.people, score.gain, score.monotone) == (1, pytest.approx(1), 1)
    nothing = unit_score("jawOpen", np.full((1, len(LEVELS), 52), math.nan))
    assert nothing.people == 0
    assert all(map(math.isnan, (nothing.gain, nothing.correlation, nothing.cross_talk, nothing.monotone)))


def test_correlation():
    assert correlation(np.array([1.0, 2, 3]), np.array([2.0, 4, 6])) == pytest.approx(1)
    assert correlation(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    assert correlation(np.array([1.0, 2, 9]), np.array([1.0, 2, math.nan])) == pytest.approx(1)
    assert math.isnan(correlation(np.array([1.0, 2, 3]), np.ones(3)))
    assert math.isnan(correlation(np.array([1.0]), np.array([math.nan])))


def test_head_errors_are_in_degrees_about_the_axis_that_was_asked():
    turns = np.zeros((2, len(ANGLES_DEG), 3))
    turns[:, :, 1] = np.array(ANGLES_DEG) / 2
    turns[:, :, 0] = 0.5
    score = head_score("pitch", turns)
    assert (score.gain, score.mean_error, score.largest_error) == (0.5, 2.25, 3)
    assert (score.other_axes, score.people) == (0.25, 2)
    turns[0, 1] = math.nan
    assert head_score("pitch", turns).people == 1
    assert math.isnan(head_score("pitch", turns * math.nan).mean_error)


def test_background_starts_a_quarter_of_the_eyes_distance_beyond_the_outline():
    face = face_at((100, 110))
    points = measured_as(face).points[:, :2].astype(float)
    photo = draw_photo([face])
    share = partial(changed_share, photo=photo, outlines=[points, face.landmarks])
    assert share(photo) == 0
    left = math.floor(points[:, 0].min())
    row = round(float(points[points[:, 0].argmin(), 1]))
    eyes = points[list(FROM_FACE_MESH)]
    margin = 0.25 * np.linalg.norm(eyes[42:48].mean(0) - eyes[36:42].mean(0))
    near, far, faint = photo.copy(), photo.copy(), photo.copy()
    near[row, left - round(margin - 3)] += 40
    far[row, left - round(margin + 3)] += 40
    faint[0, 0] += 2
    assert share(near) == 0
    assert share(faint) == 0
    assert 0 < share(far) < 1e-4
    assert share(photo + np.uint8(3)) == 1


def test_the_same_face_elsewhere_in_the_picture_is_fully_similar():
    face = face_at((100, 110))
    points = measured_as(face).points[:, :2].astype(float)
    photo = draw_photo([face])
    moved = np.roll(photo, (8, 10), (0, 1))
    same, other = face_similarities([photo, 255 - photo], points, moved, points + np.array([10, 8]))
    assert min(same.face, same.mouth, same.forehead) > 0.97
    assert other.face < 0.5


def test_a_head_is_laid_on_another_one_by_what_no_expression_moves():
    points = measured_as(face_at((100, 110))).points[:, :2].astype(float)
    photo = draw_photo([face_at((100, 110))])
    turned = points @ np.diag([0.9, 1.0]) + (12, 3)
    turned[list(FROM_FACE_MESH)[48:]] += (0, 9)  # a mouth that opens does not count
    laid = laid_on(photo, points, turned, 256)
    straight = cv2.warpAffine(photo, np.array([[0.9, 0, 12], [0, 1, 3]]), (256, 256), borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(laid.astype(int) - straight)[60:200, 60:200].mean() < 3


def test_targets_set_both_sides_and_nothing_else():
    units_asked = target(mouthSmile=0.5, jawOpen=0.25)
    assert units_asked[UNIT_INDEX["mouthSmileLeft"]] == units_asked[UNIT_INDEX["mouthSmileRight"]] == 0.5
    assert units_asked.sum() == 1.25
    assert not target().any()


def test_tracks_are_smooth_within_bounds_and_drawn_by_their_seed():
    words, asked = random_track([0, 1])
    assert len(set(words)) == TRACK_UNITS
    assert set(words) <= set(WORDS)
    assert asked.shape == (TRACK_FRAMES, TRACK_UNITS)
    assert asked.min() >= 0
    assert asked.max() <= TRACK_MOST
    assert np.abs(np.diff(asked, axis=0)).max() < 0.3 * TRACK_MOST
    assert np.array_equal(random_track([0, 1])[1], asked)
    assert not np.array_equal(random_track([0, 2])[1], asked)


@pytest.fixture
def folder(tmp_path):
    """A folder of one photo: NASA's portrait of Eileen Collins, cut to the face."""
    from PIL import Image
    from skimage.data import astronaut

    (tmp_path / "people").mkdir()
    Image.fromarray(astronaut()[:320, 60:380]).save(tmp_path / "people" / "astronaut.png")
    return tmp_path / "people"


def pair_folder(folder, names):
    """Folders neutral and smile with a photo of everybody."""
    photo = (folder / "astronaut.png").read_bytes()
    for kind in ("neutral", "smile"):
        (folder / kind).mkdir()
        for name in names:
            (folder / kind / f"{name}.png").write_bytes(photo)
    (folder / "astronaut.png").unlink()


def test_who_is_measured(folder, monkeypatch):
    (alone,) = find_subjects([folder / "astronaut.png"], seed=0)
    assert (alone.name, alone.smile) == ("astronaut", None)
    single = folder.parent / "single"
    single.mkdir()
    (single / "a.png").write_bytes((folder / "astronaut.png").read_bytes())
    pair_folder(folder, ["p1", "p2", "p3"])
    subjects = find_subjects([folder, single], seed=0)
    assert [subject.smile is not None for subject in subjects] == [True, False, True, True]
    assert find_subjects([folder, single], seed=0) == subjects
    assert {subject.smile.parent.name for subject in subjects if subject.smile} == {"smile"}
    monkeypatch.setattr(units, "KNOWN_SETS", ("people", "single"))
    with pytest.raises(InputError, match="No validation people"):
        find_subjects([folder, single], seed=0)
    with pytest.raises(MissingFileError):
        find_subjects([folder / "none"], seed=0)


def run(*words):
    return CliRunner().invoke(app, ["evaluate", "units", *map(str, words)])


def test_a_report_of_a_real_face(folder, monkeypatch):
    monkeypatch.setattr(unit_readings, "WORDS", ("jawOpen", "mouthSmile"))
    monkeypatch.setattr(unit_readings, "TRACK_UNITS", 2)
    monkeypatch.setattr(unit_readings, "TRACK_FRAMES", 4)
    monkeypatch.setattr(landmark_units, "ENCODINGS", 2)
    pair_folder(folder, ["eileen"])
    out = folder.parent / "r"
    result = run(folder, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"out": str(out), "people": 1, "neutralised": 1}
    report = json.loads((out / "report.json").read_text())
    for name in INSTRUMENTS:
        jaw, smile = report["instruments"][name]["units"]
        assert jaw["word"] == "jawOpen"
        assert jaw["gain"] > 0.3
        assert smile["monotone"] == 1
    (neutralised,) = report["neutralised"]
    assert neutralised["smile_after"] < 0.5 * neutralised["smile_before"]
    assert neutralised["before"]["face"] > 0.97 > neutralised["after"]["face"]
    assert {axis["axis"] for axis in report["head"]} == {"yaw", "pitch", "roll"}
    assert "smile" in {each["expression"] for each in report["background"]}
    assert report["frames"] == 1 + 2 * len(LEVELS) + 4 + 3 * len(ANGLES_DEG) + 1
    again = run(folder, "--out", out)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_who_cannot_be_animated_is_named(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), "grey").save(tmp_path / "wall.png")
    result = run(tmp_path / "wall.png", "--out", tmp_path / "r")
    assert result.exit_code == 1
    assert "wall" in result.stderr
    assert not (tmp_path / "r").exists()
    assert run(tmp_path / "wall.png", "--out", tmp_path / "r", "--people", 0).exit_code == 2


def made_up_report() -> UnitsReport:
    good = unit_score("jawOpen", changes("jawOpen", [1, 1]))
    bad = unit_score("cheekPuff", np.zeros((2, len(LEVELS), 52)))
    return UnitsReport(
        people=("a", "b"),
        instruments=dict.fromkeys(
            INSTRUMENTS,
            Instrument(
                (good, bad),
                (good, bad),
                (Excess("mouthPucker", 0.25), Excess("jawOpen", 0.0)),
                (0.01, 0.01),
                {"jawOpen": (0.9, 2)},
            ),
        ),
        neutralised=(Neutralised("a", 0.8, 0.1, 0.0, Similarity(0.7, 0.4, 0.8), Similarity(0.9, 0.6, 0.8)),),
        head=(head_score("yaw", np.zeros((1, len(ANGLES_DEG), 3))),),
        background=(BackgroundScore("smile", 0.001, 0.002),),
        frames=20,
        unread=1,
        left_out=(("c", "No face."),),
        seed=0,
    )


def test_the_summary_has_ten_lines_and_unmeasured_numbers_are_dashes(tmp_path):
    report = made_up_report()
    lines = summary_lines(report)
    assert len(lines) == 10
    read = "1 of 2, 1 of the 1 it can see"
    assert lines[1] == (
        f"Read as asked (correlation 0.85 or more): {', '.join(f'{name} {read}' for name in INSTRUMENTS)}."
    )
    assert "network 0 (0 where landmarks alone are moved, 1 beyond that)" in lines[3]
    assert "0.80 → 0.10; the real neutral photo has 0.00" in lines[5]
    assert "0.700 → 0.900, mouth 0.400 → 0.600; forehead 0.800." in lines[6]
    assert "most under smile, 0.10 % changed; 1 of 20 frames" in lines[9]
    text = units_report_text(report)
    rows = [line for line in text.splitlines() if line.startswith(("| jawOpen", "| cheekPuff"))]
    assert rows[0].startswith("| jawOpen | network and landmarks | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |")
    assert "| jawOpen | mouthPucker +0.25 |" in text
    assert rows[1].startswith("| cheekPuff | neither | – |")
    assert "- c: No face." in text
    write_units_report(report, tmp_path)
    assert (
        json.loads((tmp_path / "report.json").read_text())["instruments"]["network"]["units"][1]["correlation"] is None
    )


def test_a_report_without_pairs_or_people_still_has_ten_lines():
    empty = UnitsReport((), {}, (), (), (), 0, 0, (), 0)
    assert len(summary_lines(empty)) == 10
    assert "nan" not in units_report_text(empty)
