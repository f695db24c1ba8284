"""The sections of dashboard and report, as HTML. Whatever comes from the warehouse is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import Any

from m365_jobs.config.protection import max_data_age
from m365_jobs.health.protection import ProtectionStatus
from m365_jobs.reports import charts
from m365_jobs.reports.labels import NOBODY, count, location, moment, no_success, service, span
from m365_jobs.reports.metrics import Filter, Row
from m365_jobs.warehouse.pipeline import UNSAID

STATUSES = {str(status): (status.sign, status.label) for status in ProtectionStatus}
"""Sign and word of each status, the gravest first."""

TILES = 240
"""More than these, and those that are protected are counted rather than drawn."""


def css() -> str:
    """The style sheet of both."""
    return (files(__package__) / "page.css").read_text(encoding="utf-8")


def title(text: str) -> str:
    """The heading of the page."""
    return f"<h1>{escape(text)}</h1>"


def section(title: str, *parts: str) -> str:
    """A part of the page under its heading."""
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    return f'<section class="m365">{heading}{"".join(parts)}</section>'


def figure(chart: charts.Drawing) -> str:
    """A drawing."""
    return f"<figure>{charts.svg(chart)}</figure>"


def side_by_side(*figures: str) -> str:
    """Drawings side by side, or one above the other where the page is narrow."""
    return f'<div class="charts">{"".join(figures)}</div>'


def nothing(text: str) -> str:
    """What is said in place of an empty table or chart."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """Something that changes how the rest has to be read."""
    return f'<p class="note" role="status">{escape(text)}</p>'


def stale(as_of: datetime | None, now: datetime) -> bool:
    """Whether data says how things were rather than how they are; ``health`` calls it unknown then."""
    return as_of is None or now - as_of > timedelta(hours=max_data_age())


def standing(as_of: datetime, loads: Sequence[Row], now: datetime, zone: tzinfo) -> str:
    """What has to be known before anything else is read: how old the data is, and whose last load went wrong."""
    parts = [f'<p class="quiet">Data as of {escape(moment(as_of, zone))}.</p>']
    if stale(as_of, now):
        old = span((now - as_of).total_seconds() / 3600)
        parts = [
            note(f"The data is {old} old, of {moment(as_of, zone)}: it shows how things stood then. Do loads run?")
        ]
    for row in loads:
        if row["status"] == "failed":
            parts.append(note(f"{row['tenant']}: the last load failed, {moment(row['ended_at'], zone)}; see the end."))
    return "".join(parts)


def judged(rows: Sequence[Row], now: datetime) -> list[Row]:
    """The rows of ``protection_status`` as they can be judged at ``now``: of data that is too old nobody knows."""
    return [
        {**row, "status": "unknown", "was": row["status"]}
        if row["status"] != "ignored" and stale(row["data_as_of"], now)
        else row
        for row in rows
    ]


def protection(rows: Sequence[Row], loads: Sequence[Row], zone: tzinfo) -> str:
    """A tile for each service, the gravest first, under the name of its tenant and location. Tenants are in the order
    of their gravest tile."""
    without = [str(row["tenant"]) for row in loads if row["tenant"] not in {one["tenant"] for one in rows}]
    nobody = note(f"{NOBODY}: {', '.join(without)}.") if without else ""
    if not rows:
        return nobody or nothing(f"{NOBODY}.")
    drawn = [row for row in rows if len(rows) <= TILES or row["status"] not in ("protected", "ignored")]
    found = Counter(row["status"] for row in rows)
    words = [f"{found[status]:,} {word.lower()}" for status, (_, word) in STATUSES.items() if found[status]]
    parts = [nobody, f"<p><strong>{count(len(rows), 'service', 'services')}</strong>: {', '.join(words)}.</p>"]
    if len(drawn) < len(rows):
        parts.append(f'<p class="quiet">{len(rows) - len(drawn):,} that are protected or ignored are not drawn.</p>')
    titled = len({_group(row) for row in rows}) > 1
    gravest: dict[str, int] = {}
    for row in drawn:
        gravest[row["tenant"]] = min(_gravity(row), gravest.get(row["tenant"], len(STATUSES)))
    ordered = sorted(drawn, key=lambda row: (gravest[row["tenant"]], _group(row)))
    for name, group in groupby(ordered, key=_group):
        tiles = sorted(group, key=lambda row: (_gravity(row), service(row["object_type"])))
        heading = f"<h3>{escape(' · '.join(part for part in name if part))}</h3>" if titled else ""
        parts.append(f'{heading}<ul class="tiles">{"".join(_tile(row, zone) for row in tiles)}</ul>')
    return "".join(parts)


def _group(row: Row) -> tuple[str, str]:
    return str(row["tenant"]), str(row["location"] or "")


def _gravity(row: Row) -> int:
    """0 for the gravest."""
    return list(STATUSES).index(row["status"])


def _tile(row: Row, zone: tzinfo) -> str:
    sign, word = STATUSES[row["status"]]
    return (
        f'<li class="tile {row["status"]}"><span class="word">{sign} {word}</span>'
        f"<b>{escape(service(row['object_type']))}</b>"
        f"{''.join(f'<span class=why>{text}</span>' for text in _why(row, zone))}</li>"
    )


def _why(row: Row, zone: tzinfo) -> Iterator[str]:
    if row["status"] == "unknown":
        was = STATUSES[row.get("was", "unknown")][1].lower()
        yield f"data of <time>{moment(row['data_as_of'], zone)}</time>, then {was}" if row["data_as_of"] else "no data"
    if row["last_success_at"]:
        yield f"last success <time>{moment(row['last_success_at'], zone)}</time>"
    else:
        yield no_success(row["status"])
    if row["consecutive_failures"]:
        yield f"{count(row['consecutive_failures'], 'backup', 'backups')} without success since"
    if row["open_jobs"]:
        yield f"{row['open_jobs']:,} running"


def night(rows: Sequence[Row], failed: Sequence[Row], until: datetime, zone: tzinfo) -> str:
    """What ended in the last 24 hours, and the jobs among them that failed."""
    between = f"{moment(until - timedelta(hours=24), zone)} to {moment(until, zone)}"
    if not rows:
        return nothing(f"No job ended from {between}.")
    names = ("jobs", "failures", "warnings", "succeeded", "others", "failed_objects", "total_objects")
    total: Row = {name: sum(row[name] for row in rows) for name in names}
    parts = [
        f"<p><strong>{count(total['jobs'], 'job', 'jobs')}</strong> ended from {between}: {total['succeeded']:,} "
        f"succeeded, {total['warnings']:,} with warnings, {total['failures']:,} failed"
        + (f", {total['others']:,} in another state" if total["others"] else "")
        + f". {total['failed_objects']:,} of {count(total['total_objects'], 'object', 'objects')} failed.</p>"
    ]
    columns = ["Service", "Jobs", "Failed", "Warnings", "Succeeded", "Other", "Failed objects", "Objects"]
    cells = [[service(row["object_type"]), *(row[name] for name in names)] for row in rows]
    parts.append(table("What ended in the last 24 hours, per service", columns, cells))
    if failed:
        parts.append(f"<h3>Failed jobs{', the newest' if total['failures'] > len(failed) else ''}</h3>")
        parts.append(jobs(failed, zone))
    return "".join(parts)


def jobs(rows: Sequence[Row], zone: tzinfo) -> str:
    """A table of jobs."""
    columns = ["Job", "Tenant", "Location", "Service", "Type", "State", "Started", "Ended", "Objects", "Failed"]
    cells = [
        [
            row["id"],
            row["tenant"],
            location(row["location"]),
            service(row["object_type"]),
            row["job_type"] or "unknown",
            row["state"],
            moment(row["start_time"], zone),
            moment(row["finish_time"], zone, "not yet"),
            row["total_number"],
            row["failed_number"],
        ]
        for row in rows
    ]
    return table("Jobs", columns, cells)


def errors(rows: Sequence[Row], zone: tzinfo) -> str:
    """A table of errors."""
    columns = ["Service", "Error", "Occurrences", "Jobs", "Last seen"]
    cells = [
        [
            service(row["object_type"]),
            _link(row["error_message"] or "no message", row["url"]),
            row["occurrences"],
            row["jobs"],
            moment(row["last_seen"], zone),
        ]
        for row in rows
    ]
    return table("Errors that occurred most", columns, cells)


def jobs_of_error(error: Row, how_many: str, rows: Sequence[Row], zone: tzinfo) -> str:
    """The jobs behind a row of ``errors``."""
    message = _link(error["error_message"] or "no message", error["url"])
    heading = f"{escape(service(error['object_type']))}: {_cell(message)}"
    return f"<h3>{heading}</h3><p>{escape(how_many)}:</p>{jobs(rows, zone)}"


class Markup(str):
    """HTML that is escaped already."""


def _link(text: str, url: str | None) -> str:
    if url and url.startswith(("https://", "http://")):
        return Markup(f'<a href="{escape(url)}" rel="noreferrer">{escape(text)}</a>')
    return text


def open_jobs(rows: Sequence[Row], zone: tzinfo) -> str:
    """Jobs in progress, those that are open for longest first."""
    if not rows:
        return nothing("No job is running.")
    columns = ["Job", "Tenant", "Location", "Service", "Type", "Started", "Open for"]
    cells = [
        [
            row["id"],
            row["tenant"],
            location(row["location"]),
            service(row["object_type"]),
            row["job_type"] or "unknown",
            moment(row["start_time"], zone),
            span(row["hours_open"]),
        ]
        for row in rows
    ]
    running = count(rows[0]["in_all"], "job is", "jobs are")
    shown = f"; the {len(rows)} that are open for longest" if rows[0]["in_all"] > len(rows) else ""
    return f"<p>{running} running{shown}.</p>" + table("Jobs in progress", columns, cells)


def freshness(loads: Sequence[Row], completeness: Sequence[Row], now: datetime, zone: tzinfo) -> str:
    """How the last load of each tenant went, and which parts of the data are not proved complete up to it."""
    results = {"complete": "Complete", "incomplete": "Not proved complete", "failed": "Failed"}
    until: dict[str, list[datetime | None]] = {}
    for row in completeness:
        until.setdefault(row["tenant"], []).append(row["complete_until"])
    cells = [
        [
            row["tenant"],
            f"{moment(row['ended_at'], zone)} ({span((now - row['ended_at']).total_seconds() / 3600)} ago)",
            results.get(row["status"], row["status"]),
            _complete_until(until.get(row["tenant"], []), zone),
            row["detail"] or "",
        ]
        for row in loads
    ]
    columns = ["Tenant", "Last load ended", "Result", "All data complete until", "Detail"]
    parts = [table("The last load of each tenant", columns, cells)]
    short = [row for row in completeness if not row["complete"]]
    failed = any(row["status"] == "failed" for row in loads)
    if not short and not failed:
        parts.append(nothing("Everything that was asked for is proved complete."))
    if short:
        columns = ["Tenant", "Location", "Service", "Last read", "Proved complete until"]
        cells = [
            [
                row["tenant"],
                location(row["location"]),
                service(row["object_type"]),
                moment(row["last_load_at"], zone),
                moment(row["complete_until"], zone),
            ]
            for row in short
        ]
        parts.append("<h3>Not proved complete up to the last load</h3>")
        parts.append(table("Data that is not proved complete", columns, cells))
    return "".join(parts)


def _complete_until(moments: Sequence[datetime | None], zone: tzinfo) -> str:
    known = [one for one in moments if one]
    return moment(min(known), zone) if known and len(known) == len(moments) else "never"


def trends(rows: Sequence[Row], chosen: Filter) -> str:
    """Outcome and objects, day by day."""
    if not rows:
        return nothing(f"No job ended in the last {chosen.days} days.")
    parts = [figure(charts.outcomes(rows, chosen)), figure(charts.objects(rows, chosen))]
    return side_by_side(*parts)


def durations(rows: Sequence[Row]) -> str:
    """How long backups took, against what is usual."""
    if not rows:
        return nothing("No backup ended in the last four weeks.")
    slow = [service(row["object_type"]) for row in rows if charts.slow(row)]
    words = (
        f"Slower in the last 24 hours (median) than nine in ten of the backups before: {', '.join(slow)}."
        if slow
        else "No service was slower than usual in the last 24 hours."
    )
    columns = ["Service", "Last 24 h", "Usually", "80 % took", "Jobs"]
    cells = [
        [
            service(row["object_type"]),
            span(row["median"]) if row["jobs"] else "–",
            span(row["usual"]),
            f"{span(row['low'])} to {span(row['high'])}" if row["usual"] is not None else "unknown",
            row["jobs"],
        ]
        for row in rows
    ]
    return nothing(words) + side_by_side(figure(charts.durations(rows)), table("How long backups took", columns, cells))


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; columns in which every value is the same empty word, tenant or location are left out."""
    body = [list(row) for row in rows]
    kept = [
        index
        for index, name in enumerate(columns)
        if name not in ("Tenant", "Location", "Detail", "Other")
        or len({str(row[index]) for row in body}) > 1
        or any(row[index] not in ("", *UNSAID, location(None), 0) for row in body)
    ]
    numeric = {index for index in kept if all(isinstance(row[index], int | None) for row in body)}

    def cells(tag: str, row: Sequence[Any]) -> str:
        return "".join(
            f"<{tag}{_kind(tag, row[index], index in numeric)}>{_cell(row[index])}</{tag}>" for index in kept
        )

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in body)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<thead><tr>{cells('th', columns)}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _kind(tag: str, value: Any, numeric: bool) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    if numeric:
        return f'{scope} class="number"'
    return f'{scope} class="text"' if tag == "td" and len(str(value)) > 40 else scope


def _cell(value: Any) -> str:
    if isinstance(value, Markup):
        return value
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
