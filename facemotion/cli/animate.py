"""``facemotion animate``: one photo and one word to a finished clip; folders of photos to folders of clips."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console
from facemotion.errors import UsageError

if TYPE_CHECKING:
    from facemotion.media.video import ClipFormat

_TIMING, _PICTURE, _OUTPUT, _MACHINE = "Timing", "Face and picture", "Output", "Machine"

_EPILOG = """Examples:

facemotion animate photo.jpg --expr smile --frames 32

facemotion animate photo.jpg --expr smile:0.7+surprise:0.3 --out mix.gif

facemotion animate photo.jpg --expr "smile,neutral,surprise" --seconds 4 --curve ease

facemotion animate photo.jpg --expr blink --shape loop --out blink.webp --crop

facemotion animate group.jpg --face all --compare --sheet

facemotion animate photos/ --out clips/ --expr sadness
"""


def register(app: typer.Typer) -> None:
    """Adds the ``animate`` command."""
    app.command(epilog=_EPILOG, no_args_is_help=True)(animate)


def _choices(*words: str) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _complete_expression(incomplete: str) -> list[str]:
    from facemotion.expressions.grammar import EXPRESSIONS

    cut = max(incomplete.rfind("+"), incomplete.rfind(",")) + 1
    return [incomplete[:cut] + name for name in EXPRESSIONS if name.startswith(incomplete[cut:])]


def animate(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO", help="Photos, or folders of photos; - is standard input.")
    ],
    expr: Annotated[
        str,
        typer.Option(
            "--expr",
            "-e",
            help="Expression: smile; smile:0.7+surprise:0.3; smile,neutral,surprise.",
            autocompletion=_complete_expression,
        ),
    ] = "smile",
    frames: Annotated[
        int | None, typer.Option("--frames", "-n", help="Number of frames.", show_default="32", rich_help_panel=_TIMING)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Length, instead of a number of frames.", rich_help_panel=_TIMING)
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames per second.", rich_help_panel=_TIMING)] = 25.0,
    intensity: Annotated[
        float, typer.Option(help="Strength, 0 to 1.5; 1 = natural peak.", rich_help_panel=_TIMING)
    ] = 1.0,
    curve: Annotated[
        str,
        typer.Option(
            metavar="linear|ease|snap",
            help="How the strength grows.",
            rich_help_panel=_TIMING,
            autocompletion=_choices("linear", "ease", "snap"),
        ),
    ] = "linear",
    shape: Annotated[
        str,
        typer.Option(
            metavar="onset|pulse|loop",
            help="To the peak; there and back; without a seam.",
            rich_help_panel=_TIMING,
            autocompletion=_choices("onset", "pulse", "loop"),
        ),
    ] = "onset",
    face: Annotated[
        str,
        typer.Option(
            metavar="largest|all|N|X,Y",
            help="Which face; N as `facemotion faces` counts.",
            rich_help_panel=_PICTURE,
            autocompletion=_choices("largest", "all"),
        ),
    ] = "largest",
    crop: Annotated[
        bool, typer.Option("--crop", help="The face alone, not the whole photo.", rich_help_panel=_PICTURE)
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Longer side.", show_default="the photo's own", rich_help_panel=_PICTURE),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Photo and clip side by side.", rich_help_panel=_PICTURE)
    ] = False,
    aligner: Annotated[
        str,
        typer.Option(
            metavar="auto|builtin|face-alignment",
            help="Who finds the face.",
            rich_help_panel=_PICTURE,
            autocompletion=_choices("auto", "builtin", "face-alignment"),
        ),
    ] = "auto",
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="File: .mp4 .webm .gif .webp .png; without suffix a folder of png frames; for several photos "
            "the folder of the clips.",
            show_default="PHOTO-smile.mp4 beside the photo",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="Instead of a suffix: mp4, webm, gif, webp, png or frames.",
            rich_help_panel=_OUTPUT,
            autocompletion=_choices("mp4", "webm", "gif", "webp", "png", "frames"),
        ),
    ] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also a contact sheet.", rich_help_panel=_OUTPUT)] = False,
    repeats: Annotated[
        int, typer.Option(help="How often gif, webp, png play; 0 = for ever.", rich_help_panel=_OUTPUT)
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what exists.", rich_help_panel=_OUTPUT)
    ] = False,
    no_metadata: Annotated[
        bool, typer.Option("--no-metadata", help="Leave the AI-generated mark out.", rich_help_panel=_OUTPUT)
    ] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Part I of N of a batch.", rich_help_panel=_MACHINE)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Photos at a time in a batch.", rich_help_panel=_MACHINE)
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda|mps",
            help="Where the network runs.",
            rich_help_panel=_MACHINE,
            autocompletion=_choices("auto", "cpu", "cuda", "mps"),
        ),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|fp32|fp16|bf16",
            help="Its numbers; auto is fp16 on CUDA.",
            rich_help_panel=_MACHINE,
            autocompletion=_choices("auto", "fp32", "fp16", "bf16"),
        ),
    ] = "auto",
    weights: Annotated[
        Path | None, typer.Option(help="A generator file of your own.", rich_help_panel=_MACHINE)
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never download.", rich_help_panel=_MACHINE)] = False,
    as_json: console.Json = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    """Turn a photo into a clip of that person performing an expression."""
    from facemotion.cli.jobs import Job, print_report, print_result
    from facemotion.expressions.grammar import parse_expressions, slug
    from facemotion.expressions.timing import frame_count
    from facemotion.settings import AnimateSettings

    if offline:
        os.environ["FACEMOTION_OFFLINE"] = "1"
    settings = AnimateSettings(
        expression=expr,
        frames=frame_count(frames=frames, seconds=seconds, fps=fps),
        fps=fps,
        intensity=intensity,
        curve=curve,
        shape=shape,
        face=face,
        crop=crop,
        size=size,
        compare=compare,
        sheet=sheet,
        repeats=repeats,
        metadata=not no_metadata,
        aligner=aligner,
    )
    word = slug(parse_expressions(expr, known=_known_expressions(weights)))
    job = Job(settings, weights=weights, device=device, precision=precision, overwrite=overwrite)
    if len(photos) > 1 or shard is not None or Path(photos[0]).is_dir():
        if "-" in photos:
            raise UsageError("Standard input is one photo.", "Give - alone, without --shard.")
        inputs, folder = [Path(photo) for photo in photos], _batch_folder(out)
        report = job.run_batch(inputs, folder, _format(format, None), word=word, shard=shard, workers=workers)
        if as_json:
            console.say_json(report.as_dict())
        else:
            print_report(report)
        raise typer.Exit(report.exit_code)
    clip_format = _format(format, out)
    result = job.run_one(photos[0], _target(photos[0], out, clip_format, word=word), clip_format)
    if as_json:
        console.say_json(result.as_dict())
    else:
        print_result(result)


def _known_expressions(weights: Path | None) -> tuple[str, ...]:
    from facemotion.api import known_expressions

    own = weights or Path(os.environ.get("FACEMOTION_WEIGHTS", "."))
    return known_expressions(None if own.is_dir() else own)


def _format(name: str | None, out: str | None) -> "ClipFormat":
    """By ``--format``, else by the suffix of ``--out``, else mp4."""
    from facemotion.expressions.timing import check_choice
    from facemotion.media.video import FORMATS, format_of

    if name is not None:
        check_choice("format", name, tuple(FORMATS))
        if out is not None and Path(out).suffix and format_of(out) is not FORMATS[name]:
            raise UsageError(f"--format {name} does not fit --out {out}.", "Leave one of them out.")
        return FORMATS[name]
    if out == "-":
        raise UsageError("Clips are not written to standard output.", "Name a file with --out.")
    if out is None or _is_place(out):
        return FORMATS["mp4"]
    return format_of(out)


def _batch_folder(out: str | None) -> Path | None:
    """``--out`` of a batch, which is a folder."""
    from facemotion.media.video import FORMATS

    if out is None:
        return None
    suffixes = {suffix for format in FORMATS.values() for suffix in format.suffixes if suffix}
    if Path(out).suffix.lower() in suffixes and not Path(out).is_dir():
        raise UsageError(f"--out {out} is one file, but several photos may come.", "Name a folder, and a --format.")
    return Path(out)


def _is_place(out: str) -> bool:
    """Whether ``--out`` names a folder to put the clip into: it ends in a slash, or holds other things than frames."""
    from facemotion.media.atomic import is_frames_folder

    return out.endswith(("/", os.sep)) or (Path(out).is_dir() and not is_frames_folder(Path(out)))


def _target(photo: str, out: str | None, format: "ClipFormat", *, word: str) -> Path:
    """Where the clip of a single photo goes."""
    name = f"{'stdin' if photo == '-' else Path(photo).stem}-{word}{format.suffixes[0]}"
    if out is None:
        return Path(photo).with_name(name)
    folder_by_format = not Path(out).suffix and format.name != "frames"
    return Path(out) / name if _is_place(out) or folder_by_format else Path(out)
