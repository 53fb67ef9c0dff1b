"""Portraits and photo pairs through the command line, with a stand-in for the renderers; three real people where
the data folder is present."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.datasets import photo_importers
from facemotion.datasets.clips import ClipSet
from facemotion.datasets.landmark_files import LandmarkFile
from facemotion.datasets.photo_importers import lendable_smiles
from facemotion.datasets.splits import Splits
from facemotion.errors import InputError
from facemotion.faces import geometry
from facemotion.faces.pose import head_pose
from facemotion.synthetic.clip import RenderedClip
from tests.datasets import made_up

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SMALL = ("--crop-px", "64", "--workers", "1")


def rendered(photo, landmarks, expression, size) -> RenderedClip:
    """What a renderer would give: the crop, twice."""
    to_crop = geometry.photo_to_crop(landmarks, size)
    crop, points = geometry.warp_crop(photo, to_crop, size), geometry.apply(to_crop, landmarks)
    return RenderedClip(
        [crop, crop], np.array([0, 1]), expression, np.stack([points] * 2), np.array([head_pose(points)] * 2)
    )


@pytest.fixture
def renderers(monkeypatch):
    """Stands in for head, recipes, mouths, teacher and pairs; gives the list of what they were called with."""
    calls = []

    class Recipes:
        expressions = ("smile", "fear", "anger", "blink")

    def teacher_clips(photo, landmarks, *, head, recipes, mouths, settings, seed):
        calls.append({"seed": seed, "mouths": mouths, "settings": settings})
        if photo[..., 0].max() < 100:
            raise InputError("face too dark")
        for name in settings.expressions or recipes.expressions:
            yield rendered(photo, landmarks, {name: 1.0}, settings.crop_px)

    def pair_clips(neutral, neutral_landmarks, peak, peak_landmarks, *, head, expression, settings, seed):
        calls.append({"seed": seed, "opened": float(np.abs(peak_landmarks - neutral_landmarks).max())})
        yield rendered(neutral, neutral_landmarks, {expression: 1.0}, settings.crop_px)

    class Mouths:
        @staticmethod
        def build(smiles):
            showing_teeth = [photo for photo, _ in smiles if photo[..., 0].max() >= 100]
            library = Mouths()
            library.mouths = showing_teeth
            return library

        def save(self, path):
            Path(path).write_text(str(len(self.mouths)))

    monkeypatch.setattr(photo_importers, "teacher_clips", teacher_clips)
    monkeypatch.setattr(photo_importers, "pair_clips", pair_clips)
    monkeypatch.setattr(photo_importers, "MouthLibrary", Mouths)
    monkeypatch.setattr(photo_importers, "_load_mouths", lambda path: f"mouths of {path.read_text()} people")
    monkeypatch.setattr(photo_importers, "_load_head", lambda path: "head")
    monkeypatch.setattr(photo_importers, "_load_recipes", lambda path: Recipes)
    monkeypatch.setattr("facemotion.faces.find.find_faces", made_up.find_faces)
    return calls


@pytest.fixture
def london(tmp_path) -> Path:
    """The London set as its authors publish it: 012 is kept for validation, 003 has no smile."""
    root = tmp_path / "london_set"
    for person in ("001", "002", "012"):
        made_up.write_image(root / "smiling_front" / f"{person}_08.jpg", made_up.frame(1))
    for person in ("001", "002", "003", "012"):
        made_up.write_image(root / "neutral_front" / f"{person}_03.jpg", made_up.frame(0))
    return root


def prepare(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["prepare", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_pairs_of_the_london_set_as_published(renderers, london, tmp_path):
    code, out, err = prepare("pairs", london, "--head", "ICT", "--out", tmp_path / "set", *SMALL)
    assert code == 3 and "no photo in smiling_front for 003" in err and "3 of 4 items used" in out
    clip_set = ClipSet.open(tmp_path / "set")
    assert [(clip.person, clip.split, clip.origin) for clip in clip_set] == [
        ("london-001", "train", "pairs"),
        ("london-002", "train", "pairs"),
        ("london-012", "validation", "pairs"),
    ]
    assert clip_set[0].licence == "CC-BY-4.0" and "DeBruine" in clip_set.manifests[0].sources[0].credit
    assert all(call["opened"] > 10 for call in renderers) and len({call["seed"] for call in renderers}) == 3


def test_portraits_and_lent_smiles(renderers, london, tmp_path):
    root = tmp_path / "people"
    made_up.write_image(root / "anna.png", made_up.frame())
    made_up.write_image(root / "two.png", made_up.frame(faces=2))
    made_up.write_image(root / "dark.png", made_up.frame() // 3)
    (root / "broken.jpg").write_bytes(b"\xff\xd8 cut")
    words = ("teacher", root, "--head", "ICT", "--smiles", london, "--out", tmp_path / "set", *SMALL)
    code, out, err = prepare(*words, "--expr", "fear, happy")
    assert code == 3 and "1 of 4 items used" in out
    assert "people/two.png: 2 faces found" in err and "people/broken.jpg: broken.jpg is" in err
    clips = list(ClipSet.open(tmp_path / "set"))
    assert [clip.id for clip in clips] == ["people-anna-00-fear", "people-anna-01-smile"]
    assert renderers[0]["mouths"] == "mouths of 2 people", "nobody kept for validation lends a smile"


def test_smiles_that_show_no_teeth_lend_none(renderers, tmp_path):
    root = tmp_path / "people"
    made_up.write_image(root / "neutral" / "anna.png", made_up.frame())
    made_up.write_image(root / "smile" / "anna.png", made_up.frame() // 3)
    assert prepare("teacher", root, "--head", "ICT", "--out", tmp_path / "set", *SMALL)[0] == 0
    assert renderers[0]["mouths"] is None


def test_expressions_drawn_for_each_photo(renderers, tmp_path):
    for number in range(12):
        made_up.write_image(tmp_path / "people" / f"{number}.png", made_up.frame())
    words = ("teacher", tmp_path / "people", "--head", "ICT", "--choose", 2, "--yaw", 12, "--turned", 0.25, *SMALL)
    assert prepare(*words, "--out", tmp_path / "set")[0] == 0
    shown = [call["settings"].expressions for call in renderers]
    assert {len(set(names)) for names in shown} == {2} and len(set(shown)) > 2
    assert {(call["settings"].yaw_deg, call["settings"].turned) for call in renderers} == {(12, 0.25)}


def test_the_folders_own_pairs_lend_smiles(london):
    assert [path.name for path in lendable_smiles([london], Splits(), required=True)] == ["001_08.jpg", "002_08.jpg"]
    assert lendable_smiles([london / "neutral_front"], Splits(), required=False) == ()
    with pytest.raises(InputError, match="no photo pairs"):
        lendable_smiles([london / "neutral_front"], Splits(), required=True)


def test_only_chosen_people_lend_smiles(london):
    chosen = lendable_smiles([london], Splits(), required=True, lenders=["london-002"])
    assert [path.name for path in chosen] == ["002_08.jpg"]
    with pytest.raises(InputError, match="nobody called london-012 can lend teeth"):
        lendable_smiles([london], Splits(), required=True, lenders=["london-002", "london-012"])  # kept for validation


def test_lender_and_jitter_reach_the_teacher(renderers, london, tmp_path):
    made_up.write_image(tmp_path / "people" / "anna.png", made_up.frame())
    words = ("teacher", tmp_path / "people", "--head", "ICT", "--smiles", london, "--expr", "fear", *SMALL)
    assert prepare(*words, "--lender", "london-002", "--jitter", 0, "--out", tmp_path / "set")[0] == 0
    assert renderers[0]["mouths"] == "mouths of 1 people" and renderers[0]["settings"].jitter == 0


def test_landmarks_that_come_with_the_photos_are_preferred(renderers, tmp_path, monkeypatch):
    root = tmp_path / "people"
    made_up.write_image(root / "anna.png", made_up.frame(faces=0))
    np.savez(root / "landmarks.npz", **{"anna.png": made_up.landmarks()})
    words = ("teacher", root, "--head", "ICT", *SMALL, "--out")
    assert prepare(*words, tmp_path / "a")[0] == 0
    code, _, err = prepare(*words, tmp_path / "b", "--find-landmarks")
    assert code == 1 and "no face found" in err


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no face data folder at ../shared/data")
def test_three_real_people(tmp_path):
    root = tmp_path / "data"
    people = ("002", "009", "012")
    mesh = LandmarkFile(DATA / "landmarks.npz")
    landmarks = {}
    for person in people:
        for side in ("neutral", "smile"):
            source, target = DATA / "london" / side / f"{person}.jpg", root / "london" / side / f"{person}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
            landmarks[f"london/{side}/{person}.jpg"] = mesh.get(source)
    np.savez(root / "landmarks.npz", **landmarks)
    common = ("--head", DATA / "ict-facekit" / "ict_facekit.npz", "--crop-px", 256, "--workers", 1)
    assert prepare("pairs", root, *common, "--out", tmp_path / "pairs")[0] == 0
    expressions = ("--expr", "surprise,blink", "--frames", 3)
    assert prepare("teacher", root, *common, *expressions, "--out", tmp_path / "teacher")[0] == 0
    clips = ClipSet.open_many([tmp_path / "pairs", tmp_path / "teacher"])
    clips.verify()
    assert {clip.person for clip in clips} == {f"london-{person}" for person in people}
    assert {entry.split for entry in clips.entries if entry.person == "london-012"} == {"validation"}
    for clip in clips:
        order = np.argsort(clip.control)
        moved = [np.abs(clip.landmarks[k] - clip.landmarks[0]).mean() for k in order]
        assert np.all(np.diff(moved) > 0), f"{clip.id}: landmarks must move on with the control"
        changed = [np.abs(clip.frame(k).astype(int) - clip.frame(0)).mean() for k in order]
        assert changed[0] == 0 and changed[-1] > 0.5
