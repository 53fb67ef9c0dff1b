"""Clip sets on disk: read them here, write them with ``ClipSetWriter``. docs/data.md specifies the format."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import GenericAlias
from typing import get_type_hints

from facemotion.datasets.clip import Clip, clip_from_json, read_span
from facemotion.datasets.clip_writer import FORMAT, FORMAT_VERSION, ClipSetWriter, Source, write_clips
from facemotion.datasets.shards import Entry, scan
from facemotion.errors import InputError
from facemotion.media.records import MalformedError, built, checked, malformed, parse_object
from facemotion.weights.registry import file_sha256

__all__ = ["Clip", "ClipSet", "ClipSetWriter", "Entry", "Manifest", "Source", "iter_clips", "write_clips"]


_FILE_NAME = re.compile(r"[\w-][\w.-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class Manifest:
    """What a clip set says of itself."""

    path: Path
    clips: int
    frames: int
    shards: tuple[tuple[str, int, str], ...]
    """File name, bytes and sha256 of each shard."""
    index: tuple[str, int, str] | None
    """The same of the index; None where the set comes without one."""
    sources: tuple[Source, ...]
    settings: dict
    problems: tuple[dict, ...]
    """``{"item", "reason"}`` of every item that gave no clip."""


class ClipSet(Sequence):
    """Clips of one or several sets, read by random access straight from the shards.

    Holds no open file and no cache: one object serves threads, forked and spawned workers alike.
    ``entries[i]`` tells person, split, origin, expression and controls of clip ``i`` without reading it.
    """

    def __init__(self, shards: Sequence[Path], entries: Sequence[Entry], manifests: Sequence[Manifest]):
        self.shards = list(shards)
        self.entries = list(entries)
        self.manifests = list(manifests)

    @classmethod
    def open(cls, path: str | Path) -> "ClipSet":
        """The clip set in the folder ``path``.

        Raises InputError where the folder holds no finished set of a format version that this program knows, or
        where a shard is missing or has not the size that the manifest says.
        """
        path = Path(path)
        manifest = _read_manifest(path)
        shards = [path / name for name, _, _ in manifest.shards]
        for shard, (_, size, _) in zip(shards, manifest.shards, strict=True):
            if not shard.is_file() or shard.stat().st_size != size:
                raise InputError(f"{shard}: missing or cut off (should be {size} bytes)", "Make or copy the set again.")
        if manifest.index is None:
            entries = [entry for number, shard in enumerate(shards) for entry in scan(shard, number)]
        else:
            entries = _read_index(path / manifest.index[0], sizes=[size for _, size, _ in manifest.shards])
        if len(entries) != manifest.clips:
            raise InputError(f"{path}: {len(entries)} clips, but its manifest says {manifest.clips}", "Make it again.")
        return cls(shards, entries, [manifest])

    @classmethod
    def open_many(cls, paths: Iterable[str | Path]) -> "ClipSet":
        """Several sets as one, in the order given."""
        shards: list[Path] = []
        entries: list[Entry] = []
        manifests: list[Manifest] = []
        for part in map(cls.open, paths):
            base = len(shards)
            shards += part.shards
            entries += [Entry(**{**vars(entry), "shard": entry.shard + base}) for entry in part.entries]
            manifests += part.manifests
        return cls(shards, entries, manifests)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, i: int) -> Clip:  # type: ignore[override]  # no slices
        entry = self.entries[i]
        shard = self.shards[entry.shard]
        clip = clip_from_json(read_span(shard, entry.offset, entry.length), shard, entry.offset)
        told = (entry.id, entry.person, entry.split, len(entry.control))
        if (clip.id, clip.person, clip.split, len(clip)) != told:
            raise InputError(f"{shard}: clip {clip.id} is not what the index says", "Make or copy the set again.")
        return clip

    def select(self, keep: Callable[[Entry], bool]) -> "ClipSet":
        """The clips whose entry satisfies ``keep``, e.g. ``lambda e: e.split == "train"``."""
        return ClipSet(self.shards, [entry for entry in self.entries if keep(entry)], self.manifests)

    def verify(self) -> None:
        """Read every file whole and compare with the checksums of the manifests.

        Raises InputError naming the damaged files.
        """
        damaged = []
        for manifest in self.manifests:
            for name, _, sha256 in [*manifest.shards, *([manifest.index] if manifest.index else [])]:
                path = manifest.path / name
                if not path.is_file() or file_sha256(path) != sha256:
                    damaged.append(str(path))
        if damaged:
            raise InputError(f"damaged: {', '.join(damaged)}", "Make or copy the set again.")


def iter_clips(paths: Iterable[str | Path]) -> Iterator[Clip]:
    """All clips of several sets, one after another."""
    return iter(ClipSet.open_many(paths))


def _read_manifest(path: Path) -> Manifest:
    file = path / "manifest.json"
    if not file.is_file():
        if (path / ".work").is_dir():
            raise InputError(f"{path}: this clip set is unfinished", "Run its facemotion prepare command again.")
        raise InputError(f"{path}: no clip set (no manifest.json)", "Make one with facemotion prepare.")
    try:
        record = parse_object(file.read_bytes())
        if record.get("format") != FORMAT:
            raise InputError(
                f"{file}: not a clip set but {ascii(record.get('format'))[:40]}", "Make one with facemotion prepare."
            )
        if record.get("version") != FORMAT_VERSION:
            raise InputError(
                f"{file}: format version {ascii(record.get('version'))[:40]}; this program reads {FORMAT_VERSION}",
                "Update facemotion, or make the set again.",
            )
        with malformed():
            index = record.get("index")
            return Manifest(
                path=path,
                clips=checked(record["clips"], int, "clips"),
                frames=checked(record["frames"], int, "frames"),
                shards=tuple(_file_of(shard) for shard in checked(record["shards"], list, "shards")),
                index=None if index is None else _file_of(index),
                sources=tuple(built(Source, source) for source in record.get("sources", ())),
                settings=checked(record.get("settings", {}), dict, "settings"),
                problems=tuple(checked(each, dict[str, str], "problems") for each in record.get("problems", ())),
            )
    except (OSError, MalformedError) as error:
        raise InputError(f"{file}: damaged ({error})", "Make the set again.") from error


def _file_of(record: dict) -> tuple[str, int, str]:
    """Name, bytes and sha256 of a file of the set, which lies in the set's own folder."""
    name, size, sha256 = (
        checked(record[key], kind, key) for key, kind in (("file", str), ("bytes", int), ("sha256", str))
    )
    if size < 0 or not _FILE_NAME.fullmatch(name):
        raise MalformedError(f"no file of a clip set: {ascii(name)[:40]} of {size} bytes")
    return name, size, sha256


def _read_index(path: Path, *, sizes: Sequence[int]) -> list[Entry]:
    """The entries of an index; ``sizes`` are those of the shards that they point into."""
    try:
        columns = parse_object(path.read_bytes())
        with malformed():
            typed = [
                checked(columns[name], GenericAlias(list, kind), name) for name, kind in get_type_hints(Entry).items()
            ]
            entries = [Entry(*values) for values in zip(*typed, strict=True)]
            for entry in entries:
                if not (0 <= entry.shard < len(sizes) and 0 <= entry.offset <= entry.offset + entry.length):
                    raise MalformedError(f"clip {ascii(entry.id)[:40]} lies in no shard")
                if entry.offset + entry.length > sizes[entry.shard] or entry.length < 0:
                    raise MalformedError(f"clip {ascii(entry.id)[:40]} lies beyond its shard")
                if not entry.control or not entry.expression:
                    raise MalformedError(f"clip {ascii(entry.id)[:40]} shows nothing")
    except (OSError, MalformedError) as error:
        raise InputError(
            f"{path}: missing or damaged ({error})", "Delete it and its line in manifest.json, or make the set again."
        ) from error
    return entries
