"""Make the head in the package from the full ICT-FaceKit: ``python -m facemotion.head.build KIT LANDMARKS OUT``.

KIT is ``ict_facekit.npz`` or the author's folder, LANDMARKS an npz of ``landmark_vertices`` (468,),
``landmark_offsets`` (468, 2) cm and ``smile_motion`` (468, 2) cm (`facemotion.datasets.smile_motion`). Units are put
together from the kit's shapes, identities cut to the strongest, and all stored in steps of 1/127 of the largest
displacement of each shape.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from facemotion.head.kit import HeadKit
from facemotion.head.model import FACE_VERTICES, Head
from facemotion.head.rig import LOWER_LIP, UPPER_LIP, landmark_spread, lip_falloff

ARKIT = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose",
    "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
_IDENTITIES = 60
_LAST_VERTEX = 11248
"""Face, head and neck; eyes, teeth and sockets are drawn from the photo and the donors."""
_REACH = {
    "browDown": 1.7, "browInnerUp": 1.3, "mouthFrown": 1.3, "eyeSquint": 1.8, "mouthStretch": 1.4, "mouthPress": 1.5,
    "mouthLowerDown": 1.3, "eyeWide": 0.65,
}  # fmt: skip
"""How much further than the kit's shapes people's faces go: measured by what MediaPipe reads of rendered units."""
_SMILE_REACH_CM = np.array([7.0, 5.5, 7.0])
"""How far from the mouth photographed smiles correct the kit's; fading from half of it on."""
_SIDES_MEET_CM = 0.5
"""How sharply a smile of one side ends at the midline."""
_DRAWN_TOGETHER = 0.7
"""How much of the corrugator's pull towards the middle belongs to browDown (FACS 4), which the kit's shape lacks."""

_LIPS_STAY_CLOSED = ("mouthRollUpper", "mouthShrugUpper")
"""Units that move the kit's upper lip away from the lower one; people's lower lip goes along."""


def unit_deltas(kit: HeadKit) -> np.ndarray:
    """(52, V, 3) displacements of the ARKit units from the kit's shapes."""
    result = np.zeros((len(ARKIT), *kit.vertices.shape), np.float32)
    for i, name in enumerate(ARKIT):
        reach = next((factor for stem, factor in _REACH.items() if name.startswith(stem)), 1.0)
        for part, weight in _shapes(name, kit):
            result[i] += reach * weight * kit.unit_deltas[kit.unit_index[part]]
    return result


def _shapes(name: str, kit: HeadKit) -> list[tuple[str, float]]:
    stem, side = name, ""
    for word in ("Left", "Right"):
        if name.endswith(word) and f"{name.removesuffix(word)}_{word[0]}" in kit.unit_index:
            stem, side = name.removesuffix(word), f"_{word[0]}"
    if stem + side in kit.unit_index:
        shapes = [(stem + side, 1.0)]
    else:
        shapes = [(f"{name}_{letter}", 1.0) for letter in "LR" if f"{name}_{letter}" in kit.unit_index]
    if stem == "browDown":
        shapes.append((f"browTogether{side}", _DRAWN_TOGETHER))
    return shapes


def smile_deltas(head: Head, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) what photographed smiles add to the kit's, left and right; motion: (468, 2) cm of both sides together."""
    nearest, weight = landmark_spread(head)
    deltas = np.zeros_like(head.vertices)
    deltas[:, :2] = (motion[nearest] * weight[..., None]).sum(1)
    mouth = head.vertices[head.landmark_vertices[[61, 291]]].mean(0)
    away = np.linalg.norm((head.vertices - mouth) / _SMILE_REACH_CM, axis=1)
    deltas *= np.clip(2 * (1 - away), 0, 1)[:, None]
    left = 1 / (1 + np.exp(-head.vertices[:, :1] / _SIDES_MEET_CM))
    return deltas * left, deltas * (1 - left)


def lower_lip_following(head: Head, deltas: np.ndarray) -> np.ndarray:
    """(V, 3) the deltas of a unit with a lower lip that stays at the upper one, where the lips touch at rest."""
    near, _, lower = lip_falloff(head)
    raised = deltas[head.landmark_vertices, 1]
    parted = np.maximum(raised[list(UPPER_LIP)] - raised[list(LOWER_LIP)], 0)
    following = deltas.copy()
    following[near, 1] += lower @ parted
    return following


def build(kit: HeadKit, landmarks: dict[str, np.ndarray], out: Path) -> None:
    """Write the asset."""
    from safetensors.numpy import save_file

    triangles = kit.triangles[(kit.triangles < _LAST_VERTEX).all(1)]
    units, identities = unit_deltas(kit)[:, :_LAST_VERTEX], kit.identity_deltas[:_IDENTITIES, :_LAST_VERTEX]
    vertices = kit.vertices[:_LAST_VERTEX].astype(np.float32)
    at, offsets = landmarks["landmark_vertices"], landmarks["landmark_offsets"].astype(np.float32)
    upper, lower = kit.teeth_edges
    upper_teeth, lower_teeth = (kit.vertices[edge].astype(np.float32) for edge in (upper, lower))
    jaw = unit_deltas(kit)[:, lower].mean(1).astype(np.float32)
    head = Head(vertices, triangles, ARKIT, units, identities, at, offsets, upper_teeth, lower_teeth, jaw)
    for side, deltas in zip(("Left", "Right"), smile_deltas(head, landmarks["smile_motion"]), strict=True):
        units[head.unit_index[f"mouthSmile{side}"]] += deltas
    for name in _LIPS_STAY_CLOSED:
        units[head.unit_index[name]] = lower_lip_following(head, units[head.unit_index[name]])
    arrays: dict[str, np.ndarray] = {
        "vertices": vertices,
        "triangles": triangles.astype(np.uint16),
        "landmark_vertices": at.astype(np.uint16),
        "landmark_offsets": offsets,
        "upper_teeth": upper_teeth,
        "lower_teeth": lower_teeth,
        "jaw_deltas": jaw,
    }
    for name, deltas in (("units", units), ("identities", identities)):
        scale = np.maximum(np.abs(deltas).max((1, 2)), 1e-6) / 127
        arrays[name] = np.round(deltas / scale[:, None, None]).astype(np.int8)
        arrays[f"{name}_scale"] = scale.astype(np.float32)
    assert triangles.max() < 65536 and FACE_VERTICES < _LAST_VERTEX
    save_file(arrays, out, metadata={"units": json.dumps(ARKIT), "licence": "MIT, (c) 2020 USC ICT"})


if __name__ == "__main__":
    kit_path, landmarks_path, out_path = sys.argv[1:4]
    build(HeadKit.load(kit_path), dict(np.load(landmarks_path)), Path(out_path))
