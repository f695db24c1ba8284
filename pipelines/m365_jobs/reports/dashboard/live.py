"""The figures of a warehouse that goes on changing: read when they are asked for, kept until another load is there."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseException

from m365_jobs import marts
from m365_jobs.errors.explain import explain
from m365_jobs.reports import metrics
from m365_jobs.reports.metrics import Filter
from m365_jobs.warehouse import pipeline as warehouse
from m365_jobs.warehouse.reader import Reader, opener
from m365_jobs.warehouse.tenant_scope import Scope, refuse_unknown

PATIENCE = 3.0
"""Seconds to wait for a load that writes a DuckDB file: it has the file to itself for moments."""

KEPT = 500
"""Answers that are kept at most."""

WRITING = "A load is writing; showing again in a moment."
EMPTY = "Nothing is loaded yet. Run: m365-jobs load"


class Unavailable(Exception):
    """The warehouse cannot be read just now; says why in words for the page."""


@dataclass(frozen=True)
class Version:
    """What the warehouse holds, told apart by its loads. Equal versions have equal figures."""

    loads: Any = None
    trouble: str = ""
    """Why it cannot be read, if it cannot."""


class Connection:
    """The way to a DuckDB file, which this process opens once (a second connection would share the settings that the
    first has locked) and keeps open for a moment, since parts of a page ask one after the other and to open it takes
    longer than many an answer. To a server each question has a connection of its own."""

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
        """A reader for one question; ``keep`` says whether more may follow."""
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


class Live:
    """One warehouse, for every page that looks at it."""

    def __init__(self, pipeline: warehouse.Target, tenants: tuple[str, ...]) -> None:
        """Without ``tenants`` all are shown."""
        self.chosen = Filter(tenants)
        """What may be looked at at all."""
        self._protection = marts.protection()
        self._translated: dict[tuple[str, ...], str] = {}
        self._known = False
        self._is_file = warehouse.duckdb_file(pipeline) is not None
        self._connection = Connection(opener(pipeline), shared=self._is_file)
        self._answers: OrderedDict[Any, Any] = OrderedDict()
        self._answers_lock = threading.Lock()

    def version(self, patience: float = PATIENCE) -> Version:
        """What is there now. ``patience`` is how many seconds to wait for a load that writes.

        Raises:
            UsageError: for a tenant that neither the configuration nor the warehouse knows, the first time.
        """
        try:
            return Version(self._read(self.chosen.tenants, metrics.version, patience))
        except Unavailable as error:
            return Version(trouble=str(error))

    def ask(self, version: Version, tenants: tuple[str, ...], figure: Callable[..., Any], *arguments: Any) -> Any:
        """A function of ``figures``, of some tenants or all, with these arguments; read once for each version.

        Raises:
            Unavailable: where the warehouse cannot be read.
        """
        key = (version, tenants, figure.__name__, *arguments)
        with self._answers_lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        answer = self._read(tenants, lambda scope: figure(scope, *arguments), PATIENCE)
        with self._answers_lock:
            self._answers[key] = answer
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        return answer

    def _read(self, tenants: tuple[str, ...], question: Callable[[Scope], Any], patience: float) -> Any:
        until = time.monotonic() + patience
        while True:
            try:
                with self._connection.borrowed(keep=question is not metrics.version) as reader:
                    if not self._known:
                        refuse_unknown(reader, self.chosen.tenants)
                        self._known = True
                    return question(Scope(reader, tenants, self._protection, self._translated))
            except DestinationUndefinedEntity:
                raise Unavailable(EMPTY) from None
            except DatabaseException as error:
                if not self._is_file or not isinstance(error.__cause__, duckdb.IOException):
                    raise Unavailable(explain(error).text) from error
                if time.monotonic() > until:
                    raise Unavailable(WRITING) from error
            time.sleep(0.1)
