"""Test views that are shipped rendered: files and statements equal the output of the renderer."""

from pathlib import Path

import pytest
from m365_jobs import marts
from m365_jobs.config.protection import Protection, Services
from m365_jobs.marts import render, shipped
from m365_jobs.marts.catalog import VIEWS, views_of
from m365_jobs.marts.dialects import SHIPPED

FOLDER = Path(marts.__file__).with_name("rendered")

PROTECTION = Protection(
    Services(expected=frozenset({"teams"})),
    {"contoso 'x'": Services(ignored=frozenset({"onedrive"}))},
    allowed_age_of={"teams": 8},
    time_zones={"": "UTC", "contoso 'x'": "Asia/Kolkata"},
)


@pytest.mark.parametrize("dialect", SHIPPED)
def test_each_shipped_file_is_what_the_renderer_makes(dialect: str) -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in (FOLDER / dialect).iterdir()}
    assert files == shipped.rendered_views(dialect), "run `make views`"


@pytest.mark.parametrize("dialect", SHIPPED)
@pytest.mark.parametrize("view", VIEWS)
def test_a_shipped_view_is_the_statement_that_would_be_rendered(view: str, dialect: str) -> None:
    def place(name: str) -> tuple[str, str]:
        return 'a "dataset"', name

    configured = render.configured_rows(PROTECTION, dialect)
    statement = shipped.shipped_view(view, dialect, configured, place)
    assert statement is not None
    assert statement.split() == render.create_view(view, dialect, PROTECTION, place).split()


def test_a_name_of_three_parts_and_another_dialect_are_rendered() -> None:
    assert shipped.shipped_view("open_jobs", "duckdb", {}, lambda name: ("catalog", "dataset", name)) is None
    assert shipped.shipped_view("open_jobs", "snowflake", {}, lambda name: ("dataset", name)) is None


@pytest.mark.parametrize("dialect", ["tsql", "fabric", "clickhouse", "dremio"])
def test_a_dialect_without_iana_zones_in_columns_gets_no_view_that_needs_them(dialect: str) -> None:
    assert [view.name for view in views_of("postgres")] == list(VIEWS)
    assert [view.name for view in views_of(dialect)] == [name for name in VIEWS if name != "daily_summary_local"]
