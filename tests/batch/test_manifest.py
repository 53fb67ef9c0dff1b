from pathlib import Path

import pytest

from facemotion.batch.manifest import ManifestRow, read_manifest
from facemotion.errors import InputError
from facemotion.expressions.recipes import Recipes


def written(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "manifest.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_lines_say_all_or_leave_it_open(tmp_path):
    rows = read_manifest(
        written(
            tmp_path,
            "photo,expression,intensity,frames,output\n"
            'ann.jpg,smile:0.7+browInnerUp:0.5,1,32,ann.mp4\n\nsub/ben.png,"smile,neutral",,,\n/abs/cy.jpg,,0.5,8,x/c.gif\n',
        )
    )
    assert rows == [
        ManifestRow(2, tmp_path / "ann.jpg", ({"smile": 0.7, "browInnerUp": 0.5},), 1.0, 32, tmp_path / "ann.mp4"),
        ManifestRow(4, tmp_path / "sub/ben.png", ({"smile": 1.0}, {})),
        ManifestRow(5, Path("/abs/cy.jpg"), None, 0.5, 8, tmp_path / "x/c.gif"),
    ]
    assert [row.word for row in rows] == ["smile0.7+browInnerUp0.5", "smile-neutral", None]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_spreadsheet_in_another_language_is_read(tmp_path, encoding):
    text = "Photo;Expr;Intensity\nann.jpg;smile,surprise;0,5\n"
    (row,) = read_manifest(written(tmp_path, text, encoding=encoding))
    assert row.steps == ({"smile": 1.0}, {"surprise": 1.0}) and row.intensity == 0.5


def test_outputs_go_to_the_folder_named(tmp_path):
    (row,) = read_manifest(written(tmp_path, "photo,output\na.jpg,b/a.mp4\n"), out=tmp_path / "clips")
    assert row.output == tmp_path / "clips/b/a.mp4"


def test_only_a_photo_column_is_needed_and_others_are_named(tmp_path):
    notes: list[str] = []
    rows = read_manifest(written(tmp_path, "age,image,id\n5,a.jpg,7\n6,b.jpg\n"), on_note=notes.append)
    assert [row.photo.name for row in rows] == ["a.jpg", "b.jpg"]
    assert notes == [f"{tmp_path / 'manifest.csv'}: unknown columns left out: age, id."]


def test_a_users_expressions_are_known(tmp_path):
    (tmp_path / "mine.json").write_text('{"expressions": {"proud": {"units": {"AU12": 0.3}}}}')
    recipes = Recipes.load(tmp_path / "mine.json")
    (row,) = read_manifest(written(tmp_path, "photo,expression\na.jpg,proud\n"), recipes=recipes)
    assert row.steps == ({"proud": 1.0},)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("photo\n", "has no lines"),
        ("expression\nsmile\n", "no column photo"),
        ("photo,image\na,b\n", "the column photo is there twice"),
        ("photo,expression\na.jpg,smile\n,smile\n", "line 3: no photo is named"),
        ("photo,expression\na.jpg,smlie\n", "line 2: Unknown expression or unit 'smlie'"),
        ("photo,intensity\na.jpg,much\n", "line 2: 'much' is no intensity"),
        ("photo,intensity\na.jpg,2\n", "'2' is no intensity"),
        ("photo,expression,intensity\na.jpg,smile:1.2,1.4\n", "line 2: An intensity of 1.4"),
        ("photo,frames\na.jpg,0\n", "'0' is no number of frames"),
        ("photo,frames\na.jpg,2.5\n", "2.5 is no whole number"),
        ("photo,frames\na.jpg,nan\n", "'nan' is no number of frames"),
        ("photo,output\na.jpg,x.mp4\nb.jpg,x.mp4\n", "line 3: x.mp4 is the output of line 2 already"),
    ],
)
def test_wrong_lines_are_named_before_anything_starts(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read_manifest(written(tmp_path, text))
    assert message in caught.value.message and "manifest.csv" in caught.value.message
    assert caught.value.hint


def test_a_missing_manifest_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match="Cannot read"):
        read_manifest(tmp_path / "none.csv")
