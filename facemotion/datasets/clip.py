"""One clip: the frames of one person making one expression, and what is known about each frame.

The JSON form of a clip and the JPEG form of its frames are here; docs/data.md specifies both.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from facemotion.errors import InputError
from facemotion.media.records import MalformedError, checked, malformed, parse_object

ORIGINS = ("pairs", "teacher", "clips", "ckplus")
SPLITS = ("train", "validation")
JPEG_QUALITY = 92
CONTROL_DIGITS = 4
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_ID_LENGTH = 80
LARGEST_PX = 8192
"""Side of frames beyond which no clip is believed."""


def clean_id(text: str) -> str:
    """``text`` as a clip or person id: letters, digits, ``-`` and ``_`` only, anything else becomes ``_``."""
    return "".join(c if c in _ID_CHARACTERS else "_" for c in text)[:_ID_LENGTH] or "_"


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one person from the source photo (frame 0, control 0) into an expression.

    Frame ``k`` shows ``expression`` scaled by ``control[k]``: the control vector that belongs to it has
    ``expression[name] * control[k]`` at every name of ``expression`` and 0 elsewhere.
    Raises InputError where the fields do not fit together.
    """

    id: str
    """Unique in its set; letters, digits, ``-`` and ``_``, at most 80."""
    person: str
    """Whose face; splits never cut through a person."""
    source: str
    """Name of the file or files that the clip was made from."""
    licence: str
    """Licence of the source, as an SPDX identifier where there is one; empty when unknown."""
    origin: str
    """One of ORIGINS: the importer that made the clip."""
    split: str
    """One of SPLITS."""
    expression: dict[str, float]
    """Weight of each expression at control 1."""
    control: np.ndarray
    """(T,) float32, 0 for the source, 1 for the natural peak; the first is 0."""
    landmarks: np.ndarray
    """(T, 68, 2) float32, iBUG-68 points (x, y) in pixels of the crop, pixel centres at integers."""
    pose: np.ndarray
    """(T, 3) float32: yaw, pitch, roll in degrees."""
    size_px: int
    """Width and height of the square frames."""
    frames: Sequence[np.ndarray] = field(repr=False)
    """T frames, RGB uint8 (size_px, size_px, 3); decoded on access when read from a clip set."""
    teeth: np.ndarray | None = None
    """(T, 10, 2) float32, pixels of the crop: where the biting edges of the upper and of the lower teeth lie, five
    points each, picture left first, shown or hidden; None where that is not known."""

    def __post_init__(self):
        count = len(self.control)
        expected = {"control": (count,), "landmarks": (count, 68, 2), "pose": (count, 3)}
        if self.teeth is not None:
            expected["teeth"] = (count, 10, 2)
        for name in expected:
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
        for name, shape in expected.items():
            value = getattr(self, name)
            if value.shape != shape or not np.isfinite(value).all():
                raise InputError(f"clip {self.id}: {name} must be {shape} finite numbers, not {value.shape}")
        if count == 0 or self.control[0] != 0 or (self.control < 0).any():
            raise InputError(f"clip {self.id}: control must start at 0 and never be negative")
        if len(self.frames) != count:
            raise InputError(f"clip {self.id}: {len(self.frames)} frames but {count} controls")
        if not self.expression or min(self.expression.values()) < 0:
            raise InputError(f"clip {self.id}: an expression needs at least one name, and weights of 0 or more")
        if self.origin not in ORIGINS or self.split not in SPLITS:
            raise InputError(f"clip {self.id}: unknown origin {self.origin!r} or split {self.split!r}")
        if self.id != clean_id(self.id):
            raise InputError(f"clip id {self.id!r}: only letters, digits, - and _, at most {_ID_LENGTH}")

    def __len__(self) -> int:
        return len(self.control)

    def frame(self, k: int) -> np.ndarray:
        """Frame ``k`` as RGB uint8 (size_px, size_px, 3)."""
        return self.frames[k]

    def control_vector(self, k: int, expressions: Sequence[str]) -> np.ndarray:
        """The control of frame ``k`` in the order of ``expressions``, float32 (len(expressions),).

        Raises InputError where the clip shows an expression that is not among ``expressions``.
        """
        unknown = sorted(set(self.expression) - set(expressions))
        if unknown:
            raise InputError(f"clip {self.id} shows {', '.join(unknown)}, which is not among {', '.join(expressions)}")
        return np.array([self.expression.get(name, 0.0) for name in expressions], np.float32) * self.control[k]


def encode_frame(image: np.ndarray, quality: int = JPEG_QUALITY) -> bytes:
    """RGB uint8 (H, W, 3) as a JPEG without chroma subsampling."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), options)[1].tobytes()


def decode_frame(jpeg: bytes, flags: int = cv2.IMREAD_COLOR) -> np.ndarray | None:
    """RGB uint8 (H, W, 3), or None where the bytes are no whole image."""
    try:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags) if jpeg else None
    except cv2.error:  # a size that OpenCV does not believe
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def clip_members(clip: Clip) -> list[tuple[str, bytes]]:
    """The files of a clip, in the order in which they stand in a shard: its JSON, then one JPEG a frame."""
    jpegs = []
    for k in range(len(clip)):
        image = clip.frame(k)
        if image.shape != (clip.size_px, clip.size_px, 3) or image.dtype != np.uint8:
            raise InputError(f"clip {clip.id}: frame {k} is {image.shape} {image.dtype}, not RGB of {clip.size_px} px")
        jpegs.append(encode_frame(image))
    record = {
        "id": clip.id,
        "person": clip.person,
        "source": clip.source,
        "licence": clip.licence,
        "origin": clip.origin,
        "split": clip.split,
        "expression": {name: round(float(weight), 4) for name, weight in sorted(clip.expression.items())},
        "control": rounded(clip.control, CONTROL_DIGITS),
        "landmarks": rounded(clip.landmarks, 2),
        "pose": rounded(clip.pose, 2),
        **({} if clip.teeth is None else {"teeth": rounded(clip.teeth, 2)}),
        "size_px": clip.size_px,
        "frame_bytes": [len(jpeg) for jpeg in jpegs],
    }
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    members = [(f"{clip.id}.json", text.encode())]
    return members + [(f"{clip.id}.{k:02d}.jpg", jpeg) for k, jpeg in enumerate(jpegs)]


@dataclass(frozen=True)
class StoredFrames(Sequence):
    """The frames of a clip in a shard, read and decoded one at a time; safe to share between threads and forks."""

    shard: Path
    clip_id: str
    spans: tuple[tuple[int, int], ...]
    """Offset and length in bytes of each frame's JPEG."""
    size_px: int

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, k: int) -> np.ndarray:  # type: ignore[override]  # no slices
        image = decode_frame(read_span(self.shard, *self.spans[k]))
        if image is None or image.shape[:2] != (self.size_px, self.size_px):
            raise InputError(
                f"{self.shard}: frame {k} of clip {self.clip_id} cannot be decoded",
                "The shard is damaged: make it again with facemotion prepare.",
            )
        return image


def read_span(path: Path, offset: int, length: int) -> bytes:
    """``length`` bytes of a file from ``offset``; a file of its own for each call, so that nothing is shared.

    Raises InputError where the file is gone or does not hold them.
    """
    try:
        with open(path, "rb") as file:
            if 0 <= offset <= offset + length <= os.fstat(file.fileno()).st_size:
                file.seek(offset)
                return file.read(length)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", "Make or copy the set again.") from error
    raise InputError(f"{path}: no {length} bytes at byte {offset}", "The shard is damaged: make or copy the set again.")


def clip_from_json(text: bytes, shard: Path, offset: int) -> Clip:
    """A clip from its JSON, which lies at byte ``offset`` of ``shard``; the frames follow it as tar members.

    Raises InputError where the JSON is damaged or a field is missing.
    """
    try:
        with malformed():
            record = parse_object(text)
            fields = {name: checked(record[name], kind, name) for name, kind in _JSON_FIELDS.items()}
            if not 1 <= fields["size_px"] <= LARGEST_PX:
                raise MalformedError(f"size_px: {fields['size_px']}")
            spans, end = [], offset + _padded(len(text))
            for length in checked(record["frame_bytes"], list[int], "frame_bytes"):
                spans.append((end + 512, length))
                end += 512 + _padded(length)
            frames = StoredFrames(shard, fields["id"], tuple(spans), fields["size_px"])
            return Clip(**fields, teeth=record.get("teeth"), frames=frames)
    except (MalformedError, InputError) as error:
        raise InputError(
            f"{shard}: the clip at byte {offset} is damaged ({error})",
            "Make the set again with facemotion prepare.",
        ) from error


_JSON_FIELDS = {
    "id": str,
    "person": str,
    "source": str,
    "licence": str,
    "origin": str,
    "split": str,
    "expression": dict[str, float],
    "control": list,
    "landmarks": list,
    "pose": list,
    "size_px": int,
}


def _padded(length: int) -> int:
    """Bytes that ``length`` bytes take in a tar file, which pads to blocks of 512."""
    return -(-length // 512) * 512


def rounded(array: np.ndarray, digits: int) -> list:
    """``array`` as nested lists of numbers with at most ``digits`` decimals."""
    return np.round(array.astype(np.float64), digits).tolist()
