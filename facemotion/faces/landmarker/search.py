"""Where the faces of a photo are: BlazeFace on several sizes of the photo, verified by the face mesh.

BlazeFace sees faces of 16 to 130 px in its input, lying and upside-down ones included, and takes a good many wheels
and coins for faces. So everything that it proposes is looked at by the face mesh:

* Sure faces, which BlazeFace and the mesh's presence agree on, are taken as MediaPipe takes them.
* The others are brought upright: of four quarter turns of the place, the one in which BlazeFace is surest counts. The
  mesh then looks at the place and at its mirror image. On a face, the two agree to a fraction of a pixel; where there
  is none, the points are invented and differ. `evidence` weighs all that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facemotion.faces.landmarker import blazeface, face_mesh
from facemotion.faces.landmarker.blazeface import Detections, joined, suppress
from facemotion.faces.landmarker.crops import crop, roi_of_picture, rois_of_detections
from facemotion.faces.landmarker.networks import Networks
from facemotion.faces.landmarker.roi import Roi

COARSE_PX, FINE_PX = 512, 1280
"""Longer side of the photo where faces from 3 % of it are looked for, and of the second pass, from 1.2 %."""

SMALL_FACE = 0.06
"""Share of the photo's longer side below which the largest face calls for the fine pass."""

CANDIDATE_SCORE = 0.3
"""BlazeFace's score from which a place is looked at."""

MOST_CANDIDATES = 400

SURE_SCORE, SURE_PRESENCE = 0.8, 8.0
"""BlazeFace's score and the mesh's presence logit above which nothing else is asked."""

FACE_SCORE = 0.5
"""Score from which a candidate counts as a face."""

SAME_FACE = 0.5
"""Distance between the middles of two faces, in sizes of the larger, below which they are one."""

_SAME_PLACE_IOU = 0.3
_UPRIGHT_SCALE = 4 / 3
"""How much more than the part around a face is shown to BlazeFace when it is brought upright."""


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


def find(networks: Networks, image: np.ndarray) -> list[Found]:
    """The faces of a photo (H, W, 3) uint8, surest first."""
    longer = max(image.shape[:2])
    faces = _verified(networks, image, _coarse(networks, image))
    if longer > COARSE_PX and not any(face.roi.size_px >= SMALL_FACE * longer for face in faces):
        faces = distinct([*faces, *_verified(networks, image, _level(networks, image, FINE_PX))])
    return faces


def _coarse(networks: Networks, image: np.ndarray) -> Detections:
    """Candidates in the photo as MediaPipe shows it to BlazeFace, smaller for huge faces, and larger for small ones.

    Where several of them see a face, the one that MediaPipe would see is kept.
    """
    whole = roi_of_picture(image.shape)
    wide = replace(whole, width_px=2 * whole.width_px, height_px=2 * whole.height_px)
    found = [_within(networks, image, [roi])[0] for roi in (whole, wide)]
    if max(image.shape[:2]) > 2 * blazeface.INPUT_PX:
        found.append(_level(networks, image, COARSE_PX))
    as_mediapipe = found[0].scores >= SURE_SCORE
    preferred = [found[0].chosen(as_mediapipe), _without_overlap(joined([found[0].chosen(~as_mediapipe), *found[1:]]))]
    return _without_overlap(joined(preferred), ranked=True)


def _within(networks: Networks, image: np.ndarray, rois: Sequence[Roi]) -> list[Detections]:
    """What BlazeFace sees in parts of a photo, each shown at 128 px; places in sides of the part."""
    pictures = np.stack([crop(image, roi, blazeface.INPUT_PX, repeat_edge=False) for roi in rois])
    return [
        _placed(suppress(found), roi)
        for found, roi in zip(networks.detect(pictures, least_score=CANDIDATE_SCORE), rois, strict=True)
    ]


def _placed(found: Detections, roi: Roi) -> Detections:
    """Detections in a 128 px crop as photo px; boxes of turned parts keep their size and their middle."""
    to_photo = roi.crop_to_photo
    to_photo[:, :2] /= blazeface.INPUT_PX
    keypoints = found.keypoints @ to_photo[:, :2].T + to_photo[:, 2]
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 @ to_photo[:, :2].T + to_photo[:, 2]
    half = (found.boxes[:, 2:] - found.boxes[:, :2]) / 2 * (roi.width_px, roi.height_px) / blazeface.INPUT_PX
    return Detections(found.scores, np.hstack([middles - half, middles + half]), keypoints)


def _level(networks: Networks, image: np.ndarray, longer_px: int) -> Detections:
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
    kept = []
    while len(left) and len(kept) < MOST_CANDIDATES:
        kept.append(left[0])
        left = left[1:][blazeface.iou(found.boxes[left[0]], found.boxes[left[1:]]) <= _SAME_PLACE_IOU]
    return found.chosen(np.array(kept, int))


def _verified(networks: Networks, image: np.ndarray, found: Detections) -> list[Found]:
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
    unsure = [i for i in unsure if not any(_holds(face.roi, rois[i]) for face in faces)]
    return distinct([*faces, *_examined(networks, image, found.chosen(np.array(unsure, int)))])


def _examined(networks: Networks, image: np.ndarray, found: Detections) -> list[Found]:
    """Those of the candidates that are faces when brought upright and looked at in the mirror as well."""
    rois, scores = _upright(networks, image, rois_of_detections(found))
    crops = [_look(image, roi) for roi in rois]
    looks = networks.mesh(crops)
    mirrored = networks.mesh([np.ascontiguousarray(picture[:, ::-1]) for picture in crops])
    size, mirror = face_mesh.INPUT_PX, networks.canonical.mirror
    faces = []
    for i, roi in enumerate(rois):
        back = mirrored.points[i, mirror, :2] * (-1, 1) + (size, 0)
        apart = float(np.abs(back - looks.points[i, : len(mirror), :2]).mean()) / size
        chance = _chance(evidence(found.scores[i], scores[i], max(looks.presence[i], mirrored.presence[i]), apart))
        if chance >= FACE_SCORE:
            points = looks.points[i] / size
            faces.append(Found(roi, points, float(looks.presence[i]), float(looks.tongue[i]), chance))
    return faces


def _upright(networks: Networks, image: np.ndarray, rois: Sequence[Roi]) -> tuple[list[Roi], list[float]]:
    """For every part: how BlazeFace sees its face best after some quarter turns, and how sure it then is."""
    best, scores = [], []
    for roi in rois:
        wider = replace(roi, width_px=_UPRIGHT_SCALE * roi.width_px, height_px=_UPRIGHT_SCALE * roi.height_px)
        turned = [replace(wider, angle=roi.angle + quarters * math.pi / 2) for quarters in range(4)]
        views = _within(networks, image, turned)
        answers = [
            (float(view.scores[k]), other)
            for view, side in zip(views, turned, strict=True)
            for k, other in enumerate(rois_of_detections(view))
            if math.dist(other.centre, roi.centre) < SAME_FACE / 2 * roi.size_px
            and abs(math.remainder(other.angle - side.angle, math.tau)) < math.pi / 3
        ]
        score, place = max(answers, key=lambda answer: answer[0], default=(CANDIDATE_SCORE / 2, roi))
        best.append(place)
        scores.append(score)
    return best, scores


def evidence(score: float, upright_score: float, presence: float, apart: float) -> float:
    """The log odds, roughly, that there is a face with its points in their places.

    From BlazeFace's score in the photo and for the part brought upright, the mesh's presence logit, and how far the
    mesh's points in the part are from those in its mirror image, mean in sides of the part. Logistic regression.
    """
    return (
        1.478 * _logit(score)
        + 2.276 * _logit(upright_score)
        + 0.187 * min(max(presence, -10.0), 12.0)
        - 2.151 * math.log(max(apart, 1e-4))
        - 11.85
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
