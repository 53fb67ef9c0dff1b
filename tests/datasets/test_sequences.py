"""Recordings: where they lie, whom they show, how their frames are read."""

import struct

import numpy as np
import pytest

from facemotion.datasets.sequences import find_sequences, person_in, read_frames, spread
from facemotion.errors import InputError
from tests.datasets import made_up


@pytest.mark.parametrize(
    ("path", "person"),
    [
        ("anna/smile/take1", "anna"),
        ("anna/happiness/take1", "anna"),
        ("session/P001/Anger", "P001"),
        ("smile/anna", "anna"),
        ("smile/anna/take2", "anna"),
        ("anna_smile", "anna"),
        ("anna_smile_02", "anna"),
        ("anna/smile_02", "anna"),
        ("anna", "anna"),
        ("anna/neutral/take1", "anna"),
        ("anna/take1", "anna"),
    ],
)
def test_the_person_from_a_path(path, person):
    assert person_in(path.split("/")) == person


def test_videos_and_frame_folders_are_found(tmp_path):
    root = tmp_path / "recordings"
    made_up.write_video(root / "anna" / "smile.mp4", [made_up.frame()] * 2)
    made_up.write_image(root / "ben" / "fear" / "10.png", made_up.frame())
    made_up.write_image(root / "ben" / "fear" / "9.png", made_up.frame())
    made_up.write_image(root / "ben" / "portrait.png", made_up.frame())
    made_up.write_video(root / "clara.mov", [made_up.frame()] * 2)
    items = find_sequences([root])
    assert [(item.key, item.person) for item in items] == [
        ("recordings/clara.mov", "recordings-clara"),
        ("recordings/anna/smile.mp4", "recordings-anna"),
        ("recordings/ben/fear", "recordings-ben"),
    ]
    assert [path.name for path in items[2].frames] == ["9.png", "10.png"]


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(InputError, match="no videos and no frame sequences"):
        find_sequences([tmp_path])


def test_spread_keeps_both_ends():
    assert spread(100, 5) == [0, 25, 50, 74, 99]
    assert spread(3, 8) == [0, 1, 2]


@pytest.mark.parametrize("fps", [12, 60])
def test_frames_of_a_video_of_any_rate_are_evenly_spread(tmp_path, fps):
    made_up.write_video(tmp_path / "smile.mp4", [made_up.frame(k / 20) for k in range(21)], fps=fps)
    (item,) = find_sequences([tmp_path])
    seen = [pixels[20:80, 20:80].mean() / 200 for pixels in read_frames(item, 5)]
    np.testing.assert_allclose(seen, [0, 0.25, 0.5, 0.75, 1], atol=0.03)


def test_a_video_held_upright_by_its_metadata(tmp_path):
    upright = np.ascontiguousarray(made_up.frame()[:, : made_up.HEIGHT].transpose(1, 0, 2))
    lying = np.rot90(np.pad(upright, ((0, 80), (0, 0), (0, 0))))
    path = tmp_path / "smile.mp4"
    made_up.write_video(path, [np.ascontiguousarray(lying)] * 2)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    (item,) = find_sequences([tmp_path])
    pixels = next(read_frames(item, 2))
    assert pixels.shape == (320, 240, 3)
    assert np.abs(pixels[:240].astype(int) - upright).mean() < 6


def test_unreadable_files(tmp_path):
    (tmp_path / "smile.mp4").write_bytes(b"no video")
    made_up.write_video(tmp_path / "one_smile.mp4", [made_up.frame()])
    made_up.write_image(tmp_path / "fear" / "1.png", made_up.frame())
    (tmp_path / "fear" / "2.png").write_bytes(b"no picture")
    reasons = {}
    for item in find_sequences([tmp_path]):
        with pytest.raises(InputError) as caught:
            list(read_frames(item, 4))
        reasons[item.key.partition("/")[2]] = caught.value.message
    assert "unreadable video" in reasons["smile.mp4"]
    assert "fewer than two frames" in reasons["one_smile.mp4"]
    assert reasons["fear"].startswith("2.png is not an image")
