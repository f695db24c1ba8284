"""Test that abilities of destinations are attributes of their classes; no other module compares types by name."""

import re

import pytest
from m365_jobs.warehouse.destinations.kinds import KINDS, OTHER, kind_of_type

from tests.unit.test_wording import ROOT

FOLDER = ROOT / "pipelines" / "m365_jobs"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_destination_is_found_by_each_of_its_types(kind: object) -> None:
    types: tuple[str, ...] = kind.types  # type: ignore[attr-defined]
    assert types
    assert [kind_of_type(f"dlt.destinations.{name}") for name in types] == [kind] * len(types)


def test_all_others_share_a_class_without_abilities() -> None:
    assert {kind_of_type(f"dlt.destinations.{name}") for name in ("snowflake", "motherduck", "redshift")} == {OTHER}


def test_no_module_compares_the_type_of_a_destination() -> None:
    types = "|".join(name for kind in KINDS for name in kind.types)
    comparison = re.compile(rf"""(?:==|\bin|endswith\()\s*\(?["']\.?(?:{types})["']""")
    dialects = re.compile(r"dialect(?:\(\w+\))? ==")
    wrong = [
        f"{path.relative_to(FOLDER)}: {match[0]}"
        for path in sorted(FOLDER.rglob("*.py"))
        for pattern in (comparison, dialects)
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []
