"""Made-up recordings: frames that carry, in grey blocks at the upper left, what a stand-in for the finder reads.

The blocks survive JPEG and video, so that importers can be tested without a trained finder and without photographs.
"""

from pathlib import Path

import cv2
import numpy as np

from facemotion.faces.types import Face
from tests.faces.faces import frontal_landmarks

WIDTH, HEIGHT = 320, 240
EYE_DISTANCE_PX = 50.0
_BLOCK = 16
_OPENING_PX = 18.0
_LOWER_LIP = [55, 56, 57, 58, 59, 65, 66, 67]


def landmarks(opening: float = 0.0, *, turn_deg: float = 0.0, shift_px: float = 0.0) -> np.ndarray:
    """(68, 2) of a face whose lower lip has dropped by ``opening`` in [0, 1], moved to the right by ``shift_px``."""
    points = frontal_landmarks(
        centre=(170.0 + shift_px, 120.0), eye_distance_px=EYE_DISTANCE_PX, turn_deg=(turn_deg, 0.0, 0.0)
    )
    points[_LOWER_LIP, 1] += _OPENING_PX * opening
    return points


def frame(opening: float = 0.0, *, faces: int = 1, turn_deg: float = 0.0, shift_px: float = 0.0) -> np.ndarray:
    """RGB uint8 (HEIGHT, WIDTH, 3)."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image[:, :, 1] += np.linspace(0, 60, WIDTH).astype(np.uint8)
    points = landmarks(opening, turn_deg=turn_deg, shift_px=shift_px)
    for part in (slice(36, 42), slice(42, 48), slice(48, 60)):
        cv2.fillPoly(image, [np.round(points[part]).astype(np.int32)], (200, 60, 50))
    for place, value in enumerate((100 * faces, 200 * opening, 100 + 2 * turn_deg, 100 + 2 * shift_px)):
        image[:_BLOCK, place * _BLOCK : (place + 1) * _BLOCK] = round(value)
    return image


def find_faces(image: np.ndarray) -> list[Face]:
    """The stand-in for the face finder: the faces that the blocks speak of."""
    blocks = [image[4:12, place * _BLOCK + 4 : place * _BLOCK + 12].mean() for place in range(4)]
    count, opening, turn, shift = blocks[0] / 100, blocks[1] / 200, (blocks[2] - 100) / 2, (blocks[3] - 100) / 2
    points = landmarks(opening, turn_deg=turn, shift_px=shift)
    box = (*points.min(0).tolist(), *points.max(0).tolist())
    return [Face(points + 5 * number, box, 0.9, (turn, 0.0, 0.0)) for number in range(round(count))]


def write_image(path: Path, image: np.ndarray) -> None:
    """Any format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[:, :, ::-1])


def write_video(path: Path, frames: list[np.ndarray], *, fps: int = 25) -> None:
    """H.264 in the container that the suffix names."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_landmarks(path: Path, points: np.ndarray) -> None:
    """68 lines ``x y`` as CK+ has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"   {x:.7e}   {y:.7e}\n" for x, y in points))
