"""Compiled kernels: z-buffer rasteriser with interpolated attributes, and vertex normals."""

from __future__ import annotations

import numba
import numpy as np

NOTHING = -1


@numba.njit(cache=True, fastmath=True)
def _rasterise(points, depth, triangles, parts, attributes, part_map, depth_map, attribute_map):
    height, width = depth_map.shape
    channels = attributes.shape[1]
    for k in range(triangles.shape[0]):
        a, b, c = triangles[k, 0], triangles[k, 1], triangles[k, 2]
        x0, y0, x1, y1, x2, y2 = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area >= -1e-6:
            continue  # turned away
        top, bottom = max(0, int(np.ceil(min(y0, y1, y2)))), min(height - 1, int(np.floor(max(y0, y1, y2))))
        left, right = max(0, int(np.ceil(min(x0, x1, x2)))), min(width - 1, int(np.floor(max(x0, x1, x2))))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
                w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
                w0 = 1 - w1 - w2
                if w0 >= -1e-6 and w1 >= -1e-6 and w2 >= -1e-6:
                    z = w0 * depth[a] + w1 * depth[b] + w2 * depth[c]
                    if z > depth_map[y, x]:
                        depth_map[y, x] = z
                        part_map[y, x] = parts[k]
                        for j in range(channels):
                            attribute_map[y, x, j] = (
                                w0 * attributes[a, j] + w1 * attributes[b, j] + w2 * attributes[c, j]
                            )


def rasterise(points, depth, triangles, parts, attributes, *, size_px: int):
    """Draw triangles, nearest first; those turned away are left out.

    ``points`` (V, 2) px, y down; ``depth`` (V,), larger is nearer; ``triangles`` (F, 3); ``parts`` (F,) int8;
    ``attributes`` (V, K). Returns the part of every pixel, int8 (N, N), ``NOTHING`` where none, and the
    interpolated attributes, float32 (N, N, K).
    """
    part_map = np.full((size_px, size_px), NOTHING, np.int8)
    depth_map = np.full((size_px, size_px), -1e9, np.float32)
    attribute_map = np.zeros((size_px, size_px, attributes.shape[1]), np.float32)
    _rasterise(
        np.ascontiguousarray(points, np.float32),
        np.ascontiguousarray(depth, np.float32),
        triangles,
        parts,
        np.ascontiguousarray(attributes, np.float32),
        part_map,
        depth_map,
        attribute_map,
    )
    return part_map, attribute_map


@numba.njit(cache=True, fastmath=True)
def vertex_normals(vertices, triangles):
    """Unit normals (V, 3) of a mesh, each the area-weighted mean of the triangles around."""
    normals = np.zeros_like(vertices)
    for k in range(triangles.shape[0]):
        a, b, c = triangles[k, 0], triangles[k, 1], triangles[k, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for j in (a, b, c):
            normals[j, 0] += nx
            normals[j, 1] += ny
            normals[j, 2] += nz
    for i in range(vertices.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-9
        for j in range(3):
            normals[i, j] /= length
    return normals
