"""Where photos lie: the data folder's layout, the authors' layouts, anybody's folders; splits and landmark files."""

from pathlib import Path

import numpy as np
import pytest

from facemotion.datasets.clip_writer import Source
from facemotion.datasets.landmark_files import LandmarkFile, find_landmark_file, read_landmark_text
from facemotion.datasets.layouts import CANADA, LONDON, PORTRAITS, find_pairs, find_portraits
from facemotion.datasets.splits import Splits, built_in_validation, read_validation
from facemotion.errors import InputError
from facemotion.faces.ibug68 import FROM_FACE_MESH

OWN = Source("own", "CC0-1.0")


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_pairs_of_the_data_folder(tmp_path):
    root = touch(tmp_path / "data", "landmarks.npz", "london/neutral/001.jpg", "london/smile/001.jpg")
    for folder in (root, root / "london"):
        (pair,) = find_pairs([folder], own_source=OWN)
        assert (pair.person, pair.expression, pair.source) == ("london-001", "smile", LONDON)
        assert pair.neutral.name == pair.peak.name == "001.jpg" and pair.peak.parent.name == "smile"


def test_pairs_of_the_london_set_as_published(tmp_path):
    root = touch(
        tmp_path / "faces",
        "neutral_front/001_03.jpg",
        "neutral_front/001_03.tem",
        "neutral_front/002_03.jpg",
        "smiling_front/001_08.jpg",
        "smiling_front/003_08.jpg",
    )
    first, second, third = find_pairs([root], own_source=OWN)
    assert (first.person, first.neutral.name, first.peak.name) == ("london-001", "001_03.jpg", "001_08.jpg")
    assert (first.source, first.expression, first.problem) == (LONDON, "smile", "")
    assert second.problem == "no photo in smiling_front for 002"
    assert third.problem == "no photo in neutral_front for 003"


def test_own_pairs_of_any_expression(tmp_path):
    root = touch(tmp_path / "mine", "neutral/anna.png", "anger/anna.jpg", "wink/anna.jpg")
    assert [(pair.person, pair.expression) for pair in find_pairs([root], own_source=OWN)] == [("mine-anna", "anger")]
    pairs = find_pairs([root], own_source=OWN, expression="wink")
    assert {pair.expression for pair in pairs} == {"anger", "wink"} and len({pair.key for pair in pairs}) == 2


def test_a_folder_without_pairs(tmp_path):
    with pytest.raises(InputError, match="no photo pairs"):
        find_pairs([touch(tmp_path / "x", "a.jpg")], own_source=OWN)
    with pytest.raises(InputError, match="no such folder"):
        find_pairs([tmp_path / "nowhere"], own_source=OWN)


def test_portraits_of_the_data_folder(tmp_path):
    root = touch(
        tmp_path / "data",
        "landmarks.npz",
        "london/neutral/001.jpg",
        "london/smile/001.jpg",
        "canada/003f.jpg",
        "portraits/Age_r0c4.jpg",
        "portraits/manifest.csv",
    )
    items = find_portraits([root], own_source=OWN)
    assert [(item.key, item.person, item.source) for item in items] == [
        ("data/canada/003f.jpg", "canada-003f", CANADA),
        ("data/london/neutral/001.jpg", "london-001", LONDON),
        ("data/portraits/Age_r0c4.jpg", "portrait-Age_r0c4", PORTRAITS),
    ]
    (item,) = find_portraits([root / "portraits"], own_source=OWN)
    assert item.person == "portrait-Age_r0c4"


def test_the_london_set_as_published_gives_its_neutral_photos(tmp_path):
    root = touch(tmp_path / "faces", "neutral_front/001_03.jpg", "smiling_front/001_08.jpg")
    (item,) = find_portraits([root], own_source=OWN)
    assert (item.person, item.source) == ("london-001", LONDON)


def test_own_portraits(tmp_path):
    root = touch(tmp_path / "family", "anna.jpg", "ben/1.png", "ben/2.PNG", "notes.txt", ".hidden.jpg")
    assert [item.person for item in find_portraits([root], own_source=OWN)] == [
        "family-anna",
        "family-ben-1",
        "family-ben-2",
    ]
    by_folder = find_portraits([root], own_source=OWN, person_from="folder")
    assert [item.person for item in by_folder] == ["family-anna", "family-ben", "family-ben"]
    with pytest.raises(InputError, match="no photos"):
        find_portraits([touch(tmp_path / "empty", "notes.txt")], own_source=OWN)


def test_names_to_pass_over(tmp_path):
    root = touch(tmp_path / "people", "Occlusion_1.jpg", "Age_1.jpg", "ben/Hat_2.jpg")
    items = find_portraits([root], own_source=OWN, exclude=["Occlusion*", "Hat_?.jpg"])
    assert [item.person for item in items] == ["people-Age_1"]


def test_a_users_folder_called_portraits_is_not_the_known_set(tmp_path):
    (item,) = find_portraits([touch(tmp_path / "portraits", "anna.jpg")], own_source=OWN)
    assert (item.person, item.source) == ("portraits-anna", OWN)


def test_the_built_in_validation_people():
    people = built_in_validation()
    assert sum(person.startswith("london-") for person in people) == 8
    assert sum(person.startswith("portrait-") for person in people) == 60
    assert len(people) == 68


def test_splits_go_by_person(tmp_path):
    (tmp_path / "people.txt").write_text("# mine\nfamily-anna  # sister\n\n")
    splits = Splits(read_validation(tmp_path / "people.txt"), share=0.25)
    assert splits.split_of("family-anna") == "validation"
    assert splits.split_of("london-012") == "train", "the list that was given replaces the built-in one"
    drawn = [splits.split_of(f"someone-{number}") for number in range(2000)]
    assert 0.2 < drawn.count("validation") / 2000 < 0.3
    assert drawn == [splits.split_of(f"someone-{number}") for number in range(2000)]
    with pytest.raises(InputError, match="no list of people"):
        read_validation(tmp_path / "nowhere.txt")


def test_people_of_the_known_sets_are_not_drawn():
    splits = Splits(share=1.0)
    assert splits.split_of("canada-003f") == "train" and splits.split_of("london-012") == "validation"
    assert splits.split_of("somebody") == "validation"


def test_landmarks_of_many_photos(tmp_path):
    mesh = np.random.default_rng(0).uniform(0, 100, (478, 3)).astype(np.float32)
    points = mesh[:68, :2]
    np.savez(tmp_path / "landmarks.npz", **{"faces/a.jpg": mesh, "faces/b.jpg": points, "faces/c.jpg": points[:5]})
    file = find_landmark_file(touch(tmp_path / "faces", "a.jpg"))
    assert file == LandmarkFile(tmp_path / "landmarks.npz")
    half_px = 0.5 * 1.5 * np.ptp(mesh[:, :2], axis=0).max() / 256
    np.testing.assert_allclose(
        file.get(tmp_path / "faces" / "a.jpg"), mesh[list(FROM_FACE_MESH), :2] - half_px, rtol=1e-6, atol=1e-5
    )
    np.testing.assert_array_equal(file.get(tmp_path / "faces" / "b.jpg"), points)
    assert file.get(tmp_path / "faces" / "d.jpg") is None and file.get(Path("/elsewhere/a.jpg")) is None
    with pytest.raises(InputError, match="neither 68 iBUG nor 478"):
        file.get(tmp_path / "faces" / "c.jpg")


def test_a_landmark_file_that_is_none(tmp_path):
    (tmp_path / "landmarks.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match="no npz of landmarks"):
        LandmarkFile(tmp_path / "landmarks.npz").get(tmp_path / "a.jpg")
    assert find_landmark_file(touch(tmp_path / "a" / "b" / "c" / "d", "x.jpg")) is None


@pytest.mark.parametrize("text", ["1 2\n" * 67, "1 2 3\n" * 68, "one two\n" * 68, "1 nan\n" * 68, ""])
def test_landmark_texts_that_are_none(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=r"a\.txt"):
        read_landmark_text(tmp_path / "a.txt")
