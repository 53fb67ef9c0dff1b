"""Streaming writers, chosen by suffix: frames go in one at a time, nothing is kept but the encoder's own state.

``.mp4`` (H.264, yuv420p) and ``.webm`` (VP9, with alpha where the photo has it) are written here through PyAV;
``.gif``, ``.webp`` and ``.png`` in `animated_images`; a name without suffix becomes a folder of numbered png frames.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facemotion.errors import OutputError, OutputNameError
from facemotion.media.provenance import Mark

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame


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


def open_writer(path: str | Path, format: ClipFormat, spec: ClipSpec) -> ClipWriter:
    """A writer for ``path``. Raises OutputError where the format cannot hold the size."""
    from facemotion.media import animated_images

    if max(spec.size_px) > format.max_side_px:
        raise OutputError(
            f"{format.name} holds at most {format.max_side_px} px a side, the clip has {max(spec.size_px)}.",
            f"Add --size {format.max_side_px // 2}, or --crop for the face alone.",
        )
    path = Path(path)
    if format.name == "mp4":
        return _H264Writer(path, spec)
    if format.name == "webm":
        return _Vp9Writer(path, spec)
    return animated_images.open_writer(path, format.name, spec)


class _AvWriter:
    """One video stream through PyAV, in BT.709 limited range, tagged as such."""

    def __init__(self, path: Path, spec: ClipSpec, *, codec: str, pixel_format: str, options: dict[str, str]):
        import av

        width, height = size_px = FORMATS["mp4"].written_size_px(spec.size_px)
        self._size_px, self._pixel_format = size_px, pixel_format
        self._yuv = _YuvFrames(size_px, spec.changing) if pixel_format == "yuv420p" else None
        container_options = {"movflags": "+faststart"} if codec == "libx264" else {}
        # Without "file:" FFmpeg takes what precedes a colon for a protocol; and the format is not for it to guess.
        format = "webm" if codec == "libvpx-vp9" else "mov" if path.suffix.lower() == ".mov" else "mp4"
        self._container = av.open(f"file:{path}", "w", format=format, options=container_options)
        rate = Fraction(spec.fps).limit_denominator(1001)
        self._stream = self._container.add_stream(codec, rate=rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, pixel_format
        context = self._stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # limited
        if spec.mark:
            self._container.metadata.update(
                comment=spec.mark.comment, description=spec.mark.comment, encoded_by=spec.mark.software
            )

    def write(self, frame: "np.ndarray") -> None:
        width, height = self._size_px
        picture = (
            self._yuv.convert(frame) if self._yuv else _converted(frame, (0, 0, width, height), self._pixel_format)
        )
        with self._encoder_errors():
            self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        with self._encoder_errors():
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()

    @contextlib.contextmanager
    def _encoder_errors(self) -> Iterator[None]:
        """Says in our words what the encoder cannot do; a full disk and its like are OSErrors already."""
        import av

        try:
            yield
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            width, height = self._size_px
            raise OutputError(
                f"The encoder fails at {width}×{height} px: {error.strerror}.", "Use --size, or another format."
            ) from error


class _YuvFrames:
    """RGB to yuv420p, the whole of the first frame and of the others only the part that changes, in strips."""

    _STRIP_ROWS = 256
    _REACH_PX = 16
    """Beyond the reach of the chroma filter."""

    def __init__(self, size_px: tuple[int, int], changing: tuple[int, int, int, int] | None):
        self._width, self._height = size_px
        x0, y0, x1, y1 = changing or (0, 0, *size_px)
        self._box = self._grown(x0, y0, x1, y1)
        self._planes: np.ndarray | None = None

    def convert(self, frame: "np.ndarray") -> "VideoFrame":
        """A frame, its sides made even."""
        import numpy as np
        from av import VideoFrame

        x0, y0, x1, y1 = self._box
        if self._planes is None:
            self._planes = np.empty((self._height * 3 // 2, self._width), np.uint8)
            x0, y0, x1, y1 = 0, 0, self._width, self._height
        for top in range(y0, y1, self._STRIP_ROWS):
            self._convert(frame, (x0, top, x1, min(top + self._STRIP_ROWS, y1)), self._planes)
        return VideoFrame.from_ndarray(self._planes, format="yuv420p")

    def _convert(self, frame: "np.ndarray", box: tuple[int, int, int, int], planes: "np.ndarray") -> None:
        x0, y0, x1, y1 = box
        left, top, right, bottom = self._grown(*box)
        part = _converted(frame, (left, top, right, bottom), "yuv420p").to_ndarray()
        sources = _yuv_planes(part, right - left, bottom - top)
        targets = _yuv_planes(planes, self._width, self._height)
        for target, source, shrink in zip(targets, sources, (1, 2, 2), strict=True):
            rows, columns = (
                slice((y0 - top) // shrink, (y1 - top) // shrink),
                slice((x0 - left) // shrink, (x1 - left) // shrink),
            )
            target[y0 // shrink : y1 // shrink, x0 // shrink : x1 // shrink] = source[rows, columns]

    def _grown(self, x0: int, y0: int, x1: int, y1: int) -> tuple[int, int, int, int]:
        """With even sides, as far as the picture goes."""
        return (
            max(0, x0 - self._REACH_PX) // 2 * 2,
            max(0, y0 - self._REACH_PX) // 2 * 2,
            min(self._width, (x1 + self._REACH_PX + 1) // 2 * 2),
            min(self._height, (y1 + self._REACH_PX + 1) // 2 * 2),
        )


def _yuv_planes(packed: "np.ndarray", width: int, height: int) -> "list[np.ndarray]":
    """Views of the planes Y, U and V of an array as PyAV gives it for yuv420p."""
    flat, luma, chroma = packed.reshape(-1), width * height, width * height // 4
    return [
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    ]


def _converted(frame: "np.ndarray", box: tuple[int, int, int, int], pixel_format: str) -> "VideoFrame":
    """The part ``box`` of a frame; where that is one line larger than the frame, the last line is repeated."""
    import numpy as np
    from av import VideoFrame
    from av.video.reformatter import ColorRange, Colorspace

    x0, y0, x1, y1 = box
    part = frame[y0:y1, x0:x1]
    missing = y1 - y0 - part.shape[0], x1 - x0 - part.shape[1]
    if any(missing):
        part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(part), format="rgba" if frame.shape[2] == 4 else "rgb24")
    return picture.reformat(format=pixel_format, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


class _H264Writer(_AvWriter):
    def __init__(self, path: Path, spec: ClipSpec):
        # Most of a clip stands still: looking far ahead gains nothing, and each frame kept of a large photo is large.
        lookahead = "0" if spec.is_large else "4"
        options = {"crf": "17", "preset": "veryfast", "profile": "high", "bf": "0", "refs": "1"}
        options["rc-lookahead"] = lookahead
        super().__init__(path, spec, codec="libx264", pixel_format="yuv420p", options=options)


class _Vp9Writer(_AvWriter):
    def __init__(self, path: Path, spec: ClipSpec):
        options = {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "0"}
        if spec.is_large:
            options["lag-in-frames"] = "0"
        pixel_format = "yuva420p" if spec.alpha else "yuv420p"
        super().__init__(path, spec, codec="libvpx-vp9", pixel_format=pixel_format, options=options)
