"""Metrics that need a network of somebody else: identity, the expression that is read, LPIPS, FID.

The networks come as verified files (``facemotion.weights.registry``) and are run by OpenCV and torchmetrics. Each
metric is skipped with its reason where its weights cannot be had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from facemotion.errors import WeightsError
from facemotion.evaluation.alignment import recogniser_face

if TYPE_CHECKING:
    from facemotion.evaluation.cases import Case
    from facemotion.evaluation.measure import SweepClip, TruthFrame

IDENTITY_CONTROLS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
CLASSES = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
"""What the expression classifier can answer, in the order of its outputs (trained on RAF-DB)."""

READ_AS = {
    "smile": "happy",
    "surprise": "surprised",
    "anger": "angry",
    "sadness": "sad",
    "disgust": "disgust",
    "fear": "fearful",
    "closed-smile": "happy",
}
"""The classifier's word for each expression; it knows neither contempt nor blink."""

AT_PEAK = (0.875, 1.125)
LPIPS_PX = 256

Embed = Callable[[np.ndarray], np.ndarray]
"""A face, RGB uint8 (112, 112, 3) -> its feature vector (D,)."""

Classify = Callable[[np.ndarray], str]
"""A face, RGB uint8 (112, 112, 3) -> one of ``CLASSES``."""


class LearnedMetric(Protocol):
    """Fed with the sweep_clip of every case; ``result`` gives JSON values, None where nothing could be measured."""

    name: str

    def update(self, case: Case, sweep_clip: SweepClip) -> None: ...

    def result(self) -> dict | None: ...


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two feature vectors: 1 for the same direction."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def content_distance(photo: np.ndarray, frames: Sequence[np.ndarray]) -> float:
    """Average content distance of a clip to its photo (ACD-I): mean L2 distance of normalised features.

    Tulyakov et al. 2018 (MoCoGAN) measure it between the frames of a clip, Zhao et al. 2018 against the photo.
    """
    unit = photo / np.linalg.norm(photo)
    return float(np.mean([np.linalg.norm(frame / np.linalg.norm(frame) - unit) for frame in frames]))


@dataclass
class Identity:
    """Likeness of frames to their photo by intensity, of the model and, for comparison, of real frames.

    It falls with the expression on real video too: read the two side by side.
    """

    embed: Embed
    name: str = "identity"
    rows: list[tuple[str, float, float]] = field(default_factory=list)
    """(``model`` or ``real``, control, cosine to the photo)."""
    distances: list[float] = field(default_factory=list)

    def update(self, case: Case, sweep_clip: SweepClip) -> None:
        marks = sweep_clip.landmarks
        if not np.isfinite(marks[0]).all():
            return
        photo = self.embed(recogniser_face(sweep_clip.frames[0], marks[0]))
        clip = []
        for control in IDENTITY_CONTROLS:
            k = int(np.abs(sweep_clip.controls - control).argmin())
            if np.isfinite(marks[k]).all():
                face = self.embed(recogniser_face(sweep_clip.frames[k], marks[k]))
                self.rows.append(("model", control, cosine(photo, face)))
                if control <= 1:
                    clip.append(face)
        if clip:
            self.distances.append(content_distance(photo, clip))
        for truth in sweep_clip.truth:
            if np.isfinite(truth.landmarks).all():
                face = self.embed(recogniser_face(truth.real, truth.landmarks))
                self.rows.append(("real", round(truth.control * 4) / 4, cosine(photo, face)))

    def result(self) -> dict | None:
        if not self.rows:
            return None
        table: dict = {}
        for kind in ("model", "real"):
            for control in sorted({c for k, c, _ in self.rows if k == kind}):
                values = [v for k, c, v in self.rows if (k, c) == (kind, control)]
                table.setdefault(kind, {})[f"{control:g}"] = {"similarity": float(np.mean(values)), "n": len(values)}
        return {"by_control": table, "acd": float(np.mean(self.distances)) if self.distances else None}


@dataclass
class ReadExpression:
    """How often a classifier reads the peak as what was asked for, of the model and of real frames."""

    classify: Classify
    name: str = "expression"
    answers: list[tuple[str, str, str]] = field(default_factory=list)
    """(``model`` or ``real``, expression, answer)."""

    def update(self, case: Case, sweep_clip: SweepClip) -> None:
        group = case.group
        k = int(np.abs(sweep_clip.controls - 1).argmin())
        marks = sweep_clip.landmarks[k]
        if group not in READ_AS or not np.isfinite(marks).all():
            return
        self.answers.append(("model", group, self.classify(recogniser_face(sweep_clip.frames[k], marks))))
        for truth in sweep_clip.truth:
            if _is_peak(truth) and np.isfinite(truth.landmarks).all():
                self.answers.append(("real", group, self.classify(recogniser_face(truth.real, truth.landmarks))))

    def result(self) -> dict | None:
        table: dict = {}
        for kind, group in sorted({(k, g) for k, g, _ in self.answers}):
            counts = Counter(answer for k, g, answer in self.answers if (k, g) == (kind, group))
            row = {"as_asked": counts[READ_AS[group]], "n": counts.total(), "answers": dict(sorted(counts.items()))}
            table.setdefault(kind, {})[group] = row
        return table or None


@dataclass
class PerceptualDistance:
    """LPIPS (Zhang et al. 2018, AlexNet) between real frames and the model's, and the photo's, at 256 px."""

    network: torch.nn.Module
    """Two batches (B, 3, H, W) in [-1, 1] -> their mean distance."""
    name: str = "lpips"
    values: dict[str, list[float]] = field(default_factory=lambda: {"model": [], "repeat": []})

    def update(self, case: Case, sweep_clip: SweepClip) -> None:
        for truth in sweep_clip.truth:
            for answer, frame in (("model", truth.model), ("repeat", sweep_clip.frames[0])):
                with torch.inference_mode():
                    self.values[answer].append(float(self.network(_small(frame), _small(truth.real))))

    def result(self) -> dict | None:
        return {name: {"mean": float(np.mean(v)), "n": len(v)} for name, v in self.values.items() if v} or None


@dataclass
class FrechetDistance:
    """FID (Heusel et al. 2017) between real and generated frames at the peak.

    A few hundred pictures overestimate it: compare only values of the same cases.
    """

    metric: Any
    """``torchmetrics.image.fid.FrechetInceptionDistance`` or one with its interface."""
    name: str = "fid"
    frames: int = 0

    def update(self, case: Case, sweep_clip: SweepClip) -> None:
        for truth in filter(_is_peak, sweep_clip.truth):
            for frame, is_real in ((truth.real, True), (truth.model, False)):
                self.metric.update(torch.from_numpy(frame.copy()).permute(2, 0, 1)[None], real=is_real)
            self.frames += 1

    def result(self) -> dict | None:
        return {"fid": float(self.metric.compute()), "n": self.frames} if self.frames > 1 else None


def load_learned(*, offline: bool | None = None) -> tuple[list[LearnedMetric], dict[str, str]]:
    """The learned metrics whose weights are at hand or can be fetched, and why the others are skipped."""
    loaders: dict[str, Callable[[bool | None], LearnedMetric]] = {
        "identity": _load_identity,
        "expression": _load_expression,
        "lpips": _load_lpips,
        "fid": _load_fid,
    }
    metrics, skipped = [], {}
    for name, load in loaders.items():
        try:
            metrics.append(load(offline))
        except WeightsError as error:
            skipped[name] = error.message
        except ModuleNotFoundError as error:
            library = (error.name or "a library").replace("_", "-")
            skipped[name] = f"{library} is not installed: pip install 'facemotion[evaluate]'"
    return metrics, skipped


def _load_identity(offline: bool | None) -> LearnedMetric:
    import cv2

    from facemotion.weights.registry import private_copies

    with private_copies(["evaluate-identity"], offline=offline) as copied:
        recogniser = cv2.FaceRecognizerSF.create(str(copied["evaluate-identity"]), "")
    return Identity(lambda face: recogniser.feature(np.ascontiguousarray(face[..., ::-1])).ravel().astype(float))


def _load_expression(offline: bool | None) -> LearnedMetric:
    import cv2

    from facemotion.weights.registry import private_copies

    with private_copies(["evaluate-expression"], offline=offline) as copied:
        network = cv2.dnn.readNetFromONNX(str(copied["evaluate-expression"]))

    def classify(face: np.ndarray) -> str:
        network.setInput(cv2.dnn.blobFromImage((face.astype(np.float32) / 255 - 0.5) / 0.5))
        return CLASSES[int(np.argmax(network.forward()))]

    return ReadExpression(classify)


def _load_lpips(offline: bool | None) -> LearnedMetric:
    import torchvision  # noqa: F401 (torchmetrics needs it and says so less clearly)
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    from facemotion.weights.hub import torch_hub_with

    with torch_hub_with(["evaluate-lpips"], offline=offline):
        return PerceptualDistance(LearnedPerceptualImagePatchSimilarity(net_type="alex"))


def _load_fid(offline: bool | None) -> LearnedMetric:
    import torch_fidelity  # noqa: F401 (torchmetrics needs it and says so less clearly)
    from torchmetrics.image.fid import FrechetInceptionDistance

    from facemotion.weights.registry import private_copies

    with private_copies(["evaluate-fid"], offline=offline) as copied:
        path = str(copied["evaluate-fid"])
        return FrechetDistance(FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=path))


def _is_peak(truth: TruthFrame) -> bool:
    return AT_PEAK[0] < truth.control <= AT_PEAK[1]


def _small(frame: np.ndarray) -> torch.Tensor:
    import cv2

    image = cv2.resize(frame, (LPIPS_PX, LPIPS_PX), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
