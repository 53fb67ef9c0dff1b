"""A portrait to try things with: NASA's photo of Eileen Collins, public domain, which comes with scikit-image."""

from importlib.util import find_spec
from pathlib import Path


def sample_path() -> Path | None:
    """Where it is, 512×512 px; None where this installation of scikit-image has none."""
    package = find_spec("skimage")
    path = Path(package.origin).with_name("data") / "astronaut.png" if package and package.origin else None
    return path if path is not None and path.is_file() else None
