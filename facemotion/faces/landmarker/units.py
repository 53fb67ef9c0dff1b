"""The names of the 52 ARKit blendshape units and their order."""

from __future__ import annotations

# fmt: off
UNIT_NAMES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)
"""ARKit's units in the order of Live Link Face's columns; left and right are the person's."""
# fmt: on

NETWORK_NAMES = ("_neutral", *sorted(set(UNIT_NAMES) - {"tongueOut"}))
"""The order of the blendshape network's scores: by name, and "_neutral", which is no unit, in the first place."""

UNIT_OF_SCORE = tuple(NETWORK_NAMES.index(name) for name in UNIT_NAMES if name != "tongueOut")
"""For every unit but the last (tongueOut, which the network does not know) the place of its score."""
