"""Where the time of a clip goes."""

import json
import threading
import time

import pytest
from typer.testing import CliRunner

from facemotion.api import AnimateSettings, Animator
from facemotion.cli.app import app
from facemotion.profiling import STAGES, Profile


def test_stages_add_up_over_runs_and_threads():
    profile = Profile()

    def run():
        with profile.stage("render", frames=1):
            time.sleep(0.02)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run()
    (stage,) = profile.stages
    assert (stage.stage, stage.frames) == ("render", 3)
    assert stage.wall_s >= 0.06
    assert stage.cpu_s < stage.wall_s
    assert profile.wall_s >= 0.04


def test_a_stage_that_fails_counts_too():
    profile = Profile()
    with pytest.raises(ValueError, match="no"), profile.stage("read"):
        raise ValueError("no")
    assert [stage.stage for stage in profile.stages] == ["read"]


def test_what_passed_before_belongs_to_the_whole():
    profile = Profile()
    profile.include_start(100.0)
    assert profile.wall_s > 100
    assert profile.stages[0].stage == "start"
    assert profile.stages[0].wall_s == 100
    assert profile.cpu_s >= profile.stages[0].cpu_s > 0


def test_stages_come_in_the_order_of_a_clip():
    profile = Profile()
    for name in ("encode", "read", "find"):
        with profile.stage(name):
            pass
    assert [stage.stage for stage in profile.stages] == ["read", "find", "encode"]


def test_the_api_takes_a_profile(photo, tmp_path):
    profile = Profile()
    Animator(AnimateSettings(frames=4)).animate_file(photo, tmp_path / "clip.mp4", profile=profile)
    stages = {stage.stage: stage for stage in profile.stages}
    assert list(stages) == [name for name in STAGES if name != "start"]
    # frame 0 is the photo: nothing is rendered for it
    assert [stages[name].frames for name in ("read", "render", "composite", "encode")] == [0, 3, 3, 4]
    assert all(stage.wall_s > 0 for stage in stages.values())
    assert profile.cpu_s > 0.5 * sum(stages[name].cpu_s for name in ("render", "composite"))


def test_the_command_prints_a_table(photo, tmp_path):
    words = ["animate", str(photo), "--frames", "3", "--profile", "--out", str(tmp_path / "clip.mp4")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.split()}
    for name in STAGES:
        assert float(rows[name][1]) >= 0
    assert float(rows["render"][3]) > 0
    assert float(rows["all"][1]) >= float(rows["fit"][1])


def test_the_command_prints_it_as_json(photo, tmp_path):
    words = ["animate", str(photo), "--frames", "3", "--json", "--out"]
    result = CliRunner().invoke(app, [*words, str(tmp_path / "timed.mp4"), "--profile"])
    answer = json.loads(result.stdout)["profile"]
    assert {stage["stage"] for stage in answer["stages"]} == set(STAGES)
    assert answer["wall_s"] > 0
    assert "profile" not in json.loads(CliRunner().invoke(app, [*words, str(tmp_path / "plain.mp4")]).stdout)


def test_a_batch_is_profiled_as_a_whole(photo, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "photos" / name).write_bytes(photo.read_bytes())
    words = [
        "animate",
        str(tmp_path / "photos"),
        "--frames",
        "3",
        "--json",
        "--profile",
        "--out",
        str(tmp_path / "out"),
    ]
    stages = json.loads(CliRunner().invoke(app, words).stdout)["profile"]["stages"]
    assert {stage["stage"]: stage["frames"] for stage in stages}["encode"] == 6
