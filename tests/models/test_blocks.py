"""The convolution blocks."""

import pytest
import torch

from facemotion.models.blocks import part_of_upsample2, upsample2


@pytest.mark.parametrize("box", [(0, 16, 0, 12), (0, 3, 5, 6), (3, 8, 2, 11), (4, 9, 1, 12), (15, 16, 11, 12)])
def test_a_part_of_the_doubled_map_is_that_part(box):
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    top, bottom, left, right = box
    part = slice(top, bottom), slice(left, right)
    torch.testing.assert_close(part_of_upsample2(x, part), upsample2(x)[(..., *part)])
