"""What a living face does without being asked: blinks, glances, breath, and a head that is never quite still.

Everything comes from a seed. Where a clip loops, so does life, without a seam; frame 0 is always the performance as it
was. docs/expressions.md says where the numbers come from.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from facemotion.expressions.performance import Performance
from facemotion.expressions.timing import check_choice
from facemotion.expressions.units import UNIT_INDEX

GAZE_RANGE_DEG = 30.0
"""How far an eye turns when a unit of gaze is 1."""

BLINKS_PER_MINUTE = 15.0
_BLINK_RATE_SPREAD, _BLINK_RATES = 0.25, (8.0, 21.0)  # log-normal between people, kept within the usual range
_REFRACTORY_S = 1.0  # no blink so soon after another
_NO_BLINK_AT_START_S = 0.2
_NEEDS_BLINK_S = 2.5  # a clip of this length has one

_CLOSING_S, _CLOSED_S, _OPENING_S = (0.07, 0.1), (0.03, 0.06), (0.14, 0.2)
_SHUT = 0.4  # eyes that are closed more than this by the performance itself do not blink

_SACCADE_S, _SACCADE_S_PER_DEG = 0.021, 0.0022  # duration of a saccade by its size
_FIXATION_S, _SHORTEST_FIXATION_S = 0.9, 0.25
_VERTICAL_GAZE = 0.5  # glances go sideways rather than up and down

_BREATHS_PER_MINUTE = (12.0, 20.0)
_SWAY_HZ = 0.45  # fastest part of the head's sway
_SWAY_PERIOD_S = 12.0
_SWAY_PLACES = 512  # of a period, among which the one is sought where it begins
_CALM_S = 4.0  # loops shorter than this move less, so as not to hurry


@dataclass(frozen=True)
class Level:
    """How lively: ``gaze_deg`` mean and ``most_gaze_deg`` largest glance; ``sway_deg`` standard deviations of yaw,
    pitch and roll; ``breath_deg`` how far a breath lifts the head."""

    gaze_deg: float
    most_gaze_deg: float
    sway_deg: tuple[float, float, float]
    breath_deg: float


LEVELS: dict[str, Level | None] = {
    "off": None,
    "subtle": Level(gaze_deg=1.5, most_gaze_deg=3.0, sway_deg=(0.7, 0.45, 0.35), breath_deg=0.2),
    "full": Level(gaze_deg=3.5, most_gaze_deg=8.0, sway_deg=(1.8, 1.1, 0.9), breath_deg=0.35),
}
"""By the words of ``--life``."""


@dataclass(frozen=True)
class Blink:
    """One closing and opening of the lids, in seconds from the start of the clip."""

    start_s: float
    closing_s: float
    closed_s: float
    opening_s: float

    @property
    def end_s(self) -> float:
        """When the eyes are open again."""
        return self.start_s + self.closing_s + self.closed_s + self.opening_s

    def closure(self, time_s: np.ndarray) -> np.ndarray:
        """(T,) how far the lids are closed, 0 to 1: down fast, up slower and slowest at the end."""
        since_s = time_s - self.start_s
        down = np.clip(since_s / self.closing_s, 0, 1)
        up = np.clip((since_s - self.closing_s - self.closed_s) / self.opening_s, 0, 1)
        return down**2 * (3 - 2 * down) * (1 - up) ** 2 * (1 + 2 * up)


def add_life(performance: Performance, *, level: str, fps: float, seed: int, loop: bool = False) -> Performance:
    """The performance, evenly spaced at ``fps``, with the life of a level; ``loop`` for clips that repeat.

    Raises UsageError for a level that there is not.
    """
    check_choice("life", level, tuple(LEVELS))
    lively = LEVELS[level]
    frames = len(performance)
    if lively is None or frames < 2:
        return performance
    time_s = np.arange(frames) / fps
    length_s = (frames if loop else frames - 1) / fps
    units = performance.units.copy()
    gaze = glances(time_s, length_s, lively, source=_source(seed, "gaze"), loop=loop)
    for eye, outwards in (("Left", 1), ("Right", -1)):  # positive gaze is to the person's left, and up
        _turn(units, f"eyeLookOut{eye}", f"eyeLookIn{eye}", outwards * gaze[:, 0] / GAZE_RANGE_DEG)
        _turn(units, f"eyeLookUp{eye}", f"eyeLookDown{eye}", gaze[:, 1] / GAZE_RANGE_DEG)
    lids = performance.units[:, [UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]]
    busy = lids.max(axis=1) > _SHUT
    blinks = blink_times(length_s, fps=fps, source=_source(seed, "blinks"), needs_one=True)
    for blink in blinks:
        closure = blink.closure(time_s)
        if not (busy & (time_s >= blink.start_s - 0.1) & (time_s <= blink.end_s + 0.1)).any():
            for eye in ("Left", "Right"):
                lid, wide = units[:, UNIT_INDEX[f"eyeBlink{eye}"]], units[:, UNIT_INDEX[f"eyeWide{eye}"]]
                lid += (closure * np.maximum(0, 1 - lid)).astype(np.float32)
                wide *= (1 - closure).astype(np.float32)
    head = _head(time_s, length_s, lively, source=_source(seed, "head"), loop=loop)
    if performance.head is not None:
        head = head + performance.head
    return Performance(units, head.astype(np.float32), performance.time_s)


def blink_times(
    length_s: float,
    *,
    fps: float,
    source: np.random.Generator,
    needs_one: bool = False,
    per_minute: float | None = None,
) -> list[Blink]:
    """The blinks of a clip, all of them whole: a Poisson process with a refractory time.

    ``per_minute`` is the person's rate, drawn where it is None. The lids are closed in at least one frame, and a blink
    lasts from 0.24 to 0.36 seconds however long the clip is. ``needs_one``: a clip that lasts
    long enough to look lifeless without has at least one.
    """
    if per_minute is None:
        drawn = BLINKS_PER_MINUTE * np.exp(_BLINK_RATE_SPREAD * source.standard_normal())
        per_minute = float(np.clip(drawn, *_BLINK_RATES))

    def one(near_s: float) -> Blink:
        closing, closed, opening = (float(source.uniform(*limits)) for limits in (_CLOSING_S, _CLOSED_S, _OPENING_S))
        shut_s = np.ceil((near_s + closing) * fps - 1e-9) / fps  # on a frame
        return Blink(float(shut_s) - closing, closing, closed, opening)

    mean_wait_s = 60 / per_minute - _REFRACTORY_S - sum(map(np.mean, (_CLOSING_S, _CLOSED_S, _OPENING_S)))
    blinks: list[Blink] = []
    now = _NO_BLINK_AT_START_S
    while True:
        blink = one(now + float(source.exponential(mean_wait_s)))
        if blink.end_s > length_s:
            break
        blinks.append(blink)
        now = blink.end_s + _REFRACTORY_S
    if needs_one and not blinks and length_s >= _NEEDS_BLINK_S:
        blinks.append(one(length_s * float(source.uniform(0.25, 0.7))))
    return blinks


def glances(
    time_s: np.ndarray, length_s: float, level: Level, *, source: np.random.Generator, loop: bool = False
) -> np.ndarray:
    """(T, 2) gaze in degrees off the performance's own, to the person's left and up.

    Fixations near the point that the photo looks at, and saccades between them whose duration grows with their size;
    the first fixation is that point itself, and so is the last of a loop.
    """
    gaze = np.zeros((len(time_s), 2))
    here = np.zeros(2)
    start = _SHORTEST_FIXATION_S + float(source.exponential(_FIXATION_S))
    while start < length_s:
        size = min(float(source.exponential(level.gaze_deg)), level.most_gaze_deg)
        angle = float(source.uniform(0, 2 * np.pi))
        there = size * np.array([np.cos(angle), _VERTICAL_GAZE * np.sin(angle)])
        following = start + _SHORTEST_FIXATION_S + float(source.exponential(_FIXATION_S))
        if loop and following >= length_s - _SHORTEST_FIXATION_S:
            there, following = np.zeros(2), np.inf
        lasts_s = _SACCADE_S + _SACCADE_S_PER_DEG * float(np.hypot(*(there - here)))
        run = np.clip((time_s - start) / lasts_s, 0, 1)[:, None]
        gaze = np.where(run > 0, (1 - run) * here + run * there, gaze)
        here, start = there, following
    return gaze


def _head(time_s: np.ndarray, length_s: float, level: Level, *, source: np.random.Generator, loop: bool) -> np.ndarray:
    """(T, 3) yaw, pitch and roll in degrees, 0 in frame 0."""
    period_s = length_s if loop else max(_SWAY_PERIOD_S, 1.6 * length_s)
    calm = min(1.0, length_s / _CALM_S) if loop else 1.0
    sway = np.stack([calm * size * _sway(time_s, period_s, source) for size in level.sway_deg], axis=1)
    rate_hz = float(source.uniform(*_BREATHS_PER_MINUTE)) / 60
    if loop:
        rate_hz = max(1, round(rate_hz * length_s)) / length_s
    sway[:, 1] += calm * level.breath_deg * (1 - np.cos(2 * np.pi * rate_hz * time_s)) / 2
    return sway


def _sway(time_s: np.ndarray, period_s: float, source: np.random.Generator) -> np.ndarray:
    """(T,) a wander of unit variance, of the given period; it begins at 0 and at rest, where it turns back."""
    count = max(1, int(_SWAY_HZ * period_s))
    harmonics = np.arange(1, count + 1)
    sizes = source.rayleigh(size=count) / harmonics
    sizes *= np.sqrt(2 / (sizes**2).sum())
    phases = source.uniform(0, 2 * np.pi, count)

    def wander(at_s: np.ndarray) -> np.ndarray:
        return (sizes * np.sin(2 * np.pi * harmonics / period_s * at_s[:, None] + phases)).sum(axis=1)

    around_s = np.linspace(0, period_s, _SWAY_PLACES, endpoint=False)
    values = wander(around_s)
    turns_back = (values - np.roll(values, 1)) * (np.roll(values, -1) - values) <= 0
    start_s = around_s[np.where(turns_back, np.abs(values), np.inf).argmin()]
    return wander(start_s + time_s) - wander(np.array([start_s]))


def _turn(units: np.ndarray, towards: str, away: str, by: np.ndarray) -> None:
    """Moves gaze by (T,) units towards one side, in place: what looked the other way looks less so first."""
    for there, back, step in ((towards, away, np.maximum(0, by)), (away, towards, np.maximum(0, -by))):
        undone = np.minimum(units[:, UNIT_INDEX[back]], step)
        units[:, UNIT_INDEX[back]] -= undone.astype(np.float32)
        units[:, UNIT_INDEX[there]] += (step - undone).astype(np.float32)
    np.clip(units, 0, 1.5, out=units)


def _source(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(f"life {purpose}".encode())])
