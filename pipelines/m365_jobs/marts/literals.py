"""Write values as SQL; for DuckDB and PostgreSQL without sqlglot's generator, a tenth of a reader's start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlglot import exp

from m365_jobs.marts.dialects import SHIPPED


def literal(value: Any, dialect: str) -> str:
    """Return a value as a literal of a dialect."""
    plain = _plain(value) if dialect in SHIPPED else None
    return exp.convert(value).sql(dialect) if plain is None else plain


def _plain(value: Any) -> str | None:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() | float():
            return str(value)
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime() if value.tzinfo:
            return f"CAST('{value.isoformat(sep=' ')}' AS TIMESTAMPTZ)"
    return None


def constants(rows: Iterable[Mapping[str, str | float]], dialect: str) -> str:
    """Return a query whose result is these rows."""
    if dialect in SHIPPED:
        columns = (", ".join(f"{literal(value, dialect)} AS {name}" for name, value in row.items()) for row in rows)
        return " UNION ALL ".join(f"SELECT {values}" for values in columns)
    selects = [exp.select(*(exp.alias_(exp.convert(value), name) for name, value in row.items())) for row in rows]
    return (exp.union(*selects, distinct=False) if len(selects) > 1 else selects[0]).sql(dialect)
