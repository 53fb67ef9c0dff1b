"""Maps that tell the paint head where on mouth and eyes a pixel lies."""

import math

import numpy as np
import pytest
import torch

from facemotion.models.anchors import TEETH_AT, Anchors, on_the_lip
from facemotion.synthetic import mouths

SIZE = 96


def face() -> torch.Tensor:
    """(1, 78, 2) points of a plain upright face in crop widths, its open mouth in the middle."""
    points = torch.full((78, 2), 0.5)
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
    for start, y in ((68, 0.6), (73, 0.62)):
        points[start : start + 5] = torch.tensor([(0.5 + 0.3 * x, y) for x in TEETH_AT])
    return points[None]


@pytest.fixture(scope="module")
def anchors() -> Anchors:
    torch.manual_seed(0)
    return Anchors(2).requires_grad_(False)


def maps_of(anchors: Anchors, points: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    """All maps, on the whole crop or far around mouth and eyes."""
    maps = points.new_zeros(len(points), anchors.channels, size, size)
    for region in anchors.regions(points, size, margin=size // 6):
        rows, columns = region.seen
        maps[:, region.channels, rows, columns] += region.maps
    return maps


def windows_of(anchors: Anchors, points: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    """Where the whole crop may be painted, at the paint's resolution."""
    windows = points.new_zeros(len(points), 1, 2 * size, 2 * size)
    for region in anchors.regions(points, size, margin=0):
        rows, columns = (slice(2 * side.start, 2 * side.stop) for side in region.box)
        windows[..., rows, columns] += region.window
    return windows


def at(maps: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """All maps at a place in crop widths."""
    return maps[0, :, int(y * SIZE), int(x * SIZE)]


def test_maps_vanish_away_from_mouth_and_eyes(anchors):
    maps = maps_of(anchors, face(), SIZE)
    assert maps.shape == (1, anchors.channels, SIZE, SIZE)
    for place in ((0.05, 0.05), (0.5, 0.95), (0.9, 0.5)):
        assert at(maps, *place).abs().max() < 1e-3
    assert at(maps, 0.5, 0.6).abs().max() > 0.5 and at(maps, 0.4, 0.38).abs().max() > 0.5


def test_distances_change_sign_on_the_lips_and_lids(anchors):
    maps = maps_of(anchors, face(), SIZE)
    below_upper_lip, above_lower_lip = maps[0, 10], maps[0, 19]
    column = SIZE // 2
    assert below_upper_lip[int(0.56 * SIZE), column] < 0 < below_upper_lip[int(0.59 * SIZE), column]
    assert above_lower_lip[int(0.62 * SIZE), column] > 0 > above_lower_lip[int(0.66 * SIZE), column]
    below_upper_lid = maps[0, 29]
    assert below_upper_lid[int(0.345 * SIZE), int(0.4 * SIZE)] < 0 < below_upper_lid[int(0.38 * SIZE), int(0.4 * SIZE)]


def test_left_and_right_of_the_midline_differ_in_sign_alone(anchors):
    across = maps_of(anchors, face(), SIZE)[0, 1]
    torch.testing.assert_close(across, -across.flip(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("degrees", [-20.0, 35.0])
def test_a_turned_and_smaller_face_has_the_same_maps_elsewhere(anchors, degrees):
    angle = math.radians(degrees)
    turn = 0.7 * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    maps = maps_of(anchors, face(), SIZE)
    turned = maps_of(anchors, (face() - 0.5) @ turn.T + 0.5, SIZE)
    for place in ((0.5, 0.6), (0.46, 0.62), (0.41, 0.39)):
        pixel = torch.floor(torch.tensor(place) * SIZE)
        moved = ((pixel + 0.5) / SIZE - 0.5) @ turn.T + 0.5
        grid = (2 * moved - 1).reshape(1, 1, 1, 2)
        there = torch.nn.functional.grid_sample(turned, grid, align_corners=False)[0, :, 0, 0]
        slow = [0, 1, 10, 19, 28, 29, 36]  # windows and distances; the waves are too short for this many pixels
        torch.testing.assert_close(there[slow], at(maps, *place)[slow], atol=0.05, rtol=0)


def test_the_clips_mark_teeth_where_the_network_expects_them():
    assert mouths.TEETH_AT == TEETH_AT


def test_degenerate_landmarks_give_numbers(anchors):
    assert torch.isfinite(maps_of(anchors, torch.full((2, 78, 2), 0.5), 32)).all()


def test_teeth_move_with_their_points_alone(anchors):
    points = face()
    maps = maps_of(anchors, points, SIZE)
    points[:, 68:73] += 1 / SIZE  # one pixel to the right and down
    moved = maps_of(anchors, points, SIZE)
    upper = slice(43, 43 + 16)
    assert torch.equal(moved[:, :43], maps[:, :43]) and torch.equal(moved[:, 43 + 16 :], maps[:, 43 + 16 :])
    middle = (0, upper, slice(int(0.55 * SIZE), int(0.62 * SIZE)), slice(int(0.45 * SIZE), int(0.55 * SIZE)))
    shifted = torch.roll(maps, (1, 1), (2, 3))
    there, before = (m[middle] for m in (moved, shifted))
    torch.testing.assert_close(there, before, atol=0.06, rtol=0)  # the window stays with the lips
    assert (moved - maps)[middle].abs().max() > 0.12


def test_a_crop_of_the_points_gives_the_crop_of_the_maps(anchors):
    maps, corner, side = maps_of(anchors, face(), SIZE), 24, 64
    part = maps_of(anchors, (face() * SIZE - corner) / side, side)
    inner = slice(corner, corner + side)
    torch.testing.assert_close(part, maps[..., inner, inner], atol=2e-3, rtol=0)


@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_teeth_that_nearly_reach_the_lower_lip_reach_it(degrees):
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def seen(points: torch.Tensor) -> torch.Tensor:
        """What becomes of the points, seen upright again."""
        turned = (points - 0.5) @ turn.T + 0.5
        return (on_the_lip(turned) - 0.5) @ turn + 0.5

    points = face()
    near, far, hidden = points.clone(), points.clone(), points.clone()
    near[:, 68:73, 1], far[:, 68:73, 1], hidden[:, 68:73, 1] = 0.615, 0.58, 0.66  # lips at 0.57 and 0.64
    reached = seen(near)
    assert reached[0, 70, 1] == pytest.approx(0.57 + 0.97 * 0.07, abs=1e-3)
    torch.testing.assert_close(reached[:, 68:73, 0], near[:, 68:73, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(reached[:, :68], near[:, :68], atol=1e-4, rtol=0)
    for other in (far, hidden):
        torch.testing.assert_close(seen(other), other, atol=1e-4, rtol=0)


def test_teeth_are_foreseen_by_the_rule_by_which_they_are_rendered():
    size, top, bottom = 768, 296, 496
    inside = np.zeros((size, size), bool)
    inside[top : bottom + 1] = True
    points = face()
    points[:, 60:68, 1] = top / size
    points[:, 65:68, 1] = bottom / size
    for edge in (304, 384, 440, 484, 560):  # out of reach, nearly, near, on and behind the lower lip
        row = np.array([0.0, 0.0, edge])
        opening = mouths.Opening(inside, np.zeros((2, 2)), size / 2, row, row, 0.3 * size)
        points[:, 68:73, 1] = edge / size
        assert on_the_lip(points)[0, 70, 1] == pytest.approx(opening.teeth()[2, 1] / size, abs=0.005)


@pytest.mark.parametrize("degrees", [0.0, 20.0, -40.0])
def test_a_turned_mouth_may_be_painted_as_widely(anchors, degrees):
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    upright, turned = (
        anchors.regions(points, 2 * SIZE, margin=0)[0].window.sum()
        for points in (face(), (face() - 0.5) @ turn.T + 0.5)
    )
    assert abs(turned / upright - 1) < 0.02


def test_paint_ends_on_the_lips(anchors):
    windows = windows_of(anchors, face())[0, 0]

    def at(x: float, y: float) -> float:
        return windows[int(2 * SIZE * y), int(2 * SIZE * x)].item()

    for between in ((0.5, 0.6), (0.5, 0.575), (0.5, 0.635), (0.42, 0.602), (0.58, 0.602)):
        assert at(*between) == 1
    for beyond in ((0.5, 0.555), (0.5, 0.655), (0.38, 0.6), (0.62, 0.6), (0.42, 0.58), (0.42, 0.63)):
        assert at(*beyond) == 0


def test_lips_that_are_foreseen_ajar_show_nothing_of_the_mouth(anchors):
    def painted(gap: float) -> float:
        """The most that may be painted of the mouth with lips this far apart, in inter-ocular distances."""
        points = face()
        points[:, 60:65, 1] = 0.6
        points[:, 65:68, 1] = 0.6 + 0.3 * gap
        return anchors.regions(points, SIZE, margin=0)[0].window.max().item()

    assert painted(0.0) == painted(0.02) == 0
    assert painted(0.035) == pytest.approx(0.5, abs=0.01)
    assert painted(0.06) == painted(0.2) == 1
