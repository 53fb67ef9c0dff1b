"""``facemotion prepare``: raw photos and recordings to training clips."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli.help import App
from facemotion.cli.options import grouped
from facemotion.cli.prepare_run import Common, run

if TYPE_CHECKING:
    from facemotion.datasets.clip_writer import Source
    from facemotion.datasets.landmark_files import LandmarkFile

prepare_app = App(
    no_args_is_help=True,
    help="Turn photos and recordings of faces into training clips.\n\n"
    "Every command writes the same clip format, goes on where it was interrupted, and reports what it cannot use item "
    "by item (exit code 3). docs/data.md has the data sets, the format and the whole sequence of commands.",
)


class ControlChoice(str, Enum):
    """Where the control values of a recording come from."""

    POSITION = "position"
    LANDMARKS = "landmarks"


class PersonChoice(str, Enum):
    """Which photos show the same person."""

    FILE = "file"
    FOLDER = "folder"


Folders = Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Folders of the data.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the clip set.", show_default=False)]
Head = Annotated[
    Path,
    typer.Option(
        help="ICT-FaceKit: the folder of its authors, or ict_facekit.npz.",
        envvar="FACEMOTION_HEAD",
        show_default=False,
    ),
]
Control = Annotated[
    ControlChoice, typer.Option(help="position: even from first to last frame. landmarks: measured on the face.")
]
Frames = Annotated[int | None, typer.Option(min=2, max=100, help="Frames of a clip, the source included.")]
CropPx = Annotated[int, typer.Option(min=64, max=2048, help="Side of the crops.")]
Person = Annotated[PersonChoice, typer.Option(help="Who is one person: each file, or each folder.")]


@dataclass(frozen=True)
class RenderingOptions:
    """Options of what is rendered on a head."""

    frames: Frames = None
    yaw: Annotated[
        float | None, typer.Option(min=0, max=45, help="Furthest turn of the head to either side, degrees.")
    ] = None
    crop_px: CropPx = 512


@dataclass(frozen=True)
class LandmarkOptions:
    """Options on where the landmarks of photos come from."""

    landmarks: Annotated[
        Path | None,
        typer.Option(help="npz of landmarks by photo; default: a landmarks.npz in the folder or above it."),
    ] = None
    find_landmarks: Annotated[
        bool, typer.Option("--find-landmarks", help="Use the face finder, whatever is there.")
    ] = False

    def of(self, folders: list[Path]) -> "tuple[LandmarkFile, ...]":
        """The files of landmarks for the photos in these folders."""
        from facemotion.datasets.landmark_files import LandmarkFile, find_landmark_file

        if self.find_landmarks:
            return ()
        files = [LandmarkFile(self.landmarks)] if self.landmarks else map(find_landmark_file, folders)
        return tuple(dict.fromkeys(file for file in files if file))


@dataclass(frozen=True)
class OriginOptions:
    """Options on where the user's own photos come from."""

    licence: Annotated[str, typer.Option(help="Licence of your own photos, recorded with every clip.")] = ""
    credit: Annotated[str, typer.Option(help="Whom to credit for your own photos.")] = ""

    def of(self, folders: list[Path]) -> "Source":
        """The source of the photos in these folders that belong to no known set."""
        from facemotion.datasets.clip_writer import Source

        return Source(", ".join(folder.resolve().name for folder in folders), self.licence, self.credit)


@dataclass(frozen=True)
class SmileOptions:
    """Options on whose teeth are lent."""

    smiles: Annotated[
        list[Path] | None,
        typer.Option(help="Photo pairs whose smiles lend real teeth; default: those in the folders themselves."),
    ] = None
    lender: Annotated[
        list[str] | None, typer.Option(help="Lend the teeth of this person only, e.g. london-002; may be repeated.")
    ] = None


@dataclass(frozen=True)
class RecipeOptions:
    """Options on what each face performs."""

    jitter: Annotated[
        float | None, typer.Option(min=0, max=2, help="Spread of the recipes: 1 as written, 0 all people alike.")
    ] = None
    expr: Annotated[str | None, typer.Option(help="Expressions, comma-separated; default: all recipes.")] = None
    recipes: Annotated[Path | None, typer.Option(help="JSON of further recipes, see docs/recipes.md.")] = None
    clips: Annotated[int | None, typer.Option(min=1, help="Clips of each expression.")] = None
    mixes: Annotated[int | None, typer.Option(min=0, help="Further clips of two expressions at once.")] = None
    choose: Annotated[
        int | None, typer.Option(min=1, help="Expressions of each photo, drawn at random; default: all.")
    ] = None
    turned: Annotated[float | None, typer.Option(min=0, max=1, help="Share of clips with a turned head.")] = None


def register(app: typer.Typer) -> None:
    """Add the ``prepare`` commands to the application."""
    app.add_typer(prepare_app, name="prepare")


@prepare_app.command(
    epilog="Examples: facemotion prepare pairs LONDON --head ICT-FaceKit --out clips/pairs · "
    "facemotion prepare pairs my-photos --expression wink --head ICT-FaceKit --out clips/wink"
)
@grouped
def pairs(
    folders: Folders,
    out: Out,
    head: Head,
    expression: Annotated[
        str | None, typer.Option(help="Name of a further folder of peak photos, and of its expression.")
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Clips of a pair; all but one with the head turned.")] = None,
    *,
    rendering: RenderingOptions,
    landmarks: LandmarkOptions,
    origin: OriginOptions,
    common: Common,
) -> None:
    """Two photos of each person, neutral and at the peak, to clips in between.

    The photos lie in folders neutral and smile (or another expression) under the same names, or as the London set is
    published: neutral_front/001_03.jpg, smiling_front/001_08.jpg.
    """
    from facemotion.datasets.layouts import find_pairs
    from facemotion.datasets.photo_importers import PairImporter
    from facemotion.synthetic.pairs import PairSettings

    importer = PairImporter(
        head=head,
        landmarks=landmarks.of(folders),
        pairs=PairSettings(
            crop_px=rendering.crop_px, **_given(frames=rendering.frames, clips=clips, yaw_deg=rendering.yaw)
        ),
        crop_px=rendering.crop_px,
        splits=common.splits(),
    )
    run(importer, find_pairs(folders, own_source=origin.of(folders), expression=expression), out, common)


@prepare_app.command(
    epilog="Examples: facemotion prepare teacher portraits/ --head ICT-FaceKit --smiles LONDON --out clips/teacher · "
    "facemotion prepare teacher portraits/ --head ICT-FaceKit --expr surprise,fear --limit 20 --out clips/try"
)
@grouped
def teacher(
    folders: Folders,
    out: Out,
    head: Head,
    smiles: SmileOptions,
    performances: RecipeOptions,
    exclude: Annotated[list[str] | None, typer.Option(help="Pass over files of such names, e.g. 'Occlusion*'.")] = None,
    person: Person = PersonChoice.FILE,
    *,
    rendering: RenderingOptions,
    landmarks: LandmarkOptions,
    origin: OriginOptions,
    common: Common,
) -> None:
    """Any portraits to clips of every expression, through a 3-D head that wears the person's own skin."""
    from facemotion.datasets.layouts import find_portraits
    from facemotion.datasets.photo_importers import TeacherImporter, lendable_smiles
    from facemotion.synthetic.recipes import Recipes
    from facemotion.synthetic.renderer import TeacherSettings

    splits, play = common.splits(), performances
    names = _expressions(play.expr, Recipes.load(play.recipes).expressions) if play.expr else None
    lent = smiles.smiles or []
    importer = TeacherImporter(
        head=head,
        landmarks=landmarks.of([*folders, *lent]),
        teacher=TeacherSettings(
            crop_px=rendering.crop_px,
            **_given(expressions=names, frames=rendering.frames, clips_per_expression=play.clips, mixes=play.mixes),
            **_given(yaw_deg=rendering.yaw, turned=play.turned, jitter=play.jitter),
        ),
        choose=play.choose,
        recipes=play.recipes,
        smiles=lendable_smiles(
            lent or folders, splits, required=bool(lent or smiles.lender), lenders=smiles.lender or ()
        ),
        crop_px=rendering.crop_px,
        splits=splits,
    )
    items = find_portraits(folders, own_source=origin.of(folders), person_from=person.value, exclude=exclude or ())
    run(importer, items, out, common)


@prepare_app.command(
    epilog="Examples: facemotion prepare clips recordings/ --out clips/own --control landmarks · "
    "facemotion prepare clips anna/ --expression smile --out clips/anna"
)
@grouped
def clips(
    folders: Folders,
    out: Out,
    expression: Annotated[
        str | None, typer.Option(help="What all recordings show; default: the expression named in each path.")
    ] = None,
    control: Control = ControlChoice.POSITION,
    frames: Frames = None,
    crop_px: CropPx = 512,
    *,
    origin: OriginOptions,
    common: Common,
) -> None:
    """Videos or folders of still frames, each from a neutral face to the peak of one expression.

    Person and expression come from the path: anna/smile/take1.mp4, smile/anna.mp4, anna_smile.mp4,
    anna/happiness/take1/frame001.png.
    """
    from facemotion.datasets.sequence_clips import SequenceImporter
    from facemotion.datasets.sequences import find_sequences

    importer = SequenceImporter(
        control=control.value,
        crop_px=crop_px,
        splits=common.splits(),
        **_given(frames=frames),
    )
    run(importer, find_sequences(folders, own_source=origin.of(folders), expression=expression), out, common)


@prepare_app.command(epilog="Example: facemotion prepare ckplus CK+ --out clips/ckplus")
@grouped
def ckplus(
    folder: Annotated[Path, typer.Argument(help="Folder that CK+ was unpacked in.", show_default=False)],
    out: Out,
    control: Control = ControlChoice.POSITION,
    frames: Frames = None,
    crop_px: CropPx = 512,
    *,
    common: Common,
) -> None:
    """The extended Cohn-Kanade set as it is distributed: cohn-kanade-images, Emotion, Landmarks."""
    from facemotion.datasets.ckplus import find_ckplus
    from facemotion.datasets.sequence_clips import SequenceImporter

    importer = SequenceImporter(
        origin="ckplus",
        control=control.value,
        crop_px=crop_px,
        splits=common.splits(),
        **_given(frames=frames),
    )
    run(importer, find_ckplus(folder), out, common)


def _given(**options: object) -> dict:
    """The options that were used; the others keep the defaults of the settings."""
    return {name: value for name, value in options.items() if value is not None}


def _expressions(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    from facemotion.errors import UsageError
    from facemotion.expressions.grammar import NEUTRAL, canonical

    names = tuple(canonical(word, known=known) for word in text.split(","))
    if NEUTRAL in names:
        raise UsageError("Neutral is the source itself and cannot be rendered.", f"Choose from {', '.join(known)}.")
    return names
