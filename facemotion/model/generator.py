"""The generator ``f(I, a)``: one photo and a control vector to a frame.

After Fan et al., "Controllable Image-to-Video Translation" (AAAI 2019, arXiv 1808.02992): the control value enters
through the skip connections. Our reading of it, and what is built on top:

* skip level ``l`` of the decoder receives ``base_l + Σ_e a_e · residual_{l,e}``; base and residuals are computed once
  per photo, the decoder once per frame;
* the decoder moves the photo's own pixels and paints only what was hidden:
  ``frame = (1 − mask) · (warp(I, flow) + shade) + mask · colour``. Flow, shade and mask carry a factor that vanishes
  with the control, so ``f(I, 0) = I`` holds by construction;
* the preset ``paper`` paints everything: ``frame = colour``.
"""

import itertools
from dataclasses import dataclass, field, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.expressions import EXPRESSIONS
from facemotion.model.blocks import ConvNormAct, ResidualBlock, upsample2
from facemotion.model.encoders import BaseEncoder, ResidualEncoder

PRESETS = ("default", "paper")


@dataclass(frozen=True)
class GeneratorConfig:
    """Everything that rebuilds a generator; travels in the header of its weights."""

    expressions: tuple[str, ...] = EXPRESSIONS
    """Name of every entry of the control vector."""
    preset: str = "default"
    """``default``: flow, shade, mask and colour; ``paper``: colour alone."""
    input_px: int = 256
    """Side of the crop that the encoders see."""
    paint_px: int = 512
    """Side of mask and colour; ``input_px`` times a power of two."""
    widths: tuple[int, ...] = (32, 64, 128, 160, 192)
    """Channels of the encoders at strides 2, 4, 8, …; finest first."""
    decoder_widths: tuple[int, ...] = (32, 64, 128, 160, 192)
    """Channels of the decoder at the same strides."""
    embedding: int = 64
    """Length of an expression's embedding in the residual encoder."""
    residual: str = "shared"
    """``shared``: one residual encoder modulated per expression; ``separate``: one per expression."""
    flow_reach: float = 0.1
    """Flow, in crop widths, of a flow output of 1."""

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if self.residual not in ("shared", "separate"):
            raise ValueError(f"residual must be 'shared' or 'separate', not {self.residual!r}")
        if len(self.widths) != len(self.decoder_widths):
            raise ValueError("widths and decoder_widths must have one entry per level each")
        ratio, rest = divmod(self.paint_px, self.input_px)
        if rest or ratio & (ratio - 1) or not ratio:
            raise ValueError(f"paint_px ({self.paint_px}) must be input_px ({self.input_px}) times a power of two")
        if self.input_px % 2 ** len(self.widths):
            raise ValueError(f"input_px ({self.input_px}) must be divisible by {2 ** len(self.widths)}")

    @classmethod
    def from_dict(cls, values: dict) -> "GeneratorConfig":
        """The inverse of ``dataclasses.asdict`` after a trip through JSON; unknown keys raise ``ValueError``."""
        unknown = values.keys() - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown generator settings: {', '.join(sorted(unknown))}")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@dataclass
class Encoding:
    """What the decoder needs of ``B`` photos; computed once, used for every frame.

    ``base[l]`` (B, C_l, h_l, w_l); ``residual[l]`` (N, C_l, h_l, w_l), row ``n`` for photo ``photo[n]`` and expression
    ``expression[n]``.
    """

    base: list[Tensor]
    residual: list[Tensor]
    photo: Tensor
    expression: Tensor

    def skips(self, control: Tensor) -> list[Tensor]:
        """``base + Σ a_e · residual_e`` at every level; control (M, E), M = B, or any M when B = 1."""
        frames = len(control)
        if len(self.base[0]) == 1 and frames > 1:  # many frames of one photo: a sum over its few expressions
            weights = control[:, self.expression]
            return [b + torch.einsum("mn,nchw->mchw", weights.to(r.dtype), r) for b, r in self._levels()]
        weights = control[self.photo, self.expression][:, None, None, None]
        return [b.index_add(0, self.photo, weights.to(r.dtype) * r) for b, r in self._levels()]

    def _levels(self):
        return zip(self.base, self.residual, strict=True)


@dataclass
class Motion:
    """What the decoder says about M frames; every map covers the crop edge to edge, whatever its resolution.

    ``flow`` (M, 2, h, w): backward displacement (x, y) in crop widths, ``frame(p) = source(p + flow)``;
    ``shade`` (M, 1, h, w): added to the moved pixels, in units of [-1, 1] images; ``mask`` (M, 1, P, P) in [0, 1];
    ``colour`` (M, 3, P, P) in [-1, 1]; ``landmarks`` (M, 68, 2): predicted landmarks of the frame, crop widths.
    """

    flow: Tensor
    shade: Tensor
    mask: Tensor
    colour: Tensor
    landmarks: Tensor
    still: Tensor = field(repr=False)
    """(M,) bool: the control is zero, the frame is the photo."""


class Decoder(nn.Module):
    """Skips to motion; runs once per frame."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        widths = config.decoder_widths
        self.laterals = nn.ModuleList(
            nn.Conv2d(encoder, decoder, 1) if encoder != decoder else nn.Identity()
            for encoder, decoder in zip(config.widths, widths, strict=True)
        )
        self.coarsest = ResidualBlock(widths[-1])
        self.reductions = nn.ModuleList(nn.Conv2d(coarser, finer, 1) for finer, coarser in itertools.pairwise(widths))
        self.refinements = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), ResidualBlock(width)) for width in widths[:-1]
        )
        self.to_flow_shade = nn.Conv2d(widths[0], 3, 3, 1, 1)
        self.shuffle = 2 * config.paint_px // config.input_px  # finest features have stride 2
        self.before_paint = ConvNormAct(widths[0], widths[0])
        self.to_paint = nn.Conv2d(widths[0], 4 * self.shuffle**2, 3, 1, 1)
        self.landmark_features = nn.Sequential(nn.Conv2d(widths[-1], 32, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(4))
        self.to_landmarks = nn.Linear(32 * 16, 68 * 2)
        for head in (self.to_flow_shade, self.to_paint):  # start as the identity
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.to_landmarks.bias, 0.5)
        if config.preset == "default":
            nn.init.constant_(self.to_paint.bias[3 * self.shuffle**2 :], -3.0)

    def forward(self, skips: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Skips, finest first -> raw flow (2), shade (1), mask logits (1), colour (3), landmarks (68, 2)."""
        skips = [lateral(skip) for lateral, skip in zip(self.laterals, skips, strict=True)]
        hidden = self.coarsest(skips[-1])
        landmarks = self.to_landmarks(self.landmark_features(hidden).flatten(1)).unflatten(1, (68, 2))
        for level in reversed(range(len(self.reductions))):
            hidden = upsample2(self.reductions[level](hidden)) + skips[level]
            hidden = self.refinements[level](hidden)
        flow_shade = self.to_flow_shade(hidden)
        paint = F.pixel_shuffle(self.to_paint(self.before_paint(hidden)), self.shuffle)
        return flow_shade[:, :2], flow_shade[:, 2:], paint[:, 3:], paint[:, :3], landmarks


class Generator(nn.Module):
    """``f(I, a)``: encode a photo once, decode as many frames as wanted, compose them at any resolution."""

    def __init__(self, config: GeneratorConfig | None = None):
        super().__init__()
        self.config = config or GeneratorConfig()
        count = len(self.config.expressions)
        self.base_encoder = BaseEncoder(self.config.widths)
        separate = self.config.residual == "separate"
        self.residual_encoders = nn.ModuleList(
            ResidualEncoder(self.config.widths, count=1 if separate else count, embedding=self.config.embedding)
            for _ in range(count if separate else 1)
        )
        self.decoder = Decoder(self.config)

    def encode(self, source: Tensor, expressions: Tensor | None = None) -> Encoding:
        """Everything that does not depend on the frame.

        source (B, 3, input_px, input_px) in [-1, 1]; expressions (B, E) is true (or nonzero) where an expression will
        be asked for (a control vector does); all of them by default.
        """
        base = self.base_encoder(source)
        if expressions is None:
            expressions = torch.ones(len(source), len(self.config.expressions), device=source.device)
        photo, expression = torch.nonzero(expressions, as_tuple=True)
        if self.config.residual == "shared":
            residual = self.residual_encoders[0]([level[photo] for level in base], expression)
        else:
            order = torch.argsort(expression, stable=True)
            photo, expression = photo[order], expression[order]
            parts = []
            for index, encoder in enumerate(self.residual_encoders):
                rows = photo[expression == index]
                if len(rows):
                    parts.append(encoder([level[rows] for level in base], torch.zeros_like(rows)))
            residual = [torch.cat(level) for level in zip(*parts, strict=True)] if parts else [b[:0] for b in base]
        return Encoding(base, residual, photo, expression)

    def decode(self, encoding: Encoding, control: Tensor) -> Motion:
        """Motion of M frames: control (M, E) ≥ 0, 1 = natural peak; M = B, or any M for a single photo."""
        flow, shade, mask, colour, landmarks = (x.float() for x in self.decoder(encoding.skips(control)))
        control = control.float()
        still = (control == 0).all(1)
        if self.config.preset == "paper":
            zeros = torch.zeros_like(flow)
            return Motion(zeros, zeros[:, :1], torch.ones_like(mask), torch.tanh(colour), landmarks, still & False)
        presence = (1 - (1 - control.clamp(0, 1)).prod(1))[:, None, None, None]
        moved = presence * control.amax(1).clamp(min=1)[:, None, None, None]
        painted = 1 - (1 - presence) ** 8  # an opening mouth shows its inside from the first frame on
        return Motion(
            flow=moved * self.config.flow_reach * flow,
            shade=moved * torch.tanh(shade),
            mask=painted * torch.sigmoid(mask),
            colour=torch.tanh(colour),
            landmarks=landmarks,
            still=still,
        )

    @staticmethod
    def compose(source: Tensor, motion: Motion) -> Tensor:
        """Frames (M, 3, N, N) from source (M or 1, 3, N, N) in [-1, 1] at any resolution N."""
        frames, size = len(motion.flow), source.shape[-2:]
        source = source.float().expand(frames, -1, -1, -1)
        moved = warp(source, resize(motion.flow, size)) + resize(motion.shade, size)
        mask = resize(motion.mask, size)
        frame = (1 - mask) * moved + mask * resize(motion.colour, size)
        return torch.where(motion.still[:, None, None, None], source, frame)

    def forward(self, source: Tensor, control: Tensor) -> tuple[Tensor, Motion]:
        """source (B, 3, N, N) in [-1, 1], N ≥ input_px; control (B, E) -> frames (B, 3, N, N) and their motion."""
        seen = resize(source, (self.config.input_px, self.config.input_px))
        motion = self.decode(self.encode(seen, control), control)
        return self.compose(source, motion), motion


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (B, C, h, w) at another resolution, edges on edges; shrinking averages."""
    if maps.shape[-2:] == tuple(size):
        return maps
    shrinking = maps.shape[-1] > size[-1]
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=shrinking)


def warp(source: Tensor, flow: Tensor) -> Tensor:
    """``source(p + flow)``: source (B, C, H, W), flow (B, 2, H, W) in widths of the image; borders repeat."""
    height, width = flow.shape[-2:]
    x = (torch.arange(width, device=flow.device, dtype=flow.dtype) * 2 + 1) / width - 1
    y = (torch.arange(height, device=flow.device, dtype=flow.dtype) * 2 + 1) / height - 1
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)
    return F.grid_sample(
        source, grid + 2 * flow.permute(0, 2, 3, 1), mode="bilinear", padding_mode="border", align_corners=False
    )


def tiny_generator(seed: int = 0, *, preset: str = "default") -> Generator:
    """A random generator of a few thousand weights that moves and paints visibly: for tests of everything around it."""
    config = GeneratorConfig(
        preset=preset,
        input_px=32,
        paint_px=64,
        widths=(8, 8, 16),
        decoder_widths=(8, 8, 16),
        embedding=8,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(config)
        for head in (generator.decoder.to_flow_shade, generator.decoder.to_paint):
            nn.init.normal_(head.weight, std=0.05)
    return generator.eval()
