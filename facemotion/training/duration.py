"""Durations as people write them."""

import re

from facemotion.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"\s*(?:\d+(?:\.\d*)?|\.\d+)\s*[smh]?", re.ASCII)
_LONGEST_S = 1e9
"""Some thirty years."""


def parse_duration(text: str) -> float:
    """``90s``, ``25m``, ``1.5h`` or ``1h30m`` in seconds; a bare number counts seconds. Raises ``UsageError``."""
    asked = text.lower().strip()
    parts, end = [], 0
    while part := _DURATION.match(asked, end):
        parts.append(part[0].strip())
        end = part.end()
    seconds = sum(float(part.rstrip("smh")) * _SECONDS.get(part[-1], 1) for part in parts)
    if not parts or end < len(asked) or not seconds <= _LONGEST_S:
        raise UsageError(f"cannot read the duration {text[:40]!r}", "Write it as 90s, 25m, 2h or 1h30m.")
    return seconds
