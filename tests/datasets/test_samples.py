"""Training samples: kept as they are, and made of photographs so that targets are photographs."""

from dataclasses import fields

import numpy as np
import pytest

from facemotion.datasets.photo_samples import (
    MeasuredPhoto,
    back_sample,
    control_between,
    pair_sample,
    random_control,
    still_sample,
)
from facemotion.datasets.samples import Sample, SampleFolder, write_shard
from facemotion.errors import InputError
from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.landmarker import Landmarker
from facemotion.rendering.face import FaceRenderer
from tests.datasets.made_up_samples import made_up_sample

SIZE = 192


def test_samples_come_back_from_their_shards(tmp_path):
    samples = [made_up_sample(i, person=f"portrait-{i}", kind=k) for i, k in enumerate(("back", "pair", "still"))]
    write_shard(tmp_path / "0000.safetensors", samples[:2])
    write_shard(tmp_path / "0001.safetensors", samples[2:])
    folder = SampleFolder(tmp_path)
    assert len(folder) == 3 and folder.people == ["portrait-0", "portrait-1", "portrait-2"]
    for index, sample in enumerate(samples):
        again = folder[index]
        for f in fields(Sample):
            assert np.array_equal(getattr(again, f.name), getattr(sample, f.name)), f.name


def test_folders_without_samples_and_foreign_files_are_refused(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(InputError, match="no samples"):
        SampleFolder(tmp_path)
    save_file({"a": np.zeros(1)}, tmp_path / "0000.safetensors")
    with pytest.raises(InputError, match="holds no samples"):
        SampleFolder(tmp_path)
    (tmp_path / "0000.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="damaged"):
        SampleFolder(tmp_path)


@pytest.fixture(scope="module")
def photo() -> MeasuredPhoto:
    from skimage import data

    image = data.astronaut()
    face = Landmarker.load().measure(image)[0]
    to_crop = geometry.photo_to_crop(face.points[list(FROM_FACE_MESH), :2], SIZE)
    crop = geometry.warp_crop(image, to_crop, SIZE)
    return MeasuredPhoto("astronaut", crop, geometry.apply(to_crop, face.points[:, :2]), face.scores)


@pytest.fixture(scope="module")
def renderer(photo) -> FaceRenderer:
    return photo.renderer(0)


def control_of(renderer: FaceRenderer, **units: float) -> np.ndarray:
    return renderer.rig.head.strengths(units)


def test_a_control_is_found_from_where_it_brings_the_landmarks(renderer):
    rig = renderer.rig
    control = control_of(renderer, jawOpen=0.6, browInnerUp=0.5)
    wanted = rig.landmarks[:468] + np.tensordot(control, rig.unit_motion[:, rig.head.landmark_vertices, :2], 1)
    found = control_between(rig, wanted, np.zeros(52, np.float32))
    moved = np.tensordot(found, rig.unit_motion[:, rig.head.landmark_vertices, :2], 1)
    error = np.linalg.norm(rig.landmarks[:468] + moved - wanted, axis=1) / rig.eye_px
    assert error.mean() < 0.005 and error.max() < 0.04
    assert found[rig.head.unit_index["jawOpen"]] == pytest.approx(0.6, abs=0.15)


def test_the_target_of_a_back_sample_is_the_photograph(photo, renderer):
    away = control_of(renderer, jawOpen=0.5)
    sample = back_sample(photo, away, seed=1, renderer=renderer)
    assert np.array_equal(sample.target, photo.crop)
    assert (sample.source != photo.crop).any(2).mean() > 0.02
    assert sample.control[renderer.rig.head.unit_index["jawOpen"]] < -0.25
    error = np.abs(sample.rendered_landmarks - sample.target_landmarks).max()
    assert error < 0.25 * np.abs(sample.source_landmarks - sample.target_landmarks).max()


def test_a_pair_with_itself_wants_the_photo_as_it_is(photo, renderer):
    sample = pair_sample(photo, photo, renderer=renderer)
    assert np.abs(sample.control).max() < 0.05
    believed = sample.mask > 200
    assert 0.05 < believed.mean() < 0.5
    difference = np.abs(sample.target.astype(int) - photo.crop)[believed]
    assert difference.mean() < 1.5


def test_a_still_sample_wants_what_the_renderer_shows(photo, renderer):
    control = random_control(np.zeros(52, np.float32), renderer.rig.head.unit_names, np.random.default_rng(0))
    sample = still_sample(photo, control, renderer=renderer)
    assert (sample.mask == 255).all() and np.array_equal(sample.control, control)
    assert 2 <= np.count_nonzero(control) <= 10
    assert np.array_equal(sample.source, photo.crop) and (sample.target != photo.crop).any()
