"""Compiled kernels: a z-buffer that says where each pixel of a mesh comes from, and vertex normals."""

from __future__ import annotations

import numpy as np

from facemotion.head.compiled import compiled


@compiled(fastmath=True)
def _rasterise(points, triangles, attributes, depth_map, attribute_map):
    height, width = depth_map.shape
    channels = attributes.shape[1]
    for k in range(triangles.shape[0]):
        a, b, c = triangles[k, 0], triangles[k, 1], triangles[k, 2]
        x0, y0, x1, y1, x2, y2 = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area >= -1e-9:
            continue  # turned away
        top, bottom = max(0, int(np.ceil(min(y0, y1, y2)))), min(height - 1, int(np.floor(max(y0, y1, y2))))
        left, right = max(0, int(np.ceil(min(x0, x1, x2)))), min(width - 1, int(np.floor(max(x0, x1, x2))))
        if right < left or bottom < top:
            continue
        inverse = 1 / area
        across1, across2 = (y2 - y0) * inverse, (y0 - y1) * inverse
        down1, down2 = (x0 - x2) * inverse, (x1 - x0) * inverse
        row1 = (left - x0) * across1 + (top - y0) * down1
        row2 = (left - x0) * across2 + (top - y0) * down2
        z0, z1, z2 = points[a, 2], points[b, 2] - points[a, 2], points[c, 2] - points[a, 2]
        for y in range(top, bottom + 1):
            w1, w2 = row1, row2  # weights of the second and third corner
            for x in range(left, right + 1):
                if w1 >= -1e-6 and w2 >= -1e-6 and w1 + w2 <= 1 + 1e-6:
                    z = z0 + w1 * z1 + w2 * z2
                    if z > depth_map[y, x]:
                        depth_map[y, x] = z
                        for j in range(channels):
                            first = attributes[a, j]
                            attribute_map[y, x, j] = (
                                first + w1 * (attributes[b, j] - first) + w2 * (attributes[c, j] - first)
                            )
                w1 += across1
                w2 += across2
            row1 += down1
            row2 += down2


HIDDEN = np.float32(-1e9)
"""Depth where no triangle is seen."""


def rasterise(
    points: np.ndarray, triangles: np.ndarray, attributes: np.ndarray, *, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw triangles, nearest first; those turned away are left out.

    points: (V, 3) float32, x and y px (y down), z larger is nearer. triangles: (F, 3) int32, counter-clockwise seen
    from outside with y up. attributes: (V, K) float32. size: (height, width) px. Returns the depth (h, w)
    float32, `HIDDEN` where nothing is, and the interpolated attributes (h, w, K) float32, 0 where nothing is.
    """
    depth_map = np.full(size, HIDDEN, np.float32)
    attribute_map = np.zeros((*size, attributes.shape[1]), np.float32)
    _rasterise(points, triangles, attributes, depth_map, attribute_map)
    return depth_map, attribute_map


@compiled(fastmath=True)
def vertex_normals(points, triangles):
    """(V, 3) float32 unit normals of points (V, 3) as `rasterise` takes them, x right, y up, z towards the camera."""
    normals = np.zeros_like(points)
    for k in range(triangles.shape[0]):
        a, b, c = triangles[k, 0], triangles[k, 1], triangles[k, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[a, 1] - points[b, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[a, 1] - points[c, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for j in (a, b, c):
            normals[j, 0] += nx
            normals[j, 1] += ny
            normals[j, 2] += nz
    for i in range(points.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-9
        for j in range(3):
            normals[i, j] /= length
    return normals
