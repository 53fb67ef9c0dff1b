"""Performances as CSV files: Live Link Face's as they come from the phone, and our own.

One row is one frame. Columns are found by their names (in any case and order), among them

- units: ARKit's names, or any other name that `units.parse_unit` knows; those that are missing stay 0;
- head: ``headYaw``, ``headPitch``, ``headRoll`` in degrees, signs as in `faces.pose.head_pose`; Live Link Face's
  ``HeadYaw``, ``HeadPitch``, ``HeadRoll`` are in radians, and its roll is positive where ours is negative;
- time: ``time`` in seconds, or ``Timecode`` as ``HH:MM:SS:FF`` with an optional fraction of a frame (``FF.123``) and,
  for drop-frame timecode, a semicolon before the frames; without either, rows are frames of the clip;
- ``face``: 0 marks rows in which no face was seen.

Empty cells, and rows without a face, are filled from the rows around them.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from types import TracebackType

import numpy as np

from facemotion.errors import InputError, UsageError
from facemotion.expressions.performance import Performance
from facemotion.expressions.recipes import MAX_STRENGTH
from facemotion.expressions.tables import Table, number, open_table
from facemotion.expressions.units import UNIT_COUNT, UNIT_INDEX, UNIT_NAMES, find_unit

Note = Callable[[str], None]
"""Takes a line of advice."""

HEAD_COLUMNS = ("headYaw", "headPitch", "headRoll")
EYE_COLUMNS = ("leftEyeYaw", "leftEyePitch", "rightEyeYaw", "rightEyePitch")
LANDMARK_COLUMNS = tuple(f"{axis}_{point}" for point in range(68) for axis in "xy")

LIVE_LINK_FPS = 60
"""Rate of the timecode where a track is too short to tell it: that of Live Link Face as it comes."""

_TIMECODE_RATES = (24, 25, 30, 48, 50, 60, 90, 100, 120, 240)
_TIMECODE = re.compile(r"(\d+):(\d{1,2}):(\d{1,2})([:;.])(\d+(?:\.\d+)?)")
_CLOCK = re.compile(r"(\d+):(\d{1,2}):(\d{1,2})")
_SECONDS = {"time": 1.0, "time_s": 1.0, "seconds": 1.0, "timestamp": 1.0, "t": 1.0} | dict.fromkeys(
    ("time_ms", "timestamp_ms", "milliseconds", "ms"), 1e-3
)
_IGNORED = re.compile(
    r"frame|index|cut|blendshapecount|(left|right)eye(yaw|pitch|roll)|_?neutral|[xy]_\d+", re.IGNORECASE
)  # known, and not part of a performance; ARKit says where the eyes look by units as well
_HINT = "docs/expressions.md describes tracks; Live Link Face's CSV files are read as they are."
_PERCENT = 10.0  # units beyond this are not units but percent
_LONG_STEP_S = 5.0  # key poses may be seconds apart; a step beyond this is one of milliseconds
_DAY_S = 86400.0


def read_track(path: str | Path, *, source_fps: float | None = None, on_note: Note | None = None) -> Performance:
    """The performance in a CSV file.

    ``source_fps`` overrides the file's own times: its rows then follow one another at that rate. ``on_note`` gets a
    line for whatever was guessed, filled in or left out. Rows are read one by one into compact arrays: 230 bytes a
    row. Raises InputError for files that are unreadable, without rows, without units, or that hold something else
    than numbers.
    """
    note = _silent if on_note is None else on_note
    with open_table(path, hint=_HINT) as table:
        columns = _Columns.of(table, note)
        values, times = _read_rows(table, columns)
    if not len(values):
        raise InputError(f"{path} has no rows.", _HINT)
    units, head = columns.arranged(values)
    _fill_gaps(units, head, columns, str(path), note)
    _check_range(units, str(path), note)
    kept, time_s = _times(times, columns, len(units), source_fps, str(path), note)
    if kept is not None:
        units, head = units[kept], None if head is None else head[kept]
    return Performance(units, head, time_s)


class TrackWriter:
    """Writes a performance row by row, in the form that `read_track` reads.

    Columns: ``frame``, ``time``, ``face`` (with ``gaps``), ``cut`` (with ``cuts``), the 52 units, the head's angles,
    those of the eyes (with ``eyes``), and the 68 landmarks ``x_0, y_0, … x_67, y_67`` in px (with ``landmarks``).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        gaps: bool = False,
        cuts: bool = False,
        eyes: bool = False,
        landmarks: bool = False,
    ):
        self._gaps, self._cuts, self._eyes, self._landmarks = gaps, cuts, eyes, landmarks
        names = ["frame", "time", *["face"] * gaps, *["cut"] * cuts, *UNIT_NAMES, *HEAD_COLUMNS]
        names += [*EYE_COLUMNS] * eyes + [*LANDMARK_COLUMNS] * landmarks
        self._stream = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115 (closed by close)
        self._stream.write(",".join(names) + "\n")
        self._frame = 0

    def write(
        self,
        time_s: float,
        units: np.ndarray | None,
        *,
        head: Iterable[float] | None = None,
        eyes: Iterable[float] | None = None,
        landmarks: np.ndarray | None = None,
        cut: bool = False,
    ) -> None:
        """Adds a row: units (52,), head (yaw, pitch, roll) and eyes (as `EYE_COLUMNS`) degrees, landmarks (68, 2) px.

        What is None stays empty; without units the row is marked as one without a face; ``cut`` marks the first frame
        of a scene.
        """
        cells = [str(self._frame), f"{time_s:.5f}".rstrip("0").rstrip(".")]
        cells += [str(int(units is not None))] * self._gaps + [str(int(cut))] * self._cuts
        cells += _cells(units, UNIT_COUNT, 4) + _cells(head, len(HEAD_COLUMNS), 3)
        cells += _cells(eyes, len(EYE_COLUMNS), 3) * self._eyes
        flat = None if landmarks is None else np.asarray(landmarks).reshape(-1)
        cells += _cells(flat, len(LANDMARK_COLUMNS), 2) * self._landmarks
        self._stream.write(",".join(cells) + "\n")
        self._frame += 1

    def close(self) -> None:
        """Finishes the file."""
        self._stream.close()

    def __enter__(self) -> TrackWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cells(values: Iterable[float] | None, count: int, digits: int) -> list[str]:
    if values is None:
        return [""] * count
    return [f"{round(float(value), digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".") for value in values]


@dataclass(frozen=True)
class _Columns:
    """Which columns of a table are what. ``places`` those that are read as numbers, in this order: the units', the
    head's, ``face``; ``units`` the unit numbers of each of the first; ``head`` the angle and the factor to degrees of
    each of the next."""

    header: tuple[str, ...]
    places: tuple[int, ...]
    units: tuple[tuple[int, ...], ...]
    head: tuple[tuple[int, float], ...]
    has_face: bool
    timecode: int | None
    time: int | None
    time_scale: float

    @classmethod
    def of(cls, table: Table, note: Note) -> _Columns:
        units: dict[int, tuple[int, ...]] = {}
        head: dict[int, tuple[int, float]] = {}
        face = timecode = time = None
        time_scale, unknown = 1.0, list[str]()
        taken: dict[str, str] = {}
        for place, name in enumerate(table.header):
            key = re.sub(r"[ -]", "", name).lower()
            shown = _units_of(name)
            if not name or key.startswith("#"):
                continue
            if shown:
                units[place] = tuple(UNIT_INDEX[unit] for unit in shown)
            elif key in ("headyaw", "headpitch", "headroll"):
                head[place] = _head_angle(name)
            elif key == "face":
                face = place
            elif key == "timecode":
                timecode = place
            elif key in _SECONDS:
                time, time_scale = place, _SECONDS[key]
            elif not _IGNORED.fullmatch(key):
                unknown.append(name)
                continue
            for what in shown or (key,):
                if what in taken:
                    raise InputError(f"{table.name}: the columns {taken[what]} and {name} say the same.", _HINT)
                taken[what] = name
        if not units and not head:
            first = ", ".join(table.header[:4]) + (" …" if len(table.header) > 4 else "")
            raise InputError(f"{table.name}: no column is a unit ({first}).", _HINT)
        if unknown:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            note(f"{table.name}: unknown columns left out: {', '.join(unknown[:5])}{more}.")
        places = (*units, *head, *([] if face is None else [face]))
        return cls(
            header=table.header,
            places=places,
            units=tuple(units.values()),
            head=tuple(head.values()),
            has_face=face is not None,
            timecode=timecode,
            time=time,
            time_scale=time_scale,
        )

    def arranged(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Units (N, 52) and head (N, 3) degrees or None, from the columns read; NaN where nothing is known."""
        units = np.zeros((len(values), UNIT_COUNT), np.float32)
        for place, indices in enumerate(self.units):
            for index in indices:
                units[:, index] = values[:, place]
        head = None
        if self.head:
            head = np.zeros((len(values), 3), np.float32)
            angles = values[:, len(self.units) : len(self.units) + len(self.head)]
            degrees = np.nanmax(np.abs(angles), initial=0.0) > 2 * np.pi  # whatever the columns are called
            for place, (angle, factor) in enumerate(self.head):
                head[:, angle] = angles[:, place] * (np.sign(factor) if degrees else factor)
        if self.has_face:
            unseen = values[:, -1] == 0
            used = [index for indices in self.units for index in indices]
            units[np.ix_(unseen, used)] = np.nan
            if head is not None:
                head[unseen] = np.nan
        return units, head


def _units_of(name: str) -> tuple[str, ...]:
    if re.match(r"au[ -]?\d+_", name, re.IGNORECASE):
        return ()  # OpenFace's AU12_r and AU12_c are intensities and presence, not sides
    try:
        return find_unit(name) or ()
    except UsageError:
        return ()


def _head_angle(name: str) -> tuple[int, float]:
    angle = ("yaw", "pitch", "roll").index(name.lower().removeprefix("head"))
    if name[:1].islower():
        return angle, 1.0
    return angle, float(np.degrees(1.0)) * (-1 if angle == 2 else 1)


def _read_rows(table: Table, columns: _Columns) -> tuple[np.ndarray, _Times]:
    values, times = array("f"), _Times()
    pick = itemgetter(*columns.places, columns.places[0])  # one more, so that it is always a tuple
    width, needed = len(table.header), max(columns.places) + 1
    for line, cells in table.rows:
        if len(cells) > width and any(cell.strip() for cell in cells[width:]):
            commas = "Put decimal commas into quotes, or separate the cells by semicolons."
            raise InputError(
                f"{table.name}, line {line}: {len(cells)} cells where the header has {width}.",
                commas if table.separator == "," else _HINT,
            )
        if len(cells) < needed:
            cells += [""] * (width - len(cells))
        picked = pick(cells)[:-1]
        try:
            values.extend(map(float, picked))
        except ValueError:
            del values[len(values) - len(values) % len(picked) :]
            values.extend(_numbers(picked, columns, table.name, line))
        times.add(cells, columns, table.name, line)
    numbers = np.frombuffer(values, np.float32) if values else np.empty(0, np.float32)
    numbers = numbers.reshape(-1, len(columns.places))
    return np.where(np.isfinite(numbers), numbers, np.float32(np.nan)), times


def _numbers(cells: tuple[str, ...], columns: _Columns, name: str, line: int) -> list[float]:
    numbers = []
    for place, cell in zip(columns.places, cells, strict=True):
        try:
            numbers.append(number(cell))
        except ValueError:
            raise InputError(
                f"{name}, line {line}: {cell.strip()!r} in the column {columns.header[place]} is no number.", _HINT
            ) from None
    return numbers


class _Times:
    """The times of the rows: seconds, and frames of a second on top of them."""

    def __init__(self) -> None:
        self.seconds, self.frames, self.drop = array("d"), array("d"), False

    def add(self, cells: list[str], columns: _Columns, name: str, line: int) -> None:
        seconds, frames = float("nan"), 0.0
        if columns.time is not None:
            text = cells[columns.time] if columns.time < len(cells) else ""
            try:
                seconds = number(text) * columns.time_scale
            except ValueError:
                seconds, frames = self._timecode(text, name, line)
        elif columns.timecode is not None:
            text = cells[columns.timecode] if columns.timecode < len(cells) else ""
            if text.strip():
                seconds, frames = self._timecode(text, name, line)
        self.seconds.append(seconds)
        self.frames.append(frames)

    def _timecode(self, text: str, name: str, line: int) -> tuple[float, float]:
        found = _TIMECODE.fullmatch(text.strip())
        if found:
            hours, minutes, seconds, mark, frames = found.groups()
            whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
            if mark == ".":
                return whole + float(f"0.{frames}"), 0.0
            self.drop |= mark == ";"
            return float(whole), float(frames)
        clock = _CLOCK.fullmatch(text.strip())
        if clock:
            return int(clock[1]) * 3600.0 + int(clock[2]) * 60 + int(clock[3]), 0.0
        try:
            return float("nan"), number(text)  # frame numbers, counted from anywhere
        except ValueError:
            raise InputError(
                f"{name}, line {line}: {text.strip()!r} is no time.", "Write seconds, or a timecode as 01:02:03:04."
            ) from None


def _times(
    times: _Times, columns: _Columns, count: int, source_fps: float | None, name: str, note: Note
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Which rows to keep (None for all), and their times in seconds from the first (None: evenly spaced)."""
    if source_fps is not None:
        return None, np.arange(count) / source_fps
    if columns.time is None and columns.timecode is None:
        return None, None
    seconds = np.frombuffer(times.seconds, np.float64)
    if np.isnan(seconds).all():
        return None, None
    midnights = np.cumsum(np.diff(seconds, prepend=seconds[0]) < -_DAY_S / 2)
    seconds = seconds + _DAY_S * midnights
    time_s = seconds + _frame_seconds(seconds, np.frombuffer(times.frames, np.float64), times.drop, name, note)
    unknown = np.isnan(time_s)
    if unknown.any():
        rows = np.arange(count)
        time_s = np.interp(rows, rows[~unknown], time_s[~unknown])
    kept = time_s > np.concatenate([[-np.inf], np.maximum.accumulate(time_s)[:-1]])
    if count > 1 and kept.sum() <= count / 2:
        note(f"{name}: its times do not advance; rows are taken as evenly spaced.")
        return None, None
    if not kept.all():
        note(f"{name}: {int((~kept).sum())} rows whose time does not advance are left out.")
        time_s = time_s[kept]
    steps = np.diff(time_s)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual > _LONG_STEP_S:
        raise InputError(
            f"{name}: the time advances by {usual:g} seconds a row.", "Give seconds, or name the column time_ms."
        )
    gaps = int((steps > max(1.0, 10 * usual)).sum())
    if gaps:
        note(f"{name}: {gaps} gap{'s' * (gaps > 1)} of more than a second bridged.")
    return None if kept.all() else kept, time_s - time_s[0]


def _frame_seconds(seconds: np.ndarray, frames: np.ndarray, drop: bool, name: str, note: Note) -> np.ndarray:
    """What the frames of a timecode add to its seconds.

    Timecode counts whole frames: at 29.97 and 59.94 frames per second its second is a thousandth longer. Drop-frame
    timecode makes up for that by leaving out numbers; there the true time is what the count of frames says.
    """
    if not frames.any():
        return frames
    most = float(frames.max())
    rates = [rate for rate in _TIMECODE_RATES if rate > most]
    if not rates:
        raise InputError(f"{name}: frame {most:g} of a second in its timecode.", "Write timecode as HH:MM:SS:FF.")
    across = np.flatnonzero(np.diff(seconds) == 1)
    within = np.diff(frames)[np.diff(seconds) == 0]
    if len(across) and len(within):  # where a second begins, the count of frames shows how many one has
        seen = float(np.median(frames[across] - frames[across + 1]) + np.median(within))
        rate = min(rates, key=lambda rate: abs(rate - seen))
    else:
        rate = min(rates, key=lambda rate: abs(rate - LIVE_LINK_FPS))
        note(f"{name}: its timecode does not tell its rate; taken as {rate} frames per second.")
    if not drop or rate not in (30, 60):
        return frames / rate
    minutes = np.floor(seconds / 60)
    dropped = (rate // 15) * (minutes - np.floor(minutes / 10))
    return (seconds * rate + frames - dropped) * 1.001 / rate - seconds


def _fill_gaps(units: np.ndarray, head: np.ndarray | None, columns: _Columns, name: str, note: Note) -> None:
    """Replaces NaN in place: between known rows linearly, before and after them by the nearest, else by 0."""
    filled, empty = np.zeros(len(units), bool), []
    names = (*UNIT_NAMES, *HEAD_COLUMNS)
    for index, column in enumerate((*units.T, *(() if head is None else head.T))):
        missing = np.isnan(column)
        if not missing.any():
            continue
        if missing.all():
            column[:] = 0
            empty.append(names[index])
            continue
        rows = np.arange(len(column))
        column[missing] = np.interp(rows[missing], rows[~missing], column[~missing])
        filled |= missing
    if len(empty) == sum(map(len, columns.units)) + len(columns.head):
        raise InputError(f"{name} has no row with a face in it.", _HINT)
    if empty:
        listed = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
        note(f"{name}: no number in the columns {listed}; taken as 0.")
    if filled.any():
        count = f"{int(filled.sum())} of {len(units)} rows"
        note(f"{name}: {count} have empty cells or no face; filled from the rows around them.")


def _check_range(units: np.ndarray, name: str, note: Note) -> None:
    """Keeps units in their range, in place. Raises InputError for values that must be something else."""
    highest, lowest = units.max(axis=0), units.min(axis=0)
    if highest.max() > _PERCENT:
        worst = int(highest.argmax())
        raise InputError(
            f"{name}: {UNIT_NAMES[worst]} reaches {highest[worst]:g}; units run from 0 to {MAX_STRENGTH:g}.",
            "Divide percent by 100.",
        )
    outside = np.flatnonzero((highest > MAX_STRENGTH) | (lowest < -0.05))
    if len(outside):
        rows = int(((units > MAX_STRENGTH) | (units < -0.05)).any(axis=1).sum())
        listed = ", ".join(UNIT_NAMES[index] for index in outside[:5]) + (" …" if len(outside) > 5 else "")
        note(f"{name}: {rows} rows beyond 0 to {MAX_STRENGTH:g} cut to that range ({listed}).")
    np.clip(units, 0, MAX_STRENGTH, out=units)


def _silent(line: str) -> None:
    """For callers that want no advice."""
