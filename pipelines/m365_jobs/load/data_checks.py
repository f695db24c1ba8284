"""Check the rows of a load in the warehouse. Failures are reported and stored; no row is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365.created import created_tables, is_created
from avepoint_m365.extract.source_finding import format_finding
from avepoint_m365.parse.states import ENDED
from dlt.extract import DltResource

from m365_jobs.schema import LOAD_CHECK_FAILURES
from m365_jobs.warehouse import contract
from m365_jobs.warehouse.append import append_rows
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.reader import open_in_load
from m365_jobs.warehouse.tenant_scope import TenantScope

TOLERANCE = 60
"""Seconds by which a duration may differ from finish less start: the API rounds it to thousandths of an hour."""

ENDED_WORDS = ", ".join(f"'{word}'" for word in sorted(ENDED))

RULES = {
    "unique_jobs": (
        "the same job twice in jobs",
        """SELECT j.id FROM ids l JOIN jobs j ON j.id = l.id
        GROUP BY j.id HAVING count(*) > 1""",
    ),
    "unique_backup_details": (
        "the same job twice in jobs__backup_details",
        """SELECT d.job_id AS id FROM ids l JOIN jobs__backup_details d ON d.job_id = l.id
        GROUP BY d.job_id HAVING count(*) > 1""",
    ),
    "unique_job_errors": (
        "the same error of a job twice in jobs__job_errors",
        """SELECT e.job_id AS id FROM ids l JOIN jobs__job_errors e ON e.job_id = l.id
        GROUP BY e.job_id, e.error_index HAVING count(*) > 1""",
    ),
    "relationship_backup_details": (
        "a job without its row in jobs__backup_details",
        """SELECT l.id FROM ids l
        LEFT JOIN jobs__backup_details d ON d.job_id = l.id WHERE d.job_id IS NULL""",
    ),
    "non_negative_counts": (
        "a negative number of objects",
        """SELECT l.id FROM ids l JOIN jobs__backup_details d ON d.job_id = l.id
        WHERE d.total_number < 0 OR d.failed_number < 0 OR d.successful_number < 0 OR d.skipped_number < 0""",
    ),
    "valid_counts": (
        "fewer objects in all than failed, succeeded or were skipped",
        """SELECT l.id FROM ids l JOIN jobs__backup_details d ON d.job_id = l.id
        WHERE (d.failed_number > d.total_number OR d.successful_number > d.total_number
        OR d.skipped_number > d.total_number) AND coalesce(d.failed_number, 0) >= 0
        AND coalesce(d.successful_number, 0) >= 0 AND coalesce(d.skipped_number, 0) >= 0""",
    ),
    "non_negative_occurrences": (
        "an error with a negative number of occurrences",
        """SELECT l.id FROM ids l JOIN jobs__job_errors e ON e.job_id = l.id
        WHERE e.number < 0""",
    ),
    "known_state": (
        "no state",
        "SELECT l.id FROM loaded l WHERE l.state IS NULL OR trim(l.state) = ''",
    ),
    "valid_start": (
        "a start before the year 2000",
        "SELECT l.id FROM loaded l WHERE l.start_time < CAST('2000-01-01 00:00:00+00:00' AS TIMESTAMPTZ)",
    ),
    "valid_finish": (
        "a finish before the start",
        "SELECT l.id FROM loaded l WHERE l.finish_time < l.start_time",
    ),
    "known_start": (
        "an end but no start",
        "SELECT l.id FROM loaded l WHERE l.start_time IS NULL AND l.finish_time IS NOT NULL",
    ),
    "known_finish": (
        "the state of a job that has ended but no finish",
        f"""SELECT l.id FROM loaded l
        WHERE lower(replace(replace(l.state, ' ', ''), '_', '')) IN ({ENDED_WORDS}) AND l.finish_time IS NULL""",
    ),
    "valid_duration": (
        "a duration more than a minute off finish less start",
        f"""SELECT l.id FROM loaded l
        WHERE abs(l.duration_hours * 3600 - (epoch(l.finish_time) - epoch(l.start_time))) > {TOLERANCE}""",
    ),
}
"""Rule to the problem of the jobs that its query returns, and the query in DuckDB's dialect. The queries read the jobs
of this load, and their details and errors."""

RELATIONSHIP_JOBS = "relationship_jobs"
PROBLEMS = {
    RELATIONSHIP_JOBS: "no row in jobs, unlike its details and errors",
    **{name: problem for name, (problem, _) in RULES.items()},
}
"""Rule to the problem of the jobs that break it."""

CHECKS_QUERY = """WITH
loaded AS (SELECT * FROM jobs WHERE fetched_at >= CAST(:since AS TIMESTAMPTZ)),
ids AS (SELECT DISTINCT id FROM loaded)
""" + " UNION ALL ".join(
    f"SELECT '{rule}' AS rule, count(*) AS jobs, min(id) AS example FROM ({query}) AS found"
    for rule, query in {
        RELATIONSHIP_JOBS: "SELECT id FROM ids",
        **{name: query for name, (_, query) in RULES.items()},
    }.items()
)
"""One query for all rules, in the scope of one tenant: the number of jobs that break each, and the id of one. For
``relationship_jobs`` it counts the stored jobs instead: a search for details without a job would read the warehouse."""

IDS_QUERY = "SELECT DISTINCT id FROM jobs WHERE fetched_at >= CAST(:since AS TIMESTAMPTZ)"


class CheckFailure(NamedTuple):
    """Describe one row of ``load_check_failures``; ``found_at`` is in UTC. See ``SourceFinding`` for the others."""

    run_id: str
    tenant: str
    rule: str
    problem: str
    jobs: int
    example: str | None
    found_at: datetime

    def __str__(self) -> str:
        return format_finding(self.rule, self.problem, self.jobs, self.example)


def check_jobs(
    pipeline: dlt.Pipeline, tenant: str, run_id: str, since: datetime, read_ids: pa.ChunkedArray | None = None
) -> list[CheckFailure]:
    """Return the problems of the jobs of a tenant that were fetched since a time (UTC), and of their children.

    ``read_ids`` are the distinct ids of the jobs that were fetched; each must be stored, as its details and errors
    are. Without them this is not checked.

    Raises:
        DatabaseException: if the destination refuses the query.
    """
    kind_of(pipeline).before_checks(pipeline)
    since_text = since.isoformat(sep=" ")
    with open_in_load(pipeline) as reader:
        scope = TenantScope(reader, [tenant])
        broken = {row["rule"]: (row["jobs"], row["example"]) for row in scope.rows(CHECKS_QUERY, since=since_text)}
        present, _ = broken.pop(RELATIONSHIP_JOBS)
        if read_ids is not None and present < len(read_ids):
            stored_ids = pa.array([row["id"] for row in scope.rows(IDS_QUERY, since=since_text)], pa.string())
            missing = read_ids.filter(pc.invert(pc.is_in(read_ids, stored_ids)))
            broken[RELATIONSHIP_JOBS] = (len(missing), pc.min(missing).as_py())
    now = datetime.now(UTC)
    return [
        CheckFailure(run_id, tenant, rule, PROBLEMS[rule], jobs, example, now)
        for rule, (jobs, example) in broken.items()
        if jobs
    ]


def store_failures(pipeline: dlt.Pipeline, failures: list[CheckFailure]) -> None:
    """Append failures to ``load_check_failures``, in one transaction where the destination has one.

    A dlt run for them would be a quarter of the steps of a load. dlt writes only where plain inserts are not possible.
    """
    if not append_rows(pipeline, {LOAD_CHECK_FAILURES.name: [failure._asdict() for failure in failures]}):
        contract.write_rows(pipeline, failures_resource(failures))


def failures_resource(failures: list[CheckFailure]) -> DltResource:
    """Return the resource that appends failures to ``load_check_failures``; without any, it only creates the table."""

    def load_check_failures() -> Iterator[Any]:
        if failures:
            yield [failure._asdict() for failure in failures]
        elif not is_created(LOAD_CHECK_FAILURES, created_tables()):
            yield dlt.mark.materialize_table_schema()

    return dlt.resource(
        load_check_failures,
        name="load_check_failures",
        write_disposition="append",
        columns=LOAD_CHECK_FAILURES.dlt_columns,
    )
