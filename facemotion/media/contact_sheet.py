"""Pictures about a clip: photo and clip side by side, and a sheet of evenly spaced frames."""

from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.media.atomic import fitting_name

if TYPE_CHECKING:
    import numpy as np

_COLUMNS, _ROWS, _CELL_PX, _GAP_PX, _LABEL_PX = 4, 3, 240, 6, 18
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def sheet_path(clip: Path, *, is_file: bool) -> Path:
    """Where the contact sheet of a clip, a file or a folder of frames, lies."""
    return clip.with_name(fitting_name(clip.stem if is_file else clip.name, "-sheet.png"))


def side_by_side(photo: "np.ndarray", frame: "np.ndarray") -> "np.ndarray":
    """The photo to the left of the frame; both (H, W, C)."""
    import numpy as np

    return np.concatenate([photo, frame], axis=1)


class ContactSheet:
    """Takes every frame, keeps a small picture of twelve of them, evenly spaced from the first to the last.

    ``box`` (x0, y0, x1, y1): the part of the frames to show.
    """

    def __init__(self, frames: int, box: tuple[int, int, int, int]):
        count = min(frames, _COLUMNS * _ROWS)
        self._shown = {round(index * (frames - 1) / max(1, count - 1)) for index in range(count)}
        self._box = box
        self._cells: list[tuple[str, np.ndarray]] = []
        self._index = 0

    def add(self, frame: "np.ndarray", label: str) -> None:
        """The next frame (H, W, 3 or 4) and what stands below it."""
        import numpy as np
        from PIL import Image

        if self._index in self._shown:
            x0, y0, x1, y1 = self._box
            cell = Image.fromarray(np.ascontiguousarray(frame[y0:y1, x0:x1]))
            cell.thumbnail((_CELL_PX, _CELL_PX), Image.Resampling.LANCZOS, reducing_gap=3)
            self._cells.append((f"{self._index}  {label}", np.array(cell)))
        self._index += 1

    def picture(self) -> "np.ndarray":
        """The sheet, uint8 (H, W, 3)."""
        import numpy as np
        from PIL import Image, ImageDraw

        columns = min(_COLUMNS, len(self._cells))
        rows = -(-len(self._cells) // columns)
        cell_width = max(cell.shape[1] for _, cell in self._cells)
        cell_height = max(cell.shape[0] for _, cell in self._cells) + _LABEL_PX
        size = (columns * (cell_width + _GAP_PX) + _GAP_PX, rows * (cell_height + _GAP_PX) + _GAP_PX)
        sheet = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(sheet)
        for index, (label, cell) in enumerate(self._cells):
            row, column = divmod(index, columns)
            corner = (_GAP_PX + column * (cell_width + _GAP_PX), _GAP_PX + row * (cell_height + _GAP_PX))
            image = Image.fromarray(cell)
            sheet.paste(image, corner, image if image.mode == "RGBA" else None)
            draw.text((corner[0], corner[1] + cell.shape[0] + 2), label, fill=_INK)
        return np.asarray(sheet)
