"""Training on noise: exact resumes, mirrored samples, losses that see what they should, both presets."""

import json
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch

from facemotion.datasets.samples import Sample, SampleFolder, write_shard
from facemotion.errors import InputError, TrainingError, WeightsError
from facemotion.head.model import load_head
from facemotion.models.generator import Generator
from facemotion.models.paper_generator import PaperGenerator, PaperGeneratorConfig
from facemotion.models.release import load_corrections, load_release
from facemotion.training.augmentation import Augmentation, augmented, mirrored, moved
from facemotion.training.checkpoint import load_state
from facemotion.training.config import CorrectionTrainConfig, PaperTrainConfig, read_config
from facemotion.training.data import batch_of, stacked
from facemotion.training.distributed import World
from facemotion.training.loop import FINISHED, OUT_OF_TIME, STOPPED, Trainer, open_training
from facemotion.training.losses import pixel_loss, views_of
from tests.datasets.made_up_samples import made_up_sample
from tests.models.tiny_generator import TINY_GENERATOR

TINY = CorrectionTrainConfig(
    generator=TINY_GENERATOR,
    steps=4,
    adversarial=0.08,
    features=0.4,
    batch=2,
    face_px=32,
    perceptual=0.0,
    adversarial_from=1,
    r1_every=2,
    save_every=100,
)


TINY_PAPER = PaperTrainConfig(
    generator=PaperGeneratorConfig(input_px=32, widths=(8, 16, 16), embedding=8),
    steps=4,
    batch=2,
    face_px=32,
    adversarial_from=1,
    r1_every=2,
    save_every=100,
)
CPU = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> SampleFolder:
    folder = tmp_path_factory.mktemp("samples")
    kinds = ("pair", "back", "still", "back")
    write_shard(folder / "0.safetensors", [made_up_sample(i, kind=kind) for i, kind in enumerate(kinds)])
    return SampleFolder(folder)


def trained(samples: SampleFolder, folder, *parts: int, config=TINY) -> dict:
    for until in parts:
        Trainer(config, samples, folder, CPU).run(until=until)
    return load_state(folder / "state.pt")


@pytest.mark.parametrize("config", [TINY, TINY_PAPER], ids=["corrections", "paper"])
def test_a_resumed_training_is_that_of_one_piece(samples, tmp_path, config):
    whole = trained(samples, tmp_path / "whole", 4, config=config)
    parts = trained(samples, tmp_path / "parts", 2, 4, config=config)
    assert whole["step"] == parts["step"] == 4
    for part in ("generator", "discriminators", "average"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, parts[part][name]), name
    log = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert {"right_face", "right_mouth", "right_eye", "adversarial", "features"} <= set(log[-1])
    generator, record = load_release(tmp_path / "whole" / "generator.safetensors")
    assert generator.config == config.generator and record["steps"] == 4
    assert record["data"][0]["name"] == "SFHQ-T2I" and record["data"][0]["licence"] == "MIT"


def test_lines_of_the_log_from_beyond_the_state_are_dropped(samples, tmp_path):
    trained(samples, tmp_path, 2)
    with open(tmp_path / "log.jsonl", "a") as log:
        log.write('{"step": 3, "loss": 1}\n{"step": 4, "lo')
    trained(samples, tmp_path, 3)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3] and "seconds" in log[-1]


def test_time_and_signals_end_a_training_in_good_order(samples, tmp_path):
    config = replace(TINY, steps=100)
    reports = []
    trainer = Trainer(config, samples, tmp_path, CPU)
    assert trainer.run(time_budget_s=0.0, report=reports.append) == OUT_OF_TIME
    assert trainer.run(stop=lambda: True, report=reports.append) == STOPPED
    assert [report.step for report in reports] == [1, 2] and load_state(tmp_path / "state.pt")["step"] == 2
    assert Trainer(config, samples, tmp_path, CPU).run(until=3) == FINISHED


def test_another_configuration_does_not_continue(samples, tmp_path):
    trained(samples, tmp_path / "t", 1)
    with pytest.raises(TrainingError, match="another configuration"):
        Trainer(replace(TINY, seed=1), samples, tmp_path / "t", CPU)
    with pytest.raises(TrainingError, match="another configuration"):
        Trainer(TINY_PAPER, samples, tmp_path / "t", CPU)


def test_other_samples_do_not_continue(samples, tmp_path):
    (tmp_path / "a" / "train").mkdir(parents=True)
    write_shard(tmp_path / "a" / "train" / "0.safetensors", [made_up_sample(0)])
    trained(samples, tmp_path / "t", 1)
    with pytest.raises(TrainingError, match="other samples"):
        open_training([tmp_path / "a"], TINY, tmp_path / "t", CPU)
    with pytest.raises(InputError, match="no samples"):
        open_training([tmp_path / "b"], TINY, tmp_path / "t", CPU)


def test_a_loss_that_is_no_number_keeps_the_last_state(samples, tmp_path):
    trained(samples, tmp_path, 1)
    trainer = Trainer(TINY, samples, tmp_path, CPU)
    with torch.no_grad():
        next(iter(trainer.generator.parameters())).fill_(torch.nan)
    with pytest.raises(TrainingError, match="the loss is nan in step 2"):
        trainer.run()
    assert load_state(tmp_path / "state.pt")["step"] == 1


@pytest.mark.parametrize("preset", ["corrections", "paper"])
def test_the_shipped_configurations_are_read_and_come_back(preset, tmp_path):
    config = read_config(preset)
    (tmp_path / "c.json").write_text(config.to_json())
    assert read_config(preset, tmp_path / "c.json") == config
    assert config.generator.units == 52


def test_a_damaged_configuration_is_refused(tmp_path):
    (tmp_path / "c.json").write_text('{"steps": "many"}')
    with pytest.raises(TrainingError, match="no configuration of the preset corrections"):
        read_config(path=tmp_path / "c.json")
    (tmp_path / "c.json").write_text(TINY.to_json())
    with pytest.raises(TrainingError, match="no configuration of the preset paper"):
        read_config("paper", tmp_path / "c.json")
    with pytest.raises(TrainingError, match="no preset 'other'"):
        read_config("other")


def test_the_papers_generator_learns_the_target_and_that_nothing_is_asked_at_control_zero(tmp_path, monkeypatch):
    """A few steps on one sample: every supervised loss falls, and ``f(I, 0)`` comes nearer to the photo."""
    monkeypatch.setattr("facemotion.training.data.augmented", lambda arrays, changes: arrays)
    write_shard(tmp_path / "0.safetensors", [smooth_sample()])
    small = replace(TINY_PAPER.generator, widths=(8, 16))
    config = replace(TINY_PAPER, generator=small, steps=100, batch=1, learning_rate=1e-2, warm_up=1, adversarial=0.0)
    trainer = Trainer(replace(config, ema_half_life=1.0), SampleFolder(tmp_path), tmp_path / "t", CPU)
    losses = []
    trainer.run(report=lambda now: losses.append(now.losses))
    for name in ("loss", "pixels", "identity", "landmarks"):
        first, last = ([each[name] for each in part] for part in (losses[:5], losses[-5:]))
        assert np.mean(last) < 0.7 * np.mean(first), name
    generator, _ = load_release(tmp_path / "t" / "generator.safetensors")
    batch = batch_of([smooth_sample()], 32)
    with torch.inference_mode():
        frames = generator(batch.photo, torch.stack([torch.zeros(1, 52), batch.control], 1)).images[0]
    assert (frames[0] - batch.photo[0]).abs().mean() < 0.12
    assert (frames[1] - frames[0]).mean() > 0.02, "the target is brighter than the photo"


def smooth_sample() -> Sample:
    """A made-up sample whose target is a brighter photo."""
    sample = made_up_sample(0)
    across = np.linspace(40, 180, sample.source.shape[0])
    source = np.repeat((across[:, None] * np.ones(len(across)))[..., None], 3, 2).astype(np.uint8)
    kept = {f.name: getattr(sample, f.name) for f in fields(sample)}
    return Sample(**kept | {"source": source, "target": source + np.uint8(50)})


def test_the_papers_frames_at_control_zero_are_made_of_the_base_features_alone():
    torch.manual_seed(0)
    generator = PaperGenerator(TINY_PAPER.generator).eval()
    photo, control = torch.rand(2, 3, 32, 32), torch.zeros(2, 2, 52)
    control[0, 1, 3], control[1, 1, 7] = 0.8, -0.5
    with torch.inference_mode():
        before = generator(photo, control).images
        alone = generator(photo[:1], control[:1, 1:]).images
        for parameter in generator.residual_encoder.parameters():
            parameter.mul_(3)
        after = generator(photo, control).images
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-4)
    assert torch.allclose(alone[0, 0], before[0, 1], atol=1e-5), "a photo's frames do not depend on its neighbours"


def test_the_papers_release_is_no_weights_for_clips(samples, tmp_path):
    trained(samples, tmp_path, 1, config=TINY_PAPER)
    with pytest.raises(WeightsError, match="draws whole frames"):
        load_corrections(tmp_path / "generator.safetensors")


def test_mirrored_twice_is_the_sample():
    arrays = stacked([made_up_sample(0), made_up_sample(1)]).arrays
    again = mirrored(mirrored(arrays))
    for name, array in arrays.items():
        if not name.endswith("landmarks"):
            assert torch.equal(again[name], array), name


def test_left_and_right_change_places_in_the_mirror():
    index = load_head().unit_index
    sample = made_up_sample(0)
    sample.control[:] = 0
    sample.control[index["mouthSmileLeft"]] = 1
    other = {name: array[0].numpy() for name, array in mirrored(stacked([sample]).arrays).items()}
    assert other["control"][index["mouthSmileRight"]] == 1 and not other["control"][index["mouthSmileLeft"]]
    np.testing.assert_allclose(other["source_landmarks"][61, 0], 1 - sample.source_landmarks[291, 0], atol=1e-6)
    assert np.array_equal(other["flow"][:, ::-1, 0], -sample.flow[..., 0])


def test_colours_change_alike_in_source_and_target():
    sample = made_up_sample(0)
    same = Sample(**{f.name: getattr(sample, f.name) for f in fields(sample)} | {"target": sample.source})
    changed = augmented(stacked([same]).arrays, [Augmentation.drawn(np.random.default_rng(3), 0.0)])
    assert torch.equal(changed["source"], changed["target"])
    assert abs(float(changed["source"].mean()) - sample.source.mean()) > 1


def test_samples_are_changed_each_in_its_own_way():
    samples = stacked([made_up_sample(0), made_up_sample(1)])
    kept = Augmentation(False, 1.0, np.ones(3), False, np.eye(2, 3, dtype=np.float32))
    changed = augmented(samples.arrays, [kept, replace(kept, mirror=True, grey=True)])
    torch.testing.assert_close(changed["source"][0], samples.arrays["source"][0].float())
    assert torch.equal(changed["control"][0], samples.arrays["control"][0])
    assert torch.equal(changed["control"][1], mirrored(samples.arrays)["control"][1])
    grey = changed["target"][1]
    torch.testing.assert_close(grey[..., 0], grey[..., 2])


def test_a_moved_crop_shows_what_its_flow_and_landmarks_say():
    """What a flow fetches from the photo, and what lies at a landmark, is the same in the crop that lies elsewhere."""
    sample = made_up_sample(0)
    down, across = np.mgrid[:48, :48]
    sample.source[:] = np.dstack([4 * across, 4 * down, 2 * (across + down)])
    sample.flow[:] = np.float16(0.05), np.float16(-0.03)
    sample.source_landmarks[:] = 0.5, 0.45
    turn, size = 0.3, 1.1
    linear = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    similarity = np.column_stack([linear, 0.5 - linear @ (0.45, 0.52)]).astype(np.float32)
    before = stacked([sample]).arrays
    after = moved(before, torch.from_numpy(similarity)[None])

    def fetched(arrays: dict[str, torch.Tensor], place: np.ndarray, *, moves: bool) -> np.ndarray:
        flow = arrays["flow"][0, 8, 8].numpy().astype(float) if moves else 0
        x, y = (place + flow) * 48 - 0.5
        patch = arrays["source"][0].numpy().astype(np.float32)
        return cv2.getRectSubPix(patch, (1, 1), (x, y))[0, 0]

    old_place = np.array([0.5, 0.45])
    new_place = after["source_landmarks"][0, 0].numpy().astype(float)
    np.testing.assert_allclose(linear @ new_place + similarity[:, 2], old_place, atol=1e-5)
    for moves in (False, True):
        expected, found = fetched(before, old_place, moves=moves), fetched(after, new_place, moves=moves)
        np.testing.assert_allclose(found, expected, atol=1.5)


def test_a_photo_is_shrunk_by_area():
    sample = made_up_sample(0)
    expected = cv2.resize(sample.source.astype(np.float32) / 255, (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(batch_of([sample], 32).photo[0].permute(1, 2, 0).numpy(), expected, atol=1e-4)


def test_discriminators_see_pairs_of_photographs_alone():
    batch = batch_of([made_up_sample(0, kind="back"), made_up_sample(1, kind="pair")], 32)
    assert batch.photographed.tolist() == [False, True]
    torch.manual_seed(0)
    correction = Generator(TINY.generator)(batch.photo, batch.coordinates, batch.own, batch.control, batch.rendered)
    views = views_of(correction, batch, TINY)
    fakes, reals, photos = views.for_discriminators(batch.photographed)
    assert {name: len(view) for name, view in fakes.items()} == {"face": 1, "mouth": 1, "eye": 2}
    for name in fakes:
        assert torch.equal(reals[name], views.target[name][1::2]), name
        assert torch.equal(photos[name], views.photo[name][1::2]), name


def test_pixels_count_more_where_the_target_differs():
    sample = made_up_sample(0)
    batch = batch_of([sample], 32)
    trainer_config = replace(TINY, emphasis=5.0)
    torch.manual_seed(0)
    correction = Generator(TINY.generator)(batch.photo, batch.coordinates, batch.own, batch.control, batch.rendered)
    views = views_of(correction, batch, trainer_config)
    assert views.weight["mouth"].max() > 3
    assert pixel_loss(views) > 0
    assert set(views.generated) == {"face", "mouth", "eye"}
    assert views.generated["eye"].shape[0] == 2
