"""A generator's frames against photographs, on samples of held-out people (`facemotion.datasets.samples`).

For every kind of sample and every view, PSNR and SSIM of the photo as it was, of the renderer's frame and of the
generator's, where the target is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facemotion.datasets.samples import SampleFolder
from facemotion.evaluation.markdown import table
from facemotion.models.compositor import composed, sampled, whole_grid, with_patches
from facemotion.models.generator import Generator
from facemotion.models.paper_generator import PaperGenerator
from facemotion.training.data import SampleBatch, batch_of
from facemotion.training.losses import resized
from facemotion.training.methods import grids_of
from facemotion.version import __version__

REPORT_FILE, TEXT_FILE, SHEET_FILE = "report.json", "report.md", "samples.png"
FORMAT, FORMAT_VERSION = "facemotion-pairs-report", 1
ANSWERS = ("photo", "renderer", "generator")
KIND_TEXT = {
    "pair": "another photograph of the person",
    "back": "the photograph from which the renderer took its expression",
    "still": "the renderer's own frame",
}
FACE_PX = 160
SHEET_ROWS = 12


@dataclass(frozen=True)
class Score:
    """Means over samples, by `ANSWERS`."""

    kind: str
    view: str
    samples: int
    psnr: dict[str, float]
    """dB."""
    ssim: dict[str, float]


@dataclass(frozen=True)
class PairsReport:
    """All that was measured."""

    scores: tuple[Score, ...]
    weights: str
    people: int
    command: str = ""


@torch.inference_mode()
def evaluate_pairs(
    generator: Generator | PaperGenerator,
    samples: SampleFolder,
    *,
    weights: str = "",
    command: str = "",
    watch: Callable[[], None] | None = None,
) -> PairsReport:
    """Measure every sample; ``watch`` is called at each."""
    rows: dict[tuple[str, str], list[np.ndarray]] = {}
    for index, kind in enumerate(samples.kinds):
        batch = batch_of([samples[index]], generator.config.input_px)
        answers = (batch.rendered.source, *frames(generator, batch))
        for view, grids in grids_of(batch, FACE_PX).items():
            target, mask, *seen = (
                torch.cat([sampled(maps, grid) for grid in grids]) for maps in (batch.target, batch.mask, *answers)
            )
            if float(mask.mean()) > 0.02:
                measured = [[measure(each, target, mask) for each in seen] for measure in (psnr, ssim)]
                rows.setdefault((kind, view), []).append(np.array(measured))
        if watch is not None:
            watch()
    scores = []
    for (kind, view), values in sorted(rows.items()):
        psnrs, ssims = (dict(zip(ANSWERS, row, strict=True)) for row in np.mean(values, 0).tolist())
        scores.append(Score(kind, view, len(values), psnrs, ssims))
    return PairsReport(tuple(scores), weights, len(set(samples.people)), command)


def psnr(images: Tensor, target: Tensor, weight: Tensor) -> float:
    """dB, of images (B, 3, h, w) in [0, 1], by weight (B, 1, h, w)."""
    error = (weight * (images.clamp(0, 1) - target).square()).mean() / weight.mean().clamp(min=1e-6)
    return float(-10 * torch.log10(error.clamp(min=1e-8)))


def ssim(images: Tensor, target: Tensor, weight: Tensor) -> float:
    """Structural similarity of luminance (Wang et al., 2004) in windows of 7 × 7 px, by weight."""

    def mean(x: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(x, 7, 1)

    a, b = (x.clamp(0, 1).mean(1, keepdim=True) for x in (images, target))
    ma, mb = mean(a), mean(b)
    va, vb, vab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 1e-4, 9e-4
    index = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    inner = weight[:, :, 3:-3, 3:-3]
    return float((inner * index).mean() / inner.mean().clamp(min=1e-6))


@torch.inference_mode()
def frames(generator: Generator | PaperGenerator, batch: SampleBatch) -> tuple[Tensor, Tensor]:
    """(B, 3, N, N) of the renderer and of the generator, at the samples' resolution."""
    rendered = batch.rendered
    side = rendered.source.shape[-1]
    grid = whole_grid(side, len(batch.photo), batch.photo.device)
    plain = composed(rendered.source, rendered.flow, rendered.log_gain, rendered.layers, grid, mode="bicubic")
    if isinstance(generator, PaperGenerator):
        return plain, resized(generator(batch.photo, batch.control[:, None]).images[:, 0], side)
    correction = generator(batch.photo, batch.coordinates, batch.own, batch.control, rendered)
    flow = resized(rendered.flow, correction.flow.shape[-1]) + correction.flow
    gain = resized(rendered.log_gain, correction.log_gain.shape[-1]) + correction.log_gain
    frame = composed(rendered.source, flow, gain, rendered.layers, grid, mode="bicubic")
    return plain, with_patches(frame, grid, correction.patches, correction.views)


def sheet(generator: Generator | PaperGenerator, samples: SampleFolder, chosen: Sequence[int]) -> np.ndarray:
    """(n · N, 4 N, 3) uint8 RGB: photo, renderer, generator, target."""
    rows = []
    for index in chosen:
        sample = samples[index]
        batch = batch_of([sample], generator.config.input_px)
        images = [(f[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy() for f in frames(generator, batch)]
        mask = sample.mask[..., None] / 255
        target = (sample.target * mask + 128 * (1 - mask)).astype(np.uint8)
        rows.append(np.hstack([sample.source, *images, target]))
    return np.vstack(rows)


def chosen_for_sheet(samples: SampleFolder) -> list[int]:
    """Some pairs, whole ones, and some photographs that were rendered away, spread over the people."""
    pairs = [i for i, kind in enumerate(samples.kinds) if kind == "pair"][::2]
    backs = [i for i, kind in enumerate(samples.kinds) if kind == "back"]
    half = SHEET_ROWS // 2
    return [*pairs[:: max(1, len(pairs) // half)][:half], *backs[:: max(1, len(backs) // half)][:half]]


def write_pairs_report(
    report: PairsReport, generator: Generator | PaperGenerator, samples: SampleFolder, folder: Path
) -> None:
    """Fill the (empty) folder."""
    data = {"format": FORMAT, "version": FORMAT_VERSION, "facemotion": __version__} | asdict(report)
    (folder / REPORT_FILE).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / TEXT_FILE).write_text(pairs_report_text(report), encoding="utf-8")
    chosen = chosen_for_sheet(samples)
    if chosen:
        cv2.imwrite(str(folder / SHEET_FILE), sheet(generator, samples, chosen)[..., ::-1])


def pairs_report_text(report: PairsReport) -> str:
    """The report as Markdown."""
    parts = ["# Frames against photographs", *([f"`{report.command}`"] if report.command else [])]
    parts.append(f"Weights: {report.weights}. People: {report.people}. PSNR in dB and SSIM, where the target is known.")
    for kind in dict.fromkeys(score.kind for score in report.scores):
        rows = [
            [
                score.view,
                *(f"{score.psnr[answer]:.2f}" for answer in ANSWERS),
                *(f"{score.ssim[answer]:.3f}" for answer in ANSWERS),
                str(score.samples),
            ]
            for score in report.scores
            if score.kind == kind
        ]
        heads = [
            "view",
            *(f"PSNR {answer}" for answer in ANSWERS),
            *(f"SSIM {answer}" for answer in ANSWERS),
            "samples",
        ]
        parts.append(f"## {kind}: {KIND_TEXT.get(kind, '')}\n\n" + table(heads, rows))
    return "\n\n".join(parts) + f"\n\nRows of {SHEET_FILE}: photo, renderer, generator, target.\n"
