"""The story: photo -> faces -> crops -> generator -> composite -> frames -> clip."""

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.animation import Animation
from facemotion.device import choose_placement
from facemotion.errors import OutputError, UsageError, WeightsError
from facemotion.expressions.grammar import EXPRESSIONS, Blend, check_blend, parse_expressions
from facemotion.expressions.timing import DEFAULT_FRAMES, control_track
from facemotion.faces.framing import Box, flattened
from facemotion.media.atomic import check_output, staged
from facemotion.media.contact_sheet import ContactSheet
from facemotion.media.photos import Photo, photo_of, read_photo
from facemotion.media.provenance import mark_for
from facemotion.media.video import ClipFormat, ClipSpec, format_of, open_writer, stored_frames
from facemotion.settings import AnimateSettings

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from facemotion.models.inference import Inference, Note

_MANY_PIXELS = 4096 * 2304  # H.264 level 5.1, what common hardware decodes


@dataclass(frozen=True)
class AnimateResult:
    """What was written.

    ``faces`` boxes (x0, y0, x1, y1) in photo px of the faces that move; ``box`` the part of the photo that the clip
    shows; ``size_px`` (width, height) of the clip; ``notes`` the lines of advice; ``device`` where the network ran.
    """

    photo: str
    out: str
    frames: int
    fps: float
    size_px: tuple[int, int]
    faces: list[tuple[float, ...]]
    box: Box
    device: str
    seconds: float
    sheet: str | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


class Animator:
    """Makes clips with one set of settings; loads generator and finder once. May be used from several threads."""

    def __init__(
        self,
        settings: AnimateSettings,
        *,
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
    ):
        self.settings = settings
        self.weights = generator_path(weights)
        self._inference = load_inference(self.weights, device, precision)
        steps = parse_expressions(settings.expression, known=self._inference.config.expressions)
        self._track = _track(settings, steps, known=self._inference.config.expressions)

    def animate_file(
        self,
        photo_path: str | Path,
        out_path: str | Path,
        *,
        format: ClipFormat | None = None,
        overwrite: bool = False,
        on_note: "Note | None" = None,
        on_frame: Callable[[], None] | None = None,
    ) -> AnimateResult:
        """Animates the photo at ``photo_path`` (``-`` for standard input) into ``out_path``, whose suffix says how.

        ``on_note`` gets each line of advice as it comes up, ``on_frame`` is called at every frame and may raise to
        stop: nothing is left behind then. Frames are streamed, memory does not grow with their number.
        Raises InputError, ImageError, NoFaceError, OutputError, WeightsError.
        """
        started = time.monotonic()
        out_path = Path(out_path)
        format = format or format_of(out_path)
        sheet_path = out_path.with_name(f"{out_path.stem}-sheet.png") if self.settings.sheet else None
        for path in filter(None, (out_path, sheet_path)):
            check_output(path, overwrite=overwrite)
            if path.exists() and Path(photo_path).exists() and path.samefile(photo_path):
                raise OutputError(f"{path} is the photo itself.", "Choose another name with --out.")
        notes: list[str] = []

        def note(line: str) -> None:
            notes.append(line)
            if on_note is not None:
                on_note(line)

        photo = read_photo(photo_path)
        if not format.alpha:
            photo = flattened(photo)
        clip = Animation(photo, self.settings, self._track, self._inference, name=str(photo_path), on_note=note)
        spec = ClipSpec(
            size_px=clip.size_px,
            fps=self.settings.fps,
            frames=len(self._track),
            alpha=photo.alpha is not None,
            repeats=self.settings.repeats,
            mark=mark_for(self.settings.expression) if self.settings.metadata else None,
            changing=clip.changing,
            samples=clip.samples() if format.name == "gif" else (),
        )
        if format.name == "mp4" and spec.size_px[0] * spec.size_px[1] > _MANY_PIXELS:
            note(f"At {spec.size_px[0]}×{spec.size_px[1]} px not every player shows the clip: --size 2160 is safer.")
        stored = stored_frames(format, spec)
        if stored < spec.frames:
            note(f"Browsers would slow down {spec.fps:g} fps: {stored} of {spec.frames} frames are stored.")
        sheet = ContactSheet(spec.frames, clip.sheet_box) if sheet_path else None
        _write_clip(clip, out_path, format, spec, sheet=sheet, overwrite=overwrite, on_frame=on_frame)
        if sheet_path and sheet:
            _write_sheet(sheet, sheet_path, spec, overwrite=overwrite)
        return AnimateResult(
            photo=str(photo_path),
            out=str(out_path),
            frames=spec.frames,
            fps=spec.fps,
            size_px=format.written_size_px(spec.size_px),
            faces=[tuple(round(float(side), 1) for side in face.box) for face in clip.faces],
            box=clip.framing.box,
            device=str(self._inference.placement.device),
            seconds=round(time.monotonic() - started, 2),
            sheet=str(sheet_path) if sheet_path else None,
            notes=notes,
        )

    def frames(self, photo: Photo, *, on_note: "Note | None" = None) -> "Iterator[np.ndarray]":
        """The frames of a photo at hand, one by one: uint8 (H, W, 3), (H, W, 4) where it has alpha."""
        note = on_note or _silent
        yield from Animation(
            photo, self.settings, self._track, self._inference, name="the photo", on_note=note
        ).frames()


def animate(
    image: "str | Path | np.ndarray | Image.Image",
    expression: str | Mapping[str, float] | Sequence[Mapping[str, float]] = "smile",
    *,
    frames: int = DEFAULT_FRAMES,
    intensity: float = 1.0,
    curve: str = "linear",
    shape: str = "onset",
    face: str = "largest",
    crop: bool = False,
    size: int | None = None,
    aligner: str = "auto",
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> "np.ndarray":
    """Frames of the person in ``image`` performing ``expression``: uint8 (T, H, W, 3), T = ``frames``.

    image: path, PIL image, or uint8 array (H, W), (H, W, 3) RGB or (H, W, 4), which is laid on white.
    expression: ``{"smile": 1.0}``, a list of such steps to go through, or the text of ``--expr``; weights up to 1.5.
    The rest is as in `AnimateSettings`. The first of several frames is the photo itself.
    Raises UsageError, ImageError, NoFaceError, WeightsError.
    """
    import numpy as np

    inference = load_inference(generator_path(weights), device, precision)
    known = inference.config.expressions
    if isinstance(expression, str):
        steps = parse_expressions(expression, known=known)
    else:
        blends = [expression] if isinstance(expression, Mapping) else expression
        steps = tuple(check_blend(dict(blend), known=known) for blend in blends)
    settings = AnimateSettings(
        frames=frames, intensity=intensity, curve=curve, shape=shape, face=face, crop=crop, size=size, aligner=aligner
    )
    photo = flattened(_as_photo(image))
    track = _track(settings, steps, known=known)
    return np.stack(list(Animation(photo, settings, track, inference, name="the image", on_note=_silent).frames()))


@functools.lru_cache(maxsize=2)
def _load(path: Path, _modified_ns: int, device: str, precision: str) -> "Inference":
    from facemotion.models.inference import Inference
    from facemotion.models.release import load_release
    from facemotion.weights.registry import known_sha256

    placement = choose_placement(device, precision)
    generator, _ = load_release(path, sha256=known_sha256("generator", path))
    return Inference(generator, placement)


_LOADING = threading.Lock()


def generator_path(weights: str | Path | None) -> Path:
    """The generator file to use: the one given, else where `facemotion.weights.registry` finds the released one."""
    from facemotion.weights.registry import weight_path

    return weight_path("generator", given=weights)


def load_inference(path: Path, device: str, precision: str) -> "Inference":
    """The generator of a release file ready to run; the same one for the same file, device and precision."""
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise WeightsError(f"no weights at {path}", "Check --weights or FACEMOTION_WEIGHTS.") from error
    with _LOADING:
        return _load(path, modified_ns, device, precision)


def known_expressions(weights: Path | None) -> tuple[str, ...]:
    """The expressions of a generator file of the user's own; those of the released model without one."""
    if weights is None:
        return EXPRESSIONS
    from facemotion.models.release import read_header

    return tuple(read_header(weights)["config"].get("expressions", EXPRESSIONS))


def _track(settings: AnimateSettings, steps: tuple[Blend, ...], *, known: tuple[str, ...]) -> list[tuple[float, ...]]:
    return control_track(
        steps,
        frames=settings.frames,
        shape=settings.shape,
        curve=settings.curve,
        intensity=settings.intensity,
        known=known,
    )


def _write_clip(
    clip: Animation,
    path: Path,
    format: ClipFormat,
    spec: ClipSpec,
    *,
    sheet: ContactSheet | None,
    overwrite: bool,
    on_frame: Callable[[], None] | None,
) -> None:
    from facemotion.media.prefetch import BackgroundWriter

    ahead = 0 if spec.is_large else 2
    with (
        staged(path, overwrite=overwrite) as part,
        BackgroundWriter(open_writer(part, format, spec), ahead=ahead) as writer,
    ):
        for frame, label in zip(clip.frames(), clip.labels(), strict=True):
            writer.write(frame)
            if sheet is not None:
                sheet.add(frame, label)
            if on_frame is not None:
                on_frame()


def _write_sheet(sheet: ContactSheet, path: Path, spec: ClipSpec, *, overwrite: bool) -> None:
    from facemotion.media.animated_images import png_bytes

    with staged(path, overwrite=overwrite) as part:
        part.write_bytes(png_bytes(sheet.picture(), spec.mark))


def _as_photo(image: "str | Path | np.ndarray | Image.Image") -> Photo:
    import numpy as np

    if isinstance(image, str | Path):
        return read_photo(image)
    if not isinstance(image, np.ndarray):
        return photo_of(image)
    array = image
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise UsageError(
            f"An array of {array.dtype} {array.shape} is no picture.",
            "Give uint8 of shape (H, W), (H, W, 3) or (H, W, 4).",
        )
    if array.ndim == 2:
        array = array[:, :, None].repeat(3, axis=2)
    opaque = array.shape[2] == 3
    return Photo(np.ascontiguousarray(array[:, :, :3]), None if opaque else np.ascontiguousarray(array[:, :, 3]))


def _silent(_: str) -> None:
    pass
