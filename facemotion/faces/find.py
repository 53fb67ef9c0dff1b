"""Which faces are in a photo: the landmarker, and face-alignment where that finds nothing or is unsure."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from facemotion.errors import UsageError, WeightsError
from facemotion.faces import mesh
from facemotion.faces.types import Face
from facemotion.media.photos import check_pixels

if TYPE_CHECKING:
    from facemotion.faces.fallback import FallbackDetector

ALIGNERS = ("auto", "builtin", "face-alignment")

UNSURE_SCORE = 0.8
"""Score below which the fallback detector is worth its time."""

_SAME_FACE = 0.4  # distance between the middles of two faces, in sizes of the larger, below which they are one


class FaceFinder:
    """The landmarker and face-alignment, each loaded when first needed. May be used from several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._fallback: FallbackDetector | None = None
        self._out_of_reach: WeightsError | None = None

    def find(
        self, image: np.ndarray, *, aligner: str = "auto", on_note: Callable[[str], None] | None = None
    ) -> list[Face]:
        """Faces in a photo (H, W, 3) uint8, largest first.

        aligner: "builtin" or "face-alignment" asks that one alone. "auto" asks the built-in one, and face-alignment
        where nothing is found, or nothing that the built-in one is sure of and face-alignment's weights are on this
        machine already. Where "auto" cannot have the weights it makes do with the built-in one and tells ``on_note``
        in a line. Raises UsageError for another aligner, WeightsError where the weights of the one asked for cannot
        be had.
        """
        if aligner not in ALIGNERS:
            raise UsageError(f"There is no aligner {aligner!r}.", f"Use one of: {', '.join(ALIGNERS)}.")
        if aligner == "face-alignment":
            return self._load_fallback().find(image)
        faces = mesh.landmarker().measure(image)
        if aligner == "builtin" or any(_is_sure(face) for face in faces):
            return faces
        second = self._fallback_if_worth_it(faces, on_note)
        return faces if second is None else merged(faces, second.find(image))

    def _load_fallback(self, *, offline: bool | None = None) -> FallbackDetector:
        from facemotion.faces.fallback import FallbackDetector

        with self._lock:
            if self._fallback is None:
                self._fallback = FallbackDetector.load(offline=offline)
            return self._fallback

    def _fallback_if_worth_it(
        self, faces: list[Face], on_note: Callable[[str], None] | None
    ) -> FallbackDetector | None:
        """The second finder; fetched where nothing was found, else only taken where it lies ready. Tried once."""
        if self._out_of_reach is None:
            try:
                return self._load_fallback(offline=True if faces else None)
            except WeightsError as error:
                if not faces:
                    self._out_of_reach = error
        if on_note is not None:
            what = "is unsure of the face" if faces else "found no face"
            on_note(
                f"The built-in finder {what}; the fallback detector was not at hand (see --aligner face-alignment)."
            )
        return None


def merged(builtin: list[Face], second: list[Face]) -> list[Face]:
    """The faces of both finders, each once: whom the built-in one is sure of as it saw them, else the second's."""
    ranked = [face for face in builtin if _is_sure(face)] + second + [face for face in builtin if not _is_sure(face)]
    distinct: list[Face] = []
    for face in ranked:
        if not any(_same(face, other) for other in distinct):
            distinct.append(face)
    return sorted(distinct, key=lambda face: -face.size_px)


_shared = FaceFinder()


def _renew_lock() -> None:
    """In a forked process a lock that another thread held would never be let go."""
    _shared._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def find_faces(image: np.ndarray, *, aligner: str = "auto", on_note: Callable[[str], None] | None = None) -> list[Face]:
    """`FaceFinder.find` of a finder that is loaded once for the whole process; UsageError for what is no photo."""
    check_pixels(image, shapes=((3,),))
    return _shared.find(image, aligner=aligner, on_note=on_note)


def _is_sure(face: Face) -> bool:
    return face.score >= UNSURE_SCORE


def _same(face: Face, other: Face) -> bool:
    dx, dy = face.landmarks.mean(axis=0) - other.landmarks.mean(axis=0)
    return float(dx * dx + dy * dy) ** 0.5 < _SAME_FACE * max(face.size_px, other.size_px)
