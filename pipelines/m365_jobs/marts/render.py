"""Render a view's plain SQL for the dialect, dataset and settings of a destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache

import sqlglot
from avepoint_m365.constants import ObjectType
from sqlglot import exp

from m365_jobs.config.protection import Protection
from m365_jobs.marts.catalog import PARTS, TABLES, VIEWS, source
from m365_jobs.marts.dialects import SqlDialect, dialect_of
from m365_jobs.marts.literals import constants

DIALECT = "duckdb"
"""sqlglot's name of the dialect of the SQL files."""

NameParts = Callable[[str], Sequence[str]]
"""Function of the name of a table or view to the parts of its full name, unquoted."""

CONFIGURED = ("settings", "zones")
"""Names of the subqueries in the files that are replaced by rows of the configuration."""

MARK = "'m365_shipped_{}' AS tenant"
"""Placeholder for these rows in the views that are shipped."""


def render_view(view: str, dialect: str, protection: Protection, name_parts: NameParts | None = None) -> str:
    """Return the query of a view in another dialect; without ``name_parts``, table names are not qualified."""
    return _query(view, dialect, protection, name_parts).sql(dialect, pretty=True, comments=False)


def expanded(sql: str, dialect: str, configured: Mapping[str, exp.Expr]) -> exp.Expr:
    """Return a query, written in DuckDB's dialect, in another one, with each view replaced by its query.

    ``configured`` has the expression for each name of ``CONFIGURED``. If the query joins a view, its columns must be
    qualified with the alias of their table.
    """
    return _adapt(_parsed_with_views(sql).copy(), dialect, configured)


@lru_cache(maxsize=200)
def _parsed_with_views(sql: str) -> exp.Expr:
    """Return a parsed query, which callers must not change. It is cached: a dashboard repeats its queries."""
    query = sqlglot.parse_one(sql, read=DIALECT)
    assert isinstance(query, exp.Query)
    return _inline_views(query)


def create_view(view: str, dialect: str, protection: Protection | None, name_parts: NameParts) -> str:
    """Return the statement that creates or replaces a view; without ``protection``, with placeholders for its rows."""
    query = _query(view, dialect, protection, name_parts)
    create = exp.Create(this=qualified(name_parts(view)), kind="VIEW", replace=True, expression=query)
    return create.sql(dialect, pretty=True, comments=False)


def _query(view: str, dialect: str, protection: Protection | None, name_parts: NameParts | None) -> exp.Expr:
    if protection:
        texts = configured_rows(protection, dialect)
        configured = {name: sqlglot.parse_one(text, read=dialect) for name, text in texts.items()}
    else:
        configured = {name: exp.select(MARK.format(name)) for name in CONFIGURED}
    query = _adapt(_self_contained(view).copy(), dialect, configured)
    return query.transform(_qualify_table, name_parts, copy=False) if name_parts else query


def _adapt(query: exp.Expr, dialect: str, configured: Mapping[str, exp.Expr]) -> exp.Expr:
    """Return a query with the rows of the configuration, in the dialect of a destination."""
    target_dialect = dialect_of(dialect)
    for cte in query.find_all(exp.CTE):
        if cte.alias in configured:
            cte.set("this", configured[cte.alias].copy())
        if not target_dialect.materializes:
            cte.set("materialized", None)
    query = query.transform(_translate_node, target_dialect, copy=False)
    if target_dialect.has_join_defaults:
        query.set("settings", [exp.EQ(this=exp.column("join_use_nulls"), expression=exp.Literal.number(1))])
    return query


@cache
def _self_contained(view: str) -> exp.Expr:
    return _inline_views(_parsed(view).copy())


def _inline_views(query: exp.Query) -> exp.Expr:
    """Return a query with each view replaced by its query, without unused columns and joins.

    A destination cannot know that a join without used columns changes no row, and would perform it.
    """
    used = {table.name for table in query.find_all(exp.Table)}.intersection((*VIEWS, *PARTS))
    if not used:
        return query
    # Imported here: shipped views and queries do not need the optimizer.
    from sqlglot.optimizer.eliminate_ctes import eliminate_ctes
    from sqlglot.optimizer.pushdown_projections import pushdown_projections
    from sqlglot.optimizer.qualify import qualify

    definitions: dict[str, exp.Query | Callable[[], exp.Query]] = {name: _parsed(name) for name in (*VIEWS, *PARTS)}
    expanded = qualify(exp.expand(query, definitions, dialect=DIALECT), dialect=DIALECT, quote_identifiers=False)
    pruned = pushdown_projections(expanded)
    for select in pruned.find_all(exp.Select):
        _remove_unused_joins(select)
    return eliminate_ctes(pruned)


@cache
def _parsed(view: str) -> exp.Query:
    """Return a parsed view or part, which callers must not change."""
    query = sqlglot.parse_one(source(view), read=DIALECT)
    assert isinstance(query, exp.Query)
    return query


def _remove_unused_joins(select: exp.Select) -> None:
    """Remove left joins whose columns the query does not use. They join by key, so the rows stay the same."""

    def needed(join: exp.Join) -> bool:
        return join.side != "LEFT" or any(
            column.table == join.alias_or_name and column.find_ancestor(exp.Join) is not join
            for column in select.find_all(exp.Column)
        )

    select.set("joins", [join for join in select.args.get("joins") or [] if needed(join)])


def configured_rows(protection: Protection, dialect: str) -> dict[str, str]:
    """Return the query of the rows for each name of ``CONFIGURED``."""
    zones = ({"tenant": tenant, "time_zone": zone} for tenant, zone in protection.time_zones.items())
    return {"settings": constants(_settings(protection), dialect), "zones": constants(zones, dialect)}


def _settings(protection: Protection) -> Iterator[Mapping[str, str | float]]:
    """Yield a row per object type for each tenant with its own services, and for '': all other tenants."""
    for tenant, services in {"": protection.services, **protection.of_tenant}.items():
        for kind in ObjectType:
            yield {
                "tenant": tenant,
                "object_type": kind.name,
                "expected": int(kind.name in services.expected),
                "ignored": int(kind.name in services.ignored),
                "allowed_age_hours": protection.allowed_age(kind.name),
                "tolerated_failed_ratio": protection.tolerated_failed_ratio,
            }


def _translate_node(node: exp.Expr, dialect: SqlDialect) -> exp.Expr:
    """Replace expressions that sqlglot does not translate."""
    if isinstance(node, exp.TimeToUnix) and dialect.seconds:
        template = sqlglot.parse_one(dialect.seconds, read=dialect.name)
        return exp.replace_placeholders(template, x=node.this)
    if isinstance(node, exp.RegexpReplace) and not dialect.needs_replace_flag:
        node.set("modifiers", None)
    if isinstance(node, exp.Cast) and node.is_type("bigint") and node.find(exp.Sum) and dialect.has_wide_sums:
        return _clamped(node)
    if isinstance(node, exp.Collate):
        # sqlglot has changed the name to lower case.
        node.set("expression", exp.to_identifier("C", quoted=True))
        return node if dialect.has_collation_c else node.this
    if isinstance(node, exp.AtTimeZone) and dialect.zone_function:
        return exp.func(dialect.zone_function, node.this, node.args["zone"])
    return node


def _clamped(cast: exp.Cast) -> exp.Cast:
    """Return a sum limited to the range of a bigint: an absurd count of one job must not fail a query of all jobs."""
    limit = 2**63 - 1
    cast.set("this", exp.func("LEAST", exp.func("GREATEST", cast.this, exp.convert(-limit)), exp.convert(limit)))
    return cast


def _qualify_table(node: exp.Expr, name_parts: NameParts) -> exp.Expr:
    if isinstance(node, exp.Table) and node.name in TABLES and not node.db:
        table = qualified(name_parts(node.name))
        table.set("alias", node.args.get("alias"))
        return table
    return node


def qualified(parts: Sequence[str]) -> exp.Table:
    """Return a table by the parts of its full name."""
    name, db, catalog = [*reversed(parts), None, None][:3]
    return exp.table_(name or "", db, catalog, quoted=True)
