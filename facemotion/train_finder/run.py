"""Train both networks of the face finder and write them to one file."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import torch

from facemotion.faces.finder_networks import Detector, DetectorConfig, LandmarkConfig, LandmarkNetwork, save_finder
from facemotion.train_finder.crops import Crops
from facemotion.train_finder.expressive import read_expressive
from facemotion.train_finder.faceless import (
    TRAINING_PICTURES,
    VALIDATION_PICTURES,
    Faceless,
    bundled_pictures,
    pictures_in,
)
from facemotion.train_finder.loop import Progress, Schedule, train
from facemotion.train_finder.mine import mine_crops
from facemotion.train_finder.objectives import DetectorObjective, LandmarkObjective, detector_quality, landmark_error
from facemotion.train_finder.photos import read_photos
from facemotion.train_finder.scenes import Scenes


@dataclass(frozen=True)
class FinderTraining:
    """One training of the face finder."""

    data: Path
    """The face data folder: photos and landmarks.npz."""
    out: Path
    """Where checkpoints, log and finder.safetensors go."""
    faceless: Path | None = None
    """A folder of further pictures without faces."""
    clips: tuple[Path, ...] = ()
    """Prepared clip sets whose frames join the landmark photos."""
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    landmarks: LandmarkConfig = field(default_factory=LandmarkConfig)
    detector_schedule: Schedule = field(default_factory=lambda: Schedule(budget_s=1800))
    landmark_schedule: Schedule = field(default_factory=lambda: Schedule(budget_s=5400, batch=32, learning_rate=2e-3))
    mined_draws: int = 3000
    """Faceless pictures, and photos, searched with the trained detector for what it takes for faces (`mine`)."""


def train_finder(training: FinderTraining, *, report: Callable[[str], None]) -> Path:
    """Train detector, then landmark network, each from its checkpoint where there is one; returns the finished file.

    Every person of `facemotion/assets/validation.txt` is left out and only measured. ``report`` gets a line at every
    checkpoint; the same numbers go to ``log.jsonl``.
    """
    cv2.setNumThreads(1)
    training.out.mkdir(parents=True, exist_ok=True)
    photos = read_photos(training.data, validation=False)
    kept_apart = read_photos(training.data, validation=True)
    pictures = bundled_pictures(TRAINING_PICTURES)
    if training.faceless:
        pictures += pictures_in(training.faceless)
    faceless = Faceless(pictures, photos)
    frontal = [photo for photo in kept_apart if photo.person.startswith("london")]

    def log(network: str, progress: Progress, losses: dict[str, float], measured: dict[str, float]) -> None:
        entry = {"network": network, **asdict(progress), **losses, **measured}
        with (training.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in (losses | measured).items())
        report(f"{network} step {progress.step}, {progress.seconds / 60:.1f} min: {numbers}")

    torch.manual_seed(training.detector_schedule.seed)
    scenes = Scenes(photos, faceless, training.detector)
    checks = Scenes(kept_apart, Faceless(bundled_pictures(VALIDATION_PICTURES), kept_apart), training.detector)

    def check_detector(network: Detector, progress: Progress, losses: dict[str, float]) -> None:
        recall, alarms = detector_quality(network, checks)
        log("detector", progress, losses, {"recall": recall, "alarms": alarms})

    detector = train(
        Detector(training.detector),
        DetectorObjective(scenes),
        schedule=training.detector_schedule,
        state_path=training.out / "detector.pt",
        on_checkpoint=check_detector,
    )

    crops = Crops(photos, faceless, training.landmarks, expressive=read_expressive(training.clips))
    crops.mined = mine_crops(detector, faceless, photos, size=training.landmarks.input_px, draws=training.mined_draws)
    report(f"{len(crops.mined)} faceless crops that the detector took for faces")

    def check_landmarks(network: LandmarkNetwork, progress: Progress, losses: dict[str, float]) -> None:
        errors = {"error_all": landmark_error(network, kept_apart), "error_frontal": landmark_error(network, frontal)}
        log("landmarks", progress, losses, errors)

    landmarks = train(
        LandmarkNetwork(training.landmarks),
        LandmarkObjective(crops),
        schedule=training.landmark_schedule,
        state_path=training.out / "landmarks.pt",
        on_checkpoint=check_landmarks,
    )
    finished = training.out / "finder.safetensors"
    record = {
        "photos": len(photos),
        "people": len({photo.person for photo in photos}),
        "clip_frames": len(crops.expressive),
        "detector_minutes": round(training.detector_schedule.budget_s / 60, 1),
        "landmark_minutes": round(training.landmark_schedule.budget_s / 60, 1),
        "written": time.strftime("%Y-%m-%d"),
    }
    save_finder(finished, detector, landmarks, record=record)
    return finished
