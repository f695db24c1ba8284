"""Run the program in child processes, and kill each at a chosen step.

An audit hook of Python counts the steps. Each creation, renaming or removal of a file or folder is a step, and so is
each message to the API or to a receiver. It does not matter which library does it. Each statement and commit on DuckDB,
PostgreSQL and SQLite is a step, too. The library that writes Delta tables triggers no audit events: each of its calls
is a step before and after it. Each file that appears in the lake during a call is a step. A file that dlt or pyiceberg
writes into the lake is a step while it is empty.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import deltalake.table
import dlt
import dlt.common.libs.deltalake
from avepoint_m365 import Progress
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from fsspec.implementations.local import LocalFileOpener
from m365_jobs.errors.explain import explain
from m365_jobs.load import run as loading
from m365_jobs.locks import lake
from m365_jobs.warehouse.destinations import delta_rows
from pyiceberg.io.pyarrow import PyArrowFile

EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "http.client.send"}

DELTA_CALLS = (
    *((module, "write_deltalake") for module in (dlt.common.libs.deltalake, delta_rows, lake)),
    *((deltalake.table.TableOptimizer, name) for name in ("compact", "z_order")),
    *((deltalake.DeltaTable, name) for name in ("create", "vacuum", "create_checkpoint", "cleanup_metadata")),
    (deltalake.table.TableMerger, "execute"),
)
"""Functions that write to Delta tables, in this project and in dlt."""

Action = Callable[[list[str]], tuple[int, dict[str, Any]]]
"""Function that a child runs: it gets a list for messages to the user, and returns an exit code and other results."""


@dataclass(frozen=True)
class Outcome:
    """Hold the end of a child and its results. ``code`` is None if the child was killed."""

    code: int | None
    steps: int = 0
    messages: list[str] = field(default_factory=list)
    cursors: dict[str, Any] = field(default_factory=dict)
    """Results of the action; for a load, the cursor and the oldest open job of each scope."""


class _Steps:
    def __init__(self, kill_at: int | None, kill_before: str | None) -> None:
        self.count, self._kill_at, self._lock = 0, kill_at, threading.Lock()
        self._kill_before = kill_before

    def step(self) -> None:
        with self._lock:
            self.count += 1
            if self.count == self._kill_at:
                die()

    def watch(self) -> None:
        sys.addaudithook(self._hear)
        for client in (DuckDbSqlClient, Psycopg2SqlClient):
            for name in ("execute_query", "commit_transaction"):
                setattr(client, name, self._counted(getattr(client, name)))
            # dlt sends all statements of a merge in a single text. A kill between two of them needs single statements.
            client.execute_many = _one_by_one  # type: ignore[assignment,method-assign]
        for owner in (LocalFileOpener, PyArrowFile):
            self._count_opened(owner)
        for owner, name in DELTA_CALLS:
            static = isinstance(vars(owner).get(name), classmethod)
            call = self._watched(getattr(owner, name))
            setattr(owner, name, staticmethod(call) if static else call)
        connect = sqlite3.connect
        sqlite3.connect = lambda *given, **named: connect(*given, **named, factory=self._sqlite())  # type: ignore[assignment]

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
        if event in EVENTS or writes:
            self.step()

    def _counted(self, method: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.step()
            if self._kill_before and str(arguments[-1]).startswith(self._kill_before):
                die()
            result = method(*arguments, **named)
            if method.__name__ == "commit_transaction":
                self.step()
            return result

        return counted

    def _count_opened(self, owner: Any) -> None:
        """Count a step after a file of the lake is opened for writing, while it is empty."""
        name = "create" if owner is PyArrowFile else "_open"
        open_file = getattr(owner, name)

        @wraps(open_file)
        def counted(file: Any, *arguments: Any, **named: Any) -> Any:
            opened = open_file(file, *arguments, **named)
            if name == "create" or "w" in file.mode:
                self.step()
            return opened

        setattr(owner, name, counted)

    def _watched(self, call: Any) -> Any:
        @wraps(call)
        def watched(*arguments: Any, **named: Any) -> Any:
            self.step()
            with self._files_of_the_lake():
                result = call(*arguments, **named)
            self.step()
            return result

        return watched

    @contextmanager
    def _files_of_the_lake(self) -> Iterator[None]:
        """Count each file that appears in the lake within the block as a step."""
        ended = threading.Event()
        known = _files(Path("lake"))

        def look() -> None:
            while not ended.wait(0.0005):
                for _ in (result := _files(Path("lake")) - known):
                    self.step()
                known.update(result)

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()

    def _sqlite(self) -> type[sqlite3.Connection]:
        step = self.step

        class Counted(sqlite3.Connection):
            def execute(self, *arguments: Any) -> sqlite3.Cursor:
                step()
                result = super().execute(*arguments)
                step()
                return result

            def executescript(self, *arguments: Any) -> sqlite3.Cursor:
                step()
                result = super().executescript(*arguments)
                step()
                return result

        return Counted


def _files(folder: Path) -> set[str]:
    try:
        return {f"{place}/{name}" for place, _, names in os.walk(folder) for name in names}
    except FileNotFoundError:
        return set()


def die() -> None:
    """End this process with SIGKILL, so that no handler or cleanup runs."""
    os.kill(os.getpid(), signal.SIGKILL)


def _separate_temporary_folder(folder: Path) -> None:
    """Let this process use a temporary folder that behaves as one of another file system, as /tmp often is."""
    folder.mkdir(exist_ok=True)
    tempfile.tempdir = str(folder)
    rename = os.rename

    def refuse_to_leave(source: Any, target: Any, *arguments: Any, **named: Any) -> None:
        if str(source).startswith(f"{folder}/") and not str(target).startswith(f"{folder}/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        rename(source, target, *arguments, **named)

    os.rename = refuse_to_leave  # type: ignore[assignment]


def _one_by_one(client: Any, statements: Sequence[str], *arguments: Any, **named: Any) -> list[Any]:
    """Run the statements of ``execute_many`` one after the other, so that each is a step."""
    return [client.execute_sql(statement, *arguments, **named) for statement in statements]


def load_in_child(
    folder: Path,
    options: loading.LoadOptions,
    kill_at: int | None = None,
    kill_before: str | None = None,
    largest_file: int | None = None,
) -> Outcome:
    """Run a load in ``folder``; see ``run_in_child``."""

    def load(messages: list[str]) -> tuple[int, dict[str, Any]]:
        code = loading.load(options, Progress(), messages.append).exit_code
        looks = dlt.current.pipeline().state["sources"]["avepoint_m365"]["looks"]
        return code, {scope: [item.get("cursor"), item.get("oldest_open")] for scope, item in looks.items()}

    return run_in_child(folder, load, kill_at, kill_before, largest_file)


def run_in_child(
    folder: Path,
    action: Action,
    kill_at: int | None = None,
    kill_before: str | None = None,
    largest_file: int | None = None,
) -> Outcome:
    """Run an action in ``folder``, in a child process.

    The child is killed at step ``kill_at``, if it gets that far, or before the first statement that begins with
    ``kill_before``. It can write no file larger than ``largest_file`` bytes, which simulates a full disk.
    """
    report, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(report)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        _run(folder, action, _Steps(kill_at, kill_before), write)
    os.close(write)
    with os.fdopen(report, encoding="utf-8") as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return Outcome(None)
    return Outcome(**json.loads(text))


def _run(folder: Path, action: Action, steps: _Steps, write: int) -> None:
    messages: list[str] = []
    code = 1
    cursors: dict[str, Any] = {}
    try:
        os.chdir(folder)
        os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
        _separate_temporary_folder(folder.parent / "temporary")
        steps.watch()
        code, cursors = action(messages)
    except BaseException as error:
        messages.append(explain(error).text)
    finally:
        os.write(
            write, json.dumps({"code": code, "steps": steps.count, "messages": messages, "cursors": cursors}).encode()
        )
        os._exit(0)
