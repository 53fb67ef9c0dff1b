"""The sample grid: fixed people in rows; every expression at control 1 and a sweep of the first one in columns."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facemotion.media.atomic import write_whole
from facemotion.media.grid import labelled_grid
from facemotion.models.generator import Generator, resize
from facemotion.training.dataset import ClipPool

SWEEP = (0.25, 0.5, 0.75, 1.25)
"""Controls of the sweep, besides 1."""


@dataclass(frozen=True)
class SamplePeople:
    """Sources of the grid: (B, 3, N, N) in [-1, 1]."""

    sources: Tensor

    @classmethod
    def choose(cls, pool: ClipPool, *, count: int, size: int) -> "SamplePeople":
        """``count`` people of the pool, evenly from all of them in order of their names; one source each."""
        first: dict[str, int] = {}
        for index, facts in enumerate(pool.facts):
            first.setdefault(facts.person, index)
        people = sorted(first)
        picks = np.unique(np.linspace(0, len(people) - 1, min(count, len(people))).round().astype(int))
        frames = [pool.frame(i, pool.clips[i], 0, size=size) for i in (first[people[p]] for p in picks)]
        return cls(torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1)


@torch.no_grad()
def draw_samples(generator: Generator, people: SamplePeople, *, input_px: int, cell_px: int = 208) -> np.ndarray:
    """The grid as RGB uint8, one row a person: photo, expressions at 1, sweep."""
    names = generator.config.expressions
    controls = [torch.eye(len(names))[i] for i in range(len(names))]
    controls += [torch.eye(len(names))[0] * a for a in SWEEP]
    device = next(generator.parameters()).device
    labels = ("photo", *names, *(f"{names[0]} {a:g}" for a in SWEEP))
    rows = []
    for source in people.sources.to(device).split(1):
        encoding = generator.encode(resize(source, (input_px, input_px)))
        motion = generator.decode(encoding, torch.stack(controls).to(device))
        frames = torch.cat([source, generator.compose(source, motion)])
        cells = resize(frames, (cell_px, cell_px)).clamp(-1, 1)
        pixels = ((cells + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        rows.append(list(zip(labels, pixels, strict=True)))
    return labelled_grid(rows)


def save_samples(path: Path, grid: np.ndarray) -> None:
    """Write a grid as PNG, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, cv2.imencode(".png", np.ascontiguousarray(grid[:, :, ::-1]))[1].tobytes())
