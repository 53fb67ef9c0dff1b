"""The generator: what a photograph of another expression has beyond the renderer's frame of it.

The renderer moves a fitted head and draws mouth, eyes and lids (`facemotion.rendering`); this network predicts, on top
of that, residual motion, residual light (folds, dimples, lifted cheeks, and their going away) and residual colour in
canonical crops of mouth and eyes. After Fan et al., "Controllable Image-to-Video Translation" (AAAI 2019):

* base features once per photo, residual features once per photo and unit, and skips of every frame
  ``skip_l = base_l + Σ_k c_k · residual_l,k`` with the control ``c`` = target units minus own units (our reading);
* one decoder for all units, once per frame; it also predicts how far landmarks lie from where the renderer has them;
* every output carries a factor that vanishes with the control, so ``f(I, 0) = I`` exactly.

Ours: skips follow the renderer's flow, so that the decoder sees them where the frame shows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.expressions.units import UNIT_INDEX
from facemotion.models.blocks import ConvNormAct, ResidualBlock, convolved_at_once, upsample2
from facemotion.models.compositor import View, composed_over, patch_view, sampled, whole_grid

LANDMARKS = 68
PATCHES = ("mouth", "eye_left", "eye_right")
"""Canonical crops, see `compositor.patch_view`; left and right as seen in the image."""
_LIDS = [UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]
_LIDS_COUNT = 0.4
"""How much of a lid's closing counts in `presence`: lids go their whole way where other units go half of it."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Everything that rebuilds a generator; travels in the header of its weights."""

    units: int = 52
    """Length of the control vector."""
    input_px: int = 256
    """Side of the crop that the encoder sees; coordinates and layers have half of it."""
    widths: tuple[int, ...] = (24, 40, 64, 96)
    """Channels of the encoder at strides 2, 4, 8 and 16."""
    residual_widths: tuple[int, ...] = (16, 48, 64)
    """Channels of a unit's residual at strides 4, 8 and 16."""
    decoder_widths: tuple[int, ...] = (24, 40, 64, 96)
    """Channels of the decoder at strides 2, 4, 8 and 16."""
    mouth_px: tuple[int, int] = (80, 160)
    """(height, width) of the mouth's crop."""
    mouth_widths: tuple[int, ...] = (24, 64, 80)
    """Channels of its decoder at strides 2, 4 and 8."""
    eye_px: tuple[int, int] = (56, 80)
    """(height, width) of an eye's crop."""
    eye_widths: tuple[int, ...] = (16, 40, 48)
    """Channels of its decoder."""
    dead_zone: float = 0.05
    """Strength up to which a unit counts as none: fits give faint ones to nearly all, and each costs a residual."""
    flow_reach: float = 0.03
    """Largest residual flow, crop widths."""
    gain_reach: float = 1.0
    """Largest residual log-gain."""
    colour_reach: float = 0.6
    """Largest residual colour of the crops."""

    def __post_init__(self):
        if len(self.widths) != 4 or len(self.decoder_widths) != 4 or len(self.residual_widths) != 3:
            raise ValueError("widths and decoder_widths have four entries, residual_widths three")
        if self.input_px % 16 or any(side % 8 for side in (*self.mouth_px, *self.eye_px)):
            raise ValueError("input_px must be divisible by 16, the sides of the crops by 8")
        every = (*self.widths, *self.residual_widths, *self.decoder_widths, *self.mouth_widths, *self.eye_widths)
        if any(width < 8 or width % 8 for width in every):
            raise ValueError("widths must be multiples of 8")


@dataclass
class Encoding:
    """What is computed once for each of B photos, at strides 4, 8 and 16, finest first."""

    skips: list[Tensor]
    """(B, D_l, h_l, w_l) what the decoder takes of the base features."""
    residual_input: list[Tensor]
    """(B, R_l, h_l, w_l) what every unit's residual is made of."""


@dataclass
class Residuals:
    """Residual features of the units in use, for M frames' worth of (photo, unit) pairs."""

    values: list[Tensor]
    """(N, R_l, h_l, w_l), row n for photo ``photo[n]`` and unit ``unit[n]``; finest first."""
    photo: Tensor
    unit: Tensor


@dataclass
class RenderedMaps:
    """What the decoder is told of M frames as the renderer shows them; maps cover the crop edge to edge."""

    source: Tensor
    """(M, 3, N, N) the photo, RGB in [0, 1], at any resolution."""
    flow: Tensor
    """(M, 2, h, w) crop widths."""
    log_gain: Tensor
    """(M, 1, h, w)."""
    layers: Tensor
    """(M, 4, N', N') RGBA in [0, 1], colours multiplied by alpha, at any resolution."""
    landmarks: Tensor
    """(M, 468, 2) of the frame, crop widths."""
    eye_distance: Tensor
    """(M,) distance of the outer eye corners in the source, crop widths."""


@dataclass
class CorrectionMaps:
    """What M frames have beyond the renderer's."""

    flow: Tensor
    """(M, 2, input_px / 2, input_px / 2) crop widths; added to the renderer's."""
    log_gain: Tensor
    """(M, 1, input_px, input_px); added to the renderer's."""
    patches: dict[str, Tensor]
    """(M, 3, h, w) residual colour in [-1, 1] of every canonical crop (`PATCHES`), 0 at its rim."""
    views: dict[str, View]
    """Where each canonical crop lies."""
    plain: dict[str, Tensor]
    """(M, 3, h, w) the canonical crops of the frames before their residual colour."""
    landmarks: Tensor
    """(M, 68, 2) how far iBUG's landmarks lie from the renderer's, crop widths."""


class _Film(nn.Module):
    """Scale and shift of every channel, one row per unit (Perez et al., AAAI 2018)."""

    def __init__(self, units: int, channels: int):
        super().__init__()
        self.table = nn.Embedding(units, 2 * channels)
        nn.init.normal_(self.table.weight, std=0.4)

    def forward(self, x: Tensor, unit: Tensor) -> Tensor:
        scale, shift = self.table(unit)[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        return x * (1 + scale) + shift


class _Encoder(nn.Module):
    """Photo, head coordinates and own units to base features and to what residuals are made of."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        w2, w4, w8, w16 = config.widths
        self.stem = nn.Conv2d(3, w2, 5, 2, 2, bias=False)
        self.place = nn.Conv2d(4, w2, 3, 1, 1)
        self.norm = nn.GroupNorm(8, w2)
        self.to4 = ConvNormAct(w2, w4, stride=2)
        self.at4 = ConvNormAct(w4, w4)
        self.to8 = ConvNormAct(w4, w8, stride=2)
        self.at8 = ResidualBlock(w8)
        self.to16 = ConvNormAct(w8, w16, stride=2)
        self.own = nn.Linear(config.units, w16)
        self.at16 = nn.Sequential(ResidualBlock(w16), ResidualBlock(w16))
        self.coarser = nn.Conv2d(w16, w8, 1)
        self.mix8 = ResidualBlock(w8)
        self.to_residual = nn.ModuleList(
            nn.Conv2d(width, residual, 1)
            for width, residual in zip(config.widths[1:], config.residual_widths, strict=True)
        )

    def forward(self, photo: Tensor, coordinates: Tensor, own: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Base features and what residuals are made of, finest first."""
        seen = (coordinates[:, :1] > -1.5).to(coordinates.dtype)
        place = torch.cat([coordinates * seen, seen], 1)
        hidden = F.silu(self.norm(self.stem(photo) + self.place(place)))
        at4 = self.at4(self.to4(hidden))
        at8 = self.at8(self.to8(at4))
        at16 = self.at16(self.to16(at8) + self.own(own)[:, :, None, None])
        at8 = self.mix8(at8 + upsample2(self.coarser(at16)))
        base = [at4, at8, at16]
        return base, [layer(level) for layer, level in zip(self.to_residual, base, strict=True)]


class _ResidualEncoder(nn.Module):
    """The residual features of single units, from one trunk that each unit modulates."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        r4, r8, r16 = config.residual_widths
        self.films = nn.ModuleList(_Film(config.units, width) for width in (r4, r8, r16))
        self.convs = nn.ModuleList([nn.Conv2d(r8, r8, 3, 1, 1), nn.Conv2d(r16, r16, 3, 1, 1)])

    def forward(self, encoding: Encoding, photo: Tensor, unit: Tensor) -> Residuals:
        inputs = [level.index_select(0, photo) for level in encoding.residual_input]
        fine, middle, coarse = (F.silu(film(x, unit)) for film, x in zip(self.films, inputs, strict=True))
        return Residuals([fine, F.silu(self.convs[0](middle)), F.silu(self.convs[1](coarse))], photo, unit)


class _Decoder(nn.Module):
    """Skips, where the frame shows them, to residual flow and light; runs once per frame."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        d2, d4, d8, d16 = config.decoder_widths
        widths = zip(config.widths[1:], config.residual_widths, (d4, d8, d16), strict=True)
        self.laterals = nn.ModuleList()
        self.residual_laterals = nn.ModuleList()
        for base, residual, decoder in widths:
            self.laterals.append(nn.Conv2d(base, decoder, 1))
            self.residual_laterals.append(nn.Conv2d(residual, decoder, 1, bias=False))
        self.frame = nn.Conv2d(4, d4, 3, 1, 1)
        self.at16 = ResidualBlock(d16)
        self.down = nn.ModuleList([nn.Conv2d(d16, d8, 1), nn.Conv2d(d8, d4, 1)])
        self.at8 = ResidualBlock(d8)
        self.at4 = nn.Sequential(nn.GroupNorm(8, d4), nn.SiLU(), ResidualBlock(d4))
        self.at2 = ConvNormAct(d4, d2)
        self.to_flow = nn.Conv2d(d2, 2, 3, 1, 1)
        self.to_gain = nn.Conv2d(d2, 4, 3, 1, 1)
        self.landmark_features = nn.Sequential(nn.Conv2d(d16, 24, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(4))
        self.to_landmarks = nn.Linear(24 * 16, LANDMARKS * 2)
        for head in (self.to_flow, self.to_gain, self.to_landmarks):  # start as the renderer
            for parameter in head.parameters():
                nn.init.zeros_(parameter)

    def skips(self, base: list[Tensor]) -> list[Tensor]:
        """What is taken of the base features, finest first; once per photo."""
        return [lateral(features) for lateral, features in zip(self.laterals, base, strict=True)]

    def forward(
        self, skips: list[Tensor], residual: list[Tensor], flow: Tensor, gain: Tensor, alpha: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`skips` of the photo, the frame's residual features, and the renderer's maps (M, ., h4, w4) -> features at
        stride 4, flow (M, 2, h2, w2) and gain (M, 1, h1, w1) in real numbers, landmarks (M, 136)."""
        levels = zip(skips, self.residual_laterals, residual, strict=True)
        fine, middle, coarse = (_followed(skip + lateral(change), flow) for skip, lateral, change in levels)
        hidden = self.at16(coarse)
        landmarks = self.to_landmarks(self.landmark_features(hidden).flatten(1))
        hidden = self.at8(middle + upsample2(self.down[0](hidden)))
        frame = self.frame(torch.cat([20 * flow, gain, alpha], 1).to(hidden.dtype))
        features = self.at4(fine + frame + upsample2(self.down[1](hidden)))
        hidden = self.at2(upsample2(features))
        flow, gain = convolved_at_once(hidden, self.to_flow, self.to_gain)
        return features, flow, F.pixel_shuffle(gain, 2), landmarks


class _LocalDecoder(nn.Module):
    """A canonical crop of the frame and the decoder's features there, to residual colour."""

    def __init__(self, features: int, widths: tuple[int, ...]):
        super().__init__()
        w2, w4, w8 = widths
        self.stem = ConvNormAct(4, w2, stride=2)
        self.to4 = nn.Conv2d(w2, w4, 3, 2, 1, bias=False)
        self.features = nn.Conv2d(features, w4, 1)
        self.at4 = ResidualBlock(w4)
        self.to8 = ConvNormAct(w4, w8, stride=2)
        self.at8 = ResidualBlock(w8)
        self.up4 = nn.Conv2d(w8, w4, 1)
        self.mix4 = ResidualBlock(w4)
        self.up2 = nn.Conv2d(w4, w2, 1)
        self.mix2 = ConvNormAct(2 * w2, w2)
        self.to_colour = nn.Conv2d(w2, 12, 3, 1, 1)
        for parameter in self.to_colour.parameters():
            nn.init.zeros_(parameter)

    def forward(self, crop: Tensor, features: Tensor) -> Tensor:
        """crop (M, 4, h, w) RGB and alpha of the layers; features (M, F, h/4, w/4) -> (M, 3, h, w) real numbers."""
        at2 = self.stem(2 * crop - 1)
        at4 = self.at4(self.to4(at2) + self.features(features))
        at4 = self.mix4(at4 + upsample2(self.up4(self.at8(self.to8(at4)))))
        hidden = self.mix2(torch.cat([at2, upsample2(self.up2(at4))], 1))
        return F.pixel_shuffle(self.to_colour(hidden), 2).float()


class Generator(nn.Module):
    """See the module's text. `encode` and `residuals` once per photo, `decode` once per frame."""

    def __init__(self, config: GeneratorConfig | None = None):
        super().__init__()
        self.config = config = config or GeneratorConfig()
        self.encoder = _Encoder(config)
        self.residual = _ResidualEncoder(config)
        self.decoder = _Decoder(config)
        d4 = config.decoder_widths[1]
        self.mouth = _LocalDecoder(d4, config.mouth_widths)
        self.eye = _LocalDecoder(d4, config.eye_widths)

    def effective(self, control: Tensor) -> Tensor:
        """The control without what is too faint to be seen; continuous."""
        return control.sign() * (control.abs() - self.config.dead_zone).clamp(min=0)

    def encode(self, photo: Tensor, coordinates: Tensor, own: Tensor) -> Encoding:
        """photo (B, 3, input_px, input_px) RGB in [0, 1]; coordinates (B, 3, input_px/2, input_px/2) as of
        `head_coordinates.head_coordinates`; own units (B, U)."""
        base, residual_input = self.encoder(2 * photo - 1, coordinates, own)
        return Encoding(self.decoder.skips(base), residual_input)

    def residuals(self, encoding: Encoding, control: Tensor) -> Residuals:
        """Those of the units that a control (B, U) of the photos uses."""
        photo, unit = torch.nonzero(self.effective(control), as_tuple=True)
        return self.residual(encoding, photo, unit)

    def decode(
        self, encoding: Encoding, residuals: Residuals, control: Tensor, rendered: RenderedMaps
    ) -> CorrectionMaps:
        """The frames at controls (M, U) of M photos, or of one: M = B, or B = 1."""
        control = self.effective(control)
        sums = [_weighted(level, residuals, control, len(encoding.skips[0])) for level in residuals.values]
        side = self.config.input_px // 4
        small = [_resized(m, side) for m in (rendered.flow, rendered.log_gain, rendered.layers[:, 3:])]
        features, flow, gain, landmarks = self.decoder(encoding.skips, sums, *small)
        strength = presence(control)[:, None, None, None]
        flow = strength * self.config.flow_reach * torch.tanh(flow)
        gain = strength * self.config.gain_reach * torch.tanh(gain)
        all_flow = _resized(rendered.flow, flow.shape[-1]) + flow
        all_gain = _resized(rendered.log_gain, gain.shape[-1]) + gain
        sizes = {name: self.config.mouth_px if name == "mouth" else self.config.eye_px for name in PATCHES}
        views = {name: patch_view(name, rendered.landmarks, rendered.eye_distance, sizes[name]) for name in PATCHES}
        # All views at once: many small steps would take longer.
        fine, coarse = (_in_a_row(grids) for grids in zip(*((v.grid, v.coarse) for v in views.values()), strict=True))
        frame, opacity = composed_over(rendered.source, all_flow, all_gain, rendered.layers, fine)
        crops = _one_by_one(torch.cat([frame, opacity], 1), list(sizes.values()))
        near = _one_by_one(sampled(features.float(), coarse), [(h // 4, w // 4) for h, w in sizes.values()])
        (mouth, left, right), (mouth_near, left_near, right_near) = crops, near
        eyes = self.eye(torch.cat([left, right.flip(3)]), torch.cat([left_near, right_near.flip(3)]))
        left_residual, right_residual = eyes.chunk(2)  # one decoder for both eyes, the right one mirrored
        residual = self.mouth(mouth, mouth_near), left_residual, right_residual.flip(3)
        patches = {
            name: strength * self.config.colour_reach * torch.tanh(each) * views[name].window
            for name, each in zip(PATCHES, residual, strict=True)
        }
        plain = {name: crop[:, :3] for name, crop in zip(PATCHES, crops, strict=True)}
        displacement = 0.1 * strength[..., 0] * landmarks.float().unflatten(1, (LANDMARKS, 2))
        return CorrectionMaps(flow, gain, patches, views, plain, displacement)

    def forward(
        self, photo: Tensor, coordinates: Tensor, own: Tensor, control: Tensor, rendered: RenderedMaps
    ) -> CorrectionMaps:
        """All of it, for B photos with one frame each."""
        encoding = self.encode(photo, coordinates, own)
        return self.decode(encoding, self.residuals(encoding, control), control, rendered)


def presence(control: Tensor) -> Tensor:
    """(M,) in [0, 1): 0 at control 0, nearly 1 where any unit shows well; rises evenly, so that no step of a clip is
    much larger than the others."""
    shown = control.float().clone()
    shown[:, _LIDS] *= _LIDS_COUNT
    strength = shown.norm(dim=1)
    return (1 - torch.exp(-5 * strength)) * (strength / 0.3).clamp(max=1)


def _weighted(values: Tensor, residuals: Residuals, control: Tensor, photos: int) -> Tensor:
    """One level of residuals (N, R, h, w), weighted by the effective control (M, U) and summed up: (M, R, h, w)."""
    if photos == 1:
        rows = values.permute(0, 2, 3, 1)  # as they lie in memory
        sums = control[:, residuals.unit].to(rows.dtype) @ rows.flatten(1)
        return sums.unflatten(1, rows.shape[1:]).permute(0, 3, 1, 2)
    weights = control[residuals.photo, residuals.unit][:, None, None, None].to(values.dtype)
    return values.new_zeros(len(control), *values.shape[1:]).index_add(0, residuals.photo, weights * values)


def _in_a_row(grids: Iterable[Tensor]) -> Tensor:
    """Places (M, h, w, 2) of several views as (M, 1, n, 2)."""
    return torch.cat([grid.flatten(1, 2) for grid in grids], 1)[:, None]


def _one_by_one(row: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
    """Maps (M, C, 1, n) of several views in a row as (M, C, h, w) each."""
    parts = row.split([height * width for height, width in sizes], 3)
    return [part.unflatten(3, size).squeeze(2) for part, size in zip(parts, sizes, strict=True)]


def _followed(features: Tensor, flow: Tensor) -> Tensor:
    """Features (M, C, h, w) of the photo where the frame shows them, by the renderer's flow (M, 2, h', w')."""
    side = features.shape[-1]
    at = whole_grid(side, len(flow), flow.device) + _resized(flow.float(), side).permute(0, 2, 3, 1)
    return sampled(features.float(), at).to(features.dtype)


def _resized(maps: Tensor, side: int) -> Tensor:
    """Maps (M, C, h, h) at another resolution, edges on edges; shrinking averages."""
    if maps.shape[-1] == side:
        return maps
    if maps.shape[-1] % side == 0:
        return F.avg_pool2d(maps, maps.shape[-1] // side)
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False, antialias=maps.shape[-1] > side)
