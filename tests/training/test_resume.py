"""Resume, budgets, failures: what a folder holds after each."""

import json

import pytest
import torch

from facemotion.errors import TrainingError, WeightsError
from facemotion.models.release import load_release
from facemotion.training.config import Phase
from facemotion.training.log import DivergenceWatch

ADVERSARY_ON = "adversary.from_images=8"


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.networks.generator.parameters()])


def test_four_steps_equal_two_resumed_two(training, tmp_path):
    whole = training(ADVERSARY_ON, folder=tmp_path / "whole")
    assert whole.run() == "finished"
    calls = iter([False, False, True])
    half = training(ADVERSARY_ON, folder=tmp_path / "halves")
    assert half.run(stop=lambda: next(calls)) == "stopped"
    assert half.progress.steps == 2
    rest = training(ADVERSARY_ON, folder=tmp_path / "halves")
    assert rest.progress.images == 8
    assert rest.run() == "finished"
    assert rest.progress.steps == whole.progress.steps == 4
    torch.testing.assert_close(weights(rest), weights(whole), rtol=0, atol=0)
    for name in ("average", "discriminators"):
        one, other = rest.networks.state()[name], whole.networks.state()[name]
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_finished_folder_holds_state_release_record_and_sheet(training, tmp_path):
    trainer = training("sample_images=8")
    trainer.run()
    folder = tmp_path / "run"
    generator, record = load_release(folder / "release.safetensors")
    assert generator.config == trainer.config.generator
    assert record["images"] == 16
    assert record["credits"] == [{"name": "Drawn faces", "licence": "CC0-1.0", "credit": "these tests"}]
    assert record["clips"] == {"pairs": 4, "teacher": 4}
    assert record["people"] == 4
    lines = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if "reconstruction" in line] == [4, 8, 12, 16]
    assert any("validation_l1" in line for line in lines)
    assert [path.name for path in sorted((folder / "samples").iterdir())] == ["000000008.png", "000000016.png"]
    assert not list(folder.glob("*.part"))


def test_finished_training_run_again_does_nothing_more(training):
    training().run()
    again = training()
    assert again.run() == "finished"
    assert again.progress.steps == 4


def test_length_may_grow_on_resume(training):
    training().run()
    longer = training("images=24")
    longer.run()
    assert longer.progress.images == 24


@pytest.mark.parametrize(
    ("own", "of_others", "ending"), [(0, 1, "time budget"), (1, 2, "stopped"), (2, 0, "stopped"), (1, 0, "time budget")]
)
def test_all_processes_end_for_the_same_reason(training, tmp_path, monkeypatch, own, of_others, ending):
    """Clocks differ: a process whose time is not up ends with the one whose time is, and not as if interrupted."""
    trainer = training(folder=tmp_path / "run")
    monkeypatch.setattr(type(trainer.world), "most", lambda self, value: max(value, of_others))
    budget_s = 0.0 if own == 1 else None
    assert trainer.run(time_budget_s=budget_s, stop=lambda: own == 2) == ending


def test_time_budget_ends_with_usable_weights(training, tmp_path):
    trainer = training("images=1M")
    assert trainer.run(time_budget_s=1.0) == "time budget"
    assert 0 < trainer.progress.images < 1_000_000
    load_release(tmp_path / "run" / "release.safetensors")


def test_release_is_made_for_the_resolution_it_was_trained_at(training, tmp_path):
    trainer = training("generator.input_px=64", "generator.paint_px=128", "phases=0:32/64x2,8:64/128x2", "images=8")
    trainer.run()
    first, _ = load_release(tmp_path / "run" / "release.safetensors")
    assert (first.config.input_px, first.config.paint_px) == (32, 64)
    longer = training("generator.input_px=64", "generator.paint_px=128", "phases=0:32/64x2,8:64/128x2", "images=12")
    longer.run()
    last, _ = load_release(tmp_path / "run" / "release.safetensors")
    assert (last.config.input_px, last.config.paint_px) == (64, 128)
    assert longer.networks.average.network.config.input_px == 64


def test_resume_with_other_settings_is_refused(training):
    training().run()
    with pytest.raises(TrainingError, match=r"other settings: losses\.landmark, seed"):
        training("seed=1", "losses.landmark=0")


def test_resume_on_other_clips_is_refused(training, monkeypatch):
    training().run()
    monkeypatch.setattr("facemotion.training.run.fingerprint", lambda clips: "other")
    with pytest.raises(TrainingError, match="other clips"):
        training()


def test_lines_beyond_the_checkpoint_are_dropped(training, tmp_path):
    training().run()
    path = tmp_path / "run" / "losses.jsonl"
    with open(path, "a") as file:
        file.write('{"images": 20, "reconstruction": 9}\n{"images": 2')
    training("images=20").run()
    assert [json.loads(line)["images"] for line in path.read_text().splitlines()] == [4, 8, 12, 16, 16, 20, 20]


def test_not_a_number_stops_and_keeps_the_last_good_state(training, tmp_path):
    training("images=8").run()
    good = (tmp_path / "run" / "state.pt").read_bytes()
    trainer = training("images=100")
    with torch.no_grad():
        next(trainer.networks.generator.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="not a number") as caught:
        trainer.run()
    assert "--init" in caught.value.hint
    assert (tmp_path / "run" / "state.pt").read_bytes() == good


def test_growing_loss_is_told_from_noise():
    watch, phase = DivergenceWatch(), Phase()
    assert not any(watch.diverges(loss, phase) for loss in [1, 5, 0.5, 2] * 10)
    assert not any(watch.diverges(loss, Phase(1)) for loss in [9.0] * 10)
    assert any(watch.diverges(1.1**i, phase) for i in range(40))


@pytest.mark.parametrize("name", ["state.pt", "release.safetensors"])
def test_init_takes_weights_and_begins_counting_anew(training, tmp_path, name):
    first = training(folder=tmp_path / "first")
    first.run()
    second = training(
        "losses.landmark=0", "adversary.regions=mouth", folder=tmp_path / "second", init=tmp_path / "first" / name
    )
    assert second.progress.images == 0
    assert second.networks.average.images_before == 16
    expected = first.networks.generator if name == "state.pt" else load_release(tmp_path / "first" / name)[0]
    for own, other in zip(second.networks.generator.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(own, other)
    assert bool(second.networks.generator_optimiser.state) == (name == "state.pt")
    second.run()
    _, record = load_release(tmp_path / "second" / "release.safetensors")
    assert record["initialised_from"] == name
    assert (record["images"], record["images_before"]) == (16, 16)


def test_init_from_foreign_files_is_refused(training, tmp_path):
    torch.save({"weights": 1}, tmp_path / "foreign.pt")
    (tmp_path / "damaged.pt").write_bytes(b"no state")
    (tmp_path / "damaged.safetensors").write_bytes(b"no weights")
    for name, error in (
        ("foreign.pt", TrainingError),
        ("damaged.pt", TrainingError),
        ("missing.pt", TrainingError),
        ("damaged.safetensors", WeightsError),
    ):
        with pytest.raises(error):
            training(init=tmp_path / name)


def test_tiny_training_lowers_the_loss(training, tmp_path):
    training("images=480", "log_images=40", "optimiser.lr=2e-3", "losses.adversarial=0").run()
    lines = [json.loads(line) for line in (tmp_path / "run" / "losses.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
