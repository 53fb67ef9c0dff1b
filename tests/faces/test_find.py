from dataclasses import replace

import numpy as np
import pytest

from facemotion.errors import UsageError, WeightsError
from facemotion.faces import fallback, mesh
from facemotion.faces.find import FaceFinder, merged
from facemotion.faces.types import Face
from tests.faces.faces import frontal_landmarks

PHOTO = np.zeros((300, 400, 3), np.uint8)


def face_at(x: float, score: float, *, eye_distance_px: float = 40, source="builtin") -> Face:
    points = frontal_landmarks(centre=(x, 150), eye_distance_px=eye_distance_px)
    return Face(points, (*points.min(0).tolist(), *points.max(0).tolist()), score, (0.0, 0.0, 0.0), source)


class Stub:
    """A finder that gives the same faces for every photo, and counts how often it is loaded and asked."""

    def __init__(self, faces=(), error: WeightsError | None = None):
        self.faces, self.error = list(faces), error
        self.loaded: list[dict] = []
        self.asked = 0

    def load(self, **options):
        self.loaded.append(options)
        if self.error is not None:
            raise self.error
        return self

    def find(self, image):
        self.asked += 1
        return self.faces

    measure = find


@pytest.fixture
def finders(monkeypatch):
    def install(builtin: Stub, second: Stub) -> FaceFinder:
        monkeypatch.setattr(mesh, "landmarker", builtin.load)
        monkeypatch.setattr(fallback, "FallbackDetector", second)
        return FaceFinder()

    return install


def test_a_sure_face_needs_no_fallback(finders):
    builtin, second = Stub([face_at(100, 0.9), face_at(300, 0.4)]), Stub()
    finder = finders(builtin, second)
    assert finder.find(PHOTO) == builtin.faces
    finder.find(PHOTO)
    assert builtin.asked == 2
    assert second.loaded == []


def test_where_nothing_is_found_the_fallback_is_asked(finders):
    second = Stub([face_at(100, 0.9, source="face-alignment")])
    assert finders(Stub(), second).find(PHOTO) == second.faces
    assert second.loaded == [{"offline": None}]  # may be fetched


def test_for_an_unsure_face_nothing_is_downloaded(finders):
    unsure, sure = face_at(100, 0.4), face_at(104, 0.8, source="face-alignment")
    second = Stub([sure])
    assert finders(Stub([unsure]), second).find(PHOTO) == [sure]
    assert second.loaded == [{"offline": True}]


def test_without_weights_the_builtin_answer_stands_with_one_line(finders):
    lines = []
    second = Stub(error=WeightsError("weights 's3fd' are not on this machine"))
    finder = finders(Stub(), second)
    assert finder.find(PHOTO, on_note=lines.append) == []
    assert len(lines) == 1 and "fallback detector" in lines[0]
    finder.find(PHOTO, on_note=lines.append)
    assert len(second.loaded) == 1  # not tried anew for every photo of a batch
    assert finder.find(PHOTO) == []


def test_without_weights_an_unsure_face_is_kept(finders):
    unsure = face_at(100, 0.4)
    lines = []
    finder = finders(Stub([unsure]), Stub(error=WeightsError("not here")))
    assert finder.find(PHOTO, on_note=lines.append) == [unsure]
    assert "unsure" in lines[0]


def test_a_forced_fallback_says_why_it_cannot_be_had(finders):
    builtin = Stub([face_at(100, 0.9)])
    with pytest.raises(WeightsError, match="not here"):
        finders(builtin, Stub(error=WeightsError("not here"))).find(PHOTO, aligner="face-alignment")
    assert builtin.loaded == []


def test_forced_to_one_the_other_stays_out(finders):
    builtin, second = Stub(), Stub([face_at(100, 0.9)])
    assert finders(builtin, second).find(PHOTO, aligner="builtin") == []
    assert second.loaded == []
    assert finders(builtin, second).find(PHOTO, aligner="face-alignment") == second.faces


def test_an_unknown_aligner_is_a_usage_error(finders):
    with pytest.raises(UsageError, match="dlib"):
        finders(Stub(), Stub()).find(PHOTO, aligner="dlib")


def test_merged_counts_every_face_once_largest_first():
    sure, unsure_twice, unsure_alone = face_at(60, 0.9), face_at(160, 0.4), face_at(350, 0.45, eye_distance_px=50)
    same_as_sure = replace(face_at(63, 0.95), source="face-alignment")
    same_as_unsure, new = (
        face_at(158, 0.9, source="face-alignment"),
        face_at(260, 0.8, eye_distance_px=30, source="face-alignment"),
    )
    faces = merged([sure, unsure_twice, unsure_alone], [same_as_sure, same_as_unsure, new])
    assert faces == [unsure_alone, sure, same_as_unsure, new]
