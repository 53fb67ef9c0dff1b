"""The generator ``f(I, a)``: one photo and a control vector to a frame.

After Fan et al., "Controllable Image-to-Video Translation" (AAAI 2019, arXiv 1808.02992): the control value enters
through the skip connections. Our reading of it, and what is built on top:

* skip level ``l`` of the decoder receives ``base_l + Σ_e a_e · residual_{l,e}``; base and residuals are computed once
  per photo, the decoder once per frame;
* the decoder moves the photo's own pixels and paints only what was hidden:
  ``frame = (1 − mask) · (1 + shade) · warp(I, flow) + mask · colour``, black being 0, and eyeballs stay as they are in
  the photo. Flow, shade and mask carry a factor that vanishes with the control, so ``f(I, 0) = I`` by construction;
* where the photo shows glasses, nothing moves but the eyes behind them (`glasses`);
* mask and colour are painted on top of the photo as it was moved, at its full input resolution, with the predicted
  landmarks as anchors (`PaintHead`);
* the preset ``paper`` paints everything: ``frame = colour``.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.expressions.grammar import EXPRESSIONS, LIPS_TOGETHER
from facemotion.media.records import built
from facemotion.models.anchors import (
    EYE_DETAILS,
    MOUTH_DETAILS,
    POINTS,
    TEETH_AT,
    Anchors,
    Box,
    Region,
    eyeballs,
    in_parts,
    on_the_lip,
)
from facemotion.models.blocks import ConvNormAct, ResidualBlock, blank, part_of_upsample2, upsample2
from facemotion.models.encoders import BaseEncoder, ResidualEncoder
from facemotion.models.glasses import GLASSES_LEVEL, Glasses, rims
from facemotion.models.lids import in_skin_tone, without_eyes

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
    paint_width: int = 32
    """Channels of the paint head, which works at ``input_px``."""
    flow_reach: float = 0.1
    """Flow, in crop widths, of a flow output of 1."""

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if self.residual not in ("shared", "separate"):
            raise ValueError(f"residual must be 'shared' or 'separate', not {self.residual!r}")
        if min(self.input_px, self.paint_px, self.embedding, self.paint_width, *self.widths, *self.decoder_widths) < 1:
            raise ValueError("sizes and widths must be positive")
        if len(self.widths) != len(self.decoder_widths) or len(self.widths) < 2:
            raise ValueError("widths and decoder_widths must have one entry per level each, and two at least")
        ratio, rest = divmod(self.paint_px, self.input_px)
        if rest or ratio & (ratio - 1) or not ratio:
            raise ValueError(f"paint_px ({self.paint_px}) must be input_px ({self.input_px}) times a power of two")
        if self.input_px % 2 ** len(self.widths):
            raise ValueError(f"input_px ({self.input_px}) must be divisible by {2 ** len(self.widths)}")

    @classmethod
    def from_dict(cls, values: dict) -> "GeneratorConfig":
        """The inverse of ``dataclasses.asdict`` after a trip through JSON; what does not fit raises ``ValueError``."""
        return built(cls, values)


@dataclass
class Encoding:
    """What the decoder needs of ``B`` photos; computed once, used for every frame.

    ``source`` (B, 3, input_px, input_px) the photos as seen; ``base[l]`` (B, C_l, h_l, w_l); ``residual[l]``
    (N, C_l, h_l, w_l), row ``n`` for photo ``photo[n]`` and expression ``expression[n]``.
    """

    source: Tensor
    base: list[Tensor]
    residual: list[Tensor]
    photo: Tensor
    expression: Tensor
    landmarks: Tensor
    """(B, 78, 2) as `Motion.landmarks`, of the photo itself."""
    skin: Tensor
    """(B, 3, input_px, input_px) the photos with skin where they show eyes."""
    rigid: Tensor
    """(B, 1, input_px/2, input_px/2) in [0, 1]: where nothing moves, because it is glasses."""

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
    ``shade`` (M, 1, 2h, 2w): by which share the moved pixels become brighter; ``mask`` (M, 1, P, P) in [0, 1];
    ``colour`` (M, 3, P, P) in [-1, 1]; ``landmarks`` (M, 78, 2): predicted landmarks of the frame and points of its
    teeth (`anchors.POINTS`), crop widths.
    """

    flow: Tensor
    shade: Tensor
    mask: Tensor
    colour: Tensor
    kept: Tensor
    """(M, 1, P, P) in [0, 1]: how much of the photo itself is seen, neither moved nor painted: eyeballs."""
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
        self.to_flow_shade = nn.Conv2d(widths[0], 2 + 4, 3, 1, 1)
        self.landmark_features = nn.Sequential(nn.Conv2d(widths[-1], 32, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(4))
        self.to_landmarks = nn.Linear(32 * 16, 68 * 2)
        self.to_teeth = nn.Linear(68 * 2, (POINTS - 68) * 2)
        nn.init.zeros_(self.to_flow_shade.weight)  # start as the identity
        nn.init.zeros_(self.to_flow_shade.bias)
        nn.init.constant_(self.to_landmarks.bias, 0.5)
        row = torch.tensor([(0.5 + 0.4 * at, 0.7) for at in TEETH_AT])
        nn.init.zeros_(self.to_teeth.weight)
        self.to_teeth.bias.data.copy_(torch.cat([row, row]).flatten())

    def forward(self, skips: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Skips, finest first -> features for the paint, raw flow (2), shade (1) at twice their resolution, landmarks
        (78, 2)."""
        skips = [lateral(skip) for lateral, skip in zip(self.laterals, skips, strict=True)]
        hidden = self.coarsest(skips[-1])
        landmarks = self._landmarks(hidden)
        for level in reversed(range(len(self.reductions))):
            hidden = upsample2(self.reductions[level](hidden)) + skips[level]
            hidden = self.refinements[level](hidden)
        with torch.autocast(hidden.device.type, enabled=False):  # in full precision, for motion without steps
            weight, bias = self.to_flow_shade.weight.float(), self.to_flow_shade.bias.float()
            flow_shade = F.conv2d(hidden.float(), weight, bias, padding=1)
        return hidden, flow_shade[:, :2], F.pixel_shuffle(flow_shade[:, 2:], 2), landmarks

    def located(self, coarsest_skip: Tensor) -> Tensor:
        """The landmarks (M, 78, 2) alone, from the coarsest skip."""
        return self._landmarks(self.coarsest(self.laterals[-1](coarsest_skip)))

    def _landmarks(self, coarsest: Tensor) -> Tensor:
        """(M, 78, 2): the teeth stand where the other landmarks, the lips among them, say."""
        face = _summed(self.landmark_features(coarsest).flatten(1), self.to_landmarks)
        return torch.cat([face, _summed(face.detach(), self.to_teeth)], 1).unflatten(1, (POINTS, 2))


def _summed(values: Tensor, linear: nn.Linear) -> Tensor:
    """A linear layer in full precision: a step of bfloat16 near 0.5 is a pixel of the paint."""
    weight, bias = linear.weight.float(), linear.bias.float()
    return (values.float()[:, None] * weight).sum(-1) + bias  # no matrix product: autocast leaves sums alone


_REACH = 4
"""How far, in its pixels, the four 3 × 3 convolutions of the paint head look."""
_DETAIL_WIDTH = 16
_PAINT_CHANNELS, _SKIN_CHANNELS = 4, 2
"""What is painted: three colours and opacity; what of it is skin: its share, and its light."""


class Detail(nn.Module):
    """What is painted of one kind of region, pixel by pixel of the paint, on top of what the convolutions say.

    They work at the input's resolution, where a pixel stands for ``detail``² of the paint; gaps between teeth and the
    edges of lips and lids are finer than their few channels can tell. Here each pixel of the paint has its own texture
    and distances, and is told by the convolutions' features what light and colour the face has.
    """

    def __init__(self, details: int, width: int, outputs: int):
        super().__init__()
        self.told = nn.Conv2d(width, _DETAIL_WIDTH, 1)
        self.inner = nn.Linear(details, _DETAIL_WIDTH)
        self.middle = nn.Linear(_DETAIL_WIDTH, _DETAIL_WIDTH)
        self.outer = nn.Linear(_DETAIL_WIDTH, outputs)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, details: Tensor, hidden: Tensor) -> Tensor:
        """Details (M, C, k·h, k·w), features (M, width, h, w) -> (M, outputs, k·h, k·w)."""
        size = details.shape[-2:]
        told = F.interpolate(self.told(hidden), size, mode="bilinear", align_corners=False).flatten(2)
        inner = F.silu(_pixelwise(self.inner, details.to(hidden.dtype).flatten(2)) + told)
        return _pixelwise(self.outer, F.silu(_pixelwise(self.middle, inner))).unflatten(2, size)


def _pixelwise(linear: nn.Linear, values: Tensor) -> Tensor:
    """A layer of every pixel's own: (M, C, n) -> (M, C', n); as a product, which CPUs have done with several times
    before a 1 × 1 convolution of so few channels."""
    return torch.baddbmm(linear.bias[:, None], linear.weight.expand(len(values), -1, -1), values)


class PaintHead(nn.Module):
    """The decoder's features and the photo as it was moved, at the photo's full input resolution, to mask and colour.

    The features have half that resolution. What is painted must meet what was moved: lips and teeth share an edge
    that the features alone place to within a pixel or two. The maps of `Anchors` at the predicted landmarks scale and
    shift the features (FiLM, pixel by pixel). Mouth and eyes are painted; elsewhere nothing comes to light that the
    photo does not show, skin keeps its own pixels, and nothing is computed. Lids take their colour from the skin around
    them (`lids.without_eyes`): each pixel of an eye is told which share of it is skin, and how bright.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        width, moved = config.paint_width, 3 if config.preset == "default" else 0
        self.shuffle = config.paint_px // config.input_px
        self.features = nn.Sequential(
            ConvNormAct(config.decoder_widths[0], config.decoder_widths[0]),
            nn.Conv2d(config.decoder_widths[0], width, 1),
        )
        self.mix = nn.Conv2d(width + moved, width, 3, 1, 1)
        self.anchors = Anchors(self.shuffle) if moved else None
        self.anchor = nn.Conv2d(self.anchors.channels, 2 * width, 1) if moved else None
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        self.to_paint = nn.Conv2d(width, 4 * self.shuffle**2, 3, 1, 1)
        kinds = {"mouth": (MOUTH_DETAILS, _PAINT_CHANNELS), "eye": (EYE_DETAILS, _PAINT_CHANNELS + _SKIN_CHANNELS)}
        self.details = nn.ModuleDict(
            {kind: Detail(told, width, said) for kind, (told, said) in kinds.items()} if moved else {}
        )
        nn.init.zeros_(self.to_paint.weight)
        nn.init.zeros_(self.to_paint.bias)
        if config.preset == "default":
            nn.init.constant_(self.to_paint.bias[3 * self.shuffle**2 :], -3.0)

    def forward(
        self,
        features: Tensor,
        moved: Tensor | None = None,
        landmarks: Tensor | None = None,
        skin: Tensor | None = None,
        parted: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features (M, C, h, w), moved photo and `Encoding.skin` (M, 3, 2h, 2w), landmarks (M, 78, 2) -> mask (M, 1, P,
        P) in [0, 1], colour (M, 3, P, P) in [-1, 1], float32. ``parted`` (M,) in [0, 1]: how far the mouth may be
        painted at all. The preset ``paper`` has the features alone."""
        coarse = self.features(features)
        if self.anchor is not None:
            return self._painted(partial(part_of_upsample2, coarse), moved, landmarks, skin, parted)
        paint = self._convolved(F.silu(self.mix(upsample2(coarse))))[0].float()
        return torch.ones_like(paint[:, 3:]), torch.tanh(paint[:, :3])

    def spread(self, features: Tensor) -> Tensor:
        """The decoder's features at twice their resolution: (M, C, h, w) -> (M, paint_width, 2h, 2w)."""
        return upsample2(self.features(features))

    def paint(self, hidden: Tensor, moved: Tensor, landmarks: Tensor, skin: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` gives, from what `spread` gave: a crop of all of it, with the landmarks in widths of that
        crop, gives the crop of the result."""
        return self._painted(lambda box: hidden[(..., *box)], moved, landmarks, skin)

    def _painted(
        self,
        hidden: Callable[[Box], Tensor],
        moved: Tensor,
        landmarks: Tensor,
        skin: Tensor,
        parted: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What `paint` gives; ``hidden`` is asked for parts of what `spread` gives."""
        count, side = len(moved), moved.shape[-1]
        size = self.shuffle * side
        mask = blank(count, 1, size, size, device=moved.device)
        colour = blank(count, size, size, 3, device=moved.device).permute(0, 3, 1, 2)  # as frames lie
        for region in self.anchors.regions(landmarks, side, margin=_REACH):
            around, inside = (..., *region.seen), (..., *region.box)
            opaque, painted = self._region(region, hidden(region.seen), moved[around], skin[inside])
            if parted is not None and region.kind == "mouth":
                opaque = opaque * parted[:, None, None, None]
            there = (..., *in_parts(self.shuffle, region.box))
            under = mask[there].clone() * (1 - opaque)  # regions that overlap are laid one on the other
            total = opaque + under
            colour[there] = (opaque * painted + under * colour[there].clone()) / total.clamp(min=1e-6)
            mask[there] = total
        return mask, colour

    def _region(self, region: Region, hidden: Tensor, moved: Tensor, skin: Tensor) -> tuple[Tensor, Tensor]:
        """Mask and colour of a region, from features and photo around it, and the skin in it."""
        hidden = self.mix(torch.cat([hidden, moved.to(hidden.dtype)], 1))
        weight, bias = self.anchor.weight[:, region.channels], self.anchor.bias
        told = F.conv2d(region.maps.to(hidden.dtype), weight.to(hidden.dtype), bias.to(hidden.dtype))
        gain, offset = told.chunk(2, 1)
        paint, hidden = self._convolved(F.silu(hidden * (1 + gain) + offset))
        detail = self.details[region.kind](region.details, region.cut(hidden)).float()
        paint = region.cut(paint, self.shuffle).float() + detail[:, :_PAINT_CHANNELS]
        colour = torch.tanh(paint[:, :3])
        if region.kind == "eye":
            share, light = detail[:, _PAINT_CHANNELS:].split(1, 1)
            skin = resize(skin, colour.shape[-2:])
            colour = torch.lerp(colour, lit(skin, light), torch.sigmoid(share))
            colour = in_skin_tone(colour, skin, region.lid)
        return region.window * opacity(paint[:, 3:]), colour

    def _convolved(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Colour and mask (M, 4, P, P) as the convolutions have them, and their last features (M, width, h, w)."""
        hidden = F.silu(hidden + self.second(F.silu(self.first(hidden))))
        return F.pixel_shuffle(self.to_paint(hidden), self.shuffle), hidden


_EXACT = ("decoder.to_flow_shade.", "decoder.to_landmarks.", "decoder.to_teeth.", "paint_head.anchors.")


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
        self.paint_head = PaintHead(self.config)
        self.glasses = Glasses(self.config.widths[GLASSES_LEVEL]) if self.config.preset == "default" else None

    def place(self, device: torch.device, dtype: torch.dtype, memory_format: torch.memory_format) -> "Generator":
        """Move to a device and to a type of numbers, in place; what tells places keeps its full precision.

        Teeth are told by differences of landmarks: their weights in bfloat16 put them a whole tooth beside the lips.
        """
        exact = {name: p.detach().clone() for name, p in self.named_parameters() if name.startswith(_EXACT)}
        self.to(device, dtype, memory_format=memory_format)
        for name, parameter in self.named_parameters():
            if name in exact:
                parameter.data = exact[name].to(device)
        return self

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
        # Not under no_grad: autocast would keep its casts of the weights, and their gradients would be lost.
        landmarks = self.decoder.located(base[-1]).detach()
        skin, rigid = source, source.new_zeros(len(source), 1, 1, 1)
        if self.glasses is not None:
            skin = without_eyes(source, landmarks)
            rigid = self.glasses(base[GLASSES_LEVEL])[:, None, None, None] * rims(landmarks, base[0].shape[-1])
        return Encoding(source, base, residual, photo, expression, landmarks, skin, rigid)

    def decode(self, encoding: Encoding, control: Tensor, anchors: Tensor | None = None) -> Motion:
        """Motion of M frames: control (M, E) ≥ 0, 1 = natural peak; M = B, or any M for a single photo.

        ``anchors`` (M, 78, 2) crop widths are the landmarks that the paint is anchored to, by default, and where they
        are not numbers, the predicted ones. Training gives those of the target: where exactly lips part cannot be
        foretold, and paint that had to guess would be soft over the whole range of guesses; anchored, it learns what is
        where *given* the lips.
        """
        features, flow, shade, landmarks = self.decoder(encoding.skips(control))
        flow, shade = flow.float(), shade.float()
        control = control.float()
        still = (control == 0).all(1)
        if self.config.preset == "paper":
            mask, colour = self.paint_head(features)
            kept = torch.zeros_like(mask)
            return Motion(torch.zeros_like(flow), torch.zeros_like(shade), mask, colour, kept, landmarks, still & False)
        flow, shade, painted = self.moving(flow, shade, control)
        flow = flow * (1 - encoding.rigid)
        foreseen = on_the_lip(landmarks.detach())
        anchors = foreseen if anchors is None else torch.where(anchors.isnan(), foreseen, anchors.float())
        seen = moved_photo(encoding.source, flow.detach(), shade.detach())  # paint follows the motion, not the reverse
        shut = control.new_tensor([name in LIPS_TOGETHER for name in self.config.expressions])
        parted = _painted_share(_presence(control * (1 - shut))) / painted.clamp(min=1e-6)
        mask, colour = self.paint_head(features, seen, anchors, encoding.skin.expand(len(anchors), -1, -1, -1), parted)
        return Motion(
            flow=flow,
            shade=shade,
            mask=painted[:, None, None, None] * mask,
            colour=colour,
            kept=eyeballs(anchors, encoding.landmarks.expand(len(anchors), -1, -1), self.config.paint_px, where=~still),
            landmarks=landmarks,
            still=still,
        )

    def moving(self, flow: Tensor, shade: Tensor, control: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's raw flow and shade to those of `Motion`, and the mask's factor (M,); all are 0 at control 0."""
        presence = _presence(control)
        strength = (presence * control.amax(1).clamp(min=1))[:, None, None, None]
        return strength * self.config.flow_reach * flow, strength * torch.tanh(shade), _painted_share(presence)

    @staticmethod
    def compose(source: Tensor, motion: Motion) -> Tensor:
        """Frames (M, 3, N, N) from source (M or 1, 3, N, N) in [-1, 1] at any resolution N."""
        frames, size = len(motion.flow), source.shape[-2:]
        source = source.float().expand(frames, -1, -1, -1)
        mask = resize(motion.mask, size)
        frame = (1 - mask) * moved_photo(source, motion.flow, motion.shade) + mask * resize(motion.colour, size)
        kept = resize(motion.kept, size)
        frame = (1 - kept) * frame + kept * source
        return torch.where(motion.still[:, None, None, None], source, frame)

    def forward(self, source: Tensor, control: Tensor) -> tuple[Tensor, Motion]:
        """source (B, 3, N, N) in [-1, 1], N ≥ input_px; control (B, E) -> frames (B, 3, N, N) and their motion."""
        seen = resize(source, (self.config.input_px, self.config.input_px))
        motion = self.decode(self.encode(seen, control), control)
        return self.compose(source, motion), motion


def _presence(control: Tensor) -> Tensor:
    """(M,) how far any expression of a control (M, E) is there at all, 0 to 1."""
    return 1 - (1 - control.clamp(0, 1)).prod(1)


def _painted_share(presence: Tensor) -> Tensor:
    """An opening mouth shows its inside from the first frame on."""
    return 1 - (1 - presence) ** 8


def opacity(logits: Tensor) -> Tensor:
    """Mask logits to a mask in [0, 1] that reaches 1, which a sigmoid alone does not: an iris shone through closed
    lids that were painted to nine tenths."""
    return (1.2 * torch.sigmoid(logits)).clamp(max=1)


def lit(skin: Tensor, light: Tensor) -> Tensor:
    """Skin (M, 3, h, w) in [-1, 1] in another light (M, 1, h, w), real numbers: black, as it is, to twice as bright."""
    return ((skin + 1) * (1 + torch.tanh(light)) - 1).clamp(max=1)


def moved_photo(source: Tensor, flow: Tensor, shade: Tensor) -> Tensor:
    """Source (M or 1, 3, N, N) in [-1, 1], moved and shaded: (M, 3, N, N). Light multiplies: a fold in red skin is dark
    red, not grey."""
    size = source.shape[-2:]
    pixels = warp(source.float().expand(len(flow), -1, -1, -1), resize(flow, size))
    return (pixels + 1) * (1 + resize(shade, size)).clamp(min=0) - 1


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
        details = [detail.outer for detail in generator.paint_head.details.values()]
        for head in (generator.decoder.to_flow_shade, generator.paint_head.to_paint, *details):
            nn.init.normal_(head.weight, std=0.05)
        angles = torch.linspace(0, 2 * torch.pi, 68)
        around = 0.5 + 0.3 * torch.stack([angles.cos(), angles.sin()], 1)  # landmarks far enough apart to anchor paint
        lips = torch.linspace(torch.pi, 2.75 * torch.pi, 8)  # from the left corner over the upper lip: an open mouth
        around[60:] = torch.stack([0.5 + 0.15 * lips.cos(), 0.7 + 0.1 * lips.sin()], 1)
        generator.decoder.to_landmarks.bias.data.copy_(around.flatten())
        generator.decoder.to_landmarks.weight.data *= 0.2
    return generator.eval()
