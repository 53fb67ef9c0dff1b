"""Landmarks of faces for tests, made from the mean face of the pose module: no photograph is needed."""

import numpy as np

from facemotion.faces.pose import _MEAN_FACE, _RIGID


def frontal_landmarks(*, centre=(150.0, 160.0), eye_distance_px=60.0, turn_deg=(0.0, 0.0, 0.0)) -> np.ndarray:
    """(68, 2) float32: a neutral face; jaw and mouth are plausible, the rest is the mean face."""
    points = np.zeros((68, 3))
    points[list(_RIGID)] = _MEAN_FACE
    along = np.linspace(0, np.pi, 17)
    points[:17] = np.column_stack([-1.1 * np.cos(along), -0.5 + 1.7 * np.sin(along), 0.8 - 0.8 * np.sin(along)])
    around = np.linspace(np.pi, 3 * np.pi, 12, endpoint=False)
    points[48:60] = np.column_stack([0.38 * np.cos(around), 0.51 + 0.14 * np.sin(around), np.full(12, -0.25)])
    around = np.linspace(np.pi, 3 * np.pi, 8, endpoint=False)
    points[60:68] = np.column_stack([0.34 * np.cos(around), 0.51 + 0.01 * np.sin(around), np.full(8, -0.25)])
    points[[48, 54]] = _MEAN_FACE[-2:]
    return (points @ rotation(*turn_deg).T)[:, :2].astype(np.float32) * eye_distance_px + np.float32(centre)


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """Rotation of the head in the image's axes (x right, y down, z away), with the signs of `head_pose`."""
    y, p, r = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
