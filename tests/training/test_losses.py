"""Each term is zero where it should be, and grows with what it is meant to punish."""

import pytest
import torch

from facemotion.models.discriminators import Discriminators
from facemotion.training import adversarial as adversary
from facemotion.training import losses
from facemotion.training.regions import region_weight
from tests.training.conftest import landmarks_at

N = 32


def pictures(seed, count=2):
    return torch.rand(count, 3, N, N, generator=torch.Generator().manual_seed(seed)) * 2 - 1


ONES = torch.ones(2, 1, N, N)
POINTS = torch.tensor(landmarks_at(4.0), dtype=torch.float32)[None].repeat(2, 1, 1) / 64


def test_perfect_frames_cost_nothing():
    target = pictures(0)
    assert losses.reconstruction(target, target, ONES) == 0
    assert losses.gradient(target, target, ONES) == 0
    assert losses.temporal(target[None], target[None], ONES[None]) == 0
    assert losses.landmark(POINTS, POINTS) == 0


def test_reconstruction_of_a_constant_error_is_that_error_on_every_level():
    target = pictures(0)
    assert losses.reconstruction(target + 0.25, target, ONES).item() == pytest.approx(0.25, rel=1e-5)
    assert losses.reconstruction(target + 0.25, target, 2 * ONES).item() == pytest.approx(0.5, rel=1e-5)


def test_gradient_ignores_a_constant_error():
    assert losses.gradient(pictures(0) + 0.3, pictures(0), ONES) < 1e-6
    assert losses.gradient(pictures(0), pictures(1), ONES) > 0.1


def test_temporal_ignores_what_both_frames_have_in_common():
    targets = torch.stack([pictures(0), pictures(1)], 1)
    weight = torch.ones(2, 2, 1, N, N)
    assert losses.temporal(targets + pictures(2)[:, None], targets, weight) < 1e-6
    flicker = targets.clone()
    flicker[:, 1] += 0.2
    assert losses.temporal(flicker, targets, weight).item() == pytest.approx(0.2, rel=1e-4)
    assert losses.temporal(targets[:, :1], targets[:, :1], weight[:, :1]) == 0


def test_landmark_counts_in_inter_ocular_distances():
    eyes = (POINTS[0, 42:48].mean(0) - POINTS[0, 36:42].mean(0)).norm()
    shifted = POINTS + torch.tensor([0.1 * eyes.item(), 0.0])
    assert losses.landmark(shifted, POINTS).item() == pytest.approx(0.05, rel=1e-4)


def test_flow_smoothness_is_strain_whatever_the_resolution():
    def stretched(n):
        x = (torch.arange(n) + 0.5) / n * 0.1
        return torch.stack([x.expand(n, n), torch.zeros(n, n)])[None]

    assert losses.flow_smoothness(torch.ones(1, 2, N, N)) == 0
    coarse, fine = losses.flow_smoothness(stretched(16)), losses.flow_smoothness(stretched(64))
    assert coarse.item() == pytest.approx(fine.item(), rel=1e-3) == pytest.approx(0.05, rel=1e-3)


def test_painting_is_free_only_where_moving_fails():
    target = torch.zeros(1, 3, N, N)
    moved = target.clone()
    moved[..., : N // 2] = 1.0
    left = torch.zeros(1, 1, N, N)
    left[..., : N // 4] = 1.0
    right = left.flip(-1)
    assert losses.mask_sparsity(left, moved, target) == 0
    assert losses.mask_sparsity(right, moved, target).item() == pytest.approx(0.25)


def test_weight_is_larger_where_the_face_changes_and_on_the_mouth():
    source, target = torch.zeros(2, 3, 64, 64), torch.zeros(2, 3, 64, 64)
    target[:, :, :16, :16] = 0.4
    regions = region_weight(POINTS, 64, mouth=3.0, eyes=2.0)
    weight = losses.pixel_weight(source, target, difference=32.0, regions=regions)
    assert weight[0, 0, 4, 4] == pytest.approx(1 + 32 * 0.4, rel=0.05)
    assert weight[0, 0, 46, 32] == pytest.approx(3.0, rel=0.05)
    assert weight[0, 0, 26, 22] == pytest.approx(2.0, rel=0.1)
    assert weight[0, 0, 60, 60] == pytest.approx(1.0, abs=0.05)


def test_each_face_may_have_a_mouth_weight_of_its_own():
    faces = POINTS[:1].repeat(2, 1, 1)
    regions = region_weight(faces, 64, mouth=torch.tensor([3.0, 0.5])[:, None, None], eyes=2.0)
    assert regions[:, 0, 46, 32].tolist() == pytest.approx([3.0, 0.5], rel=0.05)
    assert regions[:, 0, 26, 22].tolist() == pytest.approx([2.0, 2.0], rel=0.1)


@pytest.fixture
def outputs():
    torch.manual_seed(0)
    discriminators = Discriminators(controls=3, face_px=N)
    control = torch.tensor([[1.0, 0, 0], [0, 0.5, 0]])
    views = {seed: discriminators.views(pictures(seed), POINTS) for seed in (0, 1)}
    for view in views[0].values():
        view.requires_grad_()
    return views[0], discriminators(views[0], views[1], control), discriminators(views[1], views[1], control)


def test_hinge_at_chance_is_two_and_weights_count(outputs):
    _, real, fake = outputs
    for output in (*real.values(), *fake.values()):
        output.logits = torch.zeros_like(output.logits)
    assert adversary.discriminator_hinge(real, fake, torch.ones(2)).item() == pytest.approx(2.0)
    assert adversary.discriminator_hinge(real, fake, torch.tensor([1.5, 1.0])).item() == pytest.approx(2.5)
    for name in real:
        real[name].logits = real[name].logits + 5
        fake[name].logits = fake[name].logits - 5
    assert adversary.discriminator_hinge(real, fake, torch.ones(2)) == 0
    assert adversary.generator_hinge(fake).item() == pytest.approx(5.0)
    assert adversary.accuracy(real, fake) == {"face": 1.0, "mouth": 1.0, "eyes": 1.0}


def test_feature_matching_is_zero_for_equal_features(outputs):
    _, real, fake = outputs
    assert adversary.feature_matching(real, real) == 0
    assert adversary.feature_matching(real, fake) > 0


def test_r1_is_the_squared_gradient_and_can_be_learned_from(outputs):
    views, real, _ = outputs
    penalty = adversary.r1_penalty(real, views)
    expected = 0.0
    for name, output in real.items():
        total = output.logits.mean((1, 2, 3)).sum()
        (gradient,) = torch.autograd.grad(total, views[name], retain_graph=True)
        expected += gradient.square().sum((1, 2, 3)).mean().item() / 2 / len(real)
    assert penalty.item() == pytest.approx(expected, rel=1e-4)
    penalty.backward()


def test_landmark_of_two_halves_is_their_mean_whatever_is_unknown_in_one():
    target = POINTS.clone()
    target[1, 50:] = torch.nan
    predicted = POINTS + torch.tensor([[[0.02]], [[0.07]]])
    halves = [losses.landmark(predicted[k : k + 1], target[k : k + 1]) for k in (0, 1)]
    assert halves[1] > 2 * halves[0] > 0
    assert losses.landmark(predicted, target).item() == pytest.approx(float(sum(halves) / 2), rel=1e-5)
