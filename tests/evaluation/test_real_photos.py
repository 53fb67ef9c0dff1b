"""Real pairs of photos, seen by the project's own finder."""

from pathlib import Path

import numpy as np
import pytest

from facemotion.evaluation.cases import CROP_PX, find_cases
from facemotion.evaluation.motion import inter_ocular, unit_motion
from facemotion.evaluation.regions import ANCHORS
from facemotion.evaluation.tracking import builtin_tracker
from facemotion.expressions.grammar import EXPRESSIONS
from facemotion.faces.find import follow_face

LONDON = Path(__file__).parents[3] / "shared/data/london"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not LONDON.is_dir(), reason="no face data at ../shared/data"),
]


@pytest.fixture(scope="module")
def tracker():
    return builtin_tracker()


@pytest.fixture(scope="module")
def cases(tracker):
    return find_cases([LONDON], known=EXPRESSIONS, locate=tracker.locate, split="validation")


def test_the_validation_people_of_london_give_eight_real_smiles(cases):
    assert [(case.kind, case.group) for case in cases] == [("photo-pairs", "smile")] * 8


def test_a_real_smile_is_laid_on_its_neutral_photo_and_measured_as_one(cases, tracker):
    import torch

    pixels = cases[0].read()
    ((control, peak),) = pixels.truth
    landmarks = torch.from_numpy(tracker.track(np.stack([pixels.source, peak])))
    assert control == 1
    assert pixels.source.shape == (CROP_PX, CROP_PX, 3)
    apart = (landmarks[1] - landmarks[0])[list(ANCHORS)].norm(dim=-1).mean() / inter_ocular(landmarks[0])
    assert apart < 0.05
    motion = {name: float(unit[1]) for name, unit in unit_motion(landmarks).items()}
    assert motion["corner_out"] > 0.05
    assert motion["corner_up"] > 0


def test_halving_a_crop_does_not_move_the_landmarks(cases, tracker):
    source = cases[1].read().source
    halved, whole = tracker.track(source[None])[0], follow_face(source[None])[0]
    assert np.hypot(*(halved - whole).T).max() < 1
