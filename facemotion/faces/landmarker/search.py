"""Where the faces of a photo are: BlazeFace on several sizes of the photo, verified by the face mesh.

BlazeFace sees faces of 16 to 130 px in its input, lying and upside-down ones included, and takes a good many wheels
and pebbles for faces. So everything that it proposes is looked at by the face mesh:

* Sure faces, which BlazeFace and the mesh's presence agree on, are taken as MediaPipe takes them.
* The others are brought upright: BlazeFace looks at the place again, nearer and smoother, from all four sides, and the
  best of its answers go to the mesh, each also as its mirror image. On a face, the two meshes agree to a fraction of a
  pixel; where there is none, the points are invented and differ. `evidence` weighs all that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facemotion.faces.landmarker import blazeface, face_mesh
from facemotion.faces.landmarker.blazeface import Detections, joined, suppress
from facemotion.faces.landmarker.crops import crop, roi_of_picture, rois_of_detections
from facemotion.faces.landmarker.networks import LandmarkerNetworks
from facemotion.faces.landmarker.roi import Roi

COARSE_PX, FINE_PX = 512, 1280
"""Longer side of the photo where faces from 3 % of it are looked for, and of the second pass, from 1.2 %."""

SMALL_FACE = 0.06
"""Share of the photo's longer side below which the largest face calls for the fine pass."""

LARGE_FACE = 0.2
"""Share of the photo's longer side from which a face is large enough for BlazeFace as MediaPipe asks it."""

CANDIDATE_SCORE = 0.3
"""BlazeFace's score from which a place is looked at; `MEDIAPIPE_SCORE` where a sure face shows the photo to be easy."""

MEDIAPIPE_SCORE = 0.5
"""The score from which MediaPipe takes a place for a face."""

MOST_CANDIDATES = 400

SURE_SCORE, SURE_PRESENCE = 0.8, 8.0
"""BlazeFace's score and the mesh's presence logit above which nothing else is asked."""

FACE_SCORE = 0.5
"""Score from which a candidate counts as a face."""

SAME_FACE = 0.5
"""Distance between the middles of two faces, in sizes of the larger, below which they are one."""

SOFTNESS = 0.005
"""Standard deviation of the blur, in longer sides of the photo, with which a photo without faces is looked at again."""

_SAME_PLACE_IOU = 0.3
_CONTEXTS = (2, 3)
"""How much more than the part around a face BlazeFace is shown when it looks again."""

_LIKE_SIZES = (0.6, 1.6)
"""Sizes of what it then sees, relative to what it saw, that still mean the same face."""

UPRIGHT_SCORE = 0.52
MOST_UPRIGHTS = 3
"""From which score, and how many of what BlazeFace sees when it looks again, the mesh is asked."""

_SAME_ANGLE = math.radians(30)

HOPELESS = -8.0
"""Presence logit below which there is no need to look into the mirror."""

OBVIOUS = 3.0
"""Evidence from which no further place is tried."""


@dataclass(frozen=True, eq=False)
class Found:
    """A face that was found: where to look, the mesh's points (478, 3) there in sides of the part, and logits.

    score: BlazeFace's for sure faces, else the chance that this is a face whose points are in their places.
    """

    roi: Roi
    points: np.ndarray
    presence: float
    tongue: float
    score: float


def find(networks: LandmarkerNetworks, image: np.ndarray) -> list[Found]:
    """The faces of a photo (H, W, 3) uint8, surest first."""
    return _sought(networks, image) or _sought_softly(networks, image)


def _sought_softly(networks: LandmarkerNetworks, image: np.ndarray) -> list[Found]:
    """The faces of a photo that shows none as it is, with its noise, brush strokes and steps of tone smoothed away."""
    ratio = max(1.0, max(image.shape[:2]) / COARSE_PX)
    width, height = (max(1, round(side / ratio)) for side in image.shape[1::-1])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), SOFTNESS * max(width, height))
    return [replace(face, roi=_enlarged(face.roi, image.shape[1] / width)) for face in _sought(networks, soft)]


def _enlarged(roi: Roi, ratio: float) -> Roi:
    """The same part of a photo ``ratio`` times as large, edges on edges."""
    x, y = (ratio * value + (ratio - 1) / 2 for value in roi.centre)
    return Roi((x, y), ratio * roi.width_px, ratio * roi.height_px, roi.angle)


def _sought(networks: LandmarkerNetworks, image: np.ndarray) -> list[Found]:
    longer = max(image.shape[:2])
    faces = _verified(networks, image, _coarse(networks, image))
    if longer > COARSE_PX and not any(face.roi.size_px >= SMALL_FACE * longer for face in faces):
        faces = distinct([*faces, *_verified(networks, image, _level(networks, image, FINE_PX))])
    return faces


def detect_as_mediapipe(networks: LandmarkerNetworks, image: np.ndarray) -> Detections:
    """What BlazeFace sees in a photo (H, W, 3) uint8, with MediaPipe's threshold; places in photo px."""
    (found,) = _within(networks, image, [roi_of_picture(image.shape)], least_score=MEDIAPIPE_SCORE)
    return suppress(found)


def _coarse(networks: LandmarkerNetworks, image: np.ndarray) -> Detections:
    """Candidates in the photo as MediaPipe shows it to BlazeFace, smaller for huge faces, and larger for small ones.

    Where several of them see a face, the one that MediaPipe would see is kept.
    """
    longer = max(image.shape[:2])
    whole = roi_of_picture(image.shape)
    wide = replace(whole, width_px=2 * longer, height_px=2 * longer)
    anchors, wide_anchors = _within(networks, image, [whole, wide])
    first = suppress(anchors.chosen(anchors.scores >= MEDIAPIPE_SCORE))
    others = [suppress(anchors), suppress(wide_anchors)]
    if longer > 2 * blazeface.INPUT_PX:
        others.append(_level(networks, image, COARSE_PX))
    large = first.boxes[:, 2] - first.boxes[:, 0] >= LARGE_FACE * longer
    preferred = (first.scores >= SURE_SCORE) | large
    rest = _without_overlap(joined([first.chosen(~preferred), *others]))
    return _without_overlap(joined([first.chosen(preferred), rest]), ranked=True)


def _within(
    networks: LandmarkerNetworks, image: np.ndarray, rois: Sequence[Roi], *, least_score: float = CANDIDATE_SCORE
) -> list[Detections]:
    """Every anchor that sees a face in parts of a photo, each shown at 128 px; places in photo px."""
    pictures = np.stack([crop(image, roi, blazeface.INPUT_PX, repeat_edge=False) for roi in rois])
    return [
        _placed(found, roi) for found, roi in zip(networks.detect(pictures, least_score=least_score), rois, strict=True)
    ]


def _placed(found: Detections, roi: Roi) -> Detections:
    """Detections in a 128 px crop as photo px; boxes of turned parts keep their size and their middle."""
    to_photo = roi.crop_to_photo
    to_photo[:, :2] /= blazeface.INPUT_PX
    keypoints = found.keypoints @ to_photo[:, :2].T + to_photo[:, 2]
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 @ to_photo[:, :2].T + to_photo[:, 2]
    half = (found.boxes[:, 2:] - found.boxes[:, :2]) / 2 * (roi.width_px, roi.height_px) / blazeface.INPUT_PX
    return Detections(found.scores, np.hstack([middles - half, middles + half]), keypoints)


def _level(networks: LandmarkerNetworks, image: np.ndarray, longer_px: int) -> Detections:
    """What BlazeFace sees in the whole photo, its longer side at most ``longer_px``."""
    scale = min(1.0, longer_px / max(image.shape[:2]))
    width, height = (max(1, round(side * scale)) for side in image.shape[1::-1])
    shrunk = image if scale == 1 else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    stride = blazeface.STRIDE_PX
    picture = np.zeros((-(-height // stride) * stride, -(-width // stride) * stride, 3), np.uint8)
    picture[:height, :width] = shrunk
    (found,) = networks.detect(picture[None], least_score=CANDIDATE_SCORE)
    # Shrunk pixels are means over areas, so that edges stay on edges; places are told from the first pixel's centre.
    ratio = image.shape[1] / width
    return suppress(found, same_face_iou=_SAME_PLACE_IOU).moved(scale=ratio, offset=((ratio - 1) / 2, (ratio - 1) / 2))


def _without_overlap(found: Detections, *, ranked: bool = False) -> Detections:
    """The best of detections that overlap, unchanged; ``ranked``: as they come, not by score."""
    left = np.arange(len(found)) if ranked else np.argsort(-found.scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < MOST_CANDIDATES:
        kept.append(left[0])
        left = left[1:][blazeface.iou(found.boxes[left[0]], found.boxes[left[1:]]) <= _SAME_PLACE_IOU]
    return found.chosen(np.array(kept, int))


def _verified(networks: LandmarkerNetworks, image: np.ndarray, found: Detections) -> list[Found]:
    """Those candidates that are faces, each once, surest first."""
    rois = rois_of_detections(found)
    promising = np.flatnonzero(found.scores >= SURE_SCORE)
    looks = networks.mesh([_look(image, rois[i]) for i in promising])
    faces, unsure = [], sorted(set(range(len(rois))) - set(promising.tolist()))
    for k, i in enumerate(promising):
        if looks.presence[k] < SURE_PRESENCE:
            unsure.append(int(i))
            continue
        points, presence, tongue = looks.points[k] / face_mesh.INPUT_PX, looks.presence[k], looks.tongue[k]
        faces.append(Found(rois[i], points, float(presence), float(tongue), float(found.scores[i])))
    least = MEDIAPIPE_SCORE if faces else CANDIDATE_SCORE
    unsure = [i for i in unsure if found.scores[i] >= least and not any(_holds(face.roi, rois[i]) for face in faces)]
    return distinct([*faces, *_examined(networks, image, found.chosen(np.array(unsure, int)))])


def _examined(networks: LandmarkerNetworks, image: np.ndarray, found: Detections) -> list[Found]:
    """Those of the candidates that are faces when brought upright and looked at in the mirror as well."""
    faces = []
    for roi, score in zip(rois_of_detections(found), found.scores.tolist(), strict=True):
        best: Found | None = None
        for place, place_score in _places(networks, image, roi, score):
            face, apart, presence = _mirrored_look(networks, image, place)
            odds = evidence(score, place_score, presence, apart)
            if best is None or _chance(odds) > best.score:
                best = replace(face, score=_chance(odds))
            if odds > OBVIOUS:
                break
        if best is not None and best.score >= FACE_SCORE:
            faces.append(best)
    return faces


def _places(networks: LandmarkerNetworks, image: np.ndarray, roi: Roi, score: float) -> Iterator[tuple[Roi, float]]:
    """Where the face of a candidate may be, with BlazeFace's score: as it was first seen, then brought upright."""
    if score >= MEDIAPIPE_SCORE:
        yield roi, score
    yield from _uprights(networks, image, roi)


def _mirrored_look(networks: LandmarkerNetworks, image: np.ndarray, roi: Roi) -> tuple[Found, float, float]:
    """What the mesh sees in a part; how far from that what it sees in the mirror is, mean in sides of the part; and
    the higher of both presence logits."""
    size, mirror = face_mesh.INPUT_PX, networks.canonical.mirror
    picture = _look(image, roi)
    look = networks.mesh([picture])
    face = Found(roi, look.points[0] / size, float(look.presence[0]), float(look.tongue[0]), 0.0)
    if face.presence < HOPELESS:
        return face, 1.0, face.presence
    mirrored = networks.mesh([np.ascontiguousarray(picture[:, ::-1])])
    back = mirrored.points[0, mirror, :2] * (-1, 1) + (size, 0)
    apart = float(np.abs(back - look.points[0, : len(mirror), :2]).mean()) / size
    return face, apart, max(face.presence, float(mirrored.presence[0]))


def _uprights(networks: LandmarkerNetworks, image: np.ndarray, roi: Roi) -> list[tuple[Roi, float]]:
    """Parts, upright by what BlazeFace sees in them, that may hold the face of a candidate; best first, with scores."""
    views, sides = [], []
    for context in _CONTEXTS:
        wide = replace(roi, width_px=context * roi.width_px, height_px=context * roi.height_px)
        view = _smooth_crop(image, wide)
        for quarters in range(4):
            views.append(np.rot90(view, quarters))
            sides.append(replace(wide, angle=wide.angle + quarters * math.pi / 2))
    answers = []
    for found, side in zip(networks.detect(np.stack(views), least_score=UPRIGHT_SCORE), sides, strict=True):
        seen = _placed(suppress(found), side)
        answers += [
            (other, float(score))
            for score, other in zip(seen.scores, rois_of_detections(seen), strict=True)
            if _LIKE_SIZES[0] < other.size_px / roi.size_px < _LIKE_SIZES[1]
            and math.dist(other.centre, roi.centre) < SAME_FACE * 2 / 3 * roi.size_px
            and abs(math.remainder(other.angle - side.angle, math.tau)) < math.pi / 3
        ]
    ranked: list[tuple[Roi, float]] = []
    for other, score in sorted(answers, key=lambda answer: -answer[1]):
        if all(abs(math.remainder(other.angle - one.angle, math.tau)) > _SAME_ANGLE for one, _ in ranked):
            ranked.append((other, score))
    return ranked[:MOST_UPRIGHTS]


def _smooth_crop(image: np.ndarray, roi: Roi) -> np.ndarray:
    """A part as (128, 128, 3) uint8, each pixel the mean over its area."""
    size, fine = blazeface.INPUT_PX, 3 * blazeface.INPUT_PX
    to_photo = roi.crop_to_photo
    to_photo[:, :2] /= fine
    to_photo[:, 2] += to_photo[:, :2].sum(axis=1) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(image, to_photo, (fine, fine), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def evidence(score: float, upright_score: float, presence: float, apart: float) -> float:
    """The log odds, roughly, that there is a face with its points in their places.

    From BlazeFace's score in the photo and for the part brought upright, the mesh's presence logit, and how far the
    mesh's points in the part are from those in its mirror image, mean in sides of the part. Logistic regression on
    1,700 candidates in photos of training people, changed in 20 ways, and in 366 pictures without faces.
    """
    return (
        0.8 * _logit(score)
        + 1.6 * _logit(upright_score)
        + 0.19 * min(max(presence, -10.0), 12.0)
        - 4.34 * math.log(max(apart, 1e-4))
        - 21.2
    )


def distinct(faces: Sequence[Found]) -> list[Found]:
    """The surest of faces that lie on, or within, each other."""
    kept: list[Found] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not any(_same(face.roi, other.roi) for other in kept):
            kept.append(face)
    return kept


def _same(one: Roi, other: Roi) -> bool:
    """Whether two parts hold one face; faces fill two thirds of their parts."""
    return math.dist(one.centre, other.centre) < SAME_FACE * 2 / 3 * max(one.size_px, other.size_px)


def _holds(face: Roi, other: Roi) -> bool:
    return other.size_px <= face.size_px and _same(face, other)


def _look(image: np.ndarray, roi: Roi) -> np.ndarray:
    return crop(image, roi, face_mesh.INPUT_PX, repeat_edge=True)


def _logit(chance: float) -> float:
    bounded = min(max(chance, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
