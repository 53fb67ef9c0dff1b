"""From the steps of an expression to a performance: when each unit is how strong.

``natural`` envelopes follow what is known of the dynamics of faces (docs/expressions.md names the sources):

- An onset takes the time of its recipe whatever its strength, so that stronger movements are faster; it runs as a
  minimum-jerk movement (Flash & Hogan 1985), with an overshoot of a few percent.
- Parts of the face start apart, as the recipe says, left and right some hundredths of a second from one another.
- The peak is held for as long as the clip leaves, and drifts. The release is slower than the onset and of another form.
- Expressions that cannot be held (a blink) take their own time however long the clip is.

The other curves of `timing` are for stimuli: every unit moves at once, exactly as `timing.control_track` says.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facemotion.errors import UsageError
from facemotion.expressions.blends import Blend, builtin_recipes, check_intensity, unit_targets
from facemotion.expressions.life import LEVELS, add_life
from facemotion.expressions.performance import Performance
from facemotion.expressions.recipes import MAX_STRENGTH, PHOTO, Recipes, Timing
from facemotion.expressions.timing import CURVES, check_choice, control_between, turning_points
from facemotion.expressions.units import UNIT_COUNT, UNIT_INDEX, UNITS

SHAPES = ("onset", "pulse", "loop", "idle")
"""``onset`` ends at the peak; ``pulse`` goes there, holds and comes back; ``loop`` repeats without a seam; ``idle``
repeats without a seam as well, with nothing in it but life."""

ENVELOPES = ("natural", *CURVES)
"""How strength grows: as on faces, or by one of the curves."""

_HEAD = 3
_LIDS = tuple(index for index, unit in enumerate(UNITS) if unit.name.startswith("eyeBlink"))
_GROUPS = tuple(unit.group for unit in UNITS)
_SIDES = np.array([1 if unit.side == "left" else -1 if unit.side == "right" else 0 for unit in UNITS])
_YOKED = ("eyes", "gaze")  # groups whose left and right move together

_UNIT_TIMING = Timing(onset_s=0.4, offset_s=0.6)  # of units asked for by their own names
_HEAD_DELAY_S = 0.05
_LEAD_S = 0.08  # the photo is seen for this long before anything moves
_TAIL_SHARE = 0.15  # the share of a hold that a clip which comes back stays at the photo
_OVERSHOOT, _OVERSHOOT_DECAY_S = 0.04, 0.25
_SIDE_LAG_S, _MOST_SIDE_LAG_S = 0.02, 0.05
_TIME_SPREAD = 0.12  # relative standard deviation of durations between people
_DRIFT, _DRIFT_RAMP_S = 0.03, 0.3
_DRIFT_HZ = (0.15, 0.9)


def perform(
    steps: Sequence[Blend],
    *,
    frames: int,
    fps: float,
    own: np.ndarray | None = None,
    shape: str = "onset",
    curve: str = "natural",
    intensity: float = 1.0,
    relative: bool = False,
    head: tuple[float, float, float] = (0.0, 0.0, 0.0),
    life: str = "off",
    seed: int | None = None,
    variation: float = 1.0,
    recipes: Recipes | None = None,
) -> Performance:
    """The performance of the steps, one after another, by a person whose photo shows the units ``own`` (52,).

    Frame 0 is the photo, exactly, unless a single frame is asked for: that one is the last step's peak. ``onset``
    ends at the last step, ``pulse`` at the photo again; ``loop`` and ``idle`` are at the photo in the frame that would
    follow the last. ``idle`` holds the last step throughout where there is one that is not the photo.

    steps: checked blends. curve: one of `ENVELOPES`. relative: steps are added to what the photo shows instead of
    replacing it. head: yaw, pitch and roll in degrees to turn to along with the steps. life: one of `life.LEVELS`.
    seed, variation: the person's own strengths, sides, times and life; without seed everything is as the recipes say,
    and life as with seed 0. Raises UsageError for what makes no sense.
    """
    if frames < 1:
        raise UsageError(f"{frames} frames make no clip.", "Ask for at least one frame.")
    check_choice("shape", shape, SHAPES)
    check_choice("curve", curve, ENVELOPES)
    check_choice("life", life, tuple(LEVELS))
    check_intensity(steps, intensity)
    recipes = recipes or builtin_recipes()
    start = np.zeros(UNIT_COUNT + _HEAD, np.float32)
    if own is not None:
        start[:UNIT_COUNT] = own
    states: list[np.ndarray] = []
    for blend in steps:
        state = start.copy()
        if PHOTO not in blend:
            units = unit_targets(blend, recipes=recipes, seed=seed, intensity=intensity, variation=variation)
            if relative:
                units = np.clip(start[:UNIT_COUNT] + units, 0, MAX_STRENGTH)
            elif _timing_of(blend, recipes).hold_s is not None:  # a blink leaves the mouth as it is
                units = _on_top(units, (states or [start])[-1][:UNIT_COUNT])
            state[:UNIT_COUNT] = units
            state[UNIT_COUNT:] = head
        states.append(state)
    if shape == "idle" or not states:
        values = np.repeat((states or [start])[-1][None], frames, axis=0)
    elif frames == 1:
        values = states[-1][None]
    elif curve == "natural":
        values = _Natural(steps, states, start, recipes, seed=seed, variation=variation).values(frames, fps, shape)
    else:
        values = _eased(states, start, frames, shape, curve)
    turned = values[:, UNIT_COUNT:]
    performance = Performance(np.clip(values[:, :UNIT_COUNT], 0, MAX_STRENGTH), turned if turned.any() else None)
    if frames == 1:
        return performance
    return add_life(performance, level=life, fps=fps, seed=seed or 0, loop=shape in ("loop", "idle"))


def morph_levels(target: np.ndarray, *, own: np.ndarray, levels: int) -> Performance:
    """Stills of a continuum from the photo to a target, in ``levels`` equal steps of control, both ends included.

    target, own: (52,) units. Raises UsageError for less than two levels.
    """
    if levels < 2:
        raise UsageError(f"{levels} levels make no continuum.", "Ask for at least two: the photo and the peak.")
    share = np.linspace(0, 1, levels, dtype=np.float32)[:, None]
    own = np.asarray(own, np.float32)
    return Performance(np.where(share == 1, target, own + share * (np.asarray(target, np.float32) - own)))


def level_names(word: str, levels: int) -> list[str]:
    """File names of the stills of a continuum: ``smile-000``, ``smile-010`` … ``smile-100`` in percent; with one
    decimal (``smile-012.5``) where percent are not whole."""
    shares = [100 * level / (levels - 1) for level in range(levels)]
    whole = all(abs(share - round(share)) < 1e-6 for share in shares)
    return [f"{word}-{share:03.0f}" if whole else f"{word}-{share:05.1f}" for share in shares]


def _eased(states: list[np.ndarray], start: np.ndarray, frames: int, shape: str, curve: str) -> np.ndarray:
    peaks = [tuple((state - start).tolist()) for state in states]
    keys = turning_points(peaks, shape)
    last = frames if shape == "loop" else frames - 1
    controls = [control_between(keys, keys[-1][0] * frame / last, CURVES[curve]) for frame in range(frames)]
    return start + np.array(controls, np.float32)


@dataclass(frozen=True)
class _Move:
    """The way from one state to the next, in seconds. ``durations_s`` and ``delays_s`` (55,) how long each unit and
    angle takes and when it starts; ``free`` whether the clip's length decides how long the state is held that it leads
    to; ``returning`` whether that is the photo."""

    before: np.ndarray
    after: np.ndarray
    durations_s: np.ndarray
    delays_s: np.ndarray
    hold_s: float
    free: bool
    returning: bool

    @property
    def length_s(self) -> float:
        """Until the last unit has arrived; for what cannot be held, the last of those that rise."""
        moving = self.before != self.after if self.free else self.before < self.after
        return float((self.durations_s + self.delays_s)[moving].max()) if moving.any() else 0.0

    def scaled(self, factor: float) -> _Move:
        """The same at another speed."""
        return replace(
            self,
            durations_s=factor * self.durations_s,
            delays_s=factor * self.delays_s,
            hold_s=factor * self.hold_s,
        )


class _Natural:
    """Natural envelopes of a person's steps."""

    def __init__(
        self,
        steps: Sequence[Blend],
        states: list[np.ndarray],
        start: np.ndarray,
        recipes: Recipes,
        *,
        seed: int | None,
        variation: float,
    ):
        self._states, self._start = states, start
        self._source = np.random.default_rng([seed or 0, zlib.crc32(b"dynamics")])
        self._variation = variation if seed is not None else 0.0
        lead = np.clip(self._source.normal(0, _SIDE_LAG_S), -_MOST_SIDE_LAG_S, _MOST_SIDE_LAG_S) * self._variation
        yoked = np.isin(np.array(_GROUPS), _YOKED)
        self._side_lag_s = np.where(yoked, 0.0, np.maximum(0.0, _SIDES * lead))
        self._timings = [_timing_of(blend, recipes) for blend in steps]
        self._delays = [_delays_of(blend, recipes) for blend in steps]

    def values(self, frames: int, fps: float, shape: str) -> np.ndarray:
        """(frames, 55) units and head of a shape."""
        length_s = (frames if shape == "loop" else frames - 1) / fps
        moves = self._moves(shape, least_hold_s=1 / fps)
        if not moves:
            return np.repeat(self._start[None], frames, axis=0)
        starts, moves = self._placed(moves, length_s, shape)
        time_s = np.arange(frames) / fps
        values = np.repeat(self._start[None].astype(np.float64), frames, axis=0)
        for number, (start_s, move) in enumerate(zip(starts, moves, strict=True)):
            values += self._moved(move, time_s - start_s)
            until = starts[number + 1] if number + 1 < len(starts) else np.inf
            if move.free:
                values += self._drift(move, time_s, start_s + move.length_s, until)
        if moves[-1].returning:  # bit for bit the photo
            values[time_s >= starts[-1] + moves[-1].length_s - 1e-9] = self._start
        if not moves[-1].free and not moves[-1].returning:  # what cannot be held ends at its peak
            values[-1] = moves[-1].after
        return values.astype(np.float32)

    def _moves(self, shape: str, *, least_hold_s: float) -> list[_Move]:
        moves: list[_Move] = []
        before, release_s = self._start, np.full(len(self._start), _UNIT_TIMING.offset_s)
        for state, timing, delays in zip(self._states, self._timings, self._delays, strict=True):
            back = bool(moves) and bool((state == self._start).all())
            fleeting = timing.hold_s is not None and not back
            onset_s = release_s if back else timing.onset_s
            moves.append(
                _Move(
                    before,
                    state,
                    np.where(state > before, onset_s, release_s) * self._stretch(),
                    self._delays_s(delays),
                    hold_s=max(least_hold_s, timing.hold_s or 0.0) if fleeting else 0.0,
                    free=not fleeting,
                    returning=back,
                )
            )
            before, release_s = state, np.where(state > before, timing.offset_s, release_s)
        if shape in ("pulse", "loop") and (before != self._start).any():
            delays_s = self._delays_s(self._delays[-1])
            durations_s = release_s * self._stretch()
            moves.append(_Move(before, self._start, durations_s, delays_s, hold_s=0.0, free=True, returning=True))
        return moves

    def _placed(self, moves: list[_Move], length_s: float, shape: str) -> tuple[list[float], list[_Move]]:
        """When each move starts. What is left of the clip goes to the holds, or before what cannot be held; what is
        too long for the clip runs faster."""
        last = moves[-1]
        if not last.free and shape == "onset":
            moves = [*moves[:-1], replace(last, hold_s=0.0)]
        needed = sum(move.length_s + move.hold_s for move in moves)
        if needed > length_s:
            moves = [move.scaled(length_s / needed) for move in moves]
        free_s = max(0.0, length_s - needed)
        lead_s = min(_LEAD_S, 0.1 * free_s)
        fleeting = [not move.free for move in moves]
        waits, holds = [0.0] * len(moves), [0.0] * len(moves)
        for number, move in enumerate(moves):
            final = number == len(moves) - 1
            if not move.free:
                waits[number] = 1.0
            elif move.returning and final and shape in ("pulse", "loop"):
                holds[number] = 1.0 if number and fleeting[number - 1] else _TAIL_SHARE
            else:
                holds[number] = 1.0
        share = (free_s - lead_s) / (sum(waits) + sum(holds))
        starts, now = [], lead_s
        for move, wait, hold in zip(moves, waits, holds, strict=True):
            starts.append(now + wait * share)
            now = starts[-1] + move.length_s + move.hold_s + hold * share
        return starts, moves

    def _moved(self, move: _Move, time_s: np.ndarray) -> np.ndarray:
        """(T, 55) what a move adds at times from its start."""
        moving = np.flatnonzero(move.before != move.after)
        result = np.zeros((len(time_s), UNIT_COUNT + _HEAD))
        since_s = time_s[:, None] - move.delays_s[moving]
        durations_s = move.durations_s[moving]
        run = np.clip(since_s / durations_s, 0, 1)
        if move.returning:
            progress = minimum_jerk(run**0.75)
        else:
            over = np.where(np.isin(moving, _LIDS) | (moving >= UNIT_COUNT) | (not move.free), 0.0, self._overshoot())
            rest = np.exp(-np.maximum(0.0, since_s - durations_s) / _OVERSHOOT_DECAY_S)
            progress = minimum_jerk(run) * (1 + over * rest)
        result[:, moving] = progress * (move.after[moving].astype(np.float64) - move.before[moving])
        return result

    def _drift(self, move: _Move, time_s: np.ndarray, since_s: float, until_s: float) -> np.ndarray:
        """(T, 55) how a held state wanders, 0 while it is not held; nothing where it is the photo's."""
        result = np.zeros((len(time_s), UNIT_COUNT + _HEAD))
        held = move.after[:UNIT_COUNT]
        size = _DRIFT * np.maximum(held, np.abs(held - self._start[:UNIT_COUNT]))
        size[list(_LIDS)] = 0
        window = np.clip((time_s - since_s) / _DRIFT_RAMP_S, 0, 1) * np.clip((until_s - time_s) / _DRIFT_RAMP_S, 0, 1)
        waves = {group: self._wave(time_s) for group in sorted(set(_GROUPS))}
        sides = {-1: self._wave(time_s), 0: 0.0 * time_s, 1: self._wave(time_s)}
        if (move.after == self._start).all() or not window.any():
            return result
        for index in np.flatnonzero(size):
            wave = 0.8 * waves[_GROUPS[index]] + 0.4 * sides[int(_SIDES[index])]
            wave = wave if held[index] else (1 + wave) / 2  # a unit at rest can only rise
            result[:, index] = size[index] * window * wave
        return result

    def _wave(self, time_s: np.ndarray) -> np.ndarray:
        """(T,) a slow wander between about -1 and 1."""
        rates, phases = self._source.uniform(*_DRIFT_HZ, 3), self._source.uniform(0, 2 * np.pi, 3)
        return np.sin(2 * np.pi * rates * time_s[:, None] + phases).mean(axis=1) * 1.5

    def _stretch(self) -> float:
        return float(np.exp(_TIME_SPREAD * self._variation * np.clip(self._source.standard_normal(), -2, 2)))

    def _overshoot(self) -> float:
        return _OVERSHOOT * (1 + 0.5 * self._variation * float(self._source.uniform(-1, 1)))

    def _delays_s(self, by_group: Mapping[str, float]) -> np.ndarray:
        delays = np.array([by_group.get(group, 0.0) for group in _GROUPS]) + self._side_lag_s
        return np.concatenate([delays, np.full(_HEAD, _HEAD_DELAY_S)])


def _on_top(units: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Units (52,) shown by a face that goes on to show what it did before; lids that close are no longer wide."""
    result = np.maximum(units, before)
    for lid in _LIDS:
        wide = UNIT_INDEX[UNITS[lid].name.replace("Blink", "Wide")]
        result[wide] *= 1 - min(1.0, float(units[lid]))
    return result


def minimum_jerk(run: np.ndarray) -> np.ndarray:
    """Progress of a minimum-jerk movement at the share ``run`` of its time (Flash & Hogan 1985)."""
    return run**3 * (10 + run * (6 * run - 15))


def _timing_of(blend: Blend, recipes: Recipes) -> Timing:
    """Of several expressions at once: their mean by weight; what one of them can hold, they hold."""
    shares = [
        (weight, recipes.split(name)[0].timing if recipes.find(name) == name else _UNIT_TIMING)
        for name, weight in blend.items()
    ]
    total = sum(weight for weight, _ in shares)
    if not total or PHOTO in blend:
        return _UNIT_TIMING
    holds = [timing.hold_s for _, timing in shares if timing.hold_s is not None]
    return Timing(
        onset_s=sum(weight * timing.onset_s for weight, timing in shares) / total,
        hold_s=max(holds) if len(holds) == len(shares) else None,
        offset_s=sum(weight * timing.offset_s for weight, timing in shares) / total,
    )


def _delays_of(blend: Blend, recipes: Recipes) -> dict[str, float]:
    """Of several expressions at once: for every group the mean of those that say one, the first of all at 0."""
    said: dict[str, list[float]] = {}
    for name in blend:
        if recipes.find(name) == name:
            for group, delay in recipes.split(name)[0].delays_s.items():
                said.setdefault(group, []).append(delay)
    delays = {group: sum(those) / len(those) for group, those in said.items()}
    first = min(itertools.chain(delays.values(), [1.0] if delays else [0.0]))
    return {group: delay - first for group, delay in delays.items()}
