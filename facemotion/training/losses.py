"""The terms of the generator's loss, one function each: tensors to a scalar.

Images are (B, 3, N, N) in [-1, 1], landmarks and flow in crop widths, pixel weights (B, 1, N, N).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from facemotion.faces.ibug68 import inter_ocular


def pixel_weight(source: Tensor, target: Tensor, *, difference: float, regions: Tensor) -> Tensor:
    """``(1 + difference · d) · regions`` with ``d`` the local mean of ``|target − source|``, at most 0.5.

    An expression changes a small part of the face; without the weight, copying the photo is nearly optimal.
    ``regions`` (B, 1, N, N) emphasises mouth and eyes. Own, from the prototype.
    """
    local = _local_mean((target - source).abs().mean(1, keepdim=True), parts=64)
    return (1 + difference * local.clamp(max=0.5)) * regions


def reconstruction(frame: Tensor, target: Tensor, weight: Tensor, *, levels: int = 4) -> Tensor:
    """``Σ_l mean(w · |frame − target|) / levels`` over a pyramid of halvings: L1, as in pix2pix (Isola et al. 2017),
    on several scales so that misplaced features pull from afar."""
    total = frame.new_zeros(())
    for level in range(levels):
        if level:
            frame, target, weight = (F.avg_pool2d(x, 2) for x in (frame, target, weight))
        total = total + (weight * (frame - target).abs()).mean()
    return total / levels


def gradient(frame: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """``mean(w · |∇frame − ∇target|)``, forward differences: edges of teeth and lids (Mathieu et al., ICLR 2016)."""
    error = frame - target
    across = (error[..., :, 1:] - error[..., :, :-1]).abs() * weight[..., :, 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    return across.mean() + down.mean()


def temporal(frames: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """``mean(w · |(f(a₁) − f(a₂)) − (V(a₁) − V(a₂))|)`` over pairs of neighbouring targets of one clip.

    Our reading of the continuity term of Fan et al. (AAAI 2019): what changes between two controls must be what
    changes in the clip; errors common to both frames do not count. frames, targets (B, K, 3, N, N), weight (B, K, 1,
    N, N).
    """
    if frames.shape[1] < 2:
        return frames.new_zeros(())
    error = frames - targets
    return (torch.maximum(weight[:, 1:], weight[:, :-1]) * (error[:, 1:] - error[:, :-1]).abs()).mean()


def landmark(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean distance ``|l̂ − l|₁`` in inter-ocular distances (landmark prediction of Fan et al., AAAI 2019), over the
    points of each face whose target is not nan, and then over faces."""
    scale = inter_ocular(target).clamp(min=1e-3)[..., None, None]
    known = ~target.isnan()
    distance = torch.where(known, (predicted - target.nan_to_num()).abs() / scale, 0)
    return (distance.sum((-2, -1)) / known.sum((-2, -1)).clamp(min=1)).mean()


def flow_smoothness(flow: Tensor) -> Tensor:
    """``mean |∂flow|``: total variation of the displacement, as strain (crop widths per crop width)."""
    across = (flow[..., :, 1:] - flow[..., :, :-1]).abs().mean()
    down = (flow[..., 1:, :] - flow[..., :-1, :]).abs().mean()
    return flow.shape[-1] * (across + down)


def mask_sparsity(mask: Tensor, moved: Tensor, target: Tensor) -> Tensor:
    """``mean(mask · (1 − need))``, ``need = min(1, 8 · local mean of |moved − target|)``, not differentiated.

    Painting is free where the moved photo is wrong, and costs where it would do: skin keeps its own pixels. Own.
    """
    with torch.no_grad():
        need = _local_mean((moved - target).abs().mean(1, keepdim=True), parts=64)
        free = 1 - (8 * need).clamp(max=1)
    return (mask * free).mean()


def _local_mean(maps: Tensor, *, parts: int) -> Tensor:
    """Means over squares of 1/``parts`` of the width, interpolated between them: a cheap blur."""
    means = F.avg_pool2d(maps, max(1, maps.shape[-1] // parts))
    return F.interpolate(means, size=maps.shape[-2:], mode="bilinear", align_corners=False)
