"""Build the expected rows of the marts on companions, in plain Python from the definitions, without SQL."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tests.integration.m365_jobs.marts.rows import NOW, Job, Rows
from tests.integration.m365_jobs.marts.truth import failed_ratio, hours, known_until, outcome

Key = tuple[str, str | None, str | None]
MONTH, YEAR = timedelta(days=30), timedelta(days=365)


def succeeded(job: Job) -> bool:
    ratio = failed_ratio(job)
    tolerated = outcome(job) == "warning" and (job.successful or 0) > 0 and ratio is not None and ratio <= 0.05
    return outcome(job) == "success" or tolerated


def backups(rows: Rows, key: Key) -> list[Job]:
    return [job for job in rows.jobs if job.partition == key and job.job_type == "backup"]


def data_as_of(rows: Rows, key: Key) -> datetime | None:
    """Return the end of the last complete load; a listing of all locations counts for each of them."""
    tenant, location, object_type = key
    vouching = [read for read in rows.reads if (read.tenant, read.object_type) == (tenant, object_type)]
    ends = [read.until for read in vouching if read.location in (None, location) and read.complete]
    return max(ends, default=None)


def slots(rows: Rows, key: Key, end: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """Yield each scheduled time that is known, up to the end of the data, with its interval."""
    for schedule in rows.companions["backup_schedules"]:
        if (schedule["tenant"], schedule.get("location"), schedule["object_type"]) != key:
            continue
        minutes = [
            row["minute_of_day"]
            for row in rows.companions["backup_schedules__start_times"]
            if (row["tenant"], row["schedule_id"]) == (schedule["tenant"], schedule["id"])
        ]
        until = min(known_until(rows, schedule), schedule.get("valid_to") or NOW + YEAR)
        for number in range(400):
            midnight = datetime.combine(end.date() - timedelta(days=number), time(), UTC)
            for minute in minutes:
                due = midnight + timedelta(minutes=minute)
                if schedule["valid_from"] <= due < until and due <= end:
                    yield due, timedelta(hours=schedule["interval_hours"])


def earliest(due: datetime, interval: timedelta) -> datetime:
    """Return the earliest start that counts for a scheduled time: clocks that went forward start jobs an hour early."""
    return due - min(timedelta(minutes=70), interval / 4)


def schedule_compliance(rows: Rows) -> list[tuple[Any, ...]]:
    results = []
    keys = {(row["tenant"], row.get("location"), row["object_type"]) for row in rows.companions["backup_schedules"]}
    for key in keys - {item for item in keys if item[2] is None}:
        end = data_as_of(rows, key)
        if end is None:
            continue
        due_times = sorted(set(slots(rows, key, end)))
        started = [(job.start, job) for job in backups(rows, key) if job.start]
        days: dict[date, Counter[str]] = defaultdict(Counter)
        for place, (due, interval) in enumerate(due_times):
            following = earliest(*due_times[place + 1]) if place + 1 < len(due_times) else NOW + YEAR
            begins = earliest(due, interval)
            deadline = min(following, due + interval / 2)
            within = [job for start, job in started if begins <= start < deadline]
            running = any(start < begins and (job.finish or start + timedelta(days=2)) > due for start, job in started)
            result = "ran" if within else "skipped" if running else "missed" if deadline <= end else "pending"
            days[due.date()].update([result, *(["succeeded"] if any(map(succeeded, within)) else [])])
        for day, counts in days.items():
            scheduled = counts["ran"] + counts["missed"] + counts["skipped"]
            if scheduled:
                expected = scheduled - counts["skipped"]
                compliance = counts["succeeded"] / expected if expected else None
                numbers = (counts[item] for item in ("ran", "succeeded", "missed", "skipped"))
                results.append((*key, day, scheduled, *numbers, compliance))
    return results


def recovery_point(rows: Rows, promised: dict[Key, float]) -> list[tuple[Any, ...]]:
    results = []
    for key in {job.partition for job in rows.jobs}:
        end = data_as_of(rows, key)
        if end is None:
            continue
        good = sorted(job.finish for job in backups(rows, key) if job.finish and succeeded(job) and job.finish <= end)
        count = sum(end - MONTH <= finish for finish in good)
        if count:
            # The gap that began before the 30 days counts whole.
            gaps = [
                (after - before, before)
                for before, after in zip(good, [*good[1:], end], strict=True)
                if end - MONTH <= after
            ]
            longest = max(gap for gap, _ in gaps)
            since = next(before for gap, before in gaps if gap == longest)
            results.append((*key, count, hours(longest), since, promised.get(key), end))
    return results


def restore_evidence(rows: Rows) -> list[tuple[Any, ...]]:
    results = []
    newest = {read.tenant: max(item.until for item in rows.reads if item.tenant == read.tenant) for read in rows.reads}
    for key in {job.partition for job in rows.jobs if job.job_type in ("backup", "restore")}:
        restores = [job for job in rows.jobs if job.partition == key and job.job_type == "restore" and job.finish]
        proofs = [job for job in restores if outcome(job) in ("success", "warning") and (job.successful or 0) >= 1]
        last = max(proofs, key=lambda job: (job.finish or NOW, job.id), default=None)
        tried = [job for job in restores if job.finish and newest[key[0]] - job.finish <= YEAR]
        evidence: tuple[Any, ...] = (None,) * 5
        if last and last.finish:
            length = hours(last.finish - last.start) if last.start else None
            age = hours(newest[key[0]] - last.finish) / 24
            evidence = (last.finish, last.id, age, length, last.successful)
        failed = sum(outcome(job) == "failure" for job in tried)
        results.append((*key, *evidence, len(tried), failed))
    return results
