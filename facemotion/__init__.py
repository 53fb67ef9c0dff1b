"""One photo of a face in, a video of that person performing an expression out.

>>> import facemotion
>>> frames = facemotion.animate("photo.jpg", {"smile": 1.0}, frames=32)  # uint8 (32, H, W, 3)

What needs NumPy or PyTorch is loaded when first used: importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from facemotion.errors import FacemotionError
from facemotion.version import __version__

if TYPE_CHECKING:
    EXPRESSIONS: tuple[str, ...]
    """Names of the expressions that come with the package."""
    from facemotion.api import AnimateResult, Animator, animate
    from facemotion.faces.find import find_faces
    from facemotion.media.photos import read_photo
    from facemotion.settings import AnimateSettings

__all__ = [
    "EXPRESSIONS",
    "AnimateResult",
    "AnimateSettings",
    "Animator",
    "FacemotionError",
    "__version__",
    "animate",
    "find_faces",
    "read_photo",
]

_HOMES = {
    "AnimateResult": "facemotion.api",
    "AnimateSettings": "facemotion.settings",
    "Animator": "facemotion.api",
    "animate": "facemotion.api",
    "find_faces": "facemotion.faces.find",
    "read_photo": "facemotion.media.photos",
}


def __getattr__(name: str) -> object:
    if name == "EXPRESSIONS":
        from facemotion.expressions.blends import builtin_recipes

        return builtin_recipes().names
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
