"""The formats of clips: what each can hold, which suffix stands for it, and what their writers have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facemotion.errors import OutputNameError
from facemotion.media.provenance import Mark

if TYPE_CHECKING:
    import numpy as np

_LARGE_PIXELS = 16_000_000


@dataclass(frozen=True)
class ClipFormat:
    """What a kind of output can hold."""

    name: str
    suffixes: tuple[str, ...]
    alpha: bool
    max_side_px: int
    even_sides: bool = False

    def written_size_px(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of what is written for frames of ``size_px``: 4:2:0 video repeats the last of odd lines."""
        width, height = (side + side % 2 if self.even_sides else side for side in size_px)
        return width, height


FORMATS = {
    format.name: format
    for format in (
        ClipFormat("mp4", (".mp4", ".m4v", ".mov"), alpha=False, max_side_px=16384, even_sides=True),
        ClipFormat("webm", (".webm",), alpha=True, max_side_px=16384, even_sides=True),
        ClipFormat("gif", (".gif",), alpha=True, max_side_px=65535),
        ClipFormat("webp", (".webp",), alpha=True, max_side_px=16383),
        ClipFormat("png", (".png", ".apng"), alpha=True, max_side_px=2**31 - 1),
        ClipFormat("frames", ("",), alpha=True, max_side_px=2**31 - 1),
    )
}
"""By name, as ``--format`` takes them; ``frames`` is a folder of png files."""


class ClipWriter(Protocol):
    """Takes the frames of a clip in order."""

    def write(self, frame: "np.ndarray") -> None:
        """Adds a frame: uint8 (H, W, 3), or (H, W, 4) where the writer was opened with alpha; it stays as it is."""

    def close(self) -> None:
        """Finishes the file; it is valid only after this."""


@dataclass(frozen=True)
class ClipSpec:
    """What a writer needs to know before the first frame.

    ``size_px`` (width, height); ``fps`` frames per second; ``frames`` their number; ``alpha`` whether frames carry
    it; ``repeats`` how often gif, webp and png play (0 = for ever); ``mark`` for the metadata, None for none;
    ``changing`` the part (x0, y0, x1, y1) px, ends excluded, outside of which all frames are the same (None: anything
    may change); ``samples`` frames typical of the clip, from which gif takes its colours; ``names`` of the
    files of a folder of frames, without suffix, where they are not to be numbered.
    """

    size_px: tuple[int, int]
    fps: float
    frames: int
    alpha: bool = False
    repeats: int = 0
    mark: Mark | None = None
    changing: tuple[int, int, int, int] | None = None
    samples: "tuple[np.ndarray, ...]" = ()
    names: tuple[str, ...] = ()

    @property
    def is_large(self) -> bool:
        """Whether a single frame takes as much memory as many common ones, so that none should be held back."""
        return self.size_px[0] * self.size_px[1] > _LARGE_PIXELS


def format_of(path: str | Path) -> ClipFormat:
    """The format that a file name stands for; raises OutputNameError for a suffix that is none of ours."""
    suffix = Path(path).suffix.lower()
    for format in FORMATS.values():
        if suffix in format.suffixes:
            return format
    known = ", ".join(suffix for format in FORMATS.values() for suffix in format.suffixes if suffix)
    raise OutputNameError(
        f"{suffix} is not a format that can be written.", f"Use one of {known}, or no suffix for frames."
    )


def stored_frames(format: ClipFormat, spec: ClipSpec) -> int:
    """How many of the frames the file will hold; see `schedule`."""
    from facemotion.media.schedule import TICKS_PER_S, schedule

    if format.name not in TICKS_PER_S or spec.frames == 1:
        return spec.frames
    return len(schedule(spec.frames, fps=spec.fps, ticks_per_s=TICKS_PER_S[format.name]))
