"""Read the pages of the dashboard, and cache them until another load has been recorded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import TypeAlias, TypeVar

from avepoint_m365.exceptions import ConfigurationError
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseException

from m365_jobs.config.calendar import TenantCalendar, common_calendar
from m365_jobs.config.default_tenant import configured_tenant
from m365_jobs.config.protection import max_data_age, protection
from m365_jobs.errors.driver_messages import in_use
from m365_jobs.errors.explain import explain
from m365_jobs.health.evaluate import Evaluation, evaluate_scope
from m365_jobs.reports import metrics, sections
from m365_jobs.reports.dashboard.connection import WarehouseConnection, WarehouseUnavailableError
from m365_jobs.reports.metrics import FilterOptions, LoadVersion
from m365_jobs.reports.page import Page
from m365_jobs.reports.paper import page_tenants
from m365_jobs.reports.view import Filter
from m365_jobs.waiting import retry_while
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.reader import opener
from m365_jobs.warehouse.target import Target, duckdb_file
from m365_jobs.warehouse.tenant_scope import TenantScope, refuse_unknown

LOCK_TIMEOUT_SECONDS = 3.0
"""Seconds to wait for a load that writes a DuckDB file; it locks the file for less than that."""

CACHE_TTL_SECONDS = 5.0
"""Seconds, at most, for which a cached page is returned without a query."""

EVALUATION_TTL_SECONDS = 60.0
"""Seconds after which health is evaluated again even without another load, since its result depends on the time."""

MAX_CACHED_PAGES = 100
"""Number of cached pages, and of cached evaluations, at most; the oldest are removed first."""

WRITING_NOTICE = "A load is writing. The page shows new numbers in a moment."
EMPTY_NOTICE = "Nothing is loaded yet. Run: m365-jobs load"

Result = TypeVar("Result")

Tenants: TypeAlias = tuple[str, ...]
"""Labels of tenants; all tenants if empty."""


@dataclass(frozen=True)
class CachedPage:
    """Hold the data of a page, and the recorded loads that it was read after."""

    version: LoadVersion
    read_at: float
    """Clock of ``time.monotonic``."""
    drawn_at: datetime
    """UTC."""
    page: Page | None
    """None before the first load."""
    options: FilterOptions


class PageCache:
    """Read one warehouse for all pages of the dashboard; threads share it."""

    def __init__(self, pipeline: Target, tenants: Tenants, refresh_seconds: float = 2 * CACHE_TTL_SECONDS) -> None:
        """Show ``tenants``, or all if empty. Open pages refresh every ``refresh_seconds``."""
        self._ttl_seconds = min(CACHE_TTL_SECONDS, refresh_seconds / 2)
        self.visible = Filter(tenants)
        self._pipeline = pipeline
        self._protection = protection()
        self._tenants_are_checked = False
        self._is_file = duckdb_file(pipeline) is not None
        self._connection = WarehouseConnection(opener(pipeline), is_shared=self._is_file)
        self._pages: OrderedDict[Filter, CachedPage] = OrderedDict()
        self._evaluations: OrderedDict[tuple[LoadVersion, Tenants], tuple[float, Evaluation]] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self, filters: Filter, zone: tzinfo | None, lock_timeout: float = LOCK_TIMEOUT_SECONDS
    ) -> tuple[CachedPage | None, str]:
        """Return a page, and a notice that is empty if the page is current.

        The page is None if it was never read and the warehouse is unavailable. ``zone`` replaces the configured time
        zone. ``lock_timeout`` is in seconds.
        """
        calendar, notice = self._calendar(filters)
        warehouse.clear_config_traces()
        filters = replace(filters, zone=zone or calendar.zone, window=calendar.window)
        with self._lock:
            cached = self._pages.get(filters)
            if cached and time.monotonic() - cached.read_at < self._ttl_seconds:
                return cached, notice
            try:
                page = self._run(filters.tenants, lambda scope: self._read_page(scope, filters, cached), lock_timeout)
            except WarehouseUnavailableError as error:
                return cached, str(error)
            self._store_page(filters, page)
            return page, notice if page.page else EMPTY_NOTICE

    def query(self, tenants: Tenants, read: Callable[[TenantScope], Result]) -> Result:
        """Return the result of ``read``, which queries the rows of some tenants; it is not cached.

        Raises:
            WarehouseUnavailableError: if the warehouse cannot be read.
        """
        with self._lock:
            return self._run(tenants, read, LOCK_TIMEOUT_SECONDS)

    def _calendar(self, filters: Filter) -> tuple[TenantCalendar, str]:
        """Return the calendar that the tenants share, and a notice about an invalid configuration."""
        last = next((cached.page for cached in reversed(self._pages.values()) if cached.page), None)
        names = filters.tenants or (last.tenants if last and not last.filters.tenants else ())
        try:
            return common_calendar(names or [configured_tenant()]), ""
        except ConfigurationError as error:
            return TenantCalendar(), f"{error} Until then times are UTC."

    def _read_page(self, scope: TenantScope, filters: Filter, cached: CachedPage | None) -> CachedPage:
        """Return a page: the cached one with a new evaluation if no load was recorded since, else a new one."""
        visible_scope = TenantScope(scope.reader, self.visible.tenants, self._protection)
        version = metrics.load_version(visible_scope)
        now, started = datetime.now(UTC), time.monotonic()
        if cached and cached.version == version and cached.page:
            page = replace(cached.page, drawn_at=now, evaluation=self._evaluate(scope, version))
            return replace(cached, read_at=started, drawn_at=now, page=page)
        names = page_tenants(scope, filters)
        rows = sections.read_metrics(scope, filters, is_fleet=len(names) > 1)
        options = metrics.filter_options(visible_scope)
        if rows is None:
            return CachedPage(version, started, now, None, options)
        page = Page(filters, now, self._evaluate(scope, version), rows, names, linked=True)
        return CachedPage(version, time.monotonic(), now, page, options)

    def _evaluate(self, scope: TenantScope, version: LoadVersion) -> Evaluation:
        """Return the health of the scope's tenants, from the cache if it is recent."""
        key = (version, scope.tenants)
        cached = self._evaluations.get(key)
        if cached is None or time.monotonic() - cached[0] > EVALUATION_TTL_SECONDS:
            cached = (time.monotonic(), evaluate_scope(scope, self._pipeline, scope.tenants, max_data_age()))
            self._evaluations[key] = cached
            while len(self._evaluations) > MAX_CACHED_PAGES:
                self._evaluations.popitem(last=False)
        return cached[1]

    def _store_page(self, filters: Filter, page: CachedPage) -> None:
        self._pages[filters] = page
        self._pages.move_to_end(filters)
        while len(self._pages) > MAX_CACHED_PAGES:
            self._pages.popitem(last=False)

    def _run(self, tenants: Tenants, read: Callable[[TenantScope], Result], lock_timeout: float) -> Result:
        """Return the result of ``read``; wait up to ``lock_timeout`` seconds for a load that writes a DuckDB file.

        Raises:
            WarehouseUnavailableError: if the warehouse cannot be read.
        """

        def attempt() -> Result:
            with self._connection.reader() as reader:
                if not self._tenants_are_checked:
                    refuse_unknown(reader, self.visible.tenants)
                    self._tenants_are_checked = True
                return read(TenantScope(reader, tenants, self._protection))

        try:
            return retry_while(self._is_busy, attempt, lock_timeout)
        except DestinationUndefinedEntity:
            raise WarehouseUnavailableError(EMPTY_NOTICE) from None
        except DatabaseException as error:
            notice = WRITING_NOTICE if self._is_busy(error) else explain(error).text
            raise WarehouseUnavailableError(notice) from error

    def _is_busy(self, error: Exception) -> bool:
        """Return whether a load has the DuckDB file open."""
        return self._is_file and isinstance(error, DatabaseException) and in_use(error)
