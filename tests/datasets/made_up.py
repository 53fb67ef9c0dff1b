"""Made-up recordings: flat frames whose grey says which is which, as files of any kind."""

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 240


def frame(opening: float = 0.0) -> np.ndarray:
    """RGB uint8 (HEIGHT, WIDTH, 3)."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image[:, :, 1] += np.linspace(0, 60, WIDTH).astype(np.uint8)
    image[:100, :100] = round(200 * opening)
    return image


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
