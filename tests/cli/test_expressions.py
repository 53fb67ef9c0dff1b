import json

from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.expressions.blends import builtin_recipes
from facemotion.expressions.units import UNIT_NAMES


def run(*words: object):
    return CliRunner().invoke(app, ["expressions", *map(str, words)])


def test_expressions_are_listed_with_their_aliases():
    shown = run()
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in builtin_recipes().names)
    assert "happy" in shown.stdout
    assert "--expr smile:0.7+surprise:0.3" in shown.stdout


def test_expressions_for_programs():
    found = json.loads(run("--json").stdout)
    assert [row["name"] for row in found["expressions"]] == list(builtin_recipes().names)
    assert found["max_weight"] == 1.5


def test_units_are_listed_with_their_facs_numbers():
    shown = run("--units").stdout
    assert all(name in shown for name in UNIT_NAMES)
    assert "AU12L" in shown
    assert [unit["name"] for unit in json.loads(run("--units", "--json").stdout)["units"]] == list(UNIT_NAMES)


def test_recipes_of_ones_own_are_checked_and_listed(tmp_path):
    own = tmp_path / "mine.json"
    own.write_text(
        '{"format": "facemotion-expressions", "version": 1, "expressions": {"grin": {"units": {"nose": 1}}}}'
    )
    checked = run("--recipes", own, "--check")
    assert checked.exit_code == 1
    assert "nose" in checked.stdout
    assert run("--check").exit_code == 2


def test_a_sheet_shows_every_expression_on_a_face(photo, tmp_path):
    done = run("--sheet", tmp_path / "all.png", "--photo", photo)
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "all.png") as sheet:
        assert sheet.width > 6 * 200
    assert run("--sheet", tmp_path / "none.png").exit_code == 2
