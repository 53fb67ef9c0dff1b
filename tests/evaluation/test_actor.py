"""Photos that perform, as evaluation asks them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from facemotion.evaluation.actor import Actor
from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES

SMILE = [UNIT_INDEX[f"mouthSmile{side}"] for side in ("Left", "Right")]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Actor, Actor]:
    """NASA's portrait without its smile, and as it is."""
    folder: Path = tmp_path_factory.mktemp("pair")
    Image.fromarray(astronaut()[:400, :440]).save(folder / "smile.png")
    smiling = Actor.of(folder / "smile.png", longest_px=512)
    rest = smiling.control(np.zeros(len(UNIT_NAMES)))
    Image.fromarray(smiling.performer.composite(smiling.performer.render(rest))).save(folder / "rest.png")
    return Actor.of(folder / "rest.png", longest_px=512), smiling


def test_a_photo_is_brought_to_the_smile_of_another(pair):
    rest, smiling = pair
    control = rest.control_to(smiling)
    assert control[SMILE].min() > 0.25
    brought = rest.performer.landmarks_at(control)
    still = rest.performer.landmarks_at(np.zeros_like(control))
    wanted = smiling.performer.landmarks_at(np.zeros_like(control))
    lips = slice(48, 68)
    assert np.abs(brought - wanted)[lips].mean() < 0.4 * np.abs(still - wanted)[lips].mean()


def test_a_photo_is_brought_to_itself_by_next_to_nothing(pair):
    assert np.abs(pair[1].control_to(pair[1])).max() < 0.05


def test_whose_teeth_a_photo_has_goes_by_its_pixels(pair):
    """As in clips: in a study, everybody once had the same."""
    rest, smiling = pair
    donors = {id(each.performer._renderer.mouth._donor) for each in (rest, smiling)}
    assert len(donors) == 2
