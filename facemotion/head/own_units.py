"""The units that a photo shows itself, from which every expression starts."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np

from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES

_TRUST = {"mouthSmile": 0.9, "mouthUpperUp": 0.8, "jawOpen": 0.8}
_USUAL_TRUST = 0.5
"""Strength of a unit on the head at a score of 1 of MediaPipe's blendshape network, by the unit's stem: what fits of
photographs and scores agree on."""
_SHUT = 0.5
"""Lids that are closed further than this stay so: what is behind them the photo does not show."""


@cache
def _at_rest() -> np.ndarray:
    """(52,) what a fit finds of each unit on faces at rest."""
    content = json.loads((files("facemotion") / "assets" / "own_units.json").read_text("utf-8"))
    return np.array([content["at_rest"].get(name, 0.0) for name in UNIT_NAMES], np.float32)


def prior_of(scores: np.ndarray) -> np.ndarray:
    """(52,) strengths on the head that network scores (52,) stand for, for `fit.fit_head` to lean towards."""
    trust = [next((t for stem, t in _TRUST.items() if name.startswith(stem)), _USUAL_TRUST) for name in UNIT_NAMES]
    return np.asarray(scores, np.float64) * trust


def own_units(fitted: np.ndarray) -> np.ndarray:
    """(52,) float32 units that a photo shows, from those of its fit (52,): beyond what faces at rest show.

    The gaze counts as 0 wherever it points: expressions turn the eyes from there. So do lids that are shut.
    """
    own = np.clip(np.asarray(fitted, np.float32) - _at_rest(), 0, 1)
    for name, index in UNIT_INDEX.items():
        if name.startswith("eyeLook") or (name.startswith("eyeBlink") and own[index] > _SHUT):
            own[index] = 0
    return own
