"""The 3-D head that carries a photo's face: a trimmed ICT-FaceKit with the 52 ARKit units and MediaPipe's landmarks.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020; ICT-FaceKit, MIT licence, (c) 2020 USC
Institute for Creative Technologies. Units are centimetres, x to the person's left, y up, z towards the camera.
`facemotion.head.build` makes the asset from the full kit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np

FACE_VERTICES = 9409
"""The first vertices are the face with ears; head and neck follow."""


@dataclass(frozen=True, eq=False)
class Head:
    """A morphable head: neutral mesh, expression units, identity shapes, and where the landmarks lie on it."""

    vertices: np.ndarray
    """(V, 3) float32, the mean neutral head."""
    triangles: np.ndarray
    """(F, 3) int32."""
    unit_names: tuple[str, ...]
    """The units in ARKit's order."""
    unit_deltas: np.ndarray
    """(U, V, 3) float32, what each unit adds to the vertices at strength 1; zeros for what the head cannot show."""
    identity_deltas: np.ndarray
    """(I, V, 3) float32, per standard deviation."""
    landmark_vertices: np.ndarray
    """(468,) vertex of each Face Mesh landmark."""
    landmark_offsets: np.ndarray
    """(468, 2) cm (x, y) from these vertices to where the landmarker puts the landmarks on neutral faces."""
    upper_teeth: np.ndarray
    """(n, 3) points along the biting edge of the upper front teeth, from the person's right; fixed to the skull."""
    lower_teeth: np.ndarray
    """(n, 3) the same of the lower ones, which move with the jaw."""
    jaw_deltas: np.ndarray
    """(U, 3) how far each unit moves the lower teeth."""

    @cached_property
    def unit_index(self) -> dict[str, int]:
        """Position of each unit by name."""
        return {name: i for i, name in enumerate(self.unit_names)}

    @cached_property
    def face_triangles(self) -> np.ndarray:
        """(F', 3) triangles of the face alone."""
        return np.ascontiguousarray(self.triangles[(self.triangles < FACE_VERTICES).all(1)])

    def strengths(self, units: dict[str, float]) -> np.ndarray:
        """(U,) vector of unit strengths."""
        vector = np.zeros(len(self.unit_names), np.float32)
        for name, value in units.items():
            vector[self.unit_index[name]] = value
        return vector


@cache
def load_head() -> Head:
    """The head in the package."""
    from safetensors.numpy import load

    path = files("facemotion") / "assets" / "head.safetensors"
    content = path.read_bytes()
    arrays = load(content)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])["__metadata__"]

    def deltas(name: str) -> np.ndarray:
        return arrays[name].astype(np.float32) * arrays[f"{name}_scale"][:, None, None]

    return Head(
        arrays["vertices"],
        arrays["triangles"].astype(np.int32),
        tuple(json.loads(header["units"])),
        deltas("units"),
        deltas("identities"),
        arrays["landmark_vertices"].astype(np.int64),
        arrays["landmark_offsets"],
        arrays["upper_teeth"],
        arrays["lower_teeth"],
        arrays["jaw_deltas"],
    )
