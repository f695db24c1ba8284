"""Narrow questions to the warehouse to the rows of some tenants, on any destination."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity
from sqlglot import exp

from m365_jobs import marts
from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.tenants import configured
from m365_jobs.errors.explain import UsageError
from m365_jobs.marts.render import expanded
from m365_jobs.schema import TABLES
from m365_jobs.warehouse.reader import Reader, open_reader
from m365_jobs.warehouse.target import Target

VALUE = re.compile("\0(\\w+)\0")
"""Where a value goes in a translated query. No SQL and no tenant's name holds NUL."""

WRITTEN = {"load_audit": "window_end", "load_runs": "started_at"}
"""Times that a load takes from the clock of its machine. One that was ahead once would make its load the newest, and so
hide what later ones found, until real time has caught up."""

SHARED = frozenset(table.name for table in TABLES if "tenant" not in table.names)
"""Tables without a tenant: what the vendor's words mean is the same for all."""

CLOCKS_DIFFER = timedelta(hours=1)
"""How far a time may lie ahead all the same: clocks of two machines differ."""


TENANTS = "visible_tenants"
"""Name of the value that stands for the tenants of a scope."""

MOST_TRANSLATED = 1_000

_TRANSLATED: dict[tuple[object, ...], str] = {}
"""Translations of queries for all scopes of the process: a translation lasts longer than most answers."""


class TenantScope:
    """Show the warehouse of some tenants, or of all.

    Queries are written in DuckDB's dialect, with the bare names of tables and views. They reach the destination in its
    own dialect, each table narrowed to the tenants, so no query needs a filter. Views are put in as their queries, with
    the present configuration, so that a lake has them as well. Rows of loads whose clock was ahead are left out.
    """

    def __init__(
        self,
        reader: Reader,
        tenants: Sequence[str] = (),
        protection: marts.Protection | None = None,
        clocks_ahead: bool = False,
    ) -> None:
        """Narrow ``reader`` to ``tenants``; all are visible if empty.

        ``protection`` is the configuration's if unset. ``clocks_ahead`` shows loads whose clock was ahead as well.
        """
        self.reader = reader
        self.tenants = tuple(tenants)
        self._protection = protection or marts.protection()
        self._clocks_ahead = clocks_ahead

    def with_clocks_ahead(self) -> TenantScope:
        """Return the same scope with the loads whose clock was ahead."""
        return TenantScope(self.reader, self.tenants, self._protection, clocks_ahead=True)

    def sql(self, query: str, **values: Any) -> str:
        """Return a query in the destination's dialect; ``:name`` in it stands for one of ``values``."""
        dialect = self.reader.dialect
        key = (
            query,
            dialect,
            self.reader.table("jobs"),
            repr(self._protection),
            self._clocks_ahead,
            bool(self.tenants),
        )
        translated = _TRANSLATED.get(key)
        if translated is None:
            if len(_TRANSLATED) >= MOST_TRANSLATED:
                _TRANSLATED.clear()
            translated = _TRANSLATED[key] = self._translate(query)
        values = {**values, "latest": datetime.now(UTC) + CLOCKS_DIFFER}
        literals = {name: exp.convert(value).sql(dialect) for name, value in values.items()}
        literals[TENANTS] = ", ".join(exp.convert(tenant).sql(dialect) for tenant in self.tenants)
        return VALUE.sub(lambda name: literals[name[1]], translated)

    def _translate(self, query: str) -> str:
        """Return the query with a mark for each value that occurs nowhere else in it."""
        dialect = self.reader.dialect
        asked = expanded(query, dialect, self._protection)
        for place in list(asked.find_all(exp.Placeholder)):
            place.replace(exp.var(f"\0{place.name}\0"))
        local = {cte.alias for cte in asked.find_all(exp.CTE)}

        def narrowed(node: exp.Expr) -> exp.Expr:
            if not isinstance(node, exp.Table) or node.db or node.name in local:
                return node
            table = exp.to_table(self.reader.table(node.name), dialect=dialect)
            by_tenant = self.tenants and node.name not in SHARED
            conditions: list[exp.Expr] = [exp.column("tenant").isin(exp.var(f"\0{TENANTS}\0"))] if by_tenant else []
            if node.name in WRITTEN and not self._clocks_ahead:
                conditions.append(exp.column(WRITTEN[node.name]) <= exp.var("\0latest\0"))
            if not conditions:
                return exp.alias_(table, node.alias_or_name, table=True)
            return exp.select("*").from_(table).where(*conditions).subquery(node.alias_or_name)

        return asked.transform(narrowed, copy=False).sql(dialect, comments=False)

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the whole answer, a dictionary for each row, times in UTC.

        Raises:
            DestinationUndefinedEntity: where nothing was loaded yet.
        """
        return self.reader.rows(self.sql(query, **values))

    def loaded_tenants(self) -> list[str]:
        """Return the tenants that have loaded something, or tried to, in alphabetical order."""
        try:
            rows = self.with_clocks_ahead().rows("SELECT DISTINCT tenant FROM load_runs ORDER BY tenant")
            return [row["tenant"] for row in rows]
        except DestinationUndefinedEntity:
            return []


@contextmanager
def open_scope(target: Target, tenants: Sequence[str] = ()) -> Iterator[TenantScope]:
    """Yield the warehouse as ``--tenant NAME ...`` sees it; all of it if none is named.

    Raises:
        UsageError: for a tenant that neither the configuration nor the warehouse knows.
    """
    with open_reader(target) as reader:
        refuse_unknown(reader, tenants)
        yield TenantScope(reader, tuple(dict.fromkeys(tenants)))


def refuse_unknown(reader: Reader, tenants: Sequence[str]) -> None:
    """Refuse a tenant that neither the configuration nor the warehouse knows."""
    known = {*configured(), configured_tenant(), *(TenantScope(reader).loaded_tenants() if tenants else ())}
    for name in tenants:
        if name not in known:
            # The known ones are not listed: what is asked about one customer is not to name the others.
            raise UsageError(f"Tenant {name!r} is neither in the configuration nor in the warehouse.")
