"""What happens where a device runs out of memory or gives numbers that are not finite."""

import numpy as np
import pytest
import torch

from facemotion.device import Placement, choose_placement
from facemotion.errors import UsageError, WeightsError
from facemotion.expressions.grammar import EXPRESSIONS
from facemotion.models.generator import Generator, tiny_generator
from facemotion.models.inference import Inference

CPU = Placement(torch.device("cpu"), torch.float32)
CROP = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
TRACK = [tuple(a if name == "smile" else 0.0 for name in EXPRESSIONS) for a in np.linspace(0.1, 1, 5)]


class Batches(Placement):
    """A CPU that decodes four frames at a time, as a GPU does."""

    batch = 4


def motions(inference: Inference, notes: list[str] | None = None):
    return list(inference.motions([CROP], TRACK, on_note=(notes if notes is not None else []).append))


def assert_same(first, second, tolerance=1e-4):
    assert len(first) == len(second) == len(TRACK)
    for (one,), (other,) in zip(first, second, strict=True):
        np.testing.assert_allclose(one.flow, other.flow, atol=tolerance)
        np.testing.assert_allclose(one.mask, other.mask, atol=tolerance)
        # colour alone means nothing where nothing is painted
        np.testing.assert_allclose(
            one.mask[..., None] * one.colour, other.mask[..., None] * other.colour, atol=tolerance
        )


def test_motions_have_the_shapes_that_the_composite_takes():
    (motion,), *_ = motions(Inference(tiny_generator(), CPU))
    assert motion.flow.shape[2] == 2
    assert motion.shade.shape == tuple(2 * side for side in motion.flow.shape[:2])
    assert motion.mask.shape == (64, 64)
    assert motion.colour.shape == (64, 64, 3)
    assert motion.kept.shape == (64, 64)
    assert motion.mask.dtype == np.float32


def test_batches_give_the_same_as_single_frames():
    batches = Batches(torch.device("cpu"), torch.float32)
    assert_same(motions(Inference(tiny_generator(), batches)), motions(Inference(tiny_generator(), CPU)))


def test_half_precision_that_overflows_goes_on_in_full(monkeypatch):
    expected, notes = motions(Inference(tiny_generator(), CPU)), []
    decode = Generator.decode

    def overflowing_in_half(self, encoding, control):
        motion = decode(self, encoding, control)
        if self.paint_head.to_paint.weight.dtype != torch.float32:
            motion.flow[:] = float("nan")
        return motion

    monkeypatch.setattr(Generator, "decode", overflowing_in_half)
    inference = Inference(tiny_generator(), Placement(torch.device("cpu"), torch.bfloat16))
    assert_same(motions(inference, notes), expected, tolerance=0.05)
    assert len(notes) == 1
    assert "fp32" in notes[0]
    assert inference.placement == CPU


def test_out_of_memory_takes_fewer_frames_at_a_time(monkeypatch):
    expected, notes = motions(Inference(tiny_generator(), CPU)), []
    decode = Generator.decode

    def small_memory(self, encoding, control):
        if len(control) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return decode(self, encoding, control)

    monkeypatch.setattr(Generator, "decode", small_memory)
    batches = Batches(torch.device("cpu"), torch.float32)
    assert_same(motions(Inference(tiny_generator(), batches), notes), expected)
    assert [note.rpartition("with ")[2] for note in notes] == ["2 frames at a time.", "1 frames at a time."]


def test_no_memory_at_all_is_said_so(monkeypatch):
    def no_memory(self, encoding, control):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Generator, "decode", no_memory)
    with pytest.raises(MemoryError):
        motions(Inference(tiny_generator(), CPU))


def test_weights_that_give_no_finite_numbers_are_an_error():
    generator = tiny_generator()
    with torch.no_grad():
        generator.paint_head.to_paint.bias.fill_(float("nan"))
    with pytest.raises(WeightsError, match="not finite"):
        motions(Inference(generator, CPU))


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("The operator 'aten::grid_sampler_2d' is not currently implemented for the MPS device."),
        RuntimeError("\"layer_norm\" not implemented for 'Half'"),
        TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."),
    ],
    ids=["operator", "type", "double"],
)
def test_what_a_device_cannot_do_is_done_elsewhere(error, monkeypatch):
    expected, notes = motions(Inference(tiny_generator(), CPU)), []
    decode = Generator.decode

    def lacking(self, encoding, control):
        if self.paint_head.to_paint.weight.dtype != torch.float32:
            raise error
        return decode(self, encoding, control)

    monkeypatch.setattr(Generator, "decode", lacking)
    inference = Inference(tiny_generator(), Placement(torch.device("cpu"), torch.bfloat16))
    assert_same(motions(inference, notes), expected, tolerance=0.05)
    assert notes == ["Not everything runs on bfloat16 on cpu: going on with fp32 on cpu."]


def test_an_operator_that_an_apple_gpu_lacks_is_run_on_the_cpu(monkeypatch):
    """A device that is there only by name: its tensors lie on the CPU."""
    expected, notes = motions(Inference(tiny_generator(), CPU)), []
    apple = Placement(torch.device("mps"), torch.float32)
    place, decode = Inference._place, Generator.decode
    monkeypatch.setattr(Inference, "_place", lambda self, to: (place(self, CPU), setattr(self, "placement", to))[0])
    monkeypatch.setattr("facemotion.models.inference._encode", lambda generator, crop, track, to: crop)

    def lacking(self, crop, control):
        if inference.placement == apple:
            raise NotImplementedError("The operator 'aten::x' is not currently implemented for the MPS device.")
        source = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 127.5 - 1
        asked = torch.tensor([[any(column) for column in zip(*TRACK, strict=True)]])
        return decode(self, self.encode(source, asked), control)

    monkeypatch.setattr(Generator, "decode", lacking)
    monkeypatch.setattr(torch, "tensor", lambda *values, device=None, make=torch.tensor, **rest: make(*values, **rest))
    inference = Inference(tiny_generator(), apple)
    assert_same(motions(inference, notes), expected)
    assert notes == ["Not everything runs on float32 on mps: going on with fp32 on cpu."]
    assert inference.placement == CPU


def test_what_even_the_cpu_cannot_do_is_an_error(monkeypatch):
    def lacking(*_):
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(Generator, "decode", lacking)
    with pytest.raises(NotImplementedError, match="no such operator"):
        motions(Inference(tiny_generator(), CPU))


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(self, encoding, control):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Generator, "decode", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        motions(Inference(tiny_generator(), CPU))


def test_devices_and_precisions_are_checked():
    assert choose_placement("cpu", "fp32").dtype == torch.float32
    assert choose_placement("cpu", "bf16").dtype == torch.bfloat16
    for device, precision in (("tpu", "auto"), ("cpu", "int4"), ("cpu", "fp16")):
        with pytest.raises(UsageError):
            choose_placement(device, precision)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="No cuda device"):
            choose_placement("cuda")
        assert choose_placement("auto").device.type in ("cpu", "mps")


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "dtype"),
    [(True, True, torch.bfloat16), (True, False, torch.bfloat16), (False, False, torch.float32)],
)
def test_a_cpu_gets_the_precision_that_is_fast_there(monkeypatch, avx512_bf16, amx, dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert choose_placement("cpu").dtype == dtype


def test_bf16_moves_the_face_as_fp32_does():
    exact, fast = (
        motions(Inference(tiny_generator(), Placement(torch.device("cpu"), dtype)))[-1][0]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert np.abs(exact.flow).max() > 0.01
    assert np.abs(exact.flow - fast.flow).max() < 0.02 * np.abs(exact.flow).max()
    assert len(np.unique(fast.flow)) > 0.9 * len(np.unique(exact.flow))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_cuda_gives_what_the_cpu_gives(precision):
    expected = motions(Inference(tiny_generator(), CPU))
    found = motions(Inference(tiny_generator(), choose_placement("cuda", precision)))
    assert_same(found, expected, tolerance={"fp32": 0.005, "fp16": 0.02, "bf16": 0.1}[precision])


@pytest.mark.gpu
def test_cuda_out_of_memory_goes_on_on_the_cpu(monkeypatch):
    expected, notes = motions(Inference(tiny_generator(), CPU)), []
    decode = Generator.decode

    def no_memory_on_cuda(self, encoding, control):
        if control.is_cuda:
            raise torch.OutOfMemoryError("out of memory")
        return decode(self, encoding, control)

    monkeypatch.setattr(Generator, "decode", no_memory_on_cuda)
    assert_same(motions(Inference(tiny_generator(), choose_placement("cuda")), notes), expected)
    assert len(notes) == 4  # 8 -> 4 -> 2 -> 1 frames at a time, then the CPU
