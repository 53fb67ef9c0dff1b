"""From data and weights to a report folder, with a tiny generator in a real release file."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from facemotion.compositing.composite import Composite
from facemotion.device import Placement
from facemotion.errors import InputError, OutputError, UsageError
from facemotion.evaluation.cases import Case, CasePixels
from facemotion.evaluation.measure import measure, sweep_controls
from facemotion.evaluation.render import CaseRenderer, control_vectors, warp_only
from facemotion.evaluation.run import Settings, evaluate
from facemotion.evaluation.speed import measure_size
from facemotion.evaluation.summary import control_bin
from facemotion.evaluation.tracking import frame_tracker
from facemotion.faces.geometry import photo_to_crop, scale_of
from facemotion.models.generator import Generator, tiny_generator
from facemotion.models.inference import Inference
from tests.evaluation.faces import face_picture, face_points, known_landmarks, write_clip_set, write_weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_clip_set(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "a.safetensors")


def run(out, data, weights, **options):
    settings = Settings(data=(data,), out=out, weights=weights, learned=False, frames=5, **options)
    return evaluate(settings, tracker=frame_tracker(known_landmarks))


@pytest.fixture(scope="module")
def report_folder(tmp_path_factory, data, weights):
    other = write_weights(tmp_path_factory.mktemp("weights") / "b.safetensors", seed=1, preset="paper")
    out = tmp_path_factory.mktemp("reports") / "report"
    run(out, data, weights, against=other, command="facemotion evaluate set --out report")
    return out


def test_the_report_folder_holds_every_promised_file(report_folder):
    files = {path.relative_to(report_folder).as_posix() for path in report_folder.rglob("*") if path.is_file()}
    assert files == {
        "report.json",
        "report.md",
        "clips.csv",
        "frames.csv",
        "motion.png",
        "truth.png",
        "sheets/smile-1.jpg",
        "sheets/blink-1.jpg",
    }
    assert not list(report_folder.parent.glob(".*"))
    with Image.open(report_folder / "sheets/smile-1.jpg") as sheet:
        assert sheet.width == 7 * (168 + 4) + 4  # six controls and the target, with gaps


def test_the_report_says_what_was_measured(report_folder):
    report = json.loads((report_folder / "report.json").read_text())
    assert (report["format"], report["version"]) == ("facemotion-report", 2)
    assert (report["cases"], report["people"], report["kinds"]) == (4, 2, ["clips"])
    smile = report["without_truth"]["smile"]
    assert smile["change_at_0"]["mean"] == 0
    assert smile["faces_found"]["mean"] == 1
    assert set(report["with_truth"]["smile"]) == {"0.5", "1"}
    answers = report["with_truth"]["all"]["1"]
    assert set(answers) == {"model", "warp", "repeat"}
    assert {"psnr_face", "ssim_mouth", "psnr_eyes", "landmarks_mouth"} <= set(answers["model"])
    assert answers["repeat"]["psnr_eyes"]["mean"] == 100  # nothing but the mouth differs
    assert report["skipped"] == {"learned metrics": "switched off (--no-learned)"}
    assert report["costs"][0]["device"] == "cpu"
    assert {"find", "crop", "encode", "decode", "composite"} == set(report["costs"][0]["stages_ms"])
    assert report["tested"][0]["size"]["file_bytes"] > 0


@pytest.mark.parametrize("error", [NotImplementedError("no such operator\non this device"), KeyboardInterrupt()])
def test_the_report_is_written_before_devices_are_timed(error, tmp_path, data, weights, monkeypatch):
    seen = []

    def fails(*_, device, **__):
        seen.append(json.loads((tmp_path / "report" / "report.json").read_text())["costs"])
        raise error

    monkeypatch.setattr("facemotion.evaluation.run.measure_cost", fails)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "report", data, weights)
    else:
        run(tmp_path / "report", data, weights)
        report = json.loads((tmp_path / "report" / "report.json").read_text())
        assert report["skipped"]["time on cpu"] == "no such operator"
    assert seen[0] == []
    assert "## Cost" not in (tmp_path / "report" / "report.md").read_text()


def test_two_weight_files_are_compared_case_by_case(report_folder):
    comparison = json.loads((report_folder / "report.json").read_text())["comparison"]
    assert comparison["with_truth"]["all"]["psnr_face"]["n"] == 8
    difference = comparison["without_truth"]["all"]["change_at_0"]
    assert difference["mean"] < 0  # the preset ``paper`` repaints the photo at control 0, the default does not
    text = (report_folder / "report.md").read_text()
    assert "Paired differences" in text
    assert "`facemotion evaluate set --out report`" in text


def test_the_tables_have_one_line_a_clip_and_one_a_frame_and_answer(report_folder):
    with open(report_folder / "clips.csv", newline="") as file:
        clips = list(csv.DictReader(file))
    assert [row["case"] for row in clips] == ["p0-smile", "p0-blink", "p1-smile", "p1-blink"]
    assert float(clips[0]["step_ratio"]) >= 1
    with open(report_folder / "frames.csv", newline="") as file:
        frames = list(csv.DictReader(file))
    assert len(frames) == 4 * 2 * 3


def test_the_same_run_gives_the_same_bytes_but_for_the_times(tmp_path, data, weights):
    for name in ("a", "b"):
        run(tmp_path / name, data, weights, limit=2, seed=5)
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("a", "b")]
    for report in reports:
        del report["costs"]
    assert reports[0] == reports[1]
    for name in ("clips.csv", "frames.csv", "motion.png", "truth.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_photos_need_no_real_frames_and_unusable_ones_are_listed(tmp_path, weights):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(face_picture(256)).save(photos / "a.png")
    (photos / "broken.png").write_bytes(b"no picture")
    report = run(tmp_path / "report", photos, weights, expressions=("smile",))
    assert report.cases == 1
    assert report.with_truth == {}
    assert [case for case, _ in report.problems] == ["photos-broken-smile"]
    assert report.without_truth["smile"]["photo_change_at_0"].mean == 0
    assert "broken" in (tmp_path / "report/report.md").read_text()


def test_outside_the_crop_no_pixel_of_a_large_photo_changes(tmp_path, weights):
    photo = np.full((700, 900, 3), 90, np.uint8)
    photo[150:470, 250:570] = face_picture(320)

    def eye(frames):
        found = known_landmarks(frames)
        if frames.shape[1:3] == photo.shape[:2]:
            found = np.repeat(np.add(face_points(320), [250, 150])[None], len(frames), 0)
        return found

    Image.fromarray(photo).save(tmp_path / "photo.png")
    settings = Settings(
        data=(tmp_path / "photo.png",), out=tmp_path / "r", weights=weights, learned=False, expressions=("smile",)
    )
    values = evaluate(settings, tracker=frame_tracker(eye)).without_truth["smile"]
    assert values["outside_change"].mean == 0
    assert values["photo_change_at_0"].mean == 0
    assert values["change_at_1"].mean > 1


def test_an_earlier_report_is_kept_and_other_folders_are_never_replaced(tmp_path, data, weights):
    out = tmp_path / "report"
    out.mkdir()
    (out / "diary.txt").write_text("own")
    with pytest.raises(OutputError, match="exists already"):
        run(out, data, weights)
    with pytest.raises(OutputError, match="holds other things"):
        run(out, data, weights, overwrite=True)
    (out / "report.json").write_text("{}")
    run(out, data, weights, overwrite=True, limit=1)
    assert not (out / "diary.txt").exists()
    assert (out / "report.md").exists()


def test_nothing_usable_is_an_error_and_leaves_nothing(tmp_path, weights):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="None of 9 cases"):
        run(tmp_path / "report", tmp_path / "a.png", weights)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_settings_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(UsageError, match="too few"):
        Settings(data=(tmp_path,), out=tmp_path, frames=3)
    with pytest.raises(UsageError, match="nothing to evaluate"):
        Settings(data=(tmp_path,), out=tmp_path, limit=0)


class Mover(Generator):
    """Moves the whole crop to the right by a twentieth of its width at control 1, and paints nothing."""

    def decode(self, encoding, control):
        motion = super().decode(encoding, control)
        motion.flow = torch.zeros_like(motion.flow)
        motion.flow[:, 0] -= 0.05 * control.sum(1)[:, None, None]
        return warp_only(motion)


def shifted_landmarks(frames):
    """The drawn face, shifted as far as the white stripe that begins at column 40 does in the middle of the face."""
    landmarks = np.repeat(face_points(frames.shape[1])[None], len(frames), 0)
    edges = [np.flatnonzero((frame[60:70] > 250).all((0, 2)))[0] for frame in frames]
    landmarks[..., 0] += np.array(edges)[:, None] - 40
    return landmarks


def test_a_generator_of_known_motion_is_measured_as_such():
    source = np.zeros((128, 128, 3), np.uint8)
    source[:, 40:60] = 255
    crop_px = 128 / scale_of(photo_to_crop(face_points(128), 128))
    truth = np.roll(source, round(0.05 * crop_px), axis=1)
    case = Case("c", "p", "clips", {"smile": 1.0}, lambda: None, "validation")
    pixels = CasePixels(source, face_points(128), ((1.0, truth),))
    mover = Mover(tiny_generator().config).eval()
    measurement, sweep_clip = measure(case, pixels, generator=mover, track=shifted_landmarks, sweep_frames=9)
    assert measurement.values["change_at_0"] == 0
    assert measurement.values["moves"] == 0  # the head shifts, no facial unit moves
    step = shifted_landmarks(sweep_clip.frames[:9])[-1, 0, 0] - face_points(128)[0, 0]
    assert step == pytest.approx(0.05 * crop_px, abs=1)
    assert measurement.values["head_jitter"] == pytest.approx(100 * step / (0.28 * 128))
    assert measurement.values["additivity_error"] == pytest.approx(0, abs=1e-6)
    rows = {row.answer: row.metrics for row in measurement.truth}
    assert rows["model"] == rows["warp"]
    assert rows["model"]["landmarks_all"] <= 100 / (0.28 * 128)  # the eye sees whole pixels
    assert rows["repeat"]["landmarks_all"] == pytest.approx(100 * round(0.05 * crop_px) / (0.28 * 128))
    assert rows["model"]["psnr_face"] > rows["repeat"]["psnr_face"] + 5
    assert sweep_clip.frames.shape == (11, 128, 128, 3)


def test_faces_that_get_lost_give_no_landmark_numbers():
    case = Case("c", "p", "clips", {"smile": 1.0}, lambda: None, "validation")
    pixels = CasePixels(face_picture(128), face_points(128))

    def blind(frames):
        return np.full((len(frames), 68, 2), np.nan)

    measurement, _ = measure(case, pixels, generator=tiny_generator(), track=blind, sweep_frames=5)
    assert measurement.values["faces_found"] == 0
    assert "monotone" not in measurement.values
    assert measurement.units == {}


class Opener(Mover):
    """Draws the mouth's corners apart, straight or with a step back."""

    way = (0.0, 0.25, 0.5, 0.75, 1.0)

    def decode(self, encoding, control):
        motion = super().decode(encoding, control)
        along = np.interp(control.amax(1).numpy(), np.linspace(0, 1, 5), self.way)
        x = (torch.arange(motion.flow.shape[-1]) + 0.5) / motion.flow.shape[-1] - 0.5
        motion.flow[:, 1] = 0
        motion.flow[:, 0] = -0.2 * torch.tensor(along, dtype=torch.float32)[:, None, None] * x
        return motion


@pytest.mark.parametrize(("way", "monotone"), [(Opener.way, 1.0), ((0, 0.5, 0.4, 0.75, 1.0), 0.0)])
def test_the_photos_own_pixels_tell_whether_motion_is_monotone(way, monotone):
    case = Case("c", "p", "clips", {"smile": 1.0}, lambda: None, "validation")
    opener = Opener(tiny_generator().config).eval()
    opener.way = way

    def blind(frames):
        return np.full((len(frames), 68, 2), np.nan)

    pixels = CasePixels(face_picture(128), face_points(128))
    measurement, _ = measure(case, pixels, generator=opener, track=blind, sweep_frames=5)
    assert measurement.values["monotone_pixels"] == monotone


def test_frames_are_those_of_a_clip():
    generator, source = tiny_generator(), face_picture(128)
    controls = control_vectors({"smile": 0.8}, [0.0, 0.5, 1.0], generator.config.expressions)
    assert controls[:, 0].tolist() == pytest.approx([0, 0.4, 0.8])
    points = face_points(128)
    rendered = CaseRenderer(generator, source, points).render(controls, warped=True)
    assert np.array_equal(rendered.frames[0], source)
    composite = Composite(source, points, 128)
    inference = Inference(generator, Placement(torch.device("cpu"), torch.float32))
    ((motion,),) = inference.motions([composite.crop(32)], [tuple(controls[2].tolist())], on_note=print)
    clip_frame = composite.frame(motion.flow, motion.shade, motion.mask, motion.colour, motion.kept)
    assert np.abs(rendered.frames[2].astype(int) - clip_frame).mean() < 1  # the crop is sampled a little differently
    assert not np.array_equal(rendered.warped[2], rendered.frames[2])


def test_size_counts_weights_and_multiply_adds(tmp_path):
    generator = tiny_generator()
    path = write_weights(tmp_path / "g.safetensors")
    size = measure_size(generator, path)
    assert size.parameters == sum(p.numel() for p in generator.parameters())
    assert size.file_bytes == path.stat().st_size
    assert 0 < size.gmac_per_frame < 0.1


def test_controls_are_counted_in_named_bins():
    bins = [control_bin(a) for a in (0.1, 0.375, 0.5, 0.75, 1.0, 1.3)]
    assert bins == ["≤ 0.37", "≤ 0.37", "0.5", "0.75", "1", "> 1.12"]
    assert sweep_controls(5).tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]
