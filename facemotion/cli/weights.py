"""``facemotion weights``: what is stored where, checked by sha256."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console
from facemotion.cli.help import App

if TYPE_CHECKING:
    from facemotion.weights.registry import WeightFile

weights_app = App(
    no_args_is_help=True,
    help="Weight files: what is stored where, checked by sha256.\n\n"
    "The model and the face finder come with the package; face-alignment's files (the fallback detector) are "
    "downloaded on first need, or now with fetch.",
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names as in weights list; none: all.")]
Wanted = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Names as in weights list; none: all that animate may ask for."),
]


def register(app: typer.Typer) -> None:
    """Adds the ``weights`` commands."""
    app.add_typer(weights_app, name="weights")


@weights_app.command("list", epilog="Example: facemotion weights list --json")
def list_weights(as_json: console.Json = False) -> None:
    """Every weight file: size, licence, where it is on this machine."""
    from facemotion.weights.registry import WEIGHTS, copies

    rows = [(file, copies(file.name)) for file in WEIGHTS.values()]
    if as_json:
        console.say_json([_as_dict(file) | {"copies": [str(copy.path) for copy in found]} for file, found in rows])
        return
    cells = [
        (file.name, _size(file.size_bytes), file.licence, found[0].place if found else "not here", file.purpose)
        for file, found in rows
    ]
    console.say_table(("name", "size", "licence", "where", "what for"), cells)


@weights_app.command(epilog="Examples: facemotion weights fetch · facemotion weights fetch s3fd 2dfan4")
def fetch(names: Wanted = None) -> None:
    """Download weight files now, so that no network is needed later. Broken downloads go on where they stopped."""
    from facemotion.cli.downloads import show_downloads
    from facemotion.weights.registry import WEIGHTS, weight_path

    with show_downloads(console.stderr()):
        for name in names or [file.name for file in WEIGHTS.values() if file.url and file.command == "animate"]:
            console.say(f"{name}: {weight_path(name)}")


@weights_app.command(epilog="Example: facemotion weights verify generator")
def verify(names: Names = None, as_json: console.Json = False) -> None:
    """Check every copy on this machine against its sha256. Exit code 1 where one is damaged."""
    from facemotion.errors import WeightsError
    from facemotion.weights.registry import WeightFile, copies, verify_file

    rows: list[tuple[WeightFile, Path, WeightsError | None]] = []
    for file in _rows(names):
        for copy in copies(file.name):
            try:
                verify_file(copy.path, file)
            except WeightsError as error:
                rows.append((file, copy.path, error))
            else:
                rows.append((file, copy.path, None))
    if as_json:
        console.say_json(
            [
                {"name": file.name, "path": str(path), "ok": error is None, "error": error and error.message}
                for file, path, error in rows
            ]
        )
    else:
        cells = [(file.name, "ok" if error is None else "damaged", str(path)) for file, path, error in rows]
        console.say_table(("name", "sha256", "file"), cells)
    damaged = [error for *_, error in rows if error is not None]
    if damaged:
        raise damaged[0]


@weights_app.command(epilog="Examples: facemotion weights path generator · facemotion weights path")
def path(
    name: Annotated[str | None, typer.Argument(help="Name as in weights list; none: the download folder.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never download.")] = False,
) -> None:
    """Print where a weight file is, verified, downloaded when it has to be."""
    from facemotion.weights.registry import cache_folder, weight_path

    console.say_raw(str(weight_path(name, offline=offline or None) if name else cache_folder()))


@weights_app.command(epilog="Example: facemotion weights clear s3fd")
def clear(names: Names = None) -> None:
    """Remove downloaded weight files, whole and partial. Those inside the package stay."""
    from facemotion.weights.registry import cache_folder

    freed = 0
    for file in _rows(names):
        for ending in ("", ".part", ".lock"):
            stored = cache_folder() / (file.file_name + ending)
            if stored.is_file():
                freed += stored.stat().st_size
                _remove(stored)
    console.say(f"{freed / 1e6:.1f} MB removed from {cache_folder()}")


def _rows(names: list[str] | None) -> "list[WeightFile]":
    from facemotion.weights.registry import WEIGHTS, weight_file

    return [weight_file(name) for name in names] if names else list(WEIGHTS.values())


def _remove(path: Path) -> None:
    from facemotion.errors import WeightsError

    try:
        path.unlink()
    except OSError as error:
        raise WeightsError(f"{path} cannot be removed: {error.strerror}.", "Check who owns the folder.") from error


def _as_dict(file: "WeightFile") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(file)


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
