"""How near a generator comes to photographs: ``python -m facemotion.training.units.validate SAMPLES RELEASE [SHEET]``.

For every kind of sample and every view, PSNR and SSIM of the renderer's frame and of the network's on top of it,
where the wanted frame is to be believed. SHEET (png) shows source, renderer, network and photograph side by side.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facemotion.datasets.unit_samples import UnitSampleFolder
from facemotion.models.unit_compositing import composed, whole_grid, with_patches
from facemotion.models.unit_generator import UnitGenerator
from facemotion.models.unit_release import load_unit_release
from facemotion.training.units.config import UnitTrainConfig
from facemotion.training.units.data import UnitBatch, collated
from facemotion.training.units.losses import resized, views_of


@dataclass(frozen=True)
class Score:
    """Means over samples."""

    samples: int
    psnr_renderer: float
    """dB."""
    psnr_network: float
    ssim_renderer: float
    ssim_network: float


@torch.inference_mode()
def scores(generator: UnitGenerator, samples: UnitSampleFolder, config: UnitTrainConfig) -> dict[str, dict[str, Score]]:
    """By kind of sample and by view."""
    rows: dict[str, dict[str, list[list[float]]]] = {}
    for index, kind in enumerate(samples.kinds):
        batch = collated([samples[index]], generator.config.input_px)
        with torch.autocast("cpu", torch.bfloat16):
            correction = generator(batch.photo, batch.coordinates, batch.own, batch.control, batch.rendered)
        ours = views_of(correction, batch, config)
        for patch in correction.patches.values():
            patch.zero_()
        correction.flow.zero_()
        correction.log_gain.zero_()
        rendered = batch.rendered
        for name, view in correction.views.items():
            correction.plain[name] = composed(
                rendered.source, rendered.flow, rendered.log_gain, rendered.layers, view.grid
            )
        plain = views_of(correction, batch, config)
        for name in ours.generated:
            values = []
            for measure in (psnr, ssim):
                for views in (plain, ours):
                    values.append(measure(views.generated[name], views.wanted[name], views.mask[name]))
            rows.setdefault(kind, {}).setdefault(name, []).append(values)
    return {
        kind: {name: Score(len(values), *np.mean(values, 0).tolist()) for name, values in views.items()}
        for kind, views in rows.items()
    }


def psnr(images: Tensor, wanted: Tensor, weight: Tensor) -> float:
    """dB, of images (B, 3, h, w) in [0, 1], by weight (B, 1, h, w)."""
    error = (weight * (images.clamp(0, 1) - wanted).square()).mean() / weight.mean().clamp(min=1e-6)
    return float(-10 * torch.log10(error.clamp(min=1e-8)))


def ssim(images: Tensor, wanted: Tensor, weight: Tensor) -> float:
    """Structural similarity of luminance (Wang et al., 2004), 7 × 7 px windows."""

    def mean(x: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(x, 7, 1)

    a, b = (x.clamp(0, 1).mean(1, keepdim=True) for x in (images, wanted))
    ma, mb = mean(a), mean(b)
    va, vb, vab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 1e-4, 9e-4
    index = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    inner = weight[:, :, 3:-3, 3:-3]
    return float((inner * index).mean() / inner.mean().clamp(min=1e-6))


@torch.inference_mode()
def frames(generator: UnitGenerator, batch: UnitBatch) -> tuple[Tensor, Tensor]:
    """(B, 3, N, N) of the renderer and with the network, at the samples' resolution."""
    rendered = batch.rendered
    with torch.autocast("cpu", torch.bfloat16):
        correction = generator(batch.photo, batch.coordinates, batch.own, batch.control, rendered)
    grid = whole_grid(rendered.source.shape[-1], len(batch.photo), batch.photo.device)
    plain = composed(rendered.source, rendered.flow, rendered.log_gain, rendered.layers, grid, mode="bicubic")
    flow = resized(rendered.flow, correction.flow.shape[-1]) + correction.flow
    gain = resized(rendered.log_gain, correction.log_gain.shape[-1]) + correction.log_gain
    frame = composed(rendered.source, flow, gain, rendered.layers, grid, mode="bicubic")
    return plain, with_patches(frame, grid, correction.patches, correction.views)


def sheet(generator: UnitGenerator, samples: UnitSampleFolder, chosen: Sequence[int]) -> np.ndarray:
    """(n · N, 4 N, 3) uint8 RGB: source, renderer, network, photograph."""
    rows = []
    for index in chosen:
        sample = samples[index]
        batch = collated([sample], generator.config.input_px)
        images = [(f[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for f in frames(generator, batch)]
        mask = sample.mask[..., None] / 255
        wanted = (sample.target * mask + 128 * (1 - mask)).astype(np.uint8)
        rows.append(np.hstack([sample.source, *images, wanted]))
    return np.vstack(rows)


def main(arguments: list[str]) -> None:
    """Print the scores; write the sheet where one is asked for."""
    samples = UnitSampleFolder(Path(arguments[0]) / "validation")
    generator, _ = load_unit_release(Path(arguments[1]))
    if len(arguments) > 2:
        pairs = [i for i, kind in enumerate(samples.kinds) if kind == "pair"][::2]
        backs = [i for i, kind in enumerate(samples.kinds) if kind == "back"]
        picture = sheet(generator, samples, [*pairs[:8], *backs[16:24]])
        cv2.imwrite(arguments[2], picture[..., ::-1])
    for kind, views in scores(generator, samples, UnitTrainConfig.read()).items():
        for name, score in views.items():
            print(kind, name, json.dumps({k: round(v, 4) for k, v in vars(score).items()}))


if __name__ == "__main__":
    main(sys.argv[1:])
