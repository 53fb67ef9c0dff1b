"""One photo of a face in, a video of that person performing an expression out."""

from facemotion.version import __version__

__all__ = ["__version__"]
