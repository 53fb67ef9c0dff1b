"""The network that sees what lies in front of a face, and the file it travels in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, pixel_shuffle
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facemotion.errors import WeightsError
from facemotion.media.records import MalformedError, built, check_tensors, malformed, parse_object
from facemotion.weights.registry import read_verified

FORMAT = "facemotion-occlusion"
FORMAT_VERSION = 2

_ROWS, _COLUMNS = (0.30, 0.58), (0.12, 0.88)
"""Part of the crop in which glasses are looked for; crops are aligned, so that eyes lie there."""
_CELLS = (6, 14)
"""Rows and columns of the means that tell them."""


@dataclass(frozen=True)
class OcclusionConfig:
    """Shape of the network; travels in the header of its weights."""

    input_px: int = 128
    """Side of the aligned crop (`geometry.photo_to_crop`) that it sees, and of the mask that it gives."""
    widths: tuple[int, int, int, int] = (16, 32, 64, 80)
    """Channels at strides 2, 4, 8 and 16."""


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))

    def fuse(self) -> None:
        """Fold the normalisation into the convolution (evaluation only)."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class OcclusionNetwork(nn.Module):
    """A small U-Net (Ronneberger et al., 2015): crop in, logits of "something else is in front of the face" out."""

    def __init__(self, config: OcclusionConfig | None = None):
        super().__init__()
        self.config = config or OcclusionConfig()
        w2, w4, w8, w16 = self.config.widths
        self.to2 = nn.Sequential(ConvUnit(3, w2, stride=2), ConvUnit(w2, w2))
        self.to4 = nn.Sequential(ConvUnit(w2, w4, stride=2), ConvUnit(w4, w4))
        self.to8 = nn.Sequential(ConvUnit(w4, w8, stride=2), ConvUnit(w8, w8))
        self.to16 = nn.Sequential(ConvUnit(w8, w16, stride=2), ConvUnit(w16, w16))
        self.whole = nn.Linear(w16, w16)  # the light and the skin of the whole face
        self.from16 = ConvUnit(w16, w8, kernel=1)
        self.at8 = ConvUnit(w8, w8)
        self.from8 = ConvUnit(w8, w4, kernel=1)
        self.at4 = ConvUnit(w4, w4)
        self.from4 = ConvUnit(w4, w2, kernel=1)
        self.at2 = ConvUnit(w2, w2)
        self.to_mask = nn.Conv2d(w2, 4, 3, 1, 1)
        # A linear score, fitted in closed form (`facemotion.training.occlusion.glasses`): none until then.
        self.glasses_weight: Tensor
        self.glasses_bias: Tensor
        self.register_buffer("glasses_weight", torch.zeros((w4 + w8) * _CELLS[0] * _CELLS[1]))
        self.register_buffer("glasses_bias", torch.zeros(()))

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (B, 3, input_px, input_px) as of `occlusion_input` -> logits (B, 1, input_px, input_px)."""
        return self.look(crops)[0]

    def look(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """The same logits, and what `glasses_weight` is to weigh, (B, n): means of features around the eyes."""
        at2 = self.to2(crops)
        at4 = self.to4(at2)
        at8 = self.to8(at4)
        means = torch.cat([_around_eyes(each) for each in (at4, at8)], 1)
        at16 = self.to16(at8)
        at16 = at16 + self.whole(at16.mean((2, 3)))[..., None, None]
        at8 = self.at8(at8 + _double(self.from16(at16)))
        at4 = self.at4(at4 + _double(self.from8(at8)))
        at2 = self.at2(at2 + _double(self.from4(at4)))
        return pixel_shuffle(self.to_mask(at2), 2), means

    def glasses(self, means: Tensor) -> Tensor:
        """(B,) about 1 for a face with glasses, about 0 for one without, of the means that `look` gives."""
        return (means * self.glasses_weight).sum(1) + self.glasses_bias


def _around_eyes(features: Tensor) -> Tensor:
    """Features (B, C, h, w) of a crop -> (B, C * cells) means of cells around the eyes."""
    rows, columns = (
        slice(int(low * side), int(high * side) + 1)
        for (low, high), side in zip((_ROWS, _COLUMNS), features.shape[-2:], strict=True)
    )
    return adaptive_avg_pool2d(features[..., rows, columns].float(), _CELLS).flatten(1)


def fused(network: OcclusionNetwork) -> OcclusionNetwork:
    """The same function, faster, with every normalisation folded into its convolution; no longer trainable."""
    network.eval()
    for module in network.modules():
        if isinstance(module, ConvUnit):
            module.fuse()
    return network


def occlusion_input(crops: np.ndarray) -> Tensor:
    """Crops (B, N, N, 3) uint8 RGB as the network wants them: (B, 3, N, N) in [-1, 1]."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def save_occlusion(path: Path, network: OcclusionNetwork, *, record: dict) -> None:
    """Write the network as float16 safetensors, configuration and training ``record`` in its header."""
    tensors = {name: tensor.half().contiguous() for name, tensor in _stored(network).items()}
    header = {
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "config": json.dumps(asdict(network.config)),
        "record": json.dumps(record, sort_keys=True),
    }
    temporary = path.with_name(path.name + ".part")
    save_file(tensors, temporary, metadata=header)
    temporary.replace(path)


def load_occlusion(path: Path, *, sha256: str | None = None) -> OcclusionNetwork:
    """Read the network (float32, evaluation mode).

    ``sha256`` is what the content must hash to, where that is known. Raises WeightsError for a damaged or foreign file.
    """
    content = read_verified(path, sha256)
    try:
        with malformed(SafetensorError):
            tensors = load(content)
        header = parse_object(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    except MalformedError as error:
        raise WeightsError(f"Cannot read the occlusion network {path}: {error}", "Install facemotion again.") from error
    if header.get("format") != FORMAT or header.get("version") != str(FORMAT_VERSION):
        raise WeightsError(f"{path} is no occlusion network of this version.", "Install facemotion again.")
    try:
        with malformed():
            config = built(OcclusionConfig, parse_object(header["config"]))
            with torch.device("meta"):  # takes no memory, whatever sizes the header asks for
                check_tensors(tensors, _stored(OcclusionNetwork(config)))
            network = OcclusionNetwork(config)
            network.load_state_dict(network.state_dict() | {name: t.float() for name, t in tensors.items()})
    except MalformedError as error:
        message = f"The occlusion network {path} does not fit its own header ({error})."
        raise WeightsError(message, "Install facemotion again.") from error
    return network.eval()


def _stored(network: OcclusionNetwork) -> dict[str, Tensor]:
    return {name: t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")
