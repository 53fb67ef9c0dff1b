"""Makes the pictures of the README: run ``python docs/gallery.py PORTRAITS`` after a release of weights.

PORTRAITS is the folder of SFHQ-T2I portraits (people who do not exist, MIT licence). Those shown were never trained on.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facemotion import animate, find_faces
from facemotion.media.photos import read_photo

IMAGES = Path(__file__).parent / "images"
PEOPLE = ("EyeColor_r2c6", "Lighting_r5c0", "Age_x_EthnicityxSex1_r5c3")
EXPRESSIONS = ("smile", "closed-smile", "surprise", "sadness")
FACE_PX = 400
"""Side of one face in the picture."""
AROUND = 1.45
"""Side of what is shown, in heights of the face's box."""
LABEL_PX = 36
CLIP_PX = 320
CLIP_FRAMES = 40
CLIP_MS = 50


def portrait(folder: Path, name: str) -> np.ndarray:
    """One photo, RGB uint8 (H, W, 3)."""
    own = IMAGES / "portrait.jpg"
    return read_photo(own if name == PEOPLE[0] and own.exists() else folder / f"{name}.jpg").pixels


def close_up(frame: np.ndarray, box: tuple[float, ...], side_px: int) -> Image.Image:
    """The square around the face's box (x0, y0, x1, y1), within the frame."""
    height, width = frame.shape[:2]
    side = min(AROUND * (box[3] - box[1]), height, width)
    left = min(max((box[0] + box[2] - side) / 2, 0), width - side)
    top = min(max((box[1] + box[3]) / 2 - 0.55 * side, 0), height - side)
    shown = (left, top, left + side, top + side)
    return Image.fromarray(frame).resize((side_px, side_px), Image.Resampling.LANCZOS, box=shown)


def expressions(folder: Path) -> Image.Image:
    """People in rows; the photo and the peak of each expression in columns."""
    titles = ("the photo", *EXPRESSIONS)
    picture = Image.new("RGB", (len(titles) * FACE_PX, len(PEOPLE) * FACE_PX + LABEL_PX), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for column, title in enumerate(titles):
        draw.text(((column + 0.5) * FACE_PX, LABEL_PX / 2), title, fill="#24292f", font=font, anchor="mm")
    for row, name in enumerate(PEOPLE):
        photo = portrait(folder, name)
        box = find_faces(photo)[0].box
        peaks = [animate(photo, {expression: 1.0}, frames=2)[-1] for expression in EXPRESSIONS]
        for column, frame in enumerate([photo, *peaks]):
            picture.paste(close_up(frame, box, FACE_PX), (column * FACE_PX, row * FACE_PX + LABEL_PX))
    return picture


def clip(folder: Path) -> list[Image.Image]:
    """A short clip of the first person."""
    photo = portrait(folder, PEOPLE[0])
    box = find_faces(photo)[0].box
    frames = animate(photo, "smile,neutral,surprise,neutral", frames=CLIP_FRAMES)
    return [close_up(frame, box, CLIP_PX) for frame in frames]


def main() -> None:
    """Render and save."""
    folder = Path(sys.argv[1])
    IMAGES.mkdir(exist_ok=True)
    expressions(folder).save(IMAGES / "expressions.webp", quality=80, method=6)
    first, *rest = clip(folder)
    first.save(IMAGES / "clip.webp", save_all=True, append_images=rest, duration=CLIP_MS, loop=0, quality=70, method=4)
    for path in (IMAGES / "expressions.webp", IMAGES / "clip.webp"):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
