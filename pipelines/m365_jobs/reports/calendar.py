"""Evaluate each service and day: met, failed, missed, skipped or no data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from m365_jobs.config.protection import protection
from m365_jobs.reports.labels import backups_label, service_label
from m365_jobs.reports.metrics import PartitionKey, QueryRange, Row, partition_key
from m365_jobs.reports.view import DAY, Filter
from m365_jobs.warehouse.tenant_scope import TenantScope

MAX_DAYS = 31
"""Number of days of a calendar at most."""

LOOKBACK = 10 * DAY
"""Time before the first day in which the last success is looked for."""

SUCCEEDED_SQL = """CASE WHEN f.outcome = 'success' THEN 1
    WHEN f.outcome = 'warning' AND f.successful_number > 0 AND f.failed_ratio <= :tolerated THEN 1 ELSE 0 END"""
"""SQL expression that is 1 for a backup that counts as a success, as in ``protection_status``, else 0."""


class DayResult(StrEnum):
    """List the results of a service's backups on a day."""

    met = "met"
    failed = "failed"
    missed = "missed"
    skipped = "skipped"
    no_data = "no_data"

    @property
    def label(self) -> str:
        """Return the label, such as No data."""
        return self.value.replace("_", " ").capitalize()


@dataclass(frozen=True)
class CalendarDay:
    """Describe a cell of the calendar."""

    day: date
    result: DayResult
    text: str


@dataclass(frozen=True)
class CalendarRow:
    """Describe a service of a tenant and location, day by day."""

    tenant: str
    location: str
    object_type: str
    days: tuple[CalendarDay, ...]

    def count(self, result: DayResult) -> int:
        """Return the number of days with a result."""
        return Counter(day.result for day in self.days)[result]


def read_backup_days(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return, per partition and day in the time zone: finished backups, successes, and the newest success (UTC)."""
    first = _midnight(first_day(query_range), query_range.filters) - LOOKBACK
    return scope.rows(
        f"""SELECT f.tenant, f.location, f.object_type, CAST(f.finish_time AT TIME ZONE :zone AS DATE) AS day,
            count(*) AS backups, CAST(sum({SUCCEEDED_SQL}) AS BIGINT) AS successes,
            max(CASE WHEN {SUCCEEDED_SQL} = 1 THEN f.finish_time END) AS last_success_at
        FROM job_facts AS f
        WHERE {query_range.filters.condition("f")} AND f.job_type = 'backup'
            AND f.finish_time >= :first AND f.finish_time <= :until
        GROUP BY f.tenant, f.location, f.object_type, CAST(f.finish_time AT TIME ZONE :zone AS DATE)
        ORDER BY 1, 2, 3, 4""",
        **query_range.filters.values,
        first=first,
        until=query_range.until,
        zone=query_range.filters.zone_name,
        tolerated=protection().tolerated_failed_ratio,
    )


def read_outcome_changes(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return, per partition, if its last backup succeeded, today and 24 hours before: 1, 0, or null without one."""
    return scope.rows(
        f"""WITH backups AS (
            SELECT f.tenant, f.location, f.object_type, {SUCCEEDED_SQL} AS succeeded, f.start_time, f.finish_time,
                f.id, CASE WHEN f.finish_time <= :yesterday THEN 1 ELSE 0 END AS earlier
            FROM job_facts AS f
            WHERE {query_range.filters.condition("f")} AND f.job_type = 'backup'
                AND f.finish_time > :first AND f.finish_time <= :until
        ),
        ranked AS (
            SELECT b.*, row_number() OVER (
                PARTITION BY b.tenant, b.location, b.object_type, b.earlier
                ORDER BY b.finish_time DESC, b.start_time DESC NULLS LAST, b.id COLLATE "C" DESC
            ) AS place
            FROM backups AS b
        )
        SELECT r.tenant, r.location, r.object_type, max(CASE WHEN r.earlier = 1 THEN r.succeeded END) AS yesterday,
            max(CASE WHEN r.earlier = 0 THEN r.succeeded END) AS today,
            max(CASE WHEN r.earlier = 0 THEN r.finish_time END) AS finished_at
        FROM ranked AS r WHERE r.place = 1
        GROUP BY r.tenant, r.location, r.object_type ORDER BY 1, 2, 3""",
        **query_range.filters.values,
        first=query_range.until - LOOKBACK,
        yesterday=query_range.until - DAY,
        until=query_range.until,
        tolerated=protection().tolerated_failed_ratio,
    )


def read_due_times(scope: TenantScope, query_range: QueryRange) -> list[Row]:
    """Return, per service, the start of the tenant's first window and of its first known schedule (UTC).

    A tenant without a schedule has one row, without a service.
    """
    return scope.rows(
        """WITH begins AS (SELECT a.tenant, min(a.window_start) AS asked_from FROM load_audit AS a GROUP BY a.tenant)
        SELECT b.tenant, s.location, s.object_type, b.asked_from, min(s.valid_from) AS scheduled_from
        FROM begins AS b
        LEFT JOIN backup_schedules AS s ON s.tenant = b.tenant AND s.interval_hours IS NOT NULL
        GROUP BY b.tenant, s.location, s.object_type, b.asked_from"""
    )


def first_day(query_range: QueryRange) -> date:
    """Return the first day of the calendar, in the time zone of the filters."""
    days = min(query_range.filters.days, MAX_DAYS)
    return query_range.until.astimezone(query_range.filters.zone).date() - timedelta(days=days - 1)


def _midnight(day: date, filters: Filter) -> datetime:
    return datetime.combine(day, time(), filters.zone)


def calendar_rows(
    days: Sequence[Row],
    protection_rows: Sequence[Row],
    completeness: Sequence[Row],
    due: Sequence[Row],
    query_range: QueryRange,
) -> list[CalendarRow]:
    """Return the calendar of each service that is evaluated or had a backup, most failed and missed days first.

    ``days`` are rows of ``read_backup_days``, ``due`` of ``read_due_times``.
    """
    by_partition: dict[PartitionKey, dict[date, Row]] = {}
    for row in days:
        by_partition.setdefault(partition_key(row), {})[row["day"]] = row
    expected = {partition_key(row): row for row in protection_rows if row["status"] != "ignored"}
    for key in expected:
        by_partition.setdefault(key, {})
    asked_from = {str(row["tenant"]): row["asked_from"] for row in due}
    scheduled_from = {partition_key(row): row["scheduled_from"] for row in due}
    # A service without any job has no row in ``completeness``; its data ends with that of all services.
    ends = {key: row["data_as_of"] for key, row in expected.items()}
    ends |= {partition_key(row): row["complete_until"] for row in completeness}
    period = first_day(query_range), query_range.until.astimezone(query_range.filters.zone).date()
    settings = protection()
    calendar = []
    for key, backups_of in by_partition.items():
        row, begin, since = expected.get(key, {}), asked_from.get(key[0]), scheduled_from.get(key)
        never = row.get("status") in ("never", "missed") and not backups_of
        due_times = _DueTimes(
            begin,
            ends.get(key),
            max(since, begin) if since and begin else begin if never else None,
            timedelta(hours=row.get("allowed_age_hours") or settings.allowed_age(key[2])),
        )
        if key[2]:
            calendar.append(CalendarRow(*key, tuple(_days(backups_of, due_times, period, query_range.filters))))
    bad = (DayResult.failed, DayResult.missed)
    return sorted(calendar, key=lambda row: (-sum(map(row.count, bad)), row.location, service_label(row.object_type)))


@dataclass(frozen=True)
class _DueTimes:
    """Describe when backups of a service are due. Times are UTC."""

    begin: datetime | None
    """Start of the service's data."""
    end: datetime | None
    """End of the service's data."""
    due_from: datetime | None
    """Time from which backups are due; None if none is due before the first that ran."""
    allowed_age: timedelta
    """Age of the last success up to which no backup is due."""


def _days(
    backups_of: Mapping[date, Row], due_times: _DueTimes, period: tuple[date, date], filters: Filter
) -> Iterator[CalendarDay]:
    """Yield the days of a service from the first to the last of ``period``."""
    earlier = [row["last_success_at"] for day, row in backups_of.items() if day < period[0] and row["last_success_at"]]
    last_success = max(earlier, default=None)
    first_backup, due_from, end = min(backups_of, default=None), due_times.due_from, due_times.end
    for offset in range((period[1] - period[0]).days + 1):
        day = period[0] + timedelta(days=offset)
        row = backups_of.get(day)
        day_end = _midnight(day + timedelta(days=1), filters)
        known = (
            due_times.begin is not None
            and due_times.begin < day_end
            and end is not None
            and end >= _midnight(day, filters)
        )
        had_backup = first_backup is not None and first_backup <= day
        since = last_success or (None if had_backup else due_from)
        if row:
            last_success = row["last_success_at"] or last_success
            yield _evaluate_day(day, row)
        elif not known or end is None or not (had_backup or (due_from and due_from < day_end)):
            yield CalendarDay(day, DayResult.no_data, "no data")
        elif since is None or min(day_end, end) - since > due_times.allowed_age:
            yield CalendarDay(day, DayResult.missed, "missed: a backup was due, none ended")
        elif end < day_end:
            yield CalendarDay(day, DayResult.no_data, "no data yet: the day is not over")
        else:
            yield CalendarDay(day, DayResult.skipped, "skipped: no backup was due")


def _evaluate_day(day: date, row: Row) -> CalendarDay:
    """Return a day on which backups ended: met if at least one succeeded, else failed."""
    number, successes = int(row["backups"]), int(row["successes"])
    if not successes:
        return CalendarDay(day, DayResult.failed, f"failed: {backups_label(number)} ended, none succeeded")
    return CalendarDay(day, DayResult.met, f"met: {successes:,} of {backups_label(number)} succeeded")
