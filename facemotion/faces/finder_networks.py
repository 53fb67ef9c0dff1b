"""The two networks of the built-in face finder, and the one file they travel in.

``Detector`` looks at every place of a small picture for faces of one octave of sizes; the finder shows it the photo
at half, quarter, eighth … size. ``LandmarkNetwork`` looks at one upright crop and places the 68 iBUG landmarks.
Both are plain convolutional networks without pretrained parts.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facemotion.errors import WeightsError
from facemotion.media.atomic import write_whole
from facemotion.media.records import MalformedError, built, check_tensors, malformed, parse_object
from facemotion.weights.registry import read_verified

FORMAT = "facemotion-finder"
FORMAT_VERSION = 1

OUTSIDE = 127
"""Grey shown to the detector beyond the edge of a photo: zero after `detector_input`."""


@dataclass(frozen=True)
class DetectorConfig:
    """Shape of the detector; the sizes are face sizes (longer side of the landmarks' bounding box) in input px."""

    widths: tuple[int, int, int] = (16, 32, 64)
    """Channels at strides 2, 4 and 8."""
    blocks: int = 6
    """Residual blocks at stride 8; each widens the field of view by 32 px."""
    expansion: float = 1.5
    """Inner width of a residual block relative to its outer width."""
    smallest_px: float = 22.0
    largest_px: float = 54.0
    """Faces of these sizes are the detector's business; the picture pyramid brings every face into the range."""

    stride = 8


@dataclass(frozen=True)
class LandmarkConfig:
    """Shape of the landmark network."""

    input_px: int = 128
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    """Channels at strides 2, 4, 8 and 16."""
    points: int = 68


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1, act: bool = True
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))

    def fuse(self) -> None:
        """Fold the normalisation into the convolution (evaluation only)."""
        self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class SeparableBlock(nn.Module):
    """Depthwise 5×5, then two pointwise convolutions, added to the input."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.layers = nn.Sequential(
            ConvUnit(width, width, kernel=5, groups=width, act=False),
            ConvUnit(width, inner, kernel=1),
            ConvUnit(inner, width, kernel=1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions added to the input (He et al. 2016)."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(ConvUnit(width, width), ConvUnit(width, width, act=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


class Detector(nn.Module):
    """Fully convolutional, anchor-free, one scale: every cell of a stride-8 grid votes for one face.

    ``forward`` takes (B, 3, H, W) in [-1, 1], H and W multiples of 8, and returns (B, 14, H/8, W/8):
    0 logit of "a face is centred near here", 1–2 offset of its centre from the cell's centre, 3 log of its size over
    ``sqrt(smallest_px · largest_px)``, 4–13 offsets of five points (eyes, nose tip, mouth corners; x, y each) from
    the cell's centre. Offsets are in units of 16 px.
    """

    channels = 14
    offset_px = 16.0

    def __init__(self, config: DetectorConfig):
        super().__init__()
        self.config = config
        half, quarter, eighth = config.widths
        self.stem = nn.Sequential(
            ConvUnit(3, half, stride=2), ConvUnit(half, quarter, stride=2), ConvUnit(quarter, eighth, stride=2)
        )
        inner = round(eighth * config.expansion)
        self.blocks = nn.Sequential(*(SeparableBlock(eighth, inner) for _ in range(config.blocks)))
        self.head = nn.Sequential(ConvUnit(eighth, eighth, kernel=1), nn.Conv2d(eighth, self.channels, 1))
        nn.init.normal_(self.head[1].weight, std=0.01)
        nn.init.zeros_(self.head[1].bias)
        self.head[1].bias.data[0] = -4.0  # faces are rare: start out saying no (Lin et al. 2017, section 4.1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(pictures)))


class LandmarkNetwork(nn.Module):
    """68 landmarks as expectations of heat-maps (soft-argmax; Nibali et al. 2018), with a face score.

    ``forward`` takes crops (B, 3, input_px, input_px), each normalised to mean 0 and deviation 1, and returns
    landmarks (B, 68, 2) in crop px (pixel centres at integers), the logit (B,) of "this is a face", and the log (B,)
    of the expected mean landmark error in crop px.
    """

    def __init__(self, config: LandmarkConfig):
        super().__init__()
        self.config = config
        w2, w4, w8, w16 = config.widths
        self.to4 = nn.Sequential(ConvUnit(3, w2, stride=2), ConvUnit(w2, w4, stride=2), ResidualBlock(w4))
        self.to8 = nn.Sequential(ConvUnit(w4, w8, stride=2), ResidualBlock(w8))
        self.to16 = nn.Sequential(ConvUnit(w8, w16, stride=2), ResidualBlock(w16), ResidualBlock(w16))
        self.to32 = nn.Sequential(ConvUnit(w16, w16, stride=2), ResidualBlock(w16))
        self.from32 = ConvUnit(w16, w16, kernel=1)
        self.from16 = ConvUnit(w16, w8, kernel=1)
        self.at8 = ConvUnit(w8, w8)
        self.from8 = ConvUnit(w8, w4, kernel=1)
        self.at4 = nn.Sequential(ConvUnit(w4, w4), ConvUnit(w4, config.points, kernel=1))
        self.heat = nn.Conv2d(config.points, config.points, 1)
        self.verdict = nn.Linear(w16, 2)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        at4 = self.to4(crops)
        at8 = self.to8(at4)
        at16 = self.to16(at8)
        at32 = self.to32(at16)
        at16 = at16 + _double(self.from32(at32))
        at8 = self.at8(at8 + _double(self.from16(at16)))
        heat = self.heat(self.at4(at4 + _double(self.from8(at8))))
        verdict = self.verdict(at32.mean((2, 3))).float()
        return self._expectation(heat.float()), verdict[:, 0], verdict[:, 1]

    def _expectation(self, heat: Tensor) -> Tensor:
        cells = heat.shape[-1]
        step = self.config.input_px / cells
        # cells a margin beyond the crop's edge let a landmark lie on, or just outside, the edge
        positions = ((torch.arange(cells, device=heat.device) + 0.5) / cells - 0.5) * (cells + 2) * step
        positions = positions + (self.config.input_px - 1) / 2
        weights = heat.flatten(2).softmax(-1).view_as(heat)
        return torch.stack([(weights.sum(2) * positions).sum(-1), (weights.sum(3) * positions).sum(-1)], -1)


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")


def detector_input(pictures: np.ndarray) -> Tensor:
    """Pictures (B, H, W, 3) uint8 as the detector wants them: (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(OUTSIDE).sub_(1.0)


def landmark_input(crops: np.ndarray) -> Tensor:
    """Crops (B, N, N, 3) uint8 as the landmark network wants them: each with mean 0 and deviation 1."""
    values = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    deviation, mean = torch.std_mean(values, (1, 2, 3), keepdim=True)
    return (values - mean) / (deviation + 4.0)


def fuse(network: nn.Module) -> nn.Module:
    """Fold every normalisation into its convolution: the same function, faster, no longer trainable."""
    network.eval()
    for module in network.modules():
        if isinstance(module, ConvUnit):
            module.fuse()
    return network


def save_finder(path: Path, detector: Detector, landmarks: LandmarkNetwork, *, record: dict) -> None:
    """Write both networks as float16 to one safetensors file, configuration and training ``record`` in its header."""
    tensors = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in _stored(detector, landmarks).items()
    }
    header = {
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "detector": json.dumps(asdict(detector.config)),
        "landmarks": json.dumps(asdict(landmarks.config)),
        "record": json.dumps(record, sort_keys=True),
    }
    write_whole(path, save(tensors, metadata=header))


def load_finder(path: Path, *, sha256: str | None = None) -> tuple[Detector, LandmarkNetwork, dict]:
    """Read both networks (float32, evaluation mode) and the training record.

    ``sha256`` is what the content must hash to, where that is known. Raises WeightsError for a file that is damaged or
    was written by something else.
    """
    content = read_verified(path, sha256)
    try:
        with malformed(SafetensorError):
            tensors = load(content)
        header = parse_object(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    except MalformedError as error:
        raise WeightsError(f"Cannot read the face finder {path}: {error}", "Install facemotion again.") from error
    if header.get("format") != FORMAT or header.get("version") != str(FORMAT_VERSION):
        raise WeightsError(f"{path} is no face finder of this version.", "Install facemotion again.")
    try:
        with malformed():
            configs = [
                built(kind, parse_object(header[part]))
                for part, kind in (("detector", DetectorConfig), ("landmarks", LandmarkConfig))
            ]
            if configs[0].blocks > len(tensors):
                raise MalformedError("more blocks than tensors")
            record = parse_object(header["record"])
            with torch.device("meta"):  # takes no memory, whatever sizes the header asks for
                check_tensors(tensors, _stored(Detector(configs[0]), LandmarkNetwork(configs[1])))
            detector, landmarks = Detector(configs[0]), LandmarkNetwork(configs[1])
            for part, network in (("detector", detector), ("landmarks", landmarks)):
                prefix = part + "."
                state = {name.removeprefix(prefix): t.float() for name, t in tensors.items() if name.startswith(prefix)}
                network.load_state_dict(network.state_dict() | state)
    except MalformedError as error:
        message = f"The face finder {path} does not fit its own header ({error})."
        raise WeightsError(message, "Install facemotion again.") from error
    return detector.eval(), landmarks.eval(), record


def _stored(detector: Detector, landmarks: LandmarkNetwork) -> dict[str, Tensor]:
    """The tensors of both networks by their names in the file: all but what only training counts."""
    return {
        f"{part}.{name}": tensor
        for part, network in (("detector", detector), ("landmarks", landmarks))
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
