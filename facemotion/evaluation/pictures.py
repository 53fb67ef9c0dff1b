"""Contact sheets: a strip of small frames for each case, the strips of one expression on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facemotion.media.grid import labelled_grid

if TYPE_CHECKING:
    from PIL import Image

    from facemotion.evaluation.cases import Case
    from facemotion.evaluation.measure import SweepClip

SHOWN = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
CELL_PX = 168
ROWS = 12


@dataclass(frozen=True)
class Strip:
    """The frames of one case at the controls ``SHOWN``, and the data's own frame nearest to the peak."""

    title: str
    labels: tuple[str, ...]
    jpeg: bytes
    """The cells side by side; kept small, there may be thousands."""


def strip_of(case: Case, sweep_clip: SweepClip) -> Strip:
    """The strip of a case."""
    import cv2

    chosen = [int(np.abs(sweep_clip.controls - control).argmin()) for control in SHOWN]
    cells, labels = [sweep_clip.frames[k] for k in chosen], [f"{sweep_clip.controls[k]:.2f}" for k in chosen]
    if sweep_clip.truth:
        truth = min(sweep_clip.truth, key=lambda t: abs(t.control - 1))
        cells.append(truth.real)
        labels.append(f"target, {truth.control:.2f}")
    cells = [cv2.resize(cell, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA) for cell in cells]
    row = np.ascontiguousarray(np.concatenate(cells, axis=1)[..., ::-1])
    jpeg = cv2.imencode(".jpg", row, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return Strip(f"{case.id} ({case.title})", tuple(labels), jpeg)


def sheet(strips: Sequence[Strip]) -> Image.Image:
    """Strips below each other, with the case above and the controls below each."""
    from PIL import Image

    rows = [list(zip(strip.labels, _cells(strip), strict=True)) for strip in strips]
    return Image.fromarray(labelled_grid(rows, titles=[strip.title for strip in strips], gap_px=4, font_px=12))


def _cells(strip: Strip) -> list[np.ndarray]:
    from io import BytesIO

    from PIL import Image

    row = np.asarray(Image.open(BytesIO(strip.jpeg)))
    return [np.ascontiguousarray(cell) for cell in np.split(row, len(strip.labels), axis=1)]
