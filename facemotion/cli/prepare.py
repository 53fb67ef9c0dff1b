"""``facemotion prepare``: photos and recordings to training samples."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console
from facemotion.cli.help import App
from facemotion.cli.options import grouped
from facemotion.cli.prepare_run import Common, make_samples

prepare_app = App(
    no_args_is_help=True,
    help="Turn photos and recordings of faces into training samples.\n\n"
    "Every command writes the same format, goes on where it was interrupted, and reports what it cannot use person by "
    "person (exit code 3). docs/data.md has the data sets, the format and the whole sequence of commands.",
)


class PersonChoice(str, Enum):
    """Which photos show the same person."""

    FILE = "file"
    FOLDER = "folder"


Folders = Annotated[list[Path], typer.Argument(metavar="DATA...", help="Folders of the data.", show_default=False)]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the samples.", show_default=False)]
Frames = Annotated[int, typer.Option(min=1, max=100, help="Later frames of a recording, evenly spread to the last.")]


def register(app: typer.Typer) -> None:
    """Add the ``prepare`` commands to the application."""
    app.add_typer(prepare_app, name="prepare")


@prepare_app.command(
    epilog="Examples: facemotion prepare photos downloads/ samples/ · "
    "facemotion prepare photos my-photos/ samples-own/ --person folder --validation people.txt"
)
@grouped
def photos(
    folders: Folders,
    out: Out,
    person: Annotated[PersonChoice, typer.Option(help="Who is one person: each file, or each folder.")] = (
        PersonChoice.FILE
    ),
    exclude: Annotated[list[str] | None, typer.Option(help="Pass over files of such names, e.g. 'Occlusion*'.")] = None,
    *,
    common: Common,
) -> None:
    """Photos of people, in pairs or single ones, to samples whose targets are photographs.

    Photos of one person in folders neutral and smile (or another expression) under the same names are a pair, and so
    are the London set's neutral_front/001_03.jpg and smiling_front/001_08.jpg as it is published.
    """
    from facemotion.datasets.layouts import find_people
    from facemotion.datasets.people import measure, measured_people

    people = find_people(folders, person_from=person.value, exclude=exclude or ())[: common.limit]
    names = [f"{each.person}/{path.name}" for each in people for path in each.photos]
    splits = common.open(out, {"from": "photos", "files": names}, people=[each.person for each in people])
    with console.progress("Measuring", sum(len(each.photos) for each in people), unit="photos") as step:
        measured = measure(people, out / "measured.npz", watch=step)
    problems = {path.as_posix(): reason for path, reason in measured.problems.items()}
    make_samples(measured_people(people, measured), out, splits, common, problems=problems)


@prepare_app.command(
    epilog="Example: facemotion prepare clips recordings/ samples-own/ --licence CC0-1.0",
)
@grouped
def clips(folders: Folders, out: Out, frames: Frames = 3, *, common: Common) -> None:
    """Videos or folders of still frames, each of one person and neutral at first, to samples.

    The person comes from the path: anna/smile/take1.mp4, smile/anna.mp4, anna_smile.mp4,
    anna/happiness/take1/frame001.png.
    """
    from facemotion.datasets.people import recorded_people
    from facemotion.datasets.sequences import find_sequences

    recordings = find_sequences(folders)[: common.limit]
    settings = {"from": "clips", "files": [each.key for each in recordings], "frames": frames}
    splits = common.open(out, settings, people=[each.person for each in recordings])
    make_samples(recorded_people(recordings, frames=frames), out, splits, common)


@prepare_app.command(epilog="Example: facemotion prepare ckplus CK+ samples-ckplus/")
@grouped
def ckplus(
    folder: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder that CK+ was unpacked in.", show_default=False)
    ],
    out: Out,
    frames: Frames = 3,
    *,
    common: Common,
) -> None:
    """The extended Cohn-Kanade set as it is distributed: sequences below cohn-kanade-images."""
    from facemotion.datasets.ckplus import find_ckplus
    from facemotion.datasets.people import recorded_people

    recordings = find_ckplus(folder)[: common.limit]
    settings = {"from": "ckplus", "files": [each.key for each in recordings], "frames": frames}
    splits = common.open(out, settings, people=[each.person for each in recordings])
    make_samples(recorded_people(recordings, frames=frames), out, splits, common)
