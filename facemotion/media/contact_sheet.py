"""Pictures about a clip: photo and clip side by side, and a sheet of evenly spaced frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.media.atomic import fitting_name

if TYPE_CHECKING:
    import numpy as np

_COLUMNS, _ROWS, _CELL_PX = 4, 3, 320


def sheet_path(clip: Path, *, is_file: bool) -> Path:
    """Where the contact sheet of a clip, a file or a folder of frames, lies."""
    return clip.with_name(fitting_name(clip.stem if is_file else clip.name, "-sheet.png"))


def side_by_side(photo: "np.ndarray", frame: "np.ndarray") -> "np.ndarray":
    """The photo to the left of the frame; both (H, W, C)."""
    import numpy as np

    return np.concatenate([photo, frame], axis=1)


class ContactSheet:
    """Takes every frame, keeps pictures of some of them, evenly spaced from the first to the last: twelve of one face,
    a row of four of each of several.

    ``boxes`` (x0, y0, x1, y1): the faces in the frames; a face smaller than its picture is enlarged.
    """

    def __init__(self, frames: int, boxes: Sequence[tuple[int, int, int, int]]):
        count = min(frames, _COLUMNS * max(1, _ROWS // len(boxes)))
        self._shown = {round(index * (frames - 1) / max(1, count - 1)) for index in range(count)}
        self._boxes = boxes
        self._cells: list[list[tuple[str, np.ndarray]]] = [[] for _ in boxes]
        self._index = 0

    def add(self, frame: "np.ndarray", label: str) -> None:
        """The next frame (H, W, 3 or 4) and what stands below it."""
        import numpy as np
        from PIL import Image

        if self._index in self._shown:
            for (x0, y0, x1, y1), cells in zip(self._boxes, self._cells, strict=True):
                scale = _CELL_PX / max(x1 - x0, y1 - y0)
                size = max(1, round(scale * (x1 - x0))), max(1, round(scale * (y1 - y0)))
                cell = Image.fromarray(np.ascontiguousarray(frame[y0:y1, x0:x1]))
                cell = cell.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
                cells.append((f"{self._index}  {label}", np.array(cell)))
        self._index += 1

    def picture(self) -> "np.ndarray":
        """The sheet, uint8 (H, W, 3)."""
        from facemotion.media.grid import labelled_grid

        columns = min(_COLUMNS, len(self._cells[0]))
        return labelled_grid(
            [cells[start : start + columns] for cells in self._cells for start in range(0, len(cells), columns)]
        )
