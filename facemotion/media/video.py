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
        self._size_px = size_px
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
        picture = self._yuv.convert(frame) if self._yuv else _with_alpha(frame, self._size_px)
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

    def __init__(self, size_px: tuple[int, int], changing: tuple[int, int, int, int] | None):
        self._width, self._height = size_px
        x0, y0, x1, y1 = changing or (0, 0, *size_px)
        self._box = x0 // 2 * 2, y0 // 2 * 2, min(self._width, (x1 + 1) // 2 * 2), min(self._height, (y1 + 1) // 2 * 2)
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
        """One part of a frame, whose sides are even, into the planes Y, U and V as PyAV takes them."""
        import cv2
        import numpy as np

        x0, y0, x1, y1 = box
        luma = self._width * self._height
        flat, half = planes.reshape(-1), (self._height // 2, self._width // 2)
        u_plane, v_plane = (each.reshape(half) for each in np.split(flat[luma:], 2))
        full = cv2.transform(_part(frame, box), np.array(_BT709, np.float32))
        chroma = cv2.resize(full, ((x1 - x0) // 2, (y1 - y0) // 2), interpolation=cv2.INTER_AREA)
        rows, columns = slice(y0 // 2, y1 // 2), slice(x0 // 2, x1 // 2)
        planes[y0:y1, x0:x1] = cv2.extractChannel(full, 0)
        u_plane[rows, columns] = cv2.extractChannel(chroma, 1)
        v_plane[rows, columns] = cv2.extractChannel(chroma, 2)


_BT709 = (
    (0.182586, 0.614231, 0.062007, 16.0),
    (-0.100644, -0.338572, 0.439216, 128.0),
    (0.439216, -0.398942, -0.040274, 128.0),
)
"""R, G, B and 1 to Y, U and V of ITU-R BT.709 in limited range, 8 bit."""


def _part(frame: "np.ndarray", box: tuple[int, int, int, int]) -> "np.ndarray":
    """The part ``box`` of a frame; where that is one line larger than the frame, the last line is repeated."""
    import numpy as np

    x0, y0, x1, y1 = box
    part = frame[y0:y1, x0:x1]
    missing = y1 - y0 - part.shape[0], x1 - x0 - part.shape[1]
    if any(missing):
        part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    return np.ascontiguousarray(part)


def _with_alpha(frame: "np.ndarray", size_px: tuple[int, int]) -> "VideoFrame":
    """An RGBA frame, its sides made even, for a codec that keeps alpha."""
    from av import VideoFrame
    from av.video.reformatter import ColorRange, Colorspace

    picture = VideoFrame.from_ndarray(_part(frame, (0, 0, *size_px)), format="rgba")
    return picture.reformat(format="yuva420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


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
