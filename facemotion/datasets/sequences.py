"""Recorded expressions from neutral to peak: where they lie, and how their frames are read."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facemotion.datasets.single_face import read_pixels
from facemotion.errors import InputError, MissingFileError
from facemotion.expressions.blends import builtin_recipes
from facemotion.expressions.recipes import NEUTRAL, expression_key
from facemotion.media.photos import PHOTO_SUFFIXES

VIDEO_SUFFIXES = frozenset((".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".mts", ".3gp"))
_WORD_ENDS = re.compile(r"[^0-9A-Za-z]+")


@dataclass(frozen=True)
class Recording:
    """One recording: a video file, or still frames in their order."""

    key: str
    """Path below the folder that was named, that folder's name included."""
    person: str
    video: Path | None = None
    frames: tuple[Path, ...] = ()
    problem: str = ""
    """Why it cannot be used, where its name alone tells."""


def find_sequences(folders: Iterable[Path]) -> list[Recording]:
    """Videos, and folders of at least two still frames, below ``folders``.

    Raises InputError for a folder with nothing, MissingFileError for none.
    """
    items = []
    for folder in folders:
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: no such folder", "Check the path.")
        found = list(_recordings(folder))
        if not found:
            raise InputError(f"{folder}: holds no videos and no frame sequences", "Name the folder above them.")
        root = folder.resolve().name
        for path, frames in found:
            names = [*path.relative_to(folder).parts[:-1], path.name if frames else path.stem]
            items.append(
                Recording(
                    key=(Path(root) / path.relative_to(folder)).as_posix(),
                    person=f"{root}-{person_in(names)}",
                    video=None if frames else path,
                    frames=frames,
                )
            )
    return items


def person_in(names: Sequence[str]) -> str:
    """The person, from the names on the way from a folder to a recording.

    Where one of them names an expression (the one nearest to the file counts), the folder above it is the person, else
    the next name below it, else what is left of the name itself: ``anna/happiness/take1``, ``smile/anna`` and
    ``anna_smile_2`` all show Anna. Else the first name.
    """
    for place in reversed(range(len(names))):
        words = _WORD_ENDS.split(names[place])
        for number, word in enumerate(words):
            if _is_expression(word):
                above = names[place - 1] if place else ""
                below = names[place + 1] if place + 1 < len(names) else ""
                rest = "_".join(other for other in words[:number] + words[number + 1 :] if not other.isdigit())
                return above or below or rest or names[place]
    return names[0]


def _is_expression(word: str) -> bool:
    return expression_key(word) == NEUTRAL or builtin_recipes().find(word) is not None


def _recordings(folder: Path) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """Every video, and every folder of frames with its frames in natural order."""
    for place in [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]:
        files = sorted((p for p in place.iterdir() if p.is_file() and not p.name.startswith(".")), key=natural_order)
        yield from ((path, ()) for path in files if path.suffix.lower() in VIDEO_SUFFIXES)
        stills = tuple(path for path in files if path.suffix.lower() in PHOTO_SUFFIXES)
        if len(stills) > 1:
            yield place, stills


def natural_order(path: Path) -> list:
    """Sorts ``img2`` before ``img10``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.name)]


def read_frames(item: Recording, most: int) -> Iterator[np.ndarray]:
    """At most ``most`` frames, evenly spread from first to last: RGB uint8 (H, W, 3).

    Raises InputError for an unreadable file or fewer than two frames.
    """
    if item.video is None:
        for number in spread(len(item.frames), most):
            yield read_pixels(item.frames[number])
    else:
        yield from _read_video(item.video, most)


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers 0 … ``count`` − 1, evenly spaced, first and last among them."""
    return sorted({round(position) for position in np.linspace(0, count - 1, min(count, most)).tolist()})


def _read_video(path: Path, most: int) -> Iterator[np.ndarray]:
    """Two passes, so that a long video needs no more memory than a short one: count the frames, then take some."""
    import av

    try:
        count = sum(1 for _ in _decoded(path))
        if count < 2:
            raise InputError("the video has fewer than two frames")
        wanted = set(spread(count, most))
        for number, frame in enumerate(_decoded(path)):
            if number in wanted:
                # phones store the picture as the sensor saw it, and how far to turn it; PyAV 12 does not tell
                pixels = np.rot90(frame.to_ndarray(format="rgb24"), getattr(frame, "rotation", 0) // 90)
                yield np.ascontiguousarray(pixels)
    except av.FFmpegError as error:
        raise InputError(f"unreadable video ({error.strerror or error})") from error


def _decoded(path: Path) -> Iterator:
    import av

    with av.open(f"file:{path}") as container:
        if not container.streams.video:
            raise InputError("no video stream")
        yield from container.decode(container.streams.video[0])
