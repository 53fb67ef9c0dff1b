"""Opens clips again and says what is in them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.browser import show


@dataclass
class Opened:
    """A clip as a player sees it: frames uint8 (H, W, 3 or 4), ``fps``, how often it plays (0 = for ever)."""

    frames: list[np.ndarray]
    fps: float
    pixel_format: str = ""
    codec: str = ""
    repeats: int | None = None
    text: str = ""
    metadata: dict = field(default_factory=dict)
    streams: int = 1
    delays_ms: list[float] = field(default_factory=list)


def open_clip(path: Path) -> Opened:
    """Reads mp4 and webm through PyAV, gif, webp and png as browsers do, a folder as its png frames."""
    if path.is_dir():
        return open_folder(path)
    return open_video(path) if path.suffix in (".mp4", ".webm") else open_animated_image(path)


def open_video(path: Path) -> Opened:
    import av

    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        alpha = stream.metadata.get("ALPHA_MODE", stream.metadata.get("alpha_mode")) == "1"
        if alpha:  # FFmpeg's own VP9 decoder leaves alpha out
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            pictures = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
        else:
            pictures = list(container.decode(stream))
        return Opened(
            frames=[picture.to_ndarray(format="rgba" if alpha else "rgb24") for picture in pictures],
            fps=float(stream.average_rate),
            pixel_format=pictures[0].format.name,
            codec=stream.codec_context.name,
            text=" ".join(container.metadata.values()),
            metadata=dict(container.metadata),
            streams=len(container.streams),
        )


def open_animated_image(path: Path) -> Opened:
    from PIL import Image

    with Image.open(path) as image:
        texts = [image.info.get(key, b"") for key in ("comment", "Comment", "xmp", "XML:com.adobe.xmp")]
        text = " ".join(value if isinstance(value, str) else value.decode("utf-8", "replace") for value in texts)
        if getattr(image, "n_frames", 1) == 1 and image.format == "PNG":
            return Opened([np.array(image)], 0.0, text=text)
    shown = show(path.read_bytes())
    frames = shown.canvases
    if all((frame[..., 3] == 255).all() for frame in frames):
        frames = [frame[..., :3] for frame in frames]
    total_s = sum(shown.delays_ms) / 1000
    return Opened(frames, len(frames) / total_s, repeats=shown.plays, text=text, delays_ms=shown.delays_ms)


def open_folder(path: Path) -> Opened:
    from PIL import Image

    frames, text = [], ""
    for file in sorted(path.iterdir()):
        with Image.open(file) as image:
            frames.append(np.array(image))
            text = image.info.get("Comment", "")
    return Opened(frames, 0.0, text=text)
