"""Which frames an animated image shows, and each for how long."""

from fractions import Fraction
from math import floor

TICKS_PER_S = {"gif": 100, "webp": 1000, "png": 1000}
"""By format: the unit of its delays."""

BROWSER_SHORTEST_MS = 11
"""Browsers (Chromium, Firefox, WebKit) show a frame that asks for 10 ms or less for 100 ms instead."""


def schedule(frames: int, *, fps: float, ticks_per_s: int) -> dict[int, int]:
    """{index of a frame that is stored: ticks for which it is shown}, in order.

    The ticks add up to the clip's length, rounded once. Where frames would be so short that browsers slow the clip
    down, evenly spaced ones are left out; the first and the last stay.
    """
    tick = Fraction(ticks_per_s) / Fraction(fps).limit_denominator(1001)
    shortest = -(-BROWSER_SHORTEST_MS * ticks_per_s // 1000)
    total = max(_nearest(tick * frames), shortest)
    if all(_nearest(tick * (i + 1)) - _nearest(tick * i) >= shortest for i in range(frames)):
        kept = list(range(frames))
    else:
        count = max(min(frames, 2), min(frames, total // shortest))
        kept = [_nearest(Fraction(i * (frames - 1), max(1, count - 1))) for i in range(count)]
    total = max(total, len(kept) * shortest)
    step = Fraction(total, len(kept)) if len(kept) < frames else tick
    return {index: max(shortest, _nearest(step * (i + 1)) - _nearest(step * i)) for i, index in enumerate(kept)}


def _nearest(value: Fraction) -> int:
    """Halves go up, so that steps of a whole number never shrink."""
    return floor(value + Fraction(1, 2))
