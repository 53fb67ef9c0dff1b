"""One face followed through a video: its units, the head and the eyes, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from facemotion.expressions.life import GAZE_RANGE_DEG
from facemotion.expressions.smoothing import OneEuroFilter
from facemotion.expressions.units import UNIT_INDEX
from facemotion.faces.landmarker import Landmarker, Roi
from facemotion.faces.landmarker.crops import ROI_SCALE, rois_of_detections
from facemotion.faces.selection import choose_faces
from facemotion.faces.types import Face
from facemotion.faces.unit_reader import unit_reader
from facemotion.media.footage import FootageFrame

LONGEST_PX = 1280
"""Frames are shrunk to this: a face of 5 % of the picture still has the landmarker's 256 px within reach."""

_SEARCH_EVERY = 8  # frames without a face between two searches that are slower and see smaller faces
_SAME_PLACE = 0.35  # distance of centres, in sizes of the face, below which two sightings are of one face

_GROWTH = 1.6  # nor grow or shrink by more than this
_NEAR = 1.3  # faces closer than this, in sizes, may be mistaken for one another
_UNLIKE, _WHOLLY_UNLIKE = 0.4, 0.4  # what another look costs, as a distance in sizes; from where on it is another
_FOLLOWED = 0.3  # share of the cost where the landmarker followed the face and nobody else was near
_MORE_ALIKE = 0.02  # correlation of looks
_UNASSIGNED = 0.6  # a sighting costlier than this belongs to nobody
_LOOK_RATE = 0.1  # share of each frame in the memory of how a face looks
_LOOK_PX = 64
_REMEMBERED_S = 1.0  # a face that was lost for longer may come back anywhere
_FORGOTTEN_S = 3.0  # and after this, whoever is there is taken

_CUT_CORRELATION, _CUT_CHANGE = 0.5, 18.0  # of thumbnails of two frames, in grey levels

_UNITS_FILTER = {"min_cutoff_hz": 3.0, "beta": 8.0}  # units of speech change by 3 a second
_LIDS_FILTER = {"min_cutoff_hz": 3.0, "beta": 1.0}  # of a blink by 10; half-closed lids are read as open or as closed
_LIDS = [UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]
_ANGLES_FILTER = {"min_cutoff_hz": 0.8, "beta": 0.04}  # degrees; a dropping jaw seems to nod


@dataclass(frozen=True, eq=False)
class Sighting:
    """What one frame shows. time_s seconds from the first frame; face None where it was not seen; cut whether the
    frame begins another scene."""

    time_s: float
    face: Face | None
    cut: bool


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """A face through T frames. NaN where it was not seen.

    time_s: (T,) seconds. units: (T, 52) float32, as `unit_reader` reads them scene by scene. head: (T, 3) float32 yaw,
    pitch, roll in degrees. eyes: (T, 4) float32 yaw and pitch in degrees of the left and the right eye, to the person's
    left and up.
    seen, cuts: (T,) bool.
    """

    time_s: np.ndarray
    units: np.ndarray
    head: np.ndarray
    eyes: np.ndarray
    seen: np.ndarray
    cuts: np.ndarray

    def __len__(self) -> int:
        return len(self.time_s)

    @classmethod
    def of(cls, sightings: Iterable[Sighting]) -> FaceTrack:
        """The sightings as arrays, not smoothed."""
        reader = unit_reader()
        found = [
            (
                sighting.time_s,
                sighting.cut,
                None if sighting.face is None else (reader.row(sighting.face).astype(np.float16), sighting.face.pose),
            )
            for sighting in sightings
        ]
        time_s = np.array([time_s for time_s, _, _ in found])
        cuts = np.array([cut for _, cut, _ in found], bool)
        seen = np.array([measured is not None for _, _, measured in found], bool)
        units = np.full((len(found), 52), np.nan, np.float32)
        head = np.full((len(found), 3), np.nan, np.float32)
        for scene in _scenes(time_s, seen, cuts):
            measured = [found[frame][2] for frame in scene]
            units[scene] = reader.units(np.stack([row for row, _ in filter(None, measured)]))
            head[scene] = [pose for _, pose in filter(None, measured)]
        return cls(time_s=time_s, units=units, head=head, eyes=eye_angles(units), seen=seen, cuts=cuts)

    def smoothed(self) -> FaceTrack:
        """Without the jitter of the measurement: a one-euro filter forwards and backwards, so that nothing lags.

        Nothing is smoothed across a cut, or into a gap.
        """
        units, head = self.units.copy(), self.head.copy()
        for start, end in self._stretches():
            part = slice(start, end)
            smooth = _smoothed(self.time_s[part], self.units[part], _UNITS_FILTER)
            smooth[:, _LIDS] = _smoothed(self.time_s[part], self.units[part][:, _LIDS], _LIDS_FILTER)
            units[part] = np.clip(smooth, 0, 1)
            turns = np.degrees(np.unwrap(np.radians(self.head[part]), axis=0))
            head[part] = (_smoothed(self.time_s[part], turns, _ANGLES_FILTER) + 180) % 360 - 180
        return FaceTrack(self.time_s, units, head, eye_angles(units), self.seen, self.cuts)

    @property
    def gaps(self) -> int:
        """How many stretches of frames do not show the face."""
        return int((~self.seen & np.concatenate([[True], self.seen[:-1]])).sum()) if len(self) else 0

    def _stretches(self) -> list[tuple[int, int]]:
        starts = self.seen & (np.concatenate([[True], ~self.seen[:-1]]) | self.cuts)
        ends = self.seen & np.concatenate([~self.seen[1:] | self.cuts[1:], [True]])
        return list(zip(np.flatnonzero(starts).tolist(), (np.flatnonzero(ends) + 1).tolist(), strict=True))


def _scenes(time_s: np.ndarray, seen: np.ndarray, cuts: np.ndarray) -> list[np.ndarray]:
    """The frames that show one person's face, by scene: after a cut or a long absence it may be somebody else."""
    frames = np.flatnonzero(seen)
    if not len(frames):
        return []
    scene = np.cumsum(cuts)[frames]
    begins = (np.diff(scene) > 0) | (np.diff(time_s[frames]) > _FORGOTTEN_S)
    return np.split(frames, np.flatnonzero(begins) + 1)


def eye_angles(units: np.ndarray) -> np.ndarray:
    """(T, 4) degrees, left and right yaw and pitch, of the units of gaze (T, 52)."""

    def unit(name: str) -> np.ndarray:
        return units[:, UNIT_INDEX[name]]

    columns = []
    for eye, outwards in (("Left", 1), ("Right", -1)):
        columns.append(outwards * (unit(f"eyeLookOut{eye}") - unit(f"eyeLookIn{eye}")))
        columns.append(unit(f"eyeLookUp{eye}") - unit(f"eyeLookDown{eye}"))
    return np.stack(columns, axis=1) * np.float32(GAZE_RANGE_DEG)


@dataclass(eq=False)
class _Person:
    """Somebody in the video: where last seen, how fast, and how they look."""

    centre: np.ndarray
    size_px: float
    seen_s: float
    look: np.ndarray | None = None
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def expected(self, time_s: float) -> np.ndarray:
        """Where the face should be by now."""
        return self.centre + self.velocity * min(time_s - self.seen_s, 0.5)

    def see(self, centre: np.ndarray, size_px: float, time_s: float, look: np.ndarray, *, contested: bool) -> None:
        """Takes a sighting into account; where somebody else may be meant, it hardly counts for speed and look."""
        if time_s > self.seen_s:
            speed = (centre - self.centre) / (time_s - self.seen_s)
            self.velocity = self.velocity + (0.05 if contested else 0.4) * (speed - self.velocity)
        self.centre, self.size_px, self.seen_s = centre, size_px, time_s
        if not contested:
            self.look = look if self.look is None else _unit_length((1 - _LOOK_RATE) * self.look + _LOOK_RATE * look)

    def cost(self, centre: np.ndarray, size_px: float, look: np.ndarray, time_s: float) -> float:
        """How unlikely it is that a sighting is of this person."""
        away = float(np.hypot(*(centre - self.expected(time_s)))) / self.size_px
        grown = abs(float(np.log(size_px / self.size_px)))
        unlike = 0.0 if self.look is None else float(1 - self.look @ look) / 2
        trust = max(0.0, 1 - (time_s - self.seen_s) / _REMEMBERED_S)  # in the place, the longer ago the less
        return trust * (away + grown) + (_UNLIKE * trust + 1 - trust) * min(1.0, unlike / _WHOLLY_UNLIKE)


class FaceTracker:
    """Follows one face through the frames of a video, which come in order.

    choice: which one where it first appears, and after every cut: as ``--face`` of ``animate``, but for ``all``. While
    another face is near, position, speed and looks decide together which is which.
    """

    def __init__(self, landmarker: Landmarker, *, choice: str = "largest"):
        self._landmarker, self._choice = landmarker, choice
        self._target: _Person | None = None
        self._points: np.ndarray | None = None
        self._others: list[_Person] = []
        self._thumbnail: np.ndarray | None = None
        self._missing = 0

    def __call__(self, frame: FootageFrame) -> Sighting:
        """What the frame shows of the face."""
        cut = self._is_cut(frame.pixels)
        if cut:
            self._target, self._points, self._others, self._missing = None, None, [], 0
        face = self._first(frame) if self._target is None else self._next(frame)
        self._points = None if face is None else face.points
        self._missing = 0 if face is not None else self._missing + 1
        return Sighting(frame.time_s, face, cut)

    def _first(self, frame: FootageFrame) -> Face | None:
        """The chosen face where nobody is followed yet."""
        faces: list[Face] = []
        if self._missing % _SEARCH_EVERY == 0:  # all of them, numbered as in a photo
            faces = self._landmarker.measure(frame.pixels)
        elif self._choice == "largest":
            faces = self._quickly(frame.pixels)
        chosen = _chosen(faces, self._choice, frame.scale)
        for face in faces:
            centre, size_px = _place(face.roi)
            person = _Person(centre, size_px, frame.time_s, _look(frame.pixels, face.roi))
            if face is chosen:
                self._target = person
            else:
                self._others.append(person)
        return chosen

    def _quickly(self, pixels: np.ndarray) -> list[Face]:
        """The faces that BlazeFace sees at once, largest first."""
        seen = self._landmarker.measure_at(pixels, rois_of_detections(self._landmarker.detect(pixels)))
        return sorted((face for face in seen if face is not None), key=lambda face: -face.size_px)

    def _next(self, frame: FootageFrame) -> Face | None:
        """The face that is followed, in the next frame."""
        target, now_s = self._target, frame.time_s
        assert target is not None
        followed = None
        if self._points is not None:
            followed = self._landmarker.follow(frame.pixels, self._points)
        rois = rois_of_detections(self._landmarker.detect(frame.pixels))
        if followed is not None and not any(_same(roi, followed.roi) for roi in rois):
            rois.append(followed.roi)
        if followed is None and not rois and self._missing % _SEARCH_EVERY == _SEARCH_EVERY - 1:
            rois = [face.roi for face in self._landmarker.measure(frame.pixels)]
        owners = self._assigned(frame, rois, followed)
        if 0 not in owners:
            return self._anybody(frame, rois) if now_s - target.seen_s > _FORGOTTEN_S else None
        mine = rois[owners.index(0)]
        face = followed if followed is not None and _same(mine, followed.roi) else None
        if face is None:
            face = self._landmarker.measure_at(frame.pixels, [mine])[0]
        if face is None:
            return None
        centre, size_px = _place(mine)
        target.see(centre, size_px, now_s, _look(frame.pixels, mine), contested=self._contested(now_s))
        return face

    def _assigned(self, frame: FootageFrame, rois: list[Roi], followed: Face | None) -> list[int | None]:
        """Whose face each part of the frame shows: 0 the target's, None nobody's.

        Newcomers become others, but not half a face beside the target, nor while it is lost and may be the newcomer.
        """
        from scipy.optimize import linear_sum_assignment

        assert self._target is not None
        now_s = frame.time_s
        self._others = [person for person in self._others if now_s - person.seen_s < _FORGOTTEN_S]
        people = [self._target, *self._others]
        owners: list[int | None] = [None] * len(rois)
        looks = [_look(frame.pixels, roi) for roi in rois]
        places = [_place(roi) for roi in rois]
        cost = np.array(
            [[person.cost(*place, look, now_s) for person in people] for place, look in zip(places, looks, strict=True)]
        ).reshape(len(rois), len(people))
        contested = self._contested(now_s)
        if contested:  # who looks more like somebody else is that one
            alike = np.array(
                [[-1.0 if person.look is None else look @ person.look for person in people] for look in looks]
            )
            cost[:, 0] += (alike.reshape(cost.shape) > alike.reshape(cost.shape)[:, :1] + _MORE_ALIKE).any(axis=1)
        elif followed is not None:
            cost[[_same(roi, followed.roi) for roi in rois], 0] *= _FOLLOWED
        allowed = np.full((len(rois), len(rois)), _UNASSIGNED)  # or nobody
        for row, column in zip(*linear_sum_assignment(np.hstack([cost, allowed])), strict=True):
            if column < len(people):
                owners[row] = int(column)
        here, near_px = self._target.expected(now_s), _NEAR * self._target.size_px
        for row, owner in enumerate(owners):
            if owner is None and 0 in owners and np.hypot(*(places[row][0] - here)) > near_px:
                self._others.append(_Person(*places[row], now_s, looks[row]))
            elif owner:
                people[owner].see(*places[row], now_s, looks[row], contested=contested)
        return owners

    def _anybody(self, frame: FootageFrame, rois: list[Roi]) -> Face | None:
        """After a long absence, the chosen one of those who are there."""
        faces = [face for face in self._landmarker.measure_at(frame.pixels, rois) if face is not None]
        face = _chosen(sorted(faces, key=lambda face: -face.size_px), self._choice, frame.scale)
        if face is not None:
            self._target = _Person(*_place(face.roi), frame.time_s, _look(frame.pixels, face.roi))
            self._others = []
        return face

    def _contested(self, now_s: float) -> bool:
        assert self._target is not None
        here, size_px = self._target.expected(now_s), self._target.size_px
        return any(
            np.hypot(*(person.expected(now_s) - here)) < _NEAR * max(size_px, person.size_px) for person in self._others
        )

    def _is_cut(self, pixels: np.ndarray) -> bool:
        """Whether a frame has nothing to do with the one before."""
        small = cv2.resize(pixels, (32, 18), interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2)
        before, self._thumbnail = self._thumbnail, small
        if before is None:
            return False
        change = float(np.abs(small - before).mean())
        spread = float(small.std() * before.std())
        alike = float(((small - small.mean()) * (before - before.mean())).mean()) / spread if spread > 1 else 1.0
        return change > _CUT_CHANGE and alike < _CUT_CORRELATION


def track_face(
    frames: Iterable[FootageFrame],
    *,
    landmarker: Landmarker,
    choice: str = "largest",
    on_frame: Callable[[], None] | None = None,
) -> FaceTrack:
    """The chosen face through all frames, as measured, not smoothed; ``on_frame`` is called after each."""
    tracker = FaceTracker(landmarker, choice=choice)

    def sightings() -> Iterable[Sighting]:
        for frame in frames:
            yield tracker(frame)
            if on_frame is not None:
                on_frame()

    return FaceTrack.of(sightings())


def _chosen(faces: list[Face], choice: str, scale: float) -> Face | None:
    from facemotion.errors import NoFaceError

    if "," in choice:
        x, y = (float(number) * scale for number in choice.split(","))
        choice = f"{x:f},{y:f}"
    try:
        return choose_faces(faces, choice, name="the frame")[0]
    except NoFaceError:
        return None


def _place(roi: Roi) -> tuple[np.ndarray, float]:
    """Centre and size px of the face in a part."""
    return np.array(roi.centre), roi.size_px / ROI_SCALE


def _same(first: Roi, second: Roi) -> bool:
    away = float(np.hypot(first.centre[0] - second.centre[0], first.centre[1] - second.centre[1])) * ROI_SCALE
    larger, smaller = max(first.size_px, second.size_px), min(first.size_px, second.size_px)
    return away < _SAME_PLACE * larger and larger < _GROWTH * smaller


def _look(pixels: np.ndarray, roi: Roi) -> np.ndarray:
    """How a face looks, coarsely and whatever the exposure: a vector of length 1."""
    matrix = cv2.invertAffineTransform(roi.crop_to_photo @ np.diag([1 / _LOOK_PX, 1 / _LOOK_PX, 1.0]))
    face = cv2.warpAffine(pixels, matrix, (_LOOK_PX, _LOOK_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(face, (12, 12), interpolation=cv2.INTER_AREA)[1:-1, 2:-2].astype(np.float32)
    return _unit_length((small - small.mean()).ravel())


def _unit_length(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _smoothed(time_s: np.ndarray, values: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    """The mean of the filter's ways there and back, whose lags cancel."""
    there, back = OneEuroFilter(**settings), OneEuroFilter(**settings)
    forwards = [there(float(now_s), value) for now_s, value in zip(time_s, values, strict=True)]
    backwards = [back(-float(now_s), value) for now_s, value in zip(time_s[::-1], values[::-1], strict=True)]
    return (np.stack(forwards) + np.stack(backwards)[::-1]) / 2
