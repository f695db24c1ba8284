"""Record runs in ``load_runs``. Rows of failed runs wait in a file until the destination accepts them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from dlt.extract import DltResource

from m365_jobs.errors.explain import Failure
from m365_jobs.schema import LOAD_RUNS
from m365_jobs.warehouse.versions import PRODUCT_VERSION

if TYPE_CHECKING:
    from avepoint_m365 import Progress

ONCE: Any = {"disposition": "merge", "strategy": "delete-insert"}
"""How rows are added: in place of one with the same key, if there is one."""


@dataclass(frozen=True)
class LoadRun:
    """Describe one row of ``load_runs``; times in UTC."""

    run_id: str
    tenant: str
    started_at: datetime
    ended_at: datetime
    status: str
    error_kind: str | None
    detail: str | None
    requests: int
    jobs: int
    product_version: str = PRODUCT_VERSION


def failed(run_id: str, tenant: str, started_at: datetime, ended_at: datetime, why: Failure, done: Progress) -> LoadRun:
    """Return the row of a run that ended with an error."""
    return LoadRun(run_id, tenant, started_at, ended_at, "failed", why.kind, why.text, done.stats.attempts, done.jobs)


def runs_resource(rows: Iterator[LoadRun | None]) -> DltResource:
    """Append rows to ``load_runs``; None means that the next row is not known yet.

    A row replaces one of the same run: a package may be loaded twice after an interruption.
    """

    def load_runs() -> Iterator[Any]:
        for row in rows:
            yield row and asdict(row)

    return dlt.resource(
        load_runs,
        name="load_runs",
        write_disposition=ONCE,
        primary_key=list(LOAD_RUNS.key),
        columns=LOAD_RUNS.dlt_columns,
    )


class UnsentRuns:
    """Keep rows of failed runs that are not in the warehouse yet, in a file beside the pipeline's folder."""

    def __init__(self, pipelines: str | Path, name: str, warehouse: str) -> None:
        """Name the file by the folder of ``pipelines``, a pipeline's ``name`` and the fingerprint ``warehouse``."""
        self._path = Path(pipelines) / f"{name}.failed_runs.jsonl"
        self._warehouse = warehouse

    def add(self, run: LoadRun) -> None:
        """Keep a row until the warehouse has it."""
        line = {"warehouse": self._warehouse, **asdict(run)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            # On a line of its own, even if another process was killed within the one before.
            file.write("\n" + json.dumps(line, default=datetime.isoformat) + "\n")

    def rows(self) -> list[LoadRun]:
        """Return the rows that wait for this warehouse."""
        rows = []
        for line in self._lines():
            if line.pop("warehouse") == self._warehouse:
                for name in ("started_at", "ended_at"):
                    line[name] = datetime.fromisoformat(line[name])
                rows.append(LoadRun(**line))
        return rows

    def clear(self) -> None:
        """Forget the rows of this warehouse, once it has them."""
        others = [line for line in self._lines() if line["warehouse"] != self._warehouse]
        if others:
            fresh = self._path.with_suffix(".new")
            fresh.write_text("".join(json.dumps(line) + "\n" for line in others), encoding="utf-8")
            fresh.replace(self._path)
        else:
            self._path.unlink(missing_ok=True)

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        lines = []
        for text in self._path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue  # empty, or of a process that was killed while it wrote
        return lines
