"""The head model's two layouts, and its fit to landmarks."""

import json

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.synthetic import head as head_module
from facemotion.synthetic.fit import corrected, fit_head, landmark_offsets, project, shape
from facemotion.synthetic.head import EYES, FACE, HeadModel
from tests.synthetic import made_up_head

UNITS = ("jawOpen", "mouthSmile_L", "mouthSmile_R")


def write_obj(path, vertices, polygons) -> None:
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += ["vt 0 0", "f " + " ".join(f"{i + 1}/1" for i in polygons[0])]
    lines += ["f " + " ".join(str(i + 1) for i in polygon) for polygon in polygons[1:]]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def author_folder(tmp_path, monkeypatch):
    """80 vertices as ICT-FaceKit's authors lay theirs out."""
    monkeypatch.setattr(head_module, "FEWEST_VERTICES", 80)
    folder = tmp_path / "ICT-FaceKit" / "FaceXModel"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    vertices = generator.normal(size=(80, 3))
    polygons = [(0, 1, 2, 3), (4, 5, 6)]
    write_obj(folder / "generic_neutral_mesh.obj", vertices, polygons)
    for number, unit in enumerate(UNITS):
        write_obj(folder / f"{unit}.obj", vertices + number + 1, polygons)
    for number in range(2):
        write_obj(folder / f"identity{number:03d}.obj", vertices - number - 1, polygons)
    write_obj(folder / "PupilDilate_L.obj", vertices, polygons)  # shipped, but not listed as an expression
    indices = {"expressions": UNITS, "idx_to_landmark_verts": list(range(68))}
    (folder / "vertex_indices.json").write_text(json.dumps(indices))
    return folder


@pytest.mark.parametrize("inner", [True, False])
def test_the_authors_folder_is_read(author_folder, inner):
    model = HeadModel.load(author_folder if inner else author_folder.parent)
    assert model.unit_names == (*UNITS, "browTogether_L", "browTogether_R")
    assert model.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]
    for number in range(3):
        assert model.unit_deltas[number] == pytest.approx(number + 1, abs=1e-5)
    assert model.identity_deltas[1] == pytest.approx(-2, abs=1e-5)
    assert model.landmark_vertices.tolist() == list(range(68))


def test_the_npz_gives_the_same_model_as_the_folder(author_folder, tmp_path):
    model = HeadModel.load(author_folder)
    path = tmp_path / "kit.npz"
    np.savez(
        path,
        vertices=model.vertices,
        triangles=model.triangles,
        expression_names=np.array(UNITS),
        expression_deltas=model.unit_deltas[:3].astype(np.float16),
        identity_deltas=model.identity_deltas.astype(np.float16),
        landmark68_vertices=model.landmark_vertices,
    )
    packed = HeadModel.load(path)
    assert packed.unit_names == model.unit_names
    assert np.allclose(packed.unit_deltas, model.unit_deltas, atol=1e-3)
    assert np.array_equal(packed.triangles, model.triangles)


def test_what_is_no_head_model_is_refused(author_folder, tmp_path):
    with pytest.raises(InputError, match="No head model"):
        HeadModel.load(tmp_path / "nowhere")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="no packed ICT-FaceKit"):
        HeadModel.load(broken)
    (author_folder / "jawOpen.obj").unlink()
    with pytest.raises(InputError, match="no whole ICT-FaceKit"):
        HeadModel.load(author_folder)
    (author_folder / "vertex_indices.json").unlink()
    with pytest.raises(InputError, match=r"vertex_indices\.json"):
        HeadModel.load(author_folder)


def test_parts_and_strengths():
    head = made_up_head.head()
    triangles, parts = head.drawn(FACE, EYES)
    assert set(parts.tolist()) == {FACE, EYES} and triangles.max() < 24591
    strengths = head.strengths({"jawOpen": 0.5})
    assert np.allclose(head.displacement(strengths), 0.5 * head.unit_deltas[head.unit_index["jawOpen"]])
    upper, lower = head.teeth_edges
    assert head.vertices[upper, 1].mean() > head.vertices[lower, 1].mean()


def photographed(head, units, *, scale=11.0, yaw_deg=0.0):
    """Landmarks (68, 2) px, y down, of the made-up head with an expression, and the vertices."""
    turn = np.radians(yaw_deg)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    vertices = head.vertices + head.displacement(head.strengths(units))
    points = (vertices[head.landmark_vertices] + landmark_offsets()) @ rotation.T
    return points[:, :2] * scale * [1, -1] + 200


@pytest.mark.parametrize("yaw_deg", [0, 15, -25])
def test_the_fit_finds_pose_and_expression(yaw_deg):
    head = made_up_head.head()
    landmarks = photographed(head, {"jawOpen": 0.6, "mouthSmile_L": 0.8}, yaw_deg=yaw_deg)
    fit = fit_head(landmarks, head)
    assert fit.inner_error < 0.012
    assert fit.scale == pytest.approx(11, rel=0.05)
    assert np.degrees(np.arctan2(fit.rotation[0, 2], fit.rotation[0, 0])) == pytest.approx(yaw_deg, abs=3)
    found = dict(zip(head.unit_names, fit.expression, strict=True))
    assert found["jawOpen"] > 0.35 and found["mouthSmile_L"] > found["mouthSmile_R"] + 0.3


def test_the_correction_brings_the_landmarks_home():
    head = made_up_head.head()
    landmarks = photographed(head, {})
    landmarks[17:22] += (0, -6)  # one brow and the nose where no head has them
    landmarks[27:36] += (5, 0)
    fit = fit_head(landmarks, head)
    vertices = corrected(shape(fit, head), fit, landmarks, head)
    at = head.landmark_vertices
    before, _ = project(fit, shape(fit, head)[at] + landmark_offsets())
    after, _ = project(fit, vertices[at] + landmark_offsets())
    inner = slice(17, 68)
    assert np.abs(after - landmarks)[inner].mean() < 0.4 * np.abs(before - landmarks)[inner].mean()
    assert np.allclose((vertices - shape(fit, head)) @ fit.rotation[2], 0, atol=1e-4)  # within the image plane
