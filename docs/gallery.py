"""Makes the pictures of the README: run ``python docs/gallery.py`` after a release of weights.

All of them show NASA's portrait of Eileen Collins (public domain), which comes with scikit-image: she smiles in it.
``portrait.jpg``, the README's neutral sample, is that portrait with ``--expr neutral``.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.data import astronaut

from facemotion import animate

IMAGES = Path(__file__).parent / "images"
SHOWN = (slice(14, 218), slice(126, 330))
"""Rows and columns of the portrait that are shown."""
SIDE_PX = 476
ROWS = (("neutral", "closed-smile", "surprise", "sadness"), ("anger", "disgust", "fear", "wink"))
FACE_PX = 400
"""Side of one face in the picture."""
LABEL_PX = 36
CLIP_PX = 320
CLIP_FRAMES = 40
CLIP_MS = 50


def smiling() -> np.ndarray:
    """The photo, RGB uint8 (H, W, 3)."""
    return np.asarray(Image.fromarray(astronaut()[SHOWN]).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))


def expressions() -> Image.Image:
    """The photo, and the peaks of expressions that start from its smile."""
    photo = smiling()
    picture = Image.new("RGB", ((1 + len(ROWS[0])) * FACE_PX, len(ROWS) * (FACE_PX + LABEL_PX)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for row, names in enumerate(ROWS):
        faces = [("the photo", photo), *((name, animate(photo, name, frames=2)[-1]) for name in names)]
        top = row * (FACE_PX + LABEL_PX)
        for column, (title, frame) in enumerate(faces):
            draw.text(((column + 0.5) * FACE_PX, top + LABEL_PX / 2), title, fill="#24292f", font=font, anchor="mm")
            face = Image.fromarray(frame).resize((FACE_PX, FACE_PX), Image.Resampling.LANCZOS)
            picture.paste(face, (column * FACE_PX, top + LABEL_PX))
    return picture


def clip() -> list[Image.Image]:
    """A short clip."""
    frames = animate(smiling(), "neutral,surprise,neutral,photo", frames=CLIP_FRAMES)
    return [Image.fromarray(frame).resize((CLIP_PX, CLIP_PX), Image.Resampling.LANCZOS) for frame in frames]


def main() -> None:
    """Render and save."""
    IMAGES.mkdir(exist_ok=True)
    expressions().save(IMAGES / "expressions.webp", quality=80, method=6)
    first, *rest = clip()
    first.save(IMAGES / "clip.webp", save_all=True, append_images=rest, duration=CLIP_MS, loop=0, quality=70, method=4)
    Image.fromarray(animate(smiling(), "neutral", frames=2)[-1]).save(IMAGES / "portrait.jpg", quality=92)
    for path in sorted(IMAGES.iterdir()):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
