"""What the data is taken for, and the pixels that come out of it."""

import numpy as np
import pytest
from PIL import Image

from facemotion.errors import InputError, UsageError
from facemotion.evaluation.alignment import RECOGNISER_POINTS, head_similarity, recogniser_face
from facemotion.evaluation.cases import CROP_PX, draw_cases, find_cases
from facemotion.evaluation.tracking import frame_tracker
from facemotion.expressions.grammar import EXPRESSIONS
from facemotion.faces.geometry import apply, fitted_similarity
from tests.evaluation.faces import face_picture, face_points, known_landmarks, write_clip_set

LOCATE = frame_tracker(known_landmarks).locate


def find(*paths, **options):
    return find_cases(paths, known=EXPRESSIONS, locate=LOCATE, **options)


def save(path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(face_picture(256, **options)).save(path)


def test_a_clip_set_gives_its_clips_with_real_frames_in_order(tmp_path):
    cases = find(write_clip_set(tmp_path / "set", frames=4))
    assert [(c.id, c.person, c.group, c.kind, c.split) for c in cases] == [
        ("p0-smile", "p0", "smile", "clips", "validation"),
        ("p0-blink", "p0", "blink", "clips", "validation"),
        ("p1-smile", "p1", "smile", "clips", "validation"),
        ("p1-blink", "p1", "blink", "clips", "validation"),
    ]
    pixels = cases[2].read()
    assert [round(control, 3) for control, _ in pixels.truth] == [0.333, 0.667, 1]
    assert pixels.source.shape == (128, 128, 3)
    assert np.abs(pixels.landmarks - face_points(128)).max() < 0.01
    assert pixels.photo is None


def test_photo_pairs_are_laid_on_each_other_by_the_head(tmp_path):
    save(tmp_path / "neutral/anna.png", seed=1)
    save(tmp_path / "smile/anna.png", seed=1, smile=1)
    save(tmp_path / "smile/nobody.png", seed=2)
    (case,) = find(tmp_path)
    assert (case.kind, case.group) == ("photo-pairs", "smile")
    pixels = case.read()
    ((control, peak),) = pixels.truth
    assert control == 1
    assert peak.shape == pixels.source.shape == (CROP_PX, CROP_PX, 3)
    face = np.s_[150:300, 150:350]
    assert np.abs(peak[face].astype(int) - pixels.source[face]).mean() < 2  # the same upper face in the same place
    assert pixels.photo.shape == (256, 256, 3)


def test_a_folder_of_photos_gives_every_expression_of_every_photo(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "deep/b.png")
    cases = find(tmp_path, expressions=("smile", "blink"))
    assert sorted({c.group for c in cases}) == ["blink", "smile"]
    assert len(cases) == 4
    pixels = cases[0].read()
    assert pixels.truth == ()
    assert pixels.photo_landmarks is not None
    assert len(find(tmp_path / "a.png")) == len(EXPRESSIONS)


def test_ckplus_sequences_become_cases_with_controls_from_their_order(tmp_path):
    for k in range(1, 5):
        save(tmp_path / f"cohn-kanade-images/S005/001/S005_001_{k:08d}.png", smile=(k - 1) / 3)
    label = tmp_path / "Emotion/S005/001/S005_001_00000004_emotion.txt"
    label.parent.mkdir(parents=True)
    label.write_text("   5.0000000e+00\n")
    (case,) = find(tmp_path)
    assert (case.kind, case.group, case.person) == ("ckplus", "smile", "ckplus-S005")
    assert [control for control, _ in case.read().truth] == pytest.approx([1 / 3, 2 / 3, 1])


def test_the_split_and_the_wanted_expressions_are_kept(tmp_path):
    path = write_clip_set(tmp_path / "set")
    assert [c.group for c in find(path, expressions=("blink",))] == ["blink", "blink"]
    with pytest.raises(InputError, match="None of 4 cases"):
        find(path, split="train")


def test_drawing_takes_expressions_in_turn_and_is_the_same_for_the_same_seed(tmp_path):
    cases = find(write_clip_set(tmp_path / "set", people=4, frames=2))
    drawn = draw_cases(cases, 4, seed=1)
    assert sorted(c.group for c in drawn) == ["blink", "blink", "smile", "smile"]
    assert drawn == draw_cases(cases, 4, seed=1)
    assert any(draw_cases(cases, 4, seed=s) != drawn for s in range(2, 6))
    assert draw_cases(cases, None, seed=1) == cases


def test_what_cannot_be_used_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file or folder"):
        find(tmp_path / "missing")
    with pytest.raises(UsageError, match="knows no wink"):
        find(tmp_path, expressions=("wink",))
    save(tmp_path / "faceless/a.png")
    case = find_cases([tmp_path / "faceless"], known=EXPRESSIONS, locate=lambda image: None)[0]
    with pytest.raises(InputError, match=r"a\.png: no face found"):
        case.read()


def test_similarity_recovers_a_known_transform():
    turn = np.radians(20)
    linear = 1.7 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = face_points()
    target = points @ linear.T + [5, -9]
    assert np.allclose(fitted_similarity(points, target), np.column_stack([linear, [5, -9]]))
    opened = target.copy()
    opened[48:68] += [0, 40]  # a mouth that opens must not move the head
    assert np.allclose(head_similarity(points, opened), np.column_stack([linear, [5, -9]]))


def test_recogniser_face_puts_eyes_and_mouth_where_recognisers_look():
    points = face_points()
    frame = np.zeros((512, 512, 3), np.uint8)
    eye = points[36:42].mean(0).astype(int)
    frame[eye[1] - 6 : eye[1] + 7, eye[0] - 6 : eye[0] + 7] = 255
    face = recogniser_face(frame, points)
    assert face.shape == (112, 112, 3)
    rows, columns = np.nonzero(face[..., 0] > 100)
    corners = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    expected = apply(fitted_similarity(corners, RECOGNISER_POINTS), points[36:42].mean(0))
    assert np.abs([columns.mean(), rows.mean()] - expected).max() < 1
    assert np.abs(expected - RECOGNISER_POINTS[0]).max() < 8
