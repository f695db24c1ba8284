"""The figures of a warehouse that goes on changing: read when they are asked for, kept until another load is there."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import dlt
import duckdb
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.exceptions import DatabaseException

from m365_jobs import warehouse
from m365_jobs.charts import figures
from m365_jobs.charts.figures import Filter
from m365_jobs.errors import explain
from m365_jobs.scope import Scope, open_scope

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


class Live:
    """One warehouse, for every page that looks at it."""

    def __init__(self, pipeline: dlt.Pipeline, tenants: tuple[str, ...]) -> None:
        self._pipeline = pipeline
        self.chosen = Filter(tenants)
        """What may be looked at at all."""
        self._is_file = warehouse.duckdb_file(pipeline) is not None
        # A process opens a DuckDB file once: a second connection would share the settings that the first has locked.
        self._turn = threading.Lock() if self._is_file else nullcontext()
        self._answers: OrderedDict[Any, Any] = OrderedDict()
        self._answers_lock = threading.Lock()

    def version(self) -> Version:
        """What is there now."""
        try:
            return Version(self._read(self.chosen.tenants, figures.version))
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
        answer = self._read(tenants, lambda scope: figure(scope, *arguments))
        with self._answers_lock:
            self._answers[key] = answer
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        return answer

    def _read(self, tenants: tuple[str, ...], question: Callable[[Scope], Any]) -> Any:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with self._turn, open_scope(self._pipeline, tenants) as scope:
                    return question(scope)
            except DestinationUndefinedEntity:
                raise Unavailable(EMPTY) from None
            except DatabaseException as error:
                if not self._is_file or not isinstance(error.__cause__, duckdb.IOException):
                    raise Unavailable(explain(error).text) from error
                if time.monotonic() > until:
                    raise Unavailable(WRITING) from error
            time.sleep(0.1)
