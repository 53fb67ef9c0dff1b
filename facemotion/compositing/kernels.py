"""Compiled loops over the pixels of a photo: what OpenCV and NumPy would do in many passes over memory, done in one."""

from __future__ import annotations

import numpy as np

from facemotion.head.compiled import compiled
from facemotion.rendering.kernels import in_light


@compiled()
def faded(flow, log_gain, free, map_to_photo):
    """Flow (n, n, 2) in photo px and log-gain (n, n), (n, n, 3), by how free (n, n) each place is to change; float32.

    map_to_photo: (2, 2) or the beginning of a larger one, from what flow is measured in.
    """
    height, width = free.shape
    maps = np.empty((height, width, 3), np.float32)
    for i in range(height):
        for j in range(width):
            share, x, y = free[i, j], flow[i, j, 0], flow[i, j, 1]
            maps[i, j, 0] = share * (map_to_photo[0, 0] * x + map_to_photo[0, 1] * y)
            maps[i, j, 1] = share * (map_to_photo[1, 0] * x + map_to_photo[1, 1] * y)
            maps[i, j, 2] = share * log_gain[i, j]
    return maps


@compiled()
def changes(x, y, gain, still):
    """Whether a displacement and a log-gain change a pixel; still: the greatest of both that do not."""
    return max(abs(x), abs(y)) > still[0] or abs(gain) > still[1]


@compiled()
def extent(seen, still):
    """Of displacement and log-gain (h, w, 3) float32: least and greatest displacement across and down, and the rows and
    columns, ends excluded, of all pixels that change."""
    height, width = seen.shape[:2]
    low_x, high_x, low_y, high_y = seen[0, 0, 0], seen[0, 0, 0], seen[0, 0, 1], seen[0, 0, 1]
    top, bottom, left, right = height, 0, width, 0
    for i in range(height):
        first, last = width, -1
        for j in range(width):
            x, y = seen[i, j, 0], seen[i, j, 1]
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
            if changes(x, y, seen[i, j, 2], still):
                first = min(first, j)
                last = j
        if last >= 0:
            top, bottom = min(top, i), i + 1
            left, right = min(left, first), max(right, last + 1)
    return low_x, high_x, low_y, high_y, top, bottom, left, right


@compiled()
def aim(seen, top, left, column, row, at):
    """Displacement, from (top, left) on, as places ``at`` (h, w, 2) in a picture whose (column, row) is px (0, 0)."""
    height, width = at.shape[:2]
    for i in range(height):
        for j in range(width):
            at[i, j, 0] = seen[top + i, left + j, 0] + np.float32(column + j)
            at[i, j, 1] = seen[top + i, left + j, 1] + np.float32(row + i)


@compiled()
def write_relit(moved, seen, top, left, still, gamma, richer, luma, frame, x0, y0):
    """Moved pixels (h, w, 3) uint8 into a frame at (x0, y0), their luminance changed by log-gain in linear light.

    Displacement and log-gain are ``seen`` (., ., 3) from (top, left) on; what does not change is left as it is. Colours
    go as in `rendering.light.relit`.
    """
    height, width = moved.shape[:2]
    one, most = np.float32(1), np.float32(255)
    for i in range(height):
        for j in range(width):
            gain = seen[top + i, left + j, 2]
            if not changes(seen[top + i, left + j, 0], seen[top + i, left + j, 1], gain, still):
                continue
            # exp(x) as the 16th power of the first terms for x / 16: right to a hundredth of a level
            x = gain / (gamma * np.float32(16))
            factor = one + x * (one + x * np.float32(1 / 2) * (one + x * np.float32(1 / 3)))
            factor *= factor
            factor *= factor
            factor *= factor
            factor *= factor
            richness = min(max(one - richer * gain, np.float32(0)), one + one)
            red, green, blue = np.float32(moved[i, j, 0]), np.float32(moved[i, j, 1]), np.float32(moved[i, j, 2])
            red, green, blue = in_light(red, green, blue, factor, richness, luma, most)
            frame[y0 + i, x0 + j, 0] = np.uint8(np.rint(red))
            frame[y0 + i, x0 + j, 1] = np.uint8(np.rint(green))
            frame[y0 + i, x0 + j, 2] = np.uint8(np.rint(blue))


@compiled()
def measured(levels):
    """Residual colour (h, w, 3), and its strength, as (h, w, 4) float32; nothing at its edges."""
    height, width = levels.shape[:2]
    content = np.zeros((height, width, 4), np.float32)
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            for k in range(3):
                content[i, j, k] = levels[i, j, k]
                content[i, j, 3] = max(content[i, j, 3], abs(levels[i, j, k]))
    return content


@compiled()
def add_levels(content, least, frame, x0, y0):
    """Residual colour and its strength (h, w, 4), where that is above ``least``, to a frame at (x0, y0)."""
    height, width = content.shape[:2]
    zero, most = np.float32(0), np.float32(255)
    for i in range(height):
        for j in range(width):
            if not content[i, j, 3] > least:
                continue
            for k in range(3):
                level = np.float32(frame[y0 + i, x0 + j, k]) + content[i, j, k]
                frame[y0 + i, x0 + j, k] = np.uint8(np.rint(min(max(level, zero), most)))


@compiled()
def write_over(content, fresh, grain, frame, x0, y0):
    """Premultiplied colours (h, w, 4) over a frame at (x0, y0); ``fresh`` (h, w) of the photo's grain, a tile (n, n)
    that begins at the photo's corner, on top."""
    height, width = fresh.shape
    side = grain.shape[0]
    zero, most = np.float32(0), np.float32(255)
    for i in range(height):
        for j in range(width):
            share = content[i, j, 3]
            if not share > np.float32(1e-3):
                continue
            noise = grain[(y0 + i) % side, (x0 + j) % side] * fresh[i, j]
            for k in range(3):
                before = np.float32(frame[y0 + i, x0 + j, k])
                level = before + (content[i, j, k] - share * before) + noise
                frame[y0 + i, x0 + j, k] = np.uint8(np.rint(min(max(level, zero), most)))
