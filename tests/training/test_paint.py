"""The second stage: the paint head alone, on remembered crops."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.errors import InputError, UsageError
from facemotion.models.generator import tiny_generator
from facemotion.models.release import load_release, save_release
from facemotion.training.dataset import ClipPool
from facemotion.training.paint import PaintConfig, fit_teeth, paint_loss, painted, remember, train_paint
from facemotion.training.sampler import Sampler

CONFIG = PaintConfig(frames=24, crop=0.75, batch=8, seconds=80.0, lr=3e-3, average_steps=20)


@pytest.fixture
def steady_clock(monkeypatch):
    """Every look at the clock takes a second: the same number of steps on every machine."""
    ticks = itertools.count()
    monkeypatch.setattr("facemotion.training.paint.time", SimpleNamespace(monotonic=lambda: next(ticks)))


@pytest.fixture
def pool(clip_folder):
    return ClipPool.open([clip_folder], split="train", expressions=tiny_generator().config.expressions)


def test_a_crop_of_everything_paints_the_crop_of_the_paint():
    generator = tiny_generator()
    torch.manual_seed(0)
    hidden, moved, skin = torch.randn(1, 32, 32, 32), torch.randn(1, 3, 32, 32), torch.randn(1, 3, 32, 32)
    landmarks = torch.rand(1, 78, 2)
    corner, side = 4, 24
    whole = generator.paint_head.paint(hidden, moved, landmarks, skin)
    crop = slice(corner, corner + side)
    hidden, moved, skin = (each[..., crop, crop] for each in (hidden, moved, skin))
    part = generator.paint_head.paint(hidden, moved, (landmarks * 32 - corner) / side, skin)
    inner, outer = slice(2 * 6, 2 * (side - 6)), slice(2 * (corner + 6), 2 * (corner + side - 6))
    for small, large in zip(part, whole, strict=True):
        torch.testing.assert_close(small[..., inner, inner], large[..., outer, outer], atol=1e-3, rtol=1e-3)


def test_what_is_remembered_lies_around_mouth_and_eyes(pool):
    memories = remember(tiny_generator(), pool, CONFIG)
    mouths, eyes = memories.crops["mouth"], memories.crops["eye"]
    assert len(eyes) == 24
    assert eyes.moved.shape == eyes.target.shape == (24, 3, 48, 48) and eyes.moved.dtype == torch.uint8
    assert mouths.hidden.shape[2:] == (24, 24)
    assert (mouths.landmarks[:, 60:68].mean(1) - 0.5).abs().median() < 0.15
    off = (eyes.landmarks[:, 36:48].unflatten(1, (2, 6)).mean(2) - 0.5).abs().amax(2)
    assert off.amin(1).median() < 0.15 and 0 < (off[:, 0] < off[:, 1]).sum() < 24  # of either eye
    assert ((mouths.painted > 0) & (mouths.painted <= 1)).all()


def test_photographed_mouths_are_remembered_closed_alone(pool, monkeypatch):
    def mouths(parted):
        monkeypatch.setattr("facemotion.training.paint.lips_part", lambda marks: torch.full((len(marks),), parted))
        memories = remember(tiny_generator(), pool, CONFIG)
        assert len(memories.crops["eye"]) == 24
        return len(memories.crops["mouth"]), len(memories.points)

    rendered, with_teeth = mouths(parted=True)
    assert 0 < rendered == with_teeth < 24
    assert mouths(parted=False) == (24, with_teeth)


def test_closed_lips_are_painted_where_they_are_foreseen(pool, monkeypatch):
    pool.facts = [replace(fact, origin="teacher") for fact in pool.facts]  # photographed ones would be left out
    points = np.random.default_rng(0).uniform(0, 64, (9, 78, 2)).astype(np.float32)
    monkeypatch.setattr("facemotion.training.dataset._points", lambda clip: points[: len(clip)])

    def places(parted):
        monkeypatch.setattr("facemotion.training.paint.lips_part", lambda marks: torch.full((len(marks),), parted))
        return remember(tiny_generator(), pool, replace(CONFIG, frames=8)).crops["mouth"].landmarks

    assert (places(True) - places(False)).abs().amax((1, 2)).min() > 0.01


def test_photographs_alone_are_not_enough(pool):
    pool.facts = [replace(fact, origin="pairs") for fact in pool.facts]
    with pytest.raises(InputError, match="rendered"):
        remember(tiny_generator(), pool, CONFIG)


def test_frames_so_few_that_none_is_rendered_are_refused(pool, monkeypatch):
    photographed = [index for index, fact in enumerate(pool.facts) if fact.real]
    draw = Sampler.sample
    monkeypatch.setattr(Sampler, "sample", lambda self, n: replace(draw(self, n), clip=photographed[0]))
    with pytest.raises(InputError, match="no rendered frame"):
        remember(tiny_generator(), pool, replace(CONFIG, frames=8))


def test_clips_that_do_not_tell_where_teeth_stand_are_refused(pool, monkeypatch):
    monkeypatch.setattr("facemotion.training.dataset._points", lambda clip: np.full((len(clip), 78, 2), np.nan))
    with pytest.raises(InputError, match="teeth"):
        remember(tiny_generator(), pool, CONFIG)


def test_teeth_are_placed_by_a_linear_fit_on_the_other_landmarks():
    generator, random = tiny_generator(), torch.Generator().manual_seed(0)
    points = torch.rand(1000, 78, 2, generator=random)
    points[:, 36:48] = torch.tensor([0.0, 0.3]).repeat_interleave(6)[:, None]
    weight = torch.randn(20, 136, generator=random)
    points[:, 68:] = (0.01 * points[:, :68].flatten(1) @ weight.T + 0.7).unflatten(1, (10, 2))
    assert fit_teeth(generator, points) < 1e-3
    fitted = generator.decoder.to_teeth(points[:, :68].flatten(1)).unflatten(1, (10, 2))
    torch.testing.assert_close(fitted.detach(), points[:, 68:], atol=1e-3, rtol=0)


def test_finer_paint_begins_as_the_coarse_one_and_is_trained(pool, steady_clock):
    generator = tiny_generator()
    config = replace(CONFIG, frames=8, seconds=6.0, paint_px=128, judged_from=0.5)
    finer = config.begun(generator)
    memories = remember(finer, pool, config)
    assert memories.crops["eye"].target.shape[-1] == 96
    trained = train_paint(finer, memories, config)
    assert trained.config.paint_px == 128
    assert not torch.equal(trained.paint_head.to_paint.weight, finer.paint_head.to_paint.weight)


def test_paint_of_an_impossible_side_is_refused():
    with pytest.raises(UsageError, match="power of two"):
        replace(CONFIG, paint_px=100).begun(tiny_generator())


def test_judges_join_and_are_heard(pool, steady_clock):
    generator = tiny_generator()
    memories = remember(generator, pool, CONFIG)
    short = replace(CONFIG, seconds=12.0)
    alone, judged = (
        train_paint(generator, memories, replace(short, judged_from=share)).state_dict() for share in (1.0, 0.5)
    )
    assert any(not torch.equal(alone[name], judged[name]) for name in alone)


def test_training_lowers_the_loss_and_changes_the_head_alone(pool, steady_clock):
    generator = tiny_generator()
    memories = remember(generator, pool, CONFIG)
    losses, config = [], replace(CONFIG, judged_from=1.0, lr=1e-2)
    trained = train_paint(generator, memories, config, on_step=lambda step, loss: losses.append(loss))
    with torch.no_grad():
        before, after = (
            sum(
                paint_loss(painted(each, memory, torch.arange(len(memory))), CONFIG).item()
                for memory in memories.crops.values()
            )
            for each in (generator, trained)
        )
    assert len(losses) == 79 and after < 0.95 * before
    changed = {
        name
        for (name, a), b in zip(generator.state_dict().items(), trained.state_dict().values(), strict=True)
        if not torch.equal(a, b)
    }
    assert changed and all(name.startswith("paint_head.") and "features" not in name for name in changed)


def test_the_paper_preset_is_refused(pool):
    with pytest.raises(UsageError, match="paper"):
        remember(tiny_generator(preset="paper"), pool, CONFIG)


def test_the_command_writes_weights_that_say_how_they_were_made(clip_folder, tmp_path):
    save_release(tmp_path / "first.safetensors", tiny_generator(), {"images": 7})
    words = ["train-paint", str(clip_folder), "--weights", str(tmp_path / "first.safetensors")]
    words += ["--out", str(tmp_path / "new" / "painted.safetensors"), "--frames", "8", "--time-budget", "0.01"]
    words += ["--paint-px", "128"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    painted, record = load_release(tmp_path / "new" / "painted.safetensors")
    assert painted.config.paint_px == 128
    assert record["images"] == 7 and record["paint"]["frames"] == 8
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2 and "is there already" in again.stderr
