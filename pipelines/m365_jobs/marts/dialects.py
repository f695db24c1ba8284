"""List what each dialect of SQL can do, as far as sqlglot does not know it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SqlDialect:
    """Describe a dialect by sqlglot's name. Without an entry in ``DIALECTS`` it has none of these abilities."""

    name: str
    is_shipped: bool = False
    """Views and queries are shipped rendered, and literals are written without sqlglot: tests compare both."""
    has_comments: bool = False
    """Descriptions become comments on views, tables and columns; several statements are run at once."""
    materializes: bool = False
    """A part of a query can be evaluated once."""
    widens_sums: bool = False
    """The sum of bigints is of a wider type, and may be too large for a bigint."""
    has_collation_c: bool = False
    """The collation "C" gives the same letters and order in a database of any language."""
    replaces_once: bool = False
    """regexp_replace needs to be told to replace all matches; elsewhere a fourth argument means another thing or is an
    error."""
    knows_zones: bool = False
    """A time is converted to an IANA time zone that a column names."""
    has_catalog: bool = False
    """The catalog of names and columns is read as ``cli.completer`` asks it."""
    is_own_catalog: bool = False
    """The file is its own catalog: views that named it would break when the file is renamed or attached."""
    keeps_types: bool = False
    """A view is replaced only by one whose columns have the same names and types."""
    lock_timeout: str = ""
    """Statement for transactions that change tables or views. These wait for all readers, and new readers wait behind
    them. A reader may take hours: a transaction that was left open."""
    seconds: str = ""
    """Expression for the seconds since 1970 of ``:x``."""
    zone_function: str = ""
    """Function that converts a time to a time zone."""
    has_join_defaults: bool = False
    """Columns of a join that finds nothing have defaults instead of nulls, unless nulls are asked for."""


DUCKDB = SqlDialect(
    "duckdb",
    is_shipped=True,
    has_comments=True,
    materializes=True,
    widens_sums=True,
    has_collation_c=True,
    replaces_once=True,
    knows_zones=True,
    has_catalog=True,
    is_own_catalog=True,
)

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"

DIALECTS = (
    DUCKDB,
    replace(DUCKDB, name="postgres", is_own_catalog=False, keeps_types=True, lock_timeout=LOCK_TIMEOUT),
    SqlDialect("bigquery", knows_zones=True, seconds="UNIX_SECONDS(:x)"),
    SqlDialect("clickhouse", seconds="toUnixTimestamp(:x)", zone_function="toTimeZone", has_join_defaults=True),
    SqlDialect("tsql", seconds="DATEDIFF_BIG(SECOND, '1970-01-01', :x)"),
    *(SqlDialect(name, knows_zones=True) for name in ("redshift", "snowflake", "databricks", "athena", "trino")),
)

SHIPPED = tuple(dialect.name for dialect in DIALECTS if dialect.is_shipped)
"""Names of the dialects whose views and queries are shipped rendered."""

_BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def dialect_of(name: str) -> SqlDialect:
    """Return the dialect of sqlglot's name."""
    return _BY_NAME.get(name) or SqlDialect(name)
