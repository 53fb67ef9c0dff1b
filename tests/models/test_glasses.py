"""Glasses keep still."""

import torch

from facemotion.models.generator import resize, tiny_generator
from facemotion.models.glasses import Glasses, rims
from tests.models.test_anchors import face

SIZE = 96


def test_rims_lie_around_the_eyes_and_nowhere_else():
    where = rims(face(), SIZE)[0, 0]  # eyes at 0.4 and 0.6, 0.38; corners 0.3 apart

    def at(x: float, y: float) -> float:
        return where[int(y * SIZE), int(x * SIZE)].item()

    for x in (0.4, 0.6):
        assert at(x, 0.38) < 0.01  # lids move behind the lens
        assert at(x, 0.325) > 0.9 and at(x, 0.44) > 0.9  # its rims do not
    assert at(0.5, 0.38) > 0.9  # nor does the bridge
    for x, y in ((0.5, 0.6), (0.4, 0.2), (0.5, 0.8), (0.15, 0.38), (0.85, 0.38)):
        assert at(x, y) < 0.01
    steps = max(where.diff(dim=0).abs().max(), where.diff(dim=1).abs().max())
    assert steps < 0.65  # at 32 pixels an inter-ocular distance


def test_nothing_moves_where_glasses_are_seen_and_all_as_before_elsewhere():
    generator = tiny_generator()
    seen = resize(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1, (32, 32))
    smile = torch.eye(9)[:1]
    with torch.inference_mode():
        bare = generator.decode(generator.encode(seen), smile)
        generator.glasses.bias.fill_(1.0)
        encoding = generator.encode(seen)
        worn = generator.decode(encoding, smile)
    still, free = encoding.rigid[0, 0] > 0.999, encoding.rigid[0, 0] == 0
    assert still.any() and free.any() and bare.flow.abs().amax() > 0
    assert worn.flow[0][:, still].abs().max() < 2e-3 * bare.flow.abs().max()
    assert torch.equal(worn.flow[0][:, free], bare.flow[0][:, free])


def test_a_score_in_doubt_counts_in_part():
    head = Glasses(8)
    features = torch.randn(3, 8, 12, 12)
    assert head(features).max() == 0  # not fitted: no glasses
    for bias, part in ((0.25, 0.0), (0.375, 0.5), (0.5, 1.0), (2.0, 1.0)):
        head.bias.fill_(bias)
        torch.testing.assert_close(head(features), torch.full((3,), part))
