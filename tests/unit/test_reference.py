"""The reference pages and the README are those of the code."""

import re
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.reference import PAGES

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
