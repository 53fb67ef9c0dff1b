"""One face of one photo that can perform: found, fitted, rendered and put back."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from facemotion.compositing.face_in_photo import Bounds, FaceInPhoto
from facemotion.compositing.occluders import Occluders
from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.head.own_units import own_units, prior_of
from facemotion.head.rig import HeadMotion
from facemotion.rendering.correction import corrected
from facemotion.rendering.face import FaceRenderer, Rendering

if TYPE_CHECKING:
    from facemotion.models.inference import CorrectionNetwork

_LEAST_PX, _MOST_PX = 256, 1024
"""Sides of the square crop in which eyes and mouth are drawn; about as fine as the photo between these."""


class Performer:
    """A face that shows any units, at its photo's own resolution.

    photo: (H, W, 3) uint8 RGB. points: (478, 2 or 3) photo px Face Mesh landmarks. landmarks: (68, 2) photo px of the
    same face. scores: (52,) the landmarker's scores of its units, None where they are not known. occluders:
    what lies in front of the face. seed: whose teeth it has. network: what adds to the renderer's frames what only
    photographs tell; None leaves them as they are.
    """

    def __init__(
        self,
        photo: np.ndarray,
        points: np.ndarray,
        landmarks: np.ndarray,
        *,
        scores: np.ndarray | None = None,
        occluders: Occluders | None = None,
        seed: int = 0,
        network: CorrectionNetwork | None = None,
    ):
        unit = geometry.photo_to_crop(landmarks, _MOST_PX)
        size = int(np.clip(round(_MOST_PX / geometry.scale_of(unit) / 16) * 16, _LEAST_PX, _MOST_PX))
        to_crop = geometry.photo_to_crop(landmarks, size)
        crop = geometry.warp_crop(photo, to_crop, size)
        in_crop = geometry.apply(to_crop, np.asarray(points, np.float64)[:, :2])
        prior = None if scores is None else prior_of(scores)
        self._renderer = FaceRenderer(crop, in_crop, prior=prior, seed=seed)
        self._place = FaceInPhoto(photo, to_crop, size, landmarks, occluders=occluders)
        self._to_photo = geometry.invert(to_crop)
        self._alpha: np.ndarray | None = None
        self._network = None if network is None else network.photo(crop, self._renderer.rig)

    @cached_property
    def own(self) -> np.ndarray:
        """(52,) float32 the units that the photo shows itself."""
        return own_units(self._renderer.rig.fit.units)

    def region(self, *, turns: bool) -> Bounds:
        """Bounds (x0, y0, x1, y1) in photo px outside of which no pixel changes, whether or not the head turns."""
        return self._place.region(turns=turns)

    def render(self, control: np.ndarray, head: HeadMotion | None = None) -> Rendering:
        """The face at a control (52,) = units - `own`, and with its head turned. May run in another thread."""
        rendering = self._renderer.render(control, head)
        if self._network is None:
            return rendering
        return corrected(rendering, self._network.correct(control, rendering), self._renderer.size_px)

    def composite(
        self, rendering: Rendering, *, onto: np.ndarray | None = None, alpha: np.ndarray | None = None
    ) -> np.ndarray:
        """The photo (H, W, 3) uint8 with the rendered face; written into ``onto``, a frame of another face, if given.

        alpha: (H, W) uint8 the photo's own, or a frame's, into which its outline is written as it moves along.
        """
        if alpha is not None:
            self._place.move_along(rendering, self._outline(alpha), alpha)
        return self._place.frame(rendering, onto=onto)

    def _outline(self, alpha: np.ndarray) -> np.ndarray:
        """The alpha of the photo itself, kept from the first frame on."""
        if self._alpha is None:
            self._alpha = alpha.copy()
        return self._alpha

    def landmarks_at(self, control: np.ndarray, head: HeadMotion | None = None) -> np.ndarray:
        """(68, 2) photo px of the iBUG landmarks at a control (52,), with the head turned."""
        points = self._renderer.landmarks_at(control, head)
        return geometry.apply(self._to_photo, points[list(FROM_FACE_MESH)])
