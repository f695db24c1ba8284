"""The backup schedule: how often each service is backed up, and at which times of the day."""

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
    Table,
    content_id,
    rows_of,
    scope_of,
)
from avepoint_m365.companions.service_types import SERVICE_COLUMNS
from avepoint_m365.companions.values import field, parse_minute_of_day, parse_number

_PLACE: dict[str, Any] = {
    "tenant": {"data_type": "text", "nullable": False},
    "id": {"data_type": "text", "nullable": False},
    "location": {"data_type": "text"},
}

SCHEDULES = Table(
    "backup_schedules",
    {
        **_PLACE,
        "setting_scope": {"data_type": "text", "nullable": False},
        **SERVICE_COLUMNS,
        "backups_per_day": {"data_type": "double"},
        "interval_hours": {"data_type": "double"},
        "valid_from": {"data_type": "timestamp", "timezone": True},
        "valid_to": {"data_type": "timestamp", "timezone": True},
    },
    merge_key=("setting_scope",),
    history=True,
)
"""A version per service for as long as it was in force. A row without a service: no service is scheduled."""

START_TIMES = Table(
    "backup_schedules__start_times",
    {
        "tenant": {"data_type": "text", "nullable": False},
        "schedule_id": {"data_type": "text", "nullable": False},
        "start_index": {"data_type": "bigint", "nullable": False},
        "start_time": {"data_type": "text"},
        "minute_of_day": {"data_type": "bigint"},
    },
    primary_key=("tenant", "schedule_id", "start_index"),
)
"""The start times of a schedule. The id of a schedule stands for its content, so these rows never change."""


class Schedule(Companion):
    """Reads the backup frequency of active services; of the central location where none is given."""

    name = "schedule"
    scope = PERMISSION + "settings.read.all"
    paths = ("/backup/m365/settings/backup/frequency",)
    tables = (SCHEDULES, START_TIMES)

    def read(self, ask: Ask, location: str | None, memory: Memory, answers: Answers) -> None:
        """Add the schedule of one location."""
        rows = [self._row(ask, item, location, answers) for item in rows_of(ask(location), self.paths[0])]
        # Without a row nothing would show that the last service was switched off.
        for row in rows or [_nothing_scheduled(ask.context.tenant, location)]:
            answers.add_once(SCHEDULES.name, row)

    def _row(self, ask: Ask, item: Mapping[str, Any], location: str | None, answers: Answers) -> Row:
        tenant, service = ask.context.tenant, answers.service(field(item, "serviceType"))
        times: Any = field(item, "backupStartTime") or []
        times = [times] if isinstance(times, str | int | float) else times

        def values() -> Row:
            minutes = sorted({parse_minute_of_day(value) for value in times})
            return {"minutes": minutes, "frequency": parse_number(field(item, "frequency"))}

        read = ask.of(values, "a backup schedule")
        frequency = read["frequency"] or float(len(read["minutes"])) or None
        schedule_id = content_id(tenant, location, service.columns, frequency, read["minutes"])
        answers.add(START_TIMES.name, *_start_times(tenant, schedule_id, read["minutes"]))
        return {
            "tenant": tenant,
            "id": schedule_id,
            "location": location,
            "setting_scope": scope_of(tenant, location),
            **service.columns,
            "backups_per_day": frequency,
            "interval_hours": 24 / frequency if frequency else None,
        }


def _start_times(tenant: str, schedule_id: str, minutes: list[int]) -> list[Row]:
    return [
        {
            "tenant": tenant,
            "schedule_id": schedule_id,
            "start_index": index,
            "start_time": f"{minute // 60:02}:{minute % 60:02}",
            "minute_of_day": minute,
        }
        for index, minute in enumerate(minutes)
    ]


def _nothing_scheduled(tenant: str, location: str | None) -> Row:
    return {
        "tenant": tenant,
        "id": content_id(tenant, location),
        "location": location,
        "setting_scope": scope_of(tenant, location),
        "service_type": None,
        "service": None,
        "object_type": None,
        "backups_per_day": 0.0,
        "interval_hours": None,
    }
