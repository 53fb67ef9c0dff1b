"""Weights of one generator as a beginning for another."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from facemotion.models.generator import Generator, tiny_generator
from facemotion.models.transfer import transferred, with_finer_paint


def picture(seed=0):
    torch.manual_seed(seed)
    return F.interpolate(torch.rand(1, 3, 8, 8) * 2 - 1, (128, 128), mode="bicubic").clamp(-1, 1)


def control(generator, **weights):
    return torch.tensor([[weights.get(name, 0.0) for name in generator.config.expressions]])


def test_finer_paint_says_the_same_at_first(monkeypatch):
    # All of the mouth's box: the fade on the lips is finer than the pixels of so small a picture.
    monkeypatch.setattr("facemotion.models.anchors._between_lips", lambda placed, x, y: torch.ones_like(x))
    generator = tiny_generator()
    finer = with_finer_paint(generator, 128)
    smile = control(generator, smile=1.0)
    with torch.inference_mode():
        coarse_motion, fine_motion = (g(picture(), smile)[1] for g in (generator, finer))
    assert fine_motion.mask.shape[-1] == 2 * coarse_motion.mask.shape[-1] == 128
    # not quite the same: textures are looked up at finer places
    torch.testing.assert_close(F.avg_pool2d(fine_motion.mask, 2), coarse_motion.mask, atol=0.02, rtol=0)
    paint, coarse_paint = (motion.mask * motion.colour for motion in (fine_motion, coarse_motion))
    torch.testing.assert_close(F.avg_pool2d(paint, 2), coarse_paint, atol=0.02, rtol=0)


def test_finer_and_back_is_where_it_began():
    generator = tiny_generator()
    back = with_finer_paint(with_finer_paint(generator, 128), 64)
    for name, weight in generator.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], weight, msg=name)


def test_the_same_fineness_is_a_copy():
    generator = tiny_generator()
    same = with_finer_paint(generator, generator.config.paint_px)
    assert same is not generator
    assert all(
        torch.equal(a, b) for a, b in zip(same.state_dict().values(), generator.state_dict().values(), strict=True)
    )


def test_expressions_are_matched_by_name_and_new_ones_begin_as_the_mean():
    generator = tiny_generator()
    known = generator.config.expressions
    other = Generator(replace(generator.config, expressions=(known[3], "wink", known[0])))
    other.load_state_dict(transferred(generator.state_dict(), generator.config, other.config))
    rows = generator.residual_encoders[0].embedding.weight
    expected = torch.stack([rows[3], rows.mean(0), rows[0]])
    torch.testing.assert_close(other.residual_encoders[0].embedding.weight, expected)
    with torch.inference_mode():
        ours, theirs = (g.eval()(picture(), control(g, **{known[0]: 1.0}))[0] for g in (generator, other))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_both_presets_can_be_refined(preset):
    finer = with_finer_paint(tiny_generator(preset=preset), 128)
    with torch.inference_mode():
        frame, motion = finer(picture(), control(finer, smile=1.0))
    assert frame.shape == (1, 3, 128, 128) and motion.mask.shape[-1] == 128
