"""Clips as a pool to draw from, and batches of samples as tensors."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facemotion.datasets.clip import StoredFrames, decode_frame, read_span
from facemotion.datasets.clips import Clip, ClipSet
from facemotion.errors import InputError
from facemotion.training.sampler import ONE_SIDED, ClipFacts, Sample

_REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


@dataclass(frozen=True)
class Batch:
    """B sources with K targets each; frame 0 is the source. What decides which samples are touched stays on the host.

    ``frames`` (B, 1 + K, N, N, 3) uint8 RGB; ``landmarks`` (B, 1 + K, 78, 2) crop widths, those of the teeth
    nan where they are not known; ``control`` (B, K, E);
    ``real`` (B,) bool, photographed; ``affine`` (B, 2, 3), ``colour`` (B, 3, 4), ``gamma`` (B,), ``flip`` (B,) bool,
    ``blur_sigma``, ``noise_sigma``, ``jpeg_quality`` (B,) and ``noise_offset`` (B, 2): see ``sampler.Augmentation``.
    """

    frames: Tensor
    landmarks: Tensor
    control: Tensor
    real: Tensor
    affine: Tensor
    colour: Tensor
    gamma: Tensor
    flip: Tensor
    blur_sigma: Tensor
    noise_sigma: Tensor
    jpeg_quality: Tensor
    noise_offset: Tensor

    HOST = ("blur_sigma", "noise_sigma", "jpeg_quality", "noise_offset")

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``, copied asynchronously from pinned memory."""
        if device.type == "cpu":
            return self
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v if k in self.HOST else v.to(device, non_blocking=True) for k, v in parts.items()})

    def pin(self) -> "Batch":
        """The batch in page-locked memory, from where a GPU reads without waiting."""
        return Batch(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


class ClipPool:
    """The clips of some sets with what the sampler needs of them; decodes frames at the size that is asked for.

    Decoded frames are kept in memory up to ``cache_gb``. Safe to use from several threads.
    Raises ``InputError`` for a clip of expressions that are not among ``expressions``, or when there are none at all.
    """

    def __init__(self, clips: ClipSet, *, expressions: Sequence[str], cache_gb: float = 0.0):
        self.clips, self.expressions = clips, tuple(expressions)
        self.facts = [_facts(clips, index, self.expressions) for index in range(len(clips))]
        self._cache: dict[tuple[int, int, int], np.ndarray] = {}
        self._room = int(cache_gb * 2**30)
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls, paths: Sequence[str | Path], *, split: str, expressions: Sequence[str], cache_gb: float = 0.0
    ) -> "ClipPool":
        """The clips of one ``split`` (train or validation) of the sets at ``paths``."""
        clips = ClipSet.open_many(paths).select(lambda entry: entry.split == split)
        if not len(clips):
            names = ", ".join(str(path) for path in paths)
            raise InputError(f"{names}: no clips of the {split} split", "Prepare some with `facemotion prepare`.")
        return cls(clips, expressions=expressions, cache_gb=cache_gb)

    def __len__(self) -> int:
        return len(self.facts)

    def batch(self, samples: Sequence[Sample], *, size: int) -> Batch:
        """Read and collate samples; frames at ``size`` px."""
        clips = [self.clips[sample.clip] for sample in samples]
        numbers = [(0, *sample.frames) for sample in samples]
        pairs = list(zip(clips, samples, numbers, strict=True))
        frames = [[self.frame(s.clip, c, k, size=size) for k in ks] for c, s, ks in pairs]
        landmarks = [(_points(clip)[list(ks)] + 0.5) / clip.size_px for clip, _, ks in pairs]
        control = [[clip.control_vector(k, self.expressions) for k in ks[1:]] for clip, _, ks in pairs]
        changes = [sample.augmentation for sample in samples]

        def column(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.from_numpy(np.array([getattr(change, name) for change in changes])).to(dtype)

        return Batch(
            frames=torch.from_numpy(np.array(frames)),
            landmarks=torch.from_numpy(np.array(landmarks, np.float32)),
            control=torch.from_numpy(np.array(control, np.float32)),
            real=torch.tensor([self.facts[sample.clip].real for sample in samples]),
            affine=column("affine"),
            colour=column("colour"),
            gamma=column("gamma"),
            flip=column("flip", torch.bool),
            blur_sigma=column("blur_sigma"),
            noise_sigma=column("noise_sigma"),
            jpeg_quality=column("jpeg_quality"),
            noise_offset=column("noise_offset", torch.int64),
        )

    def frame(self, index: int, clip: Clip, k: int, *, size: int) -> np.ndarray:
        """Frame ``k`` of ``clip``, number ``index``, as RGB uint8 (size, size, 3), from the cache or decoded."""
        key = (index, k, size)
        image = self._cache.get(key)
        if image is None:
            image = decode_at(clip, k, size=size)
            with self._lock:
                if key not in self._cache and self._room >= image.nbytes:
                    self._room -= image.nbytes
                    self._cache[key] = image
        return image


def _points(clip: Clip) -> np.ndarray:
    """(T, 78, 2) landmarks and points of the teeth, px."""
    teeth = np.full((len(clip), 10, 2), np.nan, np.float32) if clip.teeth is None else clip.teeth
    return np.concatenate([clip.landmarks, teeth], 1)


def decode_at(clip: Clip, k: int, *, size: int) -> np.ndarray:
    """Frame ``k`` at ``size`` px; JPEG decodes straight to half or a quarter, which saves most of the time."""
    factor = max((f for f in _REDUCED if clip.size_px % f == 0 and clip.size_px // f >= size), default=1)
    image = None
    if factor > 1 and isinstance(clip.frames, StoredFrames):
        image = decode_frame(read_span(clip.frames.shard, *clip.frames.spans[k]), _REDUCED[factor])
    if image is None or image.shape[:2] != (clip.size_px // factor,) * 2:
        image = clip.frame(k)
    if image.shape[0] != size:
        shrinking = image.shape[0] > size
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)
    return image


def _facts(clips: ClipSet, index: int, expressions: tuple[str, ...]) -> ClipFacts:
    entry = clips.entries[index]
    unknown = sorted(set(entry.expression) - set(expressions))
    if unknown:
        raise InputError(
            f"clip {entry.id} shows {', '.join(unknown)}, which the generator does not have",
            f"It has: {', '.join(expressions)}. Choose others with --set generator.expressions=…",
        )
    one_sided = ONE_SIDED in entry.expression
    return ClipFacts(
        person=entry.person,
        origin=entry.origin,
        expression=entry.expression,
        control=np.array(entry.control),
        mirrored=one_sided and _left_corner_moves_more(clips[index]),
    )


def _left_corner_moves_more(clip: Clip) -> bool:
    """Whether the mouth corner on the picture's left moves farther, relative to the eyes, than the right one."""
    peak = clip.landmarks[int(np.argmax(clip.control))]
    moved = [(points[[48, 54]] - points[36:48].mean(0)) for points in (clip.landmarks[0], peak)]
    left, right = np.linalg.norm(moved[1] - moved[0], axis=1)
    return bool(left > right)
