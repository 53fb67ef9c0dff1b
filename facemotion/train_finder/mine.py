"""Hard negatives for the landmark network: what a trained detector wrongly takes for faces."""

import numpy as np
import torch

from facemotion.face.finder_crop import crop_of_points
from facemotion.face.finder_networks import Detector, detector_input
from facemotion.face.geometry import warp_crop
from facemotion.train_finder.faceless import Faceless
from facemotion.train_finder.scenes import SCENE_PX


@torch.no_grad()
def mine_crops(
    detector: Detector, faceless: Faceless, *, size: int, count: int, draws: int, seed: int = 7
) -> list[np.ndarray]:
    """Up to ``count`` faceless crops (size, size, 3) uint8, framed where the detector sees a face most surely.

    ``draws``: how many faceless pictures it is shown.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[float, np.ndarray]] = []
    for start in range(0, draws, 64):
        pictures = [faceless.draw(2 * SCENE_PX, rng) for _ in range(min(64, draws - start))]
        small = np.stack([picture.reshape(SCENE_PX, 2, SCENE_PX, 2, 3).mean((1, 3)) for picture in pictures])
        out = detector(detector_input(small.astype(np.uint8))).numpy()
        for picture, answer in zip(pictures, out, strict=True):
            row, column = np.unravel_index(answer[0].argmax(), answer[0].shape)
            logit = float(answer[0, row, column])
            if logit < -2:
                continue
            cell = (np.array([column, row]) + 0.5) * detector.config.stride - 0.5
            points = cell + Detector.offset_px * answer[4:, row, column].reshape(5, 2)
            if np.ptp(points, axis=0).max() > 2:
                transform = crop_of_points(2 * points + 0.5, size)
                found.append((logit, warp_crop(np.ascontiguousarray(picture), transform, size)))
    found.sort(key=lambda pair: -pair[0])
    return [crop for _, crop in found[:count]]
