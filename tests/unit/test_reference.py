"""Test that the reference pages and the README match the code."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from m365_jobs.cli.app import app

from tests.support.project import ROOT
from tests.support.reference import PAGES, leaves

FOLDER = ROOT / "docs" / "reference"
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_that_of_the_code(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "Run make docs."


def test_the_folder_holds_no_other_page() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_the_readme_is_short_and_begins_with_a_picture() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    assert any(line.startswith("![") for line in lines[:10])


def test_links_of_the_readme_lead_somewhere() -> None:
    links = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not Path(ROOT / link.partition("#")[0]).exists()]
    assert missing == []


COMMANDS = dict(
    leaf
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    for leaf in leaves(name, command)
)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_an_example_that_it_accepts(name: str) -> None:
    command: Any = COMMANDS[name]
    example = str(command.help).split("\n\n")[-1].strip()
    start = f"Example: m365-jobs {name}"
    assert example.startswith(start)
    with command.make_context(name, shlex.split(example.removeprefix(start))) as context:
        assert not context.args


def test_help_explains_each_option_and_argument() -> None:
    texts = {
        f"{name} {parameter.name}": getattr(parameter, "help", None)
        for name, command in COMMANDS.items()
        for parameter in command.params
    }
    assert [name for name, text in texts.items() if not text] == []


def test_help_shows_no_types_of_flags() -> None:
    for name, command in COMMANDS.items():
        assert "<bool>" not in click.utils.make_str(command.get_help(click.Context(command, info_name=name)))
