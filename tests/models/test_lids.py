"""Skin in the place of eyes."""

import torch

from facemotion.models.generator import lit
from facemotion.models.lids import in_skin_tone, without_eyes
from tests.models.test_anchors import face

SIZE = 96
SKIN = torch.tensor([0.5, 0.1, -0.1])[:, None, None]


def portrait() -> torch.Tensor:
    """(1, 3, SIZE, SIZE) plain skin with black eyes where `face` has them."""
    photo = SKIN.expand(3, SIZE, SIZE).clone()
    for x in (0.4, 0.6):
        photo[:, int(0.36 * SIZE) : int(0.4 * SIZE), int((x - 0.045) * SIZE) : int((x + 0.045) * SIZE)] = -1
    return photo[None]


def test_eyes_become_the_skin_around_them_and_all_else_stays():
    photo = portrait()
    skin = without_eyes(photo, face())
    torch.testing.assert_close(skin, SKIN.expand_as(skin[0])[None], atol=0.02, rtol=0)
    photo[..., 60:, :] = torch.rand(1, 3, 36, SIZE)
    assert torch.equal(without_eyes(photo, face())[..., 60:, :], photo[..., 60:, :])


def test_each_eye_has_the_skin_of_its_own_side_whatever_the_light():
    photo = portrait()
    photo[:, 2, :, SIZE // 2 :] += 0.6  # blue light from one side
    skin = without_eyes(photo, face())[0, 2, int(0.38 * SIZE)]
    assert abs(skin[int(0.4 * SIZE)] + 0.1) < 0.05 and abs(skin[int(0.6 * SIZE)] - 0.5) < 0.05


def test_dark_hair_beside_an_eye_says_less_than_skin():
    photo = portrait()
    border = int(0.34 * SIZE)  # where the eye's surroundings end above
    photo[..., border - 3 : border, :] = -0.9
    skin = without_eyes(photo, face())[0, 0, border, int(0.4 * SIZE)]
    assert without_eyes(photo, face())[0, 0, border - 2, int(0.4 * SIZE)] < -0.8, "the hair ends at the eye"
    assert skin > 0.2  # of 0.5; there half of what is near is hair, a plain mean would be -0.2


def test_photos_do_not_mix_and_nonsense_landmarks_give_numbers():
    photos = torch.cat([portrait(), -portrait()])
    points = torch.cat([face(), face() + 0.05])
    both = without_eyes(photos, points)
    for k in range(2):
        torch.testing.assert_close(both[k : k + 1], without_eyes(photos[k : k + 1], points[k : k + 1]))
    for points in (torch.full((1, 78, 2), 0.5), torch.randn(1, 78, 2), torch.full((1, 78, 2), -3.0)):
        assert torch.isfinite(without_eyes(portrait(), points)).all()


def test_light_goes_from_black_to_twice_as_bright():
    skin = torch.tensor([-0.5, 0.0, 0.5])[None, :, None, None]
    lights = [lit(skin, torch.full((1, 1, 1, 1), light)).flatten() for light in (-99.0, 0.0, 99.0)]
    torch.testing.assert_close(lights[0], torch.full((3,), -1.0))
    torch.testing.assert_close(lights[1], skin.flatten())
    torch.testing.assert_close(lights[2], torch.tensor([0.0, 1.0, 1.0]))


def luminance(levels: torch.Tensor) -> torch.Tensor:
    return (levels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(-3)


def test_lids_get_the_hue_of_the_skin_and_eyes_keep_theirs():
    skin = torch.tensor([0.8, 0.0, -0.7])[None, :, None, None].expand(1, 3, 8, 8)
    grey = torch.full((1, 3, 8, 8), 0.2)
    lid = torch.ones(1, 1, 8, 8)
    lid[..., :4] = 0
    toned = in_skin_tone(grey, skin, lid)
    torch.testing.assert_close(toned[..., :4], grey[..., :4])
    levels, below = (toned[..., 6:] + 1) / 2, (skin[..., 6:] + 1) / 2
    ratios = levels / below
    torch.testing.assert_close(ratios, ratios[:, :1].expand_as(ratios))


def test_lids_are_hardly_darker_than_skin_and_lashes_stay_dark():
    skin = torch.full((1, 3, 10, 10), 0.8)
    painted = torch.full((1, 3, 10, 10), 0.3)  # light 0.65 of the skin's 0.9
    painted[..., 9, :] = -0.9  # lashes
    toned = (in_skin_tone(painted, skin, torch.ones(1, 1, 10, 10)) + 1) / 2
    assert float(luminance(toned)[0, :8].mean()) > 0.85
    assert float(luminance(toned)[0, 9].max()) < 0.15
    assert toned.max() <= 1
