"""The story: photo -> faces -> heads fitted to them -> performances -> frames -> clip."""

import functools
import numbers
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.animation import Animation, Note
from facemotion.device import choose_placement, cuda_was_used_before_fork
from facemotion.errors import FacemotionError, ImageError, OutputNameError, UsageError, WeightsError
from facemotion.expressions.blends import Blend, builtin_recipes, check_blend, parse_expressions
from facemotion.expressions.recipes import Recipes
from facemotion.expressions.script import ExpressionScript, LevelsScript, Script
from facemotion.expressions.timing import DEFAULT_FRAMES
from facemotion.faces.framing import Box, flattened
from facemotion.media.atomic import check_output, staged_together
from facemotion.media.contact_sheet import ContactSheet, sheet_path
from facemotion.media.formats import ClipFormat, ClipSpec, ClipWriter, format_of, stored_frames
from facemotion.media.photos import Photo, check_pixels, photo_of, read_photo
from facemotion.media.provenance import mark_for
from facemotion.media.sound import add_sound
from facemotion.media.video import open_writer
from facemotion.profiling import Profile
from facemotion.settings import AnimateSettings, checked

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from facemotion.models.inference import CorrectionNetwork

_MANY_PIXELS = 4096 * 2304  # H.264 level 5.1, what common hardware decodes


@dataclass(frozen=True)
class AnimateResult:
    """What was written.

    ``faces`` boxes (x0, y0, x1, y1) in photo px of the faces that move; ``box`` the part of the photo that the clip
    shows; ``size_px`` (width, height) of the clip; ``notes`` the lines of advice; ``device`` where networks
    ran; ``seed`` which performance it was.
    """

    photo: str
    out: str
    frames: int
    fps: float
    size_px: tuple[int, int]
    faces: list[tuple[float, ...]]
    box: Box
    device: str
    seed: int
    seconds: float
    sheet: str | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


class Animator:
    """Makes clips with one set of settings. May be used from several threads."""

    def __init__(
        self,
        settings: AnimateSettings,
        *,
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        on_note: "Note | None" = None,
    ):
        """Reads the files that the settings name: recipes, a track; ``on_note`` gets lines about them."""
        if not isinstance(settings, AnimateSettings):
            raise UsageError(f"{_shown(settings)} are no settings.", "Give AnimateSettings(expression='smile').")
        self.settings = settings
        self.script = settings.script(on_note=on_note)
        self.weights = generator_path(weights)
        self._network = load_network(self.weights, device, precision)

    def animate_file(
        self,
        photo_path: str | Path,
        out_path: str | Path,
        *,
        format: ClipFormat | None = None,
        overwrite: bool = False,
        track_out: str | Path | None = None,
        on_note: "Note | None" = None,
        on_frame: Callable[[], None] | None = None,
        on_stage: Callable[[str], None] | None = None,
        profile: Profile | None = None,
    ) -> AnimateResult:
        """Animates the photo at ``photo_path`` (``-`` for standard input) into ``out_path``, whose suffix says how.

        ``on_note`` gets each line of advice as it comes up, ``on_stage`` what begins ("rendering"), ``on_frame`` is
        called at every frame and may raise to stop: nothing is left behind then. Frames are streamed, memory does not
        grow with their number. The clip and its contact sheet, where one is asked for, appear together or not at all.
        ``track_out`` is a CSV file of what the first face does; see `facemotion.expressions.tracks`. ``profile`` gets
        the time that each stage takes.
        Raises InputError, ImageError, NoFaceError, OutputError, WeightsError.
        """
        started = time.monotonic()
        stage, profile = on_stage or _silent, profile or Profile()
        out_path = _path("the clip", out_path)
        photo_path = _path("the photo", photo_path)
        format = format or format_of(out_path)
        paths = [out_path]
        if self.settings.sheet:
            paths.append(sheet_path(out_path, is_file=format.name != "frames"))
        for path in paths:
            if os.path.exists(path) and os.path.exists(photo_path) and os.path.samefile(path, photo_path):
                raise OutputNameError(f"{path} is the photo itself.", "Choose another name with --out.")
            check_output(path, overwrite=overwrite)
        notes: list[str] = []

        def note(line: str) -> None:
            notes.append(line)
            if on_note is not None:
                on_note(line)

        stage("reading the photo")
        with profile.stage("read"):
            photo = read_photo(photo_path)
            if not format.alpha:
                photo = flattened(photo)
        stage("finding the face")
        clip = Animation.of(
            photo,
            self.settings,
            self.script,
            name=str(photo_path),
            on_note=note,
            network=self._network,
            profile=profile,
        )
        spec = ClipSpec(
            size_px=clip.size_px,
            fps=self.settings.fps,
            frames=self.script.frames,
            alpha=photo.alpha is not None,
            repeats=self.settings.repeats,
            mark=mark_for(self.script.title) if self.settings.metadata else None,
            changing=clip.changing,
            samples=clip.samples() if format.name == "gif" else (),
            names=_level_names(self.script),
        )
        if format.name == "mp4" and spec.size_px[0] * spec.size_px[1] > _MANY_PIXELS:
            note(f"At {spec.size_px[0]}×{spec.size_px[1]} px not every player shows the clip: --size 2160 is safer.")
        stored = stored_frames(format, spec)
        if stored < spec.frames:
            note(f"Browsers would slow down {spec.fps:g} fps: {stored} of {spec.frames} frames are stored.")
        sheet = ContactSheet(spec.frames, clip.sheet_boxes) if self.settings.sheet else None
        stage("rendering")
        with staged_together(paths, overwrite=overwrite) as (part, *sheet_parts):
            _write_clip(clip, part, format, spec, sheet=sheet, on_frame=on_frame, profile=profile)
            if self.settings.drive is not None and format.name in ("mp4", "webm"):
                add_sound(part, self.settings.drive, format_name=format.name, seconds=spec.frames / spec.fps)
            if sheet is not None:
                _write_sheet(sheet, sheet_parts[0], spec)
        if track_out is not None:
            _write_track(clip, _path("the track", track_out), overwrite=overwrite)
        return AnimateResult(
            photo=str(photo_path),
            out=str(out_path),
            frames=spec.frames,
            fps=spec.fps,
            size_px=format.written_size_px(spec.size_px),
            faces=[tuple(round(float(side), 1) for side in face.box) for face in clip.faces],
            box=clip.framing.box,
            device=str(self._network.placement.device),
            seed=clip.seed,
            seconds=round(time.monotonic() - started, 2),
            sheet=str(paths[1]) if sheet else None,
            notes=notes,
        )

    def frames(self, photo: Photo, *, on_note: "Note | None" = None) -> "Iterator[np.ndarray]":
        """The frames of a photo at hand, one by one: uint8 (H, W, 3), (H, W, 4) where it has alpha."""
        if not isinstance(photo, Photo):
            raise UsageError(f"A {type(photo).__name__} is no photo.", "Read one: facemotion.read_photo(path).")
        note = on_note or _silent
        clip = Animation.of(photo, self.settings, self.script, name="the photo", on_note=note, network=self._network)
        yield from clip.frames()


def animate(
    image: "str | Path | np.ndarray | Image.Image",
    expression: str | Mapping[str, float] | Sequence[Mapping[str, float]] = "smile",
    *,
    frames: int = DEFAULT_FRAMES,
    intensity: float = 1.0,
    curve: str = "natural",
    shape: str = "onset",
    relative: bool = False,
    life: str = "off",
    head: tuple[float, float, float] = (0.0, 0.0, 0.0),
    seed: int | None = None,
    recipes: str | None = None,
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
    expression: ``{"smile": 1.0}``, expressions and units with weights up to 1.5, a list of such steps to go through, or
    the text of ``--expr``.
    The rest is as in `AnimateSettings`. The first of several frames is the photo itself.
    Raises UsageError, ImageError, NoFaceError, WeightsError.
    """
    import numpy as np

    settings = AnimateSettings(
        frames=frames,
        intensity=intensity,
        curve=curve,
        shape=shape,
        relative=relative,
        life=life,
        head=head,
        seed=seed,
        recipes=recipes,
        face=face,
        crop=crop,
        size=size,
        aligner=aligner,
    )
    network = load_network(generator_path(weights), device, precision)
    known = Recipes.load(recipes) if recipes else builtin_recipes()
    script = ExpressionScript(
        _steps(expression, recipes=known),
        frames=frames,
        fps=settings.fps,
        shape=shape,
        curve=curve,
        intensity=intensity,
        relative=relative,
        head=settings.head,
        life=life,
        recipes=known,
    )
    photo = flattened(_as_photo(image))
    clip = Animation.of(photo, settings, script, name="the image", on_note=_silent, network=network)
    return np.stack(list(clip.frames()))


@functools.lru_cache(maxsize=2)
def _load(path: Path, _modified_ns: int, device: str, precision: str) -> "CorrectionNetwork":
    from facemotion.models.inference import CorrectionNetwork
    from facemotion.weights.registry import known_sha256

    return CorrectionNetwork.load(path, choose_placement(device, precision), sha256=known_sha256("generator", path))


_LOADING = threading.Lock()


def _begin_anew_after_fork() -> None:
    """In a forked process a lock that another thread held is never let go, and a GPU that was used is out of reach."""
    global _LOADING
    _LOADING = threading.Lock()
    if "torch" in sys.modules and cuda_was_used_before_fork():
        _load.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_after_fork)


def generator_path(weights: str | Path | None) -> Path:
    """The generator file to use: the one given, else where `facemotion.weights.registry` finds the released one."""
    from facemotion.weights.registry import weight_path

    return weight_path("generator", given=None if weights is None else _path("weights", weights))


def load_network(path: Path, device: str, precision: str) -> "CorrectionNetwork":
    """The generator of a release file ready to run; the same one for the same file, device and precision."""
    for name, value in (("device", device), ("precision", precision)):
        checked(name, value, str)
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise WeightsError(f"no weights at {path}", "Check --weights or FACEMOTION_WEIGHTS.") from error
    with _LOADING:
        return _load(path, modified_ns, device, precision)


def _level_names(script: Script) -> tuple[str, ...]:
    if not isinstance(script, LevelsScript):
        return ()
    from facemotion.expressions.dynamics import level_names

    return tuple(level_names(script.title, script.frames))


def _write_clip(
    clip: Animation,
    path: Path,
    format: ClipFormat,
    spec: ClipSpec,
    *,
    sheet: ContactSheet | None,
    on_frame: Callable[[], None] | None,
    profile: Profile,
) -> None:
    from facemotion.media.prefetch import BackgroundWriter

    ahead = 1 if spec.is_large else 2
    with profile.stage("encode"):
        encoder = _TimedWriter(open_writer(path, format, spec), profile)
    # Closed here, not whenever the frames are collected: the network's thread ends before anything is tidied up.
    with closing(clip.frames()) as frames, BackgroundWriter(encoder, ahead=ahead) as writer:
        for frame, label in zip(frames, clip.labels(), strict=True):
            writer.write(frame)
            if sheet is not None:
                sheet.add(frame, label)
            if on_frame is not None:
                on_frame()


class _TimedWriter:
    """A writer whose time counts as encoding."""

    def __init__(self, writer: ClipWriter, profile: Profile):
        self._writer, self._profile = writer, profile

    def write(self, frame: "np.ndarray") -> None:
        with self._profile.stage("encode", frames=1):
            self._writer.write(frame)

    def close(self) -> None:
        with self._profile.stage("encode"):
            self._writer.close()


def _write_sheet(sheet: ContactSheet, path: Path, spec: ClipSpec) -> None:
    from facemotion.media.animated_images import png_bytes

    path.write_bytes(png_bytes(sheet.picture(), spec.mark))


def _write_track(clip: Animation, path: Path, *, overwrite: bool) -> None:
    from facemotion.expressions.tracks import TrackWriter
    from facemotion.media.atomic import staged

    with staged(path, overwrite=overwrite) as part, TrackWriter(part, landmarks=True) as writer:
        clip.record(writer.write)


def _path(what: str, path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"A {type(path).__name__} is no path of {what}.", "Give the name of a file.")
    return Path(path)


def _steps(expression: object, *, recipes: Recipes) -> tuple[Blend, ...]:
    """The steps of an expression as the Python API takes it."""
    if isinstance(expression, str):
        return parse_expressions(expression, recipes=recipes)
    blends = [expression] if isinstance(expression, Mapping) else expression
    hint = 'Write text, "smile,surprise", or weights: {"smile": 1.0}, or a list of such steps.'
    if not isinstance(blends, Sequence) or isinstance(blends, bytes) or not blends:
        raise UsageError(f"{_shown(expression)} is no expression.", hint)
    for blend in blends:
        if not isinstance(blend, Mapping):
            raise UsageError(f"{_shown(blend)} is no step of an expression.", hint)
        for name, weight in blend.items():
            if not isinstance(name, str):
                raise UsageError(f"{_shown(name)} is no name of an expression.", hint)
            if not isinstance(weight, numbers.Real):
                raise UsageError(f"The weight of {name} is {_shown(weight)}.", "Give a number: 1 is the natural peak.")
    return tuple(
        check_blend({name: float(weight) for name, weight in blend.items()}, recipes=recipes) for blend in blends
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"a {type(value).__name__}"


def _as_photo(image: "str | Path | np.ndarray | Image.Image") -> Photo:
    import numpy as np
    from PIL import Image

    if isinstance(image, str | os.PathLike):
        return read_photo(Path(image))
    if isinstance(image, Image.Image):
        return _photo_of_picture(image)
    if isinstance(image, bytes | bytearray | memoryview) or hasattr(image, "read"):
        raise UsageError(
            f"A {type(image).__name__} is no picture.",
            "Open it first: PIL.Image.open(stream), or PIL.Image.open(io.BytesIO(data)).",
        )
    check_pixels(image)
    assert isinstance(image, np.ndarray)
    array = image if image.ndim == 3 else image[:, :, None].repeat(3, axis=2)
    opaque = array.shape[2] == 3
    return Photo(np.ascontiguousarray(array[:, :, :3]), None if opaque else np.ascontiguousarray(array[:, :, 3]))


def _photo_of_picture(image: "Image.Image") -> Photo:
    """A Pillow picture, which may be of a file that turns out to be damaged only now."""
    if not image.width * image.height:
        raise ImageError("The picture has no pixels.", "Give another one.")
    try:
        return photo_of(image)
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, TypeError, struct.error) as error:
        if isinstance(error, FacemotionError):
            raise
        raise ImageError(f"The picture is truncated or damaged ({error}).", "Give another one.") from error


def _silent(_: str) -> None:
    pass
