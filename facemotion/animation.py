"""One photo on its way to frames: which faces, which part of the photo, and every frame in order."""

import operator
from collections.abc import Generator
from typing import TYPE_CHECKING

from facemotion.faces.framing import Box, Framing, crop_box, flattened, frame_photo
from facemotion.faces.selection import choose_faces
from facemotion.media.contact_sheet import side_by_side
from facemotion.media.photos import Photo
from facemotion.media.prefetch import Prefetcher
from facemotion.settings import AnimateSettings

if TYPE_CHECKING:
    import numpy as np

    from facemotion.compositing.composite import Composite
    from facemotion.faces.types import Face
    from facemotion.models.inference import Inference, MotionArrays, Note


class Animation:
    """One photo on its way to frames."""

    def __init__(
        self,
        photo: Photo,
        settings: AnimateSettings,
        track: list[tuple[float, ...]],
        inference: "Inference",
        *,
        name: str,
        on_note: "Note",
    ):
        from facemotion.compositing.composite import Composite
        from facemotion.faces.find import find_faces

        self._settings, self._track, self._inference, self._on_note = settings, track, inference, on_note
        found = find_faces(flattened(photo).pixels, aligner=settings.aligner, on_note=on_note)
        self.faces: list[Face] = choose_faces(found, settings.face, name=name)
        _advise(self.faces, found, photo, on_note)
        landmarks = [face.landmarks for face in self.faces]
        self.framing: Framing = frame_photo(photo, landmarks, crop=settings.crop, size=settings.size)
        size = inference.config.input_px
        visible = flattened(self.framing.photo).pixels
        faces = [Composite(visible, points, size) for points in self.framing.landmarks]
        self._crops = [face.crop(size) for face in faces]
        self._colour: list[Composite] = faces
        self._alpha: list[Composite] = []
        alpha = self.framing.photo.alpha
        if alpha is not None:
            # Hidden colours stay the file's own, and the outline moves with the face.
            pixels = self.framing.photo.pixels
            self._colour = [Composite(pixels, points, size) for points in self.framing.landmarks]
            outline = alpha[:, :, None].repeat(3, axis=2)
            self._alpha = [Composite(outline, points, size, grain=False) for points in self.framing.landmarks]

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        width, height = self.framing.photo.size_px
        return (2 * width if self._settings.compare else width), height

    @property
    def changing(self) -> Box:
        """The part of the frames outside of which no pixel changes."""
        left = self.framing.photo.size_px[0] if self._settings.compare else 0
        regions = [composite.region for composite in self._colour]
        x0, y0 = (min(region[side] for region in regions) for side in (0, 1))
        x1, y1 = (max(region[side] for region in regions) for side in (2, 3))
        return left + x0, y0, left + x1, y1

    @property
    def sheet_boxes(self) -> list[Box]:
        """The parts of the frames that a contact sheet shows: each face, of the clip and not of a photo beside it."""
        width, height = self.framing.photo.size_px
        left = width if self._settings.compare else 0
        boxes = [crop_box([points], (width, height)) for points in self.framing.landmarks]
        return [(left + x0, y0, left + x1, y1) for x0, y0, x1, y1 in boxes]

    def labels(self) -> list[str]:
        """For every frame what its control is."""
        known = self._inference.config.expressions
        return [
            " ".join(f"{name} {a:.2f}" for name, a in zip(known, control, strict=True) if a) or "neutral"
            for control in self._track
        ]

    def frames(self) -> "Generator[np.ndarray, None, None]":
        """All frames in order; those at control 0 are the photo."""
        return self._frames(self._track)

    def samples(self) -> "tuple[np.ndarray, ...]":
        """The frame in which each expression of the clip is strongest."""
        asked = [index for index, column in enumerate(zip(*self._track, strict=True)) if any(column)]
        peaks = {max(self._track, key=operator.itemgetter(index)) for index in asked}
        return tuple(self._frames(sorted(peaks)))

    def _frames(self, track: list[tuple[float, ...]]) -> "Generator[np.ndarray, None, None]":
        photo = self._join(self.framing.photo.pixels, self.framing.photo.alpha)
        moving = [control for control in track if any(control)]
        with Prefetcher(self._inference.motions(self._crops, moving, on_note=self._on_note)) as motions:
            for control in track:
                frame = photo
                if any(control):
                    motion = next(motions)
                    pixels = self._composed(self._colour, motion)
                    frame = self._join(pixels, self._moved_alpha(motion) if self._alpha else None)
                yield side_by_side(photo, frame) if self._settings.compare else frame

    @staticmethod
    def _composed(composites: "list[Composite]", motion: "list[MotionArrays]") -> "np.ndarray":
        frame: np.ndarray | None = None
        for composite, face in zip(composites, motion, strict=True):
            frame = composite.frame(face.flow, face.shade, face.mask, face.colour, face.kept, onto=frame)
        assert frame is not None  # there is a face
        return frame

    def _moved_alpha(self, motion: "list[MotionArrays]") -> "np.ndarray":
        frame: np.ndarray | None = None
        for composite, face in zip(self._alpha, motion, strict=True):
            frame = composite.frame(face.flow, 0 * face.shade, 0 * face.mask, 0 * face.colour, face.kept, onto=frame)
        assert frame is not None
        return frame[:, :, 0]

    @staticmethod
    def _join(pixels: "np.ndarray", alpha: "np.ndarray | None") -> "np.ndarray":
        import numpy as np

        return pixels if alpha is None else np.dstack([pixels, alpha])


def _advise(chosen: "list[Face]", found: "list[Face]", photo: Photo, on_note: "Note") -> None:
    from facemotion.faces.warnings import face_warnings

    if len(found) > len(chosen):
        on_note(f"{len(found)} faces found, {len(chosen)} animated: choose with --face all, N or X,Y.")
    for face in chosen:
        for line in face_warnings(face, photo.pixels.shape):
            on_note(line if len(chosen) == 1 else f"Face {found.index(face) + 1}: {line}")
