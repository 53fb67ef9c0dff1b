import errno
import os

import pytest

from facemotion.errors import OutputError
from facemotion.media.atomic import staged


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


def test_leftovers_of_killed_processes_are_removed_those_of_running_ones_not(tmp_path):
    with staged(tmp_path / "clip.mp4") as part:
        name = part.name
        part.touch()
    dead, running, foreign = (
        tmp_path / name.replace(f"-{os.getpid()}.", f"-{process}.") for process in (2**30, os.getppid(), "elsewhere")
    )
    for path in (dead, running, foreign):
        path.touch()
    with staged(tmp_path / "clip.mp4", overwrite=True) as part:
        part.touch()
    assert not dead.exists()
    assert running.exists()
    assert foreign.exists()


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
