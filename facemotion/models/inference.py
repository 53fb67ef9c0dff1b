"""The generator beside the renderer: arrays in, arrays out, on a CPU or a GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from facemotion.device import Placement, single_threaded
from facemotion.head.rig import Rig
from facemotion.models.blocks import with_rough_convolutions
from facemotion.models.generator import (
    PATCHES,
    CorrectionMaps,
    Encoding,
    Generator,
    RenderedMaps,
    Residuals,
)
from facemotion.models.head_coordinates import head_coordinates
from facemotion.models.release import load_corrections
from facemotion.rendering.correction import Correction
from facemotion.rendering.face import Patch, Rendering
from facemotion.rendering.kernels import lay_over, premultiplied

log = logging.getLogger(__name__)

_REMEMBERED = 4
"""Sets of units whose residuals are kept together."""
VIEW_PX = 448
"""Side at which the network's crops of mouth and eyes are cut out of photo and layers, as in training."""


Step = Literal["encode", "residual", "decode"]


class CorrectionNetwork:
    """A generator on a device."""

    def __init__(self, generator: Generator, placement: Placement):
        self.placement = placement
        placed = generator.to(placement.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator: Generator = placed.eval().requires_grad_(False)
        self._rough = self.generator
        if placement.device.type == "cpu" and placement.dtype != torch.float32:
            self._rough = with_rough_convolutions(self.generator, placement.dtype)

    @classmethod
    def load(cls, path: Path, placement: Placement, *, sha256: str | None = None) -> CorrectionNetwork:
        """The network from a release file; raises WeightsError."""
        generator, _ = load_corrections(path, sha256=sha256)
        return cls(generator, placement)

    def photo(self, crop: np.ndarray, rig: Rig) -> EncodedPhoto:
        """What frames of one photo need: its crop (N, N, 3) uint8 RGB, and the rig on it."""
        return EncodedPhoto(self, crop, rig)

    def run(self, step: Step, *inputs: Any) -> Any:
        """A step of the generator in the placement's precision, and again in fp32 where that is not finite.

        On a CPU on one core: the network is small, and frames are rendered on the others meanwhile.
        """
        device, dtype = self.placement.device, self.placement.dtype
        with torch.inference_mode(), single_threaded():
            if dtype != torch.float32:
                with torch.autocast(device.type, dtype, enabled=self._rough is self.generator):
                    result = getattr(self._rough, step)(*inputs)
                if _finite(result):
                    return result
            with torch.autocast(device.type, enabled=False):
                return getattr(self.generator, step)(*_in_full(inputs))


class EncodedPhoto:
    """One photo, ready for any number of frames. May be used from several threads.

    Where a device runs out of memory, this photo goes on in full precision on the CPU.
    """

    def __init__(self, network: CorrectionNetwork, crop: np.ndarray, rig: Rig):
        self._crop, self._rig = crop, rig
        try:
            self._placed = _PlacedPhoto(network, crop, rig)
        except torch.OutOfMemoryError as error:
            self._placed = _PlacedPhoto(_fallback(network, error), crop, rig)

    @property
    def placement(self) -> Placement:
        """Where the network runs for this photo."""
        return self._placed.network.placement

    def correct(self, control: np.ndarray, rendering: Rendering) -> Correction:
        """What the frame at a control (52,) has beyond its rendering; nothing at all at control 0."""
        placed = self._placed
        try:
            return placed.correct(control, rendering)
        except torch.OutOfMemoryError as error:
            network = _fallback(placed.network, error)
        self._placed = _PlacedPhoto(network, self._crop, self._rig)
        return self._placed.correct(control, rendering)


def _fallback(network: CorrectionNetwork, error: torch.OutOfMemoryError) -> CorrectionNetwork:
    """The network in full precision on the CPU, after another place ran out of memory; raises ``error`` there."""
    placement = Placement(torch.device("cpu"), torch.float32)
    if network.placement == placement:
        raise error
    log.warning("Out of memory on %s: going on with fp32 on cpu.", network.placement.device)
    generator = Generator(network.generator.config)
    generator.load_state_dict({name: tensor.cpu() for name, tensor in network.generator.state_dict().items()})
    if network.placement.device.type == "cuda":
        torch.cuda.empty_cache()
    return CorrectionNetwork(generator, placement)


class _PlacedPhoto:
    """A photo on one device."""

    def __init__(self, network: CorrectionNetwork, crop: np.ndarray, rig: Rig):
        self.network, self._rig = network, rig
        config, device = network.generator.config, network.placement.device
        self._source = _image(_shrunk(crop, VIEW_PX), device)
        photo = _image(_shrunk(crop, config.input_px), device)
        coordinates = torch.from_numpy(head_coordinates(rig, config.input_px // 2)).permute(2, 0, 1)[None].to(device)
        own = torch.from_numpy(rig.fit.units.astype(np.float32))[None].to(device)
        self._encoding: Encoding = network.run("encode", photo, coordinates, own)
        self._eyes = torch.tensor([rig.eye_px / rig.size_px], dtype=torch.float32, device=device)
        self._known: dict[int, Residuals] = {}
        self._together: dict[tuple[int, ...], Residuals] = {}

    @single_threaded()
    def correct(self, control: np.ndarray, rendering: Rendering) -> Correction:
        """As `EncodedPhoto.correct`."""
        network, device = self.network, self.network.placement.device
        wanted = torch.from_numpy(np.asarray(control, np.float32))[None].to(device)
        residuals = self._residuals(control)
        result = network.run("decode", self._encoding, residuals, wanted, self._rendered(rendering))
        return _arrays(result)

    def _residuals(self, control: np.ndarray) -> Residuals:
        """Those of the units in use; each is computed when it is first needed, by itself and in one order, so that
        frames do not depend on which thread comes first."""
        used = tuple(np.flatnonzero(np.abs(control) > self.network.generator.config.dead_zone).tolist())
        together = self._together.get(used)
        if together is None:
            together = _stacked([self._residual(unit) for unit in used] or [self._run_residual([])])
            if len(self._together) >= _REMEMBERED:  # most frames of a clip use the same units
                self._together = {}
            self._together[used] = together
        return together

    def _residual(self, unit: int) -> Residuals:
        if unit not in self._known:
            self._known[unit] = self._run_residual([unit])
        return self._known[unit]

    def _run_residual(self, units: list[int]) -> Residuals:
        device = self.network.placement.device
        unit = torch.tensor(units, dtype=torch.long, device=device)
        return self.network.run("residual", self._encoding, torch.zeros_like(unit), unit)

    def _rendered(self, rendering: Rendering) -> RenderedMaps:
        device = self.network.placement.device
        ratio = VIEW_PX / self._rig.size_px
        layers = np.zeros((VIEW_PX, VIEW_PX, 4), np.float32)
        for layer in rendering.layers:
            # every pixel of the small crop takes the mean of the layer over its area
            x0, y0 = int(np.floor(layer.box.x0 * ratio)), int(np.floor(layer.box.y0 * ratio))
            x1, y1 = (min(VIEW_PX, int(np.ceil(end * ratio))) for end in (layer.box.x1, layer.box.y1))
            colours = premultiplied(layer.colour, layer.opacity)
            to_small = np.array(
                [
                    [ratio, 0, (layer.box.x0 + 0.5) * ratio - 0.5 - x0],
                    [0, ratio, (layer.box.y0 + 0.5) * ratio - 0.5 - y0],
                ]
            )
            if ratio < 1:
                colours = cv2.GaussianBlur(colours, (0, 0), 0.4 / ratio)
            small = cv2.warpAffine(colours, to_small, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderValue=0)
            lay_over(small, layers, x0, y0)
        landmarks = (rendering.landmarks + 0.5) / self._rig.size_px
        return RenderedMaps(
            self._source,
            _maps(rendering.flow, device),
            _maps(rendering.log_gain[..., None], device),
            _maps(layers, device),
            torch.from_numpy(landmarks.astype(np.float32))[None].to(device),
            self._eyes,
        )


def _stacked(residuals: Sequence[Residuals]) -> Residuals:
    """Residuals one after another."""
    if len(residuals) == 1:
        return residuals[0]
    levels = zip(*(each.values for each in residuals), strict=True)
    values = [torch.cat(level).contiguous(memory_format=torch.channels_last) for level in levels]
    photo, unit = (torch.cat([getattr(each, name) for each in residuals]) for name in ("photo", "unit"))
    return Residuals(values, photo, unit)


def _arrays(result: CorrectionMaps) -> Correction:
    patches = tuple(
        Patch(
            tuple(result.views[name].centre[0].tolist()),
            tuple(result.views[name].extent[0].tolist()),
            result.patches[name][0].permute(1, 2, 0).float().cpu().numpy(),
        )
        for name in PATCHES
    )
    flow, gain = (m[0].permute(1, 2, 0).float().cpu().numpy() for m in (result.flow, result.log_gain))
    return Correction(np.ascontiguousarray(flow), gain[..., 0], patches, result.landmarks[0].float().cpu().numpy())


def _finite(result: Encoding | Residuals | CorrectionMaps) -> bool:
    if isinstance(result, CorrectionMaps):
        tensors = [result.flow, result.log_gain, *result.patches.values()]
    else:
        tensors = result.skips if isinstance(result, Encoding) else result.values
    return all(bool(torch.isfinite(t.float().sum())) for t in tensors)


def _in_full(inputs: tuple) -> list:
    """Inputs with features in float32."""

    def full(each):
        if isinstance(each, Tensor):
            return each.float() if each.is_floating_point() else each
        if isinstance(each, Encoding):
            return Encoding([t.float() for t in each.skips], [t.float() for t in each.residual_input])
        if isinstance(each, Residuals):
            return Residuals([t.float() for t in each.values], each.photo, each.unit)
        return each

    return [full(each) for each in inputs]


def _shrunk(crop: np.ndarray, size_px: int) -> np.ndarray:
    smaller = crop.shape[0] > size_px
    return cv2.resize(crop, (size_px, size_px), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _image(crop: np.ndarray, device: torch.device) -> Tensor:
    return _maps(crop.astype(np.float32) / 255, device)


def _maps(array: np.ndarray, device: torch.device) -> Tensor:
    """(h, w, C) as (1, C, h, w), as it lies in memory."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).permute(2, 0, 1)[None].to(device)
