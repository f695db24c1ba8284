"""Describe the dialects of SQL, as far as sqlglot does not translate their differences."""

from __future__ import annotations

from typing import NamedTuple


class SqlDialect(NamedTuple):
    """Describe a dialect; ``name`` is sqlglot's. A dialect that is not in ``DIALECTS`` has the defaults."""

    name: str
    is_shipped: bool = False
    """Rendered views and queries are part of the package, and literals are written without sqlglot; a test compares."""
    has_comments: bool = False
    """Descriptions become comments on views, tables and columns; one call runs several statements."""
    materializes: bool = False
    """A part of a query can be evaluated once."""
    has_wide_sums: bool = False
    """The sum of bigints has a wider type, and may exceed a bigint."""
    has_collation_c: bool = False
    """The collation "C" exists, which sorts and compares alike in a database of any language."""
    needs_replace_flag: bool = False
    """regexp_replace replaces all matches only with the flag g; in other dialects a fourth argument is an error."""
    has_time_zones: bool = False
    """A time can be converted to the IANA time zone in a column."""
    has_catalog: bool = False
    """``cli.completer`` can query the catalog of names and columns."""
    is_own_catalog: bool = False
    """The file is the catalog: views that name it would break when the file is renamed or attached."""
    keeps_types: bool = False
    """A view can be replaced only if the names and types of its columns stay."""
    lock_timeout: str = ""
    """Statement for transactions that change tables or views. These wait for all readers, and new readers wait for
    them: a transaction that a reader leaves open would block both for hours."""
    seconds: str = ""
    """Expression for the seconds since 1970 of ``:x``."""
    zone_function: str = ""
    """Function that converts a time to a time zone."""
    has_join_defaults: bool = False
    """Unmatched rows of an outer join have defaults instead of nulls, unless a setting demands nulls."""


DUCKDB = SqlDialect(
    "duckdb",
    is_shipped=True,
    has_comments=True,
    materializes=True,
    has_wide_sums=True,
    has_collation_c=True,
    needs_replace_flag=True,
    has_time_zones=True,
    has_catalog=True,
    is_own_catalog=True,
)

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"

DIALECTS = (
    DUCKDB,
    DUCKDB._replace(name="postgres", is_own_catalog=False, keeps_types=True, lock_timeout=LOCK_TIMEOUT),
    SqlDialect("bigquery", has_time_zones=True, seconds="UNIX_SECONDS(:x)"),
    SqlDialect("clickhouse", seconds="toUnixTimestamp(:x)", zone_function="toTimeZone", has_join_defaults=True),
    SqlDialect("tsql", seconds="DATEDIFF_BIG(SECOND, '1970-01-01', :x)"),
    *(SqlDialect(name, has_time_zones=True) for name in ("redshift", "snowflake", "databricks", "athena", "trino")),
)

SHIPPED = tuple(dialect.name for dialect in DIALECTS if dialect.is_shipped)
"""Names of the dialects whose views and queries are shipped rendered."""

_BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def dialect_of(name: str) -> SqlDialect:
    """Return the dialect with sqlglot's ``name``."""
    return _BY_NAME.get(name) or SqlDialect(name)
