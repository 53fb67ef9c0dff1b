"""The whole ICT-FaceKit, from its authors' folder or packed into one npz: what the head in the package is made of.

Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020; ICT-FaceKit, MIT licence.
Units are centimetres, x to the person's left, y up, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from facemotion.errors import InputError
from facemotion.media.records import (
    Arrays,
    MalformedError,
    checked,
    malformed,
    numbers,
    parse_object,
)

VERTEX_RANGES = {
    "face": (0, 9409),
    "head": (9409, 11248),
    "socket": (11248, 13294),
    "eye_socket": (13294, 14062),
    "gums": (14062, 17039),
    "upper_teeth": (17039, 19247),
    "lower_teeth": (19247, 21451),
    "eyes": (21451, 24591),
}
"""First and past-the-last vertex of each part that is drawn; lashes and fluid beyond are not."""
_FEWEST_VERTICES = max(stop for _, stop in VERTEX_RANGES.values())


@dataclass(frozen=True)
class HeadKit:
    """A morphable head: neutral mesh, expression units, identity shapes."""

    vertices: np.ndarray
    """(V, 3) float32, the mean neutral head."""
    triangles: np.ndarray
    """(F, 3) int32."""
    unit_names: tuple[str, ...]
    """Names of the expression units, ARKit style with ``_L``/``_R``."""
    unit_deltas: np.ndarray
    """(U, V, 3) float32, what each unit adds to the vertices at strength 1."""
    identity_deltas: np.ndarray
    """(I, V, 3) float32, per standard deviation."""
    landmark_vertices: np.ndarray
    """(68,) vertex of each iBUG-68 landmark."""
    unit_index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit_index", {name: i for i, name in enumerate(self.unit_names)})

    @classmethod
    def load(cls, path: str | Path) -> HeadKit:
        """Read ``ict_facekit.npz`` or the author's ``FaceXModel`` folder (or a folder that holds it).

        Raises ``InputError`` when the path holds neither.
        """
        path = Path(path)
        if path.is_file() and path.suffix == ".npz":
            return _completed(_read_npz(path), path)
        for folder in (path, path / "FaceXModel"):
            if (folder / "generic_neutral_mesh.obj").is_file():
                return _completed(_read_author_folder(folder), path)
        raise InputError(
            f"No head model at {path}",
            "Give ict_facekit.npz or the FaceXModel folder of https://github.com/USC-ICT/ICT-FaceKit.",
        )

    @cached_property
    def teeth_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices along the biting edges of the upper and the lower front teeth, from right to left."""
        edges = []
        for part, sign in (("upper_teeth", 1), ("lower_teeth", -1)):
            start, stop = VERTEX_RANGES[part]
            x, y, z = self.vertices[start:stop].T
            front = np.flatnonzero((np.abs(x) < 1.8) & (z > 8.3))
            bins = np.round(x[front] / 0.25).astype(int)
            best = [front[bins == b][np.argmin(sign * y[front[bins == b]])] for b in np.unique(bins)]
            edges.append(np.array(best) + start)
        return edges[0], edges[1]


def _completed(model: HeadKit, path: Path) -> HeadKit:
    if len(model.vertices) < _FEWEST_VERTICES:
        raise InputError(
            f"{path} has {len(model.vertices)} vertices, at least {_FEWEST_VERTICES} expected",
            "Give the whole ICT-FaceKit.",
        )
    return _with_own_units(model)


def _with_own_units(model: HeadKit) -> HeadKit:
    """Add ``browTogether_L/_R``: the corrugator draws the inner brow towards the middle (part of AU4)."""
    deltas = []
    for sign, landmark in ((1, 22), (-1, 21)):
        centre = model.vertices[model.landmark_vertices[landmark]]
        away = (model.vertices - centre) / [1.7, 1.3, 2.0]
        delta = np.zeros_like(model.vertices)
        strength = np.exp(-0.5 * (away**2).sum(1)) * np.tanh(np.clip(sign * model.vertices[:, 0], 0, None) / 0.5)
        strength[VERTEX_RANGES["head"][0] :] = 0
        delta[:, 0] = -sign * 0.45 * strength
        deltas.append(delta)
    return HeadKit(
        model.vertices,
        model.triangles,
        (*model.unit_names, "browTogether_L", "browTogether_R"),
        np.concatenate([model.unit_deltas, np.stack(deltas)]).astype(np.float32),
        model.identity_deltas,
        model.landmark_vertices,
    )


def _read_npz(path: Path) -> HeadKit:
    try:
        with Arrays(path) as kit, malformed():
            return _checked_model(
                kit["vertices"],
                kit["triangles"],
                tuple(str(name) for name in kit["expression_names"]),
                kit["expression_deltas"],
                kit["identity_deltas"],
                kit["landmark68_vertices"],
            )
    except (OSError, MalformedError) as error:
        raise InputError(
            f"{path} is no packed ICT-FaceKit: {error}", "Give the npz that holds the whole kit."
        ) from error


def _read_author_folder(folder: Path) -> HeadKit:
    indices_file = next((f for f in (folder, folder.parent) if (f / "vertex_indices.json").is_file()), folder)
    indices_file /= "vertex_indices.json"
    if not indices_file.is_file():
        raise InputError(f"No vertex_indices.json in {folder}", "Give the FaceXModel folder as its authors ship it.")
    try:
        indices = parse_object(indices_file.read_bytes())
        with malformed():
            vertices, triangles = _read_obj(folder / "generic_neutral_mesh.obj")
            units = checked(indices["expressions"], tuple[str, ...], "expressions")
            if any(Path(unit).name != unit for unit in units):
                raise MalformedError("expressions: plain names of files expected")
            identities = sorted(folder.glob("identity*.obj"))
            return _checked_model(
                vertices,
                triangles,
                units,
                np.stack([_read_obj(folder / f"{unit}.obj")[0] - vertices for unit in units]),
                np.stack([_read_obj(file)[0] - vertices for file in identities]),
                np.asarray(checked(indices["idx_to_landmark_verts"], list[int], "idx_to_landmark_verts"), np.int64),
            )
    except (OSError, MalformedError) as error:
        raise InputError(
            f"{folder} is no whole ICT-FaceKit: {error}", "Download its FaceXModel folder again."
        ) from error


def _checked_model(
    vertices: np.ndarray,
    triangles: np.ndarray,
    unit_names: tuple[str, ...],
    unit_deltas: np.ndarray,
    identity_deltas: np.ndarray,
    landmark_vertices: np.ndarray,
) -> HeadKit:
    """The model of these arrays; raises MalformedError where they do not fit each other."""
    count = len(numbers(vertices, (None, 3), "vertices"))
    for name, indices, shape in (
        ("triangles", triangles, (None, 3)),
        ("landmark vertices", landmark_vertices, (68,)),
    ):
        numbers(indices, shape, name)
        if indices.dtype.kind not in "iu" or not len(indices) or indices.min() < 0 or indices.max() >= count:
            raise MalformedError(f"{name}: numbers of vertices expected, of which there are {count}")
    if len(set(unit_names)) != len(unit_names):
        raise MalformedError("an expression unit has the name of another")
    return HeadKit(
        vertices.astype(np.float32),
        triangles.astype(np.int32),
        unit_names,
        numbers(unit_deltas, (len(unit_names), count, 3), "expression deltas").astype(np.float32),
        numbers(identity_deltas, (None, count, 3), "identity deltas").astype(np.float32),
        landmark_vertices.astype(np.int64),
    )


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and triangles (F, 3) int32; polygons are cut into fans."""
    vertices, triangles = [], []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("v "):
                vertices.append([float(word) for word in line.split()[1:4]])
            elif line.startswith("f "):
                corners = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
                triangles += [[corners[0], b, c] for b, c in pairwise(corners[1:])]
    return np.asarray(vertices, np.float32), np.asarray(triangles, np.int32)
