"""Record runs in ``load_runs``. Rows of failed runs wait in a file until the destination accepts them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import dlt
from avepoint_m365.schema import DELETE_INSERT
from dlt.extract import DltResource

from m365_jobs.schema import LOAD_RUNS
from m365_jobs.warehouse.versions import PRODUCT_VERSION


class LoadRun(NamedTuple):
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


def runs_resource(rows: Iterator[LoadRun | None]) -> DltResource:
    """Return the resource of ``load_runs``. ``rows`` yields None while the next row is not known yet.

    A row replaces one of the same run: a package may be loaded twice after an interruption.
    """

    def load_runs() -> Iterator[Any]:
        for row in rows:
            yield row and row._asdict()

    return dlt.resource(
        load_runs,
        name="load_runs",
        write_disposition=DELETE_INSERT,
        primary_key=list(LOAD_RUNS.key),
        columns=LOAD_RUNS.dlt_columns,
    )


class UnsentRuns:
    """Keep the rows of failed runs that the warehouse lacks, in a file beside the pipeline's folder."""

    def __init__(self, pipelines: str | Path, name: str, warehouse: str) -> None:
        """Name the file by the folder of ``pipelines``, a pipeline's ``name`` and the fingerprint ``warehouse``."""
        self._path = Path(pipelines) / f"{name}.failed_runs.jsonl"
        self._warehouse = warehouse

    def add(self, run: LoadRun) -> None:
        """Add a row to the file."""
        line = {"warehouse": self._warehouse, **run._asdict()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            # A process may have been killed while it wrote the line before.
            file.write("\n" + json.dumps(line, default=datetime.isoformat) + "\n")

    def rows(self) -> list[LoadRun]:
        """Return the rows for this warehouse."""
        rows = []
        for line in self._lines():
            if line.pop("warehouse") == self._warehouse:
                for name in ("started_at", "ended_at"):
                    line[name] = datetime.fromisoformat(line[name])
                rows.append(LoadRun(**line))
        return rows

    def clear(self) -> None:
        """Remove the rows of this warehouse; call it once the warehouse has them."""
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
                continue  # The line is empty, or its process was killed while it wrote.
        return lines
