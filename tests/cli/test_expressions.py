import json

from PIL import Image
from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.expressions.blends import builtin_recipes
from facemotion.expressions.units import UNIT_NAMES


def test_expressions_are_listed_with_their_aliases():
    shown = CliRunner().invoke(app, ["expressions"])
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in builtin_recipes().names)
    assert "happy" in shown.stdout
    assert "--expr smile:0.7+surprise:0.3" in shown.stdout


def test_expressions_for_programs():
    found = json.loads(CliRunner().invoke(app, ["expressions", "--json"]).stdout)
    assert [row["name"] for row in found["expressions"]] == list(builtin_recipes().names)
    assert found["max_weight"] == 1.5


def test_units_are_listed_with_their_facs_numbers():
    shown = CliRunner().invoke(app, ["expressions", "--units"], terminal_width=160)
    assert shown.exit_code == 0
    assert len([line for line in shown.stdout.splitlines() if line.strip()]) >= 53
    assert "mouthSmileLeft" in shown.stdout and "AU12L" in shown.stdout
    units = json.loads(CliRunner().invoke(app, ["expressions", "--units", "--json"]).stdout)["units"]
    assert [unit["name"] for unit in units] == list(UNIT_NAMES)
    assert units[-1] == {
        "name": "tongueOut", "facs": "AU19", "side": "middle", "group": "tongue", "looks_like": "tongue shown",
    }  # fmt: skip


def test_recipes_of_a_file_are_listed_with_the_built_in_ones(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"expressions": {"proud": {"units": {"AU12": 0.3}, "aliases": ["smug"], "looks": "proud"}}}')
    shown = CliRunner().invoke(app, ["expressions", "--recipes", str(path), "--json"])
    rows = {row["name"]: row for row in json.loads(shown.stdout)["expressions"]}
    assert rows["proud"]["units"] == {"mouthSmileLeft": 0.3, "mouthSmileRight": 0.3}
    assert rows["proud"]["aliases"] == ["smug"] and rows["wink"]["variants"] == ["left", "right"]
    table = CliRunner().invoke(app, ["expressions", "--recipes", str(path)])
    assert table.exit_code == 0 and "smug" in table.stdout and "closed-anger" in table.stdout


def test_a_recipe_file_is_checked_to_its_last_problem(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"expressions": {"a": {"units": {"AU12": 3}}, "b": {"units": {"mouthSmlie": 1}}}}')
    shown = CliRunner().invoke(app, ["expressions", "--recipes", str(path), "--check"])
    said = " ".join(shown.output.split())
    assert shown.exit_code == 1
    assert "not between 0 and 1.5" in said and "Did you mean mouthSmile" in said
    told = CliRunner().invoke(app, ["expressions", "--recipes", str(path), "--check", "--json"])
    assert told.exit_code == 1 and len(json.loads(told.stdout)["problems"]) == 2
    path.write_text('{"expressions": {"a": {"units": {"AU12": 1}}}}')
    good = CliRunner().invoke(app, ["expressions", "--recipes", str(path), "--check"])
    assert good.exit_code == 0 and "in order" in good.output
    assert CliRunner().invoke(app, ["expressions", "--check"]).exit_code == 2
    assert CliRunner().invoke(app, ["expressions", "--recipes", str(tmp_path / "no.json")]).exit_code == 2


def test_a_sheet_shows_every_expression_on_a_face(photo, tmp_path):
    sheet = tmp_path / "all.png"
    done = CliRunner().invoke(app, ["expressions", "--sheet", str(sheet), "--photo", str(photo)])
    assert done.exit_code == 0, done.output
    with Image.open(sheet) as picture:
        assert picture.width > 6 * 200
    assert CliRunner().invoke(app, ["expressions", "--sheet", str(tmp_path / "none.png")]).exit_code == 2
