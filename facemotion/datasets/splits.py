"""Which people are trained on and which are held out for validation: decided by person, never by frame."""

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from facemotion.errors import InputError
from facemotion.media.regular import read_regular

KNOWN_SETS = ("london", "canada", "portrait")
"""Person ids of these sets start with the name and a hyphen; the built-in list decides about them alone."""

_LARGEST_LIST = 64 << 20  # bytes


def built_in_validation() -> frozenset[str]:
    """The people that the released weights never saw."""
    return listed_people((files("facemotion") / "assets" / "validation.txt").read_text())


def read_validation(path: Path) -> frozenset[str]:
    """Person ids of a text file, one a line, ``#`` starts a comment. Raises InputError where it cannot be read."""
    try:
        return listed_people(read_regular(path, most_bytes=_LARGEST_LIST).decode())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: no list of people ({error})", "Give a text file with one person id a line."
        ) from error


@dataclass(frozen=True)
class Splits:
    """The split of every person."""

    validation: frozenset[str] = field(default_factory=built_in_validation)
    """People held out for validation."""
    share: float = 0.1
    """Of people who are neither listed nor in KNOWN_SETS, about this share is kept too, chosen by a hash of the id."""

    def settings(self) -> dict:
        """What decides the split of every person, as JSON: clips made with another list must not join these."""
        people = hashlib.sha256("\n".join(sorted(self.validation)).encode()).hexdigest()
        return {"validation": people, "validation_share": self.share}

    def split_of(self, person: str) -> str:
        """``"train"`` or ``"validation"``; the same for the same person on every machine."""
        if person in self.validation:
            return "validation"
        if person.split("-")[0] in KNOWN_SETS:
            return "train"
        drawn = int.from_bytes(hashlib.sha256(person.encode()).digest()[:4], "big") / 2**32
        return "validation" if drawn < self.share else "train"


def listed_people(text: str) -> frozenset[str]:
    """Person ids, one a line; ``#`` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)
