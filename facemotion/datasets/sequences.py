"""Recorded expressions from neutral to peak: where they lie, and how their frames are read."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facemotion.datasets.clip_writer import Source
from facemotion.datasets.single_face import read_pixels
from facemotion.errors import InputError, MissingFileError, UsageError
from facemotion.expressions.grammar import NEUTRAL, canonical
from facemotion.media.photos import PHOTO_SUFFIXES

VIDEO_SUFFIXES = frozenset((".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg", ".mts", ".3gp"))
_WORD_ENDS = re.compile(r"[^0-9A-Za-z]+")


@dataclass(frozen=True)
class SequenceItem:
    """One recording: a video file, or still frames in their order."""

    key: str
    person: str
    expression: str
    source: Source
    video: Path | None = None
    frames: tuple[Path, ...] = ()
    landmark_texts: tuple[Path, ...] = ()
    """68 lines ``x y`` for every frame, where the set has them; else empty."""
    problem: str = ""


def find_sequences(folders: Iterable[Path], *, own_source: Source, expression: str | None = None) -> list[SequenceItem]:
    """Videos, and folders of at least two still frames, below ``folders``.

    ``expression`` holds for all; without it see ``person_and_expression``, and an item without an expression has a
    problem. Raises InputError for a folder with nothing.
    """
    items = []
    for folder in folders:
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: no such folder", "Check the path.")
        found = list(_recordings(folder))
        if not found:
            raise InputError(f"{folder}: holds no videos and no frame sequences", "Name the folder above them.")
        for path, frames in found:
            names = [*path.relative_to(folder).parts[:-1], path.name if frames else path.stem]
            person, label = person_and_expression(names, folder.resolve().name, expression)
            items.append(
                SequenceItem(
                    key=(Path(folder.resolve().name) / path.relative_to(folder)).as_posix(),
                    person=f"{folder.resolve().name}-{person}",
                    expression=label,
                    source=own_source,
                    video=None if frames else path,
                    frames=frames,
                    problem="" if label else "no expression in its path: name a folder after it or give --expression",
                )
            )
    return items


def person_and_expression(names: Sequence[str], root: str, expression: str | None = None) -> tuple[str, str]:
    """Person and expression from the names on the way from the folder ``root`` to a recording.

    The expression is the name or alias nearest to the file; "" where there is none. The person is the folder above
    that name, else the next name below it, else what is left of the name itself:
    ``anna/happiness/take1``, ``smile/anna``, ``anna_smile_2`` are all Anna smiling.
    """
    for place in reversed(range(len(names))):
        words = _WORD_ENDS.split(names[place])
        for number, word in enumerate(words):
            label = _label(word)
            if label:
                above = names[place - 1] if place else ""
                below = names[place + 1] if place + 1 < len(names) else ""
                rest = "_".join(other for other in words[:number] + words[number + 1 :] if not other.isdigit())
                return above or below or rest or names[place], expression or label
    return names[0], expression or next(filter(None, map(_label, _WORD_ENDS.split(root))), "")


def _label(word: str) -> str:
    try:
        name = canonical(word)
    except UsageError:
        return ""
    return "" if name == NEUTRAL else name


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


def read_frames(item: SequenceItem, most: int) -> Iterator[tuple[float, int, np.ndarray]]:
    """At most ``most`` frames, evenly spread from first to last: position in [0, 1], number, RGB uint8 (H, W, 3).

    Raises InputError for an unreadable file or fewer than two frames.
    """
    if item.video is None:
        for number in spread(len(item.frames), most):
            yield number / (len(item.frames) - 1), number, read_pixels(item.frames[number])
    else:
        yield from _read_video(item.video, most)


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers 0 … ``count`` − 1, evenly spaced, first and last among them."""
    return sorted({round(position) for position in np.linspace(0, count - 1, min(count, most)).tolist()})


def _read_video(path: Path, most: int) -> Iterator[tuple[float, int, np.ndarray]]:
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
                yield number / (count - 1), number, np.ascontiguousarray(pixels)
    except av.FFmpegError as error:
        raise InputError(f"unreadable video ({error.strerror or error})") from error


def _decoded(path: Path) -> Iterator:
    import av

    with av.open(f"file:{path}") as container:
        if not container.streams.video:
            raise InputError("no video stream")
        yield from container.decode(container.streams.video[0])
