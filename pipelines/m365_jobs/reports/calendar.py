"""Evaluate each service and day: met, failed, missed, skipped or no data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from m365_jobs.config.protection import protection
from m365_jobs.reports.labels import backups, service
from m365_jobs.reports.metrics import QueryRange, Row
from m365_jobs.reports.view import DAY, Filter
from m365_jobs.warehouse.tenant_scope import TenantScope

Key = tuple[str, str, str]
"""Tenant, location, object type."""

DAYS = 31
"""The most days of a calendar."""

LOOKBACK = 10 * DAY
"""How far before the first day the last success may be: until then, no newer backup is due."""

SUCCEEDED = """CASE WHEN f.outcome = 'success' THEN 1
    WHEN f.outcome = 'warning' AND f.successful_number > 0 AND f.failed_ratio <= :tolerated THEN 1 ELSE 0 END"""
"""1 for a backup that counts as a success, as in ``protection_status``."""


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
        return {"met": "Met", "no_data": "No data"}.get(self.value, self.value.capitalize())


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


def backup_days(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return, per partition and day of the time zone: finished backups, successes, and the newest success."""
    first = _midnight(first_day(asked), asked.shown) - LOOKBACK
    return scope.rows(
        f"""SELECT f.tenant, f.location, f.object_type, CAST(f.finish_time AT TIME ZONE :zone AS DATE) AS day,
            count(*) AS backups, CAST(sum({SUCCEEDED}) AS BIGINT) AS successes,
            max(CASE WHEN {SUCCEEDED} = 1 THEN f.finish_time END) AS last_success_at
        FROM job_facts AS f
        WHERE {asked.shown.of("f")} AND f.job_type = 'backup' AND f.finish_time >= :first AND f.finish_time <= :until
        GROUP BY f.tenant, f.location, f.object_type, CAST(f.finish_time AT TIME ZONE :zone AS DATE)
        ORDER BY 1, 2, 3, 4""",
        **asked.shown.values,
        first=first,
        until=asked.until,
        zone=asked.shown.zone_name,
        tolerated=protection().tolerated_failed_ratio,
    )


def changes(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return, per partition, whether its last backup succeeded, now and 24 hours before (1, 0, or null)."""
    return scope.rows(
        f"""WITH backups AS (
            SELECT f.tenant, f.location, f.object_type, {SUCCEEDED} AS succeeded, f.finish_time, f.id,
                CASE WHEN f.finish_time <= :yesterday THEN 1 ELSE 0 END AS earlier
            FROM job_facts AS f
            WHERE {asked.shown.of("f")} AND f.job_type = 'backup' AND f.finish_time > :first AND f.finish_time <= :until
        ),
        ranked AS (
            SELECT b.*, row_number() OVER (
                PARTITION BY b.tenant, b.location, b.object_type, b.earlier ORDER BY b.finish_time DESC, b.id DESC
            ) AS place
            FROM backups AS b
        )
        SELECT r.tenant, r.location, r.object_type, max(CASE WHEN r.earlier = 1 THEN r.succeeded END) AS yesterday,
            max(CASE WHEN r.earlier = 0 THEN r.succeeded END) AS today,
            max(CASE WHEN r.earlier = 0 THEN r.finish_time END) AS finished_at
        FROM ranked AS r WHERE r.place = 1
        GROUP BY r.tenant, r.location, r.object_type ORDER BY 1, 2, 3""",
        **asked.shown.values,
        first=asked.until - LOOKBACK,
        yesterday=asked.until - DAY,
        until=asked.until,
        tolerated=protection().tolerated_failed_ratio,
    )


def due_from(scope: TenantScope, asked: QueryRange) -> list[Row]:
    """Return the start of each tenant's first window, and since when each service is known to be scheduled.

    A tenant without a schedule has one row, without a service.
    """
    return scope.rows(
        """WITH begins AS (SELECT a.tenant, min(a.window_start) AS asked_from FROM load_audit AS a GROUP BY a.tenant)
        SELECT b.tenant, s.location, s.object_type, b.asked_from, min(s.valid_from) AS scheduled_from
        FROM begins AS b
        LEFT JOIN backup_schedules AS s ON s.tenant = b.tenant AND s.interval_hours IS NOT NULL
        GROUP BY b.tenant, s.location, s.object_type, b.asked_from"""
    )


def first_day(asked: QueryRange) -> date:
    """Return the first day of the calendar."""
    return asked.until.astimezone(asked.shown.zone).date() - timedelta(days=min(asked.shown.days, DAYS) - 1)


def _midnight(day: date, shown: Filter) -> datetime:
    return datetime.combine(day, time(), shown.zone)


def calendar_rows(
    days: Sequence[Row],
    protection_rows: Sequence[Row],
    completeness: Sequence[Row],
    due: Sequence[Row],
    asked: QueryRange,
) -> list[CalendarRow]:
    """Return the calendar of each service that is evaluated or had a backup, most failed and missed days first."""
    by_partition: dict[Key, dict[date, Row]] = {}
    for row in days:
        by_partition.setdefault(_key(row), {})[row["day"]] = row
    expected = {_key(row): row for row in protection_rows if row["status"] != "ignored"}
    for key in expected:
        by_partition.setdefault(key, {})
    asked_from = {str(row["tenant"]): row["asked_from"] for row in due}
    scheduled_from = {_key(row): row["scheduled_from"] for row in due}
    # A service without any job has no partition; its data ends with that of all services.
    ends = {key: row["data_as_of"] for key, row in expected.items()}
    ends |= {_key(row): row["complete_until"] for row in completeness}
    period = first_day(asked), asked.until.astimezone(asked.shown.zone).date()
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
            calendar.append(CalendarRow(*key, tuple(_days(backups_of, due_times, period, asked.shown))))
    trouble = (DayResult.failed, DayResult.missed)
    return sorted(calendar, key=lambda row: (-sum(map(row.count, trouble)), row.location, service(row.object_type)))


def _key(row: Row) -> Key:
    return str(row["tenant"]), str(row["location"] or ""), str(row["object_type"] or "")


@dataclass(frozen=True)
class _DueTimes:
    """Hold the start and end of a service's data, since when backups are due, and the allowed age of a success."""

    begin: datetime | None
    end: datetime | None
    due_from: datetime | None
    """None if no backup is due before the first that ran."""
    allowed: timedelta


def _days(
    backups_of: Mapping[date, Row], due_times: _DueTimes, period: tuple[date, date], shown: Filter
) -> Iterator[CalendarDay]:
    earlier = [row["last_success_at"] for day, row in backups_of.items() if day < period[0] and row["last_success_at"]]
    last_success = max(earlier, default=None)
    first_backup, due_from, end = min(backups_of, default=None), due_times.due_from, due_times.end
    for offset in range((period[1] - period[0]).days + 1):
        day = period[0] + timedelta(days=offset)
        row = backups_of.get(day)
        day_end = _midnight(day + timedelta(days=1), shown)
        known = (
            due_times.begin is not None
            and due_times.begin < day_end
            and end is not None
            and end >= _midnight(day, shown)
        )
        had_backup = first_backup is not None and first_backup <= day
        since = last_success or (None if had_backup else due_from)
        if row:
            last_success = row["last_success_at"] or last_success
            yield _finished(day, row)
        elif not known or end is None or not (had_backup or (due_from and due_from < day_end)):
            yield CalendarDay(day, DayResult.no_data, "no data")
        elif since is None or min(day_end, end) - since > due_times.allowed:
            yield CalendarDay(day, DayResult.missed, "missed: a backup was due, none ended")
        elif end < day_end:
            yield CalendarDay(day, DayResult.no_data, "no data yet: the day is not over")
        else:
            yield CalendarDay(day, DayResult.skipped, "skipped: no backup was due")


def _finished(day: date, row: Row) -> CalendarDay:
    number, successes = int(row["backups"]), int(row["successes"])
    if not successes:
        return CalendarDay(day, DayResult.failed, f"failed: {backups(number)} ended, none succeeded")
    return CalendarDay(day, DayResult.met, f"met: {successes:,} of {backups(number)} succeeded")
