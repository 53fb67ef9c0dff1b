"""What the weights in the package do to a face: a smile lifts the corners of the mouth, a blink closes the eyes.

NASA's portrait from scikit-image, in which she smiles, and the README's, from which the smile was taken away.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

import facemotion
from facemotion.api import AnimateSettings, Animator
from facemotion.expressions.units import UNIT_NAMES
from facemotion.faces.mesh import landmarker
from facemotion.media.photos import Photo
from facemotion.weights.registry import ASSETS

PORTRAIT = Path(__file__).parents[1] / "docs" / "images" / "portrait.jpg"
PHOTOS = ("neutral", "smiling")
WARM = np.array((1, 0.85, 0.72))
"""Light, by channel."""

pytestmark = pytest.mark.skipif(
    not (ASSETS / "generator.safetensors").exists(), reason="the weights are not in the package yet"
)


@cache
def photo(name: str) -> np.ndarray:
    if name == "smiling":
        return astronaut()[:300, 80:380].repeat(2, 0).repeat(2, 1)
    with Image.open(PORTRAIT) as image:
        pixels = np.asarray(image.convert("RGB"))
    # Warm light sets teeth apart from her pale skin and lips.
    return np.round(pixels * WARM).astype(np.uint8) if name == "warm" else pixels


@cache
def peak(name: str, expression: str) -> np.ndarray:
    return facemotion.animate(photo(name), {expression: 1.0}, frames=2)[-1]


@cache
def landmarks(name: str, expression: str = "") -> np.ndarray:
    """The 68 landmarks in inter-ocular distances, y downwards."""
    pixels = peak(name, expression) if expression else photo(name)
    points = facemotion.find_faces(pixels)[0].landmarks
    return points / np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))


def corner_height(points: np.ndarray) -> float:
    """Of the corners of the mouth, relative to the tip of the nose; up is positive."""
    return float(points[30, 1] - points[[48, 54], 1].mean())


def mouth_width(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[54] - points[48]))


def mouth_opening(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[66] - points[62]))


def eye_detail(name: str, expression: str = "") -> float:
    """Spread of the brightness between the lids of the photo: an open eye has white, iris and pupil, a lid has not."""
    pixels = peak(name, expression) if expression else photo(name)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    points = facemotion.find_faces(photo(name))[0].landmarks
    return float(np.mean([grey[filled(grey.shape, points[eye])].std() for eye in (slice(36, 42), slice(42, 48))]))


def teeth_share(name: str, expression: str = "") -> float:
    """Share of the mouth that is bright and has less colour than the cheeks beside it, in whatever light."""
    pixels = peak(name, expression) if expression else photo(name)
    points = facemotion.find_faces(pixels)[0].landmarks
    hue_saturation_value = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    mouth, cheeks = (
        hue_saturation_value[filled(pixels.shape[:2], points[outline])]
        for outline in (range(48, 60), [2, 4, 48, 31, 40])
    )
    return float(((mouth[:, 1] < 0.9 * np.median(cheeks[:, 1])) & (mouth[:, 2] > 120)).mean())


def filled(shape: tuple[int, int], outline: np.ndarray) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    return mask.astype(bool)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("expression", ["smile", "closed-smile"])
def test_a_smile_lifts_and_spreads_the_corners_of_the_mouth(name, expression):
    before, after = landmarks(name, "neutral"), landmarks(name, expression)
    assert corner_height(after) > corner_height(before) + 0.03
    assert mouth_width(after) > mouth_width(before) + 0.05


@pytest.mark.parametrize("name", PHOTOS)
def test_sadness_lowers_the_corners_of_the_mouth(name):
    assert corner_height(landmarks(name, "sadness")) < corner_height(landmarks(name)) - 0.02


@pytest.mark.parametrize("name", PHOTOS)
def test_surprise_opens_the_mouth(name):
    assert mouth_opening(landmarks(name, "surprise")) > mouth_opening(landmarks(name, "neutral")) + 0.05


def test_neutral_takes_a_smile_away():
    assert corner_height(landmarks("smiling", "neutral")) < corner_height(landmarks("smiling")) - 0.02
    assert mouth_opening(landmarks("smiling", "neutral")) < mouth_opening(landmarks("smiling")) - 0.05


@pytest.mark.parametrize("name", PHOTOS)
def test_a_blink_closes_the_eyes(name):
    closed = [UNIT_NAMES.index("eyeBlinkLeft"), UNIT_NAMES.index("eyeBlinkRight")]
    open_score, closed_score = (
        landmarker().measure(pixels)[0].scores[closed].mean() for pixels in (photo(name), peak(name, "blink"))
    )
    assert closed_score > open_score + 0.2
    assert eye_detail(name, "blink") < 0.9 * eye_detail(name)


def test_a_smile_shows_teeth_and_a_closed_one_none():
    assert teeth_share("warm", "smile") > teeth_share("warm") + 0.1
    assert teeth_share("warm", "closed-smile") < teeth_share("warm") + 0.02
    assert mouth_opening(landmarks("neutral", "closed-smile")) < mouth_opening(landmarks("neutral")) + 0.04


TINTS = {
    "green": (0.6, 1, 0.6),
    "blue": (0.5, 0.7, 1.1),
    "red": (1.1, 0.5, 0.45),
    "orange": (1.15, 0.75, 0.4),
    "violet": (0.9, 0.5, 1.1),
    "dark": (0.35, 0.33, 0.33),
    "bright": (1.3, 1.3, 1.3),
}


@pytest.mark.parametrize("tint", TINTS)
def test_closed_lids_have_the_hue_of_the_skin_around_them(tint):
    """On tinted skin they were discs of grey, 11 to 23 off in the plane of a and b (CIE Lab)."""
    tinted = np.clip(photo("smiling") * np.array(TINTS[tint]), 0, 255).astype(np.uint8)
    closed = facemotion.animate(tinted, {"blink": 1.0}, frames=2)[-1]
    points = facemotion.find_faces(photo("smiling"))[0].landmarks
    lab = [cv2.cvtColor(each.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for each in (closed, tinted)]
    for eye in (points[36:42], points[42:48]):
        lid = filled(closed.shape[:2], eye)
        reach = [cv2.dilate(lid.astype(np.uint8), np.ones((side, side))) for side in (19, 33)]
        around = (reach[1] - reach[0]).astype(bool)
        lids, skin = (each[part] for each, part in zip(lab, (lid, around), strict=True))
        lids = lids[lids[:, 0] > np.quantile(lids[:, 0], 0.4)].mean(0)  # without the lashes
        skin = skin[skin[:, 0] > np.median(skin[:, 0])].mean(0)  # without the brow
        assert np.hypot(*(lids - skin)[1:]) < 9
        assert lids[0] > skin[0] - 13


@pytest.mark.parametrize("part", ["mouth", "eyes"])
def test_what_covers_mouth_or_eyes_stays_as_it_is_and_a_line_says_so(part):
    pixels = photo("smiling").copy()
    points = facemotion.find_faces(pixels)[0].landmarks
    span = np.linalg.norm(points[45] - points[36])
    cover = np.zeros(pixels.shape[:2], np.uint8)
    if part == "mouth":
        corners = points[48:60].mean(0) + span * np.array(
            [(-0.4, -0.2), (0.4, -0.2), (0.45, 0.2), (0, 0.35), (-0.4, 0.2)]
        )
        cv2.fillPoly(cover, [corners.round().astype(np.int32)], 1)
    else:
        for eye in (points[36:42], points[42:48]):
            axes = round(0.24 * span), round(0.16 * span)
            cv2.ellipse(cover, eye.mean(0).round().astype(int).tolist(), axes, 0, 0, 360, 1, -1)
    covered = cover.astype(bool)
    pixels[covered] = (150, 190, 210) if part == "mouth" else (0, 0, 0)
    notes: list[str] = []
    settings = AnimateSettings(expression={"mouth": "smile,surprise", "eyes": "blink,smile"}[part], frames=3)
    frames = list(Animator(settings).frames(Photo(pixels), on_note=notes.append))
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame[covered], pixels[covered])
        assert (frame[~covered] != pixels[~covered]).any()
    [line] = [note for note in notes if "hidden" in note]
    assert line.startswith("The mouth is hidden" if part == "mouth" else "The eyes are hidden")
