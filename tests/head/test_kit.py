"""ICT-FaceKit in its two layouts."""

import json

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.head import kit
from facemotion.head.kit import HeadKit

UNITS = ("jawOpen", "mouthSmile_L", "mouthSmile_R")


def write_obj(path, vertices, polygons) -> None:
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += ["vt 0 0", "f " + " ".join(f"{i + 1}/1" for i in polygons[0])]
    lines += ["f " + " ".join(str(i + 1) for i in polygon) for polygon in polygons[1:]]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def author_folder(tmp_path, monkeypatch):
    """80 vertices as ICT-FaceKit's authors lay theirs out."""
    monkeypatch.setattr(kit, "_FEWEST_VERTICES", 80)
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
    model = HeadKit.load(author_folder if inner else author_folder.parent)
    assert model.unit_names == (*UNITS, "browTogether_L", "browTogether_R")
    assert model.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]
    for number in range(3):
        assert model.unit_deltas[number] == pytest.approx(number + 1, abs=1e-5)
    assert model.identity_deltas[1] == pytest.approx(-2, abs=1e-5)
    assert model.landmark_vertices.tolist() == list(range(68))


def test_the_npz_gives_the_same_model_as_the_folder(author_folder, tmp_path):
    model = HeadKit.load(author_folder)
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
    packed = HeadKit.load(path)
    assert packed.unit_names == model.unit_names
    assert np.allclose(packed.unit_deltas, model.unit_deltas, atol=1e-3)
    assert np.array_equal(packed.triangles, model.triangles)


def test_what_is_no_head_model_is_refused(author_folder, tmp_path):
    with pytest.raises(InputError, match="No head model"):
        HeadKit.load(tmp_path / "nowhere")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="no packed ICT-FaceKit"):
        HeadKit.load(broken)
    (author_folder / "jawOpen.obj").unlink()
    with pytest.raises(InputError, match="no whole ICT-FaceKit"):
        HeadKit.load(author_folder)
    (author_folder / "vertex_indices.json").unlink()
    with pytest.raises(InputError, match=r"vertex_indices\.json"):
        HeadKit.load(author_folder)
