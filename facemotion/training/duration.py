"""Durations as people write them."""

import re

from facemotion.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_PART = re.compile(_NUMBER + r"\s*([smh])\s*", re.ASCII)
_LONGEST_S = 1e9
"""Some thirty years."""


def parse_duration(text: str) -> float:
    """``90s``, ``25m``, ``1.5h`` or ``1h30m`` in seconds; a bare number counts seconds. Raises ``UsageError``."""
    asked = text.lower().strip()
    if re.fullmatch(_NUMBER, asked, re.ASCII):
        asked += "s"
    parts, end = [], 0
    while part := _PART.match(asked, end):
        parts.append(float(part[1]) * _SECONDS[part[2]])
        end = part.end()
    seconds = sum(parts)
    if not parts or end < len(asked) or not seconds <= _LONGEST_S:
        raise UsageError(f"cannot read the duration {text[:40]!r}", "Write it as 90s, 25m, 2h or 1h30m.")
    if not seconds:
        raise UsageError(f"a duration of {text[:40]!r} leaves no time", "Write one above zero: 90s, 25m, 2h or 1h30m.")
    return seconds
