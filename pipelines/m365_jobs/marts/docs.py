"""Write docs/warehouse.md from the files of the marts; ``make docs`` runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from m365_jobs.config.protection import ALLOWED_AGE_HOURS, TOLERATED_FAILED_RATIO
from m365_jobs.marts.catalog import Question, Relation, questions, tables, views
from m365_jobs.schema import Column

INTRODUCTION = """\
<!-- Made by `make docs` from pipelines/m365_jobs/marts: change it there. -->
# The warehouse

Everything is in one dataset (schema), `m365_jobs` unless `--dataset` says otherwise. All times are timestamps with time
zone, in UTC. Names and types of tables and columns are a promise; columns whose names begin with `_dlt` belong to dlt
and are not part of it. DuckDB and PostgreSQL have the descriptions below as comments on tables, views and columns.

- [Tables](#tables): what the API says, as it says it, and how the loads went.
- [Marts](#marts): views on them, live, that answer what people ask.
- [Worked questions](#worked-questions): {count} of them, each a query to start from.
"""

NOTES = """\
The dotted line is no key: it leads from jobs to the listings that could have held them. A load that failed before it
had read anything has no listings. With `keep_unknown_fields`, `jobs` has one more column: `unknown_fields` (JSON), with
what the API says of a job beyond its reference.
"""

MARTS = f"""\
## Marts

Views, made and kept up to date by every load. They are written in plain SQL in
[pipelines/m365_jobs/marts](../pipelines/m365_jobs/marts), one file each, and translated for the destination. What
counts as a success, and which services are expected, is configuration, in `[sources.avepoint_m365]` or its part
`[sources.avepoint_m365.protection]`; a change applies from the next load on:

| key | default | meaning |
|---|---|---|
| `expected_object_types` | none | services that must be protected, so that one that never ran is seen |
| `ignored_object_types` | none | services that are not evaluated |
| `allowed_age_hours` | {ALLOWED_AGE_HOURS:g} | hours after which the last success of a service is too old |
| `allowed_age_hours_of` | none | the same for single services: `{{ exchange_online = 8, power_bi = 170 }}` |
| `tolerated_failed_ratio` | {TOLERATED_FAILED_RATIO:g} | part of its objects that may fail in a good backup |

The first two may also stand in a tenant's own section, as may `timezone`, whose days `daily_summary_local` shows. All
that load into one dataset share its views: give them one configuration.
"""

QUESTIONS = """\
## Worked questions

In SQL that DuckDB and PostgreSQL understand alike; `m365-jobs query` runs it as it stands here. Elsewhere `INTERVAL`,
`date_trunc` and `extract` may be spelled differently.
"""

REFERENCES = (
    ("jobs", "||--o{", "job_changes", "tenant, id"),
    ("jobs", "||--||", "jobs__backup_details", "tenant, id = job_id"),
    ("jobs", "||--o{", "jobs__job_errors", "tenant, id = job_id"),
    ("load_runs", "||--o{", "load_audit", "run_id"),
    ("load_runs", "||--o{", "load_check_failures", "run_id"),
    ("load_runs", "||--o{", "reconciliations", "run_id"),
    ("load_audit", "}o..o{", "jobs", "tenant, location, object_type"),
)


def page() -> str:
    """Return the whole page, in Markdown."""
    return "\n".join(_parts()).rstrip("\n") + "\n"


def _parts() -> Iterator[str]:
    yield INTRODUCTION.format(count=len(questions()))
    yield "## Tables\n"
    yield from _diagram()
    yield NOTES
    for table in tables():
        yield from _relation(table)
    yield MARTS
    for view in views():
        yield from _relation(view)
    yield QUESTIONS
    for number, question in enumerate(questions(), 1):
        yield from _question(number, question)


def _diagram() -> Iterator[str]:
    yield "```mermaid\nerDiagram"
    for left, line, other, by in REFERENCES:
        yield f'    {left} {line} {other} : "{by}"'
    for table in tables():
        yield f"    {table.name} {{"
        for column in table.columns:
            yield f"        {column.type} {column.name}{' PK' if column.name in table.key else ''}"
        yield "    }"
    yield "```\n"


def _relation(relation: Relation) -> Iterator[str]:
    yield f"### {relation.name}\n"
    key = f" Key: {', '.join(f'`{name}`' for name in relation.key)}." if relation.key else ""
    yield f"{relation.about}{key}{' Rows are only appended.' if relation.append else ''}\n"
    yield "| column | type | unit | meaning |\n|---|---|---|---|"
    for column in relation.columns:
        yield _column(column)
    yield ""


def _column(column: Column) -> str:
    return f"| `{column.name}` | {column.type} | {column.unit} | {column.description} |"


def _question(number: int, question: Question) -> Iterator[str]:
    yield f"### {number}. {question.question}\n"
    if question.note:
        yield f"{question.note}\n"
    yield f"```sql\n{question.sql}\n```\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8", newline="\n")
