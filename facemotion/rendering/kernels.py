"""Compiled loops over the pixels of a crop: what NumPy would do in several passes over memory, done in one."""

from __future__ import annotations

import numpy as np

from facemotion.head.compiled import compiled


@compiled()
def blend(image, opacity, fresh, colour, share, shown, fresh_share):
    """Blend a colour (h, w, 3) by a share (h, w) into a canvas, and show it; all float32."""
    height, width = share.shape
    for i in range(height):
        for j in range(width):
            part = share[i, j]
            for k in range(3):
                image[i, j, k] += part * (colour[i, j, k] - image[i, j, k])
            opacity[i, j] = max(opacity[i, j], min(max(shown[i, j], np.float32(0)), np.float32(1)))
            fresh[i, j] += part * (fresh_share - fresh[i, j])


@compiled()
def premultiplied(colour, opacity):
    """Colour (h, w, 3) times opacity (h, w), and opacity, as (h, w, 4); all float32."""
    height, width = opacity.shape
    content = np.empty((height, width, 4), np.float32)
    for i in range(height):
        for j in range(width):
            for k in range(3):
                content[i, j, k] = colour[i, j, k] * opacity[i, j]
            content[i, j, 3] = opacity[i, j]
    return content


@compiled()
def lay_over(content, picture, x0, y0):
    """Premultiplied colours (h, w, 4) over a picture (., ., 4) of such, at (x0, y0) px; all float32."""
    height, width = content.shape[:2]
    for i in range(height):
        for j in range(width):
            rest = np.float32(1) - content[i, j, 3]
            for k in range(4):
                picture[y0 + i, x0 + j, k] = content[i, j, k] + rest * picture[y0 + i, x0 + j, k]


@compiled()
def in_light(red, green, blue, factor, richness, luma, most):
    """A colour, 0 to ``most``, times a factor, with its chroma times ``richness``, towards white beyond the range."""
    grey = luma[0] * red + luma[1] * green + luma[2] * blue
    chroma = factor * richness
    red, green, blue = red - grey, green - grey, blue - grey
    grey *= factor
    top = grey + chroma * max(red, green, blue)
    if top > most:
        chroma *= min(max((most - grey) / max(top - grey, np.float32(1e-3) * most), np.float32(0)), np.float32(1))
    red, green, blue = grey + chroma * red, grey + chroma * green, grey + chroma * blue
    zero = np.float32(0)
    return min(max(red, zero), most), min(max(green, zero), most), min(max(blue, zero), most)


@compiled()
def relight(image, log_gain, gamma, richer, luma, result):
    """`light.relit`, from image (h, w, 3) into result; all float32."""
    height, width = log_gain.shape
    one = np.float32(1)
    for i in range(height):
        for j in range(width):
            factor = np.exp(log_gain[i, j] / gamma)
            richness = min(max(one - richer * log_gain[i, j], np.float32(0)), one + one)
            red, green, blue = in_light(image[i, j, 0], image[i, j, 1], image[i, j, 2], factor, richness, luma, one)
            result[i, j, 0], result[i, j, 1], result[i, j, 2] = red, green, blue


@compiled()
def place_uncovered(at, cover, flow, x0, y0, scale):
    """Where a mesh covers less than half of a pixel at (x0 + j, y0 + i), its place ``at`` (h, w, 2) by the flow."""
    height, width = cover.shape
    half = np.float32(0.5)
    for i in range(height):
        for j in range(width):
            if not cover[i, j] > half:
                at[i, j, 0] = np.float32(x0 + j) + flow[i, j, 0] * scale
                at[i, j, 1] = np.float32(y0 + i) + flow[i, j, 1] * scale


@compiled()
def averaged_view(depth, places, hidden, cover, at):
    """What a mesh drawn at twice the resolution covers of each pixel, and where from; see `boxes.mesh_view`."""
    height, width = cover.shape
    quarter, least = np.float32(0.25), np.float32(1e-6)
    for i in range(height):
        for j in range(width):
            count, x, y = np.float32(0), np.float32(0), np.float32(0)
            for di in range(2):
                for dj in range(2):
                    if depth[2 * i + di, 2 * j + dj] > hidden:
                        count += np.float32(1)
                        x += places[2 * i + di, 2 * j + dj, 0]
                        y += places[2 * i + di, 2 * j + dj, 1]
            share = count * quarter
            cover[i, j] = share
            at[i, j, 0] = x * quarter / max(share, least)
            at[i, j, 1] = y * quarter / max(share, least)


@compiled()
def displacement(depth, values, hidden):
    """Where the mesh was drawn, as flow (n, n, 2) px from values (n, n, >= 2) that hold places; zero elsewhere."""
    height, width = depth.shape
    flow = np.zeros((height, width, 2), np.float32)
    for i in range(height):
        for j in range(width):
            if depth[i, j] > hidden:
                flow[i, j, 0] = values[i, j, 0] - np.float32(j)
                flow[i, j, 1] = values[i, j, 1] - np.float32(i)
    return flow


@compiled()
def either(known, flow, filled):
    """Flow (n, n, 2) float32 where it is ``known`` (n, n) bool, elsewhere as ``filled``."""
    result = np.empty(flow.shape, np.float32)
    height, width = known.shape
    for i in range(height):
        for j in range(width):
            for k in range(2):
                result[i, j, k] = flow[i, j, k] if known[i, j] else filled[i, j, k]
    return result


@compiled()
def tears(flow, calm):
    """(n, n) float32 in [0, 1]: by how much flow (n, n, 2) changes more than ``calm`` to the pixel right or below."""
    height, width = flow.shape[:2]
    torn = np.zeros((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            step = np.float32(0)
            for k in range(2):
                if i + 1 < height:
                    step = max(step, abs(flow[i + 1, j, k] - flow[i, j, k]))
                if j + 1 < width:
                    step = max(step, abs(flow[i, j + 1, k] - flow[i, j, k]))
            torn[i, j] = min(max((step - calm) / calm, np.float32(0)), np.float32(1))
    return torn


@compiled()
def between(first, second, share):
    """From one flow (n, n, 2) to another by a share (n, n) in [0, 1]; all float32."""
    result = np.empty(first.shape, np.float32)
    height, width = share.shape
    for i in range(height):
        for j in range(width):
            for k in range(2):
                result[i, j, k] = first[i, j, k] + share[i, j] * (second[i, j, k] - first[i, j, k])
    return result
