"""Whether frames are still what they were: render them before a change, and again after it.

    python -m tests.benchmarks.same_frames record before.npz [PHOTO ...] [--precision bf16]
    python -m tests.benchmarks.same_frames compare before.npz

Each photo is animated through strong and opposite expressions, every unit among them, with and without turns of the
head. What the photo's face looks like (points, occlusion) is found anew each time. The photos are scikit-image's
astronaut, whose face fills 1000 px, the portrait of the documentation, and each PHOTO. ``compare`` works in the
precision that was recorded, and ends with exit code 1 where any pixel of any frame differs by more than one level, in
bf16 by more than two.
"""

import argparse
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facemotion.api import Animator
from facemotion.media.photos import Photo, read_photo
from facemotion.settings import AnimateSettings

STEPS = (
    "smile:1.2,surprise,blink,open-fear,sadness:1.3,neutral,"
    "jawOpen:0.7+eyeLookUpLeft+eyeLookUpRight+browInnerUp,mouthPucker+eyeLookOutLeft+eyeLookInRight+noseSneerLeft,"
    "mouthFunnel+jawLeft+eyeBlinkLeft:0.6+cheekPuff,mouthUpperUpLeft+mouthUpperUpRight+eyeSquintLeft+browDownRight,"
    "mouthRollLower+mouthRollUpper+mouthDimpleLeft+eyeWideLeft+eyeWideRight,mouthFrownLeft+mouthShrugLower+tongueOut"
)
"""Expressions gone through one after another; each frame is another mixture."""
FRAMES = 14
HEADS = ((0.0, 0.0, 0.0), (6.0, -3.0, 2.0))
ASTRONAUT = (130, 10, 318, 260)
"""Part of the portrait (x0, y0, x1, y1) px that is shown: 3:4, head and hair."""
MOST_LEVELS = {"fp32": 1, "bf16": 2}


def astronaut() -> Photo:
    """The astronaut's head, enlarged to 750 × 1000 px."""
    from PIL import Image
    from skimage import data

    head = Image.fromarray(data.astronaut()).crop(ASTRONAUT).resize((750, 1000), Image.Resampling.LANCZOS)
    return Photo(np.asarray(head))


def photos(paths: list[str]) -> Iterator[tuple[str, Photo]]:
    """The photos, by number and name."""
    yield "astronaut", astronaut()
    portrait = Path(__file__).parents[2] / "docs" / "images" / "portrait.jpg"
    for number, path in enumerate([portrait, *map(Path, paths)]):
        yield f"{number} {path.name}", read_photo(path)


def clips(paths: list[str], precision: str) -> Iterator[tuple[str, np.ndarray, Iterator[np.ndarray]]]:
    """Every clip: its name, its photo and its frames."""
    for name, photo in photos(paths):
        for head in HEADS:
            settings = AnimateSettings(STEPS, frames=FRAMES, head=head, life="full" if any(head) else "off", seed=3)
            title = f"{name}, head {','.join(f'{angle:g}' for angle in head)}"
            yield title, photo.pixels, Animator(settings, device="cpu", precision=precision).frames(Photo(photo.pixels))


def record(file: str, paths: list[str], precision: str) -> None:
    """Write the frames, as what they differ from their photo by."""
    stored: dict[str, np.ndarray] = {"paths": np.array(paths), "precision": np.array(precision)}
    for title, pixels, frames in clips(paths, precision):
        for number, frame in enumerate(frames):
            packed = zlib.compress((frame - pixels).tobytes(), 1)
            stored[f"{title}, frame {number}"] = np.frombuffer(packed, np.uint8)
        print(title, flush=True)
    with open(file, "wb") as out:
        np.savez(out, **stored)


def compare(file: str) -> bool:
    """Render the same again and print what differs; whether all is within bounds."""
    within = True
    with np.load(file) as stored:
        precision = str(stored["precision"])
        most_levels = MOST_LEVELS[precision]
        for title, pixels, frames in clips([str(path) for path in stored["paths"]], precision):
            most, worst, changed, total = 0, 0, 0, 0
            for number, frame in enumerate(frames):
                packed = stored[f"{title}, frame {number}"].tobytes()
                before = pixels + np.frombuffer(zlib.decompress(packed), np.uint8).reshape(pixels.shape)
                differs = np.maximum(frame, before) - np.minimum(frame, before)
                changed, total = changed + int(np.count_nonzero(differs)), total + int((frame != pixels).sum())
                if differs.max() > most:
                    most, worst = int(differs.max()), number
                    count = int((differs > most_levels).sum())
            share = 100 * changed / max(total, 1)
            line = f"{title}: at most {most} levels" + (
                f" (frame {worst}, {count} above {most_levels})" if most else ""
            )
            print(f"{line}; {share:.2f} % of the values that the clip changes", flush=True)
            within = within and most <= most_levels
    return within


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(description="Whether frames are still what they were.")
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file")
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--precision", choices=tuple(MOST_LEVELS), default="fp32")
    asked = parser.parse_args()
    if asked.what == "record":
        record(asked.file, asked.photos, asked.precision)
    elif not compare(asked.file):
        sys.exit(1)


if __name__ == "__main__":
    main()
