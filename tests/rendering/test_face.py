"""The renderer on a real portrait: what it leaves alone, what it moves, and what another reader sees of it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facemotion.compositing.face_in_photo import FaceInPhoto
from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.landmarker.landmarker import Landmarker
from facemotion.head.own_units import own_units, prior_of
from facemotion.head.rig import EYES, LOWER_LIP, UPPER_LIP, HeadMotion
from facemotion.rendering.boxes import LayerCanvas
from facemotion.rendering.compose import composed
from facemotion.rendering.donors import teeth_donors
from facemotion.rendering.eyes import IRISES
from facemotion.rendering.face import FaceRenderer
from facemotion.rendering.light import LUMA

PORTRAIT = Path(__file__).parents[2] / "docs" / "images" / "portrait.jpg"
SIZE = 384
STILL = np.zeros(52, np.float32)


class Portrait:
    """The sample portrait, its crop and its renderer."""

    def __init__(self) -> None:
        self.landmarker = Landmarker.load()
        self.photo = np.ascontiguousarray(cv2.imread(str(PORTRAIT))[..., ::-1])
        (face, *_) = self.landmarker.measure(self.photo)
        self.pose = np.array(face.pose)
        points = face.require_points()[:, :2].astype(np.float64)
        self.in_photo = points[list(FROM_FACE_MESH)]
        self.to_crop = geometry.photo_to_crop(self.in_photo, SIZE)
        self.crop = geometry.warp_crop(self.photo, self.to_crop, SIZE)
        self.points = geometry.apply(self.to_crop, points)
        self.renderer = FaceRenderer(self.crop, self.points, seed=1)

    def frame(self, units: dict[str, float], *, crop: np.ndarray | None = None) -> np.ndarray:
        """The crop with units beyond its own, (SIZE, SIZE, 3) float32."""
        crop = self.crop if crop is None else crop
        renderer = self.renderer if crop is self.crop else FaceRenderer(crop, self.points, seed=1)
        return composed(crop.astype(np.float32) / 255, renderer.render(renderer.rig.head.strengths(units)))


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return Portrait()


def both(name: str, value: float) -> dict[str, float]:
    return {f"{name}Left": value, f"{name}Right": value}


def between_lips(portrait: Portrait, units: dict[str, float], frame: np.ndarray) -> np.ndarray:
    """(n, 3) the colours between the lips, as the rendered landmarks say."""
    points = portrait.renderer.landmarks_at(portrait.renderer.rig.head.strengths(units))
    mask = np.zeros(frame.shape[:2], np.uint8)
    outline = np.concatenate([points[list(UPPER_LIP)], points[list(LOWER_LIP)][::-1]])
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return frame[cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0]


SMILE = both("mouthSmile", 0.7) | both("mouthUpperUp", 0.35) | both("mouthLowerDown", 0.2) | {"jawOpen": 0.1}


def test_the_photo_stays_where_nothing_is_asked(portrait):
    rendering = portrait.renderer.render(STILL)
    assert np.abs(rendering.flow).max() * SIZE < 0.05
    assert np.abs(rendering.log_gain).max() < 1e-4
    assert rendering.turn is None
    photo = portrait.crop.astype(np.float32) / 255
    assert np.abs(composed(photo, rendering) - photo).max() < 15 / 255


def test_a_smile_lifts_and_parts_the_corners_of_the_mouth(portrait):
    smiling = portrait.renderer.landmarks_at(portrait.renderer.rig.head.strengths(both("mouthSmile", 0.7)))
    right, left = smiling[[61, 291]] - portrait.points[[61, 291]]
    eye = portrait.renderer.rig.eye_px
    assert right[1] < -0.05 * eye and left[1] < -0.05 * eye
    assert left[0] - right[0] > 0.1 * eye


def test_a_smile_shows_teeth_as_bright_as_photographed_ones(portrait):
    teeth = between_lips(portrait, SMILE, portrait.frame(SMILE)) @ LUMA
    skin = np.percentile((portrait.crop[portrait.crop.shape[0] // 3 :] / 255) @ LUMA, 90)
    assert 0.8 * skin < np.percentile(teeth, 90) < 1.5 * skin
    assert np.percentile(teeth, 5) < 0.7 * np.percentile(teeth, 90)  # gaps and corners stay dark


def test_teeth_dim_with_the_light_of_the_photo(portrait):
    dim = np.round(portrait.crop * 0.45).astype(np.uint8)
    bright, dark = (
        np.percentile(between_lips(portrait, SMILE, frame) @ LUMA, 90)
        for frame in (portrait.frame(SMILE), portrait.frame(SMILE, crop=dim))
    )
    assert 0.4 * bright < dark < 0.65 * bright


def test_an_open_jaw_is_dark_inside(portrait):
    units = {"jawOpen": 0.7}
    inside = between_lips(portrait, units, portrait.frame(units)) @ LUMA
    assert np.median(inside) < 0.35


def test_lips_that_are_just_parted_show_no_teeth_of_somebody_else(portrait):
    points = portrait.points.copy()
    # as if the photo's lips were open by a hair
    points[list(UPPER_LIP), 1] -= 0.009 * portrait.renderer.rig.eye_px
    points[list(LOWER_LIP), 1] += 0.009 * portrait.renderer.rig.eye_px
    renderer = FaceRenderer(portrait.crop, points)
    photo = portrait.crop.astype(np.float32) / 255
    assert renderer.rig.lip_gaps(renderer.rig.source).max() > 0.015 * renderer.rig.eye_px
    assert np.abs(composed(photo, renderer.render(STILL)) - photo).max() < 15 / 255


def test_an_opening_that_is_nowhere_a_pixel_high_is_none(portrait):
    """As on small faces, whose lips part by a fraction of a pixel."""
    renderer = portrait.renderer
    control = renderer.rig.head.strengths({"jawOpen": 0.3})
    points = renderer.rig.moved(control)
    box = renderer.mouth.box_at(points)
    cover = np.ones(box.shape, np.float32)
    cover[box.shape[0] // 2, 8:-8] = 0.6
    canvas = LayerCanvas.on(box, np.zeros((*box.shape, 3), np.float32))
    renderer.mouth.draw(canvas, cover, box.grid(), points, control)
    assert not canvas.opacity.any()


def test_burnt_out_skin_does_not_turn_grey_in_a_fold(portrait):
    """Its hue is lost: white would become grey beside skin."""
    white = np.round(255 - (255 - portrait.crop.astype(np.float64)) * 0.02).astype(np.uint8)
    frame = portrait.frame(both("mouthSmile", 0.8), crop=white)
    cheek = np.round(portrait.points[205]).astype(int)
    around = frame[cheek[1] - 25 : cheek[1] + 25, cheek[0] - 15 : cheek[0] + 15]
    assert around.min() > 0.93


def test_blinking_covers_the_eyes(portrait):
    open_eyes, closed = portrait.frame({}), portrait.frame(both("eyeBlink", 1.0))
    for pupil in (468, 473):
        x, y = np.round(portrait.points[pupil]).astype(int)
        here = np.s_[y - 2 : y + 3, x - 2 : x + 3]
        assert closed[here].mean() > open_eyes[here].mean() + 0.05


def test_closed_lids_meet_below_the_eye_in_a_dark_line(portrait):
    luminance = portrait.frame(both("eyeBlink", 1.0)) @ LUMA
    reach = round(0.1 * portrait.renderer.rig.eye_px)
    for lower in (145, 374):  # the middle of the lower lid
        x, y = np.round(portrait.points[lower]).astype(int)
        column = luminance[y - reach : y + reach, x - 3 : x + 4].mean(1)
        assert column.argmin() > reach
        assert column.min() < 0.6 * column[: reach // 2].mean()


def test_a_glance_leaves_the_whites_that_the_iris_does_not_cross(portrait):
    still, glancing = portrait.frame({}), portrait.frame({"eyeLookOutLeft": 0.15, "eyeLookInRight": 0.15})
    for side, iris in IRISES.items():
        upper, lower = (portrait.points[list(margin)] for margin in EYES[side])
        white = np.zeros(still.shape[:2], np.uint8)
        cv2.fillPoly(white, [np.round(np.concatenate([upper, lower[::-1]])).astype(np.int32)], 1)
        white = cv2.erode(white, np.ones((3, 3), np.uint8))
        centre, *rim = portrait.points[list(iris)]
        radius = np.linalg.norm(rim - centre, axis=1).mean()
        cv2.circle(white, np.round(centre).astype(int).tolist(), round(1.45 * radius), 0, -1)
        assert white.sum() > 30
        assert np.abs(glancing - still)[white > 0].mean() < 0.025
        assert np.abs(glancing - still)[white == 0].max() > 0.2, "the iris moves"


@pytest.mark.parametrize(
    ("motion", "axis", "tolerance"),
    [
        (HeadMotion(yaw=6), 0, 1.9),
        (HeadMotion(yaw=-6), 0, 1.9),
        (HeadMotion(pitch=6), 1, 1.9),
        (HeadMotion(pitch=-6), 1, 1.9),
        (HeadMotion(roll=6), 2, 1.0),
    ],
    ids=str,
)
def test_a_turned_head_reads_as_asked(portrait, motion, axis, tolerance):
    place = FaceInPhoto(portrait.photo, portrait.to_crop, SIZE, portrait.in_photo)
    frame = place.frame(portrait.renderer.render(STILL, motion))
    (face, *_) = portrait.landmarker.measure(frame)
    asked = np.array([motion.yaw, motion.pitch, motion.roll])
    error = np.array(face.pose) - portrait.pose - asked
    assert abs(error[axis]) < tolerance
    assert np.abs(error).max() < 2.5


def test_a_turn_of_the_head_is_smooth_and_ends_before_the_span_does(portrait):
    turn = portrait.renderer.render(STILL, HeadMotion(yaw=8, pitch=3)).turn
    pixels = turn * turn.shape[0] / 1.75
    steps = np.maximum(np.abs(np.diff(pixels, axis=0)).max(), np.abs(np.diff(pixels, axis=1)).max())
    assert steps < 1.2, "pixels would change places"
    edge = np.concatenate([pixels[0], pixels[:, 0], pixels[:, -1]])
    assert np.abs(edge).max() < 0.15 * np.abs(pixels).max()


def test_the_bank_of_teeth_holds_whole_smiles():
    donors = teeth_donors()
    assert len(donors) >= 15
    for donor in donors:
        first, last = donor.span
        between = slice(first + 5, last - 4)
        assert last - first > 150
        assert (donor.bottom[between] >= donor.top[between]).all()
        assert np.nanmax(donor.edge - donor.top) > 20
        assert 0.6 < donor.luminance < 0.95


def test_a_smile_that_is_taken_away_shows_no_teeth_and_no_gap():
    from skimage.data import astronaut

    photo = np.ascontiguousarray(astronaut()[:300, 80:380])
    (face, *_) = Landmarker.load().measure(photo)
    points = face.require_points()[:, :2].astype(np.float64)
    to_crop = geometry.photo_to_crop(points[list(FROM_FACE_MESH)], SIZE)
    crop, points = geometry.warp_crop(photo, to_crop, SIZE), geometry.apply(to_crop, points)
    renderer = FaceRenderer(crop, points, prior=prior_of(face.require_scores()))
    rig = renderer.rig
    assert rig.lip_gaps(rig.source).max() > 0.08 * rig.eye_px, "she smiles with open lips"
    control = -own_units(rig.fit.units)
    frame = composed(crop.astype(np.float32) / 255, renderer.render(control))
    closed = rig.moved(control)
    assert rig.lip_gaps(closed).max() < 0.01 * rig.eye_px
    lips = rig.landmarks_at(closed)[[13, 14]].mean(0)
    across = np.arange(int(lips[0]) - 12, int(lips[0]) + 13)
    strip = frame[int(lips[1]) - 2 : int(lips[1]) + 3, across]
    own = crop[int(points[[13, 14], 1].mean()), across] / 255
    assert np.percentile(strip @ LUMA, 95) < 0.8 * np.percentile(own @ LUMA, 80)
