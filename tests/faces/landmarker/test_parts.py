"""Parts of the landmarker without its weights: crops, detections, the order of units, the conversion."""

import struct

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from facemotion.expressions.units import UNIT_NAMES
from facemotion.faces.landmarker import blazeface
from facemotion.faces.landmarker.blazeface import BlazeFace, Detections
from facemotion.faces.landmarker.blendshape_mixer import POINT_INDICES, BlendshapeMixer
from facemotion.faces.landmarker.convert import canonical_face, fill
from facemotion.faces.landmarker.crops import crop, roi_of_picture, roi_of_points, rois_of_detections
from facemotion.faces.landmarker.face_mesh import FaceMesh
from facemotion.faces.landmarker.head_pose import CanonicalFace, head_rotation, pose_angles
from facemotion.faces.landmarker.layers import SameConv2d
from facemotion.faces.landmarker.roi import Roi
from facemotion.faces.landmarker.units import NETWORK_NAMES, UNIT_OF_SCORE
from tests.faces.faces import rotation


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def detections(*faces):
    scores, boxes = zip(*faces, strict=True)
    keypoints = np.array([[(x0, y0)] * 6 for x0, y0, _, _ in boxes], float)
    return Detections(np.array(scores), np.array(boxes, float), keypoints)


def test_a_crop_at_full_size_is_the_photo():
    photo = noise(64, 64)
    assert (crop(photo, roi_of_picture(photo.shape), 64, repeat_edge=True) == photo).all()


def test_a_crop_interpolates_between_pixels():
    """Half the way between pixel columns lies the mean of their levels, rounded up."""
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:, 10] = 101
    half = crop(photo, Roi((32.5, 32.0), 64, 64, 0.0), 64, repeat_edge=True)
    assert half[0, 8:12, 0].tolist() == [0, 51, 51, 0]


def test_a_crop_turned_by_a_quarter():
    photo = noise(64, 64)
    turned = crop(photo, Roi((32.0, 32.0), 64, 64, np.pi / 2), 64, repeat_edge=True)
    assert (turned[1:, :] == np.rot90(photo, 1)[:-1, :]).all()


@pytest.mark.parametrize("repeat_edge", [True, False])
def test_beyond_the_photo(repeat_edge):
    photo = np.full((64, 64, 3), 200, np.uint8)
    wide = crop(photo, Roi((32.0, 32.0), 128, 128, 0.0), 64, repeat_edge=repeat_edge)
    assert wide[32, 32, 0] == 200 and wide[2, 2, 0] == (200 if repeat_edge else 0)


@pytest.mark.skipif(not cv2.__version__.startswith("4."), reason="the newer OpenCV interpolates otherwise")
@pytest.mark.parametrize(
    "roi", [Roi((71.3, 60.1), 90, 89.5, 0.3), Roi((59.5, 80.5), 161, 161, 0), Roi((5, 9), 300, 290, -2)]
)
def test_crops_are_those_of_opencv_4(roi):
    photo, size = noise(161, 119), 128
    box = cv2.boxPoints((roi.centre, (roi.width_px, roi.height_px), np.degrees(roi.angle)))
    corners = np.array([[0, size], [0, 0], [size, 0], [size, size]], np.float32)
    transform = cv2.getPerspectiveTransform(box, corners)
    expected = cv2.warpPerspective(photo, transform, (size, size), borderMode=cv2.BORDER_REPLICATE)
    assert (crop(photo, roi, size, repeat_edge=True) == expected).all()


def test_crop_to_photo_takes_the_middle_to_the_centre():
    roi = Roi((30.0, 40.0), 20.0, 10.0, 0.7)
    transform = roi.crop_to_photo
    assert transform @ [0.5, 0.5, 1] == pytest.approx([30, 40])
    across = transform @ [1, 0, 1] - transform @ [0, 0, 1]
    assert np.hypot(*across) == pytest.approx(20) and np.arctan2(*across[::-1]) == pytest.approx(0.7)


def test_the_part_around_points_leans_with_the_eyes():
    points = np.zeros((478, 2))
    points[:] = (50, 60)
    points[33], points[263] = (40, 50), (60, 70)
    roi = roi_of_points(points)
    assert roi.angle == pytest.approx(np.pi / 4) and roi.centre == (50, 60) and roi.size_px == 30


def test_the_part_around_a_detection():
    found = detections((0.9, (10, 20, 30, 50)))
    found.keypoints[0, :2] = (12, 30), (28, 30)
    assert rois_of_detections(found) == [Roi((20.0, 35.0), 30.0, 45.0, 0.0)]


def test_detections_of_one_face_become_their_weighted_mean():
    found = detections((0.6, (0, 0, 10, 10)), (0.9, (1, 0, 11, 10)), (0.7, (40, 40, 50, 50)))
    merged = blazeface.suppress(found)
    assert merged.scores.tolist() == [0.9, 0.7]
    assert merged.boxes[0] == pytest.approx([0.6, 0, 10.6, 10])
    assert merged.boxes[1].tolist() == [40, 40, 50, 50]


def test_decoding_keeps_what_is_sure_enough():
    logits, boxes = np.full(896, -200.0, np.float32), np.zeros((896, 16), np.float32)
    logits[[0, 895]] = 0.5, 3
    boxes[0, :4] = 1, 2, 10, 20
    found = blazeface.decode(logits, boxes, (128, 128), least_score=0.5)
    assert found.scores == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-0.5))])
    assert found.boxes[1].tolist() == [0, -4, 10, 16], "4 px is where the first anchor lies"
    assert found.keypoints[0, 0].tolist() == [120, 120]
    assert len(blazeface.decode(logits, boxes, (128, 128), least_score=0.99)) == 0
    assert len(blazeface.suppress(blazeface.decode(logits, boxes, (128, 128), least_score=0.99))) == 0


def test_networks_have_the_shapes_of_the_graphs():
    with torch.inference_mode():
        logits, boxes = BlazeFace()(torch.zeros(2, 3, 128, 128))
        points, presence, tongue = FaceMesh()(torch.zeros(2, 3, 256, 256))
        scores = BlendshapeMixer()(torch.rand(2, 146, 2))
    assert logits.shape == (2, 896) and boxes.shape == (2, 896, 16) and blazeface.anchors(128, 128).shape == (896, 2)
    assert points.shape == (2, 478, 3) and presence.shape == tongue.shape == (2,)
    assert scores.shape == (2, 52) and torch.isfinite(BlendshapeMixer()(torch.zeros(1, 146, 2))).all()


def test_scores_do_not_depend_on_place_and_scale():
    network, points = BlendshapeMixer(), torch.rand(1, 146, 2)
    torch.testing.assert_close(network(points), network(points * 300 + 100), atol=1e-5, rtol=1e-4)


def test_padding_is_tensorflows():
    """With an odd pixel of padding, TensorFlow's "SAME" puts it below and to the right."""
    layer = SameConv2d(1, 1, 3, stride=2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(9.0).reshape(1, 1, 3, 3))
        answer = layer(torch.ones(1, 1, 4, 4))[0, 0]
    assert answer.tolist() == [[36, 21], [15, 8]]


def test_units_are_arkits_and_every_one_but_the_tongue_has_its_score():
    assert len(UNIT_NAMES) == len(set(UNIT_NAMES)) == len(NETWORK_NAMES) == 52
    assert len(POINT_INDICES) == len(set(POINT_INDICES)) == 146
    assert [NETWORK_NAMES[i] for i in UNIT_OF_SCORE] == list(UNIT_NAMES[:-1]) and UNIT_NAMES[-1] == "tongueOut"


@pytest.mark.parametrize("angles", [(0, 0, 0), (25, 0, 0), (0, -20, 0), (0, 0, 35), (-30, 15, -60)])
def test_pose_of_a_turned_canonical_face(angles):
    canonical = np.random.default_rng(0).normal(size=(468, 3))
    face = CanonicalFace(canonical, np.zeros((0, 3), int), np.repeat([1.0, 0.0], [40, 428]))
    points = (canonical * [1, -1, -1]) @ rotation(*angles).T * 7 + [100, 200, 0]
    assert pose_angles(head_rotation(points, face)) == pytest.approx(angles, abs=1e-6)


def test_parameters_are_filled_in_the_order_of_the_graph():
    network = nn.Sequential(SameConv2d(2, 3, 3), nn.PReLU(3), SameConv2d(3, 3, 3, groups=3, bias=False))
    weight = np.arange(54, dtype=np.float16).reshape(3, 3, 3, 2)
    bias, slope = np.float16([1, 2, 3]), np.float16([[[4, 5, 6]]])
    each = np.arange(27, dtype=np.float16).reshape(1, 3, 3, 3)
    operators = [
        ("CONV_2D", [weight, bias]),
        ("PRELU", [slope]),
        ("ADD", [np.float16(1)]),
        ("DEPTHWISE_CONV_2D", [each, np.zeros(3, np.float16)]),
    ]
    state = fill(network, operators)
    assert state["0.weight"][1, 0].tolist() == weight[1, :, :, 0].tolist() and state["0.bias"].tolist() == [1, 2, 3]
    assert state["1.weight"].tolist() == [4, 5, 6]
    assert state["2.weight"][2, 0].tolist() == each[0, :, :, 2].tolist()
    with pytest.raises(ValueError, match="bias"):
        fill(network, [*operators[:3], ("DEPTHWISE_CONV_2D", [each, bias])])
    with pytest.raises(ValueError, match="shorter"):
        fill(network, operators[:3])
    with pytest.raises(ValueError, match="in the graph"):
        fill(network, [("CONV_2D", [weight[:, :2], bias]), *operators[1:]])


def test_the_canonical_face_is_read_from_its_message():
    """Two vertices of five numbers, one triangle, one weight; as protocol buffers write them."""

    def field(number: int, payload: bytes) -> bytes:
        return bytes([number << 3 | 2, len(payload)]) + payload

    vertices = struct.pack("<10f", 1, 2, 3, 0.1, 0.2, 4, 5, 6, 0.3, 0.4)
    mesh = field(3, vertices) + field(4, bytes([0, 1, 0x80 | 1, 1]))
    weight = field(2, bytes([1 << 3, 1, 2 << 3 | 5]) + struct.pack("<f", 0.5))
    face = canonical_face(field(1, mesh) + weight)
    assert face["points"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert face["triangles"].tolist() == [[0, 1, 129]] and face["weights"].tolist() == [0, 0.5]
