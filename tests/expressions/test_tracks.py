import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from facemotion.errors import InputError
from facemotion.expressions.performance import Performance
from facemotion.expressions.tracks import TrackWriter, read_track
from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES

SMILE, JAW, BLINK = (UNIT_INDEX[name] for name in ("mouthSmileLeft", "jawOpen", "eyeBlinkLeft"))
ROTATIONS = "HeadYaw HeadPitch HeadRoll LeftEyeYaw LeftEyePitch LeftEyeRoll RightEyeYaw RightEyePitch RightEyeRoll"
LIVE_LINK_HEADER = ["Timecode", "BlendshapeCount", *(n[0].upper() + n[1:] for n in UNIT_NAMES), *ROTATIONS.split()]


def written(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "track.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


def live_link(folder: Path, timecodes: list[str], *, jaw=lambda row: 0.0, head=(0.0, 0.0, 0.0), **text) -> Path:
    lines = [",".join(LIVE_LINK_HEADER)]
    for row, timecode in enumerate(timecodes):
        units = [f"{jaw(row):.8f}" if name == "jawOpen" else "0.0" for name in UNIT_NAMES]
        lines.append(",".join([timecode, "61", *units, *map(str, head), *["0.1"] * 6]))
    return written(folder, "\n".join(lines) + "\n", **text)


def read(path: Path, **options) -> tuple[Performance, list[str]]:
    notes: list[str] = []
    return read_track(path, on_note=notes.append, **options), notes


def test_live_link_faces_csv_is_read_as_it_comes(tmp_path):
    timecodes = [f"14:03:{52 + row // 60:02d}:{row % 60:02d}.207" for row in range(120)]
    track, notes = read(live_link(tmp_path, timecodes, jaw=lambda row: row / 119, head=(0.1, -0.2, 0.3)))
    assert notes == []
    assert track.units.shape == (120, 52) and track.units.dtype == np.float32
    np.testing.assert_allclose(track.units[:, JAW], np.arange(120) / 119, atol=1e-6)
    assert track.head is not None and track.time_s is not None
    np.testing.assert_allclose(track.head[5], np.degrees([0.1, -0.2, -0.3]), rtol=1e-5)
    np.testing.assert_allclose(track.time_s, np.arange(120) / 60, atol=1e-6)


def test_a_recording_is_resampled_to_the_clips_rate(tmp_path):
    timecodes = [f"00:00:{row // 60:02d}:{row % 60:02d}.000" for row in range(601)]
    track, _ = read(live_link(tmp_path, timecodes, jaw=lambda row: row / 600, head=(0.0, 0.0, 0.0)))
    clip = track.resampled(25)
    assert len(clip) == 251
    np.testing.assert_allclose(clip.units[:, JAW], np.arange(251) / 250, atol=1e-5)
    assert clip.head is not None and clip.head.shape == (251, 3)


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_the_rate_of_a_timecode_is_seen_where_a_second_begins(tmp_path, rate):
    timecodes = [f"00:00:{(row + 5) // rate:02d}:{(row + 5) % rate:02d}" for row in range(rate)]
    track, notes = read(live_link(tmp_path, timecodes))
    np.testing.assert_allclose(track.time_s, np.arange(rate) / rate, atol=1e-6)
    assert notes == []


def test_a_timecode_too_short_to_tell_is_taken_as_the_phones(tmp_path):
    track, notes = read(live_link(tmp_path, ["00:00:01:03", "00:00:01:04", "00:00:01:05"]))
    np.testing.assert_allclose(track.time_s, [0, 1 / 60, 2 / 60])
    assert "taken as 60 frames per second" in notes[0]


def test_two_rows_within_one_frame_of_the_timecode_are_told_apart_by_its_fraction(tmp_path):
    codes = [f"00:00:{row // 60:02d}:{row % 60 // 2:02d}.{row % 2 * 5}" for row in range(180)]
    track, notes = read(live_link(tmp_path, codes))
    np.testing.assert_allclose(track.time_s, np.arange(180) / 60, atol=1e-6)
    assert notes == []


def test_drop_frame_timecode_leaves_no_gap_at_the_minute(tmp_path):
    codes = [f"00:00:59;{frame:02d}" for frame in range(30)] + [f"00:01:00;{frame:02d}" for frame in range(2, 30)]
    track, _ = read(live_link(tmp_path, codes))
    np.testing.assert_allclose(np.diff(track.time_s), 1001 / 30000, atol=1e-6)


def test_midnight_is_no_jump_back(tmp_path):
    codes = [f"23:59:59:{frame:02d}" for frame in range(30)] + [f"00:00:00:{frame:02d}" for frame in range(30)]
    track, _ = read(live_link(tmp_path, codes))
    np.testing.assert_allclose(track.time_s, np.arange(60) / 30, atol=1e-6)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_encodings_and_line_ends(tmp_path, separator, encoding, end):
    rows = [["time", "jawOpen", "MouthSmile_L"], ["0", "0.25", "1"], ["0.04", "0.5", "0.75"]]
    text = end.join(separator.join(row) for row in rows) + end
    track, notes = read(written(tmp_path, text, encoding=encoding))
    assert track.units[:, JAW].tolist() == [0.25, 0.5]
    assert track.units[:, SMILE].tolist() == [1.0, 0.75]
    assert track.time_s.tolist() == [0.0, 0.04]
    assert notes == []


def test_decimal_commas(tmp_path):
    track, _ = read(written(tmp_path, "time;jawOpen\n0;0,25\n0,04;0,5\n"))
    assert track.units[:, JAW].tolist() == [0.25, 0.5] and track.time_s.tolist() == [0.0, 0.04]
    track, _ = read(written(tmp_path, 'time,jawOpen\n"0","0,25"\n"0,04","0,5"\n'))
    assert track.units[:, JAW].tolist() == [0.25, 0.5]
    with pytest.raises(InputError, match=r"line 2: 4 cells") as caught:
        read(written(tmp_path, "time,jawOpen\n0,0,0,25\n"))
    assert "semicolons" in caught.value.hint


def test_a_spreadsheets_separator_line_comments_and_empty_lines(tmp_path):
    track, _ = read(written(tmp_path, "sep=;\n\njawOpen;frame\n# a comment\n0,5;1\n\n;;\n1;2\n"))
    assert track.units[:, JAW].tolist() == [0.5, 1.0]
    assert track.time_s is None and track.resampled(25) is track


def test_columns_may_be_missing_in_any_order_and_for_both_sides(tmp_path):
    track, _ = read(written(tmp_path, "AU26,mouthSmile,headYaw\n0.5,0.25,-3\n"))
    expected = np.zeros(52, np.float32)
    for name, value in (("jawOpen", 0.5), ("mouthSmileLeft", 0.25), ("mouthSmileRight", 0.25)):
        expected[UNIT_INDEX[name]] = value
    np.testing.assert_array_equal(track.units[0], expected)
    assert track.head.tolist() == [[-3.0, 0.0, 0.0]]


def test_unknown_columns_are_named_in_one_line(tmp_path):
    names = [f"thing{number}" for number in range(8)]
    _, notes = read(written(tmp_path, f"jawOpen,{','.join(names)},AU12_r,leftEyeYaw,x_0,y_0\n0{',1' * 12}\n"))
    assert len(notes) == 1
    assert "thing0, thing1, thing2, thing3, thing4 and 4 more" in notes[0]


def test_empty_cells_nan_and_rows_without_a_face_are_filled(tmp_path):
    rows = "0,0,,1\n0.1,NaN,,1\n0.2,,,1\n0.3,0.9,0.4,1\n0.4,0.1,,0\n0.5,,,0\n0.6,0.3,0.2,1\n0.7,inf,-,\n"
    track, notes = read(written(tmp_path, "time,jawOpen,mouthSmileLeft,face\n" + rows))
    np.testing.assert_allclose(track.units[:, JAW], [0, 0.3, 0.6, 0.9, 0.7, 0.5, 0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(track.units[:, SMILE], [0.4] * 4 + [1 / 3, 4 / 15, 0.2, 0.2], atol=1e-6)
    assert len(notes) == 1 and "6 of 8 rows" in notes[0]


def test_a_column_without_any_number_is_zero(tmp_path):
    track, notes = read(written(tmp_path, "jawOpen,mouthSmile\n0.5,\n0.6,\n"))
    assert not track.units[:, SMILE].any() and "mouthSmileLeft, mouthSmileRight" in notes[0]


def test_values_out_of_range_are_cut_with_a_note(tmp_path):
    track, notes = read(written(tmp_path, "jawOpen,mouthSmileLeft\n-0.4,0\n1.7,-0.01\n"))
    assert track.units[:, JAW].tolist() == [0.0, 1.5] and track.units.min() == 0
    assert len(notes) == 1 and "2 rows beyond 0 to 1.5" in notes[0] and "(jawOpen)" in notes[0]


def test_rows_whose_time_does_not_advance_are_left_out(tmp_path):
    track, notes = read(written(tmp_path, "time,jawOpen\n5,0\n5.1,0.1\n5.1,0.5\n5.0,0.6\n5.2,0.2\n"))
    np.testing.assert_allclose(track.units[:, JAW], [0, 0.1, 0.2], atol=1e-6)
    np.testing.assert_allclose(track.time_s, [0, 0.1, 0.2], atol=1e-9)
    assert "2 rows whose time does not advance" in notes[0]


def test_times_that_stand_still_are_no_times(tmp_path):
    track, notes = read(written(tmp_path, "time,jawOpen\n" + "0,0.5\n" * 10))
    assert len(track) == 10 and track.time_s is None and "do not advance" in notes[0]


def test_key_poses_seconds_apart_are_a_track(tmp_path):
    track, notes = read(written(tmp_path, "time,jawOpen\n0,0\n2,1\n4,0\n"))
    clip = track.resampled(25)
    assert len(clip) == 101 and clip.units[50, JAW] == 1 and clip.units[25, JAW] == pytest.approx(0.5)
    assert notes == []


def test_a_long_gap_is_bridged_with_a_note(tmp_path):
    rows = "".join(f"{row / 30 + 3 * (row >= 30):.4f},{row / 60}\n" for row in range(60))
    _, notes = read(written(tmp_path, "time,jawOpen\n" + rows))
    assert notes == [f"{tmp_path / 'track.csv'}: 1 gap of more than a second bridged."]


def test_milliseconds(tmp_path):
    track, _ = read(written(tmp_path, "time_ms,jawOpen\n0,0\n33,0.1\n66,0.2\n"))
    np.testing.assert_allclose(track.time_s, [0, 0.033, 0.066])
    with pytest.raises(InputError, match="33 seconds a row") as caught:
        read(written(tmp_path, "time,jawOpen\n0,0\n33,0.1\n66,0.2\n"))
    assert "time_ms" in caught.value.hint


def test_the_rate_can_be_told(tmp_path):
    track, _ = read(written(tmp_path, "time,jawOpen\n0,0\n33,0.1\n66,0.2\n"), source_fps=50)
    np.testing.assert_allclose(track.time_s, [0, 0.02, 0.04])


def test_head_angles_in_degrees_under_live_links_names_are_seen(tmp_path):
    track, _ = read(written(tmp_path, "HeadYaw,HeadPitch,HeadRoll,JawOpen\n12,-7,3,0\n"))
    np.testing.assert_allclose(track.head[0], [12, -7, -3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("time,jawOpen\n", "has no rows"),
        ("time,jawOpen\n\n\n", "has no rows"),
        ("a,b,c,d,e\n1,2,3,4,5\n", "no column is a unit (a, b, c, d …)"),
        ("time\n1\n", "no column is a unit"),
        ("jawOpen,frame\n0.5,1\nwide,2\n", "line 3: 'wide' in the column jawOpen is no number"),
        ("jawOpen,JawOpen\n0,0\n", "columns jawOpen and JawOpen say the same"),
        ("mouthSmile,AU12L\n0,0\n", "columns mouthSmile and AU12L say the same"),
        ("jawOpen\n80\n", "jawOpen reaches 80"),
        ("jawOpen\n\"\"\n,\n", "has no rows"),
        ("frame,jawOpen\n1,\n2,\n", "no row with a face"),
        ("face,jawOpen\n0,0.5\n0,0.5\n", "no row with a face"),
        ("time,jawOpen\nnoon,0.5\n", "line 2: 'noon' is no time"),
        ("Timecode,jawOpen\n00:00:00:250,0.5\n00:00:00:251,0.5\n", "frame 251 of a second"),
    ],
)  # fmt: skip
def test_unusable_tracks_say_why(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read(written(tmp_path, text))
    assert message in caught.value.message
    assert "track.csv" in caught.value.message
    assert caught.value.hint


def test_files_that_are_no_text_say_so(tmp_path):
    path = tmp_path / "photo.csv"
    path.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 8)
    with pytest.raises(InputError, match="no CSV file"):
        read_track(path)
    with pytest.raises(InputError, match="Cannot read"):
        read_track(tmp_path / "missing.csv")
    with pytest.raises(InputError, match="Cannot read"):
        read_track(tmp_path)
    path.write_text('jawOpen\n"' + "1" * 200_000 + '"\n')
    with pytest.raises(InputError, match="no CSV file"):
        read_track(path)


def test_absurd_lengths_are_refused():
    units = np.zeros((2, 52), np.float32)
    with pytest.raises(InputError, match="span"):
        Performance(units, time_s=np.array([0.0, 1e9])).resampled(25)


def long_track(folder: Path, rows: int) -> Path:
    path = folder / "long.csv"
    with open(path, "w") as stream:
        stream.write(",".join(["Timecode", "BlendshapeCount", *UNIT_NAMES, "HeadYaw", "HeadPitch", "HeadRoll"]) + "\n")
        cells = ",61" + ",0.1234" * 55 + "\n"
        for row in range(rows):
            second, frame = divmod(row, 60)
            stream.write(f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{frame:02d}.000{cells}")
    return path


@pytest.mark.parametrize("rows", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_long_tracks_take_little_memory(tmp_path, rows):
    path = long_track(tmp_path, rows)
    tracemalloc.start()
    track = read_track(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(track) == rows
    assert peak < 900 * rows + 2e6  # four arrays of float32; a row's cells as Python objects are eight times as much
    assert len(track.resampled(25)) == pytest.approx(rows * 25 / 60, abs=1)


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "out.csv"
    random = np.random.default_rng(0)
    units, head = random.random((5, 52)).astype(np.float32), random.normal(0, 8, (5, 3)).astype(np.float32)
    landmarks = random.random((68, 2)) * 1000
    with TrackWriter(path, gaps=True, eyes=True, landmarks=True) as writer:
        for frame in range(5):
            if frame == 2:
                writer.write(frame / 25, None)
            else:
                writer.write(frame / 25, units[frame], head=head[frame], eyes=(1, 2, 3, 4), landmarks=landmarks)
    track, notes = read(path)
    expected = units.copy()
    expected[2] = (units[1] + units[3]) / 2
    np.testing.assert_allclose(track.units, expected, atol=1e-4)
    np.testing.assert_allclose(track.head[[0, 1, 3, 4]], head[[0, 1, 3, 4]], atol=1e-3)
    np.testing.assert_allclose(track.time_s, np.arange(5) / 25)
    assert len(notes) == 1 and "1 of 5 rows" in notes[0]
    header, first, *_ = path.read_text().splitlines()
    assert header.startswith("frame,time,face,eyeBlinkLeft,eyeLookDownLeft,")
    assert header.endswith("x_67,y_67") and len(header.split(",")) == 3 + 52 + 3 + 4 + 136 == len(first.split(","))


def test_controls_are_what_is_asked_less_what_the_photo_shows():
    units = np.zeros((3, 52), np.float32)
    units[1, JAW], units[2, SMILE] = 0.5, 1.5
    own = np.zeros(52, np.float32)
    own[JAW], own[BLINK] = 0.3, 0.1
    controls = Performance(units).controls(own)
    assert controls.dtype == np.float32
    assert controls[:, JAW].tolist() == pytest.approx([-0.3, 0.2, -0.3])
    assert controls[2, SMILE] == 1.5 and controls[0, BLINK] == np.float32(-0.1)
    assert not Performance(np.stack([own])).controls(own).any()
