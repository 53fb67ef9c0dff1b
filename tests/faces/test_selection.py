import pytest

from facemotion.errors import NoFaceError, UsageError
from facemotion.faces.selection import check_face_choice, choose_faces
from tests.conftest import face_at

LARGE, SMALL = face_at((100.0, 100.0)), face_at((300.0, 100.0), eye_distance_px=20)
FACES = [LARGE, SMALL]


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ("largest", [LARGE]),
        ("all", FACES),
        ("1", [LARGE]),
        ("2", [SMALL]),
        ("300,105", [SMALL]),
        (" 99.5 , 101 ", [LARGE]),
    ],
)
def test_faces_are_chosen_by_word_number_and_point(choice, chosen):
    assert choose_faces(FACES, choice, name="photo.jpg") == chosen


def test_of_faces_that_overlap_the_nearer_is_meant():
    other = face_at((130.0, 100.0))
    assert choose_faces([LARGE, other], "118,105", name="photo.jpg") == [other]


@pytest.mark.parametrize("choice", ["3", "200,105"])
def test_faces_that_are_not_there(choice):
    with pytest.raises(NoFaceError, match="2 faces found") as caught:
        choose_faces(FACES, choice, name="photo.jpg")
    assert "facemotion faces" in caught.value.hint


@pytest.mark.parametrize("choice", ["", "0", "-1", "first", "1,2,3", "1;2", "x,y"])
def test_words_that_choose_no_face(choice):
    with pytest.raises(UsageError):
        check_face_choice(choice)
