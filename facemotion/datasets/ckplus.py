"""The extended Cohn-Kanade set (CK+) in the layout in which it is distributed.

Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)". Sequences start neutral and end at the peak.
"""

from collections.abc import Iterator
from pathlib import Path

from facemotion.datasets.sequences import Recording, natural_order
from facemotion.errors import InputError


def find_ckplus(root: Path) -> list[Recording]:
    """Every sequence below ``cohn-kanade-images``.

    That folder may lie in ``root`` or up to two folders further down, as the download unpacks. A sequence of fewer
    than two frames has a problem. Raises InputError where there is no such layout.
    """
    images = _images(root)
    if images is None:
        raise InputError(f"{root}: no folder cohn-kanade-images", "Name the folder that CK+ was unpacked in.")
    items = [_recording(sequence, images) for sequence in _sequences(images)]
    if not items:
        raise InputError(f"{images}: no sequences like S005/001", "Name the folder that CK+ was unpacked in.")
    return items


def _recording(sequence: Path, images: Path) -> Recording:
    below = sequence.relative_to(images)
    frames = tuple(sorted((p for p in sequence.glob("*.png") if not p.name.startswith(".")), key=natural_order))
    return Recording(
        key=(Path(images.name) / below).as_posix(),
        person=f"ckplus-{below.parts[0]}",
        frames=frames,
        problem="" if len(frames) > 1 else f"{len(frames)} frames, at least 2 expected",
    )


def _images(root: Path) -> Path | None:
    """The folder that holds the subjects."""
    name = "cohn-kanade-images"
    candidates = [root / name, *sorted(root.glob(f"*/{name}")), *sorted(root.glob(f"*/*/{name}"))]
    return next((place for place in candidates if any(_subjects(place))), None)


def _subjects(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("S[0-9]*")) if path.is_dir())


def _sequences(images: Path) -> Iterator[Path]:
    for subject in _subjects(images):
        yield from (path for path in sorted(subject.iterdir()) if path.is_dir())
