"""Videos for tests, written frame by frame."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_MATRICES = {
    90: (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
    180: (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    270: (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
}


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    fps: int = 25,
    times_ms: Sequence[int] | None = None,
    sound: bool = False,
) -> Path:
    """Frames (H, W, 3) uint8 as an H.264 video, at a constant rate or at times; with a silent sound track or none."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        voice = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 16000
            container.mux(voice.encode(silence))
            container.mux(voice.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A second of silence without a picture."""
    with av.open(str(path), "w") as container:
        voice = container.add_stream("aac", rate=16000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(voice.encode(silence))
        container.mux(voice.encode(None))
    return path


def turn_video(path: Path, degrees: int) -> Path:
    """Tells players to show an mp4 turned clockwise by 90, 180 or 270 degrees, as phones do: in its track header."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 36] = struct.pack(">9i", *_MATRICES[degrees])
    path.write_bytes(content)
    return path
