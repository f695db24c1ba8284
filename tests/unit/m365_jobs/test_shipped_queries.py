"""Test queries that are shipped in translation: files and literals equal the output of sqlglot."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from m365_jobs import marts
from m365_jobs.health.watch_queries import QUERIES
from m365_jobs.marts.dialects import SHIPPED
from m365_jobs.marts.literals import constants, literal
from m365_jobs.marts.translate import shipped_file
from sqlglot import exp

FOLDER = Path(marts.__file__).with_name("rendered") / "queries"


@pytest.mark.parametrize("dialect", SHIPPED)
def test_each_shipped_query_equals_the_one_that_sqlglot_renders(dialect: str) -> None:
    text = (FOLDER / f"{dialect}.json").read_text(encoding="utf-8")
    assert text == shipped_file(QUERIES, dialect), "run `make views`"


@pytest.mark.parametrize("dialect", SHIPPED)
@pytest.mark.parametrize(
    "value",
    [
        "contoso 'x' \\ 100 % é\n\t",
        "",
        0,
        -3,
        2**62,
        1.5,
        -0.5,
        1e30,
        True,
        False,
        None,
        datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
        datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(2026, 1, 2),
        ["a", "b"],
    ],
)
def test_a_literal_equals_the_one_of_sqlglot(value: object, dialect: str) -> None:
    assert literal(value, dialect) == exp.convert(value).sql(dialect)


@pytest.mark.parametrize("dialect", SHIPPED)
def test_rows_of_constants_are_what_sqlglot_makes(dialect: str) -> None:
    rows: list[dict[str, str | float]] = [{"name": "it's", "count": 1}, {"name": "", "count": 0.5}]
    selects = [exp.select(*(exp.alias_(exp.convert(value), name) for name, value in row.items())) for row in rows]
    assert constants(rows, dialect) == exp.union(*selects, distinct=False).sql(dialect)
