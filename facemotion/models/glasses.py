"""Glasses keep their shape whatever the face behind them does: whether a photo shows any, and where its flow stops."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemotion.models.anchors import LIDS, eye_frame, rounded
from facemotion.models.blocks import in_full_precision

GLASSES_LEVEL = 1
"""Which of the base encoder's features tell glasses, finest first: rims are a pixel or two at stride 4."""
_ROWS, _COLUMNS = (0.30, 0.58), (0.12, 0.88)
"""Part of the crop that is looked at; crops are aligned, so that eyes lie there."""
_CELLS = (5, 12)
_DOUBT, _SURE = 0.25, 0.5
"""Scores below which there are no glasses, and above which there are."""
_BESIDE, _ABOVE, _BELOW = (0.31, 0.2), (0.22, 0.35), (0.28, 0.27)
"""How far around the middle of an eye rims are found, and over how much more skin may begin to move, in inter-ocular
distances (of the outer corners)."""
_LENS, _LENS_FADE = (0.16, 0.08), 0.7
"""Half width and height of the eye itself, whose lids move behind the lens, and over how much of it that ends."""


class Glasses(nn.Module):
    """A linear score of the features around the eyes, near 1 for a face with glasses and near 0 for one without.

    Fitted in closed form (`train.glasses`), not trained with the rest; zero, hence no glasses, until then.
    """

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("weight", torch.zeros(width * _CELLS[0] * _CELLS[1]))
        self.register_buffer("bias", torch.zeros(()))

    @staticmethod
    def looked_at(features: Tensor) -> Tensor:
        """Features (B, width, h, w) of `GLASSES_LEVEL` -> (B, n) means of cells around the eyes, float32."""
        rows, columns = (
            slice(int(low * side), int(high * side) + 1)
            for (low, high), side in zip((_ROWS, _COLUMNS), features.shape[-2:], strict=True)
        )
        return F.adaptive_avg_pool2d(features[..., rows, columns].float(), _CELLS).flatten(1)

    @torch.no_grad()
    def forward(self, features: Tensor) -> Tensor:
        """Features of `GLASSES_LEVEL` -> (B,) in [0, 1]: 1 where glasses are seen."""
        score = (self.looked_at(features) * self.weight.float()).sum(1) + self.bias.float()
        return ((score - _DOUBT) / (_SURE - _DOUBT)).clamp(0, 1)


@torch.no_grad()
@in_full_precision
def rims(points: Tensor, size: int) -> Tensor:
    """Where glasses would be, but for the eyes behind them: (B, 1, size, size) in [0, 1].

    points (B, 78, 2) crop widths of the photo. Outside it falls to 0 over farther than skin moves, so that nothing
    folds over.
    """
    frame = eye_frame(points)
    placed = frame.place(points)
    x, y = frame.grid(size, (slice(0, size), slice(0, size)))
    around, eyes = torch.zeros_like(x), torch.zeros_like(x)
    for upper, lower in LIDS:
        centre = placed[:, [*upper, *lower]].mean(1)[..., None, None]
        right, down = (x - centre[:, 0]).abs(), y - centre[:, 1]
        beyond = [
            (distance - reach) / fade for distance, (reach, fade) in ((right, _BESIDE), (-down, _ABOVE), (down, _BELOW))
        ]
        far = torch.stack(beyond).clamp(min=0).square().sum(0).sqrt()
        around = torch.maximum(around, _smooth(1 - far))
        eyes = torch.maximum(eyes, _smooth((1 + _LENS_FADE - rounded(right, down, _LENS)) / _LENS_FADE))
    return (around * (1 - eyes))[:, None]


def _smooth(share: Tensor) -> Tensor:
    share = share.clamp(0, 1)
    return share * share * (3 - 2 * share)
