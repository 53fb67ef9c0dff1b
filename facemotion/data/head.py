"""The 3-D head model: ICT-FaceKit, from its author's folder or packed into one npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HeadModel:
    """A morphable head: neutral mesh, expression shapes, identity shapes."""

    @classmethod
    def load(cls, path: str | Path) -> HeadModel:
        """Read ``ict_facekit.npz`` or the author's ``FaceXModel`` folder (or a folder that holds it).

        Raises ``InputError`` when the path holds neither.
        """
        raise NotImplementedError
