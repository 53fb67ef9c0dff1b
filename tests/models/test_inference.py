"""The generator beside a rendered portrait: nothing at control 0, patches where they belong, finite numbers."""

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from facemotion.device import Placement
from facemotion.faces import geometry
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.landmarker import Landmarker
from facemotion.models.generator import Encoding, Generator, GeneratorConfig
from facemotion.models.inference import CorrectionNetwork
from facemotion.rendering.compose import composed
from facemotion.rendering.correction import corrected
from facemotion.rendering.face import FaceRenderer
from tests.models.test_generator import lively

SIZE = 192
FP32, BF16 = (Placement(torch.device("cpu"), dtype) for dtype in (torch.float32, torch.bfloat16))


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, FaceRenderer]:
    from skimage import data

    measured = Landmarker.load().measure(data.astronaut())[0]
    points = measured.points[:, :2].astype(np.float64)
    to_crop = geometry.photo_to_crop(points[list(FROM_FACE_MESH)], SIZE)
    crop = geometry.warp_crop(data.astronaut(), to_crop, SIZE)
    return crop, FaceRenderer(crop, geometry.apply(to_crop, points))


@pytest.mark.parametrize("placement", [FP32, BF16], ids=["fp32", "bf16"])
def test_the_frame_at_control_0_is_the_rendered_one(face, placement):
    crop, renderer = face
    control = np.zeros(52, np.float32)
    rendering = renderer.render(control)
    correction = CorrectionNetwork(lively(), placement).photo(crop, renderer.rig).correct(control, rendering)
    assert not correction.flow.any() and not correction.log_gain.any()
    assert not any(patch.residual.any() for patch in correction.patches)
    image = crop.astype(np.float32) / 255
    assert np.array_equal(composed(image, corrected(rendering, correction, SIZE)), composed(image, rendering))


def test_patches_lie_on_mouth_and_eyes_and_change_them(face):
    crop, renderer = face
    control = renderer.rig.head.strengths({"jawOpen": 0.6, "eyeBlinkLeft": 0.5})
    rendering = renderer.render(control)
    correction = CorrectionNetwork(lively(), FP32).photo(crop, renderer.rig).correct(control, rendering)
    mouth, left, right = correction.patches
    for patch, landmarks in ((mouth, (13, 14)), (left, (159, 145)), (right, (386, 374))):
        middle = (rendering.landmarks[list(landmarks)].mean(0) + 0.5) / SIZE
        assert (np.abs(middle - patch.centre) < np.array(patch.extent) / 4).all()
    image = crop.astype(np.float32) / 255
    change = np.abs(composed(image, corrected(rendering, correction, SIZE)) - composed(image, rendering)).max(2)
    x, y = (int(v * SIZE) for v in mouth.centre)
    assert change[y - 3 : y + 3, x - 3 : x + 3].max() > 0.01


def test_units_are_remembered_and_bf16_is_near_fp32(face):
    crop, renderer = face
    control = renderer.rig.head.strengths({"jawOpen": 0.6})
    rendering = renderer.render(control)
    photo = CorrectionNetwork(lively(), FP32).photo(crop, renderer.rig)
    first, second = photo.correct(control, rendering), photo.correct(control, rendering)
    assert np.array_equal(first.patches[0].residual, second.patches[0].residual)
    half = CorrectionNetwork(lively(), BF16).photo(crop, renderer.rig).correct(control, rendering)
    assert np.abs(half.patches[0].residual - first.patches[0].residual).mean() < 0.02


@pytest.mark.parametrize("placement", [FP32, BF16], ids=["fp32", "bf16"])
def test_a_frame_is_the_same_whichever_frame_came_before(face, placement):
    crop, renderer = face
    generator = np.random.default_rng(0)
    controls = []
    for units in (3, 9, 17):
        control = np.zeros(52, np.float32)
        control[generator.choice(50, units, replace=False)] = generator.uniform(0.1, 0.6, units)
        controls.append(control)
    frames = [(control, renderer.render(control)) for control in controls]
    network = CorrectionNetwork(lively(GeneratorConfig()), placement)  # in a tiny one nothing is rounded otherwise
    forth, back = network.photo(crop, renderer.rig), network.photo(crop, renderer.rig)
    one_way = [forth.correct(*frame) for frame in frames]
    other_way = [back.correct(*frame) for frame in reversed(frames)][::-1]
    for first, second in zip(one_way, other_way, strict=True):
        assert np.array_equal(first.flow, second.flow)
        assert np.array_equal(first.patches[0].residual, second.patches[0].residual)


def test_numbers_that_are_not_finite_are_computed_again_in_fp32(monkeypatch):
    network = CorrectionNetwork(lively(), BF16)
    seen = []

    def encode(self, encoding):
        seen.append(in_bf16(self))
        value = torch.tensor([torch.inf if seen[-1] else 1.0])
        return Encoding([value], [value])

    monkeypatch.setattr(Generator, "encode", encode)
    result = network.run("encode", Encoding([torch.ones(1)], [torch.ones(1)]))
    assert seen == [True, False] and result.skips[0].item() == 1.0


def in_bf16(generator: Generator) -> bool:
    return generator.decoder.to_flow.weight.dtype == torch.bfloat16


def test_lent_teeth_keep_their_colours(face):
    crop, renderer = face
    control = renderer.rig.head.strengths({"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "jawOpen": 0.6})
    rendering = renderer.render(control)
    correction = CorrectionNetwork(lively(), FP32).photo(crop, renderer.rig).correct(control, rendering)
    mouth = max(rendering.layers, key=lambda layer: float((layer.fresh * layer.opacity).sum()))
    lent = (mouth.fresh > 0.95) & (mouth.opacity > 0.95)
    lent = cv2.erode(lent.astype(np.uint8), np.ones((5, 5))) > 0
    assert lent.sum() > 10
    moved = replace(corrected(rendering, correction, SIZE), flow=rendering.flow, log_gain=rendering.log_gain)
    image = crop.astype(np.float32) / 255
    change = np.abs(composed(image, moved) - composed(image, rendering)).max(2)
    assert change[mouth.box.of][lent].max() < 0.3 * change.max()
    assert change.max() > 0.05


def test_out_of_memory_goes_on_in_fp32_on_the_cpu(face, monkeypatch, caplog):
    """bf16 stands in for a device with little memory."""
    crop, renderer = face
    control = renderer.rig.head.strengths({"jawOpen": 0.6})
    rendering = renderer.render(control)
    expected = CorrectionNetwork(lively(), FP32).photo(crop, renderer.rig).correct(control, rendering)
    decode = Generator.decode

    def small_memory(self, *inputs):
        if in_bf16(self):
            raise torch.OutOfMemoryError("out of memory")
        return decode(self, *inputs)

    monkeypatch.setattr(Generator, "decode", small_memory)
    photo = CorrectionNetwork(lively(), BF16).photo(crop, renderer.rig)
    assert photo.placement == BF16
    found = [photo.correct(control, rendering) for _ in range(2)]
    assert photo.placement == FP32
    for each in found:
        np.testing.assert_allclose(each.flow, expected.flow, atol=1e-5)
        np.testing.assert_allclose(each.patches[0].residual, expected.patches[0].residual, atol=1e-4)
    assert [record.message for record in caplog.records] == ["Out of memory on cpu: going on with fp32 on cpu."]


def test_no_memory_at_all_is_an_error(face, monkeypatch):
    crop, renderer = face

    def no_memory(self, *_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Generator, "encode", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        CorrectionNetwork(lively(), BF16).photo(crop, renderer.rig)


def test_networks_leave_the_number_of_threads_as_it_was(face):
    crop, renderer = face
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        CorrectionNetwork(lively(), FP32).photo(crop, renderer.rig)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_loading_weights_does_not_load_pytorchs_compiler(tmp_path):
    from facemotion.models.release import save_release

    path = tmp_path / "lively.safetensors"
    save_release(path, lively(), {})
    loads = f"""
import sys
from pathlib import Path
from facemotion.models.release import load_release
from facemotion.faces.landmarker import Landmarker
from facemotion.faces.occlusion import OcclusionEstimator
load_release(Path({str(path)!r}))
Landmarker.load(), OcclusionEstimator.load()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", loads], check=True, timeout=120)
