"""Streaming writers, chosen by suffix: frames go in one at a time, nothing is kept but the encoder's own state.

``.mp4`` (H.264, yuv420p) and ``.webm`` (VP9, with alpha where the photo has it) are written here through PyAV;
``.gif``, ``.webp`` and ``.png`` in `animated_images`; a name without suffix becomes a folder of numbered png frames.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facemotion.errors import OutputError, OutputNameError
from facemotion.media.provenance import Mark

if TYPE_CHECKING:
    import numpy as np
    from av import VideoFrame


@dataclass(frozen=True)
class ClipFormat:
    """What a kind of output can hold."""

    name: str
    suffixes: tuple[str, ...]
    alpha: bool
    max_side_px: int


FORMATS = {
    format.name: format
    for format in (
        ClipFormat("mp4", (".mp4", ".m4v", ".mov"), alpha=False, max_side_px=16384),
        ClipFormat("webm", (".webm",), alpha=True, max_side_px=16384),
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
    it; ``repeats`` of gif, webp and png (0 = for ever); ``mark`` for the metadata, None for none; ``changing`` the
    part (x0, y0, x1, y1) px, ends excluded, outside of which all frames are the same (None: anything may change);
    ``samples`` frames typical of the clip, from which gif takes its colours; ``names`` of the files of a folder of
    frames, without suffix, where they are not to be numbered.
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

        width, height = (side + side % 2 for side in spec.size_px)
        self._spec, self._pixel_format = spec, pixel_format
        self._yuv = _YuvFrames((width, height), spec.changing) if pixel_format == "yuv420p" else None
        container_options = {"movflags": "+faststart"} if codec == "libx264" else {}
        self._container = av.open(str(path), "w", options=container_options)
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
        import numpy as np

        missing = frame.shape[0] % 2, frame.shape[1] % 2
        if any(missing):  # 4:2:0 needs even sides: one line is repeated, nothing is cut or scaled
            frame = np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        picture = self._yuv.convert(frame) if self._yuv else _converted(frame, self._pixel_format)
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class _YuvFrames:
    """RGB to yuv420p, the whole of the first frame and of the others only the part that changes."""

    def __init__(self, size_px: tuple[int, int], changing: tuple[int, int, int, int] | None):
        width, height = size_px
        x0, y0, x1, y1 = changing or (0, 0, width, height)
        grow = 16  # beyond the reach of the chroma filter
        self._box = (
            max(0, x0 - grow) // 2 * 2,
            max(0, y0 - grow) // 2 * 2,
            min(width, (x1 + grow + 1) // 2 * 2),
            min(height, (y1 + grow + 1) // 2 * 2),
        )
        self._planes: np.ndarray | None = None

    def convert(self, frame: "np.ndarray") -> "VideoFrame":
        """A frame with even sides."""
        from av import VideoFrame

        if self._planes is None:
            self._planes = _converted(frame, "yuv420p").to_ndarray()
        else:
            x0, y0, x1, y1 = self._box
            part = _converted(frame[y0:y1, x0:x1], "yuv420p").to_ndarray()
            height, width = frame.shape[:2]
            targets = _yuv_planes(self._planes, width, height)
            for target, source, shrink in zip(targets, _yuv_planes(part, x1 - x0, y1 - y0), (1, 2, 2), strict=True):
                target[y0 // shrink : y1 // shrink, x0 // shrink : x1 // shrink] = source
        return VideoFrame.from_ndarray(self._planes, format="yuv420p")


def _yuv_planes(packed: "np.ndarray", width: int, height: int) -> "list[np.ndarray]":
    """Views of the planes Y, U and V of an array as PyAV gives it for yuv420p."""
    flat, luma, chroma = packed.reshape(-1), width * height, width * height // 4
    return [
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
    ]


def _converted(frame: "np.ndarray", pixel_format: str) -> "VideoFrame":
    import numpy as np
    from av import VideoFrame
    from av.video.reformatter import ColorRange, Colorspace

    picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgba" if frame.shape[2] == 4 else "rgb24")
    return picture.reformat(format=pixel_format, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


class _H264Writer(_AvWriter):
    def __init__(self, path: Path, spec: ClipSpec):
        # Most of a clip stands still: looking far ahead gains nothing, and each frame kept of a large photo is large.
        options = {"crf": "17", "preset": "veryfast", "profile": "high", "rc-lookahead": "4", "bf": "0", "refs": "1"}
        super().__init__(path, spec, codec="libx264", pixel_format="yuv420p", options=options)


class _Vp9Writer(_AvWriter):
    def __init__(self, path: Path, spec: ClipSpec):
        options = {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "0"}
        pixel_format = "yuva420p" if spec.alpha else "yuv420p"
        super().__init__(path, spec, codec="libvpx-vp9", pixel_format=pixel_format, options=options)
