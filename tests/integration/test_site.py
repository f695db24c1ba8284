"""Test the documentation site: its strict build, and pages that need no network."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.diagrams import draw
from tests.support.project import ROOT

FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}
"""Element to the attribute with the address that a browser fetches without a click."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Addresses(HTMLParser):
    """Collect the addresses that a page fetches, and the classes of its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.classes.update((values.get("class") or "").split())
        if tag == "link" and values.get("rel") in ("next", "prev", "canonical"):
            return
        if address := values.get(FETCHED.get(tag, "")):
            self.fetched.append(address)


def pages(site: Path) -> Iterator[tuple[str, Addresses]]:
    for path in sorted(site.rglob("*.html")):
        result = Addresses()
        result.feed(path.read_text(encoding="utf-8"))
        yield str(path.relative_to(site)), result


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    outside = {
        (page, address) for page, item in pages(site) for address in item.fetched if re.match(r"(\w+:)?//", address)
    }
    assert outside == set()
    # The theme fetches a script from another host for elements of this class.
    assert [page for page, item in pages(site) if "mermaid" in item.classes] == []


def test_every_page_of_the_documentation_is_built(site: Path) -> None:
    sources = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    missing = [page for page in sources if page.name != "index" and not (site / page / "index.html").exists()]
    assert missing == []


def test_diagrams_are_drawn(site: Path) -> None:
    for page, node in {"architecture": "AvePoint API", "warehouse": "jobs__job_errors"}.items():
        text = (site / page / "index.html").read_text(encoding="utf-8")
        assert f">{node}</text>" in text


def test_a_node_lies_below_those_that_lead_to_it() -> None:
    drawn = draw("flowchart LR\n    a[First] --> b[Second\\npart]\n    b -->|edge| c[(Last)]\n")
    heights = {text: float(y) for y, text in re.findall(r'y="([\d.]+)">([^<]+)</text>', drawn)}
    assert heights["First"] < heights["Second"] < heights["part"] < heights["edge"] < heights["Last"]


def test_another_kind_of_diagram_is_refused() -> None:
    with pytest.raises(ValueError, match="Use flowchart or erDiagram"):
        draw("pie\n")
