"""The clip format: round trips, checksums, interrupted writers, concurrent readers."""

import hashlib
import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from facemotion.datasets.clip_writer import write_item
from facemotion.datasets.clips import Clip, ClipSet, ClipSetWriter, Source, iter_clips, write_clips
from facemotion.errors import InputError, OutputError

SIZE_PX = 32


def make_clip(number: int, *, person: str | None = None, frames: int = 3, split: str = "train") -> Clip:
    rng = np.random.default_rng(number)
    ramp = np.linspace(40, 200, SIZE_PX)
    image = np.stack([np.add.outer(ramp, ramp) / 2, np.tile(ramp, (SIZE_PX, 1)), np.full((SIZE_PX, SIZE_PX), 90)], 2)
    return Clip(
        id=f"clip-{number:03d}",
        person=person or f"person-{number // 2}",
        source=f"photo {number}.jpg",
        licence="CC0-1.0",
        origin="teacher",
        split=split,
        expression={"smile": 1.0, "blink": 0.5},
        control=np.linspace(0, 1, frames),
        landmarks=rng.uniform(0, SIZE_PX, (frames, 68, 2)),
        pose=rng.normal(0, 10, (frames, 3)),
        size_px=SIZE_PX,
        frames=[(image + 5 * k).astype(np.uint8) for k in range(frames)],
    )


def tree(path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_round_trip(tmp_path):
    clips = [make_clip(i) for i in range(5)]
    write_clips(tmp_path / "set", clips, sources=[Source("made up", "CC0-1.0")], clips_per_shard=2)
    clip_set = ClipSet.open(tmp_path / "set")
    assert len(clip_set) == 5 and len(clip_set.shards) == 3
    for clip, read in zip(clips, clip_set, strict=True):
        assert (read.id, read.person, read.source, read.licence) == (clip.id, clip.person, clip.source, clip.licence)
        assert read.expression == clip.expression and read.split == "train" and read.size_px == SIZE_PX
        np.testing.assert_allclose(read.control, clip.control, atol=1e-4)
        np.testing.assert_allclose(read.landmarks, clip.landmarks, atol=0.0051)
        np.testing.assert_allclose(read.pose, clip.pose, atol=0.0051)
        for k in range(len(clip)):
            assert np.abs(read.frame(k).astype(int) - clip.frame(k)).mean() < 2
    entry = clip_set.entries[3]
    assert (entry.person, entry.origin, entry.expression, entry.control) == (
        "person-1",
        "teacher",
        {"blink": 0.5, "smile": 1.0},
        [0.0, 0.5, 1.0],
    )
    clip_set.verify()
    assert clip_set.manifests[0].sources == (Source("made up", "CC0-1.0"),)
    assert not (tmp_path / "set" / ".work").exists()


def test_a_shard_is_a_plain_tar_with_the_members_in_order(tmp_path):
    write_clips(tmp_path / "set", [make_clip(0)])
    with tarfile.open(tmp_path / "set" / "shard-00000.tar") as tar:
        names = tar.getnames()
        record = json.load(tar.extractfile(names[0]))
    assert names == ["clip-000.json", "clip-000.00.jpg", "clip-000.01.jpg", "clip-000.02.jpg"]
    assert record["control"] == [0, 0.5, 1] and len(record["landmarks"][2]) == 68


def test_the_index_is_optional(tmp_path):
    write_clips(tmp_path / "set", [make_clip(i) for i in range(4)], clips_per_shard=3)
    indexed = ClipSet.open(tmp_path / "set")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    del manifest["index"]
    (tmp_path / "set" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "set" / "index.json").unlink()
    scanned = ClipSet.open(tmp_path / "set")
    assert scanned.entries == indexed.entries
    scanned.verify()


def write_by_hand(path, *, swapped: bool = False) -> None:
    """A set of one clip as another program may write it: with nothing but tar, JSON and JPEG."""
    jpegs = [cv2.imencode(".jpg", np.full((16, 16, 3), value, np.uint8))[1].tobytes() for value in (90, 120)]
    record = {
        "id": "a",
        "person": "anna",
        "source": "a.mov",
        "licence": "",
        "origin": "clips",
        "split": "train",
        "expression": {"smile": 1},
        "control": [0, 1],
        "landmarks": [[[8.0, 8.0]] * 68] * 2,
        "pose": [[0, 0, 0]] * 2,
        "size_px": 16,
        "frame_bytes": [len(jpeg) for jpeg in jpegs],
    }
    members = [("a.json", json.dumps(record).encode()), ("a.00.jpg", jpegs[0]), ("a.01.jpg", jpegs[1])]
    path.mkdir()
    with tarfile.open(path / "s.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in [members[0], members[2], members[1]] if swapped else members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    content = (path / "s.tar").read_bytes()
    shard = {"file": "s.tar", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {"format": "facemotion-clips", "version": 1, "clips": 1, "frames": 2, "shards": [shard]}
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_set_of_another_program(tmp_path):
    write_by_hand(tmp_path / "set")
    clip_set = ClipSet.open(tmp_path / "set")
    clip_set.verify()
    assert clip_set[0].person == "anna" and abs(int(clip_set[0].frame(1)[8, 8, 0]) - 120) < 3


def test_frames_out_of_order_are_refused(tmp_path):
    write_by_hand(tmp_path / "set", swapped=True)
    with pytest.raises(InputError, match="not where its JSON says"):
        ClipSet.open(tmp_path / "set")


def test_many_sets_as_one_and_a_selection(tmp_path):
    write_clips(tmp_path / "a", [make_clip(i) for i in range(3)])
    write_clips(tmp_path / "b", [make_clip(i, split="validation") for i in range(3, 5)])
    both = ClipSet.open_many([tmp_path / "a", tmp_path / "b"])
    assert [clip.id for clip in both] == [f"clip-{i:03d}" for i in range(5)]
    assert [clip.id for clip in both.select(lambda entry: entry.split == "validation")] == ["clip-003", "clip-004"]
    assert sum(1 for _ in iter_clips([tmp_path / "a", tmp_path / "b"])) == 5


def test_threads_read_the_same_frames(tmp_path):
    write_clips(tmp_path / "set", [make_clip(i) for i in range(6)], clips_per_shard=2)
    clip_set = ClipSet.open(tmp_path / "set")
    expected = [clip.frame(1) for clip in clip_set]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: clip_set[i % 6].frame(1), range(24)))
    for i, frame in enumerate(found):
        np.testing.assert_array_equal(frame, expected[i % 6])


def test_the_control_vector_follows_the_order_asked_for():
    clip = make_clip(0)
    np.testing.assert_allclose(clip.control_vector(1, ("blink", "anger", "smile")), [0.25, 0, 0.5])
    with pytest.raises(InputError, match="smile"):
        clip.control_vector(1, ("blink",))


def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path):
    clips = [[make_clip(2 * i), make_clip(2 * i + 1)] for i in range(6)]
    items = [f"item {i}" for i in range(7)]

    def write(path, *, stop_after=None):
        with ClipSetWriter(path, items, settings={"seed": 1}, clips_per_shard=4) as writer:
            for done, number in enumerate(writer.pending()):
                if done == stop_after:
                    raise KeyboardInterrupt
                if number == 3:
                    writer.fail(number, "two faces")
                else:
                    writer.add(number, clips[number - (number > 3)])

    write(tmp_path / "once")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "twice", stop_after=3)
    assert (tmp_path / "twice" / "shard-00000.tar").exists() and (tmp_path / "twice" / ".work").is_dir()
    with pytest.raises(InputError, match="unfinished"):
        ClipSet.open(tmp_path / "twice")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "twice", stop_after=2)
    write(tmp_path / "twice")
    assert tree(tmp_path / "once") == tree(tmp_path / "twice")
    assert ClipSet.open(tmp_path / "once").manifests[0].problems == ({"item": "item 3", "reason": "two faces"},)


def test_items_may_be_done_in_any_order(tmp_path):
    items = [str(i) for i in range(5)]
    for name, order in (("forward", [0, 1, 2, 3, 4]), ("shuffled", [3, 0, 4, 2, 1])):
        with ClipSetWriter(tmp_path / name, items, clips_per_shard=2) as writer:
            for number in order:
                write_item(writer.work, number, [make_clip(number)])
    assert tree(tmp_path / "forward") == tree(tmp_path / "shuffled")


def test_half_written_leftovers_do_not_count(tmp_path):
    with ClipSetWriter(tmp_path / "set", ["a", "b"]) as writer:
        writer.add(0, [make_clip(0)])
    (tmp_path / "set" / ".work" / "000001.tar").write_bytes(b"cut")
    (tmp_path / "set" / "shard-00000.tar.part").write_bytes(b"cut")
    with ClipSetWriter(tmp_path / "set", ["a", "b"]) as writer:
        assert writer.pending() == [1]
        writer.add(1, [make_clip(1)])
    clip_set = ClipSet.open(tmp_path / "set")
    clip_set.verify()
    assert len(clip_set) == 2 and not list((tmp_path / "set").glob("*.part"))


def test_other_settings_do_not_mix(tmp_path):
    write_clips(tmp_path / "set", [make_clip(0)], settings={"seed": 1})
    before = tree(tmp_path / "set")
    with pytest.raises(OutputError, match="other settings"):
        write_clips(tmp_path / "set", [make_clip(0)], settings={"seed": 2})
    assert tree(tmp_path / "set") == before
    (tmp_path / "set" / "notes.txt").write_text("mine")
    write_clips(tmp_path / "set", [make_clip(1)], settings={"seed": 2}, overwrite=True)
    assert ClipSet.open(tmp_path / "set")[0].id == "clip-001"
    assert (tmp_path / "set" / "notes.txt").exists()


def test_a_finished_set_stays_as_it_is(tmp_path):
    write_clips(tmp_path / "set", [make_clip(0)])
    before = tree(tmp_path / "set")
    with ClipSetWriter(tmp_path / "set", ["clip-000"]) as writer:
        assert writer.finished and writer.pending() == []
    assert tree(tmp_path / "set") == before


def test_stray_shards_are_not_taken_for_ones_own(tmp_path):
    write_clips(tmp_path / "set", [make_clip(0)])
    (tmp_path / "set" / "manifest.json").unlink()
    with pytest.raises(OutputError, match="other settings"):
        write_clips(tmp_path / "set", [make_clip(0)])
    write_clips(tmp_path / "set", [make_clip(0)], overwrite=True)
    ClipSet.open(tmp_path / "set").verify()


def test_a_run_that_did_nothing_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), ClipSetWriter(tmp_path / "set", ["a"]):
        raise KeyboardInterrupt
    assert not (tmp_path / "set").exists()


def test_two_writers_do_not_share_a_folder(tmp_path):
    with (
        ClipSetWriter(tmp_path / "set", ["a"]),
        pytest.raises(OutputError, match="another process"),
        ClipSetWriter(tmp_path / "set", ["a"]),
    ):
        pass


def test_a_flipped_byte_is_found(tmp_path):
    write_clips(tmp_path / "set", [make_clip(0)])
    shard = tmp_path / "set" / "shard-00000.tar"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    clip_set = ClipSet.open(tmp_path / "set")
    with pytest.raises(InputError, match=r"damaged.*shard-00000\.tar"):
        clip_set.verify()


def test_a_cut_shard_is_found_when_opening(tmp_path):
    write_clips(tmp_path / "set", [make_clip(0)])
    shard = tmp_path / "set" / "shard-00000.tar"
    shard.write_bytes(shard.read_bytes()[:-1500])
    with pytest.raises(InputError, match="cut off"):
        ClipSet.open(tmp_path / "set")


def test_damaged_json_and_frames_say_where(tmp_path):
    write_clips(tmp_path / "set", [make_clip(0)])
    clip_set = ClipSet.open(tmp_path / "set")
    shard = tmp_path / "set" / "shard-00000.tar"
    content = shard.read_bytes()
    clip = clip_set[0]
    offset, length = clip.frames.spans[1]
    shard.write_bytes(content[:offset] + bytes(length) + content[offset + length :])
    with pytest.raises(InputError, match="frame 1 of clip clip-000"):
        clip_set[0].frame(1)
    shard.write_bytes(content.replace(b'"person"', b'"nobody"'))
    with pytest.raises(InputError, match="byte 512 is damaged"):
        _ = clip_set[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"version": 2}, "version 2"), ({"format": "webdataset"}, "not a clip set"), ({"shards": 3}, "damaged")],
)
def test_foreign_manifests(tmp_path, change, message):
    write_clips(tmp_path / "set", [make_clip(0)])
    file = tmp_path / "set" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=message):
        ClipSet.open(tmp_path / "set")


def test_no_set_at_all(tmp_path):
    with pytest.raises(InputError, match="no clip set"):
        ClipSet.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control": [0.1, 0.5, 1]}, "start at 0"),
        ({"control": [0, 1]}, "landmarks"),
        ({"pose": np.full((3, 3), np.nan)}, "pose"),
        ({"expression": {}}, "at least one"),
        ({"split": "test"}, "split"),
        ({"id": "a/b"}, "clip id"),
    ],
)
def test_fields_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        Clip(**{**vars(make_clip(0)), **change})


def test_ids_are_unique(tmp_path):
    with (
        pytest.raises(OutputError, match="id of another"),
        ClipSetWriter(tmp_path / "set", ["a", "b"]) as writer,
    ):
        writer.add(0, [make_clip(0)])
        writer.add(1, [make_clip(0)])
