"""``facemotion track``: the performance of a face in a video, as a CSV file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facemotion.cli import console
from facemotion.errors import NoFaceError, OutputNameError, UsageError

if TYPE_CHECKING:
    from facemotion.faces.tracking import FaceTrack

_EPILOG = """Examples:

facemotion track talk.mp4

facemotion track talk.mov --out talk.csv --face 2

facemotion track group.mp4 --face 640,360 --raw --json
"""


def register(app: typer.Typer) -> None:
    """Adds the ``track`` command."""
    app.command(epilog=_EPILOG, no_args_is_help=True)(track)


def track(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="The video; its sound is not needed.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The .csv file.", show_default="VIDEO.csv beside the video")
    ] = None,
    face: Annotated[
        str,
        typer.Option(metavar="largest|N|X,Y", help="Which face, where it first appears and after every cut."),
    ] = "largest",
    raw: Annotated[bool, typer.Option("--raw", help="As measured, not smoothed.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    as_json: console.Json = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    """Measure the performance of a face in a video: expression units, head and eyes of every frame."""
    from facemotion.faces.selection import check_face_choice
    from facemotion.media.atomic import check_output, staged

    check_face_choice(face)
    if face == "all":
        raise UsageError("A track follows one face.", "Choose it with --face largest, N or X,Y.")
    target = video.with_suffix(".csv") if out is None else out
    if target.suffix.lower() != ".csv":
        raise OutputNameError(f"A track cannot be written as {target.name}.", "Give a name that ends in .csv.")
    check_output(target, overwrite=overwrite)
    measured = _measure(video, face)
    found = measured if raw else measured.smoothed()
    with staged(target, overwrite=overwrite) as part:
        _write(found, part)
    seen = int(found.seen.sum())
    result: dict[str, Any] = {
        "video": str(video),
        "out": str(target),
        "frames": len(found),
        "seconds": round(float(found.time_s[-1]), 3),
        "seen": seen,
        "gaps": found.gaps,
        "cuts": int(found.cuts.sum()),
    }
    if as_json:
        console.say_json(result)
        return
    if result["cuts"]:
        times = ", ".join(f"{time_s:.2f}" for time_s in found.time_s[found.cuts][:5])
        more = " …" if result["cuts"] > 5 else ""
        console.warn(f"A cut at {times}{more} s: the face was chosen anew; check that it is the same.")
    if result["gaps"]:
        console.warn(f"The face is missing in {len(found) - seen} of {len(found)} frames; their rows are marked.")
    console.say(f"{target}  {len(found)} rows, {result['seconds']:.2f} s, face in {seen / len(found):.0%}")


def _measure(video: Path, face: str) -> "FaceTrack":
    from facemotion.media.footage import Footage

    with Footage(video) as footage:
        from facemotion.faces.landmarker import Landmarker
        from facemotion.faces.tracking import LONGEST_PX, track_face

        landmarker = Landmarker.load()
        with console.progress(video.name, footage.expected_frames) as step:
            frames = footage.frames(longest_px=LONGEST_PX, on_note=console.warn)
            found = track_face(frames, landmarker=landmarker, choice=face, on_frame=step)
    if not found.seen.any():
        which = "" if face == "largest" else f" {face}" if face.isdecimal() else f" at {face}"
        raise NoFaceError(
            f"No face{which} in the {len(found)} frames of {video}.",
            "Use a video with a larger, less turned face, or choose another with --face.",
        )
    return found


def _write(found: "FaceTrack", path: Path) -> None:
    from facemotion.expressions.tracks import TrackWriter

    with TrackWriter(path, gaps=True, cuts=True, eyes=True) as writer:
        for frame, time_s in enumerate(found.time_s.tolist()):
            if found.seen[frame]:
                writer.write(
                    time_s, found.units[frame], head=found.head[frame], eyes=found.eyes[frame], cut=found.cuts[frame]
                )
            else:
                writer.write(time_s, None, cut=found.cuts[frame])
