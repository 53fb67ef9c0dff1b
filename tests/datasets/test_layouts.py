"""Where photos lie: the data folder's layout, the authors' layouts, anybody's folders; who is held out."""

from pathlib import Path

import pytest

from facemotion.datasets.layouts import find_pairs, find_people, find_portraits
from facemotion.datasets.sources import CANADA, LONDON, PORTRAITS, Source, sources_of
from facemotion.datasets.splits import Splits, built_in_validation, read_validation
from facemotion.errors import InputError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_pairs_of_the_data_folder(tmp_path):
    root = touch(tmp_path / "data", "landmarks.npz", "london/neutral/001.jpg", "london/smile/001.jpg")
    for folder in (root, root / "london"):
        (pair,) = find_pairs([folder])
        assert (pair.person, pair.expression) == ("london-001", "smile")
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
    first, second, third = find_pairs([root])
    assert (first.person, first.neutral.name, first.peak.name) == ("london-001", "001_03.jpg", "001_08.jpg")
    assert (first.expression, first.problem) == ("smile", "")
    assert second.problem == "no photo in smiling_front for 002"
    assert third.problem == "no photo in neutral_front for 003"


def test_own_pairs_of_any_expression(tmp_path):
    root = touch(tmp_path / "mine", "neutral/anna.png", "anger/anna.jpg", "smile/anna.jpg", "other/anna.jpg")
    pairs = find_pairs([root])
    assert {(pair.person, pair.expression) for pair in pairs} == {("mine-anna", "anger"), ("mine-anna", "smile")}
    assert len({pair.key for pair in pairs}) == 2
    (person,) = [person for person in find_people([root]) if person.person == "mine-anna"]
    assert [path.parent.name for path in person.photos] == ["neutral", "smile", "anger"]


def test_a_folder_without_pairs(tmp_path):
    with pytest.raises(InputError, match="no photo pairs"):
        find_pairs([touch(tmp_path / "x", "a.jpg")])
    with pytest.raises(InputError, match="no such folder"):
        find_pairs([tmp_path / "nowhere"])


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
    items = find_portraits([root])
    assert [(item.key, item.person) for item in items] == [
        ("data/canada/003f.jpg", "canada-003f"),
        ("data/london/neutral/001.jpg", "london-001"),
        ("data/portraits/Age_r0c4.jpg", "portrait-Age_r0c4"),
    ]
    (item,) = find_portraits([root / "portraits"])
    assert item.person == "portrait-Age_r0c4"


def test_the_london_set_as_published_gives_its_neutral_photos(tmp_path):
    root = touch(tmp_path / "faces", "neutral_front/001_03.jpg", "smiling_front/001_08.jpg")
    (item,) = find_portraits([root])
    assert item.person == "london-001"


def test_own_portraits(tmp_path):
    root = touch(tmp_path / "family", "anna.jpg", "ben/1.png", "ben/2.PNG", "notes.txt", ".hidden.jpg")
    assert [item.person for item in find_portraits([root])] == [
        "family-anna",
        "family-ben-1",
        "family-ben-2",
    ]
    by_folder = find_portraits([root], person_from="folder")
    assert [item.person for item in by_folder] == ["family-anna", "family-ben", "family-ben"]
    with pytest.raises(InputError, match="no photos"):
        find_portraits([touch(tmp_path / "empty", "notes.txt")])


def test_names_to_pass_over(tmp_path):
    root = touch(tmp_path / "people", "Occlusion_1.jpg", "Age_1.jpg", "ben/Hat_2.jpg")
    items = find_portraits([root], exclude=["Occlusion*", "Hat_?.jpg"])
    assert [item.person for item in items] == ["people-Age_1"]


def test_a_users_folder_called_portraits_is_not_the_known_set(tmp_path):
    (item,) = find_portraits([touch(tmp_path / "portraits", "anna.jpg")])
    assert item.person == "portraits-anna"


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


def test_people_of_the_sets_side_by_side_are_known_without_the_projects_landmarks(tmp_path):
    root = touch(tmp_path / "downloads", "london/neutral_front/001_03.jpg", "london/smiling_front/001_08.jpg")
    touch(root, "london/smiling_front/002_08.jpg", "canada/003f.jpg", "portraits/Age_r0c4.jpg")
    people = {person.person: [path.name for path in person.photos] for person in find_people([root])}
    assert people == {
        "canada-003f": ["003f.jpg"],
        "london-001": ["001_03.jpg", "001_08.jpg"],
        "portrait-Age_r0c4": ["Age_r0c4.jpg"],
        "london-002": ["002_08.jpg"],
    }


def test_sources_of_people():
    own = Source("own", "CC0-1.0")
    people = ["london-001", "canada-003f", "portrait-Age_r0c4", "london-002"]
    assert sources_of(people, own=own) == [LONDON, CANADA, PORTRAITS]
    assert sources_of(["anna", "london-1"], own=own) == [LONDON, own]
