"""Shards: plain tar files of clips, with the same bytes for the same clips, and where in them each clip lies."""

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from facemotion.datasets.clip import (
    CONTROL_DIGITS,
    Clip,
    StoredFrames,
    clip_from_json,
    clip_members,
    read_span,
    rounded,
)
from facemotion.errors import InputError
from facemotion.media.records import MalformedError, malformed

END_OF_ARCHIVE = bytes(1024)
_BLOCK = 512


@dataclass(frozen=True)
class Entry:
    """What the index knows of a clip without reading it."""

    id: str
    person: str
    split: str
    origin: str
    expression: dict[str, float]
    control: list[float]
    """Control value of each frame."""
    shard: int
    """Number of the shard."""
    offset: int
    """Where the clip's JSON starts in its shard, bytes."""
    length: int
    """Bytes of the clip's JSON."""


def tar_member(name: str, content: bytes) -> bytes:
    """Header, content and padding of one file in a tar; owner, mode and time are constants."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    header.mode = 0o644
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % _BLOCK)


def pack(clips: Iterable[Clip]) -> tuple[bytes, list[Entry]]:
    """The tar members of ``clips``, and an entry for each with its offset from the start of those bytes."""
    chunks, entries, position = [], [], 0
    for clip in clips:
        members = clip_members(clip)
        entries.append(_entry(clip, 0, position + _BLOCK, len(members[0][1])))
        for name, content in members:
            chunks.append(tar_member(name, content))
            position += len(chunks[-1])
    return b"".join(chunks), entries


def scan(path: Path, shard: int) -> Iterator[Entry]:
    """The entries of a shard found by walking through it, for sets that come without an index.

    Raises InputError where the shard is no whole tar, or where the frames do not follow their JSON in order.
    """
    try:
        with malformed(tarfile.TarError), tarfile.open(path, "r:") as tar:
            members = iter(tar)
            for member in members:
                text = read_span(path, member.offset_data, member.size)
                clip = clip_from_json(text, path, member.offset_data)
                assert isinstance(clip.frames, StoredFrames)
                found = tuple((frame.offset_data, frame.size) for frame in islice(members, len(clip)))
                if found != clip.frames.spans:
                    raise InputError(
                        f"{path}: the frames of clip {clip.id} are not where its JSON says",
                        "Write them behind it, in order, with plain ustar headers.",
                    )
                yield _entry(clip, shard, member.offset_data, member.size)
    except (MalformedError, OSError) as error:
        raise InputError(f"{path}: not a whole tar file ({error})", "The shard is damaged: make it again.") from error


def _entry(clip: Clip, shard: int, offset: int, length: int) -> Entry:
    return Entry(
        id=clip.id,
        person=clip.person,
        split=clip.split,
        origin=clip.origin,
        expression=clip.expression,
        control=rounded(clip.control, CONTROL_DIGITS),
        shard=shard,
        offset=offset,
        length=length,
    )
