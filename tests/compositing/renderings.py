"""Renderings made up of flat maps, and photos to lay them on."""

import cv2
import numpy as np

from facemotion.compositing.face_in_photo import FaceInPhoto
from facemotion.compositing.occluders import Occluders
from facemotion.faces import geometry
from facemotion.rendering.boxes import Box
from facemotion.rendering.face import FLOW_PX, Layer, Rendering

CROP_PX = 256


def textured(height=320, width=300, *, seed=0, blur_px=2.0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.convertScaleAbs(cv2.GaussianBlur(noise, (0, 0), blur_px), alpha=3, beta=-256)


def rendering(*, flow=0.0, log_gain=0.0, opacity=0.0, turn=None) -> Rendering:
    """The same flow (crop widths), light and nearly white layer all over the crop, its border included."""
    maps = np.full((FLOW_PX, FLOW_PX), log_gain, np.float32)
    layers = ()
    if opacity:
        colour = np.full((CROP_PX, CROP_PX, 3), 0.95, np.float32)
        cover = np.full((CROP_PX, CROP_PX), opacity, np.float32)
        layers = (Layer(Box(0, 0, CROP_PX, CROP_PX), colour, cover, np.zeros_like(cover)),)
    return Rendering(
        np.full((FLOW_PX, FLOW_PX, 2), flow, np.float32), maps, layers, turn, np.zeros((468, 2), np.float32)
    )


def still() -> Rendering:
    return rendering()


def everything() -> Rendering:
    """Motion, light and a layer all over the crop."""
    return rendering(flow=0.05, log_gain=0.3, opacity=0.7)


def placed(
    photo: np.ndarray, landmarks: np.ndarray, *, grain: bool = False, occluders: Occluders | None = None
) -> FaceInPhoto:
    return FaceInPhoto(
        photo, geometry.photo_to_crop(landmarks, CROP_PX), CROP_PX, landmarks, occluders=occluders, grain=grain
    )
