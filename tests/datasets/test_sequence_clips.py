"""Recordings to clips: reading, labels from paths, alignment, control values."""

import struct

import numpy as np
import pytest

from facemotion.datasets.clip_writer import Source
from facemotion.datasets.sequence_clips import SequenceImporter, evenly, measured_control, rigid_motion
from facemotion.datasets.sequences import SequenceItem, find_sequences, person_and_expression, read_frames, spread
from facemotion.errors import FacemotionError, InputError
from facemotion.faces import geometry
from tests.datasets import made_up

OWN = Source("own", "CC0-1.0")


def importer(**options) -> SequenceImporter:
    return SequenceImporter(find_faces=made_up.find_faces, crop_px=96, **options)


def stills(folder, openings, **options) -> SequenceItem:
    """A folder of frames named so that their alphabetical order is wrong."""
    for number, opening in enumerate(openings):
        made_up.write_image(folder / f"img{number}.png", made_up.frame(opening, **options))
    return find_sequences([folder.parent], own_source=OWN, expression="surprise")[0]


@pytest.mark.parametrize(
    ("path", "person", "expression"),
    [
        ("anna/smile/take1", "anna", "smile"),
        ("anna/happiness/take1", "anna", "smile"),
        ("session/P001/Anger", "P001", "anger"),
        ("smile/anna", "anna", "smile"),
        ("smile/anna/take2", "anna", "smile"),
        ("anna_smile", "anna", "smile"),
        ("anna_smile_02", "anna", "smile"),
        ("anna/smile_02", "anna", "smile"),
        ("anna", "anna", ""),
        ("anna/neutral/take1", "anna", ""),
    ],
)
def test_person_and_expression_from_a_path(path, person, expression):
    assert person_and_expression(path.split("/"), "recordings") == (person, expression)


def test_the_folder_itself_may_name_the_expression():
    assert person_and_expression(["anna"], "my-blinks blink") == ("anna", "blink")


def test_an_expression_given_holds_for_all():
    assert person_and_expression(["anna", "smile"], "recordings", "wink") == ("anna", "wink")
    assert person_and_expression(["anna"], "recordings", "wink") == ("anna", "wink")


def test_videos_and_frame_folders_are_found(tmp_path):
    root = tmp_path / "recordings"
    made_up.write_video(root / "anna" / "smile.mp4", [made_up.frame()] * 2)
    made_up.write_image(root / "ben" / "fear" / "10.png", made_up.frame())
    made_up.write_image(root / "ben" / "fear" / "9.png", made_up.frame())
    made_up.write_image(root / "ben" / "portrait.png", made_up.frame())
    made_up.write_video(root / "clara.mov", [made_up.frame()] * 2)
    items = find_sequences([root], own_source=OWN)
    assert [(item.key, item.person, item.expression) for item in items] == [
        ("recordings/clara.mov", "recordings-clara", ""),
        ("recordings/anna/smile.mp4", "recordings-anna", "smile"),
        ("recordings/ben/fear", "recordings-ben", "fear"),
    ]
    assert [path.name for path in items[2].frames] == ["9.png", "10.png"]
    assert "no expression in its path" in items[0].problem and not items[1].problem


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(InputError, match="no videos and no frame sequences"):
        find_sequences([tmp_path], own_source=OWN)


def test_spread_keeps_both_ends():
    assert spread(100, 5) == [0, 25, 50, 74, 99]
    assert spread(3, 8) == [0, 1, 2]


@pytest.mark.parametrize("fps", [12, 60])
def test_a_video_of_any_rate_becomes_an_aligned_clip(tmp_path, fps):
    openings = np.linspace(0, 1, 21)
    frames = [made_up.frame(opening, shift_px=10 * opening) for opening in openings]
    made_up.write_video(tmp_path / "r" / "anna" / "surprise.mp4", frames, fps=fps)
    (item,) = find_sequences([tmp_path / "r"], own_source=OWN)
    (clip,) = importer(frames=5).clips(item, base_id="anna", seed=0)
    np.testing.assert_allclose(clip.control, [0, 0.25, 0.5, 0.75, 1], atol=1e-6)
    assert clip.expression == {"surprise": 1.0} and clip.origin == "clips" and clip.licence == "CC0-1.0"
    rigid = [27, 28, 29, 30, 36, 39, 42, 45]
    np.testing.assert_allclose(clip.landmarks[4, rigid], clip.landmarks[0, rigid], atol=0.5)
    assert np.diff(clip.landmarks[:, 57, 1]).min() > 0.5
    still = np.s_[20:40, 30:66]
    assert np.abs(clip.frame(4)[still].astype(int) - clip.frame(0)[still]).mean() < 12


def test_the_crop_of_the_first_frame_is_the_usual_one(tmp_path):
    item = stills(tmp_path / "anna", [0, 0.5, 1])
    (clip,) = importer().clips(item, base_id="anna", seed=0)
    expected = geometry.warp_crop(made_up.frame(0), geometry.photo_to_crop(made_up.landmarks(), 96), 96)
    assert np.abs(clip.frame(0).astype(int) - expected).max() <= 1


def test_control_measured_on_the_face_ignores_pauses_and_finds_the_peak(tmp_path):
    openings = [0, 0, 0, 0.25, 0.5, 1, 1, 0.5, 0]
    item = stills(tmp_path / "anna", openings)
    (clip,) = importer(frames=9, control="landmarks").clips(item, base_id="anna", seed=0)
    np.testing.assert_allclose(clip.control, openings, atol=0.02)


def test_measured_control_keeps_evenly_spread_frames(tmp_path):
    item = stills(tmp_path / "anna", [0, 0, 0, 0.1, 0.3, 0.5, 0.7, 0.9, 1, 1, 1])
    (clip,) = importer(frames=4, control="landmarks").clips(item, base_id="anna", seed=0)
    np.testing.assert_allclose(clip.control, [0, 0.3, 0.7, 1], atol=0.02)


def test_measured_control_is_a_projection():
    steps = np.array([0, 0.3, 1.0, -0.2])
    moving = np.zeros((4, 68, 2))
    moving[:, 48:, 1] = 10 * steps[:, None]
    np.testing.assert_allclose(measured_control(moving), [0, 0.3, 1, 0])
    assert evenly(np.array([0, 0.3, 1, 0]), 3) == [0, 1, 2]


def test_rigid_motion_undoes_a_similarity():
    points = made_up.landmarks()
    moved = geometry.apply(np.array([[0.9, -0.3, 5.0], [0.3, 0.9, -7.0]]), points)
    np.testing.assert_allclose(geometry.apply(rigid_motion(moved, points), moved), points, atol=1e-3)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([made_up.frame(faces=0)] * 3, "no face found in the first frame"),
        ([made_up.frame(faces=2)] * 3, "2 faces found"),
        ([made_up.frame(0)] * 3, "no visible expression"),
        ([made_up.frame(0), made_up.frame(0.5), made_up.frame(1, faces=0)], "peak not usable: no face in 1"),
        ([made_up.frame(0), made_up.frame(1, turn_deg=40)], "head turned by more than 15"),
    ],
)
def test_recordings_that_do_not_fit(tmp_path, frames, reason):
    for number, image in enumerate(frames):
        made_up.write_image(tmp_path / "smile" / f"{number}.png", image)
    (item,) = find_sequences([tmp_path], own_source=OWN)
    with pytest.raises(FacemotionError, match=reason):
        list(importer().clips(item, base_id="x", seed=0))


def test_a_lost_frame_in_between_is_left_out(tmp_path):
    for number, (opening, faces) in enumerate([(0, 1), (0.3, 0), (0.6, 1), (1, 1)]):
        made_up.write_image(tmp_path / "smile" / f"{number}.png", made_up.frame(opening, faces=faces))
    (item,) = find_sequences([tmp_path], own_source=OWN)
    (clip,) = importer().clips(item, base_id="x", seed=0)
    np.testing.assert_allclose(clip.control, [0, 2 / 3, 1], atol=1e-3)


def test_a_face_of_few_pixels(tmp_path):
    item = stills(tmp_path / "anna", [0, 1])

    def far(image):
        return [type(face)(face.landmarks / 4, face.box, face.score, face.pose) for face in made_up.find_faces(image)]

    with pytest.raises(InputError, match="face too small"):
        list(SequenceImporter(find_faces=far).clips(item, base_id="x", seed=0))


def test_a_video_held_upright_by_its_metadata(tmp_path):
    upright = np.ascontiguousarray(made_up.frame()[:, : made_up.HEIGHT].transpose(1, 0, 2))
    lying = np.rot90(np.pad(upright, ((0, 80), (0, 0), (0, 0))))
    path = tmp_path / "smile.mp4"
    made_up.write_video(path, [np.ascontiguousarray(lying)] * 2)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    (item,) = find_sequences([tmp_path], own_source=OWN)
    _, _, pixels = next(read_frames(item, 2))
    assert pixels.shape == (320, 240, 3)
    assert np.abs(pixels[:240].astype(int) - upright).mean() < 6


def test_unreadable_files(tmp_path):
    (tmp_path / "smile.mp4").write_bytes(b"no video")
    made_up.write_video(tmp_path / "one_smile.mp4", [made_up.frame()])
    made_up.write_image(tmp_path / "fear" / "1.png", made_up.frame())
    (tmp_path / "fear" / "2.png").write_bytes(b"no picture")
    items = find_sequences([tmp_path], own_source=OWN)
    reasons = {}
    for item in items:
        with pytest.raises(InputError) as caught:
            list(read_frames(item, 4))
        reasons[item.key.partition("/")[2]] = caught.value.message
    assert "unreadable video" in reasons["smile.mp4"]
    assert "fewer than two frames" in reasons["one_smile.mp4"]
    assert reasons["fear"].startswith("2.png is not an image")
