"""Write the messages of the health checks, each from a row of its query."""

from __future__ import annotations

from typing import Any

from m365_jobs.text import format_count, format_time, shorten

Row = dict[str, Any]


def failed_load(row: Row) -> Row:
    """Return the message about a load that failed."""
    return {"text": f"the last load ({format_time(row['started_at'])}) failed ({row['error_kind']}): {row['detail']}"}


def incomplete(row: Row) -> Row:
    """Return the message about a partition that is not proved complete."""
    at = format_time(row["last_load_at"])
    return {"text": f"the last load ({at}) could not prove it complete; the next tries again"}


def unreconciled(row: Row) -> Row:
    """Return the message about jobs that the API counts and does not return."""
    period = f"{format_time(row['period_start'])} to {format_time(row['period_end'])}"
    return {
        "text": f"the API counts {format_count(row['api_total'], 'job')} from {period} and does not return all of "
        f"them; the warehouse held {row['warehouse_jobs']:,} before the load"
    }


def check_failure(row: Row) -> Row:
    """Return the message about a broken data rule or a lasting finding."""
    example = f", for instance {row['example']}" if row["example"] else ""
    jobs = f" ({format_count(row['jobs'], 'job')}{example})" if row["jobs"] else ""
    return {"text": f"{row['rule']}: {row['problem']}{jobs}", "about": row["rule"]}


def slow_job(row: Row) -> Row:
    """Return the message about a job that runs long."""
    text = (
        f"{row['job_type'] or 'job'} {row['id']} has been running for {row['hours_open']:.1f} h "
        f"(normally up to {row['hours']:.1f} h)"
    )
    return {"text": text, "about": row["id"]}


def failed_backups(row: Row) -> Row:
    """Return the message about a service with many failed backups."""
    share = f"{100 * row['failed'] / row['jobs']:.0f} %"
    backups = f"{row['failed']:,} of {format_count(row['jobs'], 'backup')}"
    last = f", the last {format_time(row['last_at'])}" if row["last_at"] else ""
    return {"text": f"{backups} of the last 14 days failed ({share}){last}; one of several policies may fail each time"}


def failed_objects(row: Row) -> Row:
    """Return the message about many failed objects."""
    objects = format_count(row["failed"], "object")
    return {"text": f"{objects} failed in the last 24 h (normally up to {row['usual']:,})"}


def failed_restores(row: Row) -> Row:
    """Return the message about failed restores."""
    restores = format_count(row["jobs"], "restore")
    return {"text": f"{restores} failed in the last 7 days, the last {format_time(row['last_at'])}"}


def empty_backups(row: Row) -> Row:
    """Return the message about backups without objects."""
    jobs = format_count(row["jobs"], "backup")
    return {"text": f"{jobs} ended with 0 objects in the last 7 days, the last {format_time(row['last_at'])}"}


def unknown_state(row: Row) -> Row:
    """Return the message about an unrecognised state."""
    jobs = format_count(row["jobs"], "job")
    started = f"the last started {format_time(row['last_at'])}"
    if row["state"] is None:
        return {"text": f"{jobs} without a state ({started}) count as other", "about": "no state"}
    text = f"state {shorten(row['state'], 100)!r} ({jobs}, {started}) is unrecognised and counts as other"
    return {"text": text, "about": row["state"]}
