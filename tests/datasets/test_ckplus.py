"""CK+ in its distributed layout, made up, with everything that can be wrong with it."""

import numpy as np
import pytest

from facemotion.datasets.ckplus import find_ckplus
from facemotion.datasets.sequence_clips import SequenceImporter
from facemotion.errors import InputError
from tests.datasets import made_up

LABELS = {1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "smile", 6: "sadness", 7: "surprise"}


def add_sequence(root, subject, number, *, frames=5, label=None, landmarks=False, inner=("", "", "")):
    """One sequence; ``inner`` are the folders that the three downloads unpack to."""
    images, labels, points = (root / place for place in inner)
    stem = f"{subject}_{number}_"
    for k in range(1, frames + 1):
        opening = (k - 1) / max(1, frames - 1)
        grey = made_up.frame(opening).mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)
        made_up.write_image(images / f"cohn-kanade-images/{subject}/{number}/{stem}{k:08d}.png", grey)
        if landmarks:
            text = points / f"Landmarks/{subject}/{number}/{stem}{k:08d}_landmarks.txt"
            made_up.write_landmarks(text, made_up.landmarks(opening))
    if label is not None:
        folder = labels / f"Emotion/{subject}/{number}"
        folder.mkdir(parents=True)
        (folder / f"{stem}{frames:08d}_emotion.txt").write_text(f"   {label:.7e}\n")


def test_every_label_and_the_sequences_without_one(tmp_path):
    for label in range(8):
        add_sequence(tmp_path, f"S{label:03d}", "001", frames=2, label=label)
    add_sequence(tmp_path, "S009", "002", frames=2)
    items = find_ckplus(tmp_path)
    assert {item.person: item.expression for item in items if item.expression} == {
        f"ckplus-S{label:03d}": expression for label, expression in LABELS.items()
    }
    assert {item.key: item.problem for item in items if item.problem} == {
        "cohn-kanade-images/S000/001": "labelled neutral",
        "cohn-kanade-images/S009/002": "no emotion label",
    }


def test_a_sequence_becomes_a_clip_from_the_sets_own_landmarks(tmp_path):
    add_sequence(tmp_path, "S005", "001", frames=9, label=7, landmarks=True)
    (item,) = find_ckplus(tmp_path)

    def nothing(image):
        raise AssertionError("the finder is not needed")

    importer = SequenceImporter(origin="ckplus", find_faces=nothing, frames=5, crop_px=64)
    (clip,) = importer.clips(item, base_id="ckplus-S005", seed=0)
    assert (clip.origin, clip.person, clip.id) == ("ckplus", "ckplus-S005", "ckplus-S005-00-surprise")
    np.testing.assert_allclose(clip.control, [0, 0.25, 0.5, 0.75, 1])
    assert clip.expression == {"surprise": 1.0}
    assert clip.frame(0).shape == (64, 64, 3)


def test_without_landmarks_the_finder_is_asked(tmp_path):
    add_sequence(tmp_path, "S005", "001", label=5)
    importer = SequenceImporter(origin="ckplus", find_faces=made_up.find_faces, crop_px=64, control="landmarks")
    (clip,) = importer.clips(find_ckplus(tmp_path)[0], base_id="a", seed=0)
    np.testing.assert_allclose(clip.control, np.linspace(0, 1, 5), atol=0.03)


def test_the_folders_that_the_downloads_unpack_to(tmp_path):
    inner = ("extended-cohn-kanade-images", "Emotion_labels", "Landmarks")
    add_sequence(tmp_path, "S010", "001", frames=2, label=1, landmarks=True, inner=inner)
    (item,) = find_ckplus(tmp_path)
    assert item.expression == "anger" and len(item.landmark_texts) == 2


def test_files_of_the_finder_of_macos_are_passed_over(tmp_path):
    add_sequence(tmp_path, "S010", "001", frames=2, label=1)
    images = tmp_path / "cohn-kanade-images"
    for place in (images, images / "S010", images / "S010" / "001"):
        (place / ".DS_Store").write_bytes(b"x")
    (images / "S010" / "001" / "._S010_001_00000001.png").write_bytes(b"x")
    (item,) = find_ckplus(tmp_path)
    assert len(item.frames) == 2 and not item.problem


@pytest.mark.parametrize(
    ("text", "problem"), [("9.0", "label 9 is not one of 0 to 7"), ("happy", "unreadable label"), ("2.5", "label 2.5")]
)
def test_strange_labels(tmp_path, text, problem):
    add_sequence(tmp_path, "S005", "001", frames=2, label=5)
    next(tmp_path.glob("Emotion/S005/001/*.txt")).write_text(text)
    assert problem in find_ckplus(tmp_path)[0].problem


def test_a_lonely_frame_and_a_broken_landmark_file(tmp_path):
    add_sequence(tmp_path, "S005", "001", frames=1, label=5)
    add_sequence(tmp_path, "S006", "001", frames=3, label=5, landmarks=True)
    broken = tmp_path / "Landmarks/S006/001/S006_001_00000002_landmarks.txt"
    broken.write_text("1 2\n3 4\n")
    lonely, damaged = find_ckplus(tmp_path)
    assert lonely.problem == "1 frames, at least 2 expected"
    with pytest.raises(InputError, match="not 68 lines"):
        list(SequenceImporter(origin="ckplus", crop_px=64).clips(damaged, base_id="x", seed=0))


def test_no_ckplus_at_all(tmp_path):
    with pytest.raises(InputError, match="no folder cohn-kanade-images"):
        find_ckplus(tmp_path)
    add_sequence(tmp_path, "S005", "001", frames=2)
    with pytest.raises(InputError, match="no folder Emotion"):
        find_ckplus(tmp_path)
