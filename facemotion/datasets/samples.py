"""Training samples: a photo, what the renderer makes of it at a control, and the target frame.

A folder of shards, each one safetensors file of some samples stacked along the first axis, so that a sample is read
from the mapped file without the others. Its header holds, under ``facemotion``, one JSON text::

    {"format": "facemotion-unit-samples", "version": 2, "size_px": 448, "people": [...], "kinds": [...]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from facemotion.errors import InputError
from facemotion.media.records import MalformedError, checked, malformed, parse_object

FORMAT, VERSION = "facemotion-unit-samples", 2
SIZE_PX = 448
"""Side of the crop of a sample."""
MOTION_PX = 160
"""Side of its maps of flow and light."""
COORDINATES_PX = 128
"""Side of its map of the head's coordinates."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One source photo with one target; all maps cover the crop edge to edge."""

    person: str
    """Whom it shows: splits go by person."""
    kind: str
    """``pair``: the target is another photograph of the person; ``back``: the source was rendered, the target is a
    photograph; ``still``: the target is the rendered frame, since no photograph shows such units."""
    source: np.ndarray
    """(n, n, 3) uint8 RGB."""
    target: np.ndarray
    """(n, n, 3) uint8 RGB."""
    mask: np.ndarray
    """(n, n) uint8: 255 where the target is known."""
    layers: np.ndarray
    """(n, n, 4) uint8 RGBA that the renderer draws over the moved skin; straight alpha."""
    flow: np.ndarray
    """(m, m, 2) float16 backward displacement of the renderer, crop widths."""
    log_gain: np.ndarray
    """(m, m) float16 log-gain of the renderer."""
    coordinates: np.ndarray
    """(k, k, 3) float16 the place on the neutral head of what each pixel of the source shows, see
    `facemotion.models.head_coordinates.head_coordinates`."""
    control: np.ndarray
    """(52,) float32 target units minus own units."""
    own: np.ndarray
    """(52,) float32 the source's own units."""
    source_landmarks: np.ndarray
    """(468, 2) float32 of the source, crop widths."""
    rendered_landmarks: np.ndarray
    """(468, 2) float32 where the renderer moves them."""
    target_landmarks: np.ndarray
    """(468, 2) float32 of the target."""


IMAGES = ("source", "target", "mask", "layers")
MAPS = ("flow", "log_gain", "coordinates")
POINTS = ("source_landmarks", "rendered_landmarks", "target_landmarks")
ARRAYS = tuple(f.name for f in fields(Sample) if f.name not in ("person", "kind"))


def write_shard(path: Path, samples: Sequence[Sample]) -> None:
    """Samples of one size to one file, which appears under its name only when whole."""
    from safetensors.numpy import save_file

    header = {
        "format": FORMAT,
        "version": VERSION,
        "size_px": samples[0].source.shape[0],
        "people": [sample.person for sample in samples],
        "kinds": [sample.kind for sample in samples],
    }
    arrays = {name: np.ascontiguousarray(np.stack([getattr(s, name) for s in samples])) for name in ARRAYS}
    part = path.with_name(path.name + ".part")
    save_file(arrays, part, metadata={"facemotion": json.dumps(header)})
    part.replace(path)


class SampleFolder:
    """The samples in the shards of folders, in the order of their names."""

    def __init__(self, *folders: Path):
        """Raises InputError for a folder without shards, and for a file that is none."""
        self._files: list[dict[str, Any]] = []
        self._where: list[tuple[int, int]] = []
        self.people: list[str] = []
        self.kinds: list[str] = []
        for path in (path for folder in folders for path in self._shards(folder)):
            try:
                people, kinds, parts = _opened(path)
            except (OSError, MalformedError) as error:
                raise InputError(f"{path} is damaged ({error})", "Make it again with `facemotion prepare`.") from error
            self._where += [(len(self._files), row) for row in range(len(people))]
            self._files.append(parts)
            self.people += people
            self.kinds += kinds

    @staticmethod
    def _shards(folder: Path) -> list[Path]:
        found = sorted(folder.glob("*.safetensors"))
        if not found:
            raise InputError(f"no samples in {folder}", "Make some with `facemotion prepare`.")
        return found

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, index: int) -> Sample:
        number, row = self._where[index]
        arrays = {name: part[row : row + 1][0] for name, part in self._files[number].items()}
        return Sample(self.people[index], self.kinds[index], **arrays)


def _opened(path: Path) -> tuple[list[str], list[str], dict[str, Any]]:
    """People and kinds of a shard's samples, and its arrays as they lie in the file.

    Raises MalformedError for a damaged file, InputError for one of another format.
    """
    from safetensors import SafetensorError, safe_open

    with malformed(SafetensorError):
        file = safe_open(path, "np")
        header = parse_object((file.metadata() or {}).get("facemotion", "{}"))
        if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
            raise InputError(f"{path} holds no samples of version {VERSION}", "Give a folder of samples alone.")
        people = checked(header.get("people"), list[str], "people")
        kinds = checked(header.get("kinds"), list[str], "kinds")
        parts = {name: file.get_slice(name) for name in ARRAYS}
        shapes = {name: tuple(part.get_shape()) for name, part in parts.items()}
        n, m, k = (shapes[name][1] for name in ("source", "flow", "coordinates"))
        images = {"source": (n, n, 3), "target": (n, n, 3), "mask": (n, n), "layers": (n, n, 4)}
        maps = {"flow": (m, m, 2), "log_gain": (m, m), "coordinates": (k, k, 3)}
        rows = {"control": (52,), "own": (52,)} | dict.fromkeys(POINTS, (468, 2))
        if len(kinds) != len(people) or not people:
            raise MalformedError("as many kinds as people expected")
        for kind, expected in (("U8", images), ("F16", maps), ("F32", rows)):
            for name, shape in expected.items():
                if shapes[name] != (len(people), *shape) or parts[name].get_dtype() != kind:
                    raise MalformedError(f"{name} has not the shape of {len(people)} samples")
    return people, kinds, parts
