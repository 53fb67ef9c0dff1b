"""A photo whose face performs, composed as in a clip and read by the landmarker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH

if TYPE_CHECKING:
    from facemotion.compositing.performer import Performer
    from facemotion.datasets.photo_samples import MeasuredPhoto
    from facemotion.faces.types import Face
    from facemotion.models.inference import CorrectionNetwork

_MOVED = [*range(17, 27), *range(48, 68)]
"""Of 68 landmarks those of brows and mouth."""


@dataclass(frozen=True, eq=False)
class Actor:
    """A photo (H, W, 3) uint8 whose largest face performs, and that face as the landmarker reads it in the photo."""

    photo: np.ndarray
    performer: Performer
    seen: Face

    @classmethod
    def of(cls, path: Path, *, longest_px: int, network: CorrectionNetwork | None = None) -> Actor:
        """A photo, no larger than ``longest_px``; ``network`` corrects its frames. Its pixels tell whose teeth it has.

        Raises InputError where there is no face to be animated.
        """
        from facemotion.compositing.occluders import occluders_of
        from facemotion.compositing.performer import Performer
        from facemotion.expressions.recipes import seed_from_bytes
        from facemotion.faces.find import find_faces
        from facemotion.faces.mesh import landmarker, measure_face
        from facemotion.faces.occlusion import find_occlusion
        from facemotion.faces.selection import choose_faces
        from facemotion.media.photos import read_photo

        photo = _at_most(read_photo(path).pixels, longest_px)
        face = choose_faces(find_faces(photo, aligner="builtin"), "largest", name=path.name)[0]
        measured = measure_face(photo, face)
        occluders = occluders_of(find_occlusion(photo, face.landmarks), photo, face.landmarks)
        performer = Performer(
            photo,
            measured.require_points(),
            face.landmarks,
            scores=measured.scores,
            occluders=occluders,
            seed=seed_from_bytes(photo.tobytes()),
            network=network,
        )
        # Read as the frames will be, from the same part of the picture.
        return cls(photo, performer, landmarker().follow(photo, measured.require_points()) or measured)

    @property
    def landmarks(self) -> np.ndarray:
        """(68, 2) photo px."""
        return self.seen.require_points()[list(FROM_FACE_MESH), :2]

    def control(self, units: np.ndarray) -> np.ndarray:
        """(52,) what leads from the photo to the units (52,)."""
        return np.asarray(units, np.float32) - self.performer.own

    def control_to(self, other: Actor) -> np.ndarray:
        """(52,) what brings the photo nearest to another photo of the same person, heads laid on each other.

        Of two ways the one after which the landmarks of mouth and brows are nearer: to the units that the other photo
        shows, which lean towards rest, as what is read of each photo by itself does; or to its landmarks, as both heads
        place them, which confuse a dropped jaw with a nod.
        """
        from facemotion.datasets.photo_samples import control_between, pair_landmarks
        from facemotion.evaluation.regions import head_similarity

        by_units = self.control(other.performer.own)
        by_landmarks = control_between(*pair_landmarks(self._measured(), other._measured()))
        wanted = geometry.apply(head_similarity(other.landmarks, self.landmarks), other.landmarks)

        def apart(control: np.ndarray) -> float:
            away = self.performer.landmarks_at(control) - wanted
            return float(np.linalg.norm(away[_MOVED], axis=1).mean())

        return min((by_units, by_landmarks), key=apart)

    def _measured(self) -> MeasuredPhoto:
        from facemotion.datasets.photo_samples import MeasuredPhoto
        from facemotion.datasets.samples import SIZE_PX

        to_crop = geometry.photo_to_crop(self.landmarks, SIZE_PX)
        points = geometry.apply(to_crop, self.seen.require_points()[:, :2].astype(np.float64))
        crop = geometry.warp_crop(self.photo, to_crop, SIZE_PX)
        return MeasuredPhoto("", crop, points, self.seen.require_scores())


def _at_most(photo: np.ndarray, longest_px: int) -> np.ndarray:
    ratio = longest_px / max(photo.shape[:2])
    if ratio >= 1:
        return photo
    height, width = (max(1, round(side * ratio)) for side in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
