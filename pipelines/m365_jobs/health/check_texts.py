"""Write the messages of the health checks, each from a row of its query."""

from __future__ import annotations

from typing import Any, NamedTuple

from m365_jobs.text import format_count, format_time, shorten

Row = dict[str, Any]


class FindingText(NamedTuple):
    """Hold the text of a finding. ``about`` identifies it if its partition can have several of its kind."""

    text: str
    about: str = ""


def failed_load(row: Row) -> FindingText:
    """Return the message about a load that failed."""
    started = format_time(row["started_at"])
    return FindingText(f"the last load ({started}) failed ({row['error_kind']}): {row['detail']}")


def incomplete(row: Row) -> FindingText:
    """Return the message about a partition that is not proved complete."""
    at = format_time(row["last_load_at"])
    return FindingText(f"the last load ({at}) could not prove it complete; the next tries again")


def unreconciled(row: Row) -> FindingText:
    """Return the message about jobs that the API counts and does not return."""
    period = f"{format_time(row['period_start'])} to {format_time(row['period_end'])}"
    return FindingText(
        f"the API counts {format_count(row['api_total'], 'job')} from {period} and does not return all of "
        f"them; the warehouse held {row['warehouse_jobs']:,} before the load"
    )


def check_failure(row: Row) -> FindingText:
    """Return the message about a broken data rule or a lasting finding."""
    example = f", for instance {row['example']}" if row["example"] else ""
    jobs = f" ({format_count(row['jobs'], 'job')}{example})" if row["jobs"] else ""
    return FindingText(f"{row['rule']}: {row['problem']}{jobs}", row["rule"])


def slow_job(row: Row) -> FindingText:
    """Return the message about a job that runs long."""
    text = (
        f"{row['job_type'] or 'job'} {row['id']} has been running for {row['hours_open']:.1f} h "
        f"(normally up to {row['hours']:.1f} h)"
    )
    return FindingText(text, row["id"])


def failed_backups(row: Row) -> FindingText:
    """Return the message about a service with many failed backups."""
    share = f"{100 * row['failed'] / row['jobs']:.0f} %"
    backups = f"{row['failed']:,} of {format_count(row['jobs'], 'backup')}"
    last = f", the last {format_time(row['last_at'])}" if row["last_at"] else ""
    text = f"{backups} of the last 14 days failed ({share}){last}; one of several policies may fail each time"
    return FindingText(text)


def failed_objects(row: Row) -> FindingText:
    """Return the message about many failed objects."""
    objects = format_count(row["failed"], "object")
    return FindingText(f"{objects} failed in the last 24 h (normally up to {row['usual']:,})")


def failed_restores(row: Row) -> FindingText:
    """Return the message about failed restores."""
    restores = format_count(row["jobs"], "restore")
    return FindingText(f"{restores} failed in the last 7 days, the last {format_time(row['last_at'])}")


def empty_backups(row: Row) -> FindingText:
    """Return the message about backups without objects."""
    jobs = format_count(row["jobs"], "backup")
    return FindingText(f"{jobs} ended with 0 objects in the last 7 days, the last {format_time(row['last_at'])}")


def unknown_state(row: Row) -> FindingText:
    """Return the message about an unrecognised state."""
    jobs = format_count(row["jobs"], "job")
    started = f"the last started {format_time(row['last_at'])}"
    if row["state"] is None:
        return FindingText(f"{jobs} without a state ({started}) count as other", "no state")
    text = f"state {shorten(row['state'], 100)!r} ({jobs}, {started}) is unrecognised and counts as other"
    return FindingText(text, row["state"])
