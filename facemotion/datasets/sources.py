"""Where pictures come from, under which licence, and whom to credit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A data set or somebody's own pictures."""

    name: str
    licence: str = ""
    """SPDX where possible; empty where it is not known."""
    credit: str = ""


LONDON = Source(
    "Face Research Lab London Set",
    "CC-BY-4.0",
    "DeBruine, L. & Jones, B. (2017), figshare, doi 10.6084/m9.figshare.5047666.v5",
)
CANADA = Source(
    "Young Adult White Faces with Manipulated Versions",
    "CC-BY-4.0",
    "DeBruine, L. & Jones, B. (2017), figshare, doi 10.6084/m9.figshare.4220517.v1",
)
PORTRAITS = Source("SFHQ-T2I", "MIT", "© 2024 David Beniaguev")
CKPLUS = Source(
    "Extended Cohn-Kanade (CK+)",
    "research only, see its agreement",
    "Lucey, P., Cohn, J. F., Kanade, T., Saragih, J., Ambadar, Z., Matthews, I. (2010), CVPR Workshops",
)
KNOWN_SOURCES = {"london": LONDON, "canada": CANADA, "portrait": PORTRAITS, "ckplus": CKPLUS}
"""By what the ids of their people begin with."""


def sources_of(people: Iterable[str], *, own: Source | None = None) -> list[Source]:
    """The sources of these people, each once; ``own`` is that of people who belong to no known set."""
    found = {person.split("-")[0] for person in people}
    known = [source for name, source in KNOWN_SOURCES.items() if name in found]
    return [*known, *([own] if own is not None and found - KNOWN_SOURCES.keys() else [])]
