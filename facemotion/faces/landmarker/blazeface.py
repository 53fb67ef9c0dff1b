"""BlazeFace, short range: where a picture shows faces (Bazarevsky et al. 2019, arXiv 1907.05047).

The network was made for pictures of 128 × 128 px. As it is convolutional, larger ones show it smaller faces; it sees
those of some 16 to 130 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facemotion.faces.landmarker.layers import SameConv2d, depthwise, pad_channels

INPUT_PX = 128
STRIDE_PX = 16
"""Sides of pictures are multiples of this."""

KEYPOINTS = 6
"""Right eye and left eye of the person, nose tip, mouth, right and left ear tragion."""

SCORE_CLIP = 100.0
SAME_FACE_IOU = 0.5

_FINE_WIDTHS = (24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88)
_FINE_STRIDES = (1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1)
_COARSE_STRIDES = (2, 1, 1, 1, 1)
_COARSE_WIDTH = 96
_ANCHORS_PER_CELL = {8: 2, 16: 6}  # by stride


class BlazeBlock(nn.Module):
    """A depthwise separable convolution added to its (pooled, zero-extended) input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.depthwise = depthwise(in_channels, stride=stride)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = F.max_pool2d(x, 2) if self.depthwise.stride[0] == 2 else x
        return F.relu(pad_channels(shortcut, self.pointwise.out_channels) + self.pointwise(self.depthwise(x)))


class BlazeFace(nn.Module):
    """Scores and boxes for two anchors in every 8 px cell and six in every 16 px cell.

    Input (B, 3, H, W) RGB in [-1, 1], sides multiples of 16; output: logits (B, N) and raw boxes (B, N, 16), see
    `decode`; N is 896 for 128 × 128 px. Layers are registered in the order in which they run; the conversion relies
    on it.
    """

    def __init__(self):
        super().__init__()
        self.stem = SameConv2d(3, _FINE_WIDTHS[0], 5, stride=2)
        before = (_FINE_WIDTHS[0], *_FINE_WIDTHS)
        self.fine = nn.Sequential(*map(BlazeBlock, before, _FINE_WIDTHS, _FINE_STRIDES))
        widths = (_FINE_WIDTHS[-1], *[_COARSE_WIDTH] * len(_COARSE_STRIDES))
        self.coarse = nn.Sequential(*map(BlazeBlock, widths, widths[1:], _COARSE_STRIDES))
        coordinates = 4 + 2 * KEYPOINTS
        self.fine_logits = nn.Conv2d(_FINE_WIDTHS[-1], _ANCHORS_PER_CELL[8], 1)
        self.coarse_logits = nn.Conv2d(_COARSE_WIDTH, _ANCHORS_PER_CELL[16], 1)
        self.fine_boxes = nn.Conv2d(_FINE_WIDTHS[-1], _ANCHORS_PER_CELL[8] * coordinates, 1)
        self.coarse_boxes = nn.Conv2d(_COARSE_WIDTH, _ANCHORS_PER_CELL[16] * coordinates, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = self.fine(F.relu(self.stem(x)))
        coarse = self.coarse(fine)
        logits = [_by_anchor(head, 1) for head in (self.fine_logits(fine), self.coarse_logits(coarse))]
        boxes = [_by_anchor(head, 4 + 2 * KEYPOINTS) for head in (self.fine_boxes(fine), self.coarse_boxes(coarse))]
        return torch.cat(logits, 1)[..., 0], torch.cat(boxes, 1)


def _by_anchor(head: torch.Tensor, values: int) -> torch.Tensor:
    """(B, anchors × values, H, W) as (B, H × W × anchors, values)."""
    return head.permute(0, 2, 3, 1).reshape(len(head), -1, values)


@lru_cache(maxsize=16)
def anchors(height: int, width: int) -> np.ndarray:
    """Centres of the anchors of a picture, (N, 2) in its px."""
    centres = []
    for stride, count in _ANCHORS_PER_CELL.items():
        x, y = ((np.arange(side // stride) + 0.5) * stride for side in (width, height))
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres)


@dataclass(frozen=True, eq=False)
class Detections:
    """Faces of one picture, surest first: scores (N,), boxes (N, 4) as (x0, y0, x1, y1), keypoints (N, 6, 2).

    Places are in px of the network's input, or wherever `moved` has taken them.
    """

    scores: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def moved(self, *, scale: float, offset: tuple[float, float]) -> Detections:
        """The same faces at ``scale * place + offset``."""
        shift = np.asarray(offset)
        return Detections(self.scores, self.boxes * scale + np.tile(shift, 2), self.keypoints * scale + shift)

    def chosen(self, rows: np.ndarray | Sequence[int]) -> Detections:
        """Some of the faces, by index or mask."""
        index = np.asarray(rows)
        return Detections(self.scores[index], self.boxes[index], self.keypoints[index])


def joined(parts: Sequence[Detections]) -> Detections:
    """The faces of several searches, one after the other."""
    return Detections(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.keypoints for part in parts]),
    )


def decode(logits: np.ndarray, boxes: np.ndarray, shape: tuple[int, int], *, least_score: float) -> Detections:
    """The anchors of one picture of ``shape`` (H, W) that see a face with at least ``least_score``, best first.

    logits: (N,); boxes: (N, 16): centre, width and height, then six points, in px from the anchor.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -SCORE_CLIP, SCORE_CLIP)))
    seen = np.flatnonzero(scores >= least_score)
    seen = seen[np.argsort(-scores[seen], kind="stable")]
    places = anchors(*shape)[seen]
    centres = boxes[seen, :2] + places
    half = boxes[seen, 2:4] / 2
    keypoints = boxes[seen, 4:].reshape(-1, KEYPOINTS, 2) + places[:, None]
    return Detections(scores[seen], np.hstack([centres - half, centres + half]), keypoints)


def suppress(found: Detections, *, same_face_iou: float = SAME_FACE_IOU) -> Detections:
    """One detection a face: the mean, weighted by score, of all that overlap the best one; it keeps the best score."""
    left = np.argsort(-found.scores, kind="stable")
    scores, boxes, keypoints = [], [], []
    while len(left):
        alike = iou(found.boxes[left[0]], found.boxes[left]) > same_face_iou
        alike[0] = True
        group = left[alike]
        weights = found.scores[group] / found.scores[group].sum()
        scores.append(found.scores[group[0]])
        boxes.append(weights @ found.boxes[group])
        keypoints.append(np.tensordot(weights, found.keypoints[group], 1))
        left = left[~alike]
    return Detections(np.array(scores), np.array(boxes).reshape(-1, 4), np.array(keypoints).reshape(-1, KEYPOINTS, 2))


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box with boxes (N, 4)."""
    overlap = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.maximum(overlap, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.prod(box[2:] - box[:2]) + areas - shared
    return shared / np.maximum(union, 1e-9)
