"""Limit queries of the warehouse to the rows of some tenants, on any destination."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity

from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.protection import Protection
from m365_jobs.config.protection import protection as configured_protection
from m365_jobs.config.tenants import configured
from m365_jobs.errors.exceptions import UsageError
from m365_jobs.marts.literals import literal
from m365_jobs.marts.render import configured_rows
from m365_jobs.marts.translate import ROWS, TABLE, translate
from m365_jobs.schema import TABLES
from m365_jobs.warehouse.reader import Reader, open_reader
from m365_jobs.warehouse.target import Target

CLOCK_COLUMNS = {"load_audit": ("started_at", "window_end"), "load_runs": ("started_at",)}
"""Times that a load reads from the clock of its machine. A time in the future makes its load the newest, which would
hide later loads until that time."""

TABLES_WITHOUT_TENANT = frozenset(table.name for table in TABLES if "tenant" not in table.names)
"""Tables whose rows apply to all tenants, such as the meaning of state words."""

CLOCKS_DIFFER = timedelta(hours=1)
"""How far a time may lie in the future: the clocks of two machines differ."""

LOADED_TENANTS = "SELECT DISTINCT tenant FROM load_runs ORDER BY tenant"


class TenantScope:
    """Run queries on the rows of some tenants, or of all.

    Queries are written in DuckDB's dialect, with unqualified names of tables and views. The scope translates them to
    the destination's dialect and filters each table, so no query needs a filter. Views are replaced by their queries
    with the current configuration, so that a lake has them as well. Loads whose clock was ahead are left out.
    """

    def __init__(
        self,
        reader: Reader,
        tenants: Sequence[str] = (),
        protection: Protection | None = None,
        clocks_ahead: bool = False,
    ) -> None:
        """Limit ``reader`` to ``tenants``; all are visible if empty.

        ``protection`` is the configured one if unset. ``clocks_ahead`` includes loads whose clock was ahead.
        """
        self.reader = reader
        self.tenants = tuple(tenants)
        self._protection = protection or configured_protection()
        self._clocks_ahead = clocks_ahead

    def with_clocks_ahead(self) -> TenantScope:
        """Return the same scope with the loads whose clock was ahead."""
        return TenantScope(self.reader, self.tenants, self._protection, clocks_ahead=True)

    def ignores(self, tenant: str | None, object_type: str | None) -> bool:
        """Return whether the configuration leaves out a service of a tenant (``ignored_object_types``)."""
        services = self._protection.of_tenant.get(tenant or "", self._protection.services)
        return object_type in services.ignored

    def sql(self, query: str, **values: Any) -> str:
        """Return a query in the destination's dialect; ``:name`` in it is replaced by the value of that name."""
        dialect = self.reader.dialect
        values = {**values, "latest": self._latest()}

        def fill(kind: str, name: str) -> str:
            if kind == ROWS:
                return configured_rows(self._protection, dialect)[name]
            return self._filtered(name) if kind == TABLE else literal(values[name], dialect)

        return translate(query, dialect, fill)

    def _filtered(self, table: str) -> str:
        """Return a table, or the query of its visible rows."""
        dialect, conditions = self.reader.dialect, []
        if self.tenants and table not in TABLES_WITHOUT_TENANT:
            conditions.append(f"tenant IN ({', '.join(literal(tenant, dialect) for tenant in self.tenants)})")
        if not self._clocks_ahead:
            conditions += [f"{column} <= {literal(self._latest(), dialect)}" for column in CLOCK_COLUMNS.get(table, ())]
        name = self.reader.table(table)
        return f"(SELECT * FROM {name} WHERE {' AND '.join(conditions)})" if conditions else name

    def _latest(self) -> datetime:
        return datetime.now(UTC) + CLOCKS_DIFFER

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries, with times in UTC.

        Raises:
            DestinationUndefinedEntity: before the first load.
            DatabaseException: if the destination refuses the query.
        """
        return self.reader.rows(self.sql(query, **values))

    def loaded_tenants(self) -> list[str]:
        """Return the tenants with a load, failed ones included, in alphabetical order."""
        try:
            rows = self.with_clocks_ahead().rows(LOADED_TENANTS)
            return [row["tenant"] for row in rows]
        except DestinationUndefinedEntity:
            return []


@contextmanager
def open_scope(target: Target, tenants: Sequence[str] = ()) -> Iterator[TenantScope]:
    """Yield the scope of ``--tenant NAME ...``; all tenants if none is named.

    Raises:
        UsageError: for a tenant that is neither configured nor loaded.
    """
    with open_reader(target) as reader:
        refuse_unknown(reader, tenants)
        yield TenantScope(reader, tuple(dict.fromkeys(tenants)))


def refuse_unknown_names(target: Target, tenants: Sequence[str]) -> None:
    """Refuse a tenant that is neither configured nor loaded; open the warehouse only if the configuration lacks it.

    Raises:
        UsageError: naming the tenant.
    """
    if {*tenants} - {*configured(), configured_tenant()}:
        with open_reader(target) as reader:
            refuse_unknown(reader, tenants)


def refuse_unknown(reader: Reader, tenants: Sequence[str]) -> None:
    """Refuse a tenant that is neither configured nor loaded.

    Raises:
        UsageError: naming the tenant.
    """
    known = {*configured(), configured_tenant(), *(TenantScope(reader).loaded_tenants() if tenants else ())}
    for name in tenants:
        if name not in known:
            # The message lists no tenants: a query about one customer must not name the others.
            raise UsageError(
                f"Tenant {name!r} is neither in the configuration nor in the warehouse. m365-jobs status lists all "
                "tenants."
            )
