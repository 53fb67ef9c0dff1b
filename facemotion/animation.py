"""One photo on its way to frames: which faces, which part of the photo, what each of them does, and every frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from itertools import cycle
from typing import TYPE_CHECKING

from facemotion.expressions.script import Script
from facemotion.faces.framing import Box, Framing, crop_box, flattened, frame_photo
from facemotion.faces.selection import choose_faces
from facemotion.media.contact_sheet import side_by_side
from facemotion.media.photos import Photo
from facemotion.media.prefetch import Background, Prefetcher
from facemotion.profiling import Profile
from facemotion.settings import AnimateSettings

if TYPE_CHECKING:
    import numpy as np

    from facemotion.compositing.performer import Performer
    from facemotion.expressions.performance import Performance
    from facemotion.faces.occlusion import Occlusion
    from facemotion.faces.types import Face
    from facemotion.head.rig import HeadMotion
    from facemotion.models.inference import CorrectionNetwork
    from facemotion.rendering.face import Rendering

Note = Callable[[str], None]
"""Called with one line that the user should read."""

_RENDERERS = 2
"""Threads that render frames."""
_REMEMBERED_BYTES = 64 * 2**20
"""Most memory for faces of frames that come again."""
_ADVISED_TURN_DEG = 6.0
"""Beyond this turn of the head, what the photo does not show begins to be missed."""


class Cast:
    """The faces of one photo that perform, and the part of the photo in which they are seen, ready for any script.

    ``faces`` those chosen, as found in the whole photo; ``performers`` one for each of them; ``framing`` what is shown
    of the photo; ``seed`` whose way to show an expression is performed; ``profile`` where the times of all that, and of
    the frames, are added.
    """

    def __init__(
        self,
        photo: Photo,
        faces: Sequence[Face],
        *,
        crop: bool,
        size: int | None,
        seed: int | None,
        network: CorrectionNetwork | None = None,
        profile: Profile | None = None,
    ):
        """Get the chosen ones of the faces that `find_faces` found ready; ``crop``, ``size`` and ``seed`` as in
        `AnimateSettings`, ``network`` adds to the renderer. Raises NoFaceError for a face that cannot be measured."""
        self.profile = profile or Profile()
        with self.profile.stage("import"):
            from facemotion.compositing.occluders import occluders_of
            from facemotion.compositing.performer import Performer
            from facemotion.faces.mesh import measure_face
            from facemotion.faces.occlusion import find_occlusion

        with self.profile.stage("find"):
            seen = flattened(photo).pixels
            self.faces = list(faces)
            self.occlusions: list[Occlusion] = [find_occlusion(seen, face.landmarks) for face in self.faces]
            measured = [measure_face(seen, face) for face in self.faces]
        with self.profile.stage("fit"):
            self.framing: Framing = frame_photo(photo, [face.landmarks for face in self.faces], crop=crop, size=size)
            self.seed = seed if seed is not None else seed_of(photo)
            visible = flattened(self.framing.photo).pixels
            self.performers: list[Performer] = [
                Performer(
                    visible,
                    self.framing.placed(face.require_points()[:, :2]),
                    landmarks,
                    scores=face.scores,
                    occluders=occluders_of(occlusion, visible, landmarks),
                    seed=self.seed + number,
                    network=network,
                )
                for number, (landmarks, face, occlusion) in enumerate(
                    zip(self.framing.landmarks, measured, self.occlusions, strict=True)
                )
            ]


class Animation:
    """A cast with a script on its way to frames."""

    def __init__(self, cast: Cast, script: Script, *, compare: bool = False):
        """``compare`` puts the photo beside every frame."""
        self._cast, self._script, self._compare = cast, script, compare
        self._performers = cast.performers
        self.performances: list[Performance] = [
            script.performance(performer.own, cast.seed + number) for number, performer in enumerate(self._performers)
        ]
        self._controls = [
            played.controls(performer.own)
            for played, performer in zip(self.performances, self._performers, strict=True)
        ]

    @classmethod
    def of(
        cls,
        photo: Photo,
        settings: AnimateSettings,
        script: Script,
        *,
        name: str,
        on_note: Note,
        network: CorrectionNetwork | None = None,
        profile: Profile | None = None,
    ) -> Animation:
        """Find the faces of a photo and get them ready; ``name`` is the photo's, for messages, ``on_note`` gets
        the lines of advice, and ``profile`` the times; ``network`` adds to the renderer. Raises NoFaceError,
        UsageError."""
        profile = profile or Profile()
        with profile.stage("import"):
            from facemotion.faces.find import find_faces

        with Background(_load_renderer) as loading:
            with profile.stage("find"):
                found = find_faces(flattened(photo).pixels, aligner=settings.aligner, on_note=on_note)
                faces = choose_faces(found, settings.face, name=name)
            with profile.stage("import"):
                loading.wait()
        cast = Cast(
            photo,
            faces,
            crop=settings.crop,
            size=settings.size,
            seed=settings.seed,
            network=network,
            profile=profile,
        )
        _advise(cast, found, photo, on_note)
        clip = cls(cast, script, compare=settings.compare)
        if script.turns and max(abs(_heads(p)).max() for p in clip.performances) > _ADVISED_TURN_DEG + 0.5:
            on_note(f"The head turns by more than {_ADVISED_TURN_DEG:.0f}°: what the photo does not show is stretched.")
        return clip

    @property
    def faces(self) -> list[Face]:
        """Those that perform, as found in the whole photo."""
        return self._cast.faces

    @property
    def framing(self) -> Framing:
        """What is shown of the photo."""
        return self._cast.framing

    @property
    def seed(self) -> int:
        """Whose way to show an expression is performed."""
        return self._cast.seed

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        width, height = self.framing.photo.size_px
        return (2 * width if self._compare else width), height

    @property
    def changing(self) -> Box:
        """The part of the frames outside of which no pixel changes."""
        left = self.framing.photo.size_px[0] if self._compare else 0
        rows, columns = self._region
        return left + columns.start, rows.start, left + columns.stop, rows.stop

    @property
    def sheet_boxes(self) -> list[Box]:
        """The parts of the frames that a contact sheet shows: each face, of the clip and not of a photo beside it."""
        width, height = self.framing.photo.size_px
        left = width if self._compare else 0
        boxes = [crop_box([points], (width, height)) for points in self.framing.landmarks]
        return [(left + x0, y0, left + x1, y1) for x0, y0, x1, y1 in boxes]

    def labels(self) -> list[str]:
        """For every frame its time."""
        return [f"{frame / self._script.fps:.2f} s" for frame in range(self._script.frames)]

    def frames(self) -> Generator[np.ndarray, None, None]:
        """All frames in order; those in which nothing is to change are the photo."""
        return self._frames(range(self._script.frames))

    def frame(self, number: int) -> np.ndarray:
        """One frame, as `frames` gives it."""
        photo = self._photo()
        frame = self._composed(self._rendered(number)) if self._changes(number) else photo
        return side_by_side(photo, frame) if self._compare else frame

    def strengths(self) -> np.ndarray:
        """(T,) how much the first face moves in every frame: the sum of what its units change by."""
        import numpy as np

        return np.abs(self._controls[0]).sum(1)

    def record(self, write: Callable[..., None]) -> None:
        """Hand every frame's time, units, head and landmarks of the first face to `TrackWriter.write`."""
        performer, played, controls = self._performers[0], self.performances[0], self._controls[0]
        for number in range(self._script.frames):
            head = _head(played, number)
            write(
                number / self._script.fps,
                played.units[number],
                head=None if played.head is None else played.head[number],
                landmarks=performer.landmarks_at(controls[number], head),
            )

    def samples(self) -> tuple[np.ndarray, ...]:
        """The frames in which the faces are furthest from the photo, and some between, for what must know colours."""
        import numpy as np

        frames = self._script.frames
        peaks = {int(np.abs(control).sum(1).argmax()) for control in self._controls}
        return tuple(self._frames(sorted(peaks | {frames // 3, 2 * frames // 3})))

    def _frames(self, numbers: range | list[int]) -> Generator[np.ndarray, None, None]:
        photo, known = self._photo(), self._repeated(numbers)
        first: set[bytes] = set()
        rendered = []
        for number in numbers:
            pose = self._pose(number)
            if self._changes(number) and not (pose in known and pose in first):
                rendered.append(number)
                first.add(pose)
        with ExitStack() as stack:
            # Every other frame is rendered in another thread, so that two cores have something to do.
            renderers = [
                stack.enter_context(Prefetcher((self._rendered(number) for number in part), ahead=1))
                for part in (rendered[k::_RENDERERS] for k in range(_RENDERERS))
            ]
            renderings = map(next, cycle(renderers))
            for number in numbers:
                pose = self._pose(number)
                if not self._changes(number):
                    frame = photo
                elif (face := known.get(pose)) is not None:
                    frame = photo.copy()
                    frame[self._region] = face
                else:
                    frame = self._composed(next(renderings))
                    if pose in known:
                        known[pose] = frame[self._region].copy()
                yield side_by_side(photo, frame) if self._compare else frame

    def _repeated(self, numbers: range | list[int]) -> dict[bytes, np.ndarray | None]:
        """The poses that come more than once, as on the way back of a loop, and are worth remembering: as many as fit
        into `_REMEMBERED_BYTES`."""
        y, x = self._region
        channels = 3 if self.framing.photo.alpha is None else 4
        room = _REMEMBERED_BYTES // ((y.stop - y.start) * (x.stop - x.start) * channels)
        times = Counter(self._pose(number) for number in numbers if self._changes(number))
        return {pose: None for pose in [pose for pose, count in times.items() if count > 1][:room]}

    def _pose(self, number: int) -> bytes:
        """What all faces do in a frame; frames of one pose are alike."""
        import numpy as np

        parts = [np.round(control[number], 6) for control in self._controls]
        parts += [played.head[number] for played in self.performances if played.head is not None]
        return b"".join((part + 0.0).tobytes() for part in parts)

    @property
    def _region(self) -> tuple[slice, slice]:
        """Rows and columns of the photo outside of which no pixel changes."""
        regions = [performer.region(turns=self._script.turns) for performer in self._performers]
        x0, y0 = (min(region[side] for region in regions) for side in (0, 1))
        x1, y1 = (max(region[side] for region in regions) for side in (2, 3))
        return slice(y0, y1), slice(x0, x1)

    def _photo(self) -> np.ndarray:
        return _joined(self.framing.photo.pixels, self.framing.photo.alpha)

    def _changes(self, number: int) -> bool:
        return any(control[number].any() for control in self._controls) or any(
            bool(_head(played, number)) for played in self.performances
        )

    def _rendered(self, number: int) -> list[Rendering]:
        with self._cast.profile.stage("render", frames=1):
            return [
                performer.render(control[number], _head(played, number))
                for performer, control, played in zip(self._performers, self._controls, self.performances, strict=True)
            ]

    def _composed(self, renderings: list[Rendering]) -> np.ndarray:
        with self._cast.profile.stage("composite", frames=1):
            pixels, alpha = self.framing.photo.pixels.copy(), self.framing.photo.alpha
            if alpha is not None:
                alpha = alpha.copy()
            for performer, rendering in zip(self._performers, renderings, strict=True):
                performer.composite(rendering, onto=pixels, alpha=alpha)
            return _joined(pixels, alpha)


def _load_renderer() -> None:
    """What is needed as soon as the faces are found, and takes as long to load as that."""
    from facemotion.compositing import performer  # noqa: F401
    from facemotion.faces.occlusion import occlusion_estimator
    from facemotion.rendering.face import warm_up

    occlusion_estimator()
    warm_up()


def seed_of(photo: Photo) -> int:
    """The seed that belongs to a photo: the same picture, the same performance."""
    from facemotion.expressions.recipes import seed_from_bytes

    return seed_from_bytes(photo.pixels.tobytes())


def _heads(played: Performance) -> np.ndarray:
    import numpy as np

    return np.zeros((1, 3)) if played.head is None else played.head


def _head(played: Performance, number: int) -> HeadMotion | None:
    from facemotion.head.rig import HeadMotion

    if played.head is None or not played.head[number].any():
        return None
    yaw, pitch, roll = (float(angle) for angle in played.head[number])
    return HeadMotion(yaw=yaw, pitch=pitch, roll=roll)


def _joined(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    import numpy as np

    return pixels if alpha is None else np.dstack([pixels, alpha])


def _advise(cast: Cast, found: list[Face], photo: Photo, on_note: Note) -> None:
    from facemotion.faces.warnings import face_warnings

    if len(found) > len(cast.faces):
        on_note(f"{len(found)} faces found, {len(cast.faces)} animated: choose with --face all, N or X,Y.")
    for face, occlusion in zip(cast.faces, cast.occlusions, strict=True):
        for line in face_warnings(face, photo.pixels.shape, occlusion):
            on_note(line if len(cast.faces) == 1 else f"Face {found.index(face) + 1}: {line}")
