"""Find the code blocks and commands of the README and the documentation."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT

PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts)]

BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Snippet:
    """Hold a code block: its page, the number of its first line, its language and its text."""

    path: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def _snippets() -> Iterator[Snippet]:
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(page):
            line = page.count("\n", 0, match.start()) + 1
            yield Snippet(path, line, match["language"], textwrap.dedent(match["text"]))


SNIPPETS = list(_snippets())


def in_language(*languages: str) -> list[Snippet]:
    """Return the code blocks of some languages."""
    return [snippet for snippet in SNIPPETS if snippet.language in languages]


def inline_code(path: Path) -> list[str]:
    """Return the inline code of a page."""
    return INLINE.findall(BLOCK.sub("", path.read_text(encoding="utf-8")).replace("\\|", "|"))
