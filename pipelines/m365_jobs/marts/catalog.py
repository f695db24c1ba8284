"""Read the catalog of tables and views: name, key, columns and descriptions.

Tables are those of ``m365_jobs.schema``. The header of each view's .sql file is TOML: ``about``, ``key`` and
``columns``, each column as ``type, unit: description`` (the unit is optional).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import takewhile
from typing import Any, NamedTuple

from m365_jobs import schema
from m365_jobs.marts.dialects import dialect_of
from m365_jobs.schema import Column

COMPANION_VIEWS = (
    "current_backup_schedules",
    "current_retention_policies",
    "schedule_compliance",
    "recovery_point",
    "restore_evidence",
    "license_trend",
    "settings_changes",
    "suspicious_days",
)
"""Views that need the tables of the companions."""

VIEWS = (
    "job_facts",
    "daily_summary",
    "daily_summary_local",
    "partition_loads",
    "protection_status",
    "error_summary",
    "open_jobs",
    *COMPANION_VIEWS,
)
PARTS = (
    "protection_rules",
    "tolerated_failures",
    "evaluated_backups",
    "data_ends",
    "schedule_versions",
    "tenant_zones",
)
"""Queries that several views use, each in one file. They become part of the views, and are no views themselves."""

TABLES = tuple(table.name for table in schema.TABLES)


class Relation(NamedTuple):
    """Describe a table or view; ``key`` are the columns that identify a row, none for appended rows."""

    name: str
    about: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    append: bool = False
    """Whether rows are only appended."""


class Question(NamedTuple):
    """Hold a worked question of the documentation, and the query that answers it.

    The SQL is valid in DuckDB and PostgreSQL; its names have no dataset.
    """

    name: str
    question: str
    note: str
    sql: str


@cache
def source(view: str) -> str:
    """Return the text of the file of a view or part, in DuckDB's dialect."""
    folder = "parts" if view in PARTS else "models"
    return (files(__package__) / folder / f"{view}.sql").read_text(encoding="utf-8")


@cache
def base_tables(view: str) -> frozenset[str]:
    """Return the tables that a view is made from, directly or through other views and parts."""
    return made_from(view).intersection(TABLES)


@cache
def made_from(view: str) -> frozenset[str]:
    """Return the tables, views and parts that a view is made from, directly or through others."""
    names = set(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", source(view))).intersection((*TABLES, *VIEWS, *PARTS))
    return frozenset(names).union(*(made_from(name) for name in names.difference(TABLES)))


@cache
def views() -> tuple[Relation, ...]:
    """Return the views, in the order of ``VIEWS``."""
    return tuple(_relation(name, tomllib.loads(_header(source(name)))) for name in VIEWS)


def views_of(dialect: str) -> tuple[Relation, ...]:
    """Return the views that a dialect can express, in the order of ``VIEWS``."""
    has_time_zones = dialect_of(dialect).has_time_zones
    return tuple(view for view in views() if has_time_zones or "tenant_zones" not in made_from(view.name))


@cache
def tables() -> tuple[Relation, ...]:
    """Return the tables, in the order of ``TABLES``."""
    return tuple(Relation(table.name, table.about, table.key, table.columns, table.append) for table in schema.TABLES)


@cache
def questions() -> tuple[Question, ...]:
    """Return the worked questions, in the order of the documentation."""
    folder = files(__package__) / "questions"
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".sql")}
    return tuple(_question(name.removesuffix(".sql"), texts[name]) for name in sorted(texts))


def _question(name: str, text: str) -> Question:
    described = tomllib.loads(_header(text))
    sql = text.splitlines()[len(_header(text).splitlines()) :]
    return Question(name, described["question"], described.get("note", ""), "\n".join(sql))


def _header(text: str) -> str:
    """Return the comment lines at the start of a file, without ``--``."""
    lines = takewhile(lambda line: line.startswith("--"), text.splitlines())
    return "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines)


def _relation(name: str, described: Mapping[str, Any]) -> Relation:
    columns = tuple(_column(column, text) for column, text in described["columns"].items())
    return Relation(name, described["about"], tuple(described["key"]), columns)


def _column(name: str, text: str) -> Column:
    kind, _, description = text.partition(": ")
    type_, _, unit = kind.partition(", ")
    return Column(name, type_, description, unit)
