"""Test that a number and its noun agree: 1 job, 2 jobs. One function writes both."""

import ast
import re
from collections.abc import Iterator

from m365_jobs.text import format_count, format_duration, singular_period

from tests.unit.test_wording import ROOT, SOURCES

NOUNS = (
    "alert|attempt|backup|channel|column|day|error|file|finding|hour|id|job|listing|load|location|message|minute|month|"
    "object|package|page|partition|period|problem|request|restore|row|seat|second|service|site|table|tenant|time|"
    "warning|week|window|worker|year"
)
PLURAL = re.compile(rf" (?:(?!with )[a-z]+ )?(?:{NOUNS})s\b")
ABOVE_ONE = re.compile(r"[A-Z]{4}|:g|{count}|max_open.days|longest.days|\* 3600")
"""Constants and limits of the program, and values that are written only if they are above 1."""

TEMPLATES = sorted((ROOT / "pipelines").rglob("*.html"))


def counts_beside_nouns(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of f-strings with a value of the program directly before a plural."""
    for node in ast.walk(tree):
        pairs = zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ()
        for value, text in pairs:
            is_count = isinstance(value, ast.FormattedValue) and not ABOVE_ONE.search(ast.unparse(value))
            if is_count and isinstance(text, ast.Constant) and PLURAL.match(str(text.value)):
                yield value.lineno


def test_no_text_formats_a_count_without_format_count() -> None:
    results = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line in counts_beside_nouns(ast.parse(path.read_text(encoding="utf-8")))
    ]
    results += [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in TEMPLATES
        for match in re.finditer(
            rf"\|(?:number|length)(?: }}}}| ~ \"){PLURAL.pattern}", path.read_text(encoding="utf-8")
        )
    ]
    assert results == []


def test_a_number_and_its_noun_agree() -> None:
    assert [format_count(number, "job") for number in (0, 1, 2, 2000)] == ["0 jobs", "1 job", "2 jobs", "2,000 jobs"]
    assert [format_count(number, "job has", "jobs have") for number in (1, 2)] == ["1 job has", "2 jobs have"]


def test_periods_of_one_are_singular() -> None:
    periods = ["1 years", "11 years", "1 years 1 months", "1 year", "Unlimited", "7 days"]
    assert [singular_period(period) for period in periods] == [
        *("1 year", "11 years", "1 year 1 month", "1 year", "Unlimited", "7 days")
    ]  # fmt: skip
    assert [format_duration(hours) for hours in (9.96, 99.4, 100, 240)] == ["10.0 h", "99 h", "4 days", "10 days"]
