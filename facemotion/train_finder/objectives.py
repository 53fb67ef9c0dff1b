"""What the two networks are trained for: batches, losses, and how good they are on the people kept apart."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from facemotion.faces.finder_crop import tight_crop
from facemotion.faces.finder_networks import Detector, LandmarkNetwork, detector_input, landmark_input
from facemotion.faces.geometry import apply
from facemotion.train_finder.crops import Crops
from facemotion.train_finder.photos import Photo
from facemotion.train_finder.scenes import SCENE_PX, Scenes, targets

FOCUS = 2.0
"""Exponent of the focal loss (Lin et al. 2017)."""

POINT_WEIGHTS = np.ones(68, np.float32)
POINT_WEIGHTS[:17] = 0.6  # where a jaw ends is a matter of taste
POINT_WEIGHTS[36:48] = 2.0
POINT_WEIGHTS[48:] = 1.4


class DetectorObjective:
    """Focal loss on the grid, smooth L1 on centre, size and points where a face is; mines hard negatives."""

    def __init__(self, scenes: Scenes, *, mine_every: int = 150, mined: int = 600):
        self.scenes, self.mine_every, self.mined = scenes, mine_every, mined

    def __call__(self, network: Detector, rng: np.random.Generator, batch: int) -> dict[str, Tensor]:
        if rng.integers(self.mine_every) == 0:
            self.mine(network, rng)
        scenes = [self.scenes.draw(rng) for _ in range(batch)]
        pairs = [targets(scene, network.config) for scene in scenes]
        target = torch.from_numpy(np.stack([pair[0] for pair in pairs]))
        weight = torch.from_numpy(np.stack([pair[1] for pair in pairs]))
        with torch.autocast("cpu", torch.bfloat16):
            out = network(detector_input(np.stack([scene.picture for scene in scenes])))
        out = out.float()
        logit, is_face = out[:, 0], target[:, 0]
        missed = (torch.sigmoid(logit) - is_face).abs() ** FOCUS
        plain = binary_cross_entropy_with_logits(logit, is_face, reduction="none")
        faces = is_face.sum().clamp(min=1)
        score = (weight * missed * plain).sum() / faces
        where = is_face[:, None].expand(-1, Detector.channels - 1, -1, -1)
        apart = smooth_l1_loss(out[:, 1:], target[:, 1:], reduction="none", beta=0.1) * where
        centre, size, points = (apart[:, part].sum() / faces for part in (slice(0, 2), slice(2, 3), slice(3, 13)))
        total = 2 * score + centre + 2 * size + 0.5 * points
        return {"total": total, "score": score, "centre": centre, "size": size, "points": points}

    @torch.no_grad()
    def mine(self, network: Detector, rng: np.random.Generator, draws: int = 256) -> None:
        """Keep the faceless pictures that look most like faces to the network as it is."""
        network.eval()
        drawn = [self.scenes.faceless.draw(SCENE_PX, rng) for _ in range(draws)]
        drawn += self.scenes.mined[-draws:]
        scores = network(detector_input(np.stack(drawn)))[:, 0].amax((1, 2)).numpy()
        worst = [drawn[i] for i in np.argsort(-scores)[: self.mined // 4] if scores[i] > -3]
        self.scenes.mined = (self.scenes.mined[:-draws] + worst)[-self.mined :]
        network.train()


class LandmarkObjective:
    """Weighted L1 distance of the landmarks, face or not, and how large the error is going to be."""

    def __init__(self, crops: Crops):
        self.crops = crops

    def __call__(self, network: LandmarkNetwork, rng: np.random.Generator, batch: int) -> dict[str, Tensor]:
        drawn = [self.crops.draw(rng) for _ in range(batch)]
        is_face = torch.tensor([landmarks is not None for _, landmarks in drawn])
        target = torch.from_numpy(np.stack([points for _, points in drawn if points is not None]).astype(np.float32))
        with torch.autocast("cpu", torch.bfloat16):
            landmarks, logit, log_error = network(landmark_input(np.stack([crop for crop, _ in drawn])))
        apart = smooth_l1_loss(landmarks[is_face], target, reduction="none", beta=0.5).sum(-1)
        points = (apart * torch.from_numpy(POINT_WEIGHTS)).mean()
        error = torch.linalg.vector_norm(landmarks[is_face].detach() - target, dim=-1).mean(-1)
        doubt = smooth_l1_loss(log_error[is_face], torch.log(error + 0.1), beta=0.3)
        face = binary_cross_entropy_with_logits(logit, is_face.float())
        total = points + 0.5 * face + 0.1 * doubt
        return {"total": total, "points": points, "face": face, "doubt": doubt, "error_px": error.mean()}


@torch.no_grad()
def landmark_error(network: LandmarkNetwork, photos: Sequence[Photo], *, shift: float = 0.04) -> float:
    """Mean landmark error over inter-ocular distance on photos, one look at a crop moved by ``shift`` of its width."""
    size = network.config.input_px
    crops, truths = [], []
    for index, photo in enumerate(photos):
        transform = tight_crop(photo.landmarks, size)
        angle = 2.4 * index  # every photo in another direction
        transform[:, 2] += shift * size * np.array([np.cos(angle), np.sin(angle)])
        crops.append(photo.warp(transform, (size, size)))
        truths.append(apply(transform, photo.landmarks))
    found = torch.cat([network(landmark_input(np.stack(crops[i : i + 32])))[0] for i in range(0, len(crops), 32)])
    truth = np.stack(truths)
    eyes = np.linalg.norm(truth[:, 42:48].mean(1) - truth[:, 36:42].mean(1), axis=-1)
    return float((np.linalg.norm(found.numpy() - truth, axis=-1).mean(1) / eyes).mean())


@torch.no_grad()
def detector_quality(network: Detector, scenes: Scenes, *, count: int = 256, threshold: float = 0.5):
    """(recall of clear faces in range, share of scenes without a face that raise an alarm) on drawn scenes."""
    rng = np.random.default_rng(12345)
    found = faces = alarms = faceless = 0
    for _ in range(count // 32):
        drawn = [scenes.draw(rng) for _ in range(32)]
        score = torch.sigmoid(network(detector_input(np.stack([scene.picture for scene in drawn])))[:, 0]).numpy()
        for scene, grid in zip(drawn, score, strict=True):
            is_face = targets(scene, network.config)[0][0]
            if not scene.faces:
                faceless += 1
                alarms += bool(grid.max() > threshold)
            elif is_face.any() and len(scene.faces) == 1:
                faces += 1
                found += bool(grid[is_face > 0].max() > threshold)
    return found / max(faces, 1), alarms / max(faceless, 1)
