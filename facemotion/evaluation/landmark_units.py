"""Units read off points alone: the package's head, held where the photo's face is, moved until it meets them.

A second opinion beside the landmarker's blendshape network, which is blind to many units. The points are the
landmarks of a frame, or where optical flow finds what lay at the landmarks of another frame; neither knows what was
asked. But the head that explains them is the one that moved the pixels: this reading tells whether a frame shows what
the head would do, not whether real faces do it that way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facemotion.evaluation.sparse_fit import sparse_fit
from facemotion.expressions.life import GAZE_RANGE_DEG
from facemotion.expressions.units import UNIT_COUNT, UNIT_INDEX
from facemotion.faces import geometry
from facemotion.faces.measures import EYE_CORNERS, EYEBALL_RADIUS, IRIS_CENTRES
from facemotion.faces.types import Face
from facemotion.head.fit import landmark_weights
from facemotion.head.own_units import own_units, prior_of
from facemotion.head.rig import EYES, Rig

PENALTY = 2e-5
"""Ridge in squares of the eye distance: landmarks off by a hundredth of it, units that spread by more than two."""
PRICE = 5e-4
"""What a unit must explain to take part at all, in eye distances: a motion of all landmarks together as large as that
moves nothing. Without it a motion is spread over all units that resemble it. Both were chosen on people who are not
held out, with landmarks moved alone: units that move no other one by more than 0.1 are 31 of 33 (ridge alone: 17)."""
_TURN_PENALTY = 1e-8
ENCODINGS = 8
"""How often a photo is shifted, scaled and compressed anew to see how far a reading of it scatters."""
_STRONGEST = 1.2
_SHUT, _OPEN = 0.4, 0.8
"""Shares of an eye's opening at rest at which nothing and all of its iris' place is believed."""
_IRIS_WEIGHT = 0.03
"""Of each iris' centre beside the 468 landmarks, whose weights sum to 1: about that of an eye's margin."""
_SHIFT_PX, _ZOOM, _QUALITY = 3.0, 0.02, (70, 95)
_SIZE_PX = 512
_FITTED = np.array([index for name, index in UNIT_INDEX.items() if name != "tongueOut"])


@dataclass(frozen=True, eq=False)
class LandmarkReader:
    """The head on one photo's face, as an instrument that reads units off landmarks of other pictures of it."""

    face: Face
    rig: Rig
    to_crop: np.ndarray
    """(2, 3) photo px to px of the rig's crop."""

    @classmethod
    def on(cls, face: Face) -> LandmarkReader:
        """Fit the head to a face that the landmarker has measured."""
        to_crop = geometry.photo_to_crop(face.landmarks, _SIZE_PX)
        points = geometry.apply(to_crop, face.require_points()[:, :2].astype(np.float64))
        return cls(face, Rig.on(points, _SIZE_PX, prior=prior_of(face.require_scores())), to_crop)

    @cached_property
    def own(self) -> np.ndarray:
        """(52,) units that the photo shows."""
        return own_units(self.rig.fit.units)

    def moved(self, units: np.ndarray) -> np.ndarray:
        """(478, 3) photo px where the photo's points go when the head shows the units (52,)."""
        control = np.asarray(units, np.float32) - self.own
        shift = np.zeros((len(self.face.require_points()), 2))
        skin = self.rig.landmarks_at(self.rig.moved(control)) - self.rig.landmarks_at(self.rig.source)
        shift[: len(skin)] = skin
        for side, centre in IRIS_CENTRES.items():
            shift[centre : centre + 5] = control @ self._iris_motion(side)
        points = self.face.require_points().astype(np.float64)
        points[:, :2] += shift @ np.linalg.inv(self.to_crop[:, :2]).T
        return points

    def carried(self, points: np.ndarray, frame: np.ndarray, later: np.ndarray) -> np.ndarray:
        """(478, 2) photo px where the pixels that lie at points (478, 2 or 3) of a frame (H, W, 3) uint8 lie later.

        Dense inverse search (Kroeger et al. 2016, ECCV). What a frame shows anew, lids, teeth, is not followed.
        """
        crops = (geometry.warp_crop(each, self.to_crop, _SIZE_PX) for each in (frame, later))
        first, second = (cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops)
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)
        at = geometry.apply(self.to_crop, points[:, :2]).astype(np.float32)
        moved = cv2.remap(flow, at[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        return geometry.apply(geometry.invert(self.to_crop), at + moved)

    def read(self, points: np.ndarray, rest: np.ndarray, *, turned: bool = False) -> np.ndarray:
        """(52,) by how much the units of points (478, 2 or 3) differ from those of the same face ``rest``; photo px.

        Least squares by few units (`sparse_fit`): no unit falls below 0, with as much of it as a face at rest seems to
        have, none rises beyond 1.2. The tongue is not read, nor where an eye looks that shuts. The head is taken to
        stay where it is, unless it may have ``turned``: a few degrees, to first order, and nearer or farther.
        """
        used = [*range(len(self.rig.head.landmark_vertices)), *IRIS_CENTRES.values()]
        change = (points[used, :2] - rest[used, :2]) @ self.to_crop[:, :2].T * self._weights
        columns, normal = self._turning_system if turned else self._system
        seen = self._irises_seen(points, rest)
        if seen.min() < 1:
            counts = np.repeat(np.r_[np.ones(len(used) - len(seen)), seen], 2)
            ridge = normal - columns @ columns.T
            change, columns = change * counts.reshape(change.shape), columns * counts
            normal = columns @ columns.T + ridge
        count = len(_FITTED)
        low, high = np.full(len(columns), -np.inf), np.full(len(columns), np.inf)
        low[:count] = -np.maximum(self.rig.fit.units - self.own, 0)[_FITTED] - 1e-6
        high[:count] = _STRONGEST
        price = np.r_[PRICE * np.linalg.norm(columns[:count], axis=1), np.zeros(len(columns) - count)]
        found = sparse_fit(normal, columns @ change.ravel(), low=low, high=high, price=price)
        result = np.zeros(UNIT_COUNT)
        result[_FITTED] = found[:count]
        return result

    def _irises_seen(self, points: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """(2,) in [0, 1] how much of the left and the right iris lids leave to be seen, of what they leave at rest."""
        shares = [_opening(points, side) / max(_opening(rest, side), 1e-3) for side in IRIS_CENTRES]
        return np.clip((np.array(shares) - _SHUT) / (_OPEN - _SHUT), 0, 1)

    def _iris_motion(self, side: str) -> np.ndarray:
        """(52, 2) crop px that each unit moves an iris, whose eye turns by 30 degrees at 1."""
        outer, inner = (self.rig.landmarks[corner] for corner in EYE_CORNERS[side])
        reach = EYEBALL_RADIUS * float(np.linalg.norm(outer - inner)) * np.sin(np.radians(GAZE_RANGE_DEG))
        outwards = 1.0 if side == "left" else -1.0
        motion = np.zeros((UNIT_COUNT, 2))
        for way, direction in {"Out": (outwards, 0), "In": (-outwards, 0), "Up": (0, -1), "Down": (0, 1)}.items():
            motion[UNIT_INDEX[f"eyeLook{way}{side.capitalize()}"]] = np.multiply(reach, direction)
        return motion

    @cached_property
    def _weights(self) -> np.ndarray:
        """(470, 1) roots of the weights of landmarks and irises, per px of the crop."""
        weights = np.r_[landmark_weights(), [_IRIS_WEIGHT] * len(IRIS_CENTRES)]
        return np.sqrt(weights)[:, None] / self.rig.eye_px

    @cached_property
    def _system(self) -> tuple[np.ndarray, np.ndarray]:
        """(51, 940) what each fitted unit moves, weighted; and the matrix (51, 51) of the normal equations."""
        skin = self.rig.unit_motion[:, self.rig.head.landmark_vertices, :2]
        irises = np.stack([self._iris_motion(side) for side in IRIS_CENTRES], axis=1)
        columns = self._weighted(np.concatenate([skin, irises], axis=1)[_FITTED])
        return columns, columns @ columns.T + PENALTY * np.eye(len(columns))

    @cached_property
    def _turning_system(self) -> tuple[np.ndarray, np.ndarray]:
        """The same (57, 940), (57, 57) with the head's yaw, pitch, roll, scale and shift, which cost nearly nothing."""
        at = self.rig.source[self.rig.head.landmark_vertices]
        irises = [at[list(EYE_CORNERS[side])].mean(0) for side in IRIS_CENTRES]
        x, y, depth = (np.vstack([at, irises]) - at.mean(0)).T
        zero, one = np.zeros_like(x), np.full_like(x, self.rig.eye_px)
        motions = [(depth, zero), (zero, -depth), (-y, x), (x, y), (one, zero), (zero, one)]
        columns = np.vstack([self._system[0], self._weighted(np.array(motions).transpose(0, 2, 1))])
        penalty = np.r_[np.full(len(_FITTED), PENALTY), np.full(len(motions), _TURN_PENALTY)]
        return columns, columns @ columns.T + np.diag(penalty)

    def _weighted(self, motions: np.ndarray) -> np.ndarray:
        """(n, 940) motions (n, 470, 2) px as columns of the fit."""
        return (motions * self._weights).reshape(len(motions), -1).astype(np.float64)


def _opening(points: np.ndarray, side: str) -> float:
    """Mean distance of the lids of an eye across the line between its corners, in lengths of that line."""
    upper, lower = (points[list(margin), :2] for margin in EYES[side.capitalize()])
    along = upper[-1] - upper[0]
    across = np.array([-along[1], along[0]])  # down, for an upright face
    return float(((lower - upper)[1:-1] @ across).mean() / max(float(along @ along), 1e-9))


def encoded_anew(photo: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`ENCODINGS` versions of a photo (H, W, 3) uint8 that show nothing new, and the map (2, 3) from its px to theirs.

    Shifted by up to 3 px, zoomed by up to 2 %, compressed as JPEG of quality 70 to 95.
    """
    source = np.random.default_rng(seed)
    height, width = photo.shape[:2]
    for _ in range(ENCODINGS):
        zoom, shift = 1 + source.uniform(-_ZOOM, _ZOOM), source.uniform(-_SHIFT_PX, _SHIFT_PX, 2)
        moved = np.column_stack([zoom * np.eye(2), shift])
        options = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
        picture = cv2.warpAffine(photo, moved, (width, height), **options)
        yield _compressed(picture, int(source.integers(*_QUALITY, endpoint=True))), moved


def _compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG leaves of a picture (H, W, 3) uint8 RGB."""
    stream = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(stream, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
