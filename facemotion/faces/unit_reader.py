"""Expression units as changes of one face: read off how its landmarks and scores differ from its own rest.

A small network that has seen rendered faces of many people, whose units are known (`facemotion.training.unit_reader`).
The scores of the landmarker's blendshape network say how much a face shows, but are blind to many units and different
for every face at rest; this reading needs to know a face at rest, and is blind to few.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemotion.errors import WeightsError
from facemotion.expressions.units import MIRROR, UNIT_COUNT, UNIT_INDEX, UNIT_NAMES
from facemotion.faces.landmarker.calibration import shipped_calibration
from facemotion.faces.landmarker.head_pose import CanonicalFace, canonical_face, upright
from facemotion.media.records import MalformedError, malformed
from facemotion.weights.registry import known_sha256, read_verified, weight_path

if TYPE_CHECKING:
    from facemotion.faces.types import Face

FORMAT, FORMAT_VERSION = "facemotion-unit-reader", 1
LANDMARKS = 478
SCORES = UNIT_COUNT - 1
"""What the network is told of the scores: all but the tongue, which is in no picture that it learnt from."""
LEAST_FRAMES = 10
"""Frames that a face must be seen in before its rest can be told from what it does."""
_CALMEST = 0.25  # share of the frames, those that show least, whose median is the rest
_SURELY = 0.2  # by how much a face at rest must exceed what neutral faces read until all of that counts as shown
_KEPT = ("mouthSmile", "mouthUpperUp", "mouthLowerDown", "jawOpen", "eyeBlink")
"""Units that the scores tell of a face at rest: those which they see, and which few neutral faces seem to show."""
_CHUNK = 4096  # rows that go through the network at once
_TONGUE = UNIT_INDEX["tongueOut"]
_KEEPS = np.array([name.startswith(_KEPT) for name in UNIT_NAMES])
_STIR = np.array([float(name.startswith((*_KEPT, "mouthLeft", "mouthRight"))) for name in UNIT_NAMES])
_STIR[UNIT_INDEX["jawOpen"]] = 3
"""How much each unit that the scores see stirs a face. The jaw moves most; where it drops, they see less of a smile."""
_IRIS_MIRROR = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)
"""For every point of the irises, 468 to 477, the one on the other side: centre, then outwards, up, inwards, down."""


def mirrored_places(canonical: CanonicalFace) -> np.ndarray:
    """(478,) for every landmark the one on the other side of the face."""
    return np.concatenate([canonical.mirror, _IRIS_MIRROR])


def face_shape(points: np.ndarray, canonical: CanonicalFace) -> np.ndarray:
    """(956,) cm x and y of landmarks (478, 3) px of a face as if it looked into the camera."""
    return upright(points, canonical)[:, :2].ravel()


@dataclass(frozen=True, eq=False)
class UnitReader:
    """The network. What a frame shows of a face is a row of ``shape_count + 52`` numbers, its `row`.

    basis: (956, shape_count) float32 directions in which landmarks move, in the order of `face_shape`.
    middle: (956,) float32 cm what is subtracted first.
    scale: (shape_count + 51,) float32 by which changes are divided.
    layers: weights (out, in) and biases (out,) float32.
    at_rest: (52,) float32 calibrated units up to which neutral faces read.
    """

    basis: np.ndarray
    middle: np.ndarray
    scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    at_rest: np.ndarray

    @classmethod
    def read(cls, content: bytes) -> UnitReader:
        """The network of a weight file; raises MalformedError for a file that is none."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        with malformed(SafetensorError):
            arrays = {name: array.astype(np.float32) for name, array in load(content).items()}
            length = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + length])["__metadata__"]
            if (header["format"], header["version"]) != (FORMAT, str(FORMAT_VERSION)):
                raise MalformedError("not a reader of units of this version")
            count = sum(name.startswith("weight") for name in arrays)
            layers = tuple((arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in range(count))
            reader = cls(arrays["basis"], arrays["middle"], arrays["scale"], layers, arrays["at_rest"])
            widths = [reader.shape_count + SCORES, *(len(bias) for _, bias in layers)]
            expected = [(2 * LANDMARKS, reader.shape_count), (2 * LANDMARKS,), (widths[0],), (UNIT_COUNT,)]
            found = [each.shape for each in (reader.basis, reader.middle, reader.scale, reader.at_rest)]
            matrices = [(out, into) for into, out in pairwise(widths)]
            if found != expected or [weight.shape for weight, _ in layers] != matrices or widths[-1] != UNIT_COUNT:
                raise MalformedError("arrays of other shapes")
        return reader

    @property
    def shape_count(self) -> int:
        """In how many numbers a row says where the landmarks are."""
        return int(self.basis.shape[1])

    def row(self, face: Face) -> np.ndarray:
        """(shape_count + 52,) float32 what a frame shows of a face that the landmarker has measured."""
        shape = face_shape(face.require_points(), canonical_face()) - self.middle
        return np.concatenate([shape.astype(np.float32) @ self.basis, face.require_scores()])

    def changes(self, rows: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """(T, 52) float32 by how much the units of rows (T, n) exceed those of ``rest`` (n,); the tongue stays 0.

        The face and its mirror image are read alike.
        """
        return _in_chunks(rows, lambda part: self._changes(part - rest))

    def rest(self, rows: np.ndarray) -> np.ndarray:
        """(n,) float32 the median of the calmest of a face's rows (T, n), as far as the scores see what is calm."""
        order = np.argsort(self._calibrated(rows) @ _STIR, kind="stable")
        calmest = rows[order[: max(1, round(_CALMEST * len(rows)))]]
        return np.median(calmest.astype(np.float32), axis=0)

    def units(self, rows: np.ndarray) -> np.ndarray:
        """(T, 52) float32 units in [0, 1] of one face in the rows (T, n) of a scene.

        What it does is read against its rest; what it shows at rest is told by the calibrated scores, beyond what
        they read of neutral faces. Of less than `LEAST_FRAMES` frames the calibrated scores are all that is known.
        """
        calibrated = self._calibrated(rows)
        if len(rows) < LEAST_FRAMES:
            return calibrated
        rest = self.rest(rows)
        units = np.clip(self.changes(rows, rest) + self.kept(rest), 0, 1)
        units[:, _TONGUE] = calibrated[:, _TONGUE]
        return units

    def kept(self, rest: np.ndarray) -> np.ndarray:
        """(52,) float32 what a face shows in its row at ``rest`` (n,): nothing where neutral faces may read as much."""
        shown = shipped_calibration().strengths(rest[self.shape_count :])
        share = np.clip((shown - self.at_rest) / _SURELY, 0, 1)
        return (_KEEPS * shown * share * share * (3 - 2 * share)).astype(np.float32)

    def _calibrated(self, rows: np.ndarray) -> np.ndarray:
        """(T, 52) the calibrated scores in rows (T, n)."""
        return _in_chunks(rows, lambda part: shipped_calibration().strengths(part[:, self.shape_count :]))

    def _changes(self, change: np.ndarray) -> np.ndarray:
        inputs = np.delete(change, self.shape_count + _TONGUE, axis=1)
        shape, scores = inputs[:, : self.shape_count], inputs[:, self.shape_count :]
        other = np.hstack([shape @ self._mirror, scores[:, list(_SCORE_MIRROR)]])
        units = (self._network(inputs) + self._network(other)[:, list(MIRROR)]) / 2
        units[:, _TONGUE] = 0
        return units

    @cached_property
    def _mirror(self) -> np.ndarray:
        """(shape_count, shape_count) float32 from the numbers of a shape to those of its mirror image."""
        points = self.basis.reshape(LANDMARKS, 2, -1)[mirrored_places(canonical_face())]
        return (points * np.array([[-1], [1]], np.float32)).reshape(2 * LANDMARKS, -1).T @ self.basis

    @cached_property
    def _nothing(self) -> np.ndarray:
        """(1, 52) what the network says where nothing changes."""
        return self._forward(np.zeros((1, len(self.scale)), np.float32))

    def _network(self, inputs: np.ndarray) -> np.ndarray:
        return self._forward(inputs.astype(np.float32) / self.scale) - self._nothing

    def _forward(self, values: np.ndarray) -> np.ndarray:
        for weight, bias in self.layers[:-1]:
            values = values @ weight.T + bias
            values = values / (1 + np.exp(-np.clip(values, -60, None)))  # SiLU
        weight, bias = self.layers[-1]
        return values @ weight.T + bias


_SCORE_MIRROR = tuple(place for place in MIRROR if place != _TONGUE)


def _in_chunks(rows: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(T, 52) float32 what is read of rows (T, n), some at a time, as an hour of video has many."""
    parts = [read(rows[at : at + _CHUNK].astype(np.float32)) for at in range(0, len(rows), _CHUNK)]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, UNIT_COUNT), np.float32)


@cache
def unit_reader() -> UnitReader:
    """The reader of the package. Raises WeightsError where its file is missing or damaged."""
    path = weight_path("unit_reader")
    return read_unit_reader(path)


def read_unit_reader(path: Path) -> UnitReader:
    """The reader in a file; raises WeightsError for a file that is none."""
    content = read_verified(path, known_sha256("unit_reader", path))
    try:
        return UnitReader.read(content)
    except MalformedError as error:
        raise WeightsError(f"{path} holds no reader of units ({error}).", "Install facemotion again.") from error
