"""Streaming writers, chosen by suffix: frames go in one at a time, nothing is kept but the encoder's own state.

``.mp4`` (H.264, yuv420p) and ``.webm`` (VP9, with alpha where the photo has it) are written here through PyAV;
``.gif``, ``.webp`` and ``.png`` in `animated_images`; a name without suffix becomes a folder of numbered png frames.
"""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.errors import OutputError
from facemotion.media.formats import FORMATS, ClipFormat, ClipSpec, ClipWriter

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame


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
