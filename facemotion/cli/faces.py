"""``facemotion faces``: which faces are in a photo, with the numbers that ``animate --face`` takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from facemotion.cli import console
from facemotion.errors import FacemotionError, InputError, NoFaceError, OutputError, OutputNameError, UsageError

if TYPE_CHECKING:
    from facemotion.faces.types import Face
    from facemotion.media.photos import Photo

SOME_FAILED = 3

LEAST_SHOWN = 0.1
"""Strength from which a unit is printed; files hold all of them."""

_EPILOG = """Examples:

facemotion faces photo.jpg

facemotion faces group.jpg --overlay numbered.png

facemotion faces *.jpg --json

facemotion faces smile.jpg --units

facemotion faces *.jpg --units --csv > units.csv

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
    units: Annotated[
        bool,
        typer.Option("--units", help="Also say what each face does: 52 ARKit units with their FACS numbers, gaze."),
    ] = False,
    aligner: Annotated[str, typer.Option(metavar="auto|builtin|face-alignment", help="Who finds the faces.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an overlay that exists.")] = False,
    as_json: console.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One row a face, for spreadsheets and statistics.")] = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    """List the faces in photos, largest first: place, size, pose and what speaks against animating them."""
    from facemotion.faces.find import ALIGNERS

    if aligner not in ALIGNERS:
        raise UsageError(f"There is no aligner {aligner!r}.", f"Use one of: {', '.join(ALIGNERS)}.")
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other.", "Leave one of them out.")
    targets = _overlay_paths(photos, overlay)
    results: list[dict[str, Any]] = []
    failures: list[FacemotionError] = []
    for name, target in zip(photos, targets, strict=True):
        try:
            result = _look_at(name, aligner=aligner, units=units, overlay=target, overwrite=overwrite)
        except (InputError, OutputError) as error:
            if len(photos) == 1 and not as_json:
                raise
            failures.append(error)
            result = {"photo": name, "error": error.message, "hint": error.hint, "faces": []}
        results.append(result)
        if not (as_json or as_csv):
            _print_result(result)
    if as_json:
        console.say_json({"photos": results})
    if as_csv:
        _print_csv(results, units=units)
    for failure in failures:
        if as_json or as_csv:
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


def _look_at(name: str, *, aligner: str, units: bool, overlay: Path | None, overwrite: bool) -> dict[str, Any]:
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
    told = [
        {"photo": name} | _describe(number, face, photo) | (_describe_units(face) if units else {})
        for number, face in enumerate(found, start=1)
    ]
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


def _describe_units(face: "Face") -> dict[str, Any]:
    """What a face does, ready for JSON; null where the finder that found it cannot tell."""
    from facemotion.expressions.units import UNIT_NAMES

    def by_name(values: Any) -> dict[str, float] | None:
        if values is None:
            return None
        return {name: round(value, 4) for name, value in zip(UNIT_NAMES, values.tolist(), strict=True)}

    facs, gaze = face.facs, face.gaze
    left, right = face.eye_openings
    return {
        "units": by_name(face.units),
        "scores": by_name(face.scores),
        "facs": None if facs is None else {label: round(value, 4) for label, value in facs.items()},
        "gaze_deg": None
        if gaze is None
        else {
            f"{side}_{axis}": round(angle, 1)
            for side, angles in (("left", gaze.left), ("right", gaze.right))
            for axis, angle in zip(("yaw", "pitch"), angles, strict=True)
        },
        "eye_openings": {"left": round(left, 3), "right": round(right, 3)},
        "mouth_opening": round(face.mouth_opening, 3),
        "presence": None if face.presence is None else round(face.presence, 4),
        "points": None if face.points is None else [[round(v, 2) for v in point] for point in face.points.tolist()],
    }


def _print_csv(results: list[dict[str, Any]], *, units: bool) -> None:
    """One row a face; what is not known of it stays empty."""
    import csv
    import sys

    from facemotion.expressions.units import UNIT_NAMES

    gazes = ("left_yaw", "left_pitch", "right_yaw", "right_pitch")
    columns = ["photo", "face", "x0", "y0", "x1", "y1", "score", "yaw", "pitch", "roll", "found_by"]
    if units:
        columns += [f"gaze_{name}" for name in gazes] + ["eye_opening_left", "eye_opening_right", "mouth_opening"]
        columns += UNIT_NAMES
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for face in (face for result in results for face in result["faces"]):
        row = [face["photo"], face["number"], *face["box"], face["score"], *face["pose_deg"].values(), face["found_by"]]
        if units:
            row += [(face["gaze_deg"] or {}).get(name) for name in gazes]
            row += [*face["eye_openings"].values(), face["mouth_opening"]]
            row += [(face["units"] or {}).get(name) for name in UNIT_NAMES]
        writer.writerow(row)


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
        if "units" in face:
            _print_units(face)
    if "overlay" in result:
        console.say(f"Numbered picture: {result['overlay']}")


def _print_units(face: dict[str, Any]) -> None:
    """The units that a face shows, strongest first, and where it looks."""
    from rich.table import Table

    from facemotion.expressions.units import UNIT_INDEX, UNITS

    shown = console.stdout()
    if face["units"] is None:
        shown.print(f"Face {face['number']}: {face['found_by']} does not measure units.", markup=False)
        return
    strengths = sorted(face["units"].items(), key=lambda unit: -unit[1])
    table = Table(box=None, pad_edge=False, title=f"Face {face['number']}", title_justify="left")
    for title in ("unit", "FACS", "strength", "what one sees"):
        justify: Literal["left", "right"] = "right" if title == "strength" else "left"
        table.add_column(title, justify=justify, no_wrap=title != "what one sees")
    for name, strength in strengths:
        if strength >= LEAST_SHOWN:
            unit = UNITS[UNIT_INDEX[name]]
            table.add_row(name, unit.facs_label, f"{strength:.2f}", unit.look)
    if table.row_count:
        shown.print(table, soft_wrap=False)
    else:
        shown.print(f"Face {face['number']}: at rest.", markup=False)
    gaze = face["gaze_deg"]
    shown.print(
        f"Eyes, relative to the head: left {gaze['left_yaw']:+.0f}° {gaze['left_pitch']:+.0f}°, "
        f"right {gaze['right_yaw']:+.0f}° {gaze['right_pitch']:+.0f}°",
        markup=False,
    )
