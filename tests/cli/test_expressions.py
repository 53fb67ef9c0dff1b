import json

from typer.testing import CliRunner

from facemotion.cli.app import app
from facemotion.expressions.grammar import EXPRESSIONS


def test_expressions_are_listed_with_their_aliases():
    shown = CliRunner().invoke(app, ["expressions"])
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in EXPRESSIONS)
    assert "happy" in shown.stdout
    assert "--expr smile:0.7+surprise:0.3" in shown.stdout


def test_expressions_for_programs():
    found = json.loads(CliRunner().invoke(app, ["expressions", "--json"]).stdout)
    assert [row["name"] for row in found["expressions"]] == list(EXPRESSIONS)
    assert found["max_weight"] == 1.5


def test_a_model_of_other_expressions_lists_its_own(tmp_path):
    import dataclasses

    from facemotion.models.generator import Generator, tiny_generator
    from facemotion.models.release import save_release

    config = dataclasses.replace(tiny_generator().config, expressions=("yawn", "smile"))
    save_release(tmp_path / "own.safetensors", Generator(config), {})
    shown = CliRunner().invoke(app, ["expressions", "--json", "--weights", str(tmp_path / "own.safetensors")])
    assert [row["name"] for row in json.loads(shown.stdout)["expressions"]] == ["yawn", "smile"]
