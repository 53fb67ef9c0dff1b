"""From the order of the blendshape network's scores to that of the expression units."""

from __future__ import annotations

from facemotion.expressions.units import UNIT_NAMES

NETWORK_NAMES = ("_neutral", *sorted(set(UNIT_NAMES) - {"tongueOut"}))
"""The order of the blendshape network's scores: by name, and "_neutral", which is no unit, in the first place."""

UNIT_OF_SCORE = tuple(NETWORK_NAMES.index(name) for name in UNIT_NAMES if name != "tongueOut")
"""For every unit but the last (tongueOut, of which the face mesh tells) the place of its score."""
