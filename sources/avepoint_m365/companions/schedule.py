"""Read the backup schedule: how often each service is backed up, and at which times of the day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avepoint_m365.companions.base import (
    PERMISSION,
    Answers,
    Ask,
    Companion,
    Memory,
    Row,
    content_id,
    rows_of,
    scope_of,
)
from avepoint_m365.companions.columns import (
    LOCATION,
    OBJECT_TYPE,
    SERVICE,
    SERVICE_TYPE,
    SETTING_SCOPE,
    VALID_FROM,
    VALID_TO,
)
from avepoint_m365.companions.values import parse_minute_of_day, parse_number
from avepoint_m365.exceptions import BadResponseError
from avepoint_m365.parse.names import field_of
from avepoint_m365.schema import TENANT, Column, Table, count, flag, number, required, text

MINUTES_OF_DAY = 24 * 60

FIELDS = ("serviceType", "frequency", "backupStartTime")
"""The documented fields of a service."""

BACKUP_SCHEDULES = Table(
    "backup_schedules",
    "How often each service is to be backed up (GET /backup/m365/settings/backup/frequency), with every earlier "
    "version. The API lists active services only; without a location, those of the central location only. A backup is "
    "skipped while the one before it runs, so this many a day are not guaranteed.",
    ("tenant", "id", "valid_from"),
    (
        required(TENANT),
        required(text("id", "Stands for the content: the same schedule has the same id again.")),
        LOCATION,
        SETTING_SCOPE,
        SERVICE_TYPE,
        SERVICE,
        OBJECT_TYPE,
        number("backups_per_day", "Backups a day; 0, without a service, where no service is scheduled.", "backups"),
        number("interval_hours", "24 divided by it.", "hours"),
        VALID_FROM,
        VALID_TO,
    ),
    merge_key=("setting_scope",),
)

START_TIMES = Table(
    "backup_schedules__start_times",
    "At which times of the UTC day a schedule starts backups: a row per start time.",
    ("tenant", "schedule_id", "start_index"),
    (
        required(TENANT),
        required(text("schedule_id", "The schedule, as backup_schedules.id.")),
        Column("start_index", "bigint", "Place in the list, from 0.", nullable=False),
        text("start_time", "Time of day, such as 09:00. The API sends it as a time stamp of the current day.", "UTC"),
        count("minute_of_day", "The same as minutes since midnight.", "minutes"),
        flag("listed", "Whether the API listed it; where it lists fewer than backups a day, they are spread evenly."),
    ),
)


class Schedule(Companion):
    """Read the backup frequency of active services; those of the central location if none is given."""

    name = "schedule"
    scope = PERMISSION + "settings.read.all"
    paths = ("/backup/m365/settings/backup/frequency",)
    tables = (BACKUP_SCHEDULES, START_TIMES)

    def read(self, ask: Ask, location: str | None, memory: Memory, answers: Answers) -> None:
        """Add the schedule of one location.

        Raises:
            BadResponseError: if the response contains no list. Only an empty list says that no service is scheduled.
        """
        data = ask(location)
        if data is None:
            raise BadResponseError(f"GET {self.paths[0]}: the response contains no list.")
        rows = [self._row(ask, item, location, answers) for item in rows_of(data, self.paths[0])]
        # Without a row nothing would show that the last service was switched off.
        for row in rows or [_nothing_scheduled(ask.context.tenant, location)]:
            answers.add_once(BACKUP_SCHEDULES.name, row)

    def _row(self, ask: Ask, item: Mapping[str, object], location: str | None, answers: Answers) -> Row:
        answers.note_renamed(item, FIELDS)
        tenant, service = ask.context.tenant, answers.service(field_of(item, "serviceType"))
        listed = _listed(field_of(item, "backupStartTime"), service.service, answers)
        frequency = _frequency(field_of(item, "frequency"), listed, service.service, answers)
        schedule_id = content_id(location, service.columns, frequency, listed)
        minutes = _spread(listed, frequency or 0)
        answers.add(START_TIMES.name, *_start_times(tenant, schedule_id, minutes, listed))
        return {
            "tenant": tenant,
            "id": schedule_id,
            "location": location,
            "setting_scope": scope_of(tenant, location),
            **service.columns,
            "backups_per_day": frequency,
            "interval_hours": 24 / frequency if frequency else None,
        }


def _listed(times: Any, service: str | None, answers: Answers) -> list[int]:
    """Return the minutes of the day that the API lists; a start time in an unknown form is a finding."""
    rule, problem = "unknown_start_time", "a start time in a form that is not known"
    minutes = {
        answers.parsed(parse_minute_of_day, time, rule, problem, f"{service}: {time}")
        for time in ([times] if isinstance(times, str | int | float) else times or [])
    }
    return sorted(minute for minute in minutes if minute is not None)


def _frequency(value: object, listed: list[int], service: str | None, answers: Answers) -> float | None:
    """Return the backups a day; without a number, those listed. One that is negative or no number is a finding."""
    if value is None or value == "":
        return float(len(listed)) or None
    rule, problem = "unknown_frequency", "a number of backups a day that is negative or no number"
    return answers.parsed(_parse_frequency, value, rule, problem, f"{service}: {value}")


def _parse_frequency(value: object) -> float | None:
    number = parse_number(value)
    if number is not None and number < 0:
        raise ValueError("negative")
    return number


def _spread(minutes: list[int], frequency: float) -> list[int]:
    """Return the start times of a day: those listed, or evenly from the first where the API lists too few."""
    if not 1 <= frequency <= MINUTES_OF_DAY or len(minutes) >= frequency:
        return minutes
    first = minutes[0] if minutes else 0
    return sorted(
        round(first + number * MINUTES_OF_DAY / frequency) % MINUTES_OF_DAY for number in range(int(frequency))
    )


def _start_times(tenant: str, schedule_id: str, minutes: list[int], listed: list[int]) -> list[Row]:
    return [
        {
            "tenant": tenant,
            "schedule_id": schedule_id,
            "start_index": index,
            "start_time": f"{minute // 60:02}:{minute % 60:02}",
            "minute_of_day": minute,
            "listed": minute in listed,
        }
        for index, minute in enumerate(minutes)
    ]


def _nothing_scheduled(tenant: str, location: str | None) -> Row:
    return {
        "tenant": tenant,
        "id": content_id(location),
        "location": location,
        "setting_scope": scope_of(tenant, location),
        "service_type": None,
        "service": None,
        "object_type": None,
        "backups_per_day": 0.0,
        "interval_hours": None,
    }
