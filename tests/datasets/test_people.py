"""One person's pictures to samples: photographs and recordings of a face that everybody may use, and the command."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.datasets.layouts import find_people
from facemotion.datasets.people import (
    RecordedPerson,
    measure,
    measured_people,
    recorded_people,
)
from facemotion.datasets.samples import SampleFolder
from facemotion.datasets.sequences import Recording, find_sequences
from facemotion.errors import InputError, NoFaceError
from facemotion.expressions.units import UNIT_INDEX

SIZE = 160


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """The astronaut, and the same face with its jaw dropped, halfway and wide."""
    from skimage.data import astronaut

    from facemotion import animate

    photo = astronaut()[:320, 60:380]
    wide, half = (animate(photo, {"jawOpen": strength}, frames=1, relative=True)[0] for strength in (1.0, 0.5))
    return [photo, half, wide]


def write(folder, pictures):
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
    return folder


def test_a_recording_gives_pairs_of_its_first_frame_and_later_ones(tmp_path, pictures):
    write(tmp_path / "set" / "anna" / "surprise", pictures)
    (person,) = recorded_people(find_sequences([tmp_path / "set"]), frames=2)
    samples = list(person.samples(size_px=SIZE))
    assert [sample.kind for sample in samples] == ["pair", "pair", "pair", "pair", "back"]
    assert {sample.person for sample in samples} == {"set-anna"}
    jaw = [float(sample.control[UNIT_INDEX["jawOpen"]]) for sample in samples]
    assert 0.1 < jaw[0] < jaw[2] and jaw[1] < -0.1 and jaw[3] < jaw[1]
    forth = samples[2]
    believed = forth.mask > 200
    moved = np.abs(forth.target.astype(int) - forth.source).mean(2)
    assert believed.mean() > 0.05 and moved[believed].mean() > 2


def test_recordings_that_do_not_fit(tmp_path, pictures):
    still = write(tmp_path / "a" / "smile", pictures[:1] * 2)
    wall = write(tmp_path / "b" / "smile", [np.full((200, 200, 3), 90, np.uint8), pictures[0]])
    late = write(tmp_path / "c" / "smile", [pictures[0], np.full((200, 200, 3), 90, np.uint8)])
    for folder, error, reason in (
        (still, InputError, "no visible expression"),
        (wall, NoFaceError, "no face found"),
        (late, InputError, "no later frame"),
    ):
        (recording,) = find_sequences([folder.parent])
        with pytest.raises(error, match=reason):
            list(RecordedPerson(recording, 2).samples(size_px=SIZE))
    with pytest.raises(InputError, match="1 frames"):
        list(RecordedPerson(Recording("k", "p", problem="1 frames"), 2).samples(size_px=SIZE))


@pytest.fixture(scope="module")
def photo_folder(tmp_path_factory, pictures):
    """A pair, a single photo and a wall."""
    root = tmp_path_factory.mktemp("photos") / "mine"
    for folder, name, picture in (
        ("neutral", "anna", pictures[0]),
        ("surprise", "anna", pictures[2]),
        ("neutral", "ben", pictures[1]),
        ("neutral", "wall", np.full((200, 200, 3), 90, np.uint8)),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / folder / f"{name}.png"), picture[..., ::-1])
    return root


def test_photos_are_measured_once_and_pairs_come_first(tmp_path, photo_folder, monkeypatch):
    people = find_people([photo_folder])
    seen = []
    measured = measure(people, tmp_path / "measured.npz", watch=lambda: seen.append(1))
    assert len(seen) == 4
    assert {path.name: reason for path, reason in measured.problems.items()} == {"wall.png": "no face found"}
    monkeypatch.setattr("facemotion.datasets.people.measured_face", lambda image: pytest.fail("measured again"))
    again = measured_people(people, measure(people, tmp_path / "measured.npz"))
    assert [(person.person, len(person.photos)) for person in again] == [("mine-anna", 2), ("mine-ben", 1)]
    samples = list(again[0].samples(size_px=SIZE))
    assert [sample.kind for sample in samples].count("pair") == 6
    assert samples[0].control[UNIT_INDEX["jawOpen"]] > 0.2 > -0.2 > samples[3].control[UNIT_INDEX["jawOpen"]]
    (tmp_path / "measured.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="damaged"):
        measure(people, tmp_path / "measured.npz")


def test_the_command_from_photos_to_samples(tmp_path, photo_folder):
    def run(*words):
        return CliRunner().invoke(app, ["prepare", "photos", str(photo_folder), str(tmp_path / "out"), *words])

    (tmp_path / "people.txt").write_text("mine-ben\n")
    options = ["--validation", str(tmp_path / "people.txt"), "--validation-share", "0", "--workers", "1"]
    first = run(*options, "--licence", "CC0-1.0", "--json")
    assert first.exit_code == 3, first.output
    told = json.loads(first.stdout)
    assert told["samples"]["train"] >= 5 and told["samples"]["validation"] >= 1
    assert list(told["problems"].values()) == ["no face found"]
    assert "wall.png: no face found" in first.stderr
    assert set(SampleFolder(tmp_path / "out" / "validation").people) == {"mine-ben"}
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["sources"][0]["licence"] == "CC0-1.0"
    assert run(*options).exit_code == 3
    changed = run("--validation-share", "0")
    assert changed.exit_code == 2 and "begun with other validation" in changed.stderr
