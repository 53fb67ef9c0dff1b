"""Many pictures on one: cells in rows, a label below each, a title above a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import ImageFont

Cell = tuple[str, "np.ndarray"]
"""A label and a picture, uint8 (H, W, 3 or 4)."""

PAPER, INK = (255, 255, 255), (40, 40, 40)


def labelled_grid(
    rows: Sequence[Sequence[Cell]], *, titles: Sequence[str] = (), gap_px: int = 6, font_px: int = 15
) -> np.ndarray:
    """The cells of ``rows`` as one picture, uint8 (H, W, 3), on white.

    All cells take the room of the largest. ``titles``: one for each row, or none at all. Text longer than its room is
    cut, with an ellipsis.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    line_px = round(1.4 * font_px)
    above_px = line_px if titles else 0
    cell_width = max(picture.shape[1] for row in rows for _, picture in row)
    cell_height = max(picture.shape[0] for row in rows for _, picture in row)
    step_x, step_y = cell_width + gap_px, above_px + cell_height + line_px + gap_px
    size = max(map(len, rows)) * step_x + gap_px, len(rows) * step_y + gap_px
    grid = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(font_px)
    for y, row in enumerate(rows):
        top = gap_px + y * step_y
        if titles:
            draw.text((gap_px, top), _shortened(titles[y], size[0] - 2 * gap_px, font), INK, font)
        for x, (label, picture) in enumerate(row):
            corner = gap_px + x * step_x, top + above_px
            image = Image.fromarray(picture)
            grid.paste(image, corner, image if image.mode == "RGBA" else None)
            draw.text((corner[0], corner[1] + picture.shape[0]), _shortened(label, cell_width, font), INK, font)
    return np.asarray(grid)


def _shortened(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"
