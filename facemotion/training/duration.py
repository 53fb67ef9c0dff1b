"""Durations as people write them."""

import math
import re

from facemotion.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """``90s``, ``25m``, ``1.5h`` or ``1h30m`` in seconds; a bare number counts seconds. Raises ``UsageError``."""
    parts = re.findall(r"([\d.]+)\s*([smh]?)", text.lower())
    if not parts or re.sub(r"[\d.\s]+[smh]?", "", text.lower()):
        raise UsageError(f"cannot read the duration {text!r}", "Write it as 90s, 25m, 2h or 1h30m.")
    try:
        seconds = sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)
    except ValueError as error:
        raise UsageError(f"cannot read the duration {text!r}", "Write it as 90s, 25m, 2h or 1h30m.") from error
    if not 0 < seconds < math.inf:
        raise UsageError(f"a duration of {text!r} leaves no time", "Write one above zero: 90s, 25m, 2h or 1h30m.")
    return seconds
