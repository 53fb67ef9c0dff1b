"""The generator: shapes, gradients, exactness at control 0, additivity."""

import copy

import pytest
import torch

from facemotion.models.anchors import eyeballs, on_the_lip
from facemotion.models.generator import (
    Generator,
    GeneratorConfig,
    lit,
    moved_photo,
    opacity,
    resize,
    tiny_generator,
    warp,
)
from facemotion.models.glasses import rims

SMILE, SURPRISE, BLINK = 0, 1, 7


def control(**weights: float) -> torch.Tensor:
    vector = torch.zeros(1, len(GeneratorConfig().expressions))
    for name, weight in weights.items():
        vector[0, GeneratorConfig().expressions.index(name)] = weight
    return vector


@pytest.fixture
def source() -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_maps_have_the_documented_shapes_and_ranges(source):
    frame, motion = tiny_generator()(source, control(smile=1))
    assert frame.shape == source.shape
    assert motion.flow.shape == (1, 2, 16, 16)
    assert motion.shade.shape == (1, 1, 32, 32)
    assert motion.mask.shape == (1, 1, 64, 64)
    assert motion.colour.shape == (1, 3, 64, 64)
    assert motion.kept.shape == (1, 1, 64, 64)
    assert motion.landmarks.shape == (1, 78, 2)
    assert motion.mask.min() >= 0 and motion.mask.max() <= 1
    assert motion.colour.abs().max() <= 1


def test_control_zero_is_the_photo_bit_for_bit(source):
    frame, motion = tiny_generator()(source, control())
    assert torch.equal(frame, source)
    assert motion.flow.abs().max() == motion.mask.max() == motion.shade.abs().max() == motion.kept.max() == 0


def test_any_other_control_is_not_the_photo(source):
    frame, _ = tiny_generator()(source, control(smile=0.5))
    assert (frame - source).abs().max() > 0.01


def test_small_control_changes_little(source):
    generator = tiny_generator()
    small, _ = generator(source, control(smile=0.001))
    peak, _ = generator(source, control(smile=1))
    assert (small - source).abs().mean() < 0.05 * (peak - source).abs().mean()


@pytest.mark.parametrize("residual", ["shared", "separate"])
def test_skips_are_the_base_plus_the_weighted_residuals(source, residual):
    config = GeneratorConfig(
        input_px=32, paint_px=64, widths=(8, 8, 16), decoder_widths=(8, 8, 16), embedding=8, residual=residual
    )
    generator = Generator(config)
    encoding = generator.encode(resize(source, (32, 32)))
    base = encoding.skips(control())
    smile = encoding.skips(control(smile=1))
    surprise = encoding.skips(control(surprise=1))
    mixed = encoding.skips(control(smile=0.7, surprise=0.3))
    for b, one, other, mix in zip(base, smile, surprise, mixed, strict=True):
        torch.testing.assert_close(mix, b + 0.7 * (one - b) + 0.3 * (other - b), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(one, other)


def test_encoding_only_the_asked_expressions_gives_the_same_frame(source):
    generator, asked = tiny_generator(), control(smile=0.6, blink=1)
    seen = resize(source, (32, 32))
    everything = generator.decode(generator.encode(seen), asked)
    needed = generator.decode(generator.encode(seen, asked), asked)
    torch.testing.assert_close(everything.flow, needed.flow)
    torch.testing.assert_close(everything.colour, needed.colour)


def test_many_frames_of_one_photo_equal_frames_one_by_one(source):
    generator = tiny_generator()
    encoding = generator.encode(resize(source, (32, 32)))
    controls = torch.cat([control(), control(smile=0.3), control(smile=1, surprise=0.5)])
    together = generator.decode(encoding, controls)
    for index in range(3):
        alone = generator.decode(encoding, controls[index : index + 1])
        torch.testing.assert_close(together.flow[index], alone.flow[0])
        torch.testing.assert_close(together.mask[index], alone.mask[0])
    frames = generator.compose(source, together)
    assert torch.equal(frames[0], source[0])


def test_every_weight_gets_a_gradient(source):
    generator = tiny_generator().train()
    frame, motion = generator(source.expand(9, -1, -1, -1), torch.eye(9))
    (frame.square().mean() + motion.landmarks.square().mean()).backward()
    without = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_paper_preset_paints_everything(source):
    generator = tiny_generator(preset="paper")
    frame, motion = generator(source, control(smile=1))
    assert torch.equal(motion.mask, torch.ones_like(motion.mask))
    assert motion.flow.abs().max() == 0
    torch.testing.assert_close(frame, motion.colour)


def face() -> torch.Tensor:
    """(1, 78, 2) landmarks that say where eyes and an open mouth are, in crop widths."""
    points = torch.full((78, 2), 0.5)
    points[36:48, 1] = 0.3
    points[36:42, 0], points[42:48, 0] = torch.linspace(0.3, 0.4, 6), torch.linspace(0.6, 0.7, 6)
    points[48:] = torch.tensor([0.5, 0.7])
    points[60:68, 0] = torch.tensor([0.35, 0.43, 0.5, 0.57, 0.65, 0.57, 0.5, 0.43])
    points[60:68, 1] = torch.tensor([0.7, 0.64, 0.62, 0.64, 0.7, 0.76, 0.78, 0.76])
    return points[None]


def test_paint_sees_the_photo_where_it_was_moved_to():
    generator = tiny_generator()
    size, features = generator.config.input_px, torch.zeros(1, 8, 16, 16)
    moved = torch.zeros(1, 3, size, size)
    plain = generator.paint_head(features, moved, face(), moved)
    moved[..., 20:24, 14:18] = 1.0  # in the middle of the mouth
    painted = generator.paint_head(features, moved, face(), moved)
    for where in ((a - b).abs().amax((0, 1)) > 0 for a, b in zip(painted, plain, strict=True)):
        rows = torch.nonzero(where.any(1)).flatten()
        assert where[40:48, 28:36].all()  # at twice the input's resolution
        assert rows.min() >= 40 - 8 and rows.max() < 48 + 8  # four 3x3 convolutions at input resolution


def test_lids_are_the_skin_around_them_in_a_light_of_their_own():
    generator = tiny_generator()
    outer = generator.paint_head.details["eye"].outer
    with torch.no_grad():
        outer.weight.zero_()
        outer.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 20.0, 0.3]))  # all of it skin, somewhat brighter
    features, photo = torch.randn(1, 8, 16, 16), torch.zeros(1, 3, 32, 32)
    skin = torch.tensor([0.4, -0.2, -0.5])[None, :, None, None].expand(1, 3, 32, 32)
    _, colour = generator.paint_head(features, photo, face(), skin)
    _, other = generator.paint_head(features, photo, face(), -skin)
    eye, mouth = (0, slice(None), int(64 * 0.3), int(64 * 0.35)), (0, slice(None), int(64 * 0.7), 32)
    torch.testing.assert_close(colour[eye], lit(skin, torch.full((1, 1, 1, 1), 0.3))[0, :, 0, 0])
    assert torch.equal(colour[mouth], other[mouth]) and not torch.equal(colour[eye], other[eye])


def test_no_gradient_is_lost_under_autocast(source):
    generator = tiny_generator().train()
    with torch.autocast("cpu", torch.bfloat16):
        motion = generator.decode(generator.encode(resize(source, (32, 32)).expand(9, -1, -1, -1)), torch.eye(9))
    frame = generator.compose(source.expand(9, -1, -1, -1), motion)
    (frame.square().mean() + motion.landmarks.square().mean()).backward()
    assert [name for name, p in generator.named_parameters() if p.grad is None] == []


def with_eyes(points: torch.Tensor, *, open_by: float) -> torch.Tensor:
    """Points with lids this far apart, in crop widths."""
    points = points.clone()
    for start, centre in ((36, 0.35), (42, 0.65)):
        x = (-0.05, -0.02, 0.02, 0.05, 0.02, -0.02)
        y = (0.0, -0.5, -0.5, 0.0, 0.5, 0.5)
        points[0, start : start + 6] = torch.tensor(
            [(centre + dx, 0.3 + open_by * dy) for dx, dy in zip(x, y, strict=True)]
        )
    return points


def test_eyeballs_are_kept_where_they_are_seen_in_both_the_frame_and_the_photo():
    wide, narrow, shut = (with_eyes(face(), open_by=gap) for gap in (0.1, 0.04, 0.0))
    size = 256
    same, narrowed, widened = (eyeballs(*pair, size)[0, 0] for pair in ((wide, wide), (narrow, wide), (wide, narrow)))
    middle = (int(0.3 * size), int(0.35 * size))
    assert same[middle] == narrowed[middle] == widened[middle] == 1
    lid = (int(0.272 * size), int(0.35 * size))  # inside of wide lids, outside of narrow ones
    assert same[lid] > 0 and narrowed[lid] == widened[lid] == 0
    assert eyeballs(shut, wide, size).max() == eyeballs(wide, shut, size).max() == 0
    for outside in ((0.5, 0.3), (0.35, 0.4), (0.5, 0.7)):
        assert same[int(outside[1] * size), int(outside[0] * size)] == 0


def test_light_multiplies_and_keeps_the_hue():
    photo = torch.tensor([0.6, 0.0, -0.4])[None, :, None, None].expand(1, 3, 8, 8)
    still = torch.zeros(1, 2, 8, 8)
    darker = moved_photo(photo, still, torch.full((1, 1, 8, 8), -0.25))
    torch.testing.assert_close(darker + 1, 0.75 * (photo + 1))
    assert moved_photo(photo, still, torch.full((1, 1, 8, 8), -1.5)).max() == -1  # black is the darkest


def test_what_is_kept_is_the_photo_itself(source):
    generator = tiny_generator()
    _, motion = generator(source, control(surprise=1))
    motion.kept[:] = 0
    motion.kept[..., 20:30, 20:30] = 1
    frame = Generator.compose(source, motion)
    assert torch.equal(frame[..., 20:30, 20:30], source[..., 20:30, 20:30])
    assert not torch.equal(frame, source)


def test_only_mouth_and_eyes_are_painted():
    generator = tiny_generator()
    photo = torch.zeros(1, 3, 32, 32)
    mask, _ = generator.paint_head(torch.randn(1, 8, 16, 16), photo, face(), photo)
    for x, y in ((0.5, 0.7), (0.35, 0.3), (0.65, 0.3)):
        assert mask[0, 0, int(64 * y), int(64 * x)] > 0.01
    for x, y in ((0.5, 0.3), (0.5, 0.5), (0.2, 0.7), (0.8, 0.7), (0.5, 0.95), (0.5, 0.05)):
        assert mask[0, 0, int(64 * y), int(64 * x)] == 0


def test_what_keeps_the_lips_together_paints_no_mouth(source):
    generator = tiny_generator()
    encoding = generator.encode(source[:1, :, ::2, ::2])

    def painted(**weights: float) -> tuple[bool, bool]:
        """Whether the mouth is painted, and whether the eyes are."""
        motion = generator.decode(encoding, control(**weights)[:1])
        size = generator.config.input_px
        regions = generator.paint_head.anchors.regions(on_the_lip(motion.landmarks), size, margin=0)
        mouth, eyes = torch.zeros_like(motion.mask), torch.zeros_like(motion.mask)
        for region in regions:
            rows, columns = (slice(2 * side.start, 2 * side.stop) for side in region.box)
            (mouth if region.kind == "mouth" else eyes)[..., rows, columns] = 1
        return bool((motion.mask * mouth * (1 - eyes)).any()), bool((motion.mask * eyes).any())

    for name, weight in (("closed-smile", 0.5), ("closed-smile", 1.5), ("contempt", 1.0), ("blink", 1.0)):
        assert painted(**{name: weight}) == (False, True), name
    assert painted(smile=0.5) == (True, True)
    assert painted(**{"closed-smile": 0.5, "smile": 0.5}) == (True, True)


def test_landmarks_keep_their_precision_under_autocast(source):
    generator = tiny_generator()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        landmarks = generator.decode(generator.encode(source), control(smile=1)).landmarks
    assert landmarks.dtype == torch.float32
    assert (landmarks.bfloat16().float() != landmarks).any()


def test_places_are_told_in_full_precision_under_autocast():
    points = face()
    exact = rims(points, 64), on_the_lip(points)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(a, b) for a, b in zip((rims(points, 64), on_the_lip(points)), exact, strict=True))


def test_what_tells_places_keeps_its_precision_in_bfloat16(source):
    generator = tiny_generator()
    with torch.no_grad():  # as a ridge regression finds them: large, and nearly cancelling
        generator.decoder.to_teeth.weight.normal_(std=5, generator=torch.Generator().manual_seed(0))
        generator.decoder.to_teeth.weight -= generator.decoder.to_teeth.weight.mean(1, keepdim=True)
    seen, asked = resize(source, (32, 32)), control(smile=1)
    exact = generator.decode(generator.encode(seen, asked), asked).landmarks
    placed = copy.deepcopy(generator).place(torch.device("cpu"), torch.bfloat16, torch.channels_last)
    assert next(placed.base_encoder.parameters()).dtype == torch.bfloat16
    found = placed.decode(placed.encode(seen.bfloat16(), asked), asked).landmarks
    linear = generator.decoder.to_teeth
    teeth = torch.nn.functional.linear(found[:, :68].flatten(1), linear.weight, linear.bias)
    assert torch.allclose(found[:, 68:].flatten(1), teeth, atol=1e-4)
    assert (found - exact)[:, :68].abs().max() < 0.02


def test_paint_does_not_pull_at_the_motion(source):
    generator = tiny_generator()
    motion = generator.decode(generator.encode(source), control(smile=1))
    (motion.colour.sum() + motion.mask.sum()).backward()
    assert generator.decoder.to_flow_shade.weight.grad is None


def test_paint_can_be_opaque_and_absent():
    logits = torch.tensor([-20.0, 0.0, 3.0, 20.0])
    assert opacity(logits).tolist() == pytest.approx([0, 0.6, 1, 1], abs=1e-6)


def test_warp_with_a_constant_flow_shifts_by_that_many_pixels():
    image = torch.rand(1, 3, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 2 / 8
    flow[:, 1] = -1 / 8
    moved = warp(image, flow)
    torch.testing.assert_close(moved[:, :, 1:, :-2], image[:, :, :-1, 2:], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        {"preset": "magic"},
        {"residual": "none"},
        {"paint_px": 300},
        {"paint_px": 768},
        {"input_px": 250, "paint_px": 500},
        {"widths": (8, 8)},
    ],
)
def test_impossible_configurations_are_refused(values):
    with pytest.raises(ValueError):
        GeneratorConfig(**values)


def test_default_stays_within_its_budget():
    """At most 4 GMAC a frame at 256 px and 12 MB of weights in float16."""
    from torch.utils.flop_counter import FlopCounterMode

    generator = Generator().eval().requires_grad_(False)
    generator.decoder.to_landmarks.bias.copy_(face()[0, :68].flatten())  # regions as large as those of a face
    generator.decoder.to_landmarks.weight.zero_()
    assert 2 * sum(p.numel() for p in generator.parameters()) <= 12e6
    with torch.inference_mode():
        encoding = generator.encode(torch.zeros(1, 3, 256, 256), control(smile=1))
        with FlopCounterMode(display=False) as flops:
            generator.decode(encoding, control(smile=1))
    assert flops.get_total_flops() / 2 <= 4e9
