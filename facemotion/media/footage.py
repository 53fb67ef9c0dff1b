"""Videos in: frames one at a time, upright, with their times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.errors import InputError, MissingFileError

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_HINT = "Give a video that plays elsewhere: mp4, mov, webm, mkv, avi, gif …"


@dataclass(frozen=True, eq=False)
class FootageFrame:
    """One frame of a video.

    time_s: seconds from the first frame, larger than that of the frame before. pixels: (H, W, 3) uint8 RGB, upright.
    scale: by how much it was shrunk, 1 for not at all.
    """

    time_s: float
    pixels: np.ndarray
    scale: float


class Footage:
    """A video file, open for reading once from its start; use it in a ``with`` block.

    Any container, codec, rate (constant or not) and rotation that FFmpeg knows; sound is not needed and not read.
    """

    def __init__(self, path: str | Path):
        """Raises MissingFileError, and InputError for a file that cannot be read or has no pictures."""
        import av

        self._path = str(path)
        if Path(path).is_dir():
            raise InputError(f"The video {path} is a folder.", "Name a file in it.")
        if not Path(path).exists():
            raise MissingFileError(f"The video {path} does not exist.", "Check its name.")
        if not Path(path).is_file():
            raise InputError(f"The video {path} is not a regular file.", "Copy it to a file.")
        try:
            container = av.open(f"file:{path}")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{path} is no video that can be read ({_reason(error)}).", _HINT) from error
        if not isinstance(container, av.container.InputContainer) or not container.streams.video:
            container.close()
            raise InputError(f"{path} has no pictures in it.", _HINT)
        self._container: InputContainer = container
        self._stream: VideoStream = container.streams.video[0]
        self._stream.thread_type = "AUTO"

    @property
    def fps(self) -> float:
        """Average frames per second as the file says, 25 where it does not."""
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        return rate if 0 < rate <= 1000 else 25.0

    @property
    def expected_frames(self) -> int | None:
        """About how many frames there will be, None where the file does not say."""
        if self._stream.frames:
            return self._stream.frames
        if self._container.duration:
            return max(1, round(self._container.duration / 1e6 * self.fps))
        return None

    def frames(
        self, *, longest_px: int | None = None, on_note: Callable[[str], None] | None = None
    ) -> Iterator[FootageFrame]:
        """All frames in order, shrunk where the longer side exceeds ``longest_px``.

        Where the file breaks off, or a part cannot be decoded, ``on_note`` gets a line, and what could be read counts.
        Raises InputError where that is nothing.
        """
        import av

        first_s = last_s = None
        count, reason = 0, ""
        decoding = self._decoded()
        while True:
            try:
                frame = next(decoding)
            except StopIteration:
                break
            except (av.FFmpegError, OSError, ValueError) as error:
                reason = _reason(error)
                break
            time_s = frame.time
            if time_s is None:
                time_s = 0.0 if last_s is None else last_s + 1 / self.fps
            if first_s is None:
                first_s = time_s
            elif last_s is not None and time_s <= last_s:  # some files repeat a time
                time_s = last_s + 0.25 / self.fps
            last_s = time_s
            count += 1
            yield FootageFrame(time_s - first_s, *_upright(frame, longest_px))
        if not count:
            why = f" ({reason})" if reason else ""
            raise InputError(f"{self._path} has no frames{why}.", _HINT)
        if reason and on_note is not None:
            on_note(f"{self._path} breaks off after {count} frames ({reason}).")

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def __enter__(self) -> Footage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decoded(self) -> Iterator[VideoFrame]:
        """Decoded frames; packets that cannot be decoded are passed over as long as later ones can."""
        import av

        error: Exception | None = None
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError as damage:
                error = damage
                continue
            for frame in frames:
                yield frame
                error = None
        if error is not None:
            raise error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")


def _upright(frame: VideoFrame, longest_px: int | None) -> tuple[np.ndarray, float]:
    import numpy as np

    scale = 1.0
    if longest_px is not None and max(frame.width, frame.height) > longest_px:
        scale = longest_px / max(frame.width, frame.height)
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
    quarters = round(_rotation_deg(frame) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarters)), scale


def _rotation_deg(frame: VideoFrame) -> float:
    """By how much a frame is to be turned counter-clockwise to be upright, from its display matrix."""
    import numpy as np

    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0.0
    matrix = np.frombuffer(bytes(data), "<i4")
    if len(matrix) != 9 or not (matrix[0] or matrix[1]):
        return 0.0
    return math.degrees(math.atan2(float(matrix[3]), float(matrix[0])))
