"""The generator: nothing at control 0, skips linear in the control, the compositor's twin, releases."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facemotion.errors import WeightsError
from facemotion.expressions.units import UNIT_INDEX
from facemotion.models.compositor import composed, patch_view, relit, sampled, whole_grid, with_patches
from facemotion.models.generator import PATCHES, Generator, GeneratorConfig, RenderedMaps, presence
from facemotion.models.release import load_corrections, save_release
from facemotion.rendering import light
from facemotion.rendering.boxes import Box
from facemotion.rendering.compose import composed as composed_by_numpy
from facemotion.rendering.correction import Correction, corrected, draw_patches
from facemotion.rendering.face import Layer, Patch, Rendering
from tests.models.tiny_generator import TINY_GENERATOR


def lively(config: GeneratorConfig = TINY_GENERATOR) -> Generator:
    """A generator whose outputs are not those it starts with, zero."""
    torch.manual_seed(0)
    generator = Generator(config).eval()
    decoder = generator.decoder
    heads = (decoder.to_flow, decoder.to_gain, decoder.to_landmarks, generator.mouth.to_colour, generator.eye.to_colour)
    for head in heads:
        torch.nn.init.normal_(head.weight, std=0.3)
    return generator


def rendered(frames: int) -> RenderedMaps:
    torch.manual_seed(1)
    flow = 0.02 * torch.nn.functional.interpolate(torch.randn(1, 2, 4, 4), (40, 40), mode="bicubic")
    gain = 0.2 * torch.randn(1, 1, 40, 40)
    landmarks = 0.5 + 0.15 * torch.randn(1, 468, 2)
    alpha = torch.zeros(1, 1, 48, 48)
    alpha[..., 20:30, 20:30] = 0.7
    layers = torch.cat([torch.rand(1, 3, 48, 48) * alpha, alpha], 1)
    maps = (torch.rand(1, 3, 48, 48), flow, gain, layers, landmarks, torch.tensor([0.3]))
    return RenderedMaps(*(m.expand(frames, *m.shape[1:]) for m in maps))


@torch.no_grad()
def decoded(generator: Generator, control: torch.Tensor):
    photo, coordinates = torch.rand(1, 3, 32, 32, generator=torch.manual_seed(2)), torch.zeros(1, 3, 16, 16)
    encoding = generator.encode(photo, coordinates, torch.zeros(1, 52))
    used = control.abs().amax(0, keepdim=True)
    return generator.decode(encoding, generator.residuals(encoding, used), control, rendered(len(control)))


def test_nothing_is_added_at_control_0():
    control = torch.zeros(2, 52)
    control[1, 17] = 0.8
    result = decoded(lively(), control)
    for output in (result.flow, result.log_gain, result.landmarks, *result.patches.values()):
        assert not output[0].any()
        assert output[1].any()


def test_units_below_the_dead_zone_count_as_none():
    control = torch.full((2, 52), 0.9 * TINY_GENERATOR.dead_zone)
    control[1] *= -1
    assert not any(patch.any() for patch in decoded(lively(), control).patches.values())


def test_a_small_change_of_the_control_is_a_small_change_of_the_frame():
    control = torch.zeros(3, 52)
    control[:, 23] = torch.tensor([0.5, 0.501, 0.9])
    flow = decoded(lively(), control).flow
    near, far = (flow[1] - flow[0]).abs().max(), (flow[2] - flow[0]).abs().max()
    assert 0 < near < 0.02 * far


def test_frames_of_one_photo_are_the_same_one_by_one_and_together():
    control = torch.zeros(2, 52)
    control[0, 3], control[1, 4], control[1, 3] = 0.5, 0.7, -0.4
    together = decoded(lively(), control)
    alone = decoded(lively(), control[1:])
    torch.testing.assert_close(together.patches["mouth"][1:], alone.patches["mouth"], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(together.flow[1:], alone.flow, atol=1e-5, rtol=1e-3)


def test_presence_grows_from_0():
    control = torch.zeros(3, 52)
    control[1, UNIT_INDEX["mouthPucker"]] = 0.1
    control[2, UNIT_INDEX["jawOpen"]] = 1.0
    values = presence(control)
    assert values[0] == 0
    assert 0 < values[1] < values[2] < 1


def test_presence_has_no_large_step_in_a_blink():
    control = torch.zeros(32, 52)
    control[:, [UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]] = torch.linspace(0, 1, 32)[:, None]
    steps = presence(control).diff()
    assert steps.min() > 0 and steps.max() < 0.1
    assert presence(control)[-1] > 0.9


def a_rendering(size: int) -> Rendering:
    maps = rendered(1)
    box = Box(10, 12, 40, 34)
    generator = np.random.default_rng(0)
    opacity = np.zeros(box.shape, np.float32)
    opacity[4:-4, 4:-4] = generator.random((box.shape[0] - 8, box.shape[1] - 8))
    layer = Layer(box, generator.random((*box.shape, 3)).astype(np.float32), opacity, fresh=np.zeros_like(opacity))
    values = {
        "flow": maps.flow[0].permute(1, 2, 0).numpy(),
        "log_gain": maps.log_gain[0, 0].numpy(),
        "layers": (layer,),
        "landmarks": maps.landmarks[0].numpy() * size,
    }
    return Rendering(**values, turn=None)


def test_the_twin_composes_what_the_compositor_composes():
    size = 64
    rows = np.linspace(0, 6, size)
    crop = (0.5 + 0.4 * np.sin(rows[:, None, None] + np.cos(rows)[None, :, None] * 2 + np.arange(3))).astype(np.float32)
    rendering = a_rendering(size)
    expected = composed_by_numpy(crop, rendering)
    layers = np.zeros((size, size, 4), np.float32)
    layer = rendering.layers[0]
    layers[layer.box.of] = np.dstack([layer.colour * layer.opacity[..., None], layer.opacity])
    maps = [torch.from_numpy(m.transpose(2, 0, 1))[None] for m in (crop, rendering.flow, layers)]
    gain = torch.from_numpy(rendering.log_gain)[None, None]
    grid = whole_grid(size, 1, torch.device("cpu"))
    twin = composed(maps[0], maps[1], gain, maps[2], grid, mode="bicubic")[0].permute(1, 2, 0).numpy()
    assert np.abs(twin - expected).max() <= 1 / 255


def test_the_twin_of_relit_agrees_with_it():
    image = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    gain = np.linspace(-3, 1.2, 64, dtype=np.float32).reshape(8, 8)
    expected = light.relit(image, gain)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            twin = relit(torch.from_numpy(image.transpose(2, 0, 1))[None], torch.from_numpy(gain)[None, None])
        np.testing.assert_allclose(twin[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_maps_are_sampled_alike_with_and_without_gradients():
    """Without them compiled loops do it."""
    torch.manual_seed(0)
    maps, at = torch.rand(2, 5, 9, 7), 1.4 * torch.rand(2, 6, 8, 2) - 0.2
    expected = sampled(maps, at)
    with torch.no_grad():
        torch.testing.assert_close(sampled(maps, at), expected)
        torch.testing.assert_close(sampled(maps.to(memory_format=torch.channels_last), at), expected)
        assert sampled(maps, torch.full((2, 1, 1, 2), torch.nan)).isfinite().all()  # and nothing beyond the map is read


@pytest.mark.parametrize("name", PATCHES)
def test_patches_are_drawn_alike_by_both(name):
    size = 96
    landmarks = rendered(1).landmarks
    view = patch_view(name, landmarks, torch.tensor([0.3]), (16, 32))
    residual = (torch.rand(1, 3, 16, 32) - 0.5) * view.window
    grid = whole_grid(size, 1, torch.device("cpu"))
    twin = with_patches(torch.full((1, 3, size, size), 0.5), grid, {name: residual}, {name: view})
    frame = np.full((size, size, 3), 0.5, np.float32)
    centre, extent = (tuple(v[0].tolist()) for v in (view.centre, view.extent))
    draw_patches(frame, [Patch(centre, extent, residual[0].permute(1, 2, 0).numpy().copy())])
    assert np.abs(twin[0].permute(1, 2, 0).numpy() - frame).max() <= 2 / 255
    assert np.abs(frame - 0.5).max() > 0.1


def test_a_correction_of_nothing_leaves_the_frame():
    size = 64
    crop = np.random.default_rng(0).random((size, size, 3)).astype(np.float32)
    patch = Patch((0.5, 0.5), (0.2, 0.1), np.zeros((8, 16, 3), np.float32))
    nothing = Correction(
        np.zeros((16, 16, 2), np.float32), np.zeros((32, 32), np.float32), (patch,), np.zeros((68, 2), np.float32)
    )
    rendering = a_rendering(size)
    assert np.array_equal(
        composed_by_numpy(crop, corrected(rendering, nothing, size)), composed_by_numpy(crop, rendering)
    )


def test_a_release_holds_configuration_record_and_weights(tmp_path):
    generator = lively()
    save_release(tmp_path / "g.safetensors", generator, {"steps": 3}, dtype=torch.float32)
    again, record = load_corrections(tmp_path / "g.safetensors")
    assert again.config == TINY_GENERATOR and record == {"steps": 3}
    control = torch.zeros(1, 52)
    control[0, 17] = 1
    assert torch.equal(decoded(again, control).flow, decoded(generator, control).flow)


def test_damaged_and_foreign_releases_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "g.safetensors"
    save_release(path, lively(), {})
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(path.read_bytes()[:2000])
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    for file in (damaged, foreign):
        with pytest.raises(WeightsError):
            load_corrections(file)


def test_configurations_that_cannot_be_built_are_refused():
    for change in ({"input_px": 40}, {"mouth_px": (10, 16)}, {"widths": (8, 8, 8)}, {"eye_widths": (7, 8, 8)}):
        with pytest.raises(ValueError):
            replace(TINY_GENERATOR, **change)


def test_places_kept_from_inference_serve_training():
    size = (24, 40)  # asked for nowhere else
    landmarks = rendered(1).landmarks
    with torch.inference_mode():
        patch_view("mouth", landmarks.clone(), torch.tensor([0.3]), size)
    weight = torch.ones(1, requires_grad=True)
    view = patch_view("mouth", landmarks, torch.tensor([0.3]), size)
    (weight * view.window).sum().backward()
    assert weight.grad is not None
