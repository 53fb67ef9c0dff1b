"""``facemotion faces``: which faces are in a photo, with the numbers that ``animate --face`` takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facemotion.cli import console
from facemotion.errors import FacemotionError, InputError, NoFaceError, OutputError, OutputNameError, UsageError

if TYPE_CHECKING:
    from facemotion.faces.types import Face
    from facemotion.media.photos import Photo

SOME_FAILED = 3

_EPILOG = """Examples:

facemotion faces photo.jpg

facemotion faces group.jpg --overlay numbered.png

facemotion faces *.jpg --json

facemotion faces small.jpg --aligner face-alignment
"""


def register(app: typer.Typer) -> None:
    """Adds the ``faces`` command."""
    app.command(epilog=_EPILOG, no_args_is_help=True)(faces)


def faces(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Photos; - is standard input.")],
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="Also draw the faces, numbered: a .png file; for several photos a folder for them."
        ),
    ] = None,
    aligner: Annotated[str, typer.Option(metavar="auto|builtin|face-alignment", help="Who finds the faces.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an overlay that exists.")] = False,
    as_json: console.Json = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    """List the faces in photos, largest first: place, size, pose and what speaks against animating them."""
    from facemotion.faces.find import ALIGNERS

    if aligner not in ALIGNERS:
        raise UsageError(f"There is no aligner {aligner!r}.", f"Use one of: {', '.join(ALIGNERS)}.")
    targets = _overlay_paths(photos, overlay)
    results: list[dict[str, Any]] = []
    failures: list[FacemotionError] = []
    for name, target in zip(photos, targets, strict=True):
        try:
            result = _look_at(name, aligner=aligner, overlay=target, overwrite=overwrite)
        except (InputError, OutputError) as error:
            if len(photos) == 1 and not as_json:
                raise
            failures.append(error)
            result = {"photo": name, "error": error.message, "hint": error.hint, "faces": []}
        results.append(result)
        if not as_json:
            _print_result(result)
    if as_json:
        console.say_json({"photos": results})
    for failure in failures:
        if as_json:
            console.fail(failure.message, failure.hint)
    if failures:
        raise typer.Exit(SOME_FAILED if len(failures) < len(photos) else failures[0].exit_code)


def _overlay_paths(photos: list[str], overlay: Path | None) -> list[Path | None]:
    """One path per photo: the file itself for one photo, files in a folder for several."""
    if overlay is None:
        return [None] * len(photos)
    if len(photos) == 1 and not overlay.is_dir():
        if overlay.suffix.lower() != ".png":
            raise OutputNameError(f"An overlay cannot be written as {overlay.name}.", "Give a name that ends in .png.")
        return [overlay]
    names = ["stdin" if photo == "-" else Path(photo).stem for photo in photos]
    # Photos of the same name from different folders keep apart by their number.
    alike = [sum(other == name for other in names[:i]) for i, name in enumerate(names)]
    return [overlay / f"{name}-faces{f'-{k + 1}' if k else ''}.png" for name, k in zip(names, alike, strict=True)]


def _look_at(name: str, *, aligner: str, overlay: Path | None, overwrite: bool) -> dict[str, Any]:
    """Find the faces of one photo, draw them where asked for, and tell of them, ready for JSON."""
    from facemotion.cli.downloads import show_downloads
    from facemotion.faces.find import find_faces
    from facemotion.faces.framing import flattened
    from facemotion.media.atomic import check_output
    from facemotion.media.photos import read_photo

    if overlay is not None:
        check_output(overlay, overwrite=overwrite)
    photo = flattened(read_photo(name))
    with show_downloads(console.stderr()):
        found = find_faces(photo.pixels, aligner=aligner, on_note=console.warn)
    if overlay is not None:
        _write_overlay(photo, found, overlay, overwrite=overwrite)
    if not found:
        raise NoFaceError(
            f"No face found in {name}.", "Use a photo with a larger, less turned face, or --aligner face-alignment."
        )
    width, height = photo.size_px
    told = [_describe(number, face, photo) for number, face in enumerate(found, start=1)]
    return {"photo": name, "width_px": width, "height_px": height, "faces": told} | (
        {"overlay": str(overlay)} if overlay is not None else {}
    )


def _write_overlay(photo: "Photo", found: "list[Face]", path: Path, *, overwrite: bool) -> None:
    from facemotion.faces.overlay import draw_faces
    from facemotion.media.animated_images import png_bytes
    from facemotion.media.atomic import staged

    with staged(path, overwrite=overwrite) as part:
        part.write_bytes(png_bytes(draw_faces(photo.pixels, found), None))


def _describe(number: int, face: "Face", photo: "Photo") -> dict[str, Any]:
    from facemotion.faces.occlusion import find_occlusion
    from facemotion.faces.warnings import face_warnings

    occlusion = find_occlusion(photo.pixels, face.landmarks)
    yaw, pitch, roll = (round(angle, 1) for angle in face.pose)
    return {
        "number": number,
        "box": [round(float(edge), 1) for edge in face.box],
        "size_px": round(float(face.size_px), 1),
        "score": round(float(face.score), 3),
        "pose_deg": {"yaw": yaw, "pitch": pitch, "roll": roll},
        "found_by": face.source,
        "visible": {
            "lips": round(occlusion.lips, 2),
            "left_eye": round(occlusion.left_eye, 2),
            "right_eye": round(occlusion.right_eye, 2),
        },
        "advice": face_warnings(face, photo.pixels.shape, occlusion),
        "landmarks": [[round(float(x), 2), round(float(y), 2)] for x, y in face.landmarks],
    }


def _print_result(result: dict[str, Any]) -> None:
    """A table of the faces of one photo, or what went wrong with it."""
    if "error" in result:
        console.fail(result["error"], result["hint"])
        return
    if console.is_quiet():
        return
    from rich.table import Table

    told = result["faces"]
    count = "1 face" if len(told) == 1 else f"{len(told)} faces"
    shown = console.stdout()
    console.say(f"{result['photo']}: {result['width_px']}×{result['height_px']} px, {count}")
    table = Table(box=None, pad_edge=False)
    for title in ("face", "box x0 y0 x1 y1", "size px", "score", "yaw pitch roll", "found by"):
        table.add_column(title, justify="left" if title == "found by" else "right", no_wrap=True)
    for face in told:
        pose = face["pose_deg"]
        table.add_row(
            str(face["number"]),
            " ".join(f"{edge:.0f}" for edge in face["box"]),
            f"{face['size_px']:.0f}",
            f"{face['score']:.2f}",
            f"{pose['yaw']:+.0f}° {pose['pitch']:+.0f}° {pose['roll']:+.0f}°",
            face["found_by"],
        )
    shown.print(table, soft_wrap=False)
    for face in told:
        for line in face["advice"]:
            console.warn(f"Face {face['number']}: {line}")
    if "overlay" in result:
        console.say(f"Numbered picture: {result['overlay']}")
