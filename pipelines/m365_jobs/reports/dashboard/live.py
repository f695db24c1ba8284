"""Read the warehouse for the dashboard, again whenever another load has been recorded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import duckdb
from avepoint_m365.exceptions import ConfigurationError
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseException

from m365_jobs import marts
from m365_jobs.config.calendar import TenantCalendar, common_calendar
from m365_jobs.config.protection import max_data_age
from m365_jobs.errors.explain import explain
from m365_jobs.health.evaluate import Evaluation, evaluate_scope
from m365_jobs.reports import metrics, sections
from m365_jobs.reports.metrics import Choices
from m365_jobs.reports.page import Page
from m365_jobs.reports.paper import page_tenants
from m365_jobs.reports.view import Filter
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.reader import Reader, opener
from m365_jobs.warehouse.target import Target
from m365_jobs.warehouse.tenant_scope import TenantScope, refuse_unknown

PATIENCE = 3.0
"""Seconds to wait for a load that writes a DuckDB file: it locks the file for moments."""

FRESH = 5.0
"""Seconds, at most, for which numbers are shown without a look at the warehouse."""

EVALUATION_TTL = 60.0
"""Seconds after which health is evaluated again without another load: data grows old by itself."""

MAX_PAGES = 100
"""Pages that are kept at most."""

WRITING = "A load is writing. The page shows new numbers in a moment."
EMPTY = "Nothing is loaded yet. Run: m365-jobs load"

Answer = TypeVar("Answer")


class WarehouseUnavailableError(Exception):
    """Report that the warehouse cannot be read now; the text is for the page."""


class WarehouseConnection:
    """Connect to the warehouse.

    A DuckDB file is opened once in this process, since a second connection would share the locked settings of the
    first. It stays open for a moment: questions follow each other, and opening is slower than many an answer. On a
    server each question has a connection of its own.
    """

    KEPT_FOR, AT_MOST = 0.25, 2.0
    """Seconds that it stays open after a question, and in all: a load waits for as long."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Reader]], *, shared: bool) -> None:
        self._opened, self._shared = opened, shared
        self._turn = threading.RLock()
        self._stack: ExitStack | None = None
        self._reader: Reader | None = None
        self._since = 0.0
        self._closing: threading.Timer | None = None

    @contextmanager
    def borrowed(self, *, keep: bool) -> Iterator[Reader]:
        """Yield a reader for some questions; ``keep`` announces that more follow."""
        if not self._shared:
            with self._opened() as reader:
                yield reader
            return
        with self._turn:
            if self._closing:
                self._closing.cancel()
            try:
                yield self._reader or self._open()
            except BaseException:
                self._close()
                raise
            if keep and time.monotonic() - self._since < self.AT_MOST:
                self._closing = threading.Timer(self.KEPT_FOR, self._close)
                self._closing.daemon = True
                self._closing.start()
            else:
                self._close()

    def _open(self) -> Reader:
        with ExitStack() as stack:
            self._reader = stack.enter_context(self._opened())
            self._stack, self._since = stack.pop_all(), time.monotonic()
            return self._reader

    def _close(self) -> None:
        with self._turn:
            stack, self._stack, self._reader = self._stack, None, None
            if stack:
                stack.close()


@dataclass(frozen=True)
class PageReading:
    """Hold what was read for a page, and when."""

    version: Any
    read_at: float
    drawn_at: datetime
    page: Page | None
    choices: Choices


class Live:
    """Read one warehouse for every page of the dashboard."""

    def __init__(self, pipeline: Target, tenants: tuple[str, ...], every: float = 2 * FRESH) -> None:
        """Show ``tenants``, or all if empty. ``every`` is the number of seconds between two looks of a page."""
        self._fresh = min(FRESH, every / 2)
        self.visible = Filter(tenants)
        self._pipeline = pipeline
        self._protection = marts.protection()
        self._known = False
        self._is_file = warehouse.duckdb_file(pipeline) is not None
        self._connection = WarehouseConnection(opener(pipeline), shared=self._is_file)
        self._readings: OrderedDict[Filter, PageReading] = OrderedDict()
        self._evaluations: OrderedDict[tuple[Any, tuple[str, ...]], tuple[float, Evaluation]] = OrderedDict()
        self._turn = threading.Lock()

    def page(self, shown: Filter, zone: Any, patience: float = PATIENCE) -> tuple[PageReading | None, str]:
        """Return what a page shows, and why it cannot be newer, if it cannot. Without any reading: None."""
        calendar, trouble = self._calendar(shown)
        warehouse.clear_config_traces()
        wanted = replace(shown, zone=zone or calendar.zone, window=calendar.window)
        with self._turn:
            last = self._readings.get(wanted)
            if last and time.monotonic() - last.read_at < self._fresh:
                return last, trouble
            try:
                reading = self._read(wanted.tenants, lambda scope: self._reading(scope, wanted, last), patience)
            except WarehouseUnavailableError as error:
                return last, str(error)
            self._keep(wanted, reading)
            return reading, trouble if reading.page else EMPTY

    def ask(self, tenants: tuple[str, ...], question: Callable[[TenantScope], Answer]) -> Answer:
        """Return the answer to a question.

        Raises:
            Unavailable: where the warehouse cannot be read.
        """
        with self._turn:
            return self._read(tenants, question, PATIENCE)

    def _calendar(self, shown: Filter) -> tuple[TenantCalendar, str]:
        last = next((reading.page for reading in reversed(self._readings.values()) if reading.page), None)
        names = shown.tenants or (last.tenants if last and not last.shown.tenants else ())
        try:
            return common_calendar(names or [warehouse.configured_tenant()]), ""
        except ConfigurationError as error:
            return TenantCalendar(), f"{error} Until then times are UTC."

    def _reading(self, scope: TenantScope, shown: Filter, last: PageReading | None) -> PageReading:
        version = TenantScope(scope.reader, self.visible.tenants, self._protection)
        state = metrics.version(version)
        now, clock = datetime.now(UTC), time.monotonic()
        if last and last.version == state and last.page:
            evaluation = self._evaluated(scope, state)
            return replace(
                last, read_at=clock, drawn_at=now, page=replace(last.page, drawn_at=now, evaluation=evaluation)
            )
        names = page_tenants(scope, shown)
        numbers = sections.read_metrics(scope, shown, is_fleet=len(names) > 1)
        offered = metrics.choices(version)
        if numbers is None:
            return PageReading(state, clock, now, None, offered)
        page = Page(shown, now, self._evaluated(scope, state), numbers, names, linked=True)
        return PageReading(state, time.monotonic(), now, page, offered)

    def _evaluated(self, scope: TenantScope, state: Any) -> Evaluation:
        key = (state, scope.tenants)
        evaluated = self._evaluations.get(key)
        if evaluated is None or time.monotonic() - evaluated[0] > EVALUATION_TTL:
            evaluated = (time.monotonic(), evaluate_scope(scope, self._pipeline, scope.tenants, max_data_age()))
            self._evaluations[key] = evaluated
            while len(self._evaluations) > MAX_PAGES:
                self._evaluations.popitem(last=False)
        return evaluated[1]

    def _keep(self, shown: Filter, reading: PageReading) -> None:
        self._readings[shown] = reading
        self._readings.move_to_end(shown)
        while len(self._readings) > MAX_PAGES:
            self._readings.popitem(last=False)

    def _read(self, tenants: tuple[str, ...], question: Callable[[TenantScope], Answer], patience: float) -> Answer:
        until = time.monotonic() + patience
        while True:
            try:
                with self._connection.borrowed(keep=True) as reader:
                    if not self._known:
                        refuse_unknown(reader, self.visible.tenants)
                        self._known = True
                    return question(TenantScope(reader, tenants, self._protection))
            except DestinationUndefinedEntity:
                raise WarehouseUnavailableError(EMPTY) from None
            except DatabaseException as error:
                if not self._is_file or not isinstance(error.__cause__, duckdb.IOException):
                    raise WarehouseUnavailableError(explain(error).text) from error
                if time.monotonic() > until:
                    raise WarehouseUnavailableError(WRITING) from error
            time.sleep(0.1)
