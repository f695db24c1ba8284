"""Build the expected rows of the marts, in plain Python from the definitions, without SQL."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from m365_jobs.config.protection import Protection

from tests.integration.m365_jobs.marts.rows import NOW, Job, Read, Rows

OUTCOMES = {
    "finished": "success",
    "2": "success",
    "finishedwithexception": "warning",
    "finishedexception": "warning",
    "4": "warning",
    "partiallyfinished": "warning",
    "5": "warning",
    "failed": "failure",
    "3": "failure",
    "inprogress": "running",
    "1": "running",
}
FETCHED_AT = NOW + timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
READ = ("schedule", "loaded")
Partition = tuple[str, str | None, str | None]


def outcome(job: Job) -> str:
    plain = "".join(item for item in (job.state or "").lower() if item.isascii() and item.isalnum())
    return OUTCOMES.get(plain, "other")


def failed_ratio(job: Job) -> float | None:
    return job.failed / job.total if job.total and job.failed is not None else None


def hours(duration: timedelta) -> float:
    return duration.total_seconds() / 3600


def occurrences(job: Job) -> int:
    return sum(1 if error.number is None else error.number for error in job.errors)


def is_open(job: Job) -> bool:
    return job.finish is None and outcome(job) in ("running", "other")


def job_facts(rows: Rows) -> list[tuple[Any, ...]]:
    return [
        (
            *(job.tenant, job.id, job.location, job.object_type, job.job_type, job.state, job.start, job.finish),
            *(0.5, FETCHED_AT, FETCHED_AT, job.total, job.failed, job.successful, job.skipped),
            outcome(job),
            failed_ratio(job),
            len({error.value for error in job.errors} - {None}),
            occurrences(job),
            job.failed is not None and job.failed > occurrences(job),
        )
        for job in rows.jobs
    ]


def daily_summary(rows: Rows) -> list[tuple[Any, ...]]:
    return _summed_by_day(rows, lambda tenant: UTC)


def daily_summary_local(rows: Rows, settings: Protection) -> list[tuple[Any, ...]]:
    def zone(tenant: str) -> ZoneInfo:
        return ZoneInfo(settings.time_zones.get(tenant, settings.time_zones[""]))

    return [(row[0], zone(row[1]).key, *row[1:]) for row in _summed_by_day(rows, zone)]


def _summed_by_day(rows: Rows, zone: Callable[[str], tzinfo]) -> list[tuple[Any, ...]]:
    days = defaultdict(list)
    for job in rows.jobs:
        if job.finish:
            days[(job.finish.astimezone(zone(job.tenant)).date(), *job.partition, job.job_type)].append(job)
    results = []
    for key, jobs in days.items():
        outcomes = [outcome(job) for job in jobs]
        counts = [outcomes.count(item) for item in ("success", "warning", "failure")]
        spent = sum(hours(job.finish - job.start) for job in jobs if job.finish and job.start)
        totals = sum(job.total or 0 for job in jobs), sum(job.failed or 0 for job in jobs)
        results.append((*key, len(jobs), *counts, len(jobs) - sum(counts), *totals, spent))
    return results


def error_summary(rows: Rows) -> list[tuple[Any, ...]]:
    kinds = defaultdict(list)
    for job in rows.jobs:
        for error in job.errors:
            kinds[job.tenant, job.object_type, error.value].append((job, error))
    results = []
    for key, cases in kinds.items():
        times = [job.finish or job.start for job, _ in cases if job.finish or job.start]
        urls = [error.url for _, error in cases if error.url]
        count = sum(1 if error.number is None else error.number for _, error in cases)
        seen = (min(filter(None, times)), max(filter(None, times)))
        results.append((*key, count, len({job.id for job, _ in cases}), *seen, max(urls, default=None)))
    return results


def partition_loads(rows: Rows) -> list[tuple[Any, ...]]:
    """Return complete_until, last_complete_load_at, last_load_at and complete of each partition."""
    listings = [read for read in rows.reads if read.job_type is None]
    partitions = {read.partition for read in listings} | {job.partition for job in rows.jobs}
    results: list[tuple[Any, ...]] = []
    for tenant, location, object_type in partitions:
        loads = defaultdict(list)
        for read in listings:
            if read.tenant == tenant and read.location in (None, location) and read.object_type in (None, object_type):
                loads[read.run_id].append(read)
        if loads:
            complete = [reads for reads in loads.values() if all(read.complete for read in reads)]
            short = [reads for reads in loads.values() if reads not in complete]
            until, at = (max((key(item) for item in complete), default=None) for key in (reached, begun))
            fine = (
                until is not None
                and at is not None
                and all(reached(item) <= until and begun(item) <= at for item in short)
            )
            newest = max(map(begun, loads.values()))
            results.append((tenant, location, object_type, until, at, newest, fine))
    return results


def reached(listings: list[Read]) -> datetime:
    return max(read.until for read in listings)


def begun(listings: list[Read]) -> datetime:
    return max(read.at or read.until for read in listings)


def data_as_of(rows: Rows) -> dict[Partition, datetime]:
    """Return, for each partition, the latest window end of the loads whose listings are all complete."""
    return {row[:3]: row[3] for row in partition_loads(rows) if row[3]}


def hours_open(job: Job, as_of: datetime | None) -> float | None:
    if job.start is None:
        return None
    return hours((as_of if as_of and as_of >= job.start else FETCHED_AT) - job.start)


def open_jobs(rows: Rows) -> list[tuple[Any, ...]]:
    known = data_as_of(rows)
    return [
        (job.tenant, job.id, *job.partition[1:], job.job_type, job.start, hours_open(job, known.get(job.partition)))
        for job in rows.jobs
        if is_open(job)
    ]


def newest_loads(rows: Rows) -> dict[str, datetime]:
    newest: dict[str, datetime] = {}
    for read in rows.reads:
        newest[read.tenant] = max(read.until, newest.get(read.tenant, EPOCH))
    return newest


def expected(rows: Rows, settings: Protection) -> set[Partition]:
    newest = newest_loads(rows)
    recent = [read for read in rows.reads if newest[read.tenant] - read.until <= MONTH]
    with_locations = {read.tenant for read in recent if read.location}
    with_locations |= {job.tenant for job in rows.jobs if job.location}
    without = {read.tenant for read in recent if not read.location and read.tenant not in with_locations}
    results = {partition for partition in schedules(rows) if partition[1] or partition[0] in without}
    for read in rows.reads:
        services = settings.of_tenant.get(read.tenant, settings.services)
        if newest[read.tenant] - read.until <= MONTH and (read.location or read.tenant in without):
            results |= {(read.tenant, read.location, item) for item in services.expected}
    for partition, jobs in by_partition(rows.jobs).items():
        kind = {"backup"} if any(job.job_type for job in jobs) else {None}
        times = [job.finish or job.start for job in jobs if job.job_type in kind]
        last = max(filter(None, times), default=None)
        if last and newest.get(partition[0], last) - last <= MONTH:
            results.add(partition)
    return results


@dataclass(frozen=True)
class Plan:
    """Hold the schedule of a partition: hours between backups, and the times of its first version and last change."""

    interval: float
    first: datetime
    changed: datetime | None


def known_until(rows: Rows, version: dict[str, Any]) -> datetime:
    """Return the time until which a version of a schedule counts: 30 days after the last load that read it."""
    place = version["tenant"], version.get("location")
    reads = sorted(
        load["asked_at"]
        for load in rows.companions.get("companion_loads", [])
        if (load["tenant"], load.get("location")) == place and (load["companion"], load["status"]) == READ
    )
    if version.get("valid_to"):
        # The last one read the next version, or that the service is no longer scheduled.
        reads = [asked_at for asked_at in reads if asked_at <= version["valid_to"]][:-1]
    read_at: datetime = max([version["valid_from"], *reads])
    return read_at + MONTH


def schedules(rows: Rows) -> dict[Partition, Plan]:
    """Return the schedules in force that a load read within 30 days of the newest load."""
    newest, result = newest_loads(rows), {}
    for companion in rows.companions.get("backup_schedules", []):
        place = companion["tenant"], companion.get("location")
        same_place = [row for row in rows.companions["backup_schedules"] if (row["tenant"], row["location"]) == place]
        if companion["valid_to"] is not None or newest[place[0]] > known_until(rows, companion):
            continue
        minutes = sorted(
            start["minute_of_day"]
            for start in rows.companions["backup_schedules__start_times"]
            if (start["tenant"], start["schedule_id"]) == (companion["tenant"], companion["id"])
        )
        gaps = [later - earlier for earlier, later in zip(minutes, [*minutes[1:], minutes[0] + 24 * 60], strict=True)]
        first_of_all = min(row["valid_from"] for row in same_place)
        result[(*place, companion["object_type"])] = Plan(
            max(max(gaps) / 60, companion["interval_hours"]),
            min(row["valid_from"] for row in same_place if row["object_type"] == companion["object_type"]),
            companion["valid_from"] if companion["valid_from"] > first_of_all else None,
        )
    return result


def by_partition(jobs: Iterable[Job]) -> dict[Partition, list[Job]]:
    result: dict[Partition, list[Job]] = defaultdict(list)
    for job in jobs:
        result[job.partition].append(job)
    return result


def succeeded(job: Job, tolerated: float) -> bool:
    ratio = failed_ratio(job)
    tolerable = ratio is not None and ratio <= tolerated and (job.successful or 0) > 0
    return outcome(job) == "success" or (outcome(job) == "warning" and tolerable)


def protection_status(rows: Rows, settings: Protection) -> list[tuple[Any, ...]]:
    known, loaded, plans = data_as_of(rows), by_partition(rows.jobs), schedules(rows)
    results = []
    for partition in expected(rows, settings):
        as_of, jobs, plan = known.get(partition), loaded.get(partition, []), plans.get(partition)
        allowed = allowed_age(partition, as_of, plan, settings)
        results.append(
            (
                *partition,
                *_judge(partition, jobs, as_of, plan, allowed, settings),
                as_of,
                last_backup(jobs),
                plan.interval if plan else None,
                allowed,
            )
        )
    return results


def allowed_age(partition: Partition, as_of: datetime | None, plan: Plan | None, settings: Protection) -> float:
    configured = settings.allowed_age(partition[2] or "")
    if plan is None:
        return configured
    planned = 1.5 * plan.interval
    just_changed = plan.changed and as_of and hours(as_of - plan.changed) < planned
    return max(planned, configured) if just_changed else planned


def last_backup(jobs: list[Job]) -> datetime | None:
    kind = {"backup"} if any(job.job_type for job in jobs) else {None}
    times = [job.finish or job.start for job in jobs if job.job_type in kind]
    return max(filter(None, times), default=None)


def _judge(
    partition: Partition,
    jobs: list[Job],
    as_of: datetime | None,
    plan: Plan | None,
    allowed: float,
    settings: Protection,
) -> tuple[Any, ...]:
    """Return last_success_at, hours_since_success, last_outcome, consecutive_failures, open_jobs and status."""
    backups = [job for job in jobs if job.job_type == "backup"]
    ended = sorted((job for job in backups if job.finish), key=lambda job: (job.finish, job.start or EPOCH, job.id))
    good = [job for job in ended if succeeded(job, settings.tolerated_failed_ratio)]
    last = good[-1] if good else None
    failures = len(ended) - ended.index(last) - 1 if last else len(ended)
    since = hours(as_of - last.finish) if last and last.finish and as_of else None
    running = [job for job in backups if is_open(job)]
    too_old = since is not None and since > allowed
    ages = [age for job in running if (age := hours_open(job, as_of)) is not None]
    if partition[2] in settings.of_tenant.get(partition[0], settings.services).ignored:
        status = "ignored"
    elif as_of is None or (jobs and not any(job.job_type for job in jobs)):
        status = "unknown"
    elif failures >= 2:
        status = "failing"
    elif last is None and (
        (plan and hours(as_of - plan.first) < 24) or (not ended and any(age < 14 * 24 for age in ages))
    ):
        status = "onboarding"
    elif plan and not any(age < 48 for age in ages) and _is_silent(jobs, as_of, plan, allowed):
        status = "missed"
    elif last is None:
        status = "never"
    elif too_old and any(age < 48 for age in ages):
        status = "running_long"
    else:
        status = "late" if too_old else "protected"
    outcome_of_last = outcome(ended[-1]) if ended else None
    return last.finish if last else None, since, outcome_of_last, failures, len(running), status


def _is_silent(jobs: list[Job], as_of: datetime, plan: Plan, allowed: float) -> bool:
    last = last_backup(jobs)
    return (last is None or hours(as_of - last) > allowed) and (
        plan.changed is None or hours(as_of - plan.changed) > allowed
    )
