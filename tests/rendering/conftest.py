"""NASA's portrait with a head on it."""

import numpy as np
import pytest
from skimage import data

from facemotion.faces import geometry
from facemotion.faces.landmarker import Landmarker
from facemotion.head.rig import Rig

RIG_PX = 256


@pytest.fixture(scope="session")
def rig() -> Rig:
    """On a crop of 256 px."""
    face = Landmarker.load().measure(data.astronaut())[0]
    to_crop = geometry.photo_to_crop(face.landmarks, RIG_PX)
    return Rig.on(geometry.apply(to_crop, face.points[:, :2].astype(np.float64)), RIG_PX)
