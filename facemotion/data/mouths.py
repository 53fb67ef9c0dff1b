"""Real teeth for open mouths: the inside of smiling mouths, to be warped into a rendered opening."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np


@dataclass(frozen=True)
class MouthLibrary:
    """Real mouths of smiling people."""

    @classmethod
    def build(cls, smiles: Iterable[tuple[np.ndarray, np.ndarray]]) -> MouthLibrary:
        """From smiling photos: (photo RGB uint8 (H, W, 3), landmarks (68, 2) px). Closed mouths are left out."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write the library as one npz."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> MouthLibrary:
        """Read what ``save`` wrote. Raises ``InputError`` for anything else."""
        raise NotImplementedError
