"""Teeth of the bank as they are lent."""

import numpy as np
import pytest

from facemotion.rendering.donors import SIZE, choose_donor, teeth_donors
from facemotion.rendering.light import LUMA


def test_the_same_seed_lends_the_same_teeth_and_seeds_lend_all_of_them_both_ways():
    assert choose_donor(7) is choose_donor(7)
    lent = {id(choose_donor(seed)) for seed in range(600)}
    assert lent == {id(donor) for each in teeth_donors() for donor in (each, each.mirrored)}


def test_a_mirrored_donor_has_its_curves_and_pixels_on_the_other_side():
    donor = teeth_donors()[0]
    other = donor.mirrored
    first, last = donor.span
    assert other.span == (300 - last, 300 - first)
    assert np.array_equal(other.image[:, 150 - 40], donor.image[:, 150 + 40])
    assert other.edge[150 - 40] == donor.edge[150 + 40]


@pytest.mark.parametrize("number", range(len(teeth_donors())))
def test_teeth_end_where_the_donor_shows_them_to_end(number):
    donor = teeth_donors()[number]
    rows = np.arange(SIZE[1])[:, None]
    first, last = donor.span
    middle = slice(first + 40, last - 40)
    top, _, edge = donor.lines
    teeth = donor.teeth
    assert teeth[:, middle][(rows < (edge + top) / 2)[:, middle]].min() > 0.99
    assert teeth[:, middle][(rows > edge + 7)[:, middle]].max() < 0.01
    height = teeth[:, middle].sum(0)
    assert np.ptp(height - edge[middle]) > 1.5, "they end along a straight line"


@pytest.mark.parametrize("number", range(len(teeth_donors())))
def test_lent_teeth_have_no_lip_s_shadow_and_are_not_blue(number):
    donor = teeth_donors()[number]
    first, last = donor.span
    middle = slice((3 * first + last) // 4, (first + 3 * last) // 4)
    top, _, edge = (line[middle] for line in donor.lines)
    rows = np.arange(SIZE[1])[:, None]

    def luminance(image: np.ndarray, low: float, high: float) -> float:
        depth = (rows - top) / (edge - top)
        return float(np.median((image[:, middle] @ LUMA)[(depth > low) & (depth < high)]))

    shaded = luminance(donor.image, 0.02, 0.1) / luminance(donor.image, 0.4, 0.5)
    assert luminance(donor.lent, 0.02, 0.1) / luminance(donor.lent, 0.4, 0.5) >= min(shaded + 0.02, 0.9)
    bright = donor.lent[donor.image @ LUMA > 0.9 * donor.luminance]
    assert 0.07 < np.median(np.log(bright[:, 0] / bright[:, 2])) < 0.18
    assert np.median(donor.gaps[60:100, middle]) > -0.05 > donor.gaps[60:100, middle].min()
