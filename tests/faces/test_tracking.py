"""The tracker on a face that moves, is hidden, crosses another and is cut away; the face is NASA's astronaut."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from facemotion.evaluation.landmark_units import LandmarkReader
from facemotion.evaluation.unit_scores import target
from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES
from facemotion.faces import unit_reader as unit_reader_module
from facemotion.faces.landmarker import Landmarker
from facemotion.faces.tracking import FaceTrack, FaceTracker, Sighting, eye_angles, track_face
from facemotion.faces.types import Face
from facemotion.faces.unit_reader import unit_reader
from facemotion.media.footage import FootageFrame

HEAD = astronaut()[20:240, 120:330]
_TINTED = HEAD[:, ::-1, ::-1].astype(float) * 0.75 + 20
OTHER_HEAD = np.clip(_TINTED, 0, 255).astype(np.uint8)
"""Somebody else: mirrored, darker and with another colour of skin."""

SMILE, BLINK = UNIT_INDEX["mouthSmileLeft"], UNIT_INDEX["eyeBlinkLeft"]


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker.load()


def scene(*heads: tuple[np.ndarray, float], size: tuple[int, int] = (640, 300), ground: int = 130) -> np.ndarray:
    """Heads with the x of their left edge, the last in front, on a plain ground."""
    picture = np.full((size[1], size[0], 3), (ground - 10, ground, ground + 10), np.uint8)
    mask = np.zeros(HEAD.shape[:2], np.float32)
    cv2.ellipse(mask, (105, 105), (80, 100), 0, 0, 360, 1, -1)
    for head, left in heads:
        x = round(left)
        x0, x1 = max(0, x), min(size[0], x + head.shape[1])
        if x0 < x1:
            share, under = mask[:, x0 - x : x1 - x, None], picture[40:260, x0:x1]
            under[:] = share * head[:, x0 - x : x1 - x] + (1 - share) * under
    return picture


def footage(pictures: list[np.ndarray], *, fps: float = 25) -> list[FootageFrame]:
    return [FootageFrame(number / fps, picture, 1.0) for number, picture in enumerate(pictures)]


def centre_x(sighting: Sighting) -> float:
    assert sighting.face is not None
    return (sighting.face.box[0] + sighting.face.box[2]) / 2


def test_a_face_that_moves_and_leans_is_followed_without_jumps(landmarker):
    frames = []
    for number in range(24):
        matrix = cv2.getRotationMatrix2D((225, 130), 25 * np.sin(number / 8), 1 + 0.2 * np.sin(number / 5))
        matrix[:, 2] += 5 * number, 3 * number
        frames.append(cv2.warpAffine(astronaut(), matrix, (512, 400), borderMode=cv2.BORDER_REFLECT))
    track = track_face(footage(frames), landmarker=landmarker).smoothed()
    assert track.seen.all() and not track.cuts.any() and track.gaps == 0
    assert track.units[:, SMILE].min() > 0.6, "she smiles"
    assert np.abs(np.diff(track.units, axis=0)).max() < 0.25
    turns = -25 * np.sin(np.arange(24) / 8)  # OpenCV turns counter-clockwise
    np.testing.assert_allclose(track.head[:, 2] - track.head[0, 2], turns - turns[0], atol=3)


def test_a_track_of_too_few_frames_to_know_a_face_holds_calibrated_units(landmarker):
    frame = FootageFrame(0.0, astronaut(), 1.0)
    sighting = FaceTracker(landmarker)(frame)
    assert sighting.face is not None
    track = FaceTrack.of([sighting])
    np.testing.assert_allclose(track.units[0], sighting.face.units, atol=1e-3)
    assert np.abs(track.units[0] - sighting.face.scores).max() > 0.1


@pytest.fixture(scope="module")
def smiling(landmarker) -> tuple[Face, Face]:
    """Her face as the photo shows it, and as the head says that its landmarks lie with jaw and brows moved."""
    face = FaceTracker(landmarker)(FootageFrame(0.0, HEAD, 1.0)).face
    reader = LandmarkReader.on(face)
    points = reader.moved(reader.own + target(jawOpen=0.6, browInnerUp=0.7, browOuterUp=0.7))
    return face, replace(face, points=points, scores=landmarker.scores_of(points))


MOVED = [UNIT_INDEX[name] for name in ("jawOpen", "browInnerUp", "browOuterUpLeft", "browOuterUpRight")]


def test_what_a_face_does_is_read_against_its_own_rest(smiling):
    track = FaceTrack.of([Sighting(n / 25, smiling[n >= 10], False) for n in range(20)])
    rest, moved = track.units[:10], track.units[10:]
    assert rest[:, MOVED].max() < 0.05 < 0.4 < moved[:, MOVED].min()
    assert track.units[:, SMILE].min() > 0.4, "she smiles all the time"
    smile = [
        i for i, name in enumerate(UNIT_NAMES) if name.startswith(("mouthSmile", "mouthUpperUp", "mouthLowerDown"))
    ]
    assert np.delete(rest, [*MOVED, *smile], axis=1).mean() < 0.01


def test_after_a_cut_or_a_long_absence_another_rest_counts(smiling):
    brow = UNIT_INDEX["browInnerUp"]
    for cut, pause_s in ((True, 0), (False, 5), (False, 1)):
        sightings = [
            Sighting(n / 25 + (pause_s if n >= 12 else 0), smiling[n >= 12], cut and n == 12) for n in range(24)
        ]
        read = FaceTrack.of(sightings).units[:, brow]
        assert read[:12].max() < 0.05
        assert (read[12:].min() > 0.3) == (pause_s == 1), "else somebody who looks like that"


def test_an_hour_of_frames_is_read_alike_in_pieces(landmarker, monkeypatch):
    face = FaceTracker(landmarker)(FootageFrame(0.0, HEAD, 1.0)).face
    reader = unit_reader()
    noise = np.random.default_rng(0).normal(0, 0.05, (50, reader.shape_count + 52)).astype(np.float32)
    rows = reader.row(face) + noise
    whole = reader.units(rows)
    monkeypatch.setattr(unit_reader_module, "_CHUNK", 7)
    np.testing.assert_allclose(reader.units(rows), whole, atol=1e-5)


def test_a_track_of_nobody_is_all_gaps():
    track = FaceTrack.of([Sighting(n / 25, None, False) for n in range(3)])
    assert not track.seen.any() and np.isnan(track.units).all() and track.units.shape == (3, 52)
    assert len(FaceTrack.of([])) == 0


def test_frames_without_the_face_are_gaps_and_it_is_found_again(landmarker):
    pictures = [scene((HEAD, 100 + 2 * number)) for number in range(6)]
    pictures += [scene() for _ in range(8)] + [scene((HEAD, 300 + 2 * number)) for number in range(30)]
    track = track_face(footage(pictures), landmarker=landmarker)
    assert track.seen[:6].all() and not track.seen[6:14].any()
    assert track.seen[-6:].all()
    assert track.gaps == 1
    assert np.isnan(track.units[~track.seen]).all() and np.isfinite(track.units[track.seen]).all()


def test_of_two_who_cross_the_one_behind_is_lost_and_found_again(landmarker):
    tracker = FaceTracker(landmarker, choice="105,140")
    seen = {}
    for number, frame in enumerate(footage([None] * 50)):
        mine, others = 20 + 390 * number / 49, 410 - 390 * number / 49
        sighting = tracker(FootageFrame(frame.time_s, scene((HEAD, mine), (OTHER_HEAD, others)), 1.0))
        if sighting.face is not None:
            seen[number] = abs(centre_x(sighting) - mine - 105) < abs(centre_x(sighting) - others - 105)
    apart = [number for number in range(50) if abs(390 - 780 * number / 49) > 120]
    assert all(seen[number] for number in seen if number in apart), "never the other one"
    assert set(range(15)) | set(range(40, 50)) <= set(seen)


@pytest.mark.slow
def test_of_two_who_cross_the_one_in_front_is_never_lost(landmarker):
    tracker = FaceTracker(landmarker, choice="105,140")
    for number in range(50):
        mine, others = 20 + 390 * number / 49, 410 - 390 * number / 49
        sighting = tracker(FootageFrame(number / 25, scene((OTHER_HEAD, others), (HEAD, mine)), 1.0))
        assert abs(centre_x(sighting) - mine - 105) < 25


@pytest.mark.parametrize(("choice", "left"), [("largest", 400), ("2", 50), ("155,140", 50)])
def test_the_face_is_chosen_as_for_animation(landmarker, choice, left):
    smaller = cv2.resize(HEAD, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    padded = np.full_like(HEAD, 130)
    padded[30 : 30 + len(smaller), 30 : 30 + smaller.shape[1]] = smaller
    picture = scene((padded, 50), (OTHER_HEAD, 400))
    tracker = FaceTracker(landmarker, choice=choice)
    for frame in footage([picture] * 2):
        assert abs(centre_x(tracker(frame)) - left - 105) < 40


def test_places_are_those_of_the_video_however_small_its_frames(landmarker):
    picture = scene((HEAD, 20), (OTHER_HEAD, 400))
    sighting = FaceTracker(landmarker, choice="1050,300")(FootageFrame(0.0, picture, 0.5))
    assert abs(centre_x(sighting) - 505) < 30


def test_a_choice_that_nobody_meets_is_no_face(landmarker):
    for choice in ("3", "320,10"):
        assert FaceTracker(landmarker, choice=choice)(FootageFrame(0.0, scene((HEAD, 200)), 1.0)).face is None


def test_after_a_cut_the_face_is_chosen_anew(landmarker):
    first = [scene((HEAD, 30 + number)) for number in range(4)]
    second = [255 - scene(ground=60) for _ in range(4)]
    for number, picture in enumerate(second):
        picture[40:260, 380 + number : 590 + number] = OTHER_HEAD
        picture[:, :200] = 20
    track = track_face(footage(first + second), landmarker=landmarker)
    assert track.cuts.tolist() == [False] * 4 + [True] + [False] * 3
    assert track.seen.all()


def test_a_light_that_goes_on_is_no_cut(landmarker):
    tracker = FaceTracker(landmarker)
    picture = scene((HEAD, 200))
    assert not any(tracker(frame).cut for frame in footage([picture // 3, picture // 3, picture, picture]))


def track_of(units: np.ndarray, *, seen: np.ndarray | None = None, cuts: np.ndarray | None = None) -> FaceTrack:
    count = len(units)
    seen = np.ones(count, bool) if seen is None else seen
    all_units = np.zeros((count, 52), np.float32)
    all_units[:, BLINK] = units
    head = np.stack([units * 10] * 3, axis=1).astype(np.float32)
    all_units[~seen], head[~seen] = np.nan, np.nan
    return FaceTrack(
        np.arange(count) / 25,
        all_units,
        head,
        eye_angles(all_units),
        seen,
        np.zeros(count, bool) if cuts is None else cuts,
    )


def test_smoothing_calms_what_rests_and_keeps_blinks_where_they_are():
    noise = 0.02 * np.random.default_rng(0).standard_normal(200)
    still = track_of(0.3 + noise).smoothed()
    assert still.units[:, BLINK].std() < 0.6 * noise.std()
    assert still.head[:, 0].std() < 0.6 * (10 * noise).std()
    blink = np.zeros(60)
    blink[28:36] = 0.2, 0.7, 1, 1, 0.8, 0.5, 0.25, 0.1
    smooth = track_of(blink).smoothed().units[:, BLINK]
    assert smooth.max() > 0.85 and abs(int(smooth.argmax()) - 30) <= 1
    half = np.flatnonzero(smooth > 0.5)
    assert 4 <= len(half) <= 7


def test_speech_is_smoothed_less_than_lids():
    sway = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(100) / 25)
    track = track_of(sway)
    track.units[:, UNIT_INDEX["jawOpen"]] = sway
    smooth = track.smoothed().units[20:80]
    lids, jaw = (np.ptp(smooth[:, unit]) for unit in (BLINK, UNIT_INDEX["jawOpen"]))
    assert 0.4 < lids < jaw - 0.05 and jaw > 0.7


def test_nothing_is_smoothed_across_cuts_and_gaps():
    steps = np.r_[np.zeros(10), np.ones(10)]
    cuts = np.zeros(20, bool)
    cuts[10] = True
    np.testing.assert_allclose(track_of(steps, cuts=cuts).smoothed().units[:, BLINK], steps, atol=1e-6)
    seen = np.ones(21, bool)
    seen[10] = False
    smooth = track_of(np.r_[np.zeros(10), 0, np.ones(10)], seen=seen).smoothed()
    np.testing.assert_allclose(smooth.units[seen, BLINK], steps, atol=1e-6)
    assert np.isnan(smooth.units[10]).all()
    assert smooth.gaps == 1


def test_angles_are_smoothed_across_half_a_turn():
    track = track_of(np.zeros(4))
    track.head[:, 2] = 178, -179, 179, -178
    assert (np.abs(track.smoothed().head[:, 2]) > 177).all()


def test_eyes_look_where_the_units_of_gaze_say():
    units = np.zeros((1, 52), np.float32)
    for name, value in (("eyeLookOutLeft", 0.5), ("eyeLookInRight", 0.5), ("eyeLookDownLeft", 0.2)):
        units[0, UNIT_INDEX[name]] = value
    np.testing.assert_allclose(eye_angles(units), [[15, -6, 15, 0]], atol=1e-5)
