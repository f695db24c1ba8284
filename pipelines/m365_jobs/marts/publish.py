"""Create and update the views of the marts in a warehouse."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import dlt
import duckdb
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.job_client_impl import SqlJobClientBase

from m365_jobs.config.protection import Protection, protection
from m365_jobs.errors import driver_messages
from m365_jobs.errors.exceptions import WarehouseError
from m365_jobs.marts.catalog import (
    PARTS,
    TABLES,
    VIEWS,
    Relation,
    base_tables,
    made_from,
    source,
    tables,
    views,
    views_of,
)
from m365_jobs.marts.dialects import SqlDialect, dialect_of
from m365_jobs.marts.literals import constants
from m365_jobs.marts.render import NameParts, configured_rows, create_view
from m365_jobs.marts.shipped import shipped_view

VERSIONS_VIEW = "_mart_versions"
"""View that stores the version of each view in the warehouse."""

BASE_TABLES = {"jobs", "jobs__backup_details", "jobs__job_errors", "load_audit", "state_words"}
"""Tables without which no view is created."""

DLT_TYPES = {"boolean": "bool"}
"""Type of a column to dlt's name for it, where the names differ."""


def update_views(pipeline: dlt.Pipeline, settings: Protection | None = None, own_client: Any = None) -> list[str]:
    """Create or replace views that are missing or whose text, comments or settings changed; return their names.

    Without changes this costs two short queries. Before the first load it does nothing, and in a lake, which stores no
    views (see ``create_views``).

    Args:
        pipeline: A pipeline of the warehouse.
        settings: The settings of protection; the configured ones if unset.
        own_client: A client of the destination; one of the pipeline if unset.

    Raises:
        WarehouseError: if the destination refuses, for example without the right to create views, or while a
            transaction that has read one is open.
    """
    settings = settings or protection()
    with own_client or pipeline.destination_client() as client:
        if not isinstance(client, SqlJobClientBase):
            return []
        if not (existing := _existing(client)).keys() >= BASE_TABLES:
            return []
        versions = _wanted_versions(client, settings, existing)
        stale = _stale(client, versions, existing)
        if stale:
            wanted = _statements(client, settings, existing)
            statements = [*_drops(client, stale, existing), *(text for name in stale for text in wanted[name])]
            try:
                _execute(client, [*statements, _versions_view(client, versions)])
            except DatabaseException as error:
                # PostgreSQL refuses the second of two loads that replace a view at the same time.
                if _stale(client, versions, _existing(client)):
                    raise WarehouseError(_refused(error, pipeline.dataset_name)) from error
        return [name for name in stale if name in VIEWS]


def _existing(client: SqlJobClientBase) -> dict[str, Any]:
    """Return the columns of each existing table and view of this program, by name."""
    return {name: columns for name, columns in client.get_storage_tables([*TABLES, *VIEWS]) if columns}


def _stale(client: SqlJobClientBase, versions: Mapping[str, str], existing: Mapping[str, Any]) -> list[str]:
    known = _versions(client)
    return [name for name in versions if name not in existing or known.get(name) != versions[name]]


def _refused(error: DatabaseException, dataset: str) -> str:
    """Return the destination's message and the cure. PostgreSQL's hint is left out: it would drop views of the user."""
    words = re.sub(r"\s+", " ", str(error).partition("HINT:")[0]).strip().rstrip(".")
    if "depend on it" in words:
        return f"{words}. Drop those that are yours and make them again after the next load."
    if not driver_messages.may_concern_rights(words):
        return driver_messages.explain_driver_message(words)
    return (
        f"{words}. The user needs the right to create and replace {', '.join(VIEWS)} in dataset {dataset}, where no "
        "table may have their names. The next load tries again."
    )


def create_views(connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
    """Create the views in a DuckDB connection whose schema ``dataset`` has the tables, with the configured settings.

    It serves a lake, whose tables are read through Arrow. Before the first load it does nothing.
    """
    names = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = ?", [dataset])
    existing = {row[0] for row in names.fetchall()}
    if existing >= BASE_TABLES:
        settings = protection()
        for name in (view for view in VIEWS if base_tables(view) <= existing):
            connection.execute(create_view(name, "duckdb", settings, lambda name: (dataset, name)))


def _name_parts(client: SqlJobClientBase) -> NameParts:
    return lambda name: _parts(client, name, quote=False)


def _path(client: SqlJobClientBase, name: str) -> str:
    """Return the quoted path of a relation; sqlglot would import its generator of the dialect, 0.03 s."""
    return ".".join(_parts(client, name, quote=True))


def _parts(client: SqlJobClientBase, name: str, quote: bool) -> list[str]:
    path = client.sql_client.make_qualified_table_name_path(name, quote=quote)
    return path[-2:] if _dialect(client).is_own_catalog else path


def _dialect(client: SqlJobClientBase) -> SqlDialect:
    return dialect_of(str(client.capabilities.sqlglot_dialect))


def _wanted_versions(client: SqlJobClientBase, settings: Protection, existing: Mapping[str, Any]) -> dict[str, str]:
    """Return the version of the statements of each existing view and table, without rendering them.

    Rendering lasts half a second, which a load with nothing new does not spend.
    """
    # Read once: reading them for each relation costs 25 ms.
    renderer = [(files(__package__) / name).read_text(encoding="utf-8") for name in ("render.py", "dialects.py")]
    maker = _digest((version("sqlglot"), renderer))
    texts = _digest([source(name) for name in (*VIEWS, *PARTS)])
    name_parts, dialect, versions = _name_parts(client), _dialect(client).name, {}
    for relation in (*views_of(dialect), *tables()):
        is_view = relation.name in VIEWS
        if base_tables(relation.name) <= existing.keys() if is_view else relation.name in existing:
            rows = _settings_of(relation.name, settings)
            reasons = (relation, texts if is_view else "", rows, dialect, name_parts(relation.name), maker)
            versions[relation.name] = _digest(reasons)[:12]
    return versions


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _settings_of(name: str, settings: Protection) -> str:
    """Return the settings whose change replaces a view; time zones matter only to views that use them."""
    rows = settings._asdict()
    if name not in VIEWS or "tenant_zones" not in made_from(name):
        del rows["time_zones"]
    return json.dumps(
        rows, sort_keys=True, default=lambda value: dict(value) if isinstance(value, Mapping) else sorted(value)
    )


def _statements(client: SqlJobClientBase, settings: Protection, existing: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the statements that create and comment each view, and that comment each table."""
    dialect, name_parts = _dialect(client).name, _name_parts(client)
    rows = configured_rows(settings, dialect)
    statements = {
        view.name: [
            shipped_view(view.name, dialect, rows, name_parts) or create_view(view.name, dialect, settings, name_parts)
        ]
        for view in views_of(dialect)
        if base_tables(view.name) <= existing.keys()
    }
    statements |= {table.name: [] for table in tables() if table.name in existing}
    if _dialect(client).has_comments:
        for relation in (*views(), *tables()):
            if relation.name in statements:
                statements[relation.name] += _comments(relation, _path(client, relation.name))
    return statements


def _comments(relation: Relation, path: str) -> Iterator[str]:
    yield f"COMMENT ON {'VIEW' if relation.name in VIEWS else 'TABLE'} {path} IS {_literal(relation.about)}"
    for column in relation.columns:
        text = f"{column.description} ({column.unit})" if column.unit else column.description
        yield f'COMMENT ON COLUMN {path}."{column.name}" IS {_literal(text)}'


def _literal(text: str) -> str:
    """Return a text as a literal of dialects with comments. sqlglot would need 0.1 s for all comments."""
    return "'" + text.replace("'", "''") + "'"


def _drops(client: SqlJobClientBase, stale: list[str], existing: Mapping[str, Any]) -> Iterator[str]:
    """Yield statements that drop views whose columns changed.

    Others are replaced, and keep their grants.
    """
    for view in views():
        if view.name in stale and view.name in existing:
            has = existing[view.name]
            same = [name.lower() for name in has] == [column.name for column in view.columns]
            if same and _dialect(client).keeps_types:
                types = [DLT_TYPES.get(column.type, column.type) for column in view.columns]
                same = [column["data_type"] for column in has.values()] == types
            if not same:
                yield f"DROP VIEW {_path(client, view.name)}"


def _versions(client: SqlJobClientBase) -> dict[str, str]:
    view = client.sql_client.make_qualified_table_name(VERSIONS_VIEW)
    try:
        rows = client.sql_client.execute_sql(f"SELECT name, version FROM {view}")
    except DestinationUndefinedEntity:
        return {}
    return {row[0]: row[1] for row in rows or ()}


def _versions_view(client: SqlJobClientBase, versions: Mapping[str, str]) -> str:
    rows = ({"name": name, "version": version} for name, version in versions.items())
    return f"CREATE OR REPLACE VIEW {_path(client, VERSIONS_VIEW)} AS {constants(rows, _dialect(client).name)}"


def _execute(client: SqlJobClientBase, statements: list[str]) -> None:
    sql, dialect = client.sql_client, _dialect(client)
    with sql.begin_transaction() if client.capabilities.supports_ddl_transactions else nullcontext():
        if dialect.has_comments:
            statements = [";\n".join(statements)]
        for statement in [dialect.lock_timeout, *statements] if dialect.lock_timeout else statements:
            sql.execute_sql(statement)
