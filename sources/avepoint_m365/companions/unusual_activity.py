"""Read unusual activity: how many sites look attacked, per service and UTC day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any

from avepoint_m365.companions.base import PERMISSION, Answers, Ask, Companion, Context, Memory, Row, rows_of
from avepoint_m365.companions.columns import LOCATION, OBJECT_TYPE, SERVICE, SERVICE_TYPE
from avepoint_m365.companions.values import parse_whole, to_text
from avepoint_m365.parse.names import field_of
from avepoint_m365.schema import TENANT, Column, Table, count, flag, required, text, time

FIRST_DAYS = 7
"""Days before today that the first load requests."""

MAX_DAYS = 31
"""The most days before today that one load requests after a long pause, with a request for each."""

FIELDS = ("serviceType", "potentialRansomwareAttackCount", "unusualActivitiesCount")
OWNER_FIELDS = ("tenantOwner", "tenantId")

IDENTITY = ("id", "m365_tenant_id", "tenant_owner", "service_type", "service", "object_type")
"""Columns that a load remembers of the rows of the running day."""

COUNTS = ("potential_ransomware_attack_count", "unusual_activities_count")

UNUSUAL_ACTIVITY = Table(
    "unusual_activity",
    "Unusual activity (GET /backup/m365/cloudbackupunusualactivitydata): a row per UTC day, location and service with "
    "any; a day that was still running is replaced, with 0 where the API lists no more. Both counts are sites; the "
    "vendor's table swaps their meanings.",
    ("tenant", "id"),
    (
        required(TENANT),
        required(text("id", "Day, location, service and Microsoft 365 tenant.")),
        Column("day", "date", "UTC day that was asked for."),
        LOCATION,
        text("m365_tenant_id", "Id of the Microsoft 365 tenant."),
        text("tenant_owner", "Its owner, as AvePoint names it."),
        SERVICE_TYPE,
        SERVICE,
        OBJECT_TYPE,
        count("potential_ransomware_attack_count", "Sites that look attacked by ransomware.", "sites"),
        count("unusual_activities_count", "Sites with unusual activity.", "sites"),
        flag("day_complete", "Whether the day had ended when it was read."),
        time("fetched_at", "When it was read."),
    ),
)


class UnusualActivity(Companion):
    """Read unusual activity with a request per UTC day: an answer does not name the day of a count."""

    name = "unusual_activity"
    scope = PERMISSION + "unusualActivity.read.all"
    paths = ("/backup/m365/cloudbackupunusualactivitydata", "/backup/m365/unusualactivitydata")
    tables = (UNUSUAL_ACTIVITY,)

    def day_parameters(self, day: date) -> Mapping[str, str]:
        """Return the range of a day."""
        start = datetime.combine(day, clock_time(), UTC)
        end = start + timedelta(days=1)
        # The first generation calls the end EndTime; a server ignores the name that it does not know.
        return {"startTime": _bound(start), "finishTime": _bound(end), "EndTime": _bound(end)}

    def read(self, ask: Ask, location: str | None, memory: Memory, answers: Answers) -> None:
        """Add the days of one location from the last that was still running to today."""
        today = ask.context.now.date()
        running: Any = memory.setdefault("running_day", {})
        running_rows: Any = memory.setdefault("running_rows", {})
        place = location or ""
        for day in _days(running.get(place), today):
            data = ask(location, **self.day_parameters(day))
            rows: dict[str, Row] = {}
            for item in rows_of(data, self.paths[0]):
                row = self._row(ask, item, day, location, answers)
                _add_counts(rows.setdefault(str(row["id"]), row), row)
            listed = [{name: row[name] for name in IDENTITY} for row in rows.values()]
            for row in running_rows.get(place, ()):
                if str(row["id"]).startswith(f"{day}/") and row["id"] not in rows:
                    # A load deletes no row, so an attack that the API withdrew would stay.
                    rows[row["id"]] = _row_of(ask.context, day, location, row | dict.fromkeys(COUNTS, 0))
            running_rows[place] = listed
            answers.add(UNUSUAL_ACTIVITY.name, *rows.values())
            running[place] = min(day, today).isoformat()

    def _row(self, ask: Ask, item: Mapping[str, object], day: date, location: str | None, answers: Answers) -> Row:
        answers.note_renamed(item, FIELDS, OWNER_FIELDS)
        service = answers.service(field_of(item, "serviceType"))
        owner = to_text(field_of(item, "tenantId")) or ""

        def counts() -> Row:
            return {
                "potential_ransomware_attack_count": parse_whole(field_of(item, "potentialRansomwareAttackCount")),
                "unusual_activities_count": parse_whole(field_of(item, "unusualActivitiesCount")),
            }

        identity = {
            "id": f"{day}/{location or ''}/{service.service}/{owner}",
            "m365_tenant_id": owner or None,
            "tenant_owner": to_text(field_of(item, "tenantOwner")),
            **service.columns,
        }
        return _row_of(ask.context, day, location, identity | ask.of(counts, "unusual activity"))


def _row_of(context: Context, day: date, location: str | None, columns: Mapping[str, object]) -> Row:
    """Return a row: ``columns`` are its identity and its counts."""
    return {
        "tenant": context.tenant,
        "day": day,
        "location": location,
        **columns,
        "day_complete": day < context.now.date(),
        "fetched_at": context.now,
    }


def _days(running: str | None, today: date) -> Iterator[date]:
    """Yield the days to ask for, the oldest first."""
    first = date.fromisoformat(running) if running else today - timedelta(days=FIRST_DAYS)
    first = max(first, today - timedelta(days=MAX_DAYS))
    for number in range((today - first).days + 1):
        yield first + timedelta(days=number)


def _add_counts(row: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Add the counts of a second item of the same service, where the API lists one."""
    if row is other:
        return
    for name in COUNTS:
        row[name] = (row[name] or 0) + (other[name] or 0)


def _bound(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
