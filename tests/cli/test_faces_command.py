"""``facemotion faces``: what it prints, draws and refuses; and every kind of bad input, up to the finder's answer."""

import csv
import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.expressions.units import UNIT_INDEX, UNIT_NAMES
from facemotion.faces.measures import Gaze
from facemotion.weights.registry import WEIGHTS
from tests.conftest import draw_photo, face_at

shipped = pytest.mark.skipif(WEIGHTS["landmarker"].sha256 is None, reason="there are no weights of the landmarker")


def run(*arguments, input=None):
    return CliRunner().invoke(app, ["faces", *map(str, arguments)], input=input)


def faces_json(*arguments, **more):
    done = run(*arguments, "--json", **more)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["photos"]


# --- what it says -----------------------------------------------------------------------------------------------------


def test_a_table_with_one_line_per_face(photo, known_faces):
    known_faces.append(face_at((150, 60), eye_distance_px=20))
    done = run(photo)
    assert done.exit_code == 0
    assert "200×240 px, 2 faces" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if line[:1].isdigit() or line.lstrip()[:1].isdigit()]
    assert [line[0] for line in lines] == ["1", "2"]
    assert all(line[-1] == "builtin" for line in lines)
    assert "Face 2: The face is small" in done.stderr


def test_json_is_for_programs(photo, known_faces):
    [told] = faces_json(photo)
    assert (told["photo"], told["width_px"], told["height_px"]) == (str(photo), 200, 240)
    [face] = told["faces"]
    assert face["number"] == 1 and face["found_by"] == "builtin" and face["advice"][0].startswith("The face is small")
    assert face["score"] == pytest.approx(0.99) and set(face["pose_deg"]) == {"yaw", "pitch", "roll"}
    assert face["box"] == pytest.approx(known_faces[0].box, abs=0.1)
    assert np.array(face["landmarks"]) == pytest.approx(known_faces[0].landmarks, abs=0.01)


def test_quiet_says_nothing_but_json_still_speaks(photo):
    assert run(photo, "--quiet").output == ""
    assert json.loads(run(photo, "--quiet", "--json").stdout)["photos"]


@pytest.fixture
def smiling(known_faces):
    """The known face with points, scores and gaze, as the landmarker gives them; a second one without."""
    scores = np.zeros(52, np.float32)
    scores[UNIT_INDEX["mouthSmileLeft"]], scores[UNIT_INDEX["jawOpen"]] = 0.75, 0.25
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = np.random.default_rng(0).uniform((60, 70), (140, 160), (478, 2))
    known_faces[0] = replace(
        known_faces[0], points=points, scores=scores, presence=0.98, gaze=Gaze(left=(3.0, -2.0), right=(4.0, -1.0))
    )
    known_faces.append(replace(face_at((150, 60), eye_distance_px=20), source="face-alignment"))
    return known_faces


def test_units_in_json_have_their_photo_beside_them(photo, smiling):
    [told] = faces_json(photo, "--units")
    first, second = told["faces"]
    assert first["photo"] == second["photo"] == str(photo)
    assert first["scores"]["mouthSmileLeft"] == pytest.approx(0.75) and len(first["scores"]) == 52
    assert first["units"] == {
        name: pytest.approx(v, abs=1e-4) for name, v in zip(UNIT_NAMES, smiling[0].units.tolist(), strict=True)
    }
    assert first["facs"]["AU12L"] == pytest.approx(first["units"]["mouthSmileLeft"])
    assert first["gaze_deg"] == {"left_yaw": 3, "left_pitch": -2, "right_yaw": 4, "right_pitch": -1}
    assert first["presence"] == pytest.approx(0.98) and len(first["points"]) == 478
    assert second["units"] is second["scores"] is second["facs"] is second["points"] is second["gaze_deg"] is None
    assert set(second["eye_openings"]) == {"left", "right"} and second["mouth_opening"] >= 0
    assert "units" not in faces_json(photo)[0]["faces"][0]


def test_units_as_a_table(photo, smiling):
    done = run(photo, "--units")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert any(line.split()[:3] == ["mouthSmileLeft", "AU12L", "0.75"] for line in lines)
    assert "Eyes, relative to the head: left +3° -2°, right +4° -1°" in lines
    assert "Face 2: face-alignment does not measure units." in lines
    assert "browDown" not in done.stdout


def test_a_face_at_rest_says_so(photo, smiling):
    smiling[0] = replace(smiling[0], scores=np.zeros(52, np.float32))
    assert "Face 1: at rest." in run(photo, "--units").stdout


def test_csv_has_a_row_a_face(photo, smiling, tmp_path):
    empty = tmp_path / "no.png"
    done = run(photo, empty, "--units", "--csv")
    assert done.exit_code == 3 and "no.png" in done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["photo"], row["face"]) for row in rows] == [(str(photo), "1"), (str(photo), "2")]
    assert float(rows[0]["mouthSmileLeft"]) == pytest.approx(
        float(smiling[0].units[UNIT_INDEX["mouthSmileLeft"]]), abs=1e-4
    )
    assert rows[1]["mouthSmileLeft"] == rows[1]["gaze_left_yaw"] == ""
    assert float(rows[0]["x0"]) == pytest.approx(smiling[0].box[0], abs=0.1)
    header = run(photo, "--csv").stdout.splitlines()[0]
    assert header == "photo,face,x0,y0,x1,y1,score,yaw,pitch,roll,found_by"


def test_json_and_csv_exclude_each_other(photo):
    assert run(photo, "--json", "--csv").exit_code == 2


def test_the_overlay_shows_the_mesh_where_it_is_known(photo, smiling, tmp_path):
    run(photo, "--overlay", tmp_path / "mesh.png")
    smiling[0] = replace(smiling[0], points=None)
    run(photo, "--overlay", tmp_path / "plain.png")
    mesh, plain = (np.array(Image.open(tmp_path / name)).astype(int) for name in ("mesh.png", "plain.png"))
    assert (np.abs(mesh - plain).max(axis=2) > 20).mean() > 0.01


def test_overlay(photo, known_faces, tmp_path):
    out = tmp_path / "numbered.png"
    assert run(photo, "--overlay", out).exit_code == 0
    before, after = np.array(Image.open(photo)), np.array(Image.open(out))
    assert after.shape == before.shape
    x0, y0, x1, y1 = (round(edge) for edge in known_faces[0].box)
    assert (after != before)[y0:y1, x0:x1].any(axis=2).mean() > 0.1


def test_an_overlay_is_not_overwritten_unless_told(photo, tmp_path):
    out = tmp_path / "numbered.png"
    out.write_bytes(b"mine")
    done = run(photo, "--overlay", out)
    assert done.exit_code == 2 and "exists already" in done.stderr
    assert out.read_bytes() == b"mine"
    assert run(photo, "--overlay", out, "--overwrite").exit_code == 0
    assert Image.open(out).size == (200, 240)


def test_an_overlay_is_a_png(photo, tmp_path):
    done = run(photo, "--overlay", tmp_path / "numbered.gif")
    assert done.exit_code == 2 and ".png" in done.stderr
    assert not (tmp_path / "numbered.gif").exists()


def test_overlays_of_several_photos_go_into_a_folder(photo, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / photo.name
    other.write_bytes(photo.read_bytes())
    assert run(photo, other, "--overlay", tmp_path / "seen").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["photo-faces-2.png", "photo-faces.png"]


def test_standard_input(photo):
    [told] = faces_json("-", input=photo.read_bytes())
    assert told["photo"] == "-" and len(told["faces"]) == 1


def test_a_path_with_spaces_and_letters_of_all_kinds(photo, tmp_path):
    odd = tmp_path / "été [bold] 写真 1"
    odd.write_bytes(photo.read_bytes())
    done = run(odd)
    assert done.exit_code == 0 and "été [bold] 写真 1: 200×240 px" in done.stdout


# --- what it refuses --------------------------------------------------------------------------------------------------


def test_no_face(photo, known_faces):
    known_faces.clear()
    done = run(photo)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == f"Error: No face found in {photo}."
    assert "--aligner face-alignment" in done.stderr


def test_no_face_in_json(photo, known_faces):
    known_faces.clear()
    done = run(photo, "--json")
    assert done.exit_code == 1
    [told] = json.loads(done.stdout)["photos"]
    assert told["faces"] == [] and told["error"].startswith("No face found")


def test_one_bad_photo_does_not_stop_the_rest(photo, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    done = run(bad, photo)
    assert done.exit_code == 3
    assert "bad.jpg is not an image" in done.stderr and "200×240" in done.stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_bad_files_of_every_kind_among_good_ones_are_lines_of_the_json(photo, tmp_path):
    bad = [tmp_path / name for name in ("text.jpg", "cut.png", "empty.webp", "folder", "missing.tif", "fifo.bmp")]
    bad[0].write_text("once upon a time")
    bad[1].write_bytes(photo.read_bytes()[:200])
    bad[2].touch()
    bad[3].mkdir()
    os.mkfifo(bad[5])
    harmless = tmp_path / "harmless.webp"
    Image.open(photo).save(harmless, exif=b"b'Exif\\x00\\x00MM\\x00*'")
    names = [bad[0], photo, *bad[1:4], harmless, *bad[4:], photo]
    done = run(*names, "--json")
    assert done.exit_code == 3 and "Traceback" not in done.output
    told = json.loads(done.stdout)["photos"]
    assert [one["photo"] for one in told] == [str(name) for name in names]
    for name, one in zip(names, told, strict=True):
        assert (("error" in one), len(one["faces"])) == ((True, 0) if name in bad else (False, 1)), one
    assert done.stderr.count("Error: ") == len(bad)


def test_all_photos_bad(tmp_path):
    assert run(tmp_path / "one.jpg", tmp_path / "two.jpg").exit_code == 2


def test_an_unknown_aligner_is_wrong_usage(photo):
    done = run(photo, "--aligner", "dlib")
    assert done.exit_code == 2 and "face-alignment" in done.stderr


def corrupt(path, picture):
    picture.save(path, "PNG")
    path.write_bytes(path.read_bytes()[:300])


def empty(path, picture):
    path.touch()


def text(path, picture):
    path.write_text("once upon a time")


def too_many_pixels(path, picture):
    Image.new("1", (10_001, 10_000)).save(path, "PNG")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(corrupt, "truncated or damaged"), (empty, "empty"), (text, "not an image"), (too_many_pixels, "100 megapixels")],
)
def test_files_that_are_no_photos(spoil, says, tmp_path, known_faces):
    path = tmp_path / "photo.png"
    spoil(path, Image.fromarray(draw_photo(known_faces)))
    done = run(path)
    assert done.exit_code == 1
    assert says in done.stderr and "Traceback" not in done.output
    assert len(done.stderr.splitlines()) == 2


# --- photos of every kind, with the finder that is shipped ------------------------------------------------------------


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    from skimage.data import astronaut

    return Image.fromarray(astronaut())


def grey(picture):
    return encoded(picture.convert("L"), "PNG")


def sixteen_bit(picture):
    levels = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    return encoded(Image.fromarray(levels), "PNG")


def with_alpha(picture):
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 60, 512))
    picture = picture.copy()
    picture.putalpha(alpha)
    return encoded(picture, "PNG")


def cmyk(picture):
    return encoded(picture.convert("CMYK"), "JPEG")


def animated(picture):
    return encoded(picture, "GIF", save_all=True, append_images=[Image.new("RGB", picture.size)])


def upside_down_by_exif(picture):
    turned = picture.transpose(Image.Transpose.ROTATE_180)
    turned.getexif()[0x0112] = 3
    return encoded(turned, "JPEG", exif=turned.getexif())


def encoded(picture, format, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


@shipped
@pytest.mark.parametrize("write", [grey, sixteen_bit, with_alpha, cmyk, animated, upside_down_by_exif])
def test_the_face_is_where_it_is_in_every_kind_of_file(write, astronaut, tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(write(astronaut))
    [told] = faces_json(path)
    x0, y0, x1, y1 = told["faces"][0]["box"]
    assert (told["width_px"], told["height_px"]) == astronaut.size
    assert 130 < x0 < 210 and 240 < x1 < 300 and 50 < y0 < 110 and 160 < y1 < 210


@shipped
def test_a_face_that_is_cut_off_is_said_to_be(astronaut, tmp_path):
    path = tmp_path / "cut.png"
    astronaut.crop((205, 0, 512, 512)).save(path)
    done = run(path)
    assert done.exit_code == 1 or "cut off" in done.stderr


@shipped
def test_a_tiny_face_is_found_and_said_to_be_small_or_not_found(astronaut, tmp_path):
    path = tmp_path / "tiny.png"
    astronaut.resize((64, 64)).save(path)
    done = run(path)
    assert "No face found" in done.stderr if done.exit_code else "small" in done.stderr


@shipped
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (3, 2)], ids=str)
def test_photos_without_room_for_a_face(size, tmp_path):
    path = tmp_path / "pixel.png"
    Image.new("RGB", size, (200, 150, 120)).save(path)
    done = run(path)
    assert done.exit_code == 1 and "No face found" in done.stderr


@shipped
@pytest.mark.slow
def test_a_face_in_a_photo_of_100_megapixels(astronaut, tmp_path):
    path = tmp_path / "huge.jpg"
    huge = Image.new("RGB", (10_000, 10_000), (90, 90, 90))
    huge.paste(astronaut.resize((3000, 3000)), (6000, 5000))
    huge.save(path, quality=80)
    [told] = faces_json(path)
    x0, y0, x1, y1 = told["faces"][0]["box"]
    assert 6700 < x0 < x1 < 7900 and 5200 < y0 < y1 < 6300
