"""Labelled grids of pictures."""

import numpy as np

from facemotion.media.grid import labelled_grid


def cell(level: int, *, height: int = 20, width: int = 30, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), level, np.uint8)


def test_cells_lie_in_rows_and_columns():
    grid = labelled_grid([[("a", cell(10)), ("b", cell(20))], [("c", cell(30))]], gap_px=4, font_px=10)
    assert grid.shape == (2 * (20 + 14 + 4) + 4, 2 * (30 + 4) + 4, 3)
    assert (grid[4:24, 4:34] == 10).all() and (grid[4:24, 38:68] == 20).all() and (grid[42:62, 4:34] == 30).all()
    assert (grid[42:62, 38:68] == 255).all()


def test_labels_and_titles_are_written_and_cut_to_their_room():
    short = labelled_grid([[("x", cell(0))]], titles=["t"], gap_px=4, font_px=10)
    long = labelled_grid([[("x" * 99, cell(0))]], titles=["t" * 99], gap_px=4, font_px=10)
    assert short.shape == long.shape
    for grid in (short, long):
        assert (grid[4:18] < 255).any() and (grid[38:] < 255).any()
        assert (grid[:, :4] == 255).all() and (grid[:, -4:] == 255).all()


def test_transparent_cells_lie_on_white():
    transparent = cell(0, channels=4)
    assert (labelled_grid([[("", transparent)]], gap_px=4)[4:24, 4:34] == 255).all()
