"""Light on a face: what its skin tells about the light, and what moving skin changes of it. All in log luminance."""

from __future__ import annotations

import cv2
import numpy as np

from facemotion.faces.geometry import smoothstep
from facemotion.rendering import kernels

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luminance of linear RGB (ITU-R BT.709)."""
GAMMA = 2.2
"""Of the curve that stands for sRGB's where shading is computed."""
RICHER = 0.45
"""Share by which chroma grows, beside luminance, in skin that is darker by 1 in log luminance. In photographs of 82
people log luminance and log red, green, blue of folds go as 1 to 0.78, 1.06, 1.10, of what a smile shades as 1 to 0.80,
1.04, 1.21; this gives 0.79, 1.06, 1.22 in fair skin."""
_STUDIO_BRIGHT = -1.15, -0.08
_STUDIO_WHITE = -0.65, -0.43
"""In the studio of the London set's 90 people: how log luminance of the bright skin around the mouth, and of the eye
whites, follows log(red / blue) of their cheeks (slope, value at 0). A darker skin is a redder one, and shades them."""
_STUDIO_HUE = 0.113
"""Mean log(red / blue) of those eye whites, and of those people's teeth, whatever the skin."""
_FAIREST, _DARKEST = 0.2, 0.75
"""log(red / blue) of cheeks between which those people lie."""
_POWERS = 0.4, 0.45
"""How much eye whites and bright skin say about the light."""
_DARKEST_WHITE = 0.6
"""Luminance of eye whites, in that of the bright skin, below which something hides them."""
_COLDEST = -0.15
"""log(red / blue) of eye whites, less `_STUDIO_HUE`, below which they are none."""
_BRIGHTEST = 1.05
"""Most that light is believed to exceed the studio's: photographed teeth are hardly whiter (0.89 at most of 45)."""
_GREY_SKIN = 0.35
"""log(red / blue) that cheeks are believed to have where the photo says nothing about hue."""
WARMER = np.array([0.42, -0.06, -0.58])
"""What a light whose log(red / blue) is larger by 1 adds to the log of each channel; luminance stays."""
_OWN_WARMTH = 0.08
"""How much warmer or colder than others' eye whites may be by themselves: within one studio, that of 39 people says
nothing about the hue of their teeth (correlation -0.1)."""
_TINTS = 0.9
"""How much of what is beyond that is believed to be the light's."""


def linear_luminance(image: np.ndarray) -> np.ndarray:
    """(h, w) luminance in linear light of RGB (h, w, 3) in [0, 1]."""
    return np.maximum(image, 0) ** GAMMA @ LUMA


def fit_light(normals: np.ndarray, luminance: np.ndarray) -> np.ndarray:
    """(4,) first-order light: ambient, and a direction times its strength, by ridge least squares.

    normals: (n, 3) unit; luminance (n,) of Lambertian skin there. Ramamoorthi & Hanrahan, "On the relationship between
    radiance and irradiance" (2001), to first order.
    """
    rows = np.column_stack([np.ones(len(normals)), normals])
    ridge = np.diag([1e-3, 0.05, 0.05, 0.05]) * max(1, len(rows))
    return np.linalg.solve(rows.T @ rows + ridge, rows.T @ luminance).astype(np.float32)


def light_on_face(skin: np.ndarray, bright: float, white: np.ndarray | None) -> np.ndarray:
    """(3,) how much more light falls on a face than on the people of the London set, per channel of RGB.

    skin: (3,) RGB of the cheeks; bright: luminance of the bright skin around the mouth; white: (3,) of the eye whites,
    None where they are not to be seen. What the skin itself swallows is told by its hue beside that of the eye whites,
    so that teeth and whatever else is drawn are as bright in a dark face as in a fair one under the same lamp.
    """
    redness = _redness(skin)
    warmth = 0.0 if white is None else _redness(white) - _STUDIO_HUE
    if white is None or white @ LUMA < _DARKEST_WHITE * bright or not _COLDEST < warmth < max(redness, _FAIREST):
        white, warmth = None, 0.0  # closed, or behind dark glasses
    own = float(np.clip(redness - warmth, _FAIREST, _DARKEST)) if colourfulness(skin) > 0.5 else _GREY_SKIN
    ratio = np.log(max(bright, 0.02)) - np.polyval(_STUDIO_BRIGHT, own)
    white_ratio = ratio if white is None else np.log(max(float(white @ LUMA), 0.02)) - np.polyval(_STUDIO_WHITE, own)
    level = np.exp(np.dot((white_ratio, ratio), _POWERS))
    beyond = np.sign(warmth) * np.clip(abs(warmth) - _OWN_WARMTH, 0, 0.5)
    tint = np.exp(_TINTS * beyond * WARMER)
    return (np.clip(level, 0.2, _BRIGHTEST) * tint).astype(np.float32)


def _redness(colour: np.ndarray) -> float:
    """log(red / blue) of RGB (3,)."""
    return float(np.log(max(colour[0], 0.02) / max(colour[2], 0.02)))


def on_skin(likeness: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1] how much of a fold is drawn where the photo is so like the face's skin, (h, w) in [0, 1]."""
    return np.clip(1.6 * likeness - 0.2, 0, 1)


def colourfulness(skin: np.ndarray) -> float:
    """1 for skin in colour, 0 for that of a grey photo. skin: (3,) RGB."""
    return float(np.clip((skin.max() - skin.min()) / (0.12 * skin.max() + 1e-3), 0, 1))


def irradiance(light: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(n,) light that falls on surfaces with these normals, never dark."""
    facing = np.einsum("nk,k->n", normals, light[1:])  # BLAS would wake its threads for so little
    return np.maximum(light[0] + facing, 0.12 * max(float(light[0]), 1e-3))


def burnt_out(image: np.ndarray) -> np.ndarray | None:
    """(h, w) in [0, 1] how white an RGB image (h, w, 3) in [0, 1] is burnt; None where it is nowhere.

    The camera saw more light there than the image holds, and no hue: darkened, such skin would turn grey.
    """
    burnt = smoothstep((image.min(2) - 0.9) / 0.08)
    return smooth(burnt.astype(np.float32), image.shape[0] / 160) if burnt.any() else None


def relit(image: np.ndarray, log_gain: np.ndarray) -> np.ndarray:
    """RGB (h, w, 3) float32 in [0, 1] with its luminance changed by a factor in linear light, its hue kept.

    What is darker is richer in colour, since light reaches it by way of more skin. Where a channel would leave the
    range, the colour goes towards white of the wanted luminance instead of changing its hue.
    """
    result = np.empty(image.shape, np.float32)
    image, log_gain = (np.ascontiguousarray(each, np.float32) for each in (image, log_gain))
    kernels.relight(image, log_gain, np.float32(GAMMA), np.float32(RICHER), LUMA, result)
    return result


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, for values at vertices that are to say more than one pixel's."""
    return cv2.GaussianBlur(image, (0, 0), sigma)
