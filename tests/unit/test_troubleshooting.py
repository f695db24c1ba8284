"""Test that the page on troubleshooting names each rule that a load can report: `health` sends users there."""

import ast
import re
from collections.abc import Iterator

from avepoint_m365.constants import LABELS
from avepoint_m365.extract.findings import OUTSIDE
from m365_jobs.load.data_checks import PROBLEMS

from tests.support.project import ROOT

PAGE = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text(encoding="utf-8")


def rules_of_the_source() -> Iterator[str]:
    """Yield the rules that the code of the source writes as texts."""
    for path in (ROOT / "sources" / "avepoint_m365").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "SourceFinding":
                rule = node.args[0]
                if isinstance(rule, ast.Constant):
                    yield str(rule.value)


def rules_of_companions() -> Iterator[str]:
    """Yield the rules of companions: texts passed to ``note`` and ``parsed``, and texts assigned to ``rule``."""
    for path in (ROOT / "sources" / "avepoint_m365" / "companions").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Attribute(attr="note"), [ast.Constant(rule), *_]):
                    yield str(rule)
                case ast.Call(ast.Attribute(attr="parsed"), [_, _, ast.Constant(rule), *_]):
                    yield str(rule)
                case ast.Assign([ast.Tuple([ast.Name("rule"), *_])], ast.Tuple([ast.Constant(rule), *_])):
                    yield str(rule)


def test_each_rule_has_one_row_with_its_meaning_and_what_to_do() -> None:
    table = PAGE.partition("| rule | meaning | do |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    named = [rule for names, _, _ in cells for rule in re.findall(r"`(\w+)`", names)]
    outside = [rule for rule, _ in OUTSIDE.values()]
    by_label = [rule for label in LABELS for rule in (f"{label}_ignored", f"several_{label}s")]
    assert sorted(named) == sorted([*PROBLEMS, *outside, *by_label, *{*rules_of_the_source(), *rules_of_companions()}])
