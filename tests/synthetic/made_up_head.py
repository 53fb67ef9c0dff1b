"""A head made in code, in the layout of ICT-FaceKit: a curved sheet with two eye holes and a slit for a mouth."""

from functools import cache

import cv2
import numpy as np

from facemotion.synthetic.fit import landmark_offsets
from facemotion.synthetic.head import VERTEX_RANGES, HeadModel
from tests.faces.faces import frontal_landmarks

SIDE = 97  # 97 x 97 vertices are the 9409 of the face
PX_PER_CM = 12.0
PHOTO_PX = 288
_BOTH = {
    "browDown": ("brow", (0, -0.6)),
    "browInnerUp": ("inner brow", (0, 0.6)),
    "browOuterUp": ("outer brow", (0, 0.6)),
    "eyeBlink": ("upper lid", (0, -0.9)),
    "eyeWide": ("upper lid", (0, 0.3)),
    "eyeSquint": ("lower lid", (0, 0.3)),
    "cheekSquint": ("lower lid", (0, 0.2)),
    "noseSneer": ("wing", (0, 0.5)),
    "mouthSmile": ("corner", (0.6, 0.7)),
    "mouthFrown": ("corner", (0, -0.6)),
    "mouthStretch": ("corner", (0.7, 0)),
    "mouthDimple": ("corner", (0.1, 0.2)),
    "mouthPress": ("corner", (0, 0.05)),
    "mouthUpperUp": ("upper lip", (0, 0.5)),
    "mouthLowerDown": ("lower lip", (0, -0.5)),
}
_PLACES = {  # landmarks of the person's left side, and reach in cm
    "brow": ((22, 23, 24, 25, 26), 1.2),
    "inner brow": ((22, 23), 1.2),
    "outer brow": ((25, 26), 1.2),
    "upper lid": ((43, 44), 0.45),
    "lower lid": ((46, 47), 0.45),
    "wing": ((35,), 1.0),
    "corner": ((54,), 0.9),
    "upper lip": ((52, 53), 0.7),
    "lower lip": ((55, 56), 0.7),
}
_MIRROR = {22: 21, 23: 20, 24: 19, 25: 18, 26: 17, 43: 38, 44: 37, 46: 41, 47: 40, 35: 31, 54: 48, 52: 50, 53: 49}
_MIRROR |= {55: 59, 56: 58}


def landmarks_cm() -> np.ndarray:
    """(68, 2) x to the person's left, y up: where the made-up face has its landmarks."""
    points = frontal_landmarks(centre=(0, 0), eye_distance_px=6.4).astype(np.float64)
    points[[37, 38, 43, 44], 1] -= 0.25
    points[[40, 41, 46, 47], 1] += 0.25
    return points * [1, -1]


@cache
def head() -> HeadModel:
    """The model; the same every time."""
    x, y = np.meshgrid(np.linspace(-7.5, 7.5, SIDE), np.linspace(-8.5, 10, SIDE))
    face = np.column_stack([x.ravel(), y.ravel(), (10.5 - x**2 / 12 - (y - 1) ** 2 / 40).ravel()])
    landmarks = landmarks_cm()
    vertices = np.zeros((26719, 3))
    vertices[: len(face)] = face
    corner = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)[:-1, :-1].ravel()
    triangles = np.concatenate(
        [
            np.column_stack([corner, corner + 1, corner + SIDE]),
            np.column_stack([corner + 1, corner + SIDE + 1, corner + SIDE]),
        ]
    )
    middles = face[triangles, :2].mean(1)
    open_ = np.zeros(len(triangles), bool)
    for part in (slice(36, 42), slice(42, 48)):
        shape = (landmarks[part] * 1000).astype(np.int32)
        open_ |= [cv2.pointPolygonTest(shape, tuple((p * 1000).tolist()), False) > 0 for p in middles]
    mouth = landmarks[60:68]
    open_ |= (np.abs(middles[:, 1] - mouth[:, 1].mean()) < 0.13) & (np.abs(middles[:, 0]) < mouth[:, 0].max())
    sheets = [triangles[~open_]]
    for part, z in (("socket", 5.0), ("eyes", 6.0)):
        start = VERTEX_RANGES[part][0]
        vertices[start : start + 4] = [(-6, -7, z), (6, -7, z), (-6, 6, z), (6, 6, z)]
        sheets.append(np.array([[0, 1, 2], [1, 3, 2]]) + start)
    vertices[VERTEX_RANGES["eyes"][0] : VERTEX_RANGES["eyes"][0] + 2, 1] = 0  # only behind the eyes
    for part, y0 in (("upper_teeth", -2.6), ("lower_teeth", -3.4)):
        start, stop = VERTEX_RANGES[part]
        t = np.linspace(-2, 2, stop - start)
        vertices[start:stop] = np.column_stack([t, np.full_like(t, y0), 9.5 - t**2 / 4])
    wanted = landmarks - landmark_offsets()[:, :2]
    wanted[60:65, 1], wanted[65:68, 1] = mouth[:, 1].mean() + 0.2, mouth[:, 1].mean() - 0.2  # either side of the slit
    at = np.array([np.argmin(((face[:, :2] - p) ** 2).sum(1)) for p in wanted])
    names, deltas = zip(*_units(vertices, landmarks, mouth[:, 1].mean()), strict=True)
    identities = np.zeros((3, *vertices.shape))
    identities[0, : len(face), 0] = 0.05 * face[:, 0]  # wider
    identities[1, : len(face), 1] = 0.05 * face[:, 1]  # longer
    identities[2, : len(face), 2] = 0.05 * face[:, 2]  # deeper
    return HeadModel(
        vertices.astype(np.float32),
        np.concatenate(sheets).astype(np.int32)[:, [0, 1, 2]],
        (*names, "browTogether_L", "browTogether_R"),
        np.stack([*deltas, *_zeros(2, vertices)]).astype(np.float32),
        identities.astype(np.float32),
        at,
    )


def photo() -> tuple[np.ndarray, np.ndarray]:
    """A drawn face that fits the head, uint8 (288, 288, 3), and its landmarks (68, 2) px."""
    landmarks = landmarks_cm() * [PX_PER_CM, -PX_PER_CM] + PHOTO_PX / 2
    image = np.full((PHOTO_PX, PHOTO_PX, 3), (90, 120, 150), np.uint8)
    cv2.ellipse(image, (PHOTO_PX // 2, PHOTO_PX // 2 - 5), (88, 112), 0, 0, 360, (205, 160, 140), -1)
    for start in (17, 22):
        cv2.polylines(image, [_px(landmarks[start : start + 5])], False, (70, 50, 40), 4)
    for start in (36, 42):
        cv2.fillPoly(image, [_px(landmarks[start : start + 6])], (235, 230, 225))
        cv2.circle(image, tuple(_px(landmarks[start : start + 6].mean(0)).tolist()), 4, (60, 40, 30), -1)
    cv2.fillPoly(image, [_px(landmarks[48:60])], (180, 85, 85))
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8), landmarks


def _px(points: np.ndarray) -> np.ndarray:
    return np.round(points).astype(np.int32)


def _zeros(count: int, vertices: np.ndarray) -> np.ndarray:
    return np.zeros((count, *vertices.shape))


def _units(vertices: np.ndarray, landmarks: np.ndarray, slit_y: float):
    for name, (place, (dx, dy)) in _BOTH.items():
        numbers, reach = _PLACES[place]
        for side, sign in (("L", 1), ("R", -1)):
            chosen = numbers if side == "L" else tuple(_MIRROR[number] for number in numbers)
            yield f"{name}_{side}", _bump(vertices, landmarks[list(chosen)], (sign * dx, dy), reach, slit_y)
    jaw = np.zeros_like(vertices)
    below = (vertices[:, 1] < slit_y) & (np.arange(len(vertices)) < VERTEX_RANGES["face"][1])
    jaw[below, 1] = -2.5 * np.exp(-((vertices[below, 0] / 3) ** 2))
    yield "jawOpen", jaw
    for name in ("mouthFunnel", "mouthPucker", "mouthShrugLower", "mouthRollLower", "mouthRollUpper"):
        yield name, np.zeros_like(vertices)


def _bump(
    vertices: np.ndarray, centres: np.ndarray, move: tuple[float, float], reach: float, slit_y: float
) -> np.ndarray:
    near = np.exp(-(((vertices[:, None, :2] - centres) / reach) ** 2).sum(2)).max(1)
    near[VERTEX_RANGES["face"][1] :] = 0
    near[(vertices[:, 1] > slit_y) != (centres[:, 1].mean() > slit_y)] *= 0.5
    delta = np.zeros_like(vertices)
    delta[:, 0], delta[:, 1] = near * move[0], near * move[1]
    return delta
