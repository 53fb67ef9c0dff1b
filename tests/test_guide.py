"""The guide's commands exist, with the options they use."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facemotion.cli.app import app

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"


def commands() -> list[list[str]]:
    """The words after ``facemotion`` of every command in a code block."""
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "facemotion " in line]
    return [shlex.split(line[line.index("facemotion ") :], comments=True)[1:] for line in lines]


def test_the_guide_has_commands():
    assert len(commands()) > 30


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_parse(words):
    shown = CliRunner().invoke(app, [*words, "--help"])  # unknown options fail before the help is shown
    assert shown.exit_code == 0, shown.output
    assert "Usage" in shown.output


def test_links_inside_the_guide_lead_somewhere():
    text = GUIDE.read_text("utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line[3:]).lower().replace(" ", "-") for line in text.splitlines() if line[:3] == "## "
    }
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", text)} <= headings
    files = re.findall(r"\]\(([^#)]+\.md)\)", text)
    assert all((GUIDE.parent / file).exists() for file in files)
