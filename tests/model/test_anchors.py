"""Maps that tell the paint head where on mouth and eyes a pixel lies."""

import math

import pytest
import torch

from facemotion.model.anchors import CHANNELS, anchor_maps

SIZE = 96


def face() -> torch.Tensor:
    """(1, 68, 2) landmarks of a plain upright face in crop widths, its open mouth in the middle."""
    points = torch.full((68, 2), 0.5)
    for start, centre in ((36, 0.4), (42, 0.6)):
        around = [(-0.05, 0.0), (-0.02, -0.02), (0.02, -0.02), (0.05, 0.0), (0.02, 0.02), (-0.02, 0.02)]
        points[start : start + 6] = torch.tensor([(centre + x, 0.38 + y) for x, y in around])
    lips = [
        (-0.1, 0.0),
        (-0.05, -0.02),
        (0.0, -0.03),
        (0.05, -0.02),
        (0.1, 0.0),
        (0.05, 0.03),
        (0, 0.04),
        (-0.05, 0.03),
    ]
    points[60:68] = torch.tensor([(0.5 + x, 0.6 + y) for x, y in lips])
    points[51], points[57] = torch.tensor((0.5, 0.54)), torch.tensor((0.5, 0.67))
    return points[None]


def at(maps: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """All maps at a place in crop widths."""
    return maps[0, :, int(y * SIZE), int(x * SIZE)]


def test_maps_vanish_away_from_mouth_and_eyes():
    maps = anchor_maps(face(), SIZE)
    assert maps.shape == (1, CHANNELS, SIZE, SIZE)
    for place in ((0.05, 0.05), (0.5, 0.95), (0.9, 0.5)):
        assert at(maps, *place).abs().max() < 1e-3
    assert at(maps, 0.5, 0.6).abs().max() > 0.5 and at(maps, 0.4, 0.38).abs().max() > 0.5


def test_distances_change_sign_on_the_lips_and_lids():
    maps = anchor_maps(face(), SIZE)
    below_upper_lip, above_lower_lip = maps[0, 10], maps[0, 19]
    column = SIZE // 2
    assert below_upper_lip[int(0.56 * SIZE), column] < 0 < below_upper_lip[int(0.59 * SIZE), column]
    assert above_lower_lip[int(0.62 * SIZE), column] > 0 > above_lower_lip[int(0.66 * SIZE), column]
    below_upper_lid = maps[0, 29]
    assert below_upper_lid[int(0.345 * SIZE), int(0.4 * SIZE)] < 0 < below_upper_lid[int(0.38 * SIZE), int(0.4 * SIZE)]


def test_left_and_right_of_the_midline_differ_in_sign_alone():
    across = anchor_maps(face(), SIZE)[0, 1]
    torch.testing.assert_close(across, -across.flip(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("degrees", [-20.0, 35.0])
def test_a_turned_and_smaller_face_has_the_same_maps_elsewhere(degrees):
    angle = math.radians(degrees)
    turn = 0.7 * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    maps = anchor_maps(face(), SIZE)
    turned = anchor_maps((face() - 0.5) @ turn.T + 0.5, SIZE)
    for place in ((0.5, 0.6), (0.46, 0.62), (0.41, 0.39)):
        pixel = torch.floor(torch.tensor(place) * SIZE)
        moved = ((pixel + 0.5) / SIZE - 0.5) @ turn.T + 0.5
        grid = (2 * moved - 1).reshape(1, 1, 1, 2)
        there = torch.nn.functional.grid_sample(turned, grid, align_corners=False)[0, :, 0, 0]
        slow = [0, 1, 10, 19, 28, 29, 34]  # windows and distances; the waves are too short for this many pixels
        torch.testing.assert_close(there[slow], at(maps, *place)[slow], atol=0.05, rtol=0)


def test_degenerate_landmarks_give_numbers():
    assert torch.isfinite(anchor_maps(torch.full((2, 68, 2), 0.5), 32)).all()
