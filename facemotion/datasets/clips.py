"""Clip sets on disk: read them here, write them with ``ClipSetWriter``. docs/data.md specifies the format."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facemotion.datasets.clip import Clip, clip_from_json, read_span
from facemotion.datasets.clip_writer import FORMAT, FORMAT_VERSION, ClipSetWriter, Source, write_clips
from facemotion.datasets.shards import Entry, scan
from facemotion.errors import InputError
from facemotion.weights.registry import file_sha256

__all__ = ["Clip", "ClipSet", "ClipSetWriter", "Entry", "Manifest", "Source", "iter_clips", "write_clips"]


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
            entries = _read_index(path / manifest.index[0])
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
        return clip_from_json(read_span(shard, entry.offset, entry.length), shard, entry.offset)

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
        record = json.loads(file.read_bytes())
        if record["format"] != FORMAT:
            raise InputError(f"{file}: not a clip set but {record['format']!r}", "Make one with facemotion prepare.")
        if record["version"] != FORMAT_VERSION:
            raise InputError(
                f"{file}: format version {record['version']}; this program reads version {FORMAT_VERSION}",
                "Update facemotion, or make the set again.",
            )
        index = record.get("index")
        return Manifest(
            path=path,
            clips=record["clips"],
            frames=record["frames"],
            shards=tuple((shard["file"], shard["bytes"], shard["sha256"]) for shard in record["shards"]),
            index=index and (index["file"], index["bytes"], index["sha256"]),
            sources=tuple(Source(**source) for source in record.get("sources", ())),
            settings=record.get("settings", {}),
            problems=tuple(record.get("problems", ())),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: damaged ({type(error).__name__}: {error})", "Make the set again.") from error


def _read_index(path: Path) -> list[Entry]:
    try:
        columns = json.loads(path.read_bytes())
        names = tuple(Entry.__dataclass_fields__)
        return [Entry(*values) for values in zip(*(columns[name] for name in names), strict=True)]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: missing or damaged", "Delete it and its line in manifest.json, or make the set again."
        ) from error
