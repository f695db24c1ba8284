"""Loads in child processes that are killed at a step of one's choice.

Steps are counted by an audit hook of Python: whatever creates, renames or removes a file or folder, and each message to
the API, is a step, whoever does it. Each statement and commit on DuckDB is one as well.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
from avepoint_m365 import Progress
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from m365_jobs.errors.explain import explain
from m365_jobs.load import run as loading

EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "http.client.send"}


@dataclass(frozen=True)
class Outcome:
    """How a child ended, and what it had to say. ``code`` is None if it was killed."""

    code: int | None
    steps: int = 0
    said: list[str] = field(default_factory=list)
    cursors: dict[str, Any] = field(default_factory=dict)
    """For each scope its cursor and the oldest job that it follows."""


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
        ways = {name: self._counted(getattr(DuckDbSqlClient, name)) for name in ("execute_query", "commit_transaction")}
        # dlt hands DuckDB the statements of a merge in one text, in which nothing could be killed between two.
        for name, way in {**ways, "execute_many": _one_by_one}.items():
            setattr(DuckDbSqlClient, name, way)

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


def die() -> None:
    """Ends this process as the kernel would: nothing of it runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)


def _one_by_one(client: Any, statements: Sequence[str], *arguments: Any, **named: Any) -> list[Any]:
    """``execute_many``, with a step for each statement."""
    return [client.execute_sql(one, *arguments, **named) for one in statements]


def load_in_child(
    folder: Path,
    options: loading.LoadOptions,
    kill_at: int | None = None,
    kill_before: str | None = None,
    largest_file: int | None = None,
) -> Outcome:
    """Runs a load in ``folder``, in a process that is killed at its ``kill_at``-th step, if it gets that far, or before
    the first statement on DuckDB that begins with ``kill_before``, or that can write no file larger than
    ``largest_file`` bytes, which is how a full disk looks to it."""
    report, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(report)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        _load(folder, options, _Steps(kill_at, kill_before), write)
    os.close(write)
    with os.fdopen(report, encoding="utf-8") as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return Outcome(None)
    return Outcome(**json.loads(text))


def _load(folder: Path, options: loading.LoadOptions, steps: _Steps, write: int) -> None:
    said: list[str] = []
    code, cursors = 1, {}
    try:
        os.chdir(folder)
        os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
        steps.watch()
        code = loading.load(options, Progress(), said.append).exit_code
        looks = dlt.current.pipeline().state["sources"]["avepoint_m365"]["looks"]
        cursors = {scope: [one.get("cursor"), one.get("oldest_open")] for scope, one in looks.items()}
    except BaseException as error:
        said.append(explain(error).text)
    finally:
        os.write(write, json.dumps({"code": code, "steps": steps.count, "said": said, "cursors": cursors}).encode())
        os._exit(0)
