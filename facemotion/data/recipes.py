"""Expression recipes: which units of the head move, how far, with which spread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipes:
    """Recipes by expression name."""

    @classmethod
    def load(cls, path: str | Path | None = None) -> Recipes:
        """The built-in recipes, extended or overridden by those of the JSON file ``path``.

        Raises ``InputError`` for a file that is no recipe file or that names an unknown unit.
        """
        raise NotImplementedError

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the expressions, in the file's order."""
        raise NotImplementedError
