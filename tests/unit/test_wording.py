"""Check the wording of docstrings, messages and pages against the writing rules of CONTRIBUTING.md."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import count, pairwise, takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for tree in ("sources", "pipelines") for path in (ROOT / tree).rglob("*.py"))
CODE_FILES = sorted(
    path for tree in ("sources", "pipelines", "tests", "benchmarks") for path in (ROOT / tree).rglob("*.py")
)
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LONGEST_SENTENCE = 25

VERBS = {
    "Acknowledge",
    "Acquire",
    "Add",
    "Answer",
    "Append",
    "Apply",
    "Ask",
    "Authenticate",
    "Bound",
    "Build",
    "Change",
    "Check",
    "Classify",
    "Clean",
    "Clear",
    "Close",
    "Collect",
    "Combine",
    "Commit",
    "Compact",
    "Compare",
    "Complete",
    "Connect",
    "Control",
    "Convert",
    "Copy",
    "Count",
    "Create",
    "Cut",
    "Decide",
    "Define",
    "Delete",
    "Deliver",
    "Describe",
    "Detect",
    "Do",
    "Draw",
    "Drop",
    "Encode",
    "End",
    "Evaluate",
    "Exclude",
    "Explain",
    "Extract",
    "Fill",
    "Find",
    "Finish",
    "Follow",
    "Forget",
    "Format",
    "Gather",
    "Generate",
    "Give",
    "Hold",
    "Implement",
    "Import",
    "Insert",
    "Interpret",
    "Keep",
    "Learn",
    "Leave",
    "Let",
    "Limit",
    "List",
    "Listen",
    "Load",
    "Locate",
    "Lock",
    "Look",
    "Lower",
    "Make",
    "Mark",
    "Measure",
    "Merge",
    "Move",
    "Name",
    "Note",
    "Open",
    "Order",
    "Outline",
    "Page",
    "Parse",
    "Pause",
    "Permit",
    "Plan",
    "Prepare",
    "Print",
    "Provide",
    "Put",
    "Raise",
    "Read",
    "Receive",
    "Reconcile",
    "Record",
    "Refuse",
    "Register",
    "Release",
    "Remove",
    "Rename",
    "Render",
    "Renew",
    "Replace",
    "Report",
    "Request",
    "Return",
    "Run",
    "Save",
    "Scan",
    "Select",
    "Send",
    "Serve",
    "Set",
    "Show",
    "Sign",
    "Simulate",
    "Speak",
    "Spell",
    "Stand",
    "Start",
    "Stop",
    "Store",
    "Support",
    "Test",
    "Translate",
    "Try",
    "Turn",
    "Use",
    "Validate",
    "Verify",
    "Wait",
    "Wrap",
    "Write",
    "Yield",
}
"""Verbs that begin a docstring; a new verb needs an entry, so that a noun does not pass."""

FORBIDDEN = re.compile(
    r"\b(nobody|somebody|anybody|whoever|be it|but for|of which|as it is|by and by|goes on|is at"
    r"(?! (?:least|most|once))|speaks? of|takes|brings)\b",
    re.IGNORECASE,
)
"""Words without an actor, and phrases that have a plain form."""

CODE = re.compile(r"``[^`]*``|`[^`]*`|https?://\S+|\{[^{}]*\}")


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and text of each docstring of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'module')}", text


def paragraphs(page: str) -> Iterator[str]:
    """Yield paragraphs, list items and table cells of a page, without code and pictures."""
    page = re.sub(r"^(```|~~~).*?^\1", "", page, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#>]|\d+\.) ?)", page):
        yield from block.split("|") if block.lstrip().startswith("|") else [block]


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text; a piece of code counts as one word."""
    for part in re.split(r"(?<=[.!?:;])\s+|\n\s*\n|\n *[├└]|\n\s{4,}(?=\w+: )", CODE.sub("code", text)):
        yield " ".join(part.split())


def long_sentences(text: str) -> list[str]:
    """Return the sentences with too many words."""
    return [part for part in sentences(text) if len(part.split()) > LONGEST_SENTENCE]


@pytest.mark.parametrize("path", CODE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_begin_with_a_verb(path: Path) -> None:
    """Compare the first word of each docstring with the list of verbs."""
    wrong = [
        f"{place}: {text.splitlines()[0]}"
        for place, text in docstrings(path)
        if text.split()[0].rstrip(",:") not in VERBS
    ]
    assert wrong == []


@pytest.mark.parametrize("path", CODE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_short_and_plain(path: Path) -> None:
    """Look for long sentences and forbidden words in docstrings."""
    wrong = [f"{place}: {part}" for place, text in docstrings(path) for part in long_sentences(text)]
    wrong += [f"{place}: {match[0]}" for place, text in docstrings(path) for match in FORBIDDEN.finditer(text)]
    assert wrong == []


@pytest.mark.parametrize("path", CODE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_comments_are_short_and_plain(path: Path) -> None:
    """Look for long sentences and forbidden words in comments, and in texts below constants and attributes."""
    wrong = []
    for line, text in (*comments(path), *attribute_texts(path)):
        wrong += [f"{line}: {part}" for part in long_sentences(text)]
        wrong += [f"{line}: {match[0]}" for match in FORBIDDEN.finditer(CODE.sub("code", text))]
    assert wrong == []


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each comment of a module; comments in consecutive lines belong together."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    lines = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    for line in lines:
        if line - 1 not in lines:
            yield line, " ".join(lines[number] for number in takewhile(lines.__contains__, count(line)))


def attribute_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each string below a constant or an attribute of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        body = getattr(node, "body", None)
        for before, line in pairwise(body if isinstance(body, list) else []):
            text = line.value if isinstance(line, ast.Expr) else None
            if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(text, ast.Constant):
                yield line.lineno, str(text.value)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_are_short_and_plain(path: Path) -> None:
    """Look for long sentences and forbidden words in texts of the code that read like sentences."""
    wrong = []
    for text in messages(path):
        wrong += long_sentences(text)
        wrong += [f"{match[0]}: {text}" for match in FORBIDDEN.finditer(CODE.sub("code", text))]
    assert wrong == []


def messages(path: Path) -> Iterator[str]:
    """Yield texts of a module that end a sentence and are no docstring; a value in an f-string counts as one word."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        bodies = [node.body] if hasattr(node, "body") and isinstance(node.body, list) else []
        inner |= {id(line.value) for body in bodies for line in body if isinstance(line, ast.Expr)}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "value" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            text = node.value
        # Texts that end a sentence; SQL, scripts and Markdown tables are no sentences.
        if " " in text and re.search(r"[a-z)]\.$", text.strip()) and not re.search(r"SELECT|\$variables|\|--", text):
            yield text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_short_and_plain(path: Path) -> None:
    """Look for long sentences and forbidden words in pages."""
    text = path.read_text(encoding="utf-8")
    wrong = [part for block in paragraphs(text) for part in long_sentences(block)]
    wrong += [match[0] for block in paragraphs(text) for match in FORBIDDEN.finditer(CODE.sub("code", block))]
    assert wrong == []


VAGUE = {"one", "found", "held", "told", "kept", "chosen", "said"}
"""Words that say nothing about what they name."""


@pytest.mark.parametrize("path", CODE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_not_vague(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [(node.id, node.lineno) for node in nodes if isinstance(node, ast.Name)]
    names += [(node.arg, node.lineno) for node in nodes if isinstance(node, ast.arg)]
    names += [(node.attr, node.lineno) for node in nodes if isinstance(node, ast.Attribute)]
    names += [(node.name, node.lineno) for node in nodes if isinstance(node, ast.FunctionDef)]
    assert [(name, line) for name, line in names if name in VAGUE] == []
