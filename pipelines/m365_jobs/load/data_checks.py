"""Check what a load has written, in the warehouse itself. Findings are reported and kept, and no row is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from avepoint_m365.extract.options import format_finding
from dlt.extract import DltResource

from m365_jobs.schema import LOAD_CHECK_FAILURES
from m365_jobs.warehouse.destinations.kinds import kind_of
from m365_jobs.warehouse.reader import open_in_load
from m365_jobs.warehouse.tenant_scope import TenantScope

TOLERANCE = 60
"""Seconds by which a duration may differ from finish less start: the API gives it in thousandths of an hour."""

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
    "non_negative_occurrences": (
        "an error with a negative number of occurrences",
        """SELECT l.id FROM ids l JOIN jobs__job_errors e ON e.job_id = l.id
        WHERE e.number < 0""",
    ),
    "valid_finish": (
        "a finish before the start",
        "SELECT l.id FROM loaded l WHERE l.finish_time < l.start_time",
    ),
    "valid_duration": (
        "a duration more than a minute off finish less start",
        f"""SELECT l.id FROM loaded l
        WHERE abs(l.duration_hours * 3600 - date_diff('second', l.start_time, l.finish_time)) > {TOLERANCE}""",
    ),
}
"""Name to what is wrong where a row comes back, and the rows' query in DuckDB's dialect. Only jobs of this load are
looked at, and what belongs to them."""

PRESENT = "relationship_jobs"
PROBLEMS = {
    PRESENT: "no row in jobs, unlike its details and errors",
    **{name: what for name, (what, _) in RULES.items()},
}
"""Name of each rule to what is wrong where it is broken."""

QUESTION = """WITH
loaded AS (SELECT * FROM jobs WHERE fetched_at >= CAST(:since AS TIMESTAMPTZ)),
ids AS (SELECT DISTINCT id FROM loaded)
""" + " UNION ALL ".join(
    f"SELECT '{rule}' AS rule, count(*) AS jobs, min(id) AS example FROM ({query}) AS found"
    for rule, query in {PRESENT: "SELECT id FROM ids", **{name: query for name, (_, query) in RULES.items()}}.items()
)
"""One statement for all rules, for a scope of one tenant: the jobs that break each, but for the first, for which it
counts those that are there. To look among all details and errors for some without a job would take longer the more
the warehouse holds."""

IDS = "SELECT DISTINCT id FROM jobs WHERE fetched_at >= CAST(:since AS TIMESTAMPTZ)"


@dataclass(frozen=True)
class CheckFailure:
    """Describe one row of ``load_check_failures``: a broken rule, its number of jobs, and the id of one of them."""

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
    pipeline: dlt.Pipeline, tenant: str, run_id: str, since: datetime, read: pa.ChunkedArray | None = None
) -> list[CheckFailure]:
    """Return the problems of the jobs of a tenant that were fetched since a time (UTC), and of their children.

    ``read`` are the ids, each once, of the jobs that were fetched, where they are known: details and errors were
    loaded of each, so each has to be there.

    Raises:
        DatabaseException: where the destination refuses the question.
    """
    kind_of(pipeline).before_checks(pipeline)
    since_text = since.isoformat(sep=" ")
    with open_in_load(pipeline) as reader:
        scope = TenantScope(reader, [tenant])
        broken = {row["rule"]: (row["jobs"], row["example"]) for row in scope.rows(QUESTION, since=since_text)}
        present, _ = broken.pop(PRESENT)
        if read is not None and present < len(read):
            there = pa.array([row["id"] for row in scope.rows(IDS, since=since_text)], pa.string())
            missing = read.filter(pc.invert(pc.is_in(read, there)))
            broken[PRESENT] = (len(missing), pc.min(missing).as_py())
    now = datetime.now(UTC)
    return [
        CheckFailure(run_id, tenant, rule, PROBLEMS[rule], jobs, example, now)
        for rule, (jobs, example) in broken.items()
        if jobs
    ]


def failures_resource(findings: list[CheckFailure]) -> DltResource:
    """Append findings to ``load_check_failures``; without any, only create the table."""

    def load_check_failures() -> Iterator[Any]:
        yield [asdict(finding) for finding in findings] or dlt.mark.materialize_table_schema()

    return dlt.resource(
        load_check_failures,
        name="load_check_failures",
        write_disposition="append",
        columns=LOAD_CHECK_FAILURES.dlt_columns,
    )
