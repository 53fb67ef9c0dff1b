"""Which photos are found, and where their clips go."""

from pathlib import Path

import pytest
from PIL import Image

from facemotion.batch.plan import Shard, batch_folder, plan_tasks, walk_photos
from facemotion.errors import InputError, UsageError


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, "PNG")
    return path


def names(paths, folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_walk_finds_photos_by_suffix_or_first_bytes(tmp_path):
    for name in ("b.png", "A.JPG", "with space/é ü.png", "深/人", ".hidden.png", ".cache/c.png"):
        photo(tmp_path / name)
    (tmp_path / "notes").write_text("no photo")
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "broken.jpg").write_bytes(b"not an image, but says so")
    assert names(walk_photos(tmp_path), tmp_path) == ["A.JPG", "b.png", "broken.jpg", "with space/é ü.png", "深/人"]


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_walk_knows_the_formats_without_suffix(tmp_path, suffix):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo", suffix)
    assert names(walk_photos(tmp_path), tmp_path) == ["photo"]


def test_walk_follows_links_and_ends_in_a_loop(tmp_path):
    photo(tmp_path / "a" / "1.png")
    photo(tmp_path / "elsewhere" / "2.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "a" / "other").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "a" / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    assert names(walk_photos(tmp_path / "a"), tmp_path) == ["a/1.png", "a/other/2.png"]


def test_walk_leaves_the_output_folder_out(tmp_path):
    photo(tmp_path / "1.png")
    photo(tmp_path / "clips" / "1-smile.gif")
    assert names(walk_photos(tmp_path, ignore=tmp_path / "clips"), tmp_path) == ["1.png"]


def test_walk_passes_over_a_folder_that_vanishes(tmp_path, monkeypatch):
    photo(tmp_path / "1.png")
    (tmp_path / "locked").mkdir()
    listing = Path.iterdir

    def refuse(path):
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert names(walk_photos(tmp_path), tmp_path) == ["1.png"]


def test_tree_is_mirrored(tmp_path):
    photo(tmp_path / "in" / "1.png")
    photo(tmp_path / "in" / "deep" / "er" / "2.png")
    tasks = plan_tasks([tmp_path / "in"], tmp_path / "out", ending="-smile.mp4")
    outs = names([task.out for task in tasks], tmp_path / "out")
    assert outs == ["1-smile.mp4", "deep/er/2-smile.mp4"]


def test_several_folders_keep_their_names(tmp_path):
    photo(tmp_path / "a" / "1.png")
    photo(tmp_path / "b" / "1.png")
    tasks = plan_tasks([tmp_path / "a", tmp_path / "b"], tmp_path / "out", ending=".gif")
    assert names([task.out for task in tasks], tmp_path / "out") == ["a/1.gif", "b/1.gif"]


def test_photos_of_one_stem_keep_their_suffix(tmp_path):
    for name in ("1.png", "1.jpg", "2.png"):
        photo(tmp_path / "in" / name)
    tasks = plan_tasks([tmp_path / "in"], tmp_path, ending="-smile.mp4")
    assert [task.out.name for task in tasks] == ["1.jpg-smile.mp4", "1.png-smile.mp4", "2-smile.mp4"]


def test_single_photos_beside_or_in_a_folder(tmp_path):
    paths = [tmp_path / "a" / "1.png", tmp_path / "b" / "missing.png"]
    beside = plan_tasks(paths, tmp_path, ending=".mp4", beside=True)
    gathered = plan_tasks(paths, tmp_path / "out", ending=".mp4")
    assert [task.out for task in beside] == [tmp_path / "a" / "1.mp4", tmp_path / "b" / "missing.mp4"]
    assert [task.out for task in gathered] == [tmp_path / "out" / "1.mp4", tmp_path / "out" / "missing.mp4"]


def test_no_photos(tmp_path):
    with pytest.raises(InputError, match="No photos in"):
        plan_tasks([tmp_path], tmp_path / "out", ending=".mp4")


def test_folder_of_a_batch(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    assert batch_folder([folder], None, word="smile") == tmp_path / "photos-smile"
    assert batch_folder([folder, folder], tmp_path / "x", word="smile") == tmp_path / "x"
    assert batch_folder([folder / "1.png", tmp_path / "2.png"], None, word="smile") == tmp_path
    with pytest.raises(UsageError):
        batch_folder([folder, tmp_path / "2.png"], None, word="smile")


def test_shards_are_disjoint_complete_and_even():
    tasks = list(range(10))
    shards = [Shard.parse(f"{index}/3").of(tasks) for index in (1, 2, 3)]
    assert sorted(task for shard in shards for task in shard) == tasks
    assert sorted(map(len, shards)) == [3, 3, 4]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", ""])
def test_no_shard(text):
    with pytest.raises(UsageError, match="no shard"):
        Shard.parse(text)
