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
"""SqlDialect of the files."""

Place = Callable[[str], Sequence[str]]
"""Function of a table or view to the parts of its full name, unquoted."""

CONFIGURED = ("settings", "zones")
"""Names of the queries in the files that stand for rows of the configuration."""

MARK = "'m365_shipped_{}' AS tenant"
"""What ``create_view`` selects in place of these rows."""


def render_view(view: str, dialect: str, protection: Protection, place: Place | None = None) -> str:
    """Return the query of a view in another dialect. Without ``place`` tables have bare names."""
    return _query(view, dialect, protection, place).sql(dialect, pretty=True, comments=False)


def expanded(sql: str, dialect: str, configured: Mapping[str, exp.Expr]) -> exp.Expr:
    """Return a query of DuckDB's dialect in another, with the queries of views in place of their names.

    ``configured`` stands in place of the rows of each of ``CONFIGURED``.

    Columns have the alias of their table before them where a view is joined.
    """
    return _adapted(_parsed_lean(sql).copy(), dialect, configured)


@lru_cache(maxsize=200)
def _parsed_lean(sql: str) -> exp.Expr:
    """Return a parsed query that callers must not change. A dashboard repeats its queries, and parsing is slow."""
    query = sqlglot.parse_one(sql, read=DIALECT)
    assert isinstance(query, exp.Query)
    return _lean(query)


def create_view(view: str, dialect: str, protection: Protection | None, place: Place) -> str:
    """Return the statement that creates or replaces a view; without ``protection``, with a mark for its rows."""
    query = _query(view, dialect, protection, place)
    create = exp.Create(this=qualified(place(view)), kind="VIEW", replace=True, expression=query)
    return create.sql(dialect, pretty=True, comments=False)


def _query(view: str, dialect: str, protection: Protection | None, place: Place | None) -> exp.Expr:
    if protection:
        texts = configured_rows(protection, dialect)
        configured = {name: sqlglot.parse_one(text, read=dialect) for name, text in texts.items()}
    else:
        configured = {name: exp.select(MARK.format(name)) for name in CONFIGURED}
    query = _adapted(_self_contained(view).copy(), dialect, configured)
    return query.transform(_placed, place, copy=False) if place else query


def _adapted(query: exp.Expr, dialect: str, configured: Mapping[str, exp.Expr]) -> exp.Expr:
    """Return a query without views, with the configuration and the spelling of a destination."""
    spoken = dialect_of(dialect)
    for cte in query.find_all(exp.CTE):
        if cte.alias in configured:
            cte.set("this", configured[cte.alias].copy())
        if not spoken.materializes:
            cte.set("materialized", None)
    query = query.transform(_spelled, spoken, copy=False)
    if spoken.has_join_defaults:
        query.set("settings", [exp.EQ(this=exp.column("join_use_nulls"), expression=exp.Literal.number(1))])
    return query


@cache
def _self_contained(view: str) -> exp.Expr:
    return _lean(_parsed(view).copy())


def _lean(query: exp.Query) -> exp.Expr:
    """Return a query with the queries of views in their place, without unused columns and joins.

    Each definition stands in one file, and a count of jobs does not add up errors. A destination cannot know that a
    join without used columns changes nothing, and would perform it.
    """
    asked = {table.name for table in query.find_all(exp.Table)}.intersection((*VIEWS, *PARTS))
    if not asked:
        return query
    # Shipped views and queries need none of it.
    from sqlglot.optimizer.eliminate_ctes import eliminate_ctes
    from sqlglot.optimizer.pushdown_projections import pushdown_projections
    from sqlglot.optimizer.qualify import qualify

    others: dict[str, exp.Query | Callable[[], exp.Query]] = {name: _parsed(name) for name in (*VIEWS, *PARTS)}
    expanded = qualify(exp.expand(query, others, dialect=DIALECT), dialect=DIALECT, quote_identifiers=False)
    lean = pushdown_projections(expanded)
    for select in lean.find_all(exp.Select):
        _spare_joins(select)
    return eliminate_ctes(lean)


@cache
def _parsed(view: str) -> exp.Query:
    """Return the parsed view or part, which callers must not change."""
    query = sqlglot.parse_one(source(view), read=DIALECT)
    assert isinstance(query, exp.Query)
    return query


def _spare_joins(select: exp.Select) -> None:
    """Remove left joins that the rest of the query does not use. They join by key, so the rows stay the same."""

    def needed(join: exp.Join) -> bool:
        return join.side != "LEFT" or any(
            column.table == join.alias_or_name and column.find_ancestor(exp.Join) is not join
            for column in select.find_all(exp.Column)
        )

    select.set("joins", [join for join in select.args.get("joins") or [] if needed(join)])


def configured_rows(protection: Protection, dialect: str) -> dict[str, str]:
    """Return the queries that give the rows of each of ``CONFIGURED``."""
    zones = ({"tenant": tenant, "time_zone": zone} for tenant, zone in protection.time_zones.items())
    return {"settings": constants(_settings(protection), dialect), "zones": constants(zones, dialect)}


def _settings(protection: Protection) -> Iterator[Mapping[str, str | float]]:
    """Yield a row for each object type of each tenant with services of its own, and of '', which is all others."""
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


def _spelled(node: exp.Expr, dialect: SqlDialect) -> exp.Expr:
    """Replace expressions that sqlglot does not translate."""
    if isinstance(node, exp.TimeToUnix) and dialect.seconds:
        template = sqlglot.parse_one(dialect.seconds, read=dialect.name)
        return exp.replace_placeholders(template, x=node.this)
    if isinstance(node, exp.RegexpReplace) and not dialect.replaces_once:
        node.set("modifiers", None)
    if isinstance(node, exp.Cast) and node.is_type("bigint") and node.find(exp.Sum) and dialect.widens_sums:
        return _limited(node)
    if isinstance(node, exp.Collate):
        # On the way here sqlglot made its name small.
        node.set("expression", exp.to_identifier("C", quoted=True))
        return node if dialect.has_collation_c else node.this
    if isinstance(node, exp.AtTimeZone) and dialect.zone_function:
        return exp.func(dialect.zone_function, node.this, node.args["zone"])
    return node


def _limited(cast: exp.Cast) -> exp.Cast:
    """Return a sum as a bigint that ends at its limit: an absurd count of one job must not fail the query of all."""
    limit = 2**63 - 1
    cast.set("this", exp.func("LEAST", exp.func("GREATEST", cast.this, exp.convert(-limit)), exp.convert(limit)))
    return cast


def _placed(node: exp.Expr, place: Place) -> exp.Expr:
    if isinstance(node, exp.Table) and node.name in TABLES and not node.db:
        table = qualified(place(node.name))
        table.set("alias", node.args.get("alias"))
        return table
    return node


def qualified(parts: Sequence[str]) -> exp.Table:
    """Return a table by the parts of its full name."""
    name, db, catalog = [*reversed(parts), None, None][:3]
    return exp.table_(name or "", db, catalog, quoted=True)
