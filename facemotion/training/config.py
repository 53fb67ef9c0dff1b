"""Everything that decides the outcome of a training, as dataclasses; ``override`` changes single fields by name."""

import math
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, get_type_hints

from facemotion.errors import UsageError
from facemotion.media.records import built
from facemotion.models.generator import PRESETS, GeneratorConfig


@dataclass(frozen=True)
class Phase:
    """Resolution and batch from some point of the training on: half the resolution costs a quarter of the time."""

    from_images: int = 0
    """Images seen when the phase begins."""
    input_px: int = 256
    """Side of the crop that the encoders see."""
    paint_px: int = 512
    """Side of source, target and result."""
    sources: int = 8
    """Sources a step and process; every source comes with ``frames_per_source`` targets."""


@dataclass(frozen=True)
class SamplerConfig:
    """What is drawn."""

    frames_per_source: int = 2
    """Targets for every source: they share its encoding, and their difference trains continuity."""
    real_smile: float = 0.28
    """Share of samples from photographic smiles (pairs, clips); the other expressions share the rest equally."""
    peak: float = 0.7
    """Control from which on a frame counts as near the peak; the first target of every source is such a frame."""
    mirror_one_sided: bool = True
    """Mirror contempt so that it always happens on the same side of the picture: one control, one answer."""


@dataclass(frozen=True)
class AugmentConfig:
    """Changes applied alike to source and targets; probabilities, and half widths of uniform ranges."""

    flip: float = 0.0
    """Probability of mirroring; none, because the textures of the teeth know left from right."""
    scale: float = 0.08
    """Zoom in or out by up to this share."""
    shift: float = 0.04
    """Shift in crop widths."""
    rotation_deg: float = 8.0
    """Rotation in degrees."""
    identity: float = 0.2
    """Probability of no geometric change but mirroring: resampling softens pictures, some must stay sharp."""
    misaligned: float = 0.12
    """Probability of twice the geometric ranges, as when the finder misjudges a face."""
    brightness: float = 0.12
    """Added brightness, of the full range."""
    contrast: float = 0.2
    """Relative change of contrast."""
    gamma: float = 0.25
    """Exponent ``exp(±gamma)``."""
    hue_deg: float = 12.0
    """Rotation of the hue in degrees."""
    saturation: float = 0.35
    """Relative change of saturation."""
    tint: float = 0.08
    """Relative gain of every colour channel."""
    grey: float = 0.12
    """Probability of a grey picture."""
    blur: float = 0.2
    """Probability of a Gaussian blur."""
    blur_sigma: float = 0.004
    """Largest sigma, in crop widths."""
    noise: float = 0.2
    """Probability of sensor noise."""
    noise_sigma: float = 0.04
    """Largest standard deviation, of the full range."""
    jpeg: float = 0.25
    """Probability of JPEG-like quantisation, quality 30 to 95."""


@dataclass(frozen=True)
class LossWeights:
    """Weight of every term of the generator's loss; 0 switches a term off."""

    reconstruction: float = 1.0
    """L1 pyramid, weighted by where source and target differ."""
    gradient: float = 1.0
    """L1 of image gradients: sharp teeth and lids."""
    temporal: float = 0.5
    """Difference of two frames of a clip against that of their targets."""
    landmark: float = 0.05
    """Landmarks predicted by the generator's head, in inter-ocular distances."""
    flow_smoothness: float = 0.02
    """Total variation of the flow."""
    mask_sparsity: float = 0.02
    """Paint only where moving pixels does not explain the target."""
    adversarial: float = 0.1
    """Hinge loss against the discriminators, mean over them."""
    feature_matching: float = 0.5
    """L1 of discriminator features."""
    difference: float = 32.0
    """Pixel weight ``1 + difference * |target - source|``."""
    mouth: float = 2.5
    """Factor of the pixel weight in the mouth's region."""
    eyes: float = 2.0
    """Factor of the pixel weight in the eyes' regions."""
    photographed_mouth: float = 1.0
    """Further factor there on photographic samples whose lips part: everybody's own teeth cannot be predicted, only
    blurred."""


@dataclass(frozen=True)
class AdversaryConfig:
    """The discriminators' training."""

    from_images: int = 400_000
    """Images seen when the adversary is switched on."""
    ramp_images: int = 40_000
    """Images over which its weight grows from 0 to its value."""
    regions: tuple[str, ...] = ("mouth", "eyes")
    """Local discriminators at full detail, beside the one of the whole face; may be empty."""
    targets: int = 1
    """Targets of every source that discriminators see, the one near the peak first: they cost as much as generating."""
    face_px: int = 128
    """Side at which the discriminator of the whole face looks."""
    spectral_norm: bool = False
    """Spectral normalisation of the discriminators (Miyato et al. 2018)."""
    real_weight: float = 1.5
    """Weight of photographic samples in the discriminators' loss; rendered ones count 1."""
    lr: float = 3e-4
    """Peak learning rate of the discriminators, separate from the generator's (two time scales: Heusel et al. 2017)."""
    beta1: float = 0.5
    """Momentum of the discriminators' Adam."""
    r1: float = 1.0
    """Weight gamma of the R1 gradient penalty (Mescheder et al. 2018); 0 switches it off."""
    r1_every: int = 16
    """Steps between lazy R1 penalties (Karras et al. 2020)."""


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW and the averaging of weights."""

    lr: float = 4e-4
    """Peak learning rate of the generator."""
    beta1: float = 0.9
    """Momentum of the generator's Adam."""
    beta2: float = 0.99
    """Second moment decay of both."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    warmup_images: int = 4_000
    """Images of linear warm-up."""
    schedule: str = "cosine"
    """``cosine``: down to a twentieth at ``images``; ``constant``."""
    accumulate: int = 1
    """Batches whose gradients are summed into one step."""
    clip_norm: float = 5.0
    """Largest norm of the generator's gradient."""
    ema_half_life_images: float = 12_000
    """Half-life of the weight average (Karras et al. 2024 count it in images as well)."""

    def __post_init__(self):
        if self.schedule not in ("cosine", "constant"):
            raise UsageError(f"optimiser.schedule must be cosine or constant, not {self.schedule!r}")
        if self.accumulate < 1:
            raise UsageError("optimiser.accumulate must be at least 1")


@dataclass(frozen=True)
class TrainConfig:
    """One training; stored beside its checkpoints. Two trainings with equal configurations and data are equal."""

    seed: int = 0
    """Of initial weights, samples and augmentation."""
    images: int = 2_000_000
    """Length of the training in target frames shown."""
    phases: tuple[Phase, ...] = (Phase(0, 128, 256, 16), Phase(400_000, 256, 512, 8))
    """Resolution over time, written ``FROM:INPUT/PAINTxSOURCES,…``, as in ``0:128/256x16,400k:256/512x8``."""
    precision: str = "fp32"
    """``fp32`` or ``bf16`` (autocast; losses and weights stay in fp32)."""
    log_images: int = 2_000
    """Images between lines of the loss log."""
    sample_images: int = 40_000
    """Images between sample grids."""
    anchor_to_target: bool = True
    """Paint by the target's landmarks while training, not by the predicted ones."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """The network; a release takes input_px and paint_px from the phase of its last step, in the same ratio."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self):
        if self.generator.preset not in PRESETS:
            raise UsageError(f"preset must be one of {', '.join(PRESETS)}, not {self.generator.preset!r}")
        if self.precision not in ("fp32", "bf16"):
            raise UsageError(f"precision must be fp32 or bf16, not {self.precision!r}")
        if min(self.images, self.log_images, self.sample_images) < 1:
            raise UsageError("images, log_images and sample_images must be at least 1")
        if not self.phases or self.phases[0].from_images:
            raise UsageError("the first phase must start at image 0", "For example --set phases=0:256/512x8")
        starts = [phase.from_images for phase in self.phases]
        if starts != sorted(set(starts)):
            raise UsageError("phases must be in order of their first image")
        ratio = self.generator.paint_px // self.generator.input_px
        step = 2 ** len(self.generator.widths)
        for phase in self.phases:
            if phase.input_px % step or phase.paint_px != ratio * phase.input_px:
                raise UsageError(
                    f"phase {phase.input_px}/{phase.paint_px}: the generator needs an input side divisible by {step} "
                    f"and a painted side of {ratio} times it"
                )
            if phase.sources < 1:
                raise UsageError("a phase needs at least one source a step")
        if self.sampler.frames_per_source < 1 or self.adversary.targets < 1:
            raise UsageError("sampler.frames_per_source and adversary.targets must be at least 1")

    def phase_at(self, images: int) -> Phase:
        """The phase in force when ``images`` have been seen."""
        return [phase for phase in self.phases if phase.from_images <= images][-1]


def override(config: Any, assignments: list[str]) -> Any:
    """A copy of a dataclass with fields changed by assignments such as ``losses.landmark=0``.

    Raises ``UsageError`` for an unknown field (naming those there are) or a value of the wrong type. All assignments
    are applied before the result is checked as a whole.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        if not sign:
            raise UsageError(f"--set needs NAME=VALUE, not {assignment!r}", "For example --set losses.landmark=0")
        node, names = config, path.strip().split(".")
        target = changes
        for depth, name in enumerate(names):
            hints = get_type_hints(type(node)) if is_dataclass(node) else {}
            if name not in hints:
                owner = ".".join(names[:depth]) or "A training"
                raise UsageError(f"unknown setting {path.strip()!r}", f"{owner} has: {', '.join(hints) or 'none'}.")
            if depth < len(names) - 1:
                target = target.setdefault(name, {})
                node = getattr(node, name)
            else:
                target[name] = _parse(text.strip(), hints[name], path.strip())
    return _apply(config, changes)


def from_dict(values: dict) -> TrainConfig:
    """The inverse of ``dataclasses.asdict`` after a trip through JSON."""
    return built(TrainConfig, values)


def _apply(config: Any, changes: dict[str, Any]) -> Any:
    nested = {k: _apply(getattr(config, k), v) if isinstance(v, dict) else v for k, v in changes.items()}
    try:
        return replace(config, **nested)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error


def _parse(text: str, hint: Any, name: str) -> Any:
    """``text`` as a value of the type ``hint``."""
    try:
        if hint == tuple[Phase, ...]:
            return tuple(_parse_phase(part) for part in text.split(",") if part.strip())
        if hint == tuple[int, ...]:
            return tuple(parse_count(part) for part in text.split(","))
        if hint == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if hint is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if hint is int:
            return parse_count(text)
        if hint is float:
            number = float(text)
            if not math.isfinite(number):
                raise ValueError(f"{text} is not finite")
            return number
        if hint is str:
            return text
    except (ValueError, KeyError) as error:
        raise UsageError(f"{name}: cannot read {text!r}", str(error)) from error
    raise UsageError(f"{name} is a group of settings", f"Set one of its fields: {name}.FIELD=VALUE")


def parse_count(text: str) -> int:
    """``1500``, ``400k`` or ``2.5M`` as an integer. Raises ValueError for anything else."""
    text = text.strip()
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    number = float(text[:-1] if factor > 1 else text) * factor
    if not abs(number) < 1e15:
        raise ValueError(f"{text[:40]} is no number of things")
    return round(number)


def _parse_phase(text: str) -> Phase:
    start, _, rest = text.partition(":")
    sides, _, sources = rest.partition("x")
    input_px, _, paint_px = sides.partition("/")
    try:
        numbers = [parse_count(word) for word in (start, input_px, paint_px, sources or "8")]
        if min(numbers) < 0 or 0 in numbers[1:3]:
            raise ValueError("a phase counts upwards from 0")
        return Phase(*numbers)
    except ValueError as error:
        raise ValueError("a phase reads FROM:INPUT/PAINTxSOURCES, as in 0:128/256x16") from error
