"""The extended Cohn-Kanade set (CK+) in the layout in which it is distributed.

Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)". Sequences start neutral and end at the peak.
"""

from collections.abc import Iterator
from pathlib import Path

from facemotion.datasets.clip_writer import Source
from facemotion.datasets.sequences import SequenceItem, natural_order
from facemotion.errors import InputError

CKPLUS = Source(
    "Extended Cohn-Kanade (CK+)",
    "research only, see its agreement",
    "Lucey, P., Cohn, J. F., Kanade, T., Saragih, J., Ambadar, Z., Matthews, I. (2010), CVPR Workshops",
)
EXPRESSION_OF_LABEL = {1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "smile", 6: "sadness", 7: "surprise"}
"""The set's emotion labels; 0 is neutral."""


def find_ckplus(root: Path) -> list[SequenceItem]:
    """Every sequence below ``cohn-kanade-images``, the label from ``Emotion``, landmarks from ``Landmarks``.

    The three folders may lie in ``root`` or one folder further down, as the downloads unpack. A sequence without a
    usable label or with fewer than two frames has a problem. Raises InputError where there is no such layout.
    """
    images = _part(root, "cohn-kanade-images")
    if images is None:
        raise InputError(f"{root}: no folder cohn-kanade-images", "Name the folder that CK+ was unpacked in.")
    labels, landmarks = _part(root, "Emotion"), _part(root, "Landmarks")
    if labels is None:
        raise InputError(f"{root}: no folder Emotion with the labels", "Unpack the emotion labels there as well.")
    items = [_item(sequence, images, labels, landmarks) for sequence in _sequences(images)]
    if not items:
        raise InputError(f"{images}: no sequences like S005/001", "Name the folder that CK+ was unpacked in.")
    return items


def _item(sequence: Path, images: Path, labels: Path, landmarks: Path | None) -> SequenceItem:
    below = sequence.relative_to(images)
    frames = tuple(sorted((p for p in sequence.glob("*.png") if not p.name.startswith(".")), key=natural_order))
    texts = tuple(landmarks / below / f"{frame.stem}_landmarks.txt" for frame in frames) if landmarks else ()
    try:
        expression, problem = _expression(labels / below), ""
    except InputError as error:
        expression, problem = "", error.message
    if len(frames) < 2:
        problem = f"{len(frames)} frames, at least 2 expected"
    return SequenceItem(
        key=(Path(images.name) / below).as_posix(),
        person=f"ckplus-{below.parts[0]}",
        expression=expression,
        source=CKPLUS,
        frames=frames,
        landmark_texts=texts if all(text.is_file() for text in texts) else (),
        problem=problem,
    )


def _expression(folder: Path) -> str:
    files = [path for path in folder.glob("*_emotion.txt") if not path.name.startswith(".")] if folder.is_dir() else []
    if not files:
        raise InputError("no emotion label")
    if len(files) > 1:
        raise InputError(f"{len(files)} emotion labels, one expected")
    try:
        label = float(files[0].read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{files[0].name}: unreadable label") from error
    if label == 0:
        raise InputError("labelled neutral")
    if label not in EXPRESSION_OF_LABEL:
        raise InputError(f"{files[0].name}: label {label:g} is not one of 0 to 7")
    return EXPRESSION_OF_LABEL[int(label)]


def _part(root: Path, name: str) -> Path | None:
    """The folder ``name`` that holds the subjects: the downloads unpack to ``Emotion_labels/Emotion`` and the like."""
    candidates = [root / name, *sorted(root.glob(f"*/{name}")), *sorted(root.glob(f"*/*/{name}"))]
    return next((place for place in candidates if any(_subjects(place))), None)


def _subjects(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("S[0-9]*")) if path.is_dir())


def _sequences(images: Path) -> Iterator[Path]:
    for subject in _subjects(images):
        yield from (path for path in sorted(subject.iterdir()) if path.is_dir())
