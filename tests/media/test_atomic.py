import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facemotion.errors import OutputError, OutputExistsError, OutputNameError
from facemotion.media.atomic import fitting_name, remove_unfinished, staged, staged_together


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new folder" / "clip.mp4"
    with staged(target) as part:
        part.write_bytes(b"whole")
        assert not target.exists()
        assert part.suffix == ".mp4"
    assert target.read_bytes() == b"whole"
    assert [path.name for path in target.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ValueError])
def test_whatever_ends_the_work_early_leaves_nothing(tmp_path, reason):
    with pytest.raises(reason), staged(tmp_path / "clip.mp4") as part:
        part.write_bytes(b"half")
        raise reason
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept_unless_overwriting_was_asked_for(tmp_path):
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"old")
    with pytest.raises(OutputError) as caught, staged(target):
        pass
    assert "--overwrite" in caught.value.hint
    with pytest.raises(ValueError, match="half way"), staged(target, overwrite=True) as part:
        part.write_bytes(b"half")
        raise ValueError("half way")
    assert target.read_bytes() == b"old"
    with staged(target, overwrite=True) as part:
        part.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "clip.mp4"
    with pytest.raises(OutputError), staged(target) as part:
        part.write_bytes(b"mine")
        target.write_bytes(b"another's")
    assert target.read_bytes() == b"another's"


def test_folders_of_frames_are_replaced_and_no_others(tmp_path):
    target = tmp_path / "frames"
    for content in (b"first", b"second"):
        with staged(target, overwrite=True) as part:
            part.mkdir()
            (part / "frame-0000.png").write_bytes(content)
    assert (target / "frame-0000.png").read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]
    (target / "thesis.odt").touch()
    with pytest.raises(OutputError, match="other things"), staged(target, overwrite=True):
        pass
    assert (target / "thesis.odt").exists()


KILLED = """
import os, sys
from pathlib import Path
from facemotion.media.atomic import staged

with staged(sys.argv[1], overwrite=True) as part:
    part.mkdir()
    (part / "frame-0000.png").write_bytes(b"half")
    os._exit(9)
"""


def test_leftovers_of_killed_processes_are_removed_those_at_work_not(tmp_path):
    """A process number says nothing: in containers every process is number 1."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "frames")], check=False)
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".")
    with staged(tmp_path / "at work") as part:
        part.touch()
        with staged(tmp_path / "frames") as frames:
            frames.mkdir()
        assert not leftover.exists()
        assert part.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"at work", "frames"}


def test_two_tasks_never_share_a_temporary_name(tmp_path):
    target = tmp_path / "clip.mp4"
    with staged(target, overwrite=True) as one, staged(target, overwrite=True) as other:
        assert one != other
        one.touch()
        other.touch()


def frames_folder(path: Path, content: bytes) -> Path:
    path.mkdir(parents=True)
    (path / "frame-0000.png").write_bytes(content)
    return path


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_stays_when_its_replacement_fails(tmp_path, monkeypatch, swaps):
    frames_folder(tmp_path / "frames", b"old")
    if not swaps:
        monkeypatch.setattr("facemotion.media.atomic._swapped", lambda one, other: False)
    renamed = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.parent.name == "new":
            raise OSError(errno.EIO, "broken")
        return renamed(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with contextlib.suppress(OutputError), staged(tmp_path / "frames", overwrite=True) as part:
        frames_folder(part, b"new")
    assert (tmp_path / "frames" / "frame-0000.png").read_bytes() == (b"new" if swaps else b"old")
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_what_a_killed_process_had_set_aside_comes_back(tmp_path):
    frames_folder(tmp_path / ".facemotion-12345678.part" / "old" / "frames", b"old")
    frames_folder(tmp_path / ".facemotion-12345678.part" / "new" / "frames", b"new")
    with staged(tmp_path / "other.mp4") as part:
        part.touch()
    assert (tmp_path / "frames" / "frame-0000.png").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"frames", "other.mp4"}


@pytest.mark.parametrize(("before", "after"), [("file", "folder"), ("folder", "file"), ("folder", "folder")])
def test_files_and_folders_of_frames_replace_each_other(tmp_path, before, after):
    target = tmp_path / "frames"
    for kind in (before, after):
        with staged(target, overwrite=True) as part:
            if kind == "file":
                part.touch()
            else:
                frames_folder(part, b"")
    assert target.is_dir() == (after == "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_an_empty_folder_is_nothing_to_be_lost(tmp_path):
    (tmp_path / "frames").mkdir()
    with staged(tmp_path / "frames") as part:
        frames_folder(part, b"new")
    assert (tmp_path / "frames" / "frame-0000.png").exists()


def test_a_folder_of_other_pictures_is_no_folder_of_frames(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "frame-of-mind.png").touch()
    with pytest.raises(OutputExistsError, match="other things"), staged(tmp_path / "pictures", overwrite=True):
        pass


def test_outputs_that_belong_together_appear_together(tmp_path):
    paths = [tmp_path / "new" / "clip.mp4", tmp_path / "new" / "clip-sheet.png"]
    with pytest.raises(ValueError, match="late"), staged_together(paths) as (clip, _):
        clip.touch()
        raise ValueError("late")
    assert list(tmp_path.iterdir()) == []
    with staged_together(paths) as parts:
        for part in parts:
            part.touch()
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize(
    "name", ["x" * 235 + ".mp4", "x" * 251 + ".mp4", "é" * 125 + ".mp4", "." + "y" * 200, "a.b.c.png"]
)
def test_any_name_that_a_file_may_have(tmp_path, name):
    with staged(tmp_path / name) as part:
        assert part.name == name
        part.touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_no_file_may_have_is_told_in_words(tmp_path):
    with pytest.raises(OutputNameError, match="too long"), staged(tmp_path / ("x" * 300)) as part:
        part.touch()
    assert list(tmp_path.iterdir()) == []


def test_long_stems_are_cut_and_stay_apart(tmp_path):
    names = {fitting_name(stem, "-smile.mp4") for stem in ("é" * 250 + "1", "é" * 250 + "2")}
    assert len(names) == 2
    for name in names:
        assert name.endswith("-smile.mp4")
        (tmp_path / name).touch()
    assert fitting_name("photo", "-smile.mp4") == "photo-smile.mp4"


def test_the_end_of_a_stopped_command_removes_what_is_left(tmp_path):
    unfinished = staged(tmp_path / "clip.mp4")
    unfinished.__enter__().touch()
    remove_unfinished()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left"),
        (errno.EFBIG, "No space left"),
        (errno.EACCES, "cannot be written"),
        (errno.EROFS, "cannot be written"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_errors_of_the_disk_are_told_in_words(tmp_path, number, message):
    with pytest.raises(OutputError, match=message) as caught, staged(tmp_path / "clip.mp4") as part:
        part.write_bytes(b"half")
        raise OSError(number, os.strerror(number))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="part of its path"), staged(tmp_path / "file" / "clip.mp4"):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"), staged(tmp_path / "clip.mp4") as part:
            part.touch()
    finally:
        tmp_path.chmod(0o700)
