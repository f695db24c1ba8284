"""Look up jobs in the warehouse of any dlt pipeline, through dlt's dataset access."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from avepoint_m365.config import EARLIEST
from avepoint_m365.constants import LABELS
from avepoint_m365.extract.known import KnownError, KnownJob, Lookup, OpenJob
from avepoint_m365.extract.options import ExtractOptions
from avepoint_m365.parse.times import in_utc
from avepoint_m365.schema import REMOVED

BATCH = 1_000
"""Ids in one query."""

Query = Callable[[str], list[tuple[Any, ...]]]
"""Runs SQL with the names of tables in braces, and returns all rows; none if a table is missing."""

_TABLE = re.compile(r"\{(\w+)\}")


class SqlLookup:
    """Look up jobs through any connection that runs SQL; the queries are standard SQL with text literals."""

    only_errors = ""
    """Condition that leaves out rows of ``jobs__job_errors`` that are only markers; empty if none stays."""

    def __init__(self, query: Query, tenant: str) -> None:
        self._query, self._tenant = query, _literal(tenant)

    def table(self, name: str) -> str:
        """Return the name of a table in SQL."""
        return name

    def qualify(self, template: str) -> str:
        """Return SQL with each name in braces replaced by the name of the table."""
        return _TABLE.sub(lambda match: self.table(match[1]), template)

    def release(self) -> None:
        """Do nothing: no query leaves anything open."""

    def is_empty(self) -> bool:
        """Return whether the warehouse holds no job of the tenant."""
        return not self._query(f"SELECT id FROM {{jobs}} WHERE tenant = {self._tenant} LIMIT 1")

    def jobs(self, ids: Sequence[str]) -> list[KnownJob]:
        """Return the jobs of the tenant that the warehouse holds among ``ids``."""
        return [job for batch in _batches(ids) for job in self._jobs(batch)]

    def _jobs(self, ids: Sequence[str]) -> Iterator[KnownJob]:
        wanted = ", ".join(map(_literal, ids))
        errors: dict[str, list[KnownError]] = {}
        for job_id, *error in self._query(
            "SELECT job_id, is_error_code, value, url, number FROM {jobs__job_errors} "
            f"WHERE tenant = {self._tenant} AND job_id IN ({wanted}){self.only_errors} ORDER BY job_id, error_index"
        ):
            errors.setdefault(job_id, []).append(KnownError(*error))
        for row in self._query(
            "SELECT j.id, j.state, j.start_time, j.finish_time, j.duration_hours, j.location, j.object_type, "
            "j.job_type, j.first_seen_at, j.fetched_at, d.job_id, d.total_number, d.failed_number, "
            "d.successful_number, d.skipped_number FROM {jobs} AS j LEFT JOIN {jobs__backup_details} AS d "
            f"ON d.tenant = j.tenant AND d.job_id = j.id WHERE j.tenant = {self._tenant} AND j.id IN ({wanted})"
        ):
            yield KnownJob(
                id=row[0],
                state=row[1],
                start_time=_utc(row[2]),
                finish_time=_utc(row[3]),
                duration_hours=row[4],
                counts=tuple(row[11:15]) if row[10] is not None else (),
                errors=tuple(errors.get(row[0], ())),
                location=row[5],
                object_type=row[6],
                job_type=row[7],
                first_seen_at=_utc(row[8]),
                fetched_at=_utc(row[9]),
            )

    def open_jobs(self) -> list[OpenJob]:
        """Return the jobs of the tenant that are in progress, oldest start first."""
        rows = self._query(
            "SELECT id, start_time, location, object_type FROM {jobs} "
            f"WHERE tenant = {self._tenant} AND finish_time IS NULL ORDER BY start_time"
        )
        return [OpenJob(row[0], _utc(row[1]), row[2], row[3]) for row in rows]

    def recent(self, since: datetime, limit: int) -> list[str]:
        """Return ids of at most ``limit`` jobs that finished at or after ``since`` (UTC), newest first."""
        rows = self._query(
            f"SELECT id, finish_time FROM {{jobs}} WHERE tenant = {self._tenant} AND finish_time IS NOT NULL "
            f"ORDER BY finish_time DESC LIMIT {limit}"
        )
        return [row[0] for row in rows if (finish := _utc(row[1])) and finish >= since]

    def unlabelled(self) -> dict[str, tuple[int, str | None]]:
        """Return the number of jobs without a label and the id of one, by location, object_type and job_type."""
        counts = {}
        for name in LABELS:
            ((count, example),) = self._query(
                f"SELECT count(*) AS jobs, min(id) AS example FROM {{jobs}} WHERE tenant = {self._tenant} "
                f"AND {name} IS NULL"
            )
            counts[name] = (count, example)
        return counts

    def count(
        self,
        start: datetime,
        end: datetime,
        range_filter: str | None,
        location: str | None = None,
        object_types: Sequence[str] = (),
    ) -> int | None:
        """Return None: times have no literal that all destinations share."""
        return None

    def state_words(self) -> dict[str, int]:
        """Return the codes of state words that loads learned, by word."""
        return dict(self._query("SELECT word, state FROM {state_words}"))


class PipelineLookup(SqlLookup):
    """Look up jobs through the dataset of a dlt pipeline. Plain files keep earlier rows of a job, and markers."""

    only_errors = f" AND ({REMOVED} IS NULL OR {REMOVED} = FALSE)"

    def __init__(self, dataset: dlt.Dataset, tenant: str) -> None:
        super().__init__(lambda sql: dataset(_TABLE.sub(r"\1", sql)).fetchall(), tenant)

    def is_empty(self) -> bool:
        """Return whether the warehouse holds no job of the tenant, or no table of jobs."""
        try:
            return super().is_empty()
        except DestinationUndefinedEntity:
            return True

    def jobs(self, ids: Sequence[str]) -> list[KnownJob]:
        """Return the newest row of each job of the tenant that the warehouse holds among ``ids``."""
        rows = sorted(super().jobs(ids), key=lambda job: job.fetched_at or EARLIEST)
        return list({job.id: job for job in rows}.values())

    def open_jobs(self) -> list[OpenJob]:
        """Return the jobs of the tenant whose newest row is in progress, oldest start first."""
        jobs = {job.id: job for job in super().open_jobs()}
        ended = {job.id for job in self.jobs(list(jobs)) if job.finish_time is not None}
        return [job for job in jobs.values() if job.id not in ended]


def lookup_of_current_pipeline(options: ExtractOptions) -> Lookup | None:
    """Return a lookup in the warehouse of the pipeline that runs the source; None if it cannot be read.

    Without a lookup the source treats every job as new.
    """
    try:
        lookup = PipelineLookup(_current_dataset(), options.tenant)
        lookup.is_empty()
    except Exception:  # A destination without SQL, or without a connection, raises errors of its own driver.
        return None
    return lookup


def _current_dataset() -> dlt.Dataset:
    """Return the dataset with the tables of the source that runs."""
    pipeline, schema = dlt.current.pipeline(), dlt.current.source_schema().name
    if pipeline.config.use_single_dataset or schema not in pipeline.schema_names:
        return pipeline.dataset()
    # dlt gives each schema a dataset of its own, and ``pipeline.dataset`` knows that of the default schema only.
    return dlt.dataset(pipeline.destination, pipeline.sql_client(schema).dataset_name, schema=pipeline.schemas[schema])


def _batches(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    # A backslash is an escape character in some destinations. A job with such an id counts as unknown.
    plain = [job_id for job_id in ids if "\\" not in job_id]
    return (plain[first : first + BATCH] for first in range(0, len(plain), BATCH))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _utc(moment: datetime | str | None) -> datetime | None:
    """Return a time in UTC. SQLite has no type for times and returns texts."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return in_utc(moment) if moment is not None else None
