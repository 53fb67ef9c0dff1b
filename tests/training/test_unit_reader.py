"""The reader of units learns what made-up faces show, and its file holds what was learnt."""

import numpy as np
import pytest

from facemotion.expressions.units import UNIT_INDEX
from facemotion.faces.landmarker.head_pose import canonical_face
from facemotion.faces.unit_reader import face_shape, read_unit_reader
from facemotion.training import unit_reader

JAW, CHIN = UNIT_INDEX["jawOpen"], (152, 148, 377, 17, 14)


def pictures(people: int, source: np.random.Generator) -> dict[str, np.ndarray]:
    """Faces of made-up people whose chins and lips drop by 2 cm at jawOpen 1; seen by an eye with some noise."""
    canonical = canonical_face()
    face = np.vstack([canonical.points, np.repeat(canonical.points[[133, 362]], 5, axis=0)]) * (1, -1, -1)
    arrays: dict[str, list] = {"points": [], "scores": [], "strengths": [], "people": [], "kinds": []}
    for person in range(people):
        own = face * source.uniform(0.9, 1.1, 3) + source.normal(0, 0.1, (478, 1))
        for number in range(24):
            strength = 0.0 if number < 6 else source.uniform(0, 1)
            points, units = own + source.normal(0, 0.01, own.shape), np.zeros(52)
            points[list(CHIN), 1] += 2 * strength
            units[JAW] = strength
            kind = "rest" if number < 6 else ("mix", "speech", "alone")[number % 3]
            for name, value in zip(arrays, (20 * points, np.zeros(52), units, f"p{person}", kind), strict=True):
                arrays[name].append(value)
    return {name: np.array(values) for name, values in arrays.items()}


def test_a_reader_is_trained_written_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(unit_reader, "EPOCHS", 60)
    monkeypatch.setattr(unit_reader, "SHAPES", 8)
    source = np.random.default_rng(0)
    np.savez(tmp_path / "some.npz", **pictures(6, source))
    np.savez(tmp_path / "more.npz", **pictures(6, source))
    out = tmp_path / "reader.safetensors"
    unit_reader.main([str(tmp_path / "some.npz"), str(tmp_path / "more.npz"), str(out)])
    reader = read_unit_reader(out)
    seen = pictures(3, source)
    shapes = np.stack([face_shape(points, canonical_face()) for points in seen["points"]]) - reader.middle
    rows = np.hstack([shapes @ reader.basis, seen["scores"]])
    for person in ("p0", "p1", "p2"):
        mine = seen["people"] == person
        read = reader.changes(rows[mine], rows[mine & (seen["kinds"] == "rest")].mean(0))
        assert np.corrcoef(read[:, JAW], seen["strengths"][mine, JAW])[0, 1] > 0.9
        assert np.abs(np.delete(read, JAW, axis=1)).max() < 0.1
    assert out.stat().st_size < 1_000_000


def test_changes_are_against_the_same_person_at_rest_and_mirrored(tmp_path):
    np.savez(tmp_path / "some.npz", **pictures(2, np.random.default_rng(0)))
    changes = unit_reader.changes_of([tmp_path / "some.npz"])
    assert len(changes.shapes) == 2 * 2 * 24
    lips = changes.shapes.reshape(len(changes.shapes), 478, 2)[:, 14, 1]
    assert lips[:48] == pytest.approx(2 * changes.strengths[:48, JAW], abs=0.2)
    assert lips[48:] == pytest.approx(lips[:48], abs=0.05)
    assert sorted(set(changes.weights.tolist())) == pytest.approx([0.6, 1])
