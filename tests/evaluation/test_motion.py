"""Every metric of motion on a constructed input with a known answer."""

import math

import numpy as np
import pytest
import torch

from facemotion.evaluation import motion
from facemotion.evaluation.regions import LEADING, POINTS, RIGID, STILL, UNITS, leading_units, still_points
from facemotion.expressions.grammar import EXPRESSIONS
from facemotion.faces.ibug68 import MIRROR, inter_ocular
from tests.evaluation.faces import face_points

IOD = 0.28 * 512


def clip(moves: dict[int, tuple[float, float]], frames: int = 3) -> torch.Tensor:
    """The drawn face; each landmark named moves by (x, y) inter-ocular distances over the clip, evenly."""
    landmarks = torch.from_numpy(face_points()).repeat(frames, 1, 1)
    for point, shift in moves.items():
        landmarks[:, point] += torch.linspace(0, 1, frames, dtype=torch.float64)[:, None] * torch.tensor(shift) * IOD
    return landmarks


def test_inter_ocular_is_the_distance_of_the_eyes_centres():
    assert float(inter_ocular(torch.from_numpy(face_points()))) == pytest.approx(IOD)


def test_landmark_distance_is_a_percentage_of_the_truths_eye_distance():
    truth = torch.from_numpy(face_points())
    moved = truth.clone()
    moved[48] += torch.tensor([0.03, 0.04]) * IOD
    assert motion.landmark_distance_percent(moved, truth, POINTS["mouth"]) == pytest.approx(5 / 20)
    assert motion.landmark_distance_percent(moved, truth, POINTS["jaw"]) == 0


@pytest.mark.parametrize(
    ("unit", "moves"),
    [
        ("brow_inner", {i: (0, -0.2) for i in (20, 21, 22, 23)}),
        ("brow_outer", {i: (0, -0.2) for i in (17, 18, 25, 26)}),
        ("brow_gap", {21: (-0.1, 0), 22: (0.1, 0)}),
        ("lids", {i: (0, 0.2) for i in (40, 41, 46, 47)}),
        ("upper_lip", {i: (0, -0.2) for i in (50, 51, 52)}),
        ("corner_up", {48: (0, -0.2), 54: (0, -0.2)}),
        ("corner_out", {48: (-0.1, 0), 54: (0.1, 0)}),
        ("corner_skew", {48: (0, -0.1), 54: (0, 0.1)}),
        ("mouth_open", {i: (0, 0.2) for i in (65, 66, 67)}),
        ("jaw", {i: (0, 0.2) for i in (7, 8, 9)}),
    ],
)
def test_each_unit_measures_its_own_motion(unit, moves):
    motions = motion.unit_motion(clip(moves))
    assert tuple(motions) == UNITS
    assert motions[unit].tolist() == pytest.approx([0, 0.1, 0.2], abs=1e-6)
    assert all(values.abs().max() < 1e-6 for name, values in motions.items() if name != unit)


def test_units_ignore_a_head_that_shifts():
    motions = motion.unit_motion(clip({i: (0.3, 0.2) for i in range(68)}))
    assert max(values.abs().max() for values in motions.values()) < 1e-6


def test_points_are_carried_by_the_backward_flow_of_a_scaling():
    points = torch.tensor([[0.3, 0.4], [0.5, 0.5], [0.7, 0.45]], dtype=torch.float64)
    side = (torch.arange(64, dtype=torch.float64) + 0.5) / 64 - 0.5
    place = torch.stack([side.expand(64, 64), side[:, None].expand(64, 64)])
    zoom = torch.tensor([1.0, 1.25], dtype=torch.float64)
    flow = (1 / zoom - 1)[:, None, None, None] * place  # frame(p) = photo(0.5 + (p - 0.5) / zoom)
    expected = 0.5 + zoom[:, None, None] * (points - 0.5)
    assert torch.allclose(motion.advected(points, flow), expected, atol=1e-6)


def test_displacement_counts_only_the_named_points():
    landmarks = clip({i: (0.03, 0.04) for i in RIGID[:4]})
    assert motion.displacement_percent(landmarks, RIGID) == pytest.approx(2.5)
    assert motion.displacement_percent(landmarks, POINTS["mouth"]) == 0


def test_symmetric_motion_has_no_symmetry_error_and_one_sided_motion_has():
    assert motion.symmetry_error_percent(clip({48: (-0.1, -0.1), 54: (0.1, -0.1)})) == pytest.approx(0, abs=1e-6)
    one_sided = motion.symmetry_error_percent(clip({48: (0, -0.1)}))
    assert one_sided == pytest.approx(100 * 0.1 * 2 / 68)  # both corners differ from their mirror images


def test_retreat_is_the_largest_fall_back_against_the_whole_way():
    assert motion.monotonicity_violation(torch.tensor([0.0, 1, 2, 4])) == 0
    assert motion.monotonicity_violation(torch.tensor([0.0, 3, 2, 4])) == pytest.approx(0.25)
    assert motion.monotonicity_violation(torch.tensor([0.0, -3, -2, -4])) == pytest.approx(0.25)
    assert motion.monotonicity_violation(torch.tensor([0.0, 5, 4])) == pytest.approx(0.25)
    assert motion.monotonicity_violation(torch.zeros(4)) == 0
    assert math.isinf(motion.monotonicity_violation(torch.tensor([0.0, 1, 0])))


def test_linearity_is_r_squared():
    control = torch.linspace(0, 1, 9)
    assert motion.linearity(control, 3 * control + 1) == pytest.approx(1)
    assert motion.linearity(control, torch.zeros(9)) == 1
    curve = control**2
    expected = np.corrcoef(control.numpy(), curve.numpy())[0, 1] ** 2
    assert motion.linearity(control, curve) == pytest.approx(expected)
    assert motion.linearity(control, (control - 0.5).abs()) == pytest.approx(0, abs=1e-6)


def test_steps_of_an_even_clip_are_even_and_a_jump_is_all_in_one():
    even = torch.linspace(0, 1, 5)[:, None, None].expand(5, 2, 3)
    assert motion.steps(even).tolist() == pytest.approx([0.25] * 4)
    assert motion.step_ratio(motion.steps(even)) == pytest.approx(1)
    jump = torch.tensor([0.0, 0, 0, 1, 1])
    assert motion.step_ratio(motion.steps(jump[:, None])) == pytest.approx(4)
    assert motion.step_ratio(torch.zeros(4)) == 1


def test_acceleration_is_zero_for_a_steady_motion_and_two_for_a_trembling_one():
    assert motion.acceleration(torch.linspace(0, 1, 6)[:, None]) == pytest.approx(0, abs=1e-6)
    assert motion.acceleration(torch.tensor([0.0, 1, 0, 1, 0])[:, None]) == pytest.approx(2)
    assert motion.acceleration(torch.zeros(4, 1)) == 0


def test_additivity_error_compares_a_mix_with_the_sum_of_its_parts():
    a, b = torch.tensor([1.0, 0, 2]), torch.tensor([0.0, 1, 1])
    assert motion.additivity_error(a + b, [a, b]) == 0
    assert motion.additivity_error(0.5 * (a + b), [a, b]) == pytest.approx(0.5)
    assert motion.additivity_error(torch.zeros(3), [torch.zeros(3)]) == 0
    assert motion.additivity_error(torch.ones(3), [torch.zeros(3)]) == 1


def test_mirror_pairs_every_landmark_with_its_opposite():
    points = face_points()
    mirrored = points[list(MIRROR)]
    mirrored[:, 0] = 512 - mirrored[:, 0]
    assert np.allclose(mirrored, points)


def test_every_expression_has_leading_units_that_are_measured():
    assert set(LEADING) == set(EXPRESSIONS)
    assert all(set(units) <= set(UNITS) for units in LEADING.values())
    assert all(set(parts) <= set(POINTS) for parts in STILL.values())


def test_a_mix_leads_with_all_its_units_and_keeps_still_what_all_of_them_keep_still():
    assert leading_units({"smile": 0.5, "blink": 0.5, "anger": 0.0}) == ("lids", "corner_up", "corner_out")
    assert leading_units({"own": 1.0}) == UNITS
    assert still_points({"contempt": 1.0}) == POINTS["brows"] + POINTS["eyes"]
    assert still_points({"contempt": 1.0, "smile": 1.0}) == POINTS["brows"]
    assert still_points({"smile": 1.0, "anger": 1.0}) == ()
