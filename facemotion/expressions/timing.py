"""Lengths of clips, and the shapes and curves in which an expression comes and goes. Pure Python."""

import itertools
from collections.abc import Callable

from facemotion.errors import UsageError

DEFAULT_FRAMES = 32
DEFAULT_FPS = 25.0
MIN_FPS, MAX_FPS = 1.0, 240.0
MAX_FRAMES = 100_000

CURVES: dict[str, Callable[[float], float]] = {
    "linear": lambda u: u,
    "ease": lambda u: u * u * (3 - 2 * u),
    "snap": lambda u: 1 - (1 - u) ** 3,
}
"""How the way from one key to the next is run through: time in [0, 1] to progress in [0, 1]."""

SHAPES = ("onset", "pulse", "loop")
"""``onset`` ends at the peak; ``pulse`` goes there, holds and comes back; ``loop`` repeats without a seam."""

_MOVE, _HOLD = 2.0, 1.0  # relative lengths of a move and of the hold at a pulse's peak


def frame_count(*, frames: int | None, seconds: float | None, fps: float) -> int:
    """The number of frames from either of the two ways to ask for a length."""
    if not MIN_FPS <= fps <= MAX_FPS:
        raise UsageError(
            f"{fps:g} frames per second is out of range.", f"Give --fps between {MIN_FPS:g} and {MAX_FPS:g}."
        )
    if seconds is None:
        frames = DEFAULT_FRAMES if frames is None else frames
        check_frames(frames)
        return frames
    if frames is not None:
        raise UsageError("Both frames and seconds were given.", "Give the length once: --frames or --seconds.")
    if not seconds > 0:
        raise UsageError(f"{seconds:g} seconds make no clip.", "Give a length above zero.")
    if not seconds * fps <= MAX_FRAMES:
        raise UsageError(
            f"{seconds:g} seconds are too long.", f"Give up to {MAX_FRAMES / fps:g} seconds at {fps:g} fps."
        )
    return max(1, round(seconds * fps))


def check_frames(frames: int) -> None:
    """Raises UsageError unless a clip may have so many frames."""
    if frames < 1:
        raise UsageError(f"{frames} frames make no clip.", "Ask for at least one frame.")
    if frames > MAX_FRAMES:
        raise UsageError(f"{frames} frames are too many.", f"Ask for up to {MAX_FRAMES}.")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises UsageError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise UsageError(f"{value!r} is no {name}.", f"Choose one of: {', '.join(choices)}.")


def turning_points(peaks: list[tuple[float, ...]], shape: str) -> list[tuple[float, tuple[float, ...]]]:
    """(time, control) of every turning point of a shape, from control 0 at time 0."""
    neutral = (0.0,) * len(peaks[0])
    keys = [(0.0, neutral)]
    for peak in peaks:
        keys.append((keys[-1][0] + _MOVE, peak))
        if shape == "pulse" and peak != neutral:
            keys.append((keys[-1][0] + _HOLD, peak))
    if shape in ("pulse", "loop") and keys[-1][1] != neutral:
        keys.append((keys[-1][0] + _MOVE, neutral))
    return keys


def control_between(keys: list[tuple[float, tuple[float, ...]]], time: float, curve: Callable) -> tuple[float, ...]:
    """The control at a time between turning points."""
    for (start, before), (end, after) in itertools.pairwise(keys):
        if time <= end + 1e-9:
            progress = curve(min(1.0, (time - start) / (end - start)))
            return tuple(a + progress * (b - a) for a, b in zip(before, after, strict=True))
    return keys[-1][1]
