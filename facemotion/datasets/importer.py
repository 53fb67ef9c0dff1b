"""What all ``facemotion prepare`` commands share: items in, clips out."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from facemotion.datasets.clip import Clip, clean_id
from facemotion.datasets.clip_writer import Source
from facemotion.datasets.splits import Splits
from facemotion.errors import UsageError
from facemotion.synthetic.clip import RenderedClip
from facemotion.weights.registry import file_sha256

_BASE_ID_LENGTH = 56
"""Leaves room for the clip's number and expression."""


class Item(Protocol):
    """Something that clips are made from: a photo, a pair, a sequence."""

    @property
    def key(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def source(self) -> Source: ...
    @property
    def problem(self) -> str:
        """Why it cannot be used, where its name alone tells; else empty."""


ItemType = TypeVar("ItemType", bound=Item)


@dataclass(frozen=True, kw_only=True)
class Importer(ABC, Generic[ItemType]):
    """Makes clips of one kind of item. Travels to the worker processes, so it holds paths and numbers only."""

    origin: str
    """What the clips are marked with, one of ``clip.ORIGINS``."""
    crop_px: int = 512
    """Side of the crops."""
    splits: Splits = field(default_factory=Splits)

    @abstractmethod
    def settings(self) -> dict:
        """All that the clips depend on besides the items, as JSON."""

    def shared(self, folder: Path) -> "Importer[ItemType]":
        """The importer that the workers get, with what they share made in ``folder``, once for all runs."""
        return self

    def load(self) -> None:
        """Read, once in every process, what all items need. Raises InputError where it cannot be read."""

    @abstractmethod
    def render(self, item: ItemType, *, seed: int) -> Iterator[RenderedClip]:
        """The clips of one item. Raises InputError with the reason where it gives none."""

    def clips(self, item: ItemType, *, base_id: str, seed: int) -> Iterator[Clip]:
        """The clips of one item, named and labelled."""
        for number, rendered in enumerate(self.render(item, seed=seed)):
            names = "-".join(sorted(rendered.expression, key=lambda name: -rendered.expression[name]))
            yield Clip(
                id=clean_id(f"{base_id}-{number:02d}-{names}"),
                person=item.person,
                source=item.key,
                licence=item.source.licence,
                origin=self.origin,
                split=self.splits.split_of(item.person),
                expression=rendered.expression,
                control=rendered.control,
                landmarks=rendered.landmarks,
                pose=rendered.pose,
                teeth=rendered.teeth,
                size_px=self.crop_px,
                frames=rendered.frames,
            )


def base_ids(items: Sequence[Item]) -> list[str]:
    """The part of the clip ids that distinguishes the items: the person, numbered where a person has several items.

    Raises UsageError where two items have the same key.
    """
    keys = [item.key for item in items]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UsageError(f"{twice} is there twice.", "Name every folder once, and no two folders of the same name.")
    seen: dict[str, int] = {}
    ids = []
    for item in items:
        base = clean_id(item.person)
        if len(base) > _BASE_ID_LENGTH or base != item.person:
            digest = hashlib.sha256(item.person.encode()).hexdigest()[:8]
            base = f"{base[: _BASE_ID_LENGTH - 9]}-{digest}"
        seen[base] = seen.get(base, 0) + 1
        ids.append(base if seen[base] == 1 else f"{base}_{seen[base]}")
    return ids


def item_seed(seed: int, key: str) -> int:
    """A seed for one item that depends on no other item, on no order and on no worker."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big")


def labels(items: Iterable[Item]) -> str:
    """A hash of what the items say beside their pictures: whose they are, what they show, where they come from."""
    said = [[item.key, item.person, getattr(item, "expression", ""), asdict(item.source)] for item in items]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def fingerprint(path: Path) -> str:
    """A hash of a file's content, of a folder's names and sizes of files; the bare name of what is not there."""
    if path.is_dir():
        found = sorted((file.name, file.stat().st_size) for file in path.iterdir() if file.is_file())
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()
    return file_sha256(path) if path.is_file() else path.name


def sources_of(items: Iterable[Item]) -> list[Source]:
    """The distinct sources, in the order of their first item."""
    return list(dict.fromkeys(item.source for item in items))
