"""``facemotion animate``: one photo and one word to a finished clip; folders of photos to folders of clips."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facemotion.cli import console
from facemotion.cli.options import grouped
from facemotion.errors import UsageError
from facemotion.expressions.blends import builtin_recipes
from facemotion.expressions.timing import DEFAULT_FPS, DEFAULT_FRAMES
from facemotion.expressions.units import UNIT_NAMES

if TYPE_CHECKING:
    from facemotion.cli.jobs import Job
    from facemotion.media.formats import ClipFormat

_EPILOG = """Examples:

facemotion animate photo.jpg --expr smile --frames 32

facemotion animate photo.jpg --expr smile:0.7+surprise:0.3 --out mix.gif

facemotion animate photo.jpg --expr "smile,neutral,surprise" --seconds 4

facemotion animate photo.jpg --expr blink --shape loop --out blink.webp --crop

facemotion animate group.jpg --face all --compare --sheet

facemotion animate photos/ --out clips/ --expr sadness
"""


def register(app: typer.Typer) -> None:
    """Adds the ``animate`` command."""
    app.command(epilog=_EPILOG, no_args_is_help=True)(grouped(animate))


def _choices(*words: str) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _complete_expression(incomplete: str) -> list[str]:
    cut = max(incomplete.rfind("+"), incomplete.rfind(",")) + 1
    words = (*builtin_recipes().names, "neutral", "photo", *UNIT_NAMES)
    return [incomplete[:cut] + name for name in words if name.startswith(incomplete[cut:])]


Photos = Annotated[
    list[str] | None, typer.Argument(metavar="PHOTO", help="Photos, or folders of photos; - is standard input.")
]
Expression = Annotated[
    str | None,
    typer.Option(
        "--expr",
        "-e",
        metavar="EXPR",
        help=f"{', '.join(builtin_recipes().names)}, neutral; weaker: smile:0.5; at once: smile:0.7+surprise:0.3; one "
        "after another: smile,neutral,surprise; units: browInnerUp:0.5 or AU1:0.5 (see facemotion expressions).",
        show_default="smile",
        rich_help_panel="Expression",
        autocompletion=_complete_expression,
    ),
]


def _option(panel: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


_timing = functools.partial(_option, "Timing")
_performance = functools.partial(_option, "Performance")
_picture = functools.partial(_option, "Face and picture")
_output = functools.partial(_option, "Output")
_machine = functools.partial(_option, "Machine")


def _one_of(*words: str, metavar: str) -> dict[str, Any]:
    return {"metavar": metavar, "autocompletion": _choices(*words)}


@dataclass(frozen=True)
class TimingOptions:
    """How long, how strong, and when."""

    frames: Annotated[
        int | None, _timing("Number of frames.", "--frames", "-n", metavar="N", show_default=str(DEFAULT_FRAMES))
    ] = None
    seconds: Annotated[float | None, _timing("Length, instead of a number of frames.", metavar="N")] = None
    fps: Annotated[float, _timing("Frames per second.", metavar="N")] = DEFAULT_FPS
    intensity: Annotated[float, _timing("Factor on all weights, 0 to 1.5; 1 = natural peak.", metavar="N")] = 1.0
    curve: Annotated[
        str,
        _timing(
            "How the strength grows: natural (as on faces), linear (even steps), ease (gently off and in), "
            "snap (fast at first).",
            **_one_of("natural", "linear", "ease", "snap", metavar="NAME"),
        ),
    ] = "natural"
    shape: Annotated[
        str,
        _timing(
            "onset: from the photo to the peak, where it ends; pulse: to the peak, a hold, and back to the photo; "
            "loop: there and back so that it repeats without a seam; idle: a loop of life alone.",
            **_one_of("onset", "pulse", "loop", "idle", metavar="NAME"),
        ),
    ] = "onset"


@dataclass(frozen=True)
class PerformanceOptions:
    """Who performs, and how alive."""

    relative: Annotated[
        bool, _performance("Add to what the photo shows; by default a laughing photo turned sad is sad.", "--relative")
    ] = False
    life: Annotated[
        str,
        _performance(
            "Blinks, glances, breath and a swaying head: off, subtle or full.",
            **_one_of("off", "subtle", "full", metavar="NAME"),
        ),
    ] = "off"
    head: Annotated[
        str | None,
        _performance("Turn the head along with the expression, in degrees, as in --head 6,-2,0.", metavar="Y,P,R"),
    ] = None
    seed: Annotated[
        int | None,
        _performance("Another way to show it, other teeth.", metavar="N", show_default="derived from the photo"),
    ] = None
    recipes: Annotated[Path | None, _performance("Expressions of your own, a JSON file.", metavar="FILE")] = None
    track: Annotated[
        Path | None,
        _performance("Perform a CSV of units, as Live Link Face or `facemotion track` writes it.", metavar="FILE"),
    ] = None
    drive: Annotated[
        Path | None, _performance("Perform what the face in a video does; its sound comes along.", metavar="VIDEO")
    ] = None
    levels: Annotated[
        int | None,
        _performance("N stills from the photo to the expression, by name, into a folder.", metavar="N"),
    ] = None


@dataclass(frozen=True)
class PictureOptions:
    """Which face, and what of the photo."""

    face: Annotated[
        str,
        _picture(
            "largest, all, a number as `facemotion faces` counts, or a point X,Y in the photo.",
            **_one_of("largest", "all", metavar="FACE"),
        ),
    ] = "largest"
    crop: Annotated[bool, _picture("The face alone, not the whole photo.", "--crop")] = False
    size: Annotated[int | None, _picture("Longer side.", metavar="PX", show_default="the photo's own")] = None
    compare: Annotated[bool, _picture("Photo and clip side by side.", "--compare")] = False
    aligner: Annotated[
        str,
        _picture(
            "Who finds the face: auto, builtin or face-alignment.",
            **_one_of("auto", "builtin", "face-alignment", metavar="NAME"),
        ),
    ] = "auto"


@dataclass(frozen=True)
class OutputOptions:
    """What is written where."""

    out: Annotated[
        str | None,
        _output(
            "File: .mp4 .webm .gif .webp .png; a name without suffix is a folder of png frames; a folder that is there "
            "already, or ends in /, takes the clip; for several photos the folder of their clips.",
            "--out",
            "-o",
            metavar="PATH",
            show_default="PHOTO-smile.mp4 beside the photo",
        ),
    ] = None
    format: Annotated[
        str | None,
        _output(
            "Instead of a suffix: mp4, webm, gif, webp, png or frames.",
            **_one_of("mp4", "webm", "gif", "webp", "png", "frames", metavar="NAME"),
        ),
    ] = None
    manifest: Annotated[
        Path | None,
        _output("Make the clips of a CSV file: photo, expression, intensity, frames, output.", metavar="FILE"),
    ] = None
    track_out: Annotated[
        Path | None, _output("Also a CSV of time, units, head and 68 landmarks of every frame.", metavar="FILE")
    ] = None
    sheet: Annotated[bool, _output("Also a contact sheet of the face: CLIP-sheet.png.", "--sheet")] = False
    repeats: Annotated[int, _output("How often gif, webp, png play; 0 = for ever.", metavar="N")] = 0
    overwrite: Annotated[bool, _output("Replace what exists.", "--overwrite")] = False
    no_metadata: Annotated[bool, _output("Leave the AI-generated mark out.", "--no-metadata")] = False


@dataclass(frozen=True)
class MachineOptions:
    """Where the work is done."""

    shard: Annotated[str | None, _machine("Part I of N of a batch.", metavar="I/N")] = None
    workers: Annotated[int | None, console.workers("Photos", rich_help_panel="Machine")] = None
    device: Annotated[
        str,
        _machine(
            "Where the network runs: auto, cpu, cuda or mps.",
            **_one_of("auto", "cpu", "cuda", "mps", metavar="NAME"),
        ),
    ] = "auto"
    precision: Annotated[
        str,
        _machine(
            "Of its numbers: auto, fp32, fp16 or bf16; auto is fp16 on CUDA.",
            **_one_of("auto", "fp32", "fp16", "bf16", metavar="NAME"),
        ),
    ] = "auto"
    weights: Annotated[Path | None, _machine("A generator file of your own.", metavar="FILE")] = None
    offline: Annotated[bool, _machine("Never download.", "--offline")] = False
    profile: Annotated[bool, _machine("Say where the time went, stage by stage.", "--profile")] = False


def animate(
    photos: Photos = None,
    *,
    expr: Expression = None,
    timing: TimingOptions,
    performance: PerformanceOptions,
    picture: PictureOptions,
    output: OutputOptions,
    machine: MachineOptions,
    as_json: console.Json = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    """Turn a photo into a clip of that person performing an expression."""
    from facemotion.cli import process
    from facemotion.cli.jobs import Job, print_profile, print_report, print_result
    from facemotion.profiling import Profile
    from facemotion.settings import AnimateSettings

    if machine.offline:
        os.environ["FACEMOTION_OFFLINE"] = "1"
    settings = AnimateSettings(
        expression=expr or ("photo" if timing.shape == "idle" else "smile"),
        frames=_frames(timing, default=None if performance.track or performance.drive else DEFAULT_FRAMES),
        fps=timing.fps,
        intensity=timing.intensity,
        curve=timing.curve,
        shape=timing.shape,
        relative=performance.relative,
        life=_life(performance.life, timing.shape),
        head=_angles(performance.head),
        seed=performance.seed,
        recipes=None if performance.recipes is None else str(performance.recipes),
        track=None if performance.track is None else str(performance.track),
        drive=None if performance.drive is None else str(performance.drive),
        levels=performance.levels,
        face=picture.face,
        crop=picture.crop,
        size=picture.size,
        compare=picture.compare,
        sheet=output.sheet,
        repeats=output.repeats,
        metadata=not output.no_metadata,
        aligner=picture.aligner,
    )
    word = settings.title
    profile = Profile() if machine.profile else None
    if profile is not None:
        profile.include_start(process.running_s())
    job = Job(
        settings,
        weights=machine.weights,
        device=machine.device,
        precision=machine.precision,
        overwrite=output.overwrite,
        profile=profile,
    )
    if output.manifest is not None:
        if photos:
            raise UsageError("Photos and --manifest were both given.", "Name the photos in the manifest alone.")
        _make_manifest(job, output, as_json=as_json)
    if not photos:
        raise UsageError("Missing argument 'PHOTO'.", "See facemotion animate --help.")
    if len(photos) > 1 or machine.shard is not None or os.path.isdir(photos[0]):
        if "-" in photos:
            raise UsageError("Standard input is one photo.", "Give - alone, without --shard.")
        report = job.run_batch(
            [Path(photo) for photo in photos],
            _batch_folder(output.out),
            _format(output, several=True),
            word=word,
            shard=machine.shard,
            workers=machine.workers,
        )
        if as_json:
            console.say_json({**report.as_dict(), **job.profile_entry()})
        else:
            print_report(report)
            print_profile(profile)
        raise typer.Exit(report.exit_code)
    clip_format = _format(output, several=False)
    if performance.levels is not None and output.format is None:
        from facemotion.media.formats import FORMATS

        clip_format = FORMATS["frames"]
    target = _target(photos[0], output.out, clip_format, word=word)
    result = job.run_one(photos[0], target, clip_format, track_out=output.track_out)
    if as_json:
        console.say_json({**result.as_dict(), **job.profile_entry()})
    else:
        print_result(result)
        print_profile(profile)


def _make_manifest(job: "Job", output: OutputOptions, *, as_json: bool) -> None:
    """Make the clips of a manifest and leave the command."""
    from facemotion.batch.manifest import read_manifest
    from facemotion.cli.jobs import print_made, print_profile
    from facemotion.expressions.recipes import Recipes

    assert output.manifest is not None
    recipes = None if job.settings.recipes is None else Recipes.load(job.settings.recipes)
    out = None if output.out is None else Path(output.out)
    rows = read_manifest(output.manifest, out=out, recipes=recipes, on_note=console.warn)
    made = job.run_manifest(rows, out, _format(output, several=True))
    if as_json:
        console.say_json({"clips": [each.as_dict() for each in made], **job.profile_entry()})
    else:
        print_made(made)
        print_profile(job.profile)
    failed = sum(each.error is not None for each in made)
    raise typer.Exit(3 if failed else 0)


def _frames(timing: TimingOptions, *, default: int | None) -> int | None:
    from facemotion.expressions.timing import frame_count

    given = timing.frames is not None or timing.seconds is not None
    count = frame_count(frames=timing.frames, seconds=timing.seconds, fps=timing.fps)
    return count if given else default


def _life(life: str, shape: str) -> str:
    """A clip of life alone lives, unless it is told not to."""
    return "subtle" if shape == "idle" and life == "off" else life


def _angles(text: str | None) -> tuple[float, float, float]:
    if text is None:
        return 0.0, 0.0, 0.0
    try:
        yaw, pitch, roll = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--head {text} is not three angles.", "Write yaw,pitch,roll in degrees: 6,-2,0.") from None
    return yaw, pitch, roll


def _format(output: OutputOptions, *, several: bool) -> "ClipFormat":
    """By ``--format``, else by the suffix of ``--out``, else mp4."""
    from facemotion.expressions.timing import check_choice
    from facemotion.media.formats import FORMATS, format_of

    out, name = output.out, output.format
    if out == "-":
        raise UsageError("Clips are not written to standard output.", "Name a file with --out.")
    if name is not None:
        check_choice("format", name, tuple(FORMATS))
    if out is None or several or _is_place(out):
        return FORMATS[name or "mp4"]
    if name is None:
        return format_of(out)
    suffix = Path(out).suffix.lower()
    if suffix in FORMATS[name].suffixes or not suffix or (name == "frames" and not _is_known(suffix)):
        return FORMATS[name]
    raise UsageError(
        f"--format {name} does not fit --out {out}.", f"Leave one of them out, or write {out}/ for a folder."
    )


def _is_known(suffix: str) -> bool:
    from facemotion.media.formats import FORMATS

    return any(suffix in format.suffixes for format in FORMATS.values())


def _batch_folder(out: str | None) -> Path | None:
    """``--out`` of a batch, which is a folder."""
    if out is None:
        return None
    if _is_known(Path(out).suffix.lower() or "none") and not out.endswith(_SEPARATORS) and not os.path.isdir(out):
        raise UsageError(f"--out {out} is one file, but several photos may come.", "Name a folder, and a --format.")
    return Path(out)


_SEPARATORS = ("/", os.sep)


def _is_place(out: str) -> bool:
    """Whether ``--out`` names a folder to put the clip into: it ends in a slash, or is there and holds no frames."""
    from facemotion.media.atomic import is_frames_folder

    return out.endswith(_SEPARATORS) or (os.path.isdir(out) and not is_frames_folder(Path(out)))


def _target(photo: str, out: str | None, format: "ClipFormat", *, word: str) -> Path:
    """Where the clip of a single photo goes."""
    from facemotion.batch.plan import clip_stem
    from facemotion.media.atomic import fitting_name

    stem = "stdin" if photo == "-" else clip_stem(Path(os.path.abspath(photo)))
    name = fitting_name(stem, f"-{word}{format.suffixes[0]}")
    if out is None:
        return Path(photo).with_name(name) if photo != "-" else Path(name)
    if format.name == "frames" and os.path.isdir(out) and not any(os.scandir(out)):
        return Path(out)  # made for the frames
    folder_by_format = not Path(out).suffix and format.name != "frames"
    return Path(out) / name if _is_place(out) or folder_by_format else Path(out)
