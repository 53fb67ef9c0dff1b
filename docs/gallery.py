"""Makes ``docs/images/expressions.webp``, the picture of the README: run ``python docs/gallery.py`` after a release.

The portrait is NASA's photo of the astronaut Eileen Collins (public domain), which comes with scikit-image: the only
face here that anybody may publish.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.data import astronaut

from facemotion import EXPRESSIONS, animate

TILE_PX = 224
"""Side of one face in the picture."""
FACE = (0.16, 0.25, 0.84, 0.93)
"""Part of the cropped clip that is shown (x0, y0, x1, y1), in its sides."""
LABEL_PX = 24
COLUMNS = 5
BACKGROUND = "#ffffff"
INK = "#24292f"
ORDER = (0, 0, 1, 2, 3, 4, 4, 4, 3, 2, 1)
"""Of the five frames from neutral to peak: there and back, holding both ends."""
FRAME_MS = 120


def clips() -> dict[str, np.ndarray]:
    """Five frames (5, H, W, 3) from neutral to peak for every expression, and the photo that stands still."""
    made = {name: animate(astronaut(), {name: 1.0}, frames=5, crop=True) for name in EXPRESSIONS}
    return {"the photo": made[EXPRESSIONS[0]][[0] * 5], **made}


def sheet(faces: dict[str, np.ndarray]) -> Image.Image:
    """Labelled tiles in rows."""
    rows = -(-len(faces) // COLUMNS)
    picture = Image.new("RGB", (COLUMNS * TILE_PX, rows * (TILE_PX + LABEL_PX)), BACKGROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for index, (name, face) in enumerate(faces.items()):
        x, y = index % COLUMNS * TILE_PX, index // COLUMNS * (TILE_PX + LABEL_PX)
        picture.paste(close_up(face), (x, y))
        draw.text((x + TILE_PX / 2, y + TILE_PX + LABEL_PX / 2), name, fill=INK, font=font, anchor="mm")
    return picture


def close_up(face: np.ndarray) -> Image.Image:
    """The face in a tile, from forehead to chin."""
    image = Image.fromarray(face)
    box = [side * length for side, length in zip(FACE, image.size * 2, strict=True)]
    return image.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS, box=box)


def main() -> None:
    """Render and save."""
    made = clips()
    frames = [sheet({name: clip[index] for name, clip in made.items()}) for index in ORDER]
    path = Path(__file__).parent / "images" / "expressions.webp"
    path.parent.mkdir(exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=72, method=6)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
