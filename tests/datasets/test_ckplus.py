"""CK+ in its distributed layout, made up, with everything that can be wrong with it."""

import pytest

from facemotion.datasets.ckplus import find_ckplus
from facemotion.errors import InputError
from tests.datasets import made_up


def add_sequence(root, subject, number, *, frames=3):
    for k in range(1, frames + 1):
        name = f"cohn-kanade-images/{subject}/{number}/{subject}_{number}_{k:08d}.png"
        made_up.write_image(root / name, made_up.frame(k / frames))


@pytest.mark.parametrize("inner", ["", "extended-cohn-kanade-images", "a/b"])
def test_sequences_with_or_without_the_folders_that_the_download_unpacks_to(tmp_path, inner):
    add_sequence(tmp_path / inner, "S005", "001")
    add_sequence(tmp_path / inner, "S010", "002", frames=11)
    first, second = find_ckplus(tmp_path)
    assert (first.key, first.person, first.problem) == ("cohn-kanade-images/S005/001", "ckplus-S005", "")
    assert [path.name[-6:-4] for path in second.frames] == [f"{k:02d}" for k in range(1, 12)]


def test_files_of_the_finder_of_macos_are_passed_over(tmp_path):
    add_sequence(tmp_path, "S010", "001", frames=2)
    images = tmp_path / "cohn-kanade-images"
    for place in (images, images / "S010", images / "S010" / "001"):
        (place / ".DS_Store").write_bytes(b"x")
    (images / "S010" / "001" / "._S010_001_00000001.png").write_bytes(b"x")
    (item,) = find_ckplus(tmp_path)
    assert len(item.frames) == 2 and not item.problem


def test_a_lonely_frame(tmp_path):
    add_sequence(tmp_path, "S005", "001", frames=1)
    assert find_ckplus(tmp_path)[0].problem == "1 frames, at least 2 expected"


def test_no_ckplus_at_all(tmp_path):
    with pytest.raises(InputError, match="no folder cohn-kanade-images"):
        find_ckplus(tmp_path)
    (tmp_path / "cohn-kanade-images" / "S005").mkdir(parents=True)
    with pytest.raises(InputError, match="no sequences"):
        find_ckplus(tmp_path)
