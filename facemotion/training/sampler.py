"""Which clip, which frames and which augmentation sample ``n`` of a training is: a pure function of seed and ``n``.

Without state there is nothing to store for an exact resume, and several processes share the samples by their number.
"""

from dataclasses import dataclass

import numpy as np

from facemotion.errors import InputError
from facemotion.expressions.grammar import SMILES
from facemotion.training.config import AugmentConfig, SamplerConfig

ONE_SIDED = "contempt"
"""The expression that happens on one side of the face (EMFACS: 12 + 14, unilateral)."""
REAL_ORIGINS = frozenset({"pairs", "clips", "ckplus"})
"""Origins of photographic frames; the rest is rendered."""


@dataclass(frozen=True)
class ClipFacts:
    """What the sampler knows of a clip."""

    person: str
    origin: str
    expression: dict[str, float]
    control: np.ndarray
    """(T,) controls, the first 0."""
    mirrored: bool = False
    """A one-sided expression that happens on the side that is to be mirrored away."""

    @property
    def one_sided(self) -> bool:
        """It happens on one side of the face."""
        return ONE_SIDED in self.expression

    @property
    def real(self) -> bool:
        """Photographed, not rendered."""
        return self.origin in REAL_ORIGINS

    @property
    def leading(self) -> str:
        """The expression of the largest weight."""
        return max(self.expression, key=self.expression.__getitem__)


@dataclass(frozen=True)
class Sample:
    """One source with its targets, to be read and augmented."""

    clip: int
    frames: tuple[int, ...]
    """The targets' frame numbers; the source is frame 0."""
    augmentation: "Augmentation"


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of one sample, as numbers; applied on the device by ``augment``."""

    affine: np.ndarray
    """(2, 3) map of points from the stored crop to the augmented one, crop widths from the crop's middle."""
    flip: bool
    colour: np.ndarray
    """(3, 4) matrix and offset on RGB in [0, 1]."""
    gamma: float
    blur_sigma: float
    """In crop widths; 0: none."""
    noise_sigma: float
    """Of the full range; 0: none."""
    noise_offset: tuple[int, int]
    jpeg_quality: float
    """0: none."""


class Sampler:
    """Samples of a list of clips: photographic smiles by their share, the other expressions in equal parts."""

    def __init__(self, clips: list[ClipFacts], *, config: SamplerConfig, augment: AugmentConfig, seed: int):
        self.clips, self.config, self.augment, self.seed = clips, config, augment, seed
        groups: dict[str, list[int]] = {}
        for index, clip in enumerate(clips):
            if (clip.control > 0).any():
                real_smile = clip.real and clip.leading in SMILES
                groups.setdefault("real smile" if real_smile else clip.leading, []).append(index)
        if not groups:
            raise InputError("no clip has a frame with a control above 0", "Prepare clips with `facemotion prepare`.")
        self.groups = {name: np.array(groups[name]) for name in sorted(groups)}
        others = len(self.groups) - ("real smile" in self.groups)
        smile = self.config.real_smile if "real smile" in self.groups else 0.0
        shares = [smile if name == "real smile" else (1 - smile) / max(others, 1) for name in self.groups]
        self.shares = dict(zip(self.groups, (np.array(shares) / np.sum(shares)).tolist(), strict=True))

    def sample(self, number: int) -> Sample:
        """Sample ``number`` of the training."""
        rng = np.random.default_rng((self.seed, number))
        group = rng.choice(list(self.groups), p=list(self.shares.values()))
        index = int(rng.choice(self.groups[group]))
        clip = self.clips[index]
        frames = self._frames(rng, clip.control)
        flip = rng.random() < self.augment.flip
        if clip.one_sided and self.config.mirror_one_sided:
            flip = clip.mirrored
        return Sample(index, frames, draw_augmentation(rng, self.augment, flip=bool(flip)))

    def _frames(self, rng: np.random.Generator, control: np.ndarray) -> tuple[int, ...]:
        """A frame near the peak first, then any others; a clip of too few frames repeats itself."""
        moving = np.flatnonzero(control > 0)
        near = moving[control[moving] >= min(self.config.peak, float(control.max()))]
        first = int(rng.choice(near))
        rest = moving[moving != first]
        count = self.config.frames_per_source - 1
        if len(rest) == 0:
            return (first,) * (count + 1)
        return (first, *(int(i) for i in rng.choice(rest, count, replace=count > len(rest))))


def draw_augmentation(rng: np.random.Generator, config: AugmentConfig, *, flip: bool) -> Augmentation:
    """A random augmentation within ``config``."""
    reach = 2.0 if rng.random() < config.misaligned else 1.0
    if rng.random() < config.identity:
        reach = 0.0
    scale = np.exp(rng.uniform(-1, 1) * config.scale * reach)
    angle = np.deg2rad(rng.uniform(-1, 1) * config.rotation_deg * reach)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = np.diag([-1.0 if flip else 1.0, 1.0])
    shift = rng.uniform(-1, 1, 2) * config.shift * reach
    affine = np.concatenate([rotation @ mirror, shift[:, None]], 1)

    contrast = 1 + rng.uniform(-1, 1) * config.contrast
    saturation = 0.0 if rng.random() < config.grey else 1 + rng.uniform(-1, 1) * config.saturation
    colour = _hue_saturation(np.deg2rad(rng.uniform(-1, 1) * config.hue_deg), saturation)
    tint = 1 + rng.uniform(-1, 1, 3) * config.tint * (saturation > 0)
    matrix = contrast * tint[:, None] * colour
    offset = 0.5 * (1 - contrast) + rng.uniform(-1, 1) * config.brightness

    def sometimes(probability: float, low: float, high: float) -> float:
        value = rng.uniform(low, high)
        return float(value) if rng.random() < probability else 0.0

    return Augmentation(
        affine=affine,
        flip=flip,
        colour=np.concatenate([matrix, np.full((3, 1), offset)], 1),
        gamma=float(np.exp(rng.uniform(-1, 1) * config.gamma)),
        blur_sigma=sometimes(config.blur, 0.1 * config.blur_sigma, config.blur_sigma),
        noise_sigma=sometimes(config.noise, 0.1 * config.noise_sigma, config.noise_sigma),
        noise_offset=(int(rng.integers(256)), int(rng.integers(256))),
        jpeg_quality=sometimes(config.jpeg, 30.0, 95.0),
    )


_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""RGB to YIQ, NTSC 1953: hue and saturation are rotation and length of (I, Q)."""


def _hue_saturation(angle: float, saturation: float) -> np.ndarray:
    turn = np.eye(3)
    turn[1:, 1:] = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.linalg.inv(_YIQ) @ turn @ _YIQ
