"""The discriminators: shapes, conditioning, and where the local ones look."""

import torch

from facemotion.models.discriminators import REGIONS, Discriminators, region_patch


def landmarks() -> torch.Tensor:
    """Landmarks (1, 68, 2) spread so that the mouth lies in the lower right quarter of the crop."""
    points = torch.full((1, 68, 2), 0.3)
    points[0, 17:48, 0] = torch.linspace(0.2, 0.4, 31)
    points[0, 48:68, 0] = torch.linspace(0.6, 0.8, 20)
    points[0, 48:68, 1] = 0.75
    return points


def test_every_judge_answers_and_feels_the_control():
    discriminators = Discriminators(controls=8, face_px=32)
    images = torch.rand(2, 3, 64, 64)
    views = discriminators.views(images, landmarks().expand(2, -1, -1))
    smile, blink = (discriminators(views, views, torch.eye(8)[[i, i]]) for i in (0, 7))
    assert set(smile) == {"face", "mouth", "eyes"}
    for name, output in smile.items():
        assert output.logits.shape[:2] == (2, 1)
        assert len(output.features) == 5
        assert not torch.equal(output.logits, blink[name].logits)


def test_a_region_patch_shows_the_pixels_around_its_landmarks():
    images = torch.zeros(1, 3, 100, 100)
    images[:, :, 70:80, 65:75] = 1  # around the mouth's centre (0.7, 0.75)
    mouth = region_patch(images, landmarks(), REGIONS["mouth"])
    eyes = region_patch(images, landmarks(), REGIONS["eyes"])
    assert mouth.shape == (1, 3, 64, 96)
    assert mouth[0, 0, 32, 48] == 1
    assert mouth[0, 0, 32, 2] == 0
    assert eyes.abs().max() == 0


def test_spectral_norm_bounds_the_judges():
    discriminators = Discriminators(controls=8, regions=(), face_px=32, spectral_norm=True)
    for _ in range(20):  # power iterations run in training mode
        discriminators.discriminators["face"].to_logits(torch.rand(1, 128, 1, 1))
    weight = discriminators.discriminators["face"].to_logits.weight.flatten(1)
    assert torch.linalg.matrix_norm(weight, 2) < 1.05
