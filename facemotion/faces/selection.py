"""Which of the faces found are animated: ``--face largest|all|N|X,Y``."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from facemotion.errors import NoFaceError, UsageError

if TYPE_CHECKING:
    from facemotion.faces.types import Face

_POINT = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*,\s*(\d{1,9}(?:\.\d{1,9})?)\s*", re.ASCII)
_NUMBER = re.compile(r"0{0,9}[1-9]\d{0,8}", re.ASCII)


def check_face_choice(choice: str) -> None:
    """Raises UsageError for words that choose no face."""
    if choice not in ("largest", "all") and not _POINT.fullmatch(choice) and not _NUMBER.fullmatch(choice):
        raise UsageError(
            f"{choice[:40]!r} chooses no face.",
            "Use largest, all, a number from 1 (as `facemotion faces` lists them) or a point X,Y in the photo.",
        )


def choose_faces(faces: "Sequence[Face]", choice: str, *, name: str) -> "list[Face]":
    """The faces that ``choice`` names, of all those found in the photo ``name``, largest first.

    ``N`` counts from 1 in the order of ``facemotion faces``; ``X,Y`` is a point in photo px: the face whose box holds
    it, the nearest centre where several do. Raises NoFaceError where there is no such face.
    """
    check_face_choice(choice)
    if not faces:
        raise NoFaceError(
            f"No face found in {name}.",
            "Use a photo with a larger, less turned face, or try --aligner face-alignment.",
        )
    if choice == "all":
        return list(faces)
    if choice == "largest":
        return [faces[0]]
    count = "one face" if len(faces) == 1 else f"{len(faces)} faces"
    hint = "See them, with their numbers, with `facemotion faces`."
    if choice.isdecimal():
        if int(choice) > len(faces):
            raise NoFaceError(f"There is no face {choice} in {name}: {count} found.", hint)
        return [faces[int(choice) - 1]]
    x, y = (float(number) for number in choice.split(","))
    holding = [face for face in faces if face.box[0] <= x <= face.box[2] and face.box[1] <= y <= face.box[3]]
    if not holding:
        raise NoFaceError(f"There is no face at {x:g},{y:g} in {name}: {count} found.", hint)
    return [min(holding, key=lambda face: _distance(face, x, y))]


def _distance(face: "Face", x: float, y: float) -> float:
    x0, y0, x1, y1 = face.box
    return ((x0 + x1) / 2 - x) ** 2 + ((y0 + y1) / 2 - y) ** 2
